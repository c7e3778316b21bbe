//! The HTTPS listener: TLS, then HTTP/1.1 or h2, whichever the API server chooses.
//!
//! Draining is done so that a rolling update loses no review: from the first signal on, every HTTP/1.1 answer asks the
//! client to close its connection, so that the API server comes back by way of the Service and meets another replica. At
//! the end of the grace period, what is open finishes its request and is closed (h2: GOAWAY).

use std::convert::Infallible;
use std::path::Path;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use http::Request;
use http::header::{self, HeaderValue};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use imds_daemon::server::accept;
use imds_daemon::shutdown::Shutdown;
use log::Level;
use rustls::server::{ResolvesServerCert, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use crate::answer::Turns;
use crate::service::Service;

/// An API server needs one for each review at once over HTTP/1.1, and reviews 200 at once at most; several share one over h2.
/// Whoever reaches the port may have as many: what each may cost is bounded below (docs/adr/0018).
const CONNECTIONS: usize = 256;
const HANDSHAKE_TIME: Duration = Duration::from_secs(5);
/// A connection that the API server keeps may idle for long: Go closes it after 90 s by itself.
const HEAD_TIME: Duration = Duration::from_mins(2);
const HEAD_BYTES: usize = 16 * 1024;
/// An h2 connection whose other side is gone is noticed by an unanswered ping.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
const KEEP_ALIVE_TIME: Duration = Duration::from_secs(10);
/// What Go's client takes for granted until it is told. One with a body that does not come ends soon (see `body`).
const H2_STREAMS: u32 = 100;
/// What a client may send before it is read: on a connection, on all streams of it together.
const H2_WINDOW: u32 = 64 * 1024 - 1;
/// Of each stream. The API server's are under 1 KiB.
const H2_HEADER_BYTES: u32 = 8 * 1024;
/// How long a client may leave its answers unread. More than a review may take.
const UNREAD_TIME: Duration = Duration::from_secs(10);
const H2: &[u8] = b"h2";

/// The TLS configuration: TLS 1.2 and 1.3, h2 and HTTP/1.1. With `clients`, a connection needs a client certificate that one of
/// these authorities signed.
pub fn tls(
    certificate: Arc<dyn ResolvesServerCert>,
    clients: Option<RootCertStore>,
) -> anyhow::Result<ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let builder = match clients {
        Some(roots) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
            builder.with_client_cert_verifier(verifier)
        }
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(certificate);
    config.alpn_protocols = vec![H2.to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// The authorities of clients, from a file in PEM.
pub fn client_authorities(file: &Path) -> anyhow::Result<RootCertStore> {
    let shown = file.display();
    let pem = std::fs::read(file).with_context(|| format!("can't read the client CA {shown}"))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.with_context(|| format!("the client CA {shown} is damaged"))?;
        roots
            .add(certificate)
            .with_context(|| format!("the client CA {shown} holds what is no CA certificate"))?;
    }
    anyhow::ensure!(!roots.is_empty(), "the client CA {shown} holds no certificate in PEM");
    Ok(roots)
}

/// Serves until `shutdown`. `stopping` says that the end is near.
pub async fn serve(
    listener: TcpListener,
    tls: ServerConfig,
    service: Arc<Service>,
    stopping: watch::Receiver<bool>,
    shutdown: Shutdown,
) {
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    let connect = move |stream, finish| {
        connection(stream, acceptor.clone(), Arc::clone(&service), stopping.clone(), finish)
    };
    accept(vec![listener], CONNECTIONS, connect, shutdown).await;
}

async fn connection(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    service: Arc<Service>,
    stopping: watch::Receiver<bool>,
    finish: Shutdown,
) {
    let handshake = tokio::time::timeout(HANDSHAKE_TIME, acceptor.accept(stream));
    let stream = tokio::select! {
        Ok(Ok(stream)) = handshake => stream,
        // A client without TLS, one that does not trust us, a port scan: the other side knows why.
        else => {
            if service.log.permits(&service.log.unreadable, Level::Debug) {
                log::debug!("a TLS handshake failed");
            }
            return;
        }
    };
    let h2 = stream.get_ref().1.alpn_protocol() == Some(H2);
    let turns = Turns::new();
    let own_turns = Arc::clone(&turns);
    let respond = hyper::service::service_fn(move |request: Request<Incoming>| {
        let (service, stopping, turns) = (Arc::clone(&service), stopping.clone(), Arc::clone(&own_turns));
        async move {
            let turn = turns.take().await;
            let mut response = service.respond(request).await.map(|answer| answer.in_turn(turn));
            if !h2 && *stopping.borrow() {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response)
        }
    });
    let io = TokioIo::new(stream);
    // Chosen by what was agreed on, not by the first bytes: so each has its limits on time from the start.
    if h2 {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE_TIME)
            .max_concurrent_streams(H2_STREAMS)
            .max_header_list_size(H2_HEADER_BYTES)
            .initial_connection_window_size(H2_WINDOW)
            .initial_stream_window_size(H2_WINDOW);
        let serving = pin!(builder.serve_connection(io, respond));
        drive(serving, http2::Connection::graceful_shutdown, finish, &turns).await;
    } else {
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME).max_buf_size(HEAD_BYTES);
        let serving = pin!(builder.serve_connection(io, respond));
        drive(serving, http1::Connection::graceful_shutdown, finish, &turns).await;
    }
}

/// Serves a connection until it ends, or its client reads none of its answers for [`UNREAD_TIME`].
async fn drive<S: Future>(
    mut serving: Pin<&mut S>,
    shut_down: impl Fn(Pin<&mut S>),
    mut finish: Shutdown,
    turns: &Turns,
) {
    let mut looks = tokio::time::interval_at(Instant::now() + UNREAD_TIME, UNREAD_TIME);
    let mut finishing = false;
    let mut before = (false, 0);
    loop {
        tokio::select! {
            _ = serving.as_mut() => return,
            () = finish.started(), if !finishing => {
                finishing = true;
                shut_down(serving.as_mut());
            }
            _ = looks.tick() => {
                let now = turns.look();
                if now.0 && now == before {
                    return;
                }
                before = now;
            }
        }
    }
}
