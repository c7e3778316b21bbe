//! What the cluster's operator sets: the webhook's `--config`, in YAML or JSON. Unknown keys are errors.

use std::fmt;
use std::str::FromStr;

use imds_contract::{HttpTokens, Interception, Invalid, Metadata, Region, SessionDuration, Start, pod};
use serde::de::{Deserialize, Deserializer, Error};

use crate::emulator_env::EmulatorEnv;
use crate::image::image_reference;
use crate::resources::Resources;
use crate::scalar::Scalar;
use crate::server_version::ServerVersion;
use crate::session_name::SessionNameTemplate;

/// The operator's settings; a Pod's annotations win over the defaults that stand here.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    /// The image with the programs. The one setting without a default.
    #[serde(deserialize_with = "image")]
    pub image: String,
    /// `imagePullPolicy` of the injected containers; left out where unset.
    #[serde(default)]
    pub image_pull_policy: Option<PullPolicy>,
    /// Names of Secrets that the image is pulled with.
    #[serde(default, deserialize_with = "secret_names")]
    pub image_pull_secrets: Vec<String>,
    /// How the emulator is put into a Pod.
    #[serde(default)]
    pub sidecar: Sidecar,
    /// How requests are intercepted.
    #[serde(default, deserialize_with = "interception")]
    pub interception: Interception,
    /// The region whose STS is asked; the role's partition's global one where unset.
    #[serde(default, deserialize_with = "region")]
    pub region: Option<Region>,
    /// Whether IMDSv1 is served.
    #[serde(default, deserialize_with = "http_tokens")]
    pub http_tokens: HttpTokens,
    /// How much of the metadata tree is served.
    #[serde(default, deserialize_with = "metadata")]
    pub metadata: Metadata,
    /// Whether the Pod's other containers start without credentials.
    #[serde(default, deserialize_with = "start")]
    pub start: Start,
    /// The life of a session.
    #[serde(default, deserialize_with = "session_duration")]
    pub session_duration: SessionDuration,
    /// The template of the session's name.
    #[serde(default, deserialize_with = "session_name")]
    pub session_name: SessionNameTemplate,
    /// Resources of the injected containers, over the default ones.
    #[serde(default)]
    pub resources: Resources,
    /// Further environment of the emulator.
    #[serde(default)]
    pub emulator_env: EmulatorEnv,
    /// The audience of the projected token.
    #[serde(default = "token_audience", deserialize_with = "audience")]
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
            start: Start::default(),
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

impl PullPolicy {
    /// Every value.
    pub const ALL: [Self; 3] = [Self::Always, Self::IfNotPresent, Self::Never];
}

/// How the emulator is put into a Pod: the operator's choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, serde::Serialize)]
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
    /// Every value.
    pub const ALL: [Self; 3] = [Self::Auto, Self::Native, Self::Classic];

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

/// Functions that read the setting of this name: serde does not tell an error where it stands.
macro_rules! read_words {
    ($($function:ident = $key:literal,)+) => {
        $(fn $function<'de, D: Deserializer<'de>, T: FromStr<Err = Invalid>>(deserializer: D) -> Result<T, D::Error> {
            let text = Scalar::deserialize(deserializer)?.to_string();
            text.parse().map_err(|invalid| refused($key, &invalid))
        })+
    };
}

read_words! {
    interception = "interception",
    http_tokens = "httpTokens",
    metadata = "metadata",
    start = "start",
    session_duration = "sessionDuration",
}

fn refused<E: Error>(key: &str, invalid: &Invalid) -> E {
    E::custom(format!("{key}: {invalid}"))
}

/// A free text. What YAML reads as something else is not taken for one: `1.10` would come out as `1.1`.
fn text<E: Error>(key: &str, scalar: Scalar) -> Result<String, E> {
    match scalar {
        Scalar::Text(text) => Ok(text),
        Scalar::Nothing => Ok(String::new()),
        Scalar::Switch(_) | Scalar::Whole(_) | Scalar::Broken(_) => {
            Err(E::custom(format!("{key}: the value is no text: put it in quotes")))
        }
    }
}

fn session_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SessionNameTemplate, D::Error> {
    let text = text("sessionName", Scalar::deserialize(deserializer)?)?;
    text.parse().map_err(|invalid| refused("sessionName", &invalid))
}

fn region<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Region>, D::Error> {
    let scalar = Option::<Scalar>::deserialize(deserializer)?;
    let text = scalar.map(|scalar| text("region", scalar)).transpose()?;
    text.map(|text| text.parse()).transpose().map_err(|invalid| refused("region", &invalid))
}

fn image<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = text("image", Scalar::deserialize(deserializer)?)?;
    image_reference(&text).map_err(|invalid| refused("image", &invalid))
}

/// Empty, or with a blank, no STS accepts it: every injected Pod would fail.
fn audience<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let value = text("tokenAudience", Scalar::deserialize(deserializer)?)?;
    let illegal = |c: char| c.is_whitespace() || c.is_control();
    if value.is_empty() || value.contains(illegal) {
        let accepted = "an audience without blanks, for example sts.amazonaws.com";
        return Err(refused("tokenAudience", &Invalid::new(value, accepted)));
    }
    Ok(value)
}

fn secret_names<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let names = Vec::<Scalar>::deserialize(deserializer)?;
    let mut seen = Vec::with_capacity(names.len());
    for name in names {
        let name = text("imagePullSecrets", name)?;
        let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let ends = [name.bytes().next(), name.bytes().last()];
        let legal = name.len() <= 253
            && ends.into_iter().all(|end| end.is_some_and(alphanumeric))
            && name.bytes().all(|b| alphanumeric(b) || b == b'-' || b == b'.');
        if !legal || seen.contains(&name) {
            let accepted = "names of Secrets (lower-case letters, digits, - and .), each once";
            return Err(refused("imagePullSecrets", &Invalid::new(name, accepted)));
        }
        seen.push(name);
    }
    Ok(seen)
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
metadata: extended
start: with-credentials
sessionDuration: 7200
sessionName: '{pod}'
resources: {requests: {cpu: 1, memory: 8Mi}, limits: {memory: 16Mi}}
emulatorEnv: {AWS_USE_FIPS_ENDPOINT: true, IMDS_START_TIMEOUT: 10}
tokenAudience: sts.example
",
        )
        .unwrap();
        assert_eq!(settings.session_duration.as_secs(), 7200);
        assert_eq!(settings.metadata, Metadata::Extended);
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
            (
                "{image: i, metadata: all}",
                "metadata: \"all\" is not accepted; accepted: credentials or extended",
            ),
            (
                "{image: i, sessionDuration: 60}",
                "sessionDuration: \"60\" is not accepted; accepted: whole seconds from 900 to 43200",
            ),
            ("{image: i, resources: {requests: {cpu: lots}}}", "resources: cpu: \"lots\" is not accepted"),
            ("{image: i, resources: {request: {}}}", "unknown field `request`"),
            (
                "{image: i, resources: {requests: {memory: 64Mi}, limits: {memory: 32Mi}}}",
                "resources: memory: the request 64Mi is above the limit 32Mi",
            ),
            ("{image: i, sidecar: sometimes}", "unknown variant `sometimes`"),
            ("{image: i, sessionName: x}", "sessionName: \"x\" is not accepted"),
            ("{image: ''}", "image: \"\" is not accepted; accepted: a reference to an image"),
            ("{image: 1.10}", "image: the value is no text: put it in quotes"),
            ("{image: i, tokenAudience: true}", "tokenAudience: the value is no text: put it in quotes"),
            ("{image: i, imagePullSecrets: [5]}", "imagePullSecrets: the value is no text: put it in quotes"),
            ("{image: 'a b'}", "image: \"a b\" is not accepted"),
            ("{image: registry.example/Upper}", "image: \"registry.example/Upper\" is not accepted"),
            ("{image: i, tokenAudience: ''}", "tokenAudience: \"\" is not accepted"),
            (
                "{image: i, imagePullSecrets: [a, '']}",
                "imagePullSecrets: \"\" is not accepted; accepted: names",
            ),
            ("{image: i, imagePullSecrets: [a, b, a]}", "imagePullSecrets: \"a\" is not accepted"),
            ("{image: i, imagePullSecrets: [Registry]}", "imagePullSecrets: \"Registry\" is not accepted"),
            ("image: i\ninterception:\n", "interception: \"\" is not accepted; accepted: redirect"),
            ("{image: i, interception: [redirect]}", "invalid type: sequence, expected a single value"),
            ("{image: i, region: mars-1}", "region: \"mars-1\" is not accepted; accepted: "),
            (
                "{image: i, resources: {limits: {nvidia.com/gpu: 1}}}",
                "resources: \"nvidia.com/gpu\" is not accepted; accepted: cpu, memory",
            ),
            (
                "{image: i, resources: {limits: {memory: 64}}}",
                "resources: the limit of memory: \"64\" is not accepted; accepted: at least",
            ),
            (
                "{image: i, resources: {limits: {cpu: 0}}}",
                "resources: the limit of cpu: \"0\" is not accepted",
            ),
            ("{image: i, resources: {limits: {cpu: 1, cpu: 2}}}", "\"cpu\" is there twice"),
        ] {
            let error = read(yaml).unwrap_err();
            assert!(error.contains(expected), "{yaml}: {error}");
        }
    }

    #[test]
    fn resources_that_are_left_out_are_the_default_ones() {
        let resources = |yaml| read(&format!("{{image: i, resources: {yaml}}}")).unwrap().resources;
        assert_eq!(resources("{}"), Resources::default());
        assert_eq!(resources("{limits: {}}"), Resources::default());
        let higher = resources("{requests: {memory: 64Mi}}");
        assert_eq!(higher.limits["memory"].as_str(), "64Mi", "no request is above its limit");
        let lower = resources("{limits: {memory: 8Mi, ephemeral-storage: 1Mi}}");
        assert_eq!((lower.requests["memory"].as_str(), lower.limits.get("cpu")), ("8Mi", None));
        assert_eq!(lower.limits["ephemeral-storage"].as_str(), "1Mi");
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
