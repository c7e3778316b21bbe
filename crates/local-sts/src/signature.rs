//! Who signed an `AssumeRole`: AWS Signature Version 4, checked by signing again with the keys that were issued and
//! comparing. Pure, time is an argument.
//!
//! Source: IAM user guide, "AWS Signature Version 4 for API requests"; the words are those that users report.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials as Identity;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use http::request::Parts;
use http::{HeaderMap, header};
use imds_contract::RoleArn;

use crate::credentials::Credentials;
use crate::refusal::Refusal;

/// How far a signature's time may be off.
const SKEW: Duration = Duration::from_mins(15);

/// What was issued, by access key id, so that somebody may come back with it.
#[derive(Default)]
pub(crate) struct Sessions(HashMap<String, Session>);

struct Session {
    caller: Caller,
    keys: Credentials,
    expiration: SystemTime,
}

/// Who asks: a session of a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) role: RoleArn,
    pub(crate) session_name: String,
}

impl Caller {
    pub(crate) fn arn(&self) -> String {
        let Self { role, session_name } = self;
        format!(
            "arn:{}:sts::{}:assumed-role/{}/{session_name}",
            role.partition(),
            role.account(),
            role.name()
        )
    }
}

impl Sessions {
    /// Remembers whose the keys are until they end.
    pub(crate) fn add(&mut self, keys: Credentials, caller: Caller, expiration: SystemTime, now: SystemTime) {
        self.0.retain(|_, session| session.expiration > now);
        self.0.insert(keys.access_key_id.clone(), Session { caller, keys, expiration });
    }

    /// Whose credentials signed this request, if they are good.
    pub(crate) fn caller(&self, head: &Parts, body: &[u8], now: SystemTime) -> Result<Caller, Refusal> {
        let authorization = text(&head.headers, header::AUTHORIZATION.as_str()).ok_or(Refusal::NotSigned)?;
        let scope = Scope::read(authorization).ok_or(Refusal::NotSigned)?;
        let session = self.0.get(scope.access_key_id).ok_or(Refusal::UnknownKeys)?;
        if text(&head.headers, "x-amz-security-token") != Some(&session.keys.session_token) {
            return Err(Refusal::UnknownKeys);
        }
        if session.expiration <= now {
            return Err(Refusal::KeysExpired);
        }
        let time = text(&head.headers, "x-amz-date").and_then(instant).ok_or(Refusal::NotSigned)?;
        let skew = now.duration_since(time).unwrap_or_else(|early| early.duration());
        if skew > SKEW {
            return Err(Refusal::SignatureExpired);
        }
        let again = scope.sign(head, body, &session.keys, time).ok_or(Refusal::WrongSignature)?;
        if again == authorization { Ok(session.caller.clone()) } else { Err(Refusal::WrongSignature) }
    }
}

/// What `Authorization` says beside the signature.
struct Scope<'a> {
    access_key_id: &'a str,
    region: &'a str,
    signed_headers: Vec<&'a str>,
}

impl<'a> Scope<'a> {
    /// `AWS4-HMAC-SHA256 Credential=KEY/DATE/REGION/sts/aws4_request, SignedHeaders=a;b, Signature=…`.
    fn read(authorization: &'a str) -> Option<Self> {
        let fields = authorization.strip_prefix("AWS4-HMAC-SHA256 ")?;
        let field = |name: &str| fields.split(',').find_map(|field| field.trim().strip_prefix(name));
        let mut scope = field("Credential=")?.split('/');
        let [access_key_id, _date, region, service] = std::array::from_fn(|_| scope.next());
        let signed_headers = field("SignedHeaders=")?.split(';').collect();
        (service? == "sts").then_some(Self { access_key_id: access_key_id?, region: region?, signed_headers })
    }

    /// What `Authorization` has to be.
    fn sign(&self, head: &Parts, body: &[u8], keys: &Credentials, time: SystemTime) -> Option<String> {
        let identity = Identity::new(
            self.access_key_id,
            &keys.secret_access_key,
            Some(keys.session_token.clone()),
            None,
            "local-sts",
        )
        .into();
        let params = SigningParams::builder()
            .identity(&identity)
            .region(self.region)
            .name("sts")
            .time(time)
            .settings(SigningSettings::default())
            .build()
            .ok()?
            .into();
        let host = text(&head.headers, header::HOST.as_str())?;
        // These two the signer adds by itself.
        let signed = |name: &&str| {
            self.signed_headers.contains(name) && !["x-amz-date", "x-amz-security-token"].contains(name)
        };
        let headers =
            head.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap_or_default()));
        let headers: Vec<_> = headers.filter(|(name, _)| signed(name)).collect();
        let url = format!("https://{host}{}", head.uri.path());
        let request =
            SignableRequest::new("POST", url, headers.into_iter(), SignableBody::Bytes(body)).ok()?;
        let (instructions, _) = sign(request, &params).ok()?.into_parts();
        let value = instructions.headers().find(|(name, _)| *name == "authorization")?.1;
        Some(value.to_owned())
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// `20270115T080000Z`.
fn instant(text: &str) -> Option<SystemTime> {
    let digits = text.strip_suffix('Z').filter(|rest| rest.len() == 15 && rest.is_ascii())?;
    let [year, month, day] = [digits.get(0..4)?, digits.get(4..6)?, digits.get(6..8)?];
    let [hour, minute, second] = [digits.get(9..11)?, digits.get(11..13)?, digits.get(13..15)?];
    humantime::parse_rfc3339(&format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z")).ok()
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use http::Request;

    use super::*;

    const BODY: &str = "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A444455556666%3Arole%2Freader\
                        &RoleSessionName=default.web-0&DurationSeconds=3600&ExternalId=Acme-42";
    const SIGNATURE: &str = "4393f95e26aa809ec65d89369de4f2ef800be5a75e31f5f28ec5d0dcdad26a56";

    /// 2027-01-15 08:00:00, the time of [`signed`].
    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_hours(500_000)
    }

    fn first() -> Caller {
        let role = "arn:aws:iam::123456789012:role/first".parse().unwrap();
        Caller { role, session_name: "default.web-0".to_owned() }
    }

    fn sessions() -> Sessions {
        let mut sessions = Sessions::default();
        let keys = Credentials {
            access_key_id: "ASIAEXAMPLE000000001".to_owned(),
            secret_access_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned(),
            session_token: "IQoJb3JpZ2luX2VjEXAMPLE//token+==".to_owned(),
        };
        sessions.add(keys, first(), now() + Duration::from_hours(1), now());
        sessions
    }

    /// As botocore 1.44 (`SigV4Auth`) signed it; with one text replaced by another.
    fn signed(from: &str, to: &str) -> Parts {
        let headers = [
            ("host", "sts.eu-central-1.amazonaws.com"),
            ("content-type", "application/x-www-form-urlencoded"),
            ("x-amz-date", "20270115T080000Z"),
            ("x-amz-security-token", "IQoJb3JpZ2luX2VjEXAMPLE//token+=="),
            (
                "authorization",
                &format!(
                    "AWS4-HMAC-SHA256 Credential=ASIAEXAMPLE000000001/20270115/eu-central-1/sts/aws4_request, \
                     SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, Signature={SIGNATURE}"
                ),
            ),
            // What nobody signed may change on the way.
            ("user-agent", "Boto3/1.44.5"),
        ];
        let request = headers.iter().fold(Request::post("/"), |request, (name, value)| {
            request.header(*name, value.replace(from, to))
        });
        request.body(()).unwrap().into_parts().0
    }

    fn refused(from: &str, to: &str) -> &'static str {
        let refusal = sessions().caller(&signed(from, to), BODY.as_bytes(), now()).err();
        refusal.expect("it was taken").code()
    }

    #[test]
    fn a_request_that_botocore_signed_is_its_owners() {
        assert_eq!(sessions().caller(&signed("", ""), BODY.as_bytes(), now()), Ok(first()));
        assert!(sessions().caller(&signed("Boto3", "curl"), BODY.as_bytes(), now()).is_ok());
    }

    #[test]
    fn whatever_was_signed_may_not_change() {
        assert_eq!(refused(SIGNATURE, &SIGNATURE.replace('4', "5")), "SignatureDoesNotMatch");
        assert_eq!(refused("eu-central-1", "eu-west-1"), "SignatureDoesNotMatch");
        assert_eq!(refused("x-www-form-urlencoded", "json"), "SignatureDoesNotMatch");
        assert_eq!(refused("T080000Z", "T080001Z"), "SignatureDoesNotMatch");
        let body = BODY.replace("reader", "writer");
        let refusal = sessions().caller(&signed("", ""), body.as_bytes(), now()).err().unwrap();
        assert_eq!(refusal.code(), "SignatureDoesNotMatch");
    }

    #[test]
    fn keys_that_were_not_issued_or_have_ended_are_refused() {
        assert_eq!(refused("ASIAEXAMPLE000000001", "ASIAEXAMPLE000000002"), "InvalidClientTokenId");
        assert_eq!(refused("IQoJ", "IQoK"), "InvalidClientTokenId");
        assert_eq!(refused("AWS4-HMAC-SHA256", "Bearer"), "MissingAuthenticationToken");
        let at = |time| sessions().caller(&signed("", ""), BODY.as_bytes(), time).err().unwrap().code();
        assert_eq!(at(now() + Duration::from_hours(1)), "ExpiredToken");
        assert_eq!(at(now() + Duration::from_mins(16)), "SignatureDoesNotMatch");
        assert_eq!(at(now() - Duration::from_mins(16)), "SignatureDoesNotMatch");
    }
}
