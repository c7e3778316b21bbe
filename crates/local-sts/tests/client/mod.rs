//! A raw HTTP client, so that a test sees every byte: one connection, one request, all that comes back.

#![allow(dead_code, reason = "each test file uses its part")]

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// The role of the product's own example.
pub(crate) const ROLE: &str = "arn:aws:iam::123456789012:role/my-example-role";

/// Whatever hangs longer than this is broken.
const PATIENCE: Duration = Duration::from_secs(20);

/// Speaks HTTPS, or HTTP where there is no authority.
pub(crate) struct Client {
    address: SocketAddr,
    tls: Option<TlsConnector>,
}

/// An answer, whole or not.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Client {
    pub(crate) fn new(url: &str, ca_pem: Option<&str>) -> Self {
        let address = url.split("://").nth(1).unwrap().parse().unwrap();
        let tls = ca_pem.map(|pem| {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
            let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_root_certificates(roots)
                .with_no_client_auth();
            TlsConnector::from(Arc::new(config))
        });
        Self { address, tls }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(&format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")).await.unwrap()
    }

    pub(crate) async fn post(&self, path: &str, headers: &str, body: &str) -> io::Result<Answer> {
        let length = body.len();
        self.send(&format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n{body}"
        ))
        .await
    }

    /// A request for credentials.
    pub(crate) async fn try_exchange(&self, token: &str, more: &[(&str, &str)]) -> io::Result<Answer> {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("Action", "AssumeRoleWithWebIdentity"), ("Version", "2011-06-15")])
            .extend_pairs([("RoleArn", ROLE), ("RoleSessionName", "default.nginx")])
            .append_pair("WebIdentityToken", token)
            .extend_pairs(more)
            .finish();
        self.post("/", "content-type: application/x-www-form-urlencoded\r\n", &body).await
    }

    pub(crate) async fn exchange(&self, token: &str, more: &[(&str, &str)]) -> Answer {
        self.try_exchange(token, more).await.unwrap()
    }

    /// Sends bytes and reads until the server closes.
    pub(crate) async fn send(&self, request: &str) -> io::Result<Answer> {
        let whole = async {
            let mut stream = TcpStream::connect(self.address).await?;
            let Some(tls) = &self.tls else { return talk(&mut stream, request).await };
            let name = ServerName::IpAddress(self.address.ip().into());
            talk(&mut tls.connect(name, stream).await?, request).await
        };
        tokio::time::timeout(PATIENCE, whole).await.map_err(io::Error::from)?
    }
}

async fn talk(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), request: &str) -> io::Result<Answer> {
    stream.write_all(request.as_bytes()).await?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await?;
    let end =
        bytes.windows(4).position(|window| window == b"\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    let body = bytes.split_off(end + 4);
    Ok(Answer { head: String::from_utf8(bytes).unwrap(), body })
}

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        self.head.split(' ').nth(1).unwrap().parse().unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let fields = self.head.lines().filter_map(|line| line.split_once(": "));
        fields.into_iter().find_map(|(other, value)| other.eq_ignore_ascii_case(name).then_some(value))
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The text of the first element of this name.
    pub(crate) fn element(&self, name: &str) -> String {
        let document = roxmltree::Document::parse(self.text()).expect("well-formed XML");
        let element = document
            .descendants()
            .find(|node| node.has_tag_name(("https://sts.amazonaws.com/doc/2011-06-15/", name)));
        element
            .and_then(|element| element.text())
            .unwrap_or_else(|| panic!("no {name} in {}", self.text()))
            .to_owned()
    }

    /// Status, code and message of an AWS error.
    pub(crate) fn error(&self) -> (u16, String, String) {
        (self.status(), self.element("Code"), self.element("Message"))
    }

    /// What the credentials have left, by the server's own `Date`.
    pub(crate) fn life(&self) -> Duration {
        let date = httpdate::parse_http_date(self.header("date").unwrap()).unwrap();
        let expiration = humantime::parse_rfc3339(&self.element("Expiration")).unwrap();
        expiration.duration_since(date).unwrap()
    }
}
