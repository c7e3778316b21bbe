//! The question: one of STS's two ways to a role's credentials, as a form. Pure.
//!
//! Source: STS API reference, version 2011-06-15.

use std::ops::RangeInclusive;
use std::time::SystemTime;

use form_urlencoded::{Serializer, byte_serialize};
use imds_contract::{Hop, RoleArn, SessionDuration, SessionName};
use zeroize::Zeroizing;

use crate::{Credentials, Secret};

/// The `Content-Type` of [`Request::form`].
pub const CONTENT_TYPE: &str = "application/x-www-form-urlencoded";

/// STS's bounds on a token's length, in bytes. Source: STS API, `AssumeRoleWithWebIdentity`, `WebIdentityToken`.
pub const TOKEN_LENGTH: RangeInclusive<usize> = 4..=20_000;

/// What STS is asked.
#[derive(Debug, Clone, Copy)]
pub enum Request<'a> {
    /// Credentials for a token. Not signed: the token is what proves who asks.
    WebIdentity(AssumeRoleWithWebIdentity<'a>),
    /// Credentials for credentials. Signed.
    Role(AssumeRole<'a>),
}

/// A token for the credentials of a role. `ProviderId` is left out, as STS wants it for a token of an OIDC issuer.
#[derive(Debug, Clone, Copy)]
pub struct AssumeRoleWithWebIdentity<'a> {
    /// The role to assume.
    pub role_arn: &'a RoleArn,
    /// The session's name, which shows in `CloudTrail` and in the caller's identity.
    pub session_name: &'a SessionName,
    /// The life to ask for.
    pub duration: SessionDuration,
    /// The token, of [`TOKEN_LENGTH`], without the newline that may end its file: whoever reads it checks this.
    pub token: &'a Secret,
}

/// Credentials of one role for those of another (role chaining).
#[derive(Debug, Clone, Copy)]
pub struct AssumeRole<'a> {
    /// The role to assume, and the external id that it asks for.
    pub hop: &'a Hop,
    /// The session's name, which shows in `CloudTrail` and in the caller's identity.
    pub session_name: &'a SessionName,
    /// The life to ask for: an hour at most.
    pub duration: SessionDuration,
    /// Who asks.
    pub credentials: &'a Credentials,
    /// STS's own time, where it is known: STS refuses a signature whose time is 15 minutes off.
    pub time: SystemTime,
}

impl<'a> From<AssumeRoleWithWebIdentity<'a>> for Request<'a> {
    fn from(request: AssumeRoleWithWebIdentity<'a>) -> Self {
        Self::WebIdentity(request)
    }
}

impl<'a> From<AssumeRole<'a>> for Request<'a> {
    fn from(request: AssumeRole<'a>) -> Self {
        Self::Role(request)
    }
}

impl Request<'_> {
    /// STS's name for it; the elements of the answer begin with it.
    pub fn action(&self) -> &'static str {
        match self {
            Self::WebIdentity(_) => "AssumeRoleWithWebIdentity",
            Self::Role(_) => "AssumeRole",
        }
    }

    /// The role to assume.
    pub fn role_arn(&self) -> &RoleArn {
        match self {
            Self::WebIdentity(request) => request.role_arn,
            Self::Role(request) => &request.hop.role_arn,
        }
    }

    /// What of it may stand in no message: a server repeats a token now and then, and a session token for a signature that it
    /// does not accept.
    pub(crate) fn secret(&self) -> &str {
        match self {
            Self::WebIdentity(request) => request.token.expose(),
            Self::Role(request) => request.credentials.session_token.expose(),
        }
    }

    /// The body of the POST.
    pub fn form(&self) -> Zeroizing<String> {
        let (session_name, duration) = match self {
            Self::WebIdentity(request) => (request.session_name, request.duration),
            Self::Role(request) => (request.session_name, request.duration),
        };
        let last = match self {
            Self::WebIdentity(request) => Some(("WebIdentityToken", request.token.expose())),
            Self::Role(request) => request.hop.external_id.as_deref().map(|id| ("ExternalId", id)),
        };
        let duration = duration.to_string();
        let fields = [
            ("Action", self.action()),
            ("Version", "2011-06-15"),
            ("RoleArn", self.role_arn().as_str()),
            ("RoleSessionName", session_name.as_str()),
            ("DurationSeconds", &duration),
        ];
        let fields = || fields.iter().copied().chain(last);
        // Room for all of it at once: a buffer that grows would leave copies of the token behind.
        let mut form = Zeroizing::new(String::with_capacity(fields().map(encoded_length).sum()));
        Serializer::new(&mut *form).extend_pairs(fields());
        form
    }
}

/// The length of `name=value&`; our names need no encoding.
fn encoded_length((name, value): (&str, &str)) -> usize {
    name.len() + 2 + byte_serialize(value.as_bytes()).map(str::len).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn web_identity_form(role: &str, session: &str, token: &str) -> Zeroizing<String> {
        Request::from(AssumeRoleWithWebIdentity {
            role_arn: &role.parse().unwrap(),
            session_name: &session.parse().unwrap(),
            duration: SessionDuration::DEFAULT,
            token: &Secret::from(token),
        })
        .form()
    }

    #[test]
    fn shows_a_token_in_the_form_of_sts() {
        let role = "arn:aws:iam::123456789012:role/team/my+role";
        assert_eq!(
            web_identity_form(role, "shop.web-0@x", "eyJh.eyJp-_.c2ln&=+").as_str(),
            "Action=AssumeRoleWithWebIdentity&Version=2011-06-15\
             &RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fteam%2Fmy%2Brole\
             &RoleSessionName=shop.web-0%40x&DurationSeconds=3600&WebIdentityToken=eyJh.eyJp-_.c2ln%26%3D%2B"
        );
    }

    #[test]
    fn asks_for_a_further_role_in_the_form_of_sts() {
        for (external_id, last) in [(None, ""), (Some("Acme:42/x"), "&ExternalId=Acme%3A42%2Fx")] {
            let hop = Hop {
                role_arn: "arn:aws:iam::123456789012:role/r".parse().unwrap(),
                external_id: external_id.map(str::to_owned),
            };
            let credentials = Credentials {
                access_key_id: "ASIAEXAMPLE".to_owned(),
                secret_access_key: Secret::from("key"),
                session_token: Secret::from("token"),
                expiration: SystemTime::UNIX_EPOCH,
            };
            let session_name = "ns.pod".parse().unwrap();
            let request = Request::from(AssumeRole {
                hop: &hop,
                session_name: &session_name,
                duration: SessionDuration::DEFAULT,
                credentials: &credentials,
                time: SystemTime::UNIX_EPOCH,
            });
            assert_eq!(
                request.form().as_str(),
                format!(
                    "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fr\
                     &RoleSessionName=ns.pod&DurationSeconds=3600{last}"
                )
            );
        }
    }

    #[test]
    fn leaves_no_copy_of_the_token_behind_by_growing() {
        for token in ["x".repeat(20_000), "&".repeat(20_000), "ü".repeat(10_000)] {
            let form = web_identity_form("arn:aws:iam::123456789012:role/r", "ns.pod", &token);
            // One byte is counted for an "&" that the last field doesn't have.
            assert_eq!(form.capacity(), form.len() + 1);
        }
    }

    #[test]
    fn its_debug_form_hides_the_token() {
        let request = AssumeRoleWithWebIdentity {
            role_arn: &"arn:aws:iam::123456789012:role/r".parse().unwrap(),
            session_name: &"ns.pod".parse().unwrap(),
            duration: SessionDuration::DEFAULT,
            token: &Secret::from("eyJhbGciOi"),
        };
        assert!(!format!("{request:?}").contains("eyJ"));
    }
}
