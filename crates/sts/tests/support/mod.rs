//! A server on loopback that plays one connection by a script, and the client that asks it.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use imds_contract::{RoleArn, SessionDuration, SessionName};
use imds_sts::{
    Answer, AssumeRoleWithWebIdentity, Client, ClientSettings, Failure, Proxy, Secret, Timeouts, Trust,
};
use rcgen::{CertificateParams, CertifiedIssuer, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

pub(crate) const TOKEN: &str =
    "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzeXN0ZW06c2VydmljZWFjY291bnQ6bnM6c2EifQ.c2lnbmF0dXJl";

/// What STS answers, as short as it can be.
pub(crate) const GOOD: &str = "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>\
    <AccessKeyId>ASIAEXAMPLE</AccessKeyId><SecretAccessKey>wJalr/EXAMPLE</SecretAccessKey>\
    <SessionToken>IQoJEXAMPLE==</SessionToken><Expiration>2030-01-01T00:00:00Z</Expiration>\
    </Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>";

/// [`GOOD`] as an HTTP answer.
pub(crate) fn good() -> String {
    format!(
        "HTTP/1.1 200 OK\r\nDate: Tue, 01 Jan 2030 00:00:00 GMT\r\nContent-Length: {}\r\n\r\n{GOOD}",
        GOOD.len()
    )
}

/// Asks with our token, role and name.
pub(crate) async fn ask(client: &Client) -> Result<Answer, Failure> {
    let role: RoleArn = "arn:aws:iam::123456789012:role/my-role".parse().unwrap();
    let name: SessionName = "ns.pod".parse().unwrap();
    let request = AssumeRoleWithWebIdentity {
        role_arn: &role,
        session_name: &name,
        duration: SessionDuration::DEFAULT,
        token: &Secret::from(TOKEN),
    };
    client.ask(request.into()).await
}

/// A client that waits long enough for a busy machine.
pub(crate) fn client(endpoint: &str, proxy: Option<Proxy>, trust: Trust) -> Client {
    client_that_waits(Duration::from_secs(20), endpoint, proxy, trust)
}

/// A client that waits a second, for a server that keeps it waiting.
pub(crate) fn hasty_client(endpoint: &str, proxy: Option<Proxy>, trust: Trust) -> Client {
    client_that_waits(Duration::from_secs(1), endpoint, proxy, trust)
}

fn client_that_waits(exchange: Duration, endpoint: &str, proxy: Option<Proxy>, trust: Trust) -> Client {
    let timeouts = Timeouts { exchange, ..Timeouts::default() };
    let (endpoint, signing_region) = (endpoint.parse().unwrap(), "us-east-1".to_owned());
    Client::new(ClientSettings { endpoint, signing_region, proxy, trust, timeouts })
}

/// What the server does with the connection after its answer.
#[derive(Clone, Copy)]
pub(crate) enum Then {
    Close,
    Hang,
}

/// A listener on a port of its own.
pub(crate) struct Server {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
}

impl Server {
    pub(crate) async fn plain() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap(), tls: None }
    }

    pub(crate) async fn tls(ca: &Ca, host: &str) -> Self {
        Self { tls: Some(ca.acceptor(host)), ..Self::plain().await }
    }

    /// With the CA's own certificate in the place of one that it has signed.
    pub(crate) async fn tls_of_authority(ca: &Ca) -> Self {
        Self { tls: Some(acceptor(ca.issuer.der().clone(), ca.issuer.key())), ..Self::plain().await }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    pub(crate) fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}/", self.address())
    }

    pub(crate) async fn accept(&self) -> TcpStream {
        self.listener.accept().await.unwrap().0
    }

    /// Takes one request, answers, and gives back what was asked; an empty text where TLS failed.
    pub(crate) async fn answer(&self, answer: impl AsRef<[u8]>, then: Then) -> String {
        let tcp = self.accept().await;
        match &self.tls {
            None => talk(tcp, answer.as_ref(), then).await,
            Some(tls) => match tls.accept(tcp).await {
                Ok(stream) => talk(stream, answer.as_ref(), then).await,
                Err(_) => String::new(),
            },
        }
    }
}

/// Reads a whole request.
pub(crate) async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut request = Vec::new();
    loop {
        let mut chunk = [0; 4096];
        let length = stream.read(&mut chunk).await.unwrap();
        request.extend_from_slice(&chunk[..length]);
        let text = String::from_utf8(request.clone()).unwrap();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            assert_ne!(length, 0, "the request broke off: {text}");
            continue;
        };
        let wanted = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if body.len() >= wanted.map_or(0, |length| length.parse().unwrap()) {
            return text;
        }
    }
}

async fn talk(mut stream: impl AsyncRead + AsyncWrite + Unpin, answer: &[u8], then: Then) -> String {
    let request = read_request(&mut stream).await;
    // The client may have read enough and gone.
    let _ = stream.write_all(answer).await;
    let _ = stream.flush().await;
    match then {
        Then::Close => {
            let _ = stream.shutdown().await;
        }
        Then::Hang => {
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
    }
    request
}

/// A certificate authority, with its certificate in a file.
pub(crate) struct Ca {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: tempfile::TempDir,
}

impl Ca {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, folder }
    }

    pub(crate) fn bundle(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    pub(crate) fn trust(&self) -> Trust {
        Trust::Bundle(self.bundle())
    }

    fn acceptor(&self, host: &str) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let issuer: &Issuer<_> = &self.issuer;
        let leaf = CertificateParams::new([host.to_owned()]).unwrap().signed_by(&key, issuer).unwrap();
        acceptor(leaf.der().clone(), &key)
    }
}

fn acceptor(certificate: CertificateDer<'static>, key: &KeyPair) -> TlsAcceptor {
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}
