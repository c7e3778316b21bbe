//! What both clients over TLS share, that of STS and that of the API server: rustls with ring, whose certificates are trusted, and errors
//! in words.

mod words;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::{self, PemObject as _};

pub use words::{error_of, handshake_in_words, in_words};

/// Why a file has no certificates to trust.
#[derive(Debug)]
pub enum RootsError {
    /// It can't be read.
    Read(io::Error),
    /// What is wrong with its form.
    NotPem(pem::Error),
    /// There is none in it that can be used.
    NoCertificate,
}

/// The certificates in this PEM file. Blocking, for as long as a local file takes.
pub fn roots_in(path: &Path) -> Result<RootCertStore, RootsError> {
    // A pipe or a device could hold up everything.
    if std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return Err(RootsError::Read(io::Error::other("it is not a regular file")));
    }
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path)? {
        // A system's bundle may hold a certificate that rustls doesn't take, such as one of X.509 version 1.
        roots.add_parsable_certificates([certificate?]);
    }
    if roots.is_empty() { Err(RootsError::NoCertificate) } else { Ok(roots) }
}

/// Of a client that trusts these, and makes one connection: there is no second that could resume the first.
pub fn client_config(roots: RootCertStore) -> Result<ClientConfig, rustls::Error> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(config)
}

impl From<pem::Error> for RootsError {
    fn from(error: pem::Error) -> Self {
        match error {
            pem::Error::Io(error) => Self::Read(error),
            error => Self::NotPem(error),
        }
    }
}

impl fmt::Display for RootsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) => write!(f, "it can't be read: {error}"),
            Self::NotPem(error) => write!(f, "it is not a PEM file: {error}"),
            Self::NoCertificate => f.write_str("it holds no certificate that can be used"),
        }
    }
}

impl std::error::Error for RootsError {}

#[cfg(test)]
mod tests {
    use super::*;

    const NOT_DER: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

    fn read(content: &str) -> Result<usize, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        std::fs::write(&path, content).unwrap();
        roots_in(&path).map(|roots| roots.len()).map_err(|error| error.to_string())
    }

    fn certificate() -> String {
        rcgen::generate_simple_self_signed(["ca.test".to_owned()]).unwrap().cert.pem()
    }

    #[test]
    fn all_certificates_count_whatever_else_is_in_the_file() {
        let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
        assert_eq!(read(&format!("# a comment\n{}", certificate())), Ok(1));
        assert_eq!(read(&format!("{}\n{key}\n{}", certificate(), certificate())), Ok(2));
        assert_eq!(
            read(&format!("{NOT_DER}{}", certificate())),
            Ok(1),
            "one strange one does not spoil a bundle"
        );
    }

    #[test]
    fn says_what_is_wrong_with_a_file() {
        for (content, why) in [
            ("", "it holds no certificate that can be used"),
            ("not PEM at all\n", "it holds no certificate that can be used"),
            (NOT_DER, "it holds no certificate that can be used"),
            ("-----BEGIN CERTIFICATE-----\n%%%\n-----END CERTIFICATE-----\n", "it is not a PEM file: "),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n", "it is not a PEM file: "),
        ] {
            let error = read(content).unwrap_err();
            assert!(error.starts_with(why), "{content:?}: {error}");
        }
        let missing = roots_in(Path::new("/nonexistent/ca.pem")).unwrap_err().to_string();
        assert!(missing.starts_with("it can't be read: No such file"), "{missing}");
        let folder = roots_in(Path::new("/")).unwrap_err().to_string();
        assert_eq!(folder, "it can't be read: it is not a regular file");
    }
}
