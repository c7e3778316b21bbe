//! The settings: read once, from flags and environment, into types that can't be wrong. Every wrong one is reported, all
//! in one run. A flag wins over its variable; an empty variable counts as unset, as with the AWS SDKs.

mod sts;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::{self, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use imds_contract::environment::{self, Environment};
use imds_contract::{HttpTokens, Invalid, Region, RoleArn, Seconds, SessionDuration, SessionName, address};
use imds_sts::Client;
use log::LevelFilter;

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
    /// The role whose credentials are served.
    pub role_arn: RoleArn,
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
    /// How long `/startupz` holds the other containers back at most.
    pub start_timeout: Duration,
    /// How long to go on serving after the first signal to stop.
    pub grace_period: Duration,
    /// What is logged.
    pub log_level: LevelFilter,
    /// How STS is reached.
    pub sts: Client,
}

/// The settings of `--wait`.
#[derive(Debug, PartialEq, Eq)]
pub struct WaitConfig {
    /// The port of the admin listener, on loopback.
    pub admin: SocketAddr,
    /// How long to wait: a little more than the emulator itself would.
    pub timeout: Duration,
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

/// A flag, its variable and its line of help.
struct Setting {
    flag: &'static str,
    variable: &'static str,
    value: &'static str,
    help: &'static str,
}

const ROLE_ARN: Setting = Setting {
    flag: "role-arn",
    variable: environment::ROLE_ARN,
    value: "ARN",
    help: "the IAM role whose credentials are served (required)",
};
const TOKEN_FILE: Setting = Setting {
    flag: "token-file",
    variable: environment::TOKEN_FILE,
    value: "PATH",
    help: "the projected service-account token (required)",
};
const LISTEN: Setting = Setting {
    flag: "listen",
    variable: environment::LISTEN,
    value: "IP:PORT",
    help: "where IMDS is served; may be repeated, or separated by commas [127.0.0.1:1338 and [::1]:1338]",
};
const ADMIN_LISTEN: Setting = Setting {
    flag: "admin-listen",
    variable: environment::ADMIN_LISTEN,
    value: "IP:PORT",
    help: "where health and metrics are served [0.0.0.0:1339, and IPv6 where it exists]",
};
const REGION: Setting = Setting {
    flag: "region",
    variable: environment::REGION,
    value: "REGION",
    help: "the region whose STS is asked [the role's partition's global STS]",
};
const SESSION_NAME: Setting = Setting {
    flag: "session-name",
    variable: environment::SESSION_NAME,
    value: "NAME",
    help: "the role session name, cut to 64 characters [the host's name]",
};
const SESSION_DURATION: Setting = Setting {
    flag: "session-duration",
    variable: environment::SESSION_DURATION,
    value: "SECONDS",
    help: "the life of a session, 900 to 43200 [3600]",
};
const HTTP_TOKENS: Setting = Setting {
    flag: "http-tokens",
    variable: environment::HTTP_TOKENS,
    value: "optional|required",
    help: "optional: IMDSv1 and IMDSv2; required: IMDSv2 only [optional]",
};
const START_TIMEOUT: Setting = Setting {
    flag: "start-timeout",
    variable: environment::START_TIMEOUT,
    value: "SECONDS",
    help: "how long /startupz waits for the first credentials [30]",
};
const GRACE_PERIOD: Setting = Setting {
    flag: "grace-period",
    variable: environment::GRACE_PERIOD,
    value: "SECONDS",
    help: "how long to go on serving after SIGTERM [20]; a second signal ends it",
};
const LOG_LEVEL: Setting = Setting {
    flag: "log-level",
    variable: environment::LOG_LEVEL,
    value: "LEVEL",
    help: "error, warn, info, debug or trace [info]",
};

const SETTINGS: [&Setting; 11] = [
    &ROLE_ARN,
    &TOKEN_FILE,
    &LISTEN,
    &ADMIN_LISTEN,
    &REGION,
    &SESSION_NAME,
    &SESSION_DURATION,
    &HTTP_TOKENS,
    &START_TIMEOUT,
    &GRACE_PERIOD,
    &LOG_LEVEL,
];

/// Reads the command line (without the program's name) and the environment.
pub fn parse(
    arguments: impl IntoIterator<Item = OsString>,
    environment: &dyn Environment,
) -> Result<Command, Problems> {
    let mut reader =
        Reader { flags: BTreeMap::new(), allow_remote: false, environment, problems: Vec::new() };
    match reader.read_flags(arguments) {
        Some(Switch::Help) => return Ok(Command::Print(help())),
        Some(Switch::Version) => {
            return Ok(Command::Print(format!("imds-emulator {}\n", env!("CARGO_PKG_VERSION"))));
        }
        Some(Switch::Wait) => return reader.wait_config().map(Command::Wait),
        None => {}
    }
    reader.config().map(|config| Command::Run(Box::new(config)))
}

/// A flag that asks for something else than to serve.
enum Switch {
    Help,
    Version,
    Wait,
}

struct Reader<'a> {
    flags: BTreeMap<&'static str, Vec<String>>,
    allow_remote: bool,
    environment: &'a dyn Environment,
    problems: Vec<String>,
}

impl Reader<'_> {
    fn read_flags(&mut self, arguments: impl IntoIterator<Item = OsString>) -> Option<Switch> {
        let mut parser = lexopt::Parser::from_args(arguments);
        let mut switch = None;
        loop {
            match parser.next() {
                Ok(None) => return switch,
                Ok(Some(lexopt::Arg::Long("help") | lexopt::Arg::Short('h'))) => return Some(Switch::Help),
                Ok(Some(lexopt::Arg::Long("version") | lexopt::Arg::Short('V'))) => {
                    return Some(Switch::Version);
                }
                Ok(Some(lexopt::Arg::Long("wait"))) => switch = Some(Switch::Wait),
                Ok(Some(lexopt::Arg::Long("allow-remote"))) => self.allow_remote = true,
                Ok(Some(lexopt::Arg::Long(name))) => {
                    let known = SETTINGS.iter().find(|setting| setting.flag == name);
                    let unknown = format!("--{name}: unknown flag");
                    let value = parser.optional_value();
                    match known {
                        None => self.problems.push(unknown),
                        Some(setting) => match value.map_or_else(|| parser.value(), Ok) {
                            Ok(value) => match value.into_string() {
                                Ok(value) => self.flags.entry(setting.flag).or_default().push(value),
                                Err(value) => {
                                    self.problems.push(format!(
                                        "--{}: {} is not UTF-8",
                                        setting.flag,
                                        value.display()
                                    ));
                                }
                            },
                            Err(_) => self
                                .problems
                                .push(format!("--{}: needs a value, {}", setting.flag, setting.value)),
                        },
                    }
                }
                Ok(Some(lexopt::Arg::Short(letter))) => {
                    self.problems.push(format!("-{letter}: unknown flag"));
                }
                Ok(Some(lexopt::Arg::Value(value))) => {
                    self.problems.push(format!("{:?}: unexpected argument", value.to_string_lossy()));
                }
                Err(error) => self.problems.push(error.to_string()),
            }
        }
    }

    fn config(mut self) -> Result<Config, Problems> {
        let role_arn: Option<RoleArn> = self.required(&ROLE_ARN);
        let token_file = self.required(&TOKEN_FILE);
        let listen = self.addresses(&LISTEN);
        self.refuse_remote(&listen);
        let admin_listen = self.optional::<Address>(&ADMIN_LISTEN).map(|address| address.0);
        let region: Option<Region> = self.optional(&REGION);
        let session_name = self.optional(&SESSION_NAME);
        let session_duration = self.optional(&SESSION_DURATION).unwrap_or_default();
        let http_tokens = self.optional(&HTTP_TOKENS).unwrap_or_default();
        let start_timeout = self.optional::<Seconds>(&START_TIMEOUT);
        let grace_period = self.optional::<Seconds>(&GRACE_PERIOD);
        let log_level = self.optional::<Level>(&LOG_LEVEL);
        let host = self.environment.get("HOSTNAME").and_then(|host| host.parse().ok());
        let sts = self.sts(role_arn.as_ref(), region);
        match (role_arn, token_file, sts) {
            (Some(role_arn), Some(token_file), Some(sts)) if self.problems.is_empty() => Ok(Config {
                role_arn,
                token_file,
                listen,
                admin_listen,
                session_name: session_name.or(host).unwrap_or_else(SessionName::anonymous),
                session_duration,
                http_tokens,
                start_timeout: start_timeout.map_or(Duration::from_secs(30), Duration::from),
                grace_period: grace_period.map_or(Duration::from_secs(20), Duration::from),
                log_level: log_level.map_or(LevelFilter::Info, |level| level.0),
                sts,
            }),
            _ => Err(Problems(self.problems)),
        }
    }

    fn wait_config(mut self) -> Result<WaitConfig, Problems> {
        let admin = self.optional::<Address>(&ADMIN_LISTEN).map(|address| address.0);
        let admin = admin.unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], address::ADMIN_PORT)));
        let start_timeout =
            self.optional::<Seconds>(&START_TIMEOUT).map_or(Duration::from_secs(30), Duration::from);
        if !self.problems.is_empty() {
            return Err(Problems(self.problems));
        }
        Ok(WaitConfig { admin, timeout: start_timeout + Duration::from_secs(10) })
    }

    /// The values given for a setting, each with the name it was given under.
    fn given(&self, setting: &Setting) -> Vec<(String, String)> {
        if let Some(values) = self.flags.get(setting.flag) {
            let name = format!("--{}", setting.flag);
            return values.iter().map(|value| (name.clone(), value.clone())).collect();
        }
        let value = self.environment.get(setting.variable).filter(|value| !value.is_empty());
        value.map(|value| (setting.variable.to_owned(), value)).into_iter().collect()
    }

    fn optional<T: FromStr<Err: fmt::Display>>(&mut self, setting: &Setting) -> Option<T> {
        let given = self.given(setting);
        if let [(name, _), _, ..] = given.as_slice() {
            self.problems.push(format!("{name}: given more than once"));
        }
        // Each is read, so that what is wrong with any is told.
        let mut read = None;
        for (name, value) in given {
            match value.parse() {
                Ok(value) => read = Some(value),
                Err(error) => self.problems.push(format!("{name}: {error}")),
            }
        }
        read
    }

    fn required<T: FromStr<Err: fmt::Display>>(&mut self, setting: &Setting) -> Option<T> {
        if self.given(setting).is_empty() {
            let Setting { flag, variable, value, help } = setting;
            self.problems.push(format!("--{flag} {value} (or {variable}): missing; {help}"));
        }
        self.optional(setting)
    }

    fn addresses(&mut self, setting: &Setting) -> Vec<SocketAddr> {
        let mut addresses = Vec::new();
        for (name, value) in self.given(setting) {
            for part in value.split(',') {
                match part.trim().parse::<Address>() {
                    Ok(address) => addresses.push(address.0),
                    Err(error) => self.problems.push(format!("{name}: {error}")),
                }
            }
        }
        addresses
    }

    /// Credentials are for this Pod alone: an address that others reach is refused unless it is asked for twice.
    fn refuse_remote(&mut self, listen: &[SocketAddr]) {
        let own = |ip: IpAddr| ip.is_loopback() || ip == address::IMDS_IPV4 || ip == address::IMDS_IPV6;
        for remote in listen.iter().filter(|address| !self.allow_remote && !own(address.ip())) {
            self.problems.push(format!(
                "--{} {remote} (or {}): others than this Pod would reach the credentials; accepted: a loopback or IMDS \
                 address, or this one together with --allow-remote",
                LISTEN.flag, LISTEN.variable
            ));
        }
    }
}

/// Where to listen.
struct Address(SocketAddr);

impl FromStr for Address {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let accepted = "IP:PORT, for example 127.0.0.1:1338 or [::1]:1338";
        text.parse().map(Self).map_err(|_| Invalid { value: text.to_owned(), accepted })
    }
}

/// A level of the log.
struct Level(LevelFilter);

impl FromStr for Level {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let refused = || Invalid { value: text.to_owned(), accepted: "error, warn, info, debug or trace" };
        text.parse().ok().filter(|level| *level > LevelFilter::Off).map(Self).ok_or_else(refused)
    }
}

fn help() -> String {
    let mut text = "\
Serves the credential part of the EC2 instance metadata service (IMDS) on loopback, with credentials from
STS AssumeRoleWithWebIdentity.

Usage: imds-emulator --role-arn ARN --token-file PATH [FLAGS]
       imds-emulator --wait [--admin-listen IP:PORT]    (returns once the emulator beside it has started)

Flags, each with its environment variable:
"
    .to_owned();
    for Setting { flag, variable, value, help } in SETTINGS {
        let _ = write!(text, "  --{flag} {value} ({variable})\n      {help}\n");
    }
    text.push_str(
        "  --allow-remote
      let --listen name addresses that others than this Pod may reach

STS is reached by AWS_ENDPOINT_URL_STS, AWS_ENDPOINT_URL, AWS_USE_FIPS_ENDPOINT, AWS_USE_DUALSTACK_ENDPOINT,
AWS_STS_REGIONAL_ENDPOINTS, AWS_CA_BUNDLE (or SSL_CERT_FILE), HTTPS_PROXY and NO_PROXY, as with the AWS SDKs.
",
    );
    text
}

#[cfg(test)]
mod tests;
