//! The real program on its socket, asked as the API server asks.
#![allow(dead_code, reason = "each test program uses its own part")]

use std::io::{self, BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A client's certificate, and its key.
pub(crate) type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// The running program, and a client of it.
pub(crate) struct Webhook {
    pub(crate) child: Child,
    pub(crate) log: Mutex<Receiver<String>>,
    folder: TempDir,
    pub(crate) reviews: SocketAddr,
    pub(crate) admin: SocketAddr,
}

impl Webhook {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_through(&[], &[&["--log-level", "trace"], arguments].concat())
    }

    /// Started by a command that becomes the program in the end.
    pub(crate) fn start_through(words: &[String], arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(["imds-webhook.imds.svc".to_owned()]).unwrap();
        std::fs::write(folder.path().join("tls.crt"), made.cert.pem()).unwrap();
        std::fs::write(folder.path().join("tls.key"), made.signing_key.serialize_pem()).unwrap();
        std::fs::write(folder.path().join("config.yaml"), "image: image:1\nregion: eu-central-1\n").unwrap();
        let file = |name: &str| folder.path().join(name);
        let program = env!("CARGO_BIN_EXE_imds-webhook").to_owned();
        let words: Vec<String> = words.iter().cloned().chain([program]).collect();
        let mut child = Command::new(&words[0])
            .args(&words[1..])
            .env_clear()
            .args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
            .arg("--tls-cert")
            .arg(file("tls.crt"))
            .arg("--tls-key")
            .arg(file("tls.key"))
            .arg("--config")
            .arg(file("config.yaml"))
            .args(arguments)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = child.stderr.take().unwrap();
        let (lines, log) = channel();
        std::thread::spawn(move || {
            BufReader::new(stderr).lines().map_while(Result::ok).for_each(|line| drop(lines.send(line)));
        });
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut webhook = Self { child, log: Mutex::new(log), folder, reviews: nowhere, admin: nowhere };
        let line: Value = serde_json::from_str(&webhook.wait_for_log("answering reviews")).unwrap();
        webhook.reviews = line["reviews"].as_str().unwrap().parse().unwrap();
        webhook.admin = line["admin"].as_str().unwrap().parse().unwrap();
        webhook
    }

    pub(crate) fn wait_for_log(&self, part: &str) -> String {
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let line = self
                .log
                .lock()
                .unwrap()
                .recv_timeout(left)
                .unwrap_or_else(|error| panic!("{error}: no {part:?}"));
            if line.contains(part) {
                return line;
            }
        }
    }

    pub(crate) async fn tls(&self, alpn: &[&[u8]]) -> TlsStream<TcpStream> {
        self.try_tls(alpn).await.unwrap()
    }

    pub(crate) async fn try_tls(&self, alpn: &[&[u8]]) -> io::Result<TlsStream<TcpStream>> {
        self.tls_as(alpn, None).await
    }

    /// As a client with this certificate.
    pub(crate) async fn tls_as(
        &self,
        alpn: &[&[u8]],
        client: Option<Identity>,
    ) -> io::Result<TlsStream<TcpStream>> {
        let mut roots = rustls::RootCertStore::empty();
        let certificate = CertificateDer::from_pem_file(self.folder.path().join("tls.crt"));
        roots.add(certificate.unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match client {
            Some((chain, key)) => config.with_client_auth_cert(chain, key).unwrap(),
            None => config.with_no_client_auth(),
        };
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        let stream = TcpStream::connect(self.reviews).await?;
        let name = ServerName::try_from("imds-webhook.imds.svc").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }

    /// A connection of HTTP/1.1, as the API server opens one to a Service.
    pub(crate) async fn http1(&self) -> http1::SendRequest<Full<Bytes>> {
        self.try_http1().await.unwrap()
    }

    pub(crate) async fn try_http1(&self) -> io::Result<http1::SendRequest<Full<Bytes>>> {
        self.http1_as(None).await
    }

    /// As a client with this certificate.
    pub(crate) async fn http1_as(
        &self,
        client: Option<Identity>,
    ) -> io::Result<http1::SendRequest<Full<Bytes>>> {
        let stream = self.tls_as(&[b"http/1.1"], client).await?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        tokio::spawn(connection);
        Ok(sender)
    }

    pub(crate) async fn admin(&self, path: &str) -> (StatusCode, String) {
        let stream = TcpStream::connect(self.admin).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let request = Request::get(path).header(header::HOST, "x").body(Full::new(Bytes::new())).unwrap();
        let response = sender.send_request(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    pub(crate) fn signal(&self) {
        let pid = i32::try_from(self.child.id()).unwrap();
        rustix::process::kill_process(
            rustix::process::Pid::from_raw(pid).unwrap(),
            rustix::process::Signal::TERM,
        )
        .unwrap();
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn recorded(name: &str) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../inject/tests/fixtures");
    std::fs::read(folder.join(format!("{name}.json"))).unwrap()
}

/// The headers that kube-apiserver sends, all of them.
pub(crate) fn post(path: &str, body: Vec<u8>) -> Request<Full<Bytes>> {
    Request::post(path)
        .header(header::HOST, "imds-webhook.imds.svc")
        .header(header::USER_AGENT, "kube-apiserver-admission")
        .header(header::ACCEPT, "application/json, */*")
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ACCEPT_ENCODING, "gzip")
        .body(Full::new(body.into()))
        .unwrap()
}

pub(crate) async fn json(response: http::Response<hyper::body::Incoming>) -> Value {
    let body = response.into_body().collect().await.unwrap().to_bytes();
    serde_json::from_slice(&body).unwrap()
}
