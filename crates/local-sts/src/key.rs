//! The public keys that tokens are verified with, and the JWK sets that they come in.
//!
//! Sources: RFC 7517 (JWK sets), RFC 7518 (the members; ES256 and RS256, what clusters sign with).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde_json::Value;

/// A key that tokens are verified with.
#[derive(Debug, Clone)]
pub(crate) struct PublicKey {
    pub(crate) id: String,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    /// The uncompressed point: 0x04, x, y.
    P256(Vec<u8>),
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
}

/// Why there is nothing to verify tokens with.
#[derive(Debug)]
pub enum InvalidJwks {
    /// No JSON, or no `keys` in it.
    NotAJwkSet,
    /// Keys perhaps, but none that a token of a cluster may be signed with.
    NoUsableKey,
}

impl PublicKey {
    pub(crate) fn p256(id: String, point: Vec<u8>) -> Self {
        Self { id, kind: Kind::P256(point) }
    }

    /// Whether this key made the signature, by an algorithm that is one of its own.
    pub(crate) fn verifies(&self, algorithm: Algorithm, signed: &[u8], signature: &[u8]) -> bool {
        match (&self.kind, algorithm) {
            (Kind::P256(point), Algorithm::Es256) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(signed, signature).is_ok()
            }
            (Kind::Rsa { modulus: n, exponent: e }, Algorithm::Rs256) => {
                RsaPublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, signed, signature).is_ok()
            }
            (Kind::P256(_), Algorithm::Rs256) | (Kind::Rsa { .. }, Algorithm::Es256) => false,
        }
    }

    /// A key of a JWK set; `None` for one that is of no use here, which a set may hold (RFC 7517, section 5).
    fn from_jwk(jwk: &Value) -> Option<Self> {
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        let bytes = |name: &str| URL_SAFE_NO_PAD.decode(text(name)?).ok();
        let kind = match (text("kty")?, text("crv")) {
            ("EC", Some("P-256")) => Kind::P256([vec![4], bytes("x")?, bytes("y")?].concat()),
            ("RSA", _) => Kind::Rsa { modulus: bytes("n")?, exponent: bytes("e")? },
            _ => return None,
        };
        Some(Self { id: text("kid")?.to_owned(), kind })
    }
}

/// The keys of a JWK set that are of use here: at least one.
pub(crate) fn read_jwks(text: &str) -> Result<Vec<PublicKey>, InvalidJwks> {
    let document: Value = serde_json::from_str(text).map_err(|_| InvalidJwks::NotAJwkSet)?;
    let keys = document.get("keys").and_then(Value::as_array).ok_or(InvalidJwks::NotAJwkSet)?;
    let keys: Vec<_> = keys.iter().filter_map(PublicKey::from_jwk).collect();
    if keys.is_empty() { Err(InvalidJwks::NoUsableKey) } else { Ok(keys) }
}

/// How a token may be signed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Algorithm {
    Es256,
    Rs256,
}

impl Algorithm {
    /// By its name in a JWS header.
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "ES256" => Some(Self::Es256),
            "RS256" => Some(Self::Rs256),
            _ => None,
        }
    }
}

impl fmt::Display for InvalidJwks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAJwkSet => {
                "this is no JWK set; accepted: what `kubectl get --raw /openid/v1/jwks` prints"
            }
            Self::NoUsableKey => "no key in it is an RSA key, or one of P-256, with a kid",
        })
    }
}

impl std::error::Error for InvalidJwks {}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_of_no_use_is_passed_over() {
        let jwks = json!({ "keys": [
            { "kty": "oct", "kid": "shared", "k": "AAAA" },
            { "kty": "EC", "crv": "P-521", "kid": "longer", "x": "AA", "y": "AA" },
            { "kty": "RSA", "kid": "half", "n": "AA" },
            { "kty": "RSA", "n": "AA", "e": "AQAB" },
            { "kty": "RSA", "kid": "of-use", "n": "AA", "e": "AQAB" },
        ] });
        let keys = read_jwks(&jwks.to_string()).unwrap();
        assert_eq!(keys.iter().map(|key| &*key.id).collect::<Vec<_>>(), ["of-use"]);
    }

    #[test]
    fn without_a_key_of_use_it_says_so() {
        for (text, said) in [
            ("", "this is no JWK set"),
            ("[]", "this is no JWK set"),
            (r#"{"keys":{}}"#, "this is no JWK set"),
            (r#"{"keys":[]}"#, "no key in it"),
            (r#"{"keys":[{"kty":"oct","kid":"shared","k":"AAAA"}]}"#, "no key in it"),
        ] {
            let error = read_jwks(text).unwrap_err().to_string();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
