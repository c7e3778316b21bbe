//! The command line and the environment, parsed once; every wrong setting is reported in one run.

use std::ffi::OsString;
use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::str::FromStr;

use imds_contract::Invalid;
use imds_contract::address::EMULATOR_PORT;
use imds_contract::environment::{Environment, HOST_IP, POD_IPS};
use lexopt::{Arg, Parser};

/// What `--help` prints.
pub const HELP: &str = "\
Puts the interception of the instance metadata address (169.254.169.254, fd00:ec2::254) in place in this network
namespace, verifies it and ends. Needs CAP_NET_ADMIN.

Usage: imds-redirect [OPTIONS]

      --mode MODE      redirect: nf_tables maps the address's port 80 to the emulator's port on loopback (default)
                       address: the address is put on lo, the emulator listens on its port 80
      --to-port PORT   the emulator's port with --mode redirect (default 1338)
      --check          change nothing; exit 0 if all is in place, 1 with what is missing or different
      --remove         take everything of ours away, of both modes
      --allow-host     run even in the node's own network namespace
      --help           print this
      --version        print the version

Environment: IMDS_HOST_IP and IMDS_POD_IPS (downward API: status.hostIP, status.podIPs) tell the node's network
namespace from a Pod's.

Exit codes: 0 done, 64 wrong settings, 1 anything else.";

/// What the program is asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Print [`HELP`].
    Help,
    /// Print the version.
    Version,
    /// Work.
    Run(Config),
}

/// The settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// What to do.
    pub action: Action,
    /// How the address is intercepted.
    pub mode: Mode,
    /// The emulator's port on loopback; of no use with [`Mode::Address`].
    pub to_port: NonZeroU16,
    /// What to do in the node's own network namespace.
    pub node_namespace: NodeNamespace,
    /// The node's address, where it is told.
    pub host_ip: Option<IpAddr>,
    /// The Pod's addresses, where they are told.
    pub pod_ips: Vec<IpAddr>,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Action {
    /// Put the interception in place.
    #[default]
    Apply,
    /// Only look whether it is.
    Check,
    /// Take it away.
    Remove,
}

/// How the address is intercepted: the values of [`imds_contract::Interception`] that need this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// netfilter maps the address's port 80 to the emulator's port.
    #[default]
    Redirect,
    /// The address is put on `lo`.
    Address,
}

/// What to do in the node's own network namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NodeNamespace {
    /// Refuse to run.
    #[default]
    Refuse,
    /// Run all the same.
    Allow,
}

/// Every wrong setting of one run, each with its name and the accepted form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageError(Vec<String>);

impl Default for Config {
    fn default() -> Self {
        Self {
            action: Action::default(),
            mode: Mode::default(),
            to_port: NonZeroU16::new(EMULATOR_PORT).unwrap_or(NonZeroU16::MIN),
            node_namespace: NodeNamespace::default(),
            host_ip: None,
            pod_ips: vec![],
        }
    }
}

impl FromStr for Mode {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "redirect" => Ok(Self::Redirect),
            "address" => Ok(Self::Address),
            _ => Err(()),
        }
    }
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; see --help", self.0.join("; "))
    }
}

impl std::error::Error for UsageError {}

/// Reads the arguments (without the program's name) and the environment.
pub fn parse(
    arguments: impl IntoIterator<Item = OsString>,
    environment: &dyn Environment,
) -> Result<Command, UsageError> {
    let mut config = Config::default();
    let mut problems = Vec::new();
    let mut parser = Parser::from_args(arguments);
    loop {
        match parser.next() {
            Ok(None) => break,
            Ok(Some(Arg::Long("help") | Arg::Short('h'))) => return Ok(Command::Help),
            Ok(Some(Arg::Long("version") | Arg::Short('V'))) => return Ok(Command::Version),
            Ok(Some(Arg::Long("mode"))) => {
                set(&mut config.mode, option(&mut parser, "--mode", "redirect or address"), &mut problems);
            }
            Ok(Some(Arg::Long("to-port"))) => {
                set(
                    &mut config.to_port,
                    option(&mut parser, "--to-port", "a port, 1 to 65535"),
                    &mut problems,
                );
            }
            Ok(Some(Arg::Long(action @ ("check" | "remove")))) => {
                let asked = if action == "check" { Action::Check } else { Action::Remove };
                if ![Action::default(), asked].contains(&config.action) {
                    problems
                        .push("--check and --remove exclude each other; accepted: one of them".to_owned());
                }
                config.action = asked;
            }
            Ok(Some(Arg::Long("allow-host"))) => config.node_namespace = NodeNamespace::Allow,
            Ok(Some(other)) => {
                problems.push(other.unexpected().to_string());
                // A value given with "=" belongs to the option that was just reported.
                let _ = parser.optional_value();
            }
            Err(error) => problems.push(error.to_string()),
        }
    }
    set(&mut config.host_ip, host_ip(environment), &mut problems);
    set(&mut config.pod_ips, pod_ips(environment), &mut problems);
    if problems.is_empty() { Ok(Command::Run(config)) } else { Err(UsageError(problems)) }
}

/// The value of the option that was just read.
fn option<T: FromStr>(parser: &mut Parser, name: &str, accepted: &'static str) -> Result<T, String> {
    let value = parser.value().map_err(|_| format!("{name} has no value; accepted: {accepted}"))?;
    parsed(name, &value.to_string_lossy(), accepted)
}

fn host_ip(environment: &dyn Environment) -> Result<Option<IpAddr>, String> {
    let given = told(environment, HOST_IP);
    given.map(|value| parsed(HOST_IP, &value, "an IP address")).transpose()
}

fn pod_ips(environment: &dyn Environment) -> Result<Vec<IpAddr>, String> {
    let given = told(environment, POD_IPS).unwrap_or_default();
    let addresses = given.split(',').map(str::trim).filter(|address| !address.is_empty());
    addresses.map(|address| parsed(POD_IPS, address, "IP addresses, separated by commas")).collect()
}

/// The variable's value; the downward API sets an empty one for what is not known yet.
fn told(environment: &dyn Environment, name: &str) -> Option<String> {
    environment.get(name).filter(|value| !value.is_empty())
}

fn parsed<T: FromStr>(name: &str, value: &str, accepted: &'static str) -> Result<T, String> {
    value.parse().map_err(|_| format!("{name}: {}", Invalid::new(value, accepted)))
}

fn set<T>(setting: &mut T, given: Result<T, String>, problems: &mut Vec<String>) {
    match given {
        Ok(value) => *setting = value,
        Err(problem) => problems.push(problem),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn read(
        arguments: &[&str],
        variables: &'static [(&'static str, &'static str)],
    ) -> Result<Command, UsageError> {
        parse(arguments.iter().map(OsString::from), &variables.iter().copied().collect::<BTreeMap<_, _>>())
    }

    #[test]
    fn defaults_are_those_of_the_documentation() {
        let expected = Config { to_port: NonZeroU16::new(1338).unwrap(), ..Config::default() };
        assert_eq!(read(&[], &[(HOST_IP, ""), (POD_IPS, "")]), Ok(Command::Run(expected)));
    }

    #[test]
    fn both_spellings_of_an_option_are_read() {
        let expected = Config {
            action: Action::Check,
            mode: Mode::Address,
            to_port: NonZeroU16::new(80).unwrap(),
            node_namespace: NodeNamespace::Allow,
            host_ip: Some("10.0.0.5".parse().unwrap()),
            pod_ips: vec!["10.1.0.7".parse().unwrap(), "fd00::7".parse().unwrap()],
        };
        let variables: &[_] = &[(HOST_IP, "10.0.0.5"), (POD_IPS, "10.1.0.7, fd00::7")];
        let spaced = ["--mode", "address", "--to-port", "80", "--check", "--allow-host"];
        assert_eq!(read(&spaced, variables), Ok(Command::Run(expected.clone())));
        let joined = ["--mode=address", "--to-port=80", "--check", "--allow-host"];
        assert_eq!(read(&joined, variables), Ok(Command::Run(expected)));
    }

    #[test]
    fn every_wrong_setting_is_reported_in_one_run() {
        let arguments =
            ["--mode=endpoint", "--wrong=1", "extra", "--check=yes", "--remove", "--to-port", "0", "--mode"];
        let error =
            read(&arguments, &[(HOST_IP, "node-1"), (POD_IPS, "10.0.0.1,?")]).unwrap_err().to_string();
        for expected in [
            r#"--mode: "endpoint" is not accepted; accepted: redirect or address"#,
            "invalid option '--wrong'",
            r#"unexpected argument "extra""#,
            r#"unexpected argument for option '--check': "yes""#,
            "--check and --remove exclude each other; accepted: one of them",
            r#"--to-port: "0" is not accepted; accepted: a port, 1 to 65535"#,
            "--mode has no value; accepted: redirect or address",
            r#"IMDS_HOST_IP: "node-1" is not accepted; accepted: an IP address"#,
            r#"IMDS_POD_IPS: "?" is not accepted; accepted: IP addresses, separated by commas"#,
        ] {
            assert!(error.contains(expected), "{expected} in {error}");
        }
    }

    #[test]
    fn help_and_version_need_nothing_else_to_be_right() {
        assert_eq!(read(&["--help"], &[(HOST_IP, "?")]), Ok(Command::Help));
        assert_eq!(read(&["--to-port=x", "--version"], &[]), Ok(Command::Version));
    }
}
