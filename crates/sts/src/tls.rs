//! Whom a connection to STS trusts.
//!
//! The configuration is built for each exchange and dropped after it: one exchange per half hour is no reason to hold
//! the roots in memory, and a bundle that is replaced counts from the next exchange on.

use std::fmt;
use std::path::PathBuf;

use imds_tls::RootsError;
use rustls::{ClientConfig, RootCertStore};

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
    Roots(PathBuf, RootsError),
    Protocol(rustls::Error),
}

impl Trust {
    /// Reads the bundle, if there is one, and builds the configuration. Blocking, for as long as a local file takes.
    pub(crate) fn client_config(&self) -> Result<ClientConfig, TrustError> {
        imds_tls::client_config(self.roots()?).map_err(TrustError::Protocol)
    }

    fn roots(&self) -> Result<RootCertStore, TrustError> {
        match self {
            Self::Mozilla => Ok(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() }),
            Self::Bundle(path) => {
                imds_tls::roots_in(path).map_err(|error| TrustError::Roots(path.clone(), error))
            }
        }
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
            Self::Roots(path, RootsError::Read(error)) => {
                write!(f, "can't read the CA bundle {}: {error}", path.display())
            }
            Self::Roots(path, error) => write!(f, "the CA bundle {} can't be used: {error}", path.display()),
            Self::Protocol(error) => write!(f, "can't set up TLS: {}", imds_tls::in_words(error)),
        }
    }
}

impl std::error::Error for TrustError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trusts_mozilla_by_default() {
        assert!(Trust::Mozilla.roots().unwrap().len() > 50);
        Trust::Mozilla.client_config().unwrap();
    }

    #[test]
    fn a_bundle_replaces_the_roots_and_is_read_anew() {
        let certificate = || rcgen::generate_simple_self_signed(["ca.test".to_owned()]).unwrap().cert.pem();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let trust = Trust::Bundle(path.clone());
        std::fs::write(&path, certificate()).unwrap();
        assert_eq!(trust.roots().unwrap().len(), 1);
        std::fs::write(&path, certificate() + &certificate()).unwrap();
        assert_eq!(trust.roots().unwrap().len(), 2);
        std::fs::write(&path, "").unwrap();
        let error = trust.client_config().unwrap_err().to_string();
        assert_eq!(
            error,
            format!(
                "the CA bundle {} can't be used: it holds no certificate that can be used",
                path.display()
            )
        );
    }
}
