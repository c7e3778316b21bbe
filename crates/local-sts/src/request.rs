//! The form of an `AssumeRoleWithWebIdentity` request, checked as the API model demands.
//! Source: STS API model 2011-06-15.

use std::str::FromStr as _;

use imds_contract::RoleArn;

use crate::refusal::Refusal;

const ACTION: &str = "AssumeRoleWithWebIdentity";
const VERSION: &str = "2011-06-15";

/// What AWS's own front end calls a request without `Version`.
const NO_VERSION: &str = "NO_VERSION_SPECIFIED";

/// Seconds, where `DurationSeconds` is absent.
const DEFAULT_DURATION: u32 = 3600;

/// The parameters as they came; the token never leaves this crate.
pub(crate) struct Form {
    action: Option<String>,
    version: Option<String>,
    pub(crate) role_arn: Option<String>,
    pub(crate) session_name: Option<String>,
    token: Option<String>,
    pub(crate) duration: Option<String>,
    provider_id: Option<String>,
}

/// A request whose parameters are within the model's limits.
pub(crate) struct Asked {
    pub(crate) role_arn: RoleArn,
    pub(crate) session_name: String,
    pub(crate) token: String,
    /// In seconds.
    pub(crate) duration: u32,
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
                // Session policies narrow what the keys may do: nothing here depends on it.
                _ => continue,
            };
            *field = Some(value.into_owned());
        }
        form
    }

    /// Checks everything that needs no look at the token.
    pub(crate) fn check(&self) -> Result<Asked, Refusal> {
        let action = self.action.as_deref().ok_or(Refusal::MissingAction)?;
        let version = self.version.as_deref().unwrap_or(NO_VERSION);
        if (action, version) != (ACTION, VERSION) {
            return Err(Refusal::UnknownAction { action: action.to_owned(), version: version.to_owned() });
        }
        let duration = match &self.duration {
            None => DEFAULT_DURATION,
            Some(text) => text.parse().map_err(|_| Refusal::InvalidDuration)?,
        };

        let mut broken = Vec::new();
        let arn = text("roleArn", self.role_arn.as_deref(), Shown::Yes, 20..=2048, &mut broken);
        let session = text("roleSessionName", self.session_name.as_deref(), Shown::Yes, 2..=64, &mut broken);
        let token = text("webIdentityToken", self.token.as_deref(), Shown::No, 4..=20_000, &mut broken);
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
            token: token.to_owned(),
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
        assert_eq!((&*asked.session_name, &*asked.token, asked.duration), ("default.nginx", "a.b.c+/=", 900));
        assert_eq!(with("DurationSeconds", None).unwrap().duration, 3600);
        assert!(with("Policy", Some("{}")).is_ok(), "a parameter without meaning here is no error");
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
