//! The server's certificate, from an authority of its own that nobody else trusts.

use std::io;
use std::sync::{Arc, PoisonError, RwLock};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;

/// Which certificate the server shows; changed with [`LocalSts::set_certificate`](crate::LocalSts::set_certificate).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Certificate {
    /// A good one, of the authority in `ca_pem()`.
    Good,
    /// Of the right authority and names, but ended in the year 2000.
    Expired,
    /// Of an authority that the client doesn't know.
    OtherAuthority,
    /// Of the right authority, for another host.
    OtherName,
}

pub(crate) struct Tls {
    authority: Authority,
    /// DNS names and IP addresses.
    names: Vec<String>,
    current: RwLock<Arc<ServerConfig>>,
}

type Authority = CertifiedIssuer<'static, KeyPair>;

impl Tls {
    /// A new authority, and a good certificate for these names.
    pub(crate) fn new(names: Vec<String>) -> io::Result<Self> {
        let authority = authority("local-sts, trusted by nobody else").map_err(io::Error::other)?;
        let current = server_config(&authority, Certificate::Good, &names)?;
        Ok(Self { authority, names, current: RwLock::new(Arc::new(current)) })
    }

    /// The authority's certificate.
    pub(crate) fn ca_pem(&self) -> String {
        self.authority.pem()
    }

    /// What the next connection is shown.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner)))
    }

    /// Shows this certificate from the next connection on.
    pub(crate) fn set(&self, certificate: Certificate) -> io::Result<()> {
        let config = server_config(&self.authority, certificate, &self.names)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
        Ok(())
    }
}

fn authority(name: &str) -> Result<Authority, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate()?)
}

fn server_config(
    authority: &Authority,
    certificate: Certificate,
    names: &[String],
) -> io::Result<ServerConfig> {
    let other;
    let authority = match certificate {
        Certificate::Good | Certificate::Expired | Certificate::OtherName => authority,
        Certificate::OtherAuthority => {
            other = self::authority("an authority that nobody knows").map_err(io::Error::other)?;
            &other
        }
    };
    let names = match certificate {
        Certificate::Good | Certificate::Expired | Certificate::OtherAuthority => names.to_vec(),
        Certificate::OtherName => vec!["elsewhere.example".to_owned()],
    };
    let mut params = CertificateParams::new(names).map_err(io::Error::other)?;
    params.distinguished_name.push(DnType::CommonName, "local-sts");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    if certificate == Certificate::Expired {
        params.not_after = date_time_ymd(2000, 1, 1);
    }
    let key = KeyPair::generate().map_err(io::Error::other)?;
    let leaf = params.signed_by(&key, authority).map_err(io::Error::other)?;
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(vec![leaf.into()], key))
        .map_err(io::Error::other)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
