//! The question: `AssumeRoleWithWebIdentity` as a form. Pure.
//!
//! Source: STS API reference, version 2011-06-15. The call is not signed: the token is what proves who asks.

use form_urlencoded::{Serializer, byte_serialize};
use imds_contract::{RoleArn, SessionDuration, SessionName};
use zeroize::Zeroizing;

use crate::Secret;

/// The `Content-Type` of [`AssumeRoleWithWebIdentity::form`].
pub const CONTENT_TYPE: &str = "application/x-www-form-urlencoded";

/// A token for the credentials of a role. `ProviderId` is left out, as STS wants it for a token of an OIDC issuer.
#[derive(Debug, Clone, Copy)]
pub struct AssumeRoleWithWebIdentity<'a> {
    /// The role to assume.
    pub role_arn: &'a RoleArn,
    /// The session's name, which shows in `CloudTrail` and in the caller's identity.
    pub session_name: &'a SessionName,
    /// The life to ask for.
    pub duration: SessionDuration,
    /// The token, 4 to 20000 characters, without the newline that may end its file: whoever reads it checks this.
    pub token: &'a Secret,
}

impl AssumeRoleWithWebIdentity<'_> {
    /// The body of the POST.
    pub fn form(&self) -> Zeroizing<String> {
        let duration = self.duration.to_string();
        let fields = [
            ("Action", "AssumeRoleWithWebIdentity"),
            ("Version", "2011-06-15"),
            ("RoleArn", self.role_arn.as_str()),
            ("RoleSessionName", self.session_name.as_str()),
            ("DurationSeconds", &duration),
            ("WebIdentityToken", self.token.expose()),
        ];
        // Room for all of it at once: a buffer that grows would leave copies of the token behind.
        let mut form = Zeroizing::new(String::with_capacity(fields.iter().map(encoded_length).sum()));
        Serializer::new(&mut *form).extend_pairs(fields);
        form
    }
}

/// The length of `name=value&`; our names need no encoding.
fn encoded_length((name, value): &(&str, &str)) -> usize {
    name.len() + 2 + byte_serialize(value.as_bytes()).map(str::len).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asks_in_the_form_of_sts() {
        let request = AssumeRoleWithWebIdentity {
            role_arn: &"arn:aws:iam::123456789012:role/team/my+role".parse().unwrap(),
            session_name: &"shop.web-0@x".parse().unwrap(),
            duration: SessionDuration::DEFAULT,
            token: &Secret::from("eyJh.eyJp-_.c2ln&=+"),
        };
        assert_eq!(
            request.form().as_str(),
            "Action=AssumeRoleWithWebIdentity&Version=2011-06-15\
             &RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fteam%2Fmy%2Brole\
             &RoleSessionName=shop.web-0%40x&DurationSeconds=3600&WebIdentityToken=eyJh.eyJp-_.c2ln%26%3D%2B"
        );
    }

    #[test]
    fn leaves_no_copy_of_the_token_behind_by_growing() {
        for token in ["x".repeat(20_000), "&".repeat(20_000), "ü".repeat(10_000)] {
            let form = AssumeRoleWithWebIdentity {
                role_arn: &"arn:aws:iam::123456789012:role/r".parse().unwrap(),
                session_name: &"ns.pod".parse().unwrap(),
                duration: SessionDuration::DEFAULT,
                token: &Secret::from(token),
            }
            .form();
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
