//! The form of an `AssumeRoleWithWebIdentity` or `AssumeRole` request, checked as the API model demands.
//! Source: STS API model 2011-06-15.

use std::str::FromStr as _;

use imds_contract::RoleArn;

use crate::refusal::Refusal;

const VERSION: &str = "2011-06-15";

/// What AWS's own front end calls a request without `Version`.
const NO_VERSION: &str = "NO_VERSION_SPECIFIED";

/// Seconds, where `DurationSeconds` is absent.
const DEFAULT_DURATION: u32 = 3600;

/// The parameters as they came; the token never leaves this crate.
pub(crate) struct Form {
    pub(crate) action: Option<String>,
    version: Option<String>,
    pub(crate) role_arn: Option<String>,
    pub(crate) session_name: Option<String>,
    token: Option<String>,
    pub(crate) duration: Option<String>,
    provider_id: Option<String>,
    external_id: Option<String>,
}

/// A request whose parameters are within the model's limits.
pub(crate) struct Asked {
    pub(crate) role_arn: RoleArn,
    pub(crate) session_name: String,
    pub(crate) proof: Proof,
    /// In seconds.
    pub(crate) duration: u32,
}

/// By what the caller says who it is.
pub(crate) enum Proof {
    /// `AssumeRoleWithWebIdentity`: by a token.
    Token(String),
    /// `AssumeRole`: by its signature; and what it shows the role that it asks for.
    Signature { external_id: Option<String> },
}

/// What STS can do here.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    AssumeRoleWithWebIdentity,
    AssumeRole,
}

impl Action {
    const ALL: [Self; 2] = [Self::AssumeRoleWithWebIdentity, Self::AssumeRole];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::AssumeRoleWithWebIdentity => "AssumeRoleWithWebIdentity",
            Self::AssumeRole => "AssumeRole",
        }
    }
}

impl Form {
    /// Reads a body of type `application/x-www-form-urlencoded`; of a repeated parameter the last counts.
    pub(crate) fn read(body: &[u8]) -> Self {
        let mut form = Self {
            action: None,
            version: None,
            role_arn: None,
            session_name: None,
            token: None,
            duration: None,
            provider_id: None,
            external_id: None,
        };
        for (name, value) in form_urlencoded::parse(body) {
            let field = match &*name {
                "Action" => &mut form.action,
                "Version" => &mut form.version,
                "RoleArn" => &mut form.role_arn,
                "RoleSessionName" => &mut form.session_name,
                "WebIdentityToken" => &mut form.token,
                "DurationSeconds" => &mut form.duration,
                "ProviderId" => &mut form.provider_id,
                "ExternalId" => &mut form.external_id,
                // Session policies narrow what the keys may do: nothing here depends on it.
                _ => continue,
            };
            *field = Some(value.into_owned());
        }
        form
    }

    /// Checks everything that needs no look at the token.
    pub(crate) fn check(&self) -> Result<Asked, Refusal> {
        let name = self.action.as_deref().ok_or(Refusal::MissingAction)?;
        let version = self.version.as_deref().unwrap_or(NO_VERSION);
        let action = Action::ALL.into_iter().find(|action| action.as_str() == name && version == VERSION);
        let unknown = || Refusal::UnknownAction { action: name.to_owned(), version: version.to_owned() };
        let action = action.ok_or_else(unknown)?;
        let duration = match &self.duration {
            None => DEFAULT_DURATION,
            Some(text) => text.parse().map_err(|_| Refusal::InvalidDuration)?,
        };

        let mut broken = Vec::new();
        let arn = text("roleArn", self.role_arn.as_deref(), Shown::Yes, 20..=2048, &mut broken);
        let session = text("roleSessionName", self.session_name.as_deref(), Shown::Yes, 2..=64, &mut broken);
        let proof = match (action, &self.external_id) {
            (Action::AssumeRoleWithWebIdentity, _) => {
                let token =
                    text("webIdentityToken", self.token.as_deref(), Shown::No, 4..=20_000, &mut broken);
                Proof::Token(token.to_owned())
            }
            (Action::AssumeRole, None) => Proof::Signature { external_id: None },
            (Action::AssumeRole, Some(id)) => {
                let id = text("externalId", Some(id), Shown::Yes, 2..=1224, &mut broken);
                Proof::Signature { external_id: Some(id.to_owned()) }
            }
        };
        if !session.bytes().all(|b| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b)) {
            broken.push(format!(
                "Value '{session}' at 'roleSessionName' failed to satisfy constraint: \
                 Member must satisfy regular expression pattern: [\\w+=,.@-]*"
            ));
        }
        let bound = match duration {
            ..900 => Some("greater than or equal to 900"),
            900..=43_200 => None,
            _ => Some("less than or equal to 43200"),
        };
        if let Some(bound) = bound {
            broken.push(format!(
                "Value '{duration}' at 'durationSeconds' failed to satisfy constraint: Member must have value {bound}"
            ));
        }
        if !broken.is_empty() {
            return Err(Refusal::Constraints(broken));
        }
        if self.provider_id.is_some() {
            return Err(Refusal::ProviderId);
        }
        Ok(Asked {
            role_arn: RoleArn::from_str(arn).map_err(|_| Refusal::InvalidArn)?,
            session_name: session.to_owned(),
            proof,
            duration,
        })
    }
}

/// Whether a message may repeat the value: the model marks the token as sensitive.
#[derive(Clone, Copy)]
enum Shown {
    Yes,
    No,
}

/// Checks that a parameter is there and its length, in characters; what is broken goes to `broken`.
fn text<'a>(
    name: &str,
    value: Option<&'a str>,
    shown: Shown,
    length: std::ops::RangeInclusive<usize>,
    broken: &mut Vec<String>,
) -> &'a str {
    let subject = match (value, shown) {
        (_, Shown::No) => "Value".to_owned(),
        (None, Shown::Yes) => "Value null".to_owned(),
        (Some(value), Shown::Yes) => format!("Value '{value}'"),
    };
    let constraint = match value.map(|value| value.chars().count()) {
        None => "not be null".to_owned(),
        Some(count) if count < *length.start() => {
            format!("have length greater than or equal to {}", length.start())
        }
        Some(count) if count > *length.end() => format!("have length less than or equal to {}", length.end()),
        Some(_) => return value.unwrap_or_default(),
    };
    broken.push(format!("{subject} at '{name}' failed to satisfy constraint: Member must {constraint}"));
    value.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &[(&str, &str)] = &[
        ("Action", "AssumeRoleWithWebIdentity"),
        ("Version", "2011-06-15"),
        ("RoleArn", "arn:aws:iam::123456789012:role/my-example-role"),
        ("RoleSessionName", "default.nginx"),
        ("WebIdentityToken", "a.b.c+/="),
    ];

    /// The good form with one parameter replaced, or left out.
    fn with(name: &str, value: Option<&str>) -> Result<Asked, Refusal> {
        let mut body = form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(GOOD.iter().filter(|(other, _)| *other != name));
        if let Some(value) = value {
            body.append_pair(name, value);
        }
        Form::read(body.finish().as_bytes()).check()
    }

    fn refused(name: &str, value: Option<&str>) -> (&'static str, String) {
        let refusal = with(name, value).err().unwrap_or_else(|| panic!("{name}={value:?} was accepted"));
        assert_eq!(refusal.status(), 400, "{refusal}");
        (refusal.code(), refusal.to_string())
    }

    #[test]
    fn reads_a_good_form() {
        let asked = with("DurationSeconds", Some("900")).unwrap();
        assert_eq!(asked.role_arn.name(), "my-example-role");
        assert_eq!((&*asked.session_name, asked.duration), ("default.nginx", 900));
        assert!(matches!(asked.proof, Proof::Token(token) if token == "a.b.c+/="));
        assert_eq!(with("DurationSeconds", None).unwrap().duration, 3600);
        assert!(with("Policy", Some("{}")).is_ok(), "a parameter without meaning here is no error");
    }

    #[test]
    fn reads_a_good_form_that_is_signed() {
        let asked = with("Action", Some("AssumeRole")).unwrap();
        assert!(matches!(asked.proof, Proof::Signature { external_id: None }));
        let body = "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fr\
                    &RoleSessionName=ns.pod&ExternalId=";
        let external_id = |id: &str| Form::read(format!("{body}{id}").as_bytes()).check();
        let asked = external_id("Acme%3A42").unwrap();
        assert!(matches!(asked.proof, Proof::Signature { external_id: Some(id) } if id == "Acme:42"));
        assert_eq!(external_id("x").err().unwrap().code(), "ValidationError");
    }

    #[test]
    fn an_unknown_action_or_version_is_refused() {
        assert_eq!(refused("Action", None).0, "MissingAction");
        assert_eq!(
            refused("Action", Some("Foo")),
            ("InvalidAction", "Could not find operation Foo for version 2011-06-15".to_owned())
        );
        assert_eq!(
            refused("Version", None).1,
            "Could not find operation AssumeRoleWithWebIdentity for version NO_VERSION_SPECIFIED"
        );
        assert_eq!(refused("Version", Some("2010-05-08")).0, "InvalidAction");
    }

    #[test]
    fn each_wrong_parameter_has_awss_words() {
        let long = "n".repeat(65);
        for (name, value, message) in [
            (
                "RoleArn",
                None,
                "1 validation error detected: Value null at 'roleArn' failed to satisfy constraint: Member must not be null",
            ),
            (
                "RoleArn",
                Some("my-role"),
                "1 validation error detected: Value 'my-role' at 'roleArn' failed to satisfy constraint: Member must have length greater than or equal to 20",
            ),
            ("RoleArn", Some("arn:aws:iam::123456789012:user/me"), "Request ARN is invalid"),
            (
                "RoleSessionName",
                None,
                "1 validation error detected: Value null at 'roleSessionName' failed to satisfy constraint: Member must not be null",
            ),
            (
                "RoleSessionName",
                Some("a/b"),
                "1 validation error detected: Value 'a/b' at 'roleSessionName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\w+=,.@-]*",
            ),
            (
                "WebIdentityToken",
                None,
                "1 validation error detected: Value at 'webIdentityToken' failed to satisfy constraint: Member must not be null",
            ),
            (
                "WebIdentityToken",
                Some("x"),
                "1 validation error detected: Value at 'webIdentityToken' failed to satisfy constraint: Member must have length greater than or equal to 4",
            ),
            (
                "DurationSeconds",
                Some("899"),
                "1 validation error detected: Value '899' at 'durationSeconds' failed to satisfy constraint: Member must have value greater than or equal to 900",
            ),
            (
                "DurationSeconds",
                Some("43201"),
                "1 validation error detected: Value '43201' at 'durationSeconds' failed to satisfy constraint: Member must have value less than or equal to 43200",
            ),
            ("DurationSeconds", Some("1h"), "DurationSeconds must be a whole number of seconds"),
            (
                "ProviderId",
                Some("www.amazon.com"),
                "ProviderId must be absent for an OpenID Connect ID token",
            ),
        ] {
            assert_eq!(refused(name, value), ("ValidationError", message.to_owned()));
        }
        assert!(refused("RoleSessionName", Some(&long)).1.ends_with("length less than or equal to 64"));
        assert!(refused("RoleSessionName", Some("/")).1.starts_with("2 validation errors detected: "));
    }

    #[test]
    fn a_refusal_never_repeats_the_token() {
        let token = "t".repeat(20_001);
        assert!(!refused("WebIdentityToken", Some(&token)).1.contains("ttt"));
    }
}
