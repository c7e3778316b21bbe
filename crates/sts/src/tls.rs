//! TLS to STS: rustls with ring, and the roots that are trusted.
//!
//! The configuration is built for each exchange and dropped after it: one exchange per half hour is no reason to hold
//! the roots in memory, and a bundle that is replaced counts from the next exchange on.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use imds_contract::debug_words;
use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::{CertificateError, ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::{self, PemObject as _};

/// Whose certificates are trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// Mozilla's roots, compiled in.
    Mozilla,
    /// The certificates in this PEM file, and no other: `AWS_CA_BUNDLE`, else `SSL_CERT_FILE`.
    Bundle(PathBuf),
}

/// Why there is no TLS configuration.
#[derive(Debug)]
pub(crate) enum TrustError {
    Read(PathBuf, pem::Error),
    NoCertificate(PathBuf),
    Protocol(rustls::Error),
}

impl Trust {
    /// Reads the bundle, if there is one, and builds the configuration. Blocking, for as long as a local file takes.
    pub(crate) fn client_config(&self) -> Result<ClientConfig, TrustError> {
        let roots = self.roots()?;
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(TrustError::Protocol)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        // There is no second connection that could resume the first.
        config.resumption = Resumption::disabled();
        Ok(config)
    }

    fn roots(&self) -> Result<RootCertStore, TrustError> {
        let Self::Bundle(path) = self else {
            return Ok(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() });
        };
        let unreadable = |error| TrustError::Read(path.clone(), error);
        // A pipe or a device could hold up everything.
        if std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
            return Err(unreadable(pem::Error::Io(std::io::Error::other("it is not a regular file"))));
        }
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(path).map_err(unreadable)? {
            // A system's bundle may hold a certificate that rustls doesn't take, such as one of X.509 version 1.
            roots.add_parsable_certificates([certificate.map_err(unreadable)?]);
        }
        if roots.is_empty() { Err(TrustError::NoCertificate(path.clone())) } else { Ok(roots) }
    }
}

impl fmt::Display for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mozilla => f.write_str("the compiled-in Mozilla roots"),
            Self::Bundle(path) => write!(f, "the CA bundle {}", path.display()),
        }
    }
}

impl fmt::Display for TrustError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(path, pem::Error::Io(error)) => {
                write!(f, "can't read the CA bundle {}: {error}", path.display())
            }
            Self::Read(path, error) => {
                write!(f, "the CA bundle {} is not a PEM file: {error}", path.display())
            }
            Self::NoCertificate(path) => {
                write!(f, "the CA bundle {} holds no certificate that can be used", path.display())
            }
            Self::Protocol(error) => write!(f, "can't set up TLS: {error}"),
        }
    }
}

impl std::error::Error for TrustError {}

/// What a failed handshake means, in words that name what to change.
pub(crate) fn explain(error: &rustls::Error, trust: &Trust) -> String {
    let signer = match error {
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => "nobody whom we trust",
        // What a CA that was made anew under its old name looks like, too.
        rustls::Error::InvalidCertificate(CertificateError::BadSignature) => {
            "nobody whom we trust, or with a key that is too short (RSA takes 2048 bits)"
        }
        error => return in_words(error),
    };
    format!("its certificate is signed by {signer} (trusted: {trust}; AWS_CA_BUNDLE names another PEM file)")
}

/// rustls has sentences for most errors. Of the rest it tells but the name, as `Debug` does.
pub(crate) fn in_words(error: &rustls::Error) -> String {
    let debug = match error {
        rustls::Error::InvalidCertificate(error) => format!("{error:?}"),
        rustls::Error::PeerIncompatible(why) => format!("{why:?}"),
        rustls::Error::PeerMisbehaved(why) => format!("{why:?}"),
        rustls::Error::AlertReceived(alert) => format!("{alert:?}"),
        rustls::Error::InvalidMessage(message) => format!("{message:?}"),
        _ => return error.to_string(),
    };
    if debug.contains("CaUsedAsEndEntity") {
        return "its certificate is a CA certificate: sign a server certificate with it".to_owned();
    }
    error.to_string().replace(&debug, &debug_words(&debug))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle(content: &str) -> (tempfile::TempDir, Trust) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        std::fs::write(&path, content).unwrap();
        (folder, Trust::Bundle(path))
    }

    fn certificate() -> String {
        rcgen::generate_simple_self_signed(["ca.test".to_owned()]).unwrap().cert.pem()
    }

    #[test]
    fn no_error_is_told_by_its_name_in_the_code() {
        use rustls::{AlertDescription, InvalidMessage, PeerIncompatible, PeerMisbehaved};
        let trust = Trust::Mozilla;
        for (error, words) in [
            (
                rustls::Error::InvalidCertificate(CertificateError::Revoked),
                "invalid peer certificate: revoked",
            ),
            (
                rustls::Error::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon),
                "peer is incompatible: no cipher suites in common",
            ),
            (
                rustls::Error::PeerMisbehaved(PeerMisbehaved::IllegalTlsInnerPlaintext),
                "peer misbehaved: illegal tls inner plaintext",
            ),
            (
                rustls::Error::AlertReceived(AlertDescription::HandshakeFailure),
                "received fatal alert: handshake failure",
            ),
            (
                rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType),
                "received corrupt message of type invalid content type",
            ),
        ] {
            assert_eq!(explain(&error, &trust), words);
        }
        let short = explain(&rustls::Error::InvalidCertificate(CertificateError::BadSignature), &trust);
        assert!(short.contains("2048 bits") && short.contains("AWS_CA_BUNDLE"), "{short}");
    }

    #[test]
    fn trusts_mozilla_by_default() {
        assert!(Trust::Mozilla.roots().unwrap().len() > 50);
        Trust::Mozilla.client_config().unwrap();
    }

    #[test]
    fn a_bundle_replaces_the_roots_and_is_read_anew() {
        let comment = "# a comment\n";
        let (_folder, trust) = bundle(&format!("{comment}{}", certificate()));
        assert_eq!(trust.roots().unwrap().len(), 1);
        let Trust::Bundle(path) = &trust else { panic!() };
        let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
        std::fs::write(path, format!("{}\n{key}\n{}", certificate(), certificate())).unwrap();
        assert_eq!(trust.roots().unwrap().len(), 2);
    }

    #[test]
    fn says_what_is_wrong_with_a_bundle() {
        let not_der = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for (content, why) in [
            ("", "holds no certificate that can be used"),
            ("not PEM at all\n", "holds no certificate that can be used"),
            (not_der, "holds no certificate that can be used"),
            ("-----BEGIN CERTIFICATE-----\n%%%\n-----END CERTIFICATE-----\n", "is not a PEM file"),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n", "is not a PEM file"),
        ] {
            let (_folder, trust) = bundle(content);
            let error = trust.client_config().unwrap_err().to_string();
            assert!(error.contains(why) && error.contains("ca.pem"), "{content:?}: {error}");
        }
        let error = Trust::Bundle("/nonexistent/ca.pem".into()).client_config().unwrap_err();
        assert!(
            error.to_string().starts_with("can't read the CA bundle /nonexistent/ca.pem: No such file"),
            "{error}"
        );
    }

    #[test]
    fn one_strange_certificate_does_not_spoil_a_bundle() {
        let not_der = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let (_folder, trust) = bundle(&format!("{not_der}{}", certificate()));
        assert_eq!(trust.roots().unwrap().len(), 1);
    }
}
