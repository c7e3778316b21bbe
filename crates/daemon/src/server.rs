//! An HTTP/1 listener that takes what it needs, keeps to its limits and drains.
//!
//! What hyper enforces here: size of the head, time for the head (which is also how long a kept connection may idle).
//! What this module adds: a cap on connections, back-off when `accept` fails, and the drain. At the cap the oldest
//! connection is closed for the newcomer, so that nobody can keep others out by holding connections open: an honest
//! client is answered within a millisecond or is idle. The size and time of a body are the handler's, see [`read_body`].

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use crate::shutdown::Shutdown;

/// How long open connections may finish their request once draining has begun.
const DRAIN: Duration = Duration::from_secs(2);

/// The longest wait after a failed `accept`.
const ACCEPT_BACKOFF_CAP: Duration = Duration::from_secs(1);

/// Within this time of being accepted an honest client has its answer; no younger connection is closed for another.
const HONEST_TIME: Duration = Duration::from_millis(20);

/// What one listener may cost.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at once; one more, and the oldest is closed.
    pub connections: usize,
    /// From accepting a connection, or from its last answer, to the end of the next request's head.
    pub head_time: Duration,
    /// The longest head of a request, in bytes (at least 8192: hyper's least).
    pub head_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 128, head_time: Duration::from_secs(15), head_bytes: 8 * 1024 }
    }
}

/// Binds a listener. An IPv6 wildcard address takes IPv4 too, whatever the machine's default is.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => tokio::net::TcpSocket::new_v4()?,
        SocketAddr::V6(v6) => {
            let socket = tokio::net::TcpSocket::new_v6()?;
            rustix::net::sockopt::set_ipv6_v6only(&socket, !v6.ip().is_unspecified())?;
            socket
        }
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(1024)
}

/// Sets how many routers the answers of this listener may pass: connections inherit it.
pub fn set_hop_limit(listener: &TcpListener, limit: u8) -> io::Result<()> {
    match listener.local_addr()? {
        SocketAddr::V4(_) => rustix::net::sockopt::set_ip_ttl(listener, limit.into())?,
        SocketAddr::V6(_) => rustix::net::sockopt::set_ipv6_unicast_hops(listener, Some(limit))?,
    }
    Ok(())
}

/// Binds a port on every address: one socket for IPv6 and IPv4, or IPv4 alone on a machine without IPv6. The error names
/// the address that could not be had.
pub fn bind_everywhere(port: u16) -> Result<TcpListener, (SocketAddr, io::Error)> {
    let both = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    match bind(both) {
        Err(error) if is_absent(&error) => {
            let ipv4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
            bind(ipv4).map_err(|error| (ipv4, error))
        }
        bound => bound.map_err(|error| (both, error)),
    }
}

/// Whether an error of [`bind`] says that the machine has no such address, or no such kind of address.
pub fn is_absent(error: &io::Error) -> bool {
    let absent = [rustix::io::Errno::AFNOSUPPORT, rustix::io::Errno::ADDRNOTAVAIL];
    error.raw_os_error().is_some_and(|code| absent.iter().any(|errno| errno.raw_os_error() == code))
}

/// Serves `handle` over plain HTTP/1 on the listener until `shutdown`, then lets open requests finish.
pub async fn serve<H, F>(listener: TcpListener, limits: Limits, handle: H, shutdown: Shutdown)
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let stop = shutdown.clone();
    let connect = move |stream| http1_connection(stream, limits, handle.clone(), stop.clone());
    accept(listener, limits.connections, connect, shutdown).await;
}

/// Accepts connections, at most so many at once, and runs what `connect` makes of each, until `shutdown`; then waits a
/// moment for those that are open. A connection has to notice the shutdown by itself.
pub async fn accept<C, F>(listener: TcpListener, most: usize, connect: C, mut shutdown: Shutdown)
where
    C: Fn(TcpStream) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    let mut by_age = VecDeque::new();
    let mut backoff = Duration::ZERO;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.started() => break,
        };
        while connections.try_join_next().is_some() {}
        if by_age.len() >= most {
            make_room(&mut by_age, most).await;
        }
        match accepted {
            Ok((stream, _)) => {
                backoff = Duration::ZERO;
                // Answers are small and written at once: waiting to fill a segment would only delay them.
                let _ = stream.set_nodelay(true);
                by_age.push_back((Instant::now(), connections.spawn(connect(stream))));
            }
            Err(error) => {
                // Out of descriptors or memory: once a series, not once a try.
                if backoff.is_zero() {
                    log::warn!(error:% = error; "can't accept connections; trying again");
                }
                backoff = (backoff * 2).clamp(Duration::from_millis(10), ACCEPT_BACKOFF_CAP);
                tokio::select! {
                    () = tokio::time::sleep(backoff) => {}
                    () = shutdown.started() => break,
                }
            }
        }
    }
    drop(listener);
    let finish = async { while connections.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(DRAIN, finish).await;
}

/// Closes the oldest connection if there are still too many once what has been asked already is answered. A crowd of
/// honest clients is given the moment that it needs.
async fn make_room(by_age: &mut VecDeque<(Instant, AbortHandle)>, most: usize) {
    tokio::task::yield_now().await;
    by_age.retain(|(_, connection)| !connection.is_finished());
    if by_age.len() >= most
        && let Some((accepted, oldest)) = by_age.pop_front()
    {
        tokio::time::sleep_until(accepted + HONEST_TIME).await;
        oldest.abort();
    }
}

/// What came of reading a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// All of it.
    Whole(Bytes),
    /// It is longer than allowed.
    TooLong,
    /// It was broken off, or not there in time.
    Unfinished,
}

/// Reads a request's body of at most `limit` bytes within `time`.
pub async fn read_body(body: Incoming, limit: usize, time: Duration) -> Body {
    let read = async {
        let mut body = pin!(body);
        let mut bytes = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else { return Body::Unfinished };
            if let Ok(data) = frame.into_data() {
                if bytes.len() + data.len() > limit {
                    return Body::TooLong;
                }
                bytes.extend_from_slice(&data);
            }
        }
        Body::Whole(bytes.freeze())
    };
    tokio::time::timeout(time, read).await.unwrap_or(Body::Unfinished)
}

async fn http1_connection<H, F>(stream: TcpStream, limits: Limits, handle: H, mut shutdown: Shutdown)
where
    H: Fn(Request<Incoming>) -> F,
    F: Future<Output = Response<Full<Bytes>>>,
{
    let service = hyper::service::service_fn(move |request| {
        let answer = handle(request);
        async { Ok::<_, Infallible>(answer.await) }
    });
    let mut serving = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head_time)
            .max_buf_size(limits.head_bytes)
            .serve_connection(TokioIo::new(stream), service)
    );
    // A broken connection or request is the client's affair: hyper has answered what can be answered.
    tokio::select! {
        _ = serving.as_mut() => return,
        () = shutdown.started() => serving.as_mut().graceful_shutdown(),
    }
    let _ = serving.await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::sync::watch;

    const QUICK: Limits = Limits { connections: 2, head_time: Duration::from_millis(300), head_bytes: 8192 };

    fn start(limits: Limits) -> (SocketAddr, watch::Sender<bool>, tokio::task::JoinHandle<()>) {
        let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, shutdown) = Shutdown::channel();
        let handle = |request: Request<Incoming>| async move {
            let body = read_body(request.into_body(), 4, Duration::from_millis(300)).await;
            let status = match body {
                Body::Whole(_) => 200,
                Body::TooLong => 413,
                Body::Unfinished => 408,
            };
            Response::builder().status(status).body(Full::new(Bytes::from_static(b"hello"))).unwrap()
        };
        (address, stop, tokio::spawn(serve(listener, limits, handle, shutdown)))
    }

    async fn exchange(address: SocketAddr, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await;
        read.expect("the server closes the connection").unwrap();
        String::from_utf8(answer).unwrap()
    }

    #[tokio::test]
    async fn answers_and_drains() {
        let (address, stop, server) = start(QUICK);
        let mut idle = TcpStream::connect(address).await.unwrap();
        let answer = exchange(address, b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("hello"), "{answer}");
        stop.send(true).unwrap();
        tokio::time::timeout(Duration::from_secs(5), server).await.expect("drained in time").unwrap();
        assert_eq!(idle.read(&mut [0; 8]).await.unwrap(), 0, "an idle connection is closed");
        assert!(TcpStream::connect(address).await.is_err(), "the listener is closed");
    }

    #[tokio::test]
    async fn connections_inherit_the_hop_limit() {
        use rustix::net::sockopt::{ip_ttl, ipv6_unicast_hops};
        for (address, hops) in [
            ("127.0.0.1:0", (|stream: &TcpStream| ip_ttl(stream).unwrap()) as fn(&TcpStream) -> u32),
            ("[::1]:0", |stream| ipv6_unicast_hops(stream).unwrap().into()),
        ] {
            let listener = match bind(address.parse().unwrap()) {
                Err(error) if is_absent(&error) => continue,
                bound => bound.unwrap(),
            };
            set_hop_limit(&listener, 3).unwrap();
            let client = TcpStream::connect(listener.local_addr().unwrap());
            let (accepted, _client) = tokio::join!(listener.accept(), client);
            assert_eq!(hops(&accepted.unwrap().0), 3, "{address}");
        }
    }

    #[tokio::test]
    async fn a_slow_head_an_idle_connection_and_a_long_head_are_ended() {
        let (address, _stop, _server) = start(QUICK);
        let slow = exchange(address, b"GET / HTTP/1.1\r\nhost:").await;
        assert!(slow.is_empty() || slow.starts_with("HTTP/1.1 408"), "{slow}");
        let kept = exchange(address, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
        assert!(kept.starts_with("HTTP/1.1 200") && kept.ends_with("hello"), "{kept}");
        let long = format!("GET / HTTP/1.1\r\nhost: x\r\nlong: {}\r\n\r\n", "y".repeat(20_000));
        let long = exchange(address, long.as_bytes()).await;
        assert!(long.starts_with("HTTP/1.1 431"), "{long}");
    }

    #[tokio::test]
    async fn a_long_or_slow_body_is_refused() {
        let (address, _stop, _server) = start(QUICK);
        let long = b"PUT / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 5\r\n\r\n12345";
        assert!(exchange(address, long).await.starts_with("HTTP/1.1 413"));
        let slow = b"PUT / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 3\r\n\r\n1";
        assert!(exchange(address, slow).await.starts_with("HTTP/1.1 408"));
    }

    #[tokio::test]
    async fn a_crowd_larger_than_the_cap_is_answered() {
        let (address, _stop, _server) = start(Limits { connections: 8, ..QUICK });
        let clients: Vec<_> = (0..200)
            .map(|_| {
                let request = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
                tokio::spawn(async move { exchange(address, request).await })
            })
            .collect();
        for client in clients {
            let answer = client.await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        }
    }

    #[tokio::test]
    async fn whoever_holds_connections_open_keeps_nobody_out() {
        let limits = Limits { head_time: Duration::from_hours(1), ..QUICK };
        let (address, _stop, _server) = start(limits);
        let mut silent = TcpStream::connect(address).await.unwrap();
        let mut greedy = TcpStream::connect(address).await.unwrap();
        // Asks, and never reads: what is written to it stays in the way for ever.
        let requests = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n".repeat(1000);
        let _ = tokio::time::timeout(Duration::from_millis(200), greedy.write_all(&requests)).await;
        for _ in 0..10 {
            let answer = exchange(address, b"GET / HTTP/1.0\r\n\r\n").await;
            assert!(answer.starts_with("HTTP/1.0 200"), "{answer}");
        }
        assert_eq!(silent.read(&mut [0; 8]).await.unwrap_or(0), 0, "the oldest was closed");
    }
}
