//! What the cluster's operator sets: the webhook's `--config`, in YAML or JSON. Unknown keys are errors.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use imds_contract::{HttpTokens, Interception, Invalid, Metadata, Region, SessionDuration, environment, pod};
use serde::de::{Deserialize, Deserializer, Error};

use crate::resources::Resources;
use crate::server_version::ServerVersion;
use crate::session_name::SessionNameTemplate;

/// The operator's settings; a Pod's annotations win over the defaults that stand here.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    /// The image with the programs. The one setting without a default.
    pub image: String,
    /// `imagePullPolicy` of the injected containers; left out where unset.
    #[serde(default)]
    pub image_pull_policy: Option<PullPolicy>,
    /// Names of Secrets that the image is pulled with.
    #[serde(default)]
    pub image_pull_secrets: Vec<String>,
    /// How the emulator is put into a Pod.
    #[serde(default)]
    pub sidecar: Sidecar,
    /// How requests are intercepted.
    #[serde(default, deserialize_with = "word")]
    pub interception: Interception,
    /// The region whose STS is asked; the role's partition's global one where unset.
    #[serde(default, deserialize_with = "optional_word")]
    pub region: Option<Region>,
    /// Whether IMDSv1 is served.
    #[serde(default, deserialize_with = "word")]
    pub http_tokens: HttpTokens,
    /// How much of the metadata tree is served.
    #[serde(default, deserialize_with = "served_metadata")]
    pub metadata: Metadata,
    /// The life of a session.
    #[serde(default, deserialize_with = "word")]
    pub session_duration: SessionDuration,
    /// The template of the session's name.
    #[serde(default, deserialize_with = "word")]
    pub session_name: SessionNameTemplate,
    /// Resources of the injected containers.
    #[serde(default)]
    pub resources: Resources,
    /// Further environment of the emulator.
    #[serde(default)]
    pub emulator_env: EmulatorEnv,
    /// The audience of the projected token.
    #[serde(default = "token_audience")]
    pub token_audience: String,
}

impl Settings {
    /// The defaults, with this image.
    pub fn new(image: impl Into<String>) -> Self {
        Self {
            image: image.into(),
            image_pull_policy: None,
            image_pull_secrets: Vec::new(),
            sidecar: Sidecar::default(),
            interception: Interception::default(),
            region: None,
            http_tokens: HttpTokens::default(),
            metadata: Metadata::default(),
            session_duration: SessionDuration::default(),
            session_name: SessionNameTemplate::default(),
            resources: Resources::default(),
            emulator_env: EmulatorEnv::default(),
            token_audience: token_audience(),
        }
    }
}

fn token_audience() -> String {
    pod::TOKEN_AUDIENCE.to_owned()
}

/// Kubernetes' `imagePullPolicy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
pub enum PullPolicy {
    /// Asks the registry at every start.
    Always,
    /// Pulls what the node has not.
    IfNotPresent,
    /// Never pulls.
    Never,
}

/// How the emulator is put into a Pod: the operator's choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sidecar {
    /// Native where every kubelet that the server supports knows it, classic elsewhere.
    #[default]
    Auto,
    /// Always [`SidecarForm::Native`].
    Native,
    /// Always [`SidecarForm::Classic`].
    Classic,
}

impl Sidecar {
    /// The form on this server. Where its version is not known, it is taken for a current one: the webhook asks its server,
    /// the command line may have none to ask.
    pub fn on(self, server: Option<ServerVersion>) -> SidecarForm {
        match self {
            Self::Auto if server.is_some_and(|v| v < ServerVersion::EVERY_KUBELET_HAS_NATIVE_SIDECARS) => {
                SidecarForm::Classic
            }
            Self::Auto | Self::Native => SidecarForm::Native,
            Self::Classic => SidecarForm::Classic,
        }
    }
}

/// How the emulator is put into a Pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SidecarForm {
    /// An init container with `restartPolicy: Always` (Kubernetes 1.29 and later): starts before the user's init
    /// containers, ends after the user's containers, and never keeps a Job from completing.
    Native,
    /// The first of the containers, with a `postStart` gate: for older clusters.
    Classic,
}

impl SidecarForm {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Native, Self::Classic];
}

impl fmt::Display for SidecarForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Native => "native",
            Self::Classic => "classic",
        })
    }
}

/// Further environment of the emulator, for example `AWS_ENDPOINT_URL_STS` or `HTTPS_PROXY`. Holds nothing that injection
/// itself sets: a Pod's own settings and what the interception relies on cannot be overridden from here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EmulatorEnv(BTreeMap<String, String>);

/// What injection sets, or relies on to be unset.
const RESERVED: [&str; 12] = [
    environment::ROLE_ARN,
    environment::TOKEN_FILE,
    environment::REGION,
    environment::SESSION_NAME,
    environment::SESSION_DURATION,
    environment::HTTP_TOKENS,
    environment::LISTEN,
    environment::ADMIN_LISTEN,
    environment::GRACE_PERIOD,
    environment::POD_NAME,
    environment::POD_NAMESPACE,
    environment::POD_SERVICE_ACCOUNT,
];

impl EmulatorEnv {
    /// The variables, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl TryFrom<BTreeMap<String, String>> for EmulatorEnv {
    type Error = Invalid;

    fn try_from(variables: BTreeMap<String, String>) -> Result<Self, Invalid> {
        // Kubernetes allows any printable ASCII but `=`.
        let illegal =
            |name: &str| name.is_empty() || !name.bytes().all(|b| b.is_ascii_graphic() && b != b'=');
        match variables.keys().find(|name| illegal(name) || RESERVED.contains(&name.as_str())) {
            Some(name) => Err(Invalid {
                value: name.clone(),
                accepted: "names of environment variables that the injection does not set itself",
            }),
            None => Ok(Self(variables)),
        }
    }
}

impl<'de> Deserialize<'de> for EmulatorEnv {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let scalars = BTreeMap::<String, Scalar>::deserialize(deserializer)?;
        let variables = scalars.into_iter().map(|(name, value)| (name, value.to_string())).collect();
        BTreeMap::try_into(variables).map_err(D::Error::custom)
    }
}

/// A value that YAML may have read as something else than text: `3600`, `true`.
#[derive(serde::Deserialize)]
#[serde(untagged)]
pub(crate) enum Scalar {
    Text(String),
    Switch(bool),
    Whole(i64),
    Broken(f64),
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Switch(switch) => switch.fmt(f),
            Self::Whole(number) => number.fmt(f),
            Self::Broken(number) => number.fmt(f),
        }
    }
}

fn word<'de, D: Deserializer<'de>, T: FromStr<Err = Invalid>>(deserializer: D) -> Result<T, D::Error> {
    Scalar::deserialize(deserializer)?.to_string().parse().map_err(D::Error::custom)
}

fn served_metadata<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Metadata, D::Error> {
    served(word(deserializer)?).map_err(D::Error::custom)
}

/// The emulator serves the credential paths alone so far: better refused than promised.
pub(crate) fn served(metadata: Metadata) -> Result<Metadata, Invalid> {
    match metadata {
        Metadata::Credentials => Ok(metadata),
        Metadata::Extended => Err(Invalid {
            value: metadata.to_string(),
            accepted: "credentials (this version serves no other metadata)",
        }),
    }
}

fn optional_word<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err = Invalid>,
{
    let scalar = Option::<Scalar>::deserialize(deserializer)?;
    scalar.map(|scalar| scalar.to_string().parse()).transpose().map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantity::Quantity;

    fn read(yaml: &str) -> Result<Settings, String> {
        serde_yaml_ng::from_str(yaml).map_err(|error| error.to_string())
    }

    #[test]
    fn an_image_is_enough() {
        assert_eq!(read("image: registry.example/imds:1"), Ok(Settings::new("registry.example/imds:1")));
        assert!(read("{}").unwrap_err().contains("image"));
    }

    #[test]
    fn every_key_of_the_documentation_is_read() {
        let settings = read(
            "
image: registry.example/imds:1
imagePullPolicy: IfNotPresent
imagePullSecrets: [registry]
sidecar: classic
interception: address
region: eu-central-1
httpTokens: required
metadata: credentials
sessionDuration: 7200
sessionName: '{pod}'
resources: {requests: {cpu: 1, memory: 8Mi}, limits: {memory: 16Mi}}
emulatorEnv: {AWS_USE_FIPS_ENDPOINT: true, IMDS_START_TIMEOUT: 10}
tokenAudience: sts.example
",
        )
        .unwrap();
        assert_eq!(settings.session_duration.as_secs(), 7200);
        assert_eq!((settings.sidecar, settings.interception), (Sidecar::Classic, Interception::Address));
        assert_eq!(settings.resources.requests.get("cpu").map(Quantity::as_str), Some("1"));
        assert_eq!(
            settings.emulator_env.iter().collect::<Vec<_>>(),
            [("AWS_USE_FIPS_ENDPOINT", "true"), ("IMDS_START_TIMEOUT", "10")]
        );
    }

    #[test]
    fn a_wrong_setting_is_named_with_the_accepted_form() {
        for (yaml, expected) in [
            ("{image: i, imagePullPolice: Always}", "imagePullPolice"),
            ("{image: i, interception: magic}", "accepted: redirect, address or endpoint"),
            ("{image: i, metadata: extended}", "accepted: credentials"),
            ("{image: i, sessionDuration: 60}", "accepted: whole seconds from 900 to 43200"),
            ("{image: i, resources: {requests: {cpu: lots}}}", "cpu: \"lots\" is not accepted"),
            ("{image: i, resources: {request: {}}}", "unknown field `request`"),
            (
                "{image: i, resources: {requests: {memory: 64Mi}, limits: {memory: 32Mi}}}",
                "memory: the request 64Mi is above the limit 32Mi",
            ),
            ("{image: i, sidecar: sometimes}", "unknown variant `sometimes`"),
            ("{image: i, sessionName: x}", "\"x\" is not accepted"),
            ("{image: i, emulatorEnv: {AWS_ROLE_ARN: x}}", "\"AWS_ROLE_ARN\" is not accepted"),
            ("{image: i, emulatorEnv: {'A=B': x}}", "\"A=B\" is not accepted"),
        ] {
            let error = read(yaml).unwrap_err();
            assert!(error.contains(expected), "{yaml}: {error}");
        }
    }

    #[test]
    fn auto_waits_until_every_kubelet_knows_native_sidecars() {
        let on = |sidecar: Sidecar, server: &str| sidecar.on(server.parse().ok());
        assert_eq!(read("image: i").unwrap().sidecar, Sidecar::Auto);
        for (server, form) in [
            ("1.24", SidecarForm::Classic),
            ("1.31", SidecarForm::Classic),
            ("1.32", SidecarForm::Native),
            ("2.0", SidecarForm::Native),
            ("unknown", SidecarForm::Native),
        ] {
            assert_eq!(on(Sidecar::Auto, server), form, "{server}");
            assert_eq!(on(Sidecar::Native, server), SidecarForm::Native, "{server}");
            assert_eq!(on(Sidecar::Classic, server), SidecarForm::Classic, "{server}");
        }
    }
}
