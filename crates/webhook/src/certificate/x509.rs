//! What of an X.509 certificate decides something here: its life, its subject and its public key. Whether one vouches
//! for another is asked of the verifier that TLS clients use, never of code of our own.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::crypto::ring;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::time::ASN1Time;

/// A certificate that could be parsed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Certificate {
    der: CertificateDer<'static>,
    common_name: String,
    public_key: Vec<u8>,
    not_before: SystemTime,
    not_after: SystemTime,
}

impl Certificate {
    /// None where this is no certificate.
    pub(crate) fn from_der(der: CertificateDer<'static>) -> Option<Self> {
        let (rest, parsed) = X509Certificate::from_der(&der).ok()?;
        if !rest.is_empty() {
            return None;
        }
        let common_name = parsed.subject().iter_common_name().next().and_then(|name| name.as_str().ok());
        Some(Self {
            common_name: common_name.unwrap_or_default().to_owned(),
            public_key: parsed.public_key().subject_public_key.data.to_vec(),
            not_before: system_time(parsed.validity().not_before),
            not_after: system_time(parsed.validity().not_after),
            der,
        })
    }

    /// Every certificate of a PEM text; what is no certificate is passed over.
    pub(crate) fn all_from_pem(text: &[u8]) -> Vec<Self> {
        CertificateDer::pem_slice_iter(text).filter_map(|der| Self::from_der(der.ok()?)).collect()
    }

    /// As it is on the wire.
    pub(crate) fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    /// The subject's common name, empty where it has none.
    pub(crate) fn common_name(&self) -> &str {
        &self.common_name
    }

    /// The public key, as in `subjectPublicKey`.
    pub(crate) fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    /// When it begins.
    pub(crate) fn not_before(&self) -> SystemTime {
        self.not_before
    }

    /// When it ends.
    pub(crate) fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// Whether it has ended.
    pub(crate) fn is_over(&self, now: SystemTime) -> bool {
        self.not_after <= now
    }

    /// Whether two thirds of its life have passed.
    pub(crate) fn is_due(&self, now: SystemTime) -> bool {
        let life = self.not_after.duration_since(self.not_before).unwrap_or_default();
        self.not_before + life / 3 * 2 <= now
    }

    /// Whether a TLS client that trusts this certificate takes `leaf` for a server of each of these names, at `time`.
    pub(crate) fn vouches_for(&self, leaf: &Self, names: &[String], time: SystemTime) -> bool {
        let mut roots = RootCertStore::empty();
        if roots.add(self.der.clone()).is_err() {
            return false;
        }
        let provider = Arc::new(ring::default_provider());
        let Ok(verifier) = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build()
        else {
            return false;
        };
        let time = UnixTime::since_unix_epoch(time.duration_since(UNIX_EPOCH).unwrap_or_default());
        names.iter().all(|name| {
            ServerName::try_from(name.as_str())
                .is_ok_and(|name| verifier.verify_server_cert(&leaf.der, &[], &name, &[], time).is_ok())
        })
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { common_name, not_before, not_after, .. } = self;
        let (from, to) = (humantime::format_rfc3339(*not_before), humantime::format_rfc3339(*not_after));
        write!(f, "Certificate({common_name:?}, {from} to {to})")
    }
}

/// Times before 1970 and after 9999 are moved to those ends: humantime prints no others.
fn system_time(time: ASN1Time) -> SystemTime {
    const LAST: u64 = 253_402_300_799;
    let seconds = u64::try_from(time.timestamp()).unwrap_or_default().min(LAST);
    UNIX_EPOCH + Duration::from_secs(seconds)
}
