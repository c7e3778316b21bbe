//! Keys that are plainly fake but have the true ones' length and alphabet, so that a client that trims, pads or decodes
//! them is found out.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::random;

/// One set of temporary keys. No `Debug`: fake keys are treated as true ones, so that what is tested holds for those.
pub(crate) struct Credentials {
    /// 20 characters.
    pub(crate) access_key_id: String,
    /// 40 characters.
    pub(crate) secret_access_key: String,
    /// 366 characters of base64's alphabet, `+`, `/` and `=` among them.
    pub(crate) session_token: String,
}

impl Credentials {
    /// The keys with this number. Different numbers give different keys; the session token differs even with the same.
    pub(crate) fn new(number: u32) -> Self {
        let number = number % 1_000_000_000;
        Self {
            access_key_id: format!("ASIAEXAMPLE{number:09}"),
            secret_access_key: format!("EXAMPLE/SecretAccessKey+NotReal{number:09}"),
            session_token: format!("EXAMPLE/session+token/{}", STANDARD.encode(random::bytes::<256>())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_the_true_ones_length_and_are_plainly_fake() {
        for number in [1, 999_999_999, u32::MAX] {
            let keys = Credentials::new(number);
            assert_eq!((keys.access_key_id.len(), keys.secret_access_key.len()), (20, 40));
            assert!(keys.access_key_id.starts_with("ASIA"));
            for key in [&keys.access_key_id, &keys.secret_access_key, &keys.session_token] {
                assert!(key.contains("EXAMPLE"), "{key}");
            }
            let token = keys.session_token;
            assert!((300..=400).contains(&token.len()) && token.ends_with("=="), "{token}");
            assert!(token.contains('+') && token.contains('/'), "{token}");
        }
    }

    #[test]
    fn no_two_are_alike() {
        let [first, second] = [Credentials::new(1), Credentials::new(2)];
        assert_ne!(first.access_key_id, second.access_key_id);
        assert_ne!(first.secret_access_key, second.secret_access_key);
        assert_ne!(Credentials::new(1).session_token, first.session_token);
    }
}
