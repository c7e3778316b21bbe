//! The HTTPS listener: TLS, then HTTP/1.1 or h2, whichever the API server chooses.
//!
//! Draining is done so that a rolling update loses no review: from the first signal on, every HTTP/1.1 answer asks the
//! client to close its connection, so that the API server comes back by way of the Service and meets another replica. At
//! the end of the grace period, what is open finishes its request and is closed (h2: GOAWAY).

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use http::header::{self, HeaderValue};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use imds_daemon::server::accept;
use imds_daemon::shutdown::Shutdown;
use rustls::ServerConfig;
use rustls::server::ResolvesServerCert;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

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
const H2: &[u8] = b"h2";

/// The TLS configuration: TLS 1.2 and 1.3, h2 and HTTP/1.1, no client certificate.
pub fn tls(certificate: Arc<dyn ResolvesServerCert>) -> Result<ServerConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(certificate);
    config.alpn_protocols = vec![H2.to_vec(), b"http/1.1".to_vec()];
    Ok(config)
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
    mut finish: Shutdown,
) {
    let handshake = tokio::time::timeout(HANDSHAKE_TIME, acceptor.accept(stream));
    let stream = tokio::select! {
        Ok(Ok(stream)) = handshake => stream,
        // A client without TLS, one that does not trust us, a port scan: the other side knows why.
        else => return log::debug!("a TLS handshake failed"),
    };
    let h2 = stream.get_ref().1.alpn_protocol() == Some(H2);
    let respond = hyper::service::service_fn(move |request: Request<Incoming>| {
        let (service, stopping) = (Arc::clone(&service), stopping.clone());
        async move {
            let mut response = service.respond(request).await;
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
        let mut serving = pin!(builder.serve_connection(io, respond));
        tokio::select! {
            _ = serving.as_mut() => return,
            () = finish.started() => serving.as_mut().graceful_shutdown(),
        }
        let _ = serving.await;
    } else {
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME).max_buf_size(HEAD_BYTES);
        let mut serving = pin!(builder.serve_connection(io, respond));
        tokio::select! {
            _ = serving.as_mut() => return,
            () = finish.started() => serving.as_mut().graceful_shutdown(),
        }
        let _ = serving.await;
    }
}
