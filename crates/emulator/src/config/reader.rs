//! How flags and variables are read: each setting from its flag, else its variable, and everything that is wrong kept.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use imds_contract::environment::Environment;
use imds_contract::{Invalid, Seconds};
use log::LevelFilter;

use super::settings::{SETTINGS, Setting};

/// A flag that asks for something else than to serve.
pub(super) enum Switch {
    Help,
    Version,
    /// For so long; `None`: as long as the emulator holds the Pod back.
    Wait(Option<Seconds>),
}

pub(super) struct Reader<'a> {
    pub(super) flags: BTreeMap<&'static str, Vec<String>>,
    pub(super) allow_remote: bool,
    pub(super) environment: &'a dyn Environment,
    pub(super) problems: Vec<String>,
}

impl Reader<'_> {
    pub(super) fn read_flags(&mut self, arguments: impl IntoIterator<Item = OsString>) -> Option<Switch> {
        let mut parser = lexopt::Parser::from_args(arguments);
        let mut switch = None;
        loop {
            match parser.next() {
                Ok(None) => return switch,
                Ok(Some(lexopt::Arg::Long("help") | lexopt::Arg::Short('h'))) => return Some(Switch::Help),
                Ok(Some(lexopt::Arg::Long("version") | lexopt::Arg::Short('V'))) => {
                    return Some(Switch::Version);
                }
                Ok(Some(lexopt::Arg::Long("wait"))) => {
                    let seconds = parser.optional_value().map(|value| value.to_string_lossy().parse());
                    match seconds.transpose() {
                        Ok(seconds) => switch = Some(Switch::Wait(seconds)),
                        Err(error) => self.problems.push(format!("--wait: {error}")),
                    }
                }
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

    /// The values given for a setting, each with the name it was given under.
    pub(super) fn given(&self, setting: &Setting) -> Vec<(String, String)> {
        if let Some(values) = self.flags.get(setting.flag) {
            let name = format!("--{}", setting.flag);
            return values.iter().map(|value| (name.clone(), value.clone())).collect();
        }
        let value = self.environment.get(setting.variable).filter(|value| !value.is_empty());
        value.map(|value| (setting.variable.to_owned(), value)).into_iter().collect()
    }

    pub(super) fn optional<T: FromStr<Err: fmt::Display>>(&mut self, setting: &Setting) -> Option<T> {
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

    pub(super) fn required<T: FromStr<Err: fmt::Display>>(&mut self, setting: &Setting) -> Option<T> {
        if self.given(setting).is_empty() {
            let Setting { flag, variable, value, help } = setting;
            self.problems.push(format!("--{flag} {value} (or {variable}): missing; {help}"));
        }
        self.optional(setting)
    }

    pub(super) fn addresses(&mut self, setting: &Setting) -> Vec<SocketAddr> {
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
}

/// Where to listen.
pub(super) struct Address(pub(super) SocketAddr);

impl FromStr for Address {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let accepted = "IP:PORT, for example 127.0.0.1:1338 or [::1]:1338";
        text.parse().map(Self).map_err(|_| Invalid::new(text, accepted))
    }
}

/// A level of the log.
pub(super) struct Level(pub(super) LevelFilter);

impl FromStr for Level {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let refused = || Invalid::new(text, "error, warn, info, debug or trace");
        text.parse().ok().filter(|level| *level > LevelFilter::Off).map(Self).ok_or_else(refused)
    }
}

/// A name that is served as it is.
pub(super) struct Word(pub(super) String);

impl FromStr for Word {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let legal = (1..=253).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        let refused = || Invalid::new(text, "up to 253 printable characters, no blank");
        legal.then(|| Self(text.to_owned())).ok_or_else(refused)
    }
}
