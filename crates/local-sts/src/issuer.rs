//! An OIDC issuer that mints tokens exactly as Kubernetes' API server mints projected service-account tokens,
//! and publishes its keys as Kubernetes does.
//!
//! Sources: Kubernetes documentation, "Service account token volume projection" and "Service account issuer discovery";
//! RFC 7515 (JWS), RFC 7517 (JWK), RFC 7518 (ES256).

use std::sync::{PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use imds_contract::pod::{TOKEN_AUDIENCE, TOKEN_EXPIRATION_SECONDS};
use ring::digest;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};

use crate::key::{InvalidJwks, PublicKey, read_jwks};
use crate::random;

/// Where the discovery document stands. Source: OIDC Discovery 1.0.
pub const CONFIGURATION_PATH: &str = "/.well-known/openid-configuration";

/// Where the keys stand: Kubernetes' own path.
pub const JWKS_PATH: &str = "/openid/v1/jwks";

/// The start of a P-256 public key in `SubjectPublicKeyInfo` form; the uncompressed point follows. Source: RFC 5480.
const P256_SPKI_PREFIX: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// What a token says of its bearer: the bound objects of a `TokenRequest`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// The Pod's namespace.
    pub namespace: String,
    /// The Pod's service account.
    pub service_account: String,
    /// The Pod's name.
    pub pod: String,
    /// The node that the Pod runs on.
    pub node: String,
    /// Who the token is for.
    pub audience: String,
    /// From now to `exp`; counted in whole seconds.
    pub lifetime: Duration,
}

impl Claims {
    /// Claims as an injected Pod asks for them: audience and lifetime of the contract.
    pub fn new(namespace: &str, service_account: &str, pod: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            service_account: service_account.to_owned(),
            pod: pod.to_owned(),
            node: "local-node".to_owned(),
            audience: TOKEN_AUDIENCE.to_owned(),
            lifetime: Duration::from_secs(TOKEN_EXPIRATION_SECONDS.into()),
        }
    }

    /// `sub`: what a role's trust policy names.
    pub fn subject(&self) -> String {
        format!("system:serviceaccount:{}:{}", self.namespace, self.service_account)
    }
}

/// The issuer: its URL and its keys. The newest key signs; older ones verify until they are dropped.
#[derive(Debug)]
pub struct Issuer {
    url: String,
    keys: RwLock<Vec<SigningKey>>,
}

/// An issuer of others, as STS knows one: its URL and the keys that it has published. A cluster's API server, for example.
#[derive(Debug, Clone)]
pub struct ForeignIssuer {
    url: String,
    keys: Vec<PublicKey>,
}

impl ForeignIssuer {
    /// From `iss` and a JWK set, as `kubectl get --raw /openid/v1/jwks` prints it.
    pub fn new(url: &str, jwks: &str) -> Result<Self, InvalidJwks> {
        Ok(Self { url: url.to_owned(), keys: read_jwks(jwks)? })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn public_keys(&self) -> Vec<PublicKey> {
        self.keys.clone()
    }
}

impl Issuer {
    /// An issuer with one new key. The URL is `iss`, and where relying parties look for the discovery document.
    pub fn new(url: &str) -> Self {
        Self { url: url.to_owned(), keys: RwLock::new(vec![SigningKey::generate()]) }
    }

    /// `iss`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A signed token that is valid from `now` on.
    pub fn mint(&self, claims: &Claims, now: SystemTime) -> String {
        let issued = seconds(now);
        // Kubernetes' claims in Kubernetes' order.
        let body = json!({
            "aud": [claims.audience],
            "exp": issued + claims.lifetime.as_secs(),
            "iat": issued,
            "iss": self.url,
            "jti": random::uuid(),
            "kubernetes.io": {
                "namespace": claims.namespace,
                "node": { "name": claims.node, "uid": random::uuid_of(&format!("node/{}", claims.node)) },
                "pod": {
                    "name": claims.pod,
                    "uid": random::uuid_of(&format!("pod/{}/{}", claims.namespace, claims.pod)),
                },
                "serviceaccount": {
                    "name": claims.service_account,
                    "uid": random::uuid_of(&format!("sa/{}/{}", claims.namespace, claims.service_account)),
                },
            },
            "nbf": issued,
            "sub": claims.subject(),
        });
        self.sign(&body)
    }

    /// Signs with a new key from now on. Tokens of the older keys stay good until [`Issuer::drop_old_keys`].
    pub fn rotate(&self) {
        self.keys.write().unwrap_or_else(PoisonError::into_inner).push(SigningKey::generate());
    }

    /// Forgets every key but the newest.
    pub fn drop_old_keys(&self) {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let old = keys.len().saturating_sub(1);
        keys.drain(..old);
    }

    /// The discovery document, as `kube-apiserver` words it.
    pub fn configuration(&self) -> Value {
        json!({
            "issuer": self.url,
            "jwks_uri": format!("{}{JWKS_PATH}", self.url),
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        })
    }

    /// The keys that tokens may be signed with, as a JWK set.
    pub fn jwks(&self) -> Value {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        json!({ "keys": keys.iter().map(SigningKey::jwk).collect::<Value>() })
    }

    pub(crate) fn public_keys(&self) -> Vec<PublicKey> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.iter().map(|key| key.public.clone()).collect()
    }

    /// Signs any claims with the newest key.
    pub(crate) fn sign(&self, claims: &Value) -> String {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.last().map(|key| key.sign(claims)).unwrap_or_default()
    }
}

/// Whole seconds since 1970.
pub(crate) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[derive(Debug)]
struct SigningKey {
    pair: EcdsaKeyPair,
    public: PublicKey,
}

impl SigningKey {
    fn generate() -> Self {
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)
            .ok()
            .and_then(|pkcs8| {
                EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random).ok()
            })
            .expect("ring reads the key that it made from the kernel's random numbers");
        let point = pair.public_key().as_ref().to_vec();
        // Kubernetes: the SHA-256 of the public key's DER form, base64url.
        let spki: Vec<u8> = P256_SPKI_PREFIX.iter().chain(&point).copied().collect();
        let id = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, &spki));
        Self { pair, public: PublicKey::p256(id, point) }
    }

    /// JWS compact serialization. Kubernetes' header has no `typ`.
    fn sign(&self, claims: &Value) -> String {
        let header = json!({ "alg": "ES256", "kid": self.public.id });
        let signed = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header.to_string()),
            URL_SAFE_NO_PAD.encode(claims.to_string())
        );
        let signature = self
            .pair
            .sign(&SystemRandom::new(), signed.as_bytes())
            .expect("signing needs nothing but the kernel's random numbers");
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn jwk(&self) -> Value {
        // 0x04, then two coordinates of 32 bytes each.
        let point = self.pair.public_key().as_ref();
        let (x, y) = point.get(1..).unwrap_or_default().split_at_checked(32).unwrap_or_default();
        json!({
            "use": "sig",
            "kty": "EC",
            "kid": self.public.id,
            "crv": "P-256",
            "alg": "ES256",
            "x": URL_SAFE_NO_PAD.encode(x),
            "y": URL_SAFE_NO_PAD.encode(y),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUER: &str = "https://127.0.0.1:8443";

    fn part(token: &str, index: usize) -> Value {
        let bytes = URL_SAFE_NO_PAD.decode(token.split('.').nth(index).unwrap()).unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    #[test]
    fn a_token_has_kubernetes_form() {
        let issuer = Issuer::new(ISSUER);
        let claims = Claims { lifetime: Duration::from_mins(10), ..Claims::new("default", "web", "nginx") };
        let token = issuer.mint(&claims, UNIX_EPOCH + Duration::from_millis(1_700_000_000_900));

        let header = part(&token, 0);
        let keys: Vec<_> = header.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["alg", "kid"]);
        let mut body = part(&token, 1);
        for uid in [
            body["jti"].take(),
            body["kubernetes.io"]["node"]["uid"].take(),
            body["kubernetes.io"]["pod"]["uid"].take(),
            body["kubernetes.io"]["serviceaccount"]["uid"].take(),
        ] {
            assert_eq!(uid.as_str().unwrap().len(), 36, "{uid} is a UUID");
        }
        assert_eq!(
            body,
            json!({
                "aud": ["sts.amazonaws.com"], "exp": 1_700_000_600, "iat": 1_700_000_000, "iss": ISSUER, "jti": null,
                "kubernetes.io": {
                    "namespace": "default",
                    "node": { "name": "local-node", "uid": null },
                    "pod": { "name": "nginx", "uid": null },
                    "serviceaccount": { "name": "web", "uid": null },
                },
                "nbf": 1_700_000_000, "sub": "system:serviceaccount:default:web",
            })
        );
    }

    #[test]
    fn tokens_differ_and_the_pod_stays_the_same() {
        let issuer = Issuer::new(ISSUER);
        let claims = Claims::new("default", "web", "nginx");
        let [first, second] = [issuer.mint(&claims, UNIX_EPOCH), issuer.mint(&claims, UNIX_EPOCH)];
        assert_ne!(part(&first, 1)["jti"], part(&second, 1)["jti"]);
        assert_eq!(part(&first, 1)["kubernetes.io"], part(&second, 1)["kubernetes.io"]);
    }

    #[test]
    fn a_rotation_keeps_the_old_key_until_it_is_dropped() {
        let issuer = Issuer::new(ISSUER);
        let ids = |issuer: &Issuer| -> Vec<String> {
            let jwks = issuer.jwks();
            jwks["keys"]
                .as_array()
                .unwrap()
                .iter()
                .map(|key| key["kid"].as_str().unwrap().to_owned())
                .collect()
        };
        let old = ids(&issuer);
        issuer.rotate();
        let both = ids(&issuer);
        assert_eq!((both.len(), &both[0]), (2, &old[0]));
        let token = issuer.mint(&Claims::new("default", "web", "nginx"), UNIX_EPOCH);
        assert_eq!(part(&token, 0)["kid"], both[1], "the new key signs");
        issuer.drop_old_keys();
        assert_eq!(ids(&issuer), both[1..]);
    }

    #[test]
    fn the_discovery_document_leads_to_the_keys() {
        let issuer = Issuer::new(ISSUER);
        let configuration = issuer.configuration();
        assert_eq!(configuration["issuer"], ISSUER);
        assert_eq!(configuration["jwks_uri"], format!("{ISSUER}{JWKS_PATH}"));
        for coordinate in ["x", "y"] {
            let encoded = issuer.jwks()["keys"][0][coordinate].as_str().unwrap().to_owned();
            assert_eq!(URL_SAFE_NO_PAD.decode(encoded).unwrap().len(), 32);
        }
    }
}
