//! The serving certificate: what every handshake is shown ([`Serving`]), and the two places that it comes from, files
//! ([`files`]) or an authority of our own ([`own`]).
//!
//! Invariant: what is served is a chain with the key that belongs to it, and it stays until a better one takes its place.
//! A failure never takes a certificate away.

pub mod files;
pub mod own;
mod x509;

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use rustls::crypto::ring;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use rustls_pki_types::pem::{self, PemObject as _};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

pub(crate) use x509::Certificate;

/// The certificate that is shown to whoever connects; changed without a restart. Shared by an `Arc` between the TLS
/// listener, the metrics and the task that keeps it current.
#[derive(Default)]
pub struct Serving(RwLock<Option<Loaded>>);

/// A certificate chain with the key that belongs to it.
#[derive(Clone)]
pub struct Loaded {
    key: Arc<CertifiedKey>,
    expires: SystemTime,
}

/// Why a chain and a key can't be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoadError {
    /// There is no PEM certificate in what should hold one.
    NoCertificate,
    /// The PEM or what is in it is damaged.
    BadCertificate(String),
    /// There is no PEM private key in what should hold one.
    NoKey,
    /// The key is damaged or of a kind that can't be used.
    BadKey(String),
    /// The key belongs to another certificate.
    Mismatch,
}

impl Serving {
    /// Nothing yet: every handshake fails until [`set`](Self::set).
    pub fn new() -> Self {
        Self::default()
    }

    /// Shows this certificate from the next handshake on. Open connections stay as they are.
    pub fn set(&self, loaded: Loaded) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(loaded);
    }

    /// When the certificate that is served ends; none while there is none.
    pub fn expires(&self) -> Option<SystemTime> {
        self.current().map(|loaded| loaded.expires)
    }

    /// Whether there is a certificate to serve.
    pub fn is_loaded(&self) -> bool {
        self.current().is_some()
    }

    fn current(&self) -> Option<Loaded> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ResolvesServerCert for Serving {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.current().map(|loaded| loaded.key)
    }
}

impl fmt::Debug for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Serving").field(&self.current()).finish()
    }
}

impl Loaded {
    /// From a PEM chain, the serving certificate first, and a PEM key (PKCS #8, PKCS #1 or SEC 1).
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, LoadError> {
        let chain = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| LoadError::BadCertificate(error.to_string()))?;
        let first = chain.first().ok_or(LoadError::NoCertificate)?;
        let expires = Certificate::from_der(first.clone())
            .ok_or_else(|| LoadError::BadCertificate("it is no X.509 certificate".to_owned()))?
            .not_after();
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| match error {
            pem::Error::NoItemsFound => LoadError::NoKey,
            error => LoadError::BadKey(error.to_string()),
        })?;
        let key = ring::sign::any_supported_type(&key)
            .map_err(|error| LoadError::BadKey(imds_tls::in_words(&error)))?;
        let key = CertifiedKey::new(chain, key);
        match key.keys_match() {
            Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => {
                Ok(Self { key: Arc::new(key), expires })
            }
            Err(Error::InconsistentKeys(_)) => Err(LoadError::Mismatch),
            Err(error) => Err(LoadError::BadCertificate(imds_tls::in_words(&error))),
        }
    }

    /// When the serving certificate ends.
    pub fn expires(&self) -> SystemTime {
        self.expires
    }

    /// The serving certificate, without the rest of its chain.
    pub(crate) fn certificate(&self) -> Option<&CertificateDer<'static>> {
        self.key.cert.first()
    }
}

impl fmt::Debug for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loaded").field("expires", &self.expires).finish_non_exhaustive()
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCertificate => f.write_str("it holds no certificate in PEM"),
            Self::BadCertificate(why) => write!(f, "its certificate is damaged: {why}"),
            Self::NoKey => f.write_str("it holds no private key in PEM"),
            Self::BadKey(why) => write!(f, "its private key can't be used: {why}"),
            Self::Mismatch => f.write_str("the private key belongs to another certificate"),
        }
    }
}

impl std::error::Error for LoadError {}

/// The system's wall clock, for the callers of [`own::Replica::run`]. Everything else takes the time as an argument.
#[expect(clippy::disallowed_methods, reason = "the one place that may")]
pub fn system_time() -> SystemTime {
    SystemTime::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(name: &str) -> (String, String) {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    #[test]
    fn says_what_is_wrong_with_a_pair() {
        let (chain, key) = made("a.test");
        let error = |chain: &str, key: &str| Loaded::from_pem(chain.as_bytes(), key.as_bytes()).err();
        assert_eq!(error(&chain, &key), None);
        assert_eq!(error("", &key), Some(LoadError::NoCertificate));
        assert_eq!(error(&key, &chain), Some(LoadError::NoCertificate));
        assert_eq!(error(&chain, ""), Some(LoadError::NoKey));
        assert_eq!(error(&chain, &chain), Some(LoadError::NoKey));
        assert_eq!(error(&chain, &made("b.test").1), Some(LoadError::Mismatch));
        let half = chain.get(..chain.len() / 2).unwrap();
        assert!(matches!(error(half, &key), Some(LoadError::BadCertificate(_))), "{:?}", error(half, &key));
        let nonsense = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(error(nonsense, &key), Some(LoadError::BadCertificate(_))));
        let nonsense = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        assert!(matches!(error(&chain, nonsense), Some(LoadError::BadKey(_))));
    }

    #[test]
    fn the_key_does_not_print() {
        let (chain, key) = made("a.test");
        let serving = Serving::new();
        assert!(!serving.is_loaded());
        let loaded = Loaded::from_pem(chain.as_bytes(), key.as_bytes()).unwrap();
        serving.set(loaded.clone());
        assert_eq!(serving.expires(), Some(loaded.expires()));
        let printed = format!("{serving:?}");
        assert!(printed.starts_with("Serving(Some(Loaded { expires: SystemTime"), "{printed}");
        assert!(printed.ends_with(", .. }))"), "{printed}");
    }
}
