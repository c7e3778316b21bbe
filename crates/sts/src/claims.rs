//! What a token says of itself. Read without trusting it: the signature is STS's affair; this is for a person who compares
//! the token with a trust policy. Pure, and bounded by the token's own length.
//!
//! Source: RFC 7519, "JSON Web Token"; Kubernetes' tokens have `aud` as an array.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::failure::clean;
use crate::json::{Reader, Token};
use crate::request::TOKEN_LENGTH;

/// More audiences than any token has.
const MOST_AUDIENCES: usize = 10;

/// The registered claims of a token's payload. Nothing of its signature; each text is fit for a log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Claims {
    /// `iss`: who signed it.
    pub issuer: Option<String>,
    /// `sub`: whom it is about.
    pub subject: Option<String>,
    /// `aud`: whom it is for.
    pub audiences: Vec<String>,
    /// `iat`, in seconds since 1970.
    pub issued_at: Option<u64>,
    /// `nbf`, in seconds since 1970.
    pub not_before: Option<u64>,
    /// `exp`, in seconds since 1970.
    pub expires: Option<u64>,
}

impl Claims {
    /// Of a token in the compact form, `HEADER.PAYLOAD.SIGNATURE`; `None` where it is none.
    pub fn of(token: &str) -> Option<Self> {
        if token.len() > *TOKEN_LENGTH.end() {
            return None;
        }
        let mut parts = token.trim().split('.');
        let [Some(_header), Some(payload), Some(_signature), None] = std::array::from_fn(|_| parts.next())
        else {
            return None;
        };
        let payload = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
        Self::of_payload(std::str::from_utf8(&payload).ok()?)
    }

    fn of_payload(payload: &str) -> Option<Self> {
        let mut claims = Self::default();
        let mut reader = Reader::new(payload);
        reader.object(|reader, name| {
            match name {
                "iss" => claims.issuer = reader.text()?,
                "sub" => claims.subject = reader.text()?,
                "aud" => claims.audiences = audiences(reader)?,
                "iat" => claims.issued_at = reader.whole()?,
                "nbf" => claims.not_before = reader.whole()?,
                "exp" => claims.expires = reader.whole()?,
                _ => reader.skip()?,
            }
            Some(())
        })?;
        let fit = |text: Option<String>| text.map(|text| clean(&text, "")).filter(|text| !text.is_empty());
        claims.issuer = fit(claims.issuer);
        claims.subject = fit(claims.subject);
        Some(claims)
    }
}

/// One text, or an array of them.
fn audiences(reader: &mut Reader<'_>) -> Option<Vec<String>> {
    let mut audiences = Vec::new();
    if reader.peek() == Some(Token::Array) {
        reader.array(|reader| {
            let audience = reader.text()?;
            if audiences.len() < MOST_AUDIENCES {
                audiences.extend(audience.map(|audience| clean(&audience, "")));
            }
            Some(())
        })?;
    } else {
        audiences.extend(reader.text()?.map(|audience| clean(&audience, "")));
    }
    Some(audiences)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn token(payload: &str) -> String {
        format!("eyJhbGciOiJub25lIn0.{}.c2lnbmF0dXJl", URL_SAFE_NO_PAD.encode(payload))
    }

    #[test]
    fn a_service_accounts_token_is_read() {
        let payload = r#"{"aud":["sts.amazonaws.com"],"exp":1700003600,"iat":1700000000,"iss":"https://oidc.example/id/A",
            "kubernetes.io":{"namespace":"shop","iss":"not this one","pod":{"name":"web","list":[1,{"a":null}]}},
            "nbf":1700000000,"sub":"system:serviceaccount:shop:web"}"#;
        assert_eq!(
            Claims::of(&token(payload)).unwrap(),
            Claims {
                issuer: Some("https://oidc.example/id/A".to_owned()),
                subject: Some("system:serviceaccount:shop:web".to_owned()),
                audiences: vec!["sts.amazonaws.com".to_owned()],
                issued_at: Some(1_700_000_000),
                not_before: Some(1_700_000_000),
                expires: Some(1_700_003_600),
            }
        );
    }

    #[test]
    fn one_audience_may_stand_without_an_array_and_what_is_absent_is_none() {
        let claims = Claims::of(&token(r#"{"aud":"vault","exp":1.5e9,"sub":7}"#)).unwrap();
        assert_eq!(claims, Claims { audiences: vec!["vault".to_owned()], ..Claims::default() });
    }

    #[test]
    fn a_claim_becomes_one_short_harmless_line() {
        let payload = format!(r#"{{"iss":"a\r\n\u001b[31mb","sub":"{}"}}"#, "x".repeat(2000));
        let claims = Claims::of(&token(&payload)).unwrap();
        assert_eq!(claims.issuer.as_deref(), Some("a [31mb"));
        assert_eq!(claims.subject.map(|subject| subject.chars().count()), Some(501));
    }

    #[test]
    fn what_is_no_token_has_no_claims() {
        let deep = token(&format!("{}{}", "[".repeat(10_000), "]".repeat(10_000)));
        let long = token(&format!(r#"{{"a":"{}"}}"#, "x".repeat(20_000)));
        for wrong in
            ["", "a.b", "a.b.c", "a.!!.c", &token("[]"), &token("{"), &token(r#"{"iss":"a"}x"#), &deep, &long]
        {
            assert_eq!(Claims::of(wrong), None, "{wrong:.40}");
        }
        assert_eq!(Claims::of(&format!("{}.extra", token("{}"))), None);
    }

    proptest! {
        #[test]
        fn no_payload_makes_it_panic(payload in any::<Vec<u8>>(), text in "[\\[\\]{}\":,a-e0-9\\\\u ]{0,60}") {
            let _ = Claims::of(&format!("e.{}.s", URL_SAFE_NO_PAD.encode(payload)));
            let _ = Claims::of(&token(&text));
        }
    }
}
