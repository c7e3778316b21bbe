//! The operator's `emulatorEnv`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use imds_contract::{AllowedHosts, HopLimit, Invalid, Seconds, environment};
use serde::de::{Deserialize, Deserializer, Error};

use crate::scalar::{Scalar, scalars};

/// Further environment of the emulator, for example `AWS_ENDPOINT_URL_STS` or `HTTPS_PROXY`. Holds nothing that injection
/// itself sets: a Pod's own settings and what the interception relies on cannot be overridden from here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EmulatorEnv(BTreeMap<String, String>);

/// What injection sets, or relies on to be unset.
const RESERVED: [&str; 18] = [
    environment::ROLE_ARN,
    environment::TOKEN_FILE,
    environment::REGION,
    environment::SESSION_NAME,
    environment::SESSION_DURATION,
    environment::HTTP_TOKENS,
    environment::METADATA,
    environment::ASSUME_ROLE_ARNS,
    environment::AUTHORIZATION_FILE,
    environment::LISTEN,
    environment::ADMIN_LISTEN,
    environment::GRACE_PERIOD,
    environment::START,
    environment::POD_NAME,
    environment::POD_NAMESPACE,
    environment::POD_SERVICE_ACCOUNT,
    environment::POD_UID,
    environment::POD_IPS,
];

impl EmulatorEnv {
    /// Whether the operator sets this variable.
    pub(crate) fn sets(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The variables, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl TryFrom<BTreeMap<String, String>> for EmulatorEnv {
    type Error = Invalid;

    fn try_from(variables: BTreeMap<String, String>) -> Result<Self, Invalid> {
        for (name, value) in &variables {
            if !is_name(name) || RESERVED.contains(&name.as_str()) {
                let accepted = "names of environment variables that the injection does not set itself: letters, digits and _-., \
                                not beginning with a digit";
                return Err(Invalid::new(name, accepted));
            }
            if let Some(accepted) = refused_by_emulator(name, value) {
                return Err(Invalid::new(format!("{name}={value}"), accepted));
            }
        }
        Ok(Self(variables))
    }
}

impl<'de> Deserialize<'de> for EmulatorEnv {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = |(name, scalar): (String, Scalar)| match scalar {
            // 1.10 is read as 1.1.
            Scalar::Nothing | Scalar::Broken(_) => {
                Err(D::Error::custom(format!("emulatorEnv: {name}: the value is no text: put it in quotes")))
            }
            Scalar::Text(_) | Scalar::Switch(_) | Scalar::Whole(_) => Ok((name, scalar.to_string())),
        };
        let variables: Result<BTreeMap<_, _>, D::Error> =
            scalars(deserializer)?.into_iter().map(text).collect();
        variables?.try_into().map_err(|invalid: Invalid| D::Error::custom(format!("emulatorEnv: {invalid}")))
    }
}

/// What every API server takes: those before Kubernetes 1.30 refuse other names. Source: k8s.io/apimachinery, `IsEnvVarName`.
fn is_name(name: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"_-.".contains(&b);
    !name.is_empty()
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && !matches!(name, "." | "..")
        && name.bytes().all(legal)
}

/// The form that the emulator accepts for one of its own variables, where this is another: it would not start. Empty counts
/// as unset there.
fn refused_by_emulator(name: &str, value: &str) -> Option<Cow<'static, str>> {
    let one_of = |words: &[&str]| words.iter().any(|word| word.eq_ignore_ascii_case(value));
    let refused = |accepted: &'static str, is: bool| (!is).then(|| accepted.into());
    match name {
        _ if value.is_empty() => None,
        environment::START_TIMEOUT => value.parse::<Seconds>().err().map(|invalid| invalid.accepted),
        environment::HOP_LIMIT => value.parse::<HopLimit>().err().map(|invalid| invalid.accepted),
        environment::ALLOWED_HOSTS => value.parse::<AllowedHosts>().err().map(|invalid| invalid.accepted),
        environment::LOG_LEVEL => {
            let levels = ["error", "warn", "info", "debug", "trace"];
            refused("error, warn, info, debug or trace", one_of(&levels))
        }
        environment::USE_FIPS_ENDPOINT
        | environment::USE_DUALSTACK_ENDPOINT
        | environment::IGNORE_CONFIGURED_ENDPOINT_URLS => {
            refused("true or false", one_of(&["true", "false"]))
        }
        environment::STS_REGIONAL_ENDPOINTS => refused("regional or legacy", one_of(&["regional", "legacy"])),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(yaml: &str) -> Result<EmulatorEnv, String> {
        serde_yaml_ng::from_str(yaml).map_err(|error| error.to_string())
    }

    #[test]
    fn a_value_is_handed_on_as_it_is_written_or_refused() {
        let env = read("{A: text, B: true, C: 10, D: '1.10', E: '', _F-g.h: -3}").unwrap();
        let expected =
            [("A", "text"), ("B", "true"), ("C", "10"), ("D", "1.10"), ("E", ""), ("_F-g.h", "-3")];
        assert_eq!(env.iter().collect::<Vec<_>>(), expected);
        for wrong in ["{A: 1.10}", "{A: 1e3}", "{A: .inf}", "{A: }", "{A: ~}"] {
            assert!(
                read(wrong).unwrap_err().contains("A: the value is no text: put it in quotes"),
                "{wrong}"
            );
        }
        assert!(read("{A: 1, A: 2}").unwrap_err().contains("\"A\" is there twice"));
    }

    #[test]
    fn what_would_break_every_pod_is_refused() {
        for (yaml, expected) in [
            ("{AWS_ROLE_ARN: x}", "\"AWS_ROLE_ARN\" is not accepted"),
            ("{'A=B': x}", "\"A=B\" is not accepted"),
            ("{'': x}", "\"\" is not accepted"),
            ("{1A: x}", "\"1A\" is not accepted"),
            ("{'A B': x}", "\"A B\" is not accepted"),
            ("{'A/B': x}", "\"A/B\" is not accepted"),
            (
                "{IMDS_START_TIMEOUT: 3601}",
                "\"IMDS_START_TIMEOUT=3601\" is not accepted; accepted: whole seconds",
            ),
            ("{IMDS_START_TIMEOUT: 30s}", "\"IMDS_START_TIMEOUT=30s\" is not accepted"),
            ("{IMDS_LOG_LEVEL: loud}", "\"IMDS_LOG_LEVEL=loud\" is not accepted; accepted: error, warn"),
            (
                "{AWS_USE_FIPS_ENDPOINT: 1}",
                "\"AWS_USE_FIPS_ENDPOINT=1\" is not accepted; accepted: true or false",
            ),
        ] {
            let error = read(yaml).unwrap_err();
            assert!(error.contains(expected), "{yaml}: {error}");
        }
    }
}
