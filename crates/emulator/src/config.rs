//! The settings: read once, from flags and environment, into types that can't be wrong. Every wrong one is reported, all
//! in one run. A flag wins over its variable; an empty variable counts as unset, as with the AWS SDKs.

mod reader;
mod settings;
mod sts;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use imds_contract::environment::{self, Environment};
use imds_contract::{
    AllowedHosts, HopLimit, HttpTokens, Metadata, Region, RoleArn, RoleChain, Seconds, SessionDuration,
    SessionName, Start, address,
};
use imds_sts::Client;
use log::LevelFilter;

use crate::advice::ExplainCommand;
use crate::imds::Facts;
use reader::{Address, Level, Reader, Switch, Word};
use settings::{
    ADMIN_LISTEN, ALLOWED_HOSTS, ASSUME_ROLE_ARNS, AUTHORIZATION_FILE, GRACE_PERIOD, HOP_LIMIT, HTTP_TOKENS,
    LISTEN, LOG_LEVEL, METADATA, REGION, ROLE_ARN, SESSION_DURATION, SESSION_NAME, START, START_TIMEOUT,
    TOKEN_FILE,
};

/// How long the other containers are held back by default.
const DEFAULT_START_TIMEOUT: Duration = Duration::from_secs(30);

/// How much longer `--wait` waits than the emulator itself holds the Pod back.
const WAIT_SLACK: Duration = Duration::from_secs(10);

/// What the command line asks for.
#[derive(Debug)]
pub enum Command {
    /// Serve.
    Run(Box<Config>),
    /// Wait until the emulator beside us has started, then exit.
    Wait(WaitConfig),
    /// Print this text and exit.
    Print(String),
}

/// The settings of the emulator.
#[derive(Debug)]
pub struct Config {
    /// The role that the token is exchanged for.
    pub role_arn: RoleArn,
    /// Further roles; the last one's credentials are served.
    pub role_chain: RoleChain,
    /// The projected service-account token.
    pub token_file: PathBuf,
    /// Where IMDS is served.
    pub listen: Vec<SocketAddr>,
    /// Where health and metrics are served; `None`: on every address of the Pod, port [`address::ADMIN_PORT`].
    pub admin_listen: Option<SocketAddr>,
    /// The name of every session.
    pub session_name: SessionName,
    /// The life to ask for.
    pub session_duration: SessionDuration,
    /// Whether IMDSv1 is served.
    pub http_tokens: HttpTokens,
    /// How much of the metadata tree is served.
    pub metadata: Metadata,
    /// What the metadata tree tells.
    pub facts: Facts,
    /// Where the value of `Authorization` for the container credentials endpoint is; `None`: there is no such endpoint.
    pub authorization_file: Option<PathBuf>,
    /// The hosts that requests may be for; `None`: any.
    pub allowed_hosts: Option<AllowedHosts>,
    /// The IP hop limit of IMDS's answers; `None`: the system's.
    pub hop_limit: Option<HopLimit>,
    /// Whether the other containers start without credentials.
    pub start: Start,
    /// How long `/startupz` holds the other containers back at most, where they start without credentials.
    pub start_timeout: Duration,
    /// How long to go on serving after the first signal to stop.
    pub grace_period: Duration,
    /// What is logged.
    pub log_level: LevelFilter,
    /// What tells a person why STS refused.
    pub explain: ExplainCommand,
    /// How STS is reached.
    pub sts: Client,
}

/// The settings of `--wait`.
#[derive(Debug, PartialEq, Eq)]
pub struct WaitConfig {
    /// Where the emulator serves IMDS.
    pub imds: SocketAddr,
    /// How long to wait; `None`: until it has started.
    pub timeout: Option<Duration>,
}

/// Wrong settings, all of them.
#[derive(Debug, PartialEq, Eq)]
pub struct Problems(Vec<String>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.0 {
            writeln!(f, "  {problem}")?;
        }
        f.write_str("Try 'imds-emulator --help'.")
    }
}

impl std::error::Error for Problems {}

/// Reads the command line (without the program's name) and the environment.
pub fn parse(
    arguments: impl IntoIterator<Item = OsString>,
    environment: &dyn Environment,
) -> Result<Command, Problems> {
    let mut reader =
        Reader { flags: BTreeMap::new(), allow_remote: false, environment, problems: Vec::new() };
    match reader.read_flags(arguments) {
        Some(Switch::Help) => return Ok(Command::Print(settings::help())),
        Some(Switch::Version) => {
            return Ok(Command::Print(format!("imds-emulator {}\n", env!("CARGO_PKG_VERSION"))));
        }
        Some(Switch::Wait(seconds)) => return reader.wait_config(seconds).map(Command::Wait),
        None => {}
    }
    reader.config().map(|config| Command::Run(Box::new(config)))
}

impl Reader<'_> {
    fn config(mut self) -> Result<Config, Problems> {
        let role_arn: Option<RoleArn> = self.required(&ROLE_ARN);
        let token_file = self.required(&TOKEN_FILE);
        let listen = self.addresses(&LISTEN);
        self.refuse_remote(&listen);
        let admin_listen = self.optional::<Address>(&ADMIN_LISTEN).map(|address| address.0);
        let region: Option<Region> = self.optional(&REGION);
        let session_name = self.optional(&SESSION_NAME);
        let session_duration = self.optional(&SESSION_DURATION).unwrap_or_default();
        let role_chain = self.role_chain(role_arn.as_ref(), session_duration);
        let http_tokens = self.optional(&HTTP_TOKENS).unwrap_or_default();
        let metadata = self.optional(&METADATA).unwrap_or_default();
        let facts = self.facts(region.clone());
        let authorization_file = self.optional(&AUTHORIZATION_FILE);
        let allowed_hosts = self.optional(&ALLOWED_HOSTS);
        let hop_limit = self.optional(&HOP_LIMIT);
        let start = self.optional(&START).unwrap_or_default();
        let start_timeout = self.optional::<Seconds>(&START_TIMEOUT);
        let grace_period = self.optional::<Seconds>(&GRACE_PERIOD);
        let log_level = self.optional::<Level>(&LOG_LEVEL);
        let host = self.environment.get("HOSTNAME").and_then(|host| host.parse().ok());
        let sts = self.sts(role_arn.as_ref(), region);
        match (role_arn, token_file, sts) {
            (Some(role_arn), Some(token_file), Some(sts)) if self.problems.is_empty() => Ok(Config {
                role_arn,
                role_chain,
                token_file,
                listen,
                admin_listen,
                session_name: session_name.or(host).unwrap_or_else(SessionName::anonymous),
                session_duration,
                http_tokens,
                metadata,
                facts,
                authorization_file,
                allowed_hosts,
                hop_limit,
                start,
                start_timeout: start_timeout.map_or(DEFAULT_START_TIMEOUT, Duration::from),
                grace_period: grace_period.map_or(Duration::from_secs(20), Duration::from),
                log_level: log_level.map_or(LevelFilter::Info, |level| level.0),
                explain: ExplainCommand::of(self.environment),
                sts,
            }),
            _ => Err(Problems(self.problems)),
        }
    }

    fn wait_config(mut self, seconds: Option<Seconds>) -> Result<WaitConfig, Problems> {
        let imds = self.addresses(&LISTEN).first().copied();
        let start: Start = self.optional(&START).unwrap_or_default();
        let start_timeout = self.optional::<Seconds>(&START_TIMEOUT);
        if !self.problems.is_empty() {
            return Err(Problems(self.problems));
        }
        let timeout = match (seconds, start) {
            (Some(seconds), _) => Some(seconds.into()),
            (None, Start::WithCredentials) => None,
            (None, Start::Always) => {
                Some(start_timeout.map_or(DEFAULT_START_TIMEOUT, Duration::from) + WAIT_SLACK)
            }
        };
        let imds = imds.unwrap_or_else(|| (Ipv4Addr::LOCALHOST, address::EMULATOR_PORT).into());
        Ok(WaitConfig { imds, timeout })
    }

    fn role_chain(&mut self, role_arn: Option<&RoleArn>, session_duration: SessionDuration) -> RoleChain {
        let chain: RoleChain = self.optional(&ASSUME_ROLE_ARNS).unwrap_or_default();
        let Some((last, first)) = chain.last().zip(role_arn) else { return chain };
        let name = self.given(&ASSUME_ROLE_ARNS).pop().map(|(name, _)| name).unwrap_or_default();
        if last.partition() != first.partition() {
            self.problems.push(format!("{name}: {last} is of another partition than {first}"));
        }
        if let Err(invalid) = chain.allows(session_duration) {
            self.problems.push(format!("{name}: a session duration of {invalid}"));
        }
        chain
    }

    /// What the injection tells of the Pod; a person may set it too.
    fn facts(&mut self, region: Option<Region>) -> Facts {
        let ips = self.environment.get(environment::POD_IPS).unwrap_or_default();
        let host = self.environment.get("HOSTNAME").and_then(|host| host.parse::<Word>().ok());
        Facts {
            region,
            zone: self.variable::<Word>(&[environment::ZONE]).map(|zone| zone.0),
            uid: self.variable::<Word>(&[environment::POD_UID]).map(|uid| uid.0),
            hostname: host.map(|host| host.0),
            ipv4: ips.split(',').find_map(|ip| ip.trim().parse::<Ipv4Addr>().ok()),
        }
    }

    /// Refuses addresses that can be reached from outside the Pod, unless `--allow-remote` is given.
    fn refuse_remote(&mut self, listen: &[SocketAddr]) {
        if self.allow_remote {
            return;
        }
        for remote in listen.iter().filter(|address| !address::is_pod_local(address.ip())) {
            self.problems.push(format!(
                "--{} {remote} (or {}): this address can be reached from outside the Pod; use a loopback or IMDS address, or \
                 add --allow-remote to serve credentials to whoever reaches it",
                LISTEN.flag, LISTEN.variable
            ));
        }
    }
}

#[cfg(test)]
mod tests;
