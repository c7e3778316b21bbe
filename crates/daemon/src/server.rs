//! An HTTP/1 listener that takes what it needs, keeps to its limits and drains.
//!
//! What hyper enforces here: the size of the head. What this module adds: an end to connections on which nothing is asked,
//! a cap on connections, back-off when `accept` fails, and the drain. The size and time of a body are the handler's, see
//! [`read_body`].
//!
//! Nobody can keep others out by holding connections open, see `crowd`. What has not been asked for yet
//! costs little: a connection gets its buffers with its first byte.

use std::convert::Infallible;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{Instant, Sleep};

use crate::crowd::Crowd;
use crate::shutdown::Shutdown;

/// How long open connections may finish their request once draining has begun.
const DRAIN: Duration = Duration::from_secs(2);

/// The longest wait after a failed `accept`.
const ACCEPT_BACKOFF_CAP: Duration = Duration::from_secs(1);

/// Connections that the kernel keeps until they are accepted; it may allow fewer. One more is not refused but left to try
/// again a second later, which an SDK does not wait for.
const BACKLOG: u32 = 4096;

/// What the kernel keeps of what is sent or received, in bytes, at least: more than an answer or the head of a request.
const SOCKET_BUFFER: u32 = 4 * 1024;

/// What serving may cost.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at once; one more, and others are closed for it.
    pub connections: usize,
    /// From accepting a connection to its first byte, and from there to the end of the request's head. From an answer to the
    /// end of the next request's head it is this to twice this: a look at each connection every so often is enough.
    pub head_time: Duration,
    /// The longest head of a request, in bytes (at least 8192: hyper's least).
    pub head_bytes: usize,
    /// Whether the CPU time that clients can cause is bounded; see [`Limits::ADMIN`].
    pub is_bounded: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 512, head_time: Duration::from_secs(15), head_bytes: 8 * 1024, is_bounded: false }
    }
}

impl Limits {
    /// For a page of health and metrics that strangers reach, beside a service that must not become slow by them: one request
    /// a connection, 20 connections a second, and a read of each every 20 ms at most.
    pub const ADMIN: Self =
        Self { connections: 32, head_time: Duration::from_secs(2), head_bytes: 8 * 1024, is_bounded: true };
}

/// Connections a second that are accepted where it is bounded. Others wait in the kernel's queue, or are not let into it.
const BOUNDED_RATE: u32 = 20;

/// Connections that the kernel keeps until they are accepted, where it is bounded: what is left of a flood is gone in seconds.
const BOUNDED_BACKLOG: i32 = 64;

/// From one read of a connection to the next, where it is bounded: nobody can have a read for each byte that they send.
const BOUNDED_PAUSE: Duration = Duration::from_millis(20);

/// Who reaches a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Whoever can send packets to its address.
    Anyone,
    /// The processes of this network namespace. A local address is not enough for that: Linux accepts a packet for any of its
    /// addresses from any interface (the weak host model of RFC 1122, 3.3.4.2), and for 127.0.0.0/8 where `route_localnet` is set.
    Namespace,
}

/// The loopback device of every network namespace: nothing arrives on it from outside.
const LOOPBACK_DEVICE: &[u8] = b"lo";

/// Binds a listener. An IPv6 wildcard address takes IPv4 too, whatever the machine's default is.
///
/// Where [`Reach::Namespace`] can't be had, that is the error, and there is no listener.
pub fn bind(address: SocketAddr, reach: Reach) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(v6) => {
            let socket = TcpSocket::new_v6()?;
            rustix::net::sockopt::set_ipv6_v6only(&socket, !v6.ip().is_unspecified())?;
            socket
        }
    };
    socket.set_reuseaddr(true)?;
    // Inherited by connections: here it is said once. Answers are small and written at once, so waiting to fill a segment
    // would only delay them; and the kernel would keep megabytes for each client that does not read.
    socket.set_nodelay(true)?;
    socket.set_send_buffer_size(SOCKET_BUFFER)?;
    socket.set_recv_buffer_size(SOCKET_BUFFER)?;
    // Before it has an address: no packet may reach it meanwhile.
    if reach == Reach::Namespace {
        keep_inside(&socket, address.ip())?;
    }
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Lets only connections from this network namespace reach the socket, by any of its addresses (docs/adr/0017).
fn keep_inside(socket: &TcpSocket, ip: IpAddr) -> io::Result<()> {
    // The kernel drops packets for ::1 from outside. Bound to `lo`, the socket could not answer clients with another address of
    // the Pod's: IPv6 has no route to that by `lo`.
    if ip == Ipv6Addr::LOCALHOST {
        return Ok(());
    }
    match socket.bind_device(Some(LOOPBACK_DEVICE)) {
        Err(_) if ip.is_loopback() && !is_localnet_routed().unwrap_or(true) => Ok(()),
        bound => bound.map_err(|error| io::Error::new(error.kind(), Exposed(error))),
    }
}

/// Whether packets from outside may be for 127.0.0.0/8, on any interface. A Pod may inherit the setting from its node, where
/// kube-proxy sets it. Source: Linux, `ip-sysctl.rst`, `route_localnet` and `devconf_inherit_init_net`.
fn is_localnet_routed() -> io::Result<bool> {
    for interface in std::fs::read_dir("/proc/sys/net/ipv4/conf")? {
        if std::fs::read_to_string(interface?.path().join("route_localnet"))?.trim() != "0" {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The error of a listener that could be reached from outside.
#[derive(Debug)]
struct Exposed(io::Error);

impl fmt::Display for Exposed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "it could be reached from outside the Pod, because the kernel refuses to bind the socket to the device lo \
             (SO_BINDTODEVICE: {}); Linux 5.7 and later allow it",
            self.0
        )
    }
}

impl std::error::Error for Exposed {}

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
    match bind(both, Reach::Anyone) {
        Err(error) if is_absent(&error) => {
            let ipv4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
            bind(ipv4, Reach::Anyone).map_err(|error| (ipv4, error))
        }
        bound => bound.map_err(|error| (both, error)),
    }
}

/// Whether an error of [`bind`] says that the machine has no such address, or no such kind of address.
pub fn is_absent(error: &io::Error) -> bool {
    let absent = [rustix::io::Errno::AFNOSUPPORT, rustix::io::Errno::ADDRNOTAVAIL];
    error.raw_os_error().is_some_and(|code| absent.iter().any(|errno| errno.raw_os_error() == code))
}

/// Serves `handle` over plain HTTP/1 on the listeners until `shutdown`, then lets open requests finish.
pub async fn serve<H, F>(listeners: Vec<TcpListener>, limits: Limits, handle: H, shutdown: Shutdown)
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let stop = shutdown.clone();
    let connect =
        move |stream, finish| http1_connection(stream, limits, handle.clone(), finish, stop.clone());
    let mut pause = Duration::ZERO;
    if limits.is_bounded {
        pause = Duration::from_secs(1) / BOUNDED_RATE;
        for listener in &listeners {
            // Said again, it replaces the longer one.
            if let Err(error) = rustix::net::listen(listener, BOUNDED_BACKLOG) {
                log::warn!(error:% = error; "can't shorten the queue of a listener");
            }
        }
    }
    accept_paced(listeners, limits.connections, pause, connect, shutdown).await;
}

/// Accepts connections, at most so many at once, and runs what `connect` makes of each, until `shutdown`; then waits a
/// moment for those that are open. A connection is told to finish what is being answered, and to end, by the `Shutdown`
/// that it is given: at the end, and when there are too many.
pub async fn accept<C, F>(listeners: Vec<TcpListener>, most: usize, connect: C, shutdown: Shutdown)
where
    C: Fn(TcpStream, Shutdown) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    accept_paced(listeners, most, Duration::ZERO, connect, shutdown).await;
}

/// The same, with a pause after each connection.
async fn accept_paced<C, F>(
    listeners: Vec<TcpListener>,
    most: usize,
    pause: Duration,
    connect: C,
    mut shutdown: Shutdown,
) where
    C: Fn(TcpStream, Shutdown) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let mut crowd = Crowd::new(most);
    let mut backoff = Duration::ZERO;
    let mut turn = 0;
    loop {
        let accepted = tokio::select! {
            accepted = accept_any(&listeners, &mut turn) => accepted,
            () = shutdown.started() => break,
        };
        let wait = match accepted {
            Ok(stream) => {
                backoff = Duration::ZERO;
                crowd.make_room().await;
                crowd.add(|finish| connect(stream, finish));
                pause
            }
            Err(error) => {
                // Out of descriptors or memory: once a series, not once a try.
                if backoff.is_zero() {
                    log::warn!(error:% = error; "can't accept connections; trying again");
                }
                backoff = (backoff * 2).clamp(Duration::from_millis(10), ACCEPT_BACKOFF_CAP);
                backoff
            }
        };
        if !wait.is_zero() {
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = shutdown.started() => break,
            }
        }
    }
    drop(listeners);
    let _ = tokio::time::timeout(DRAIN, crowd.finish()).await;
}

/// The next connection of any listener; the listeners take turns.
async fn accept_any(listeners: &[TcpListener], turn: &mut usize) -> io::Result<TcpStream> {
    poll_fn(|context| {
        for _ in 0..listeners.len() {
            *turn = (*turn + 1) % listeners.len();
            let ready = listeners.get(*turn).map(|listener| listener.poll_accept(context));
            if let Some(Poll::Ready(accepted)) = ready {
                return Poll::Ready(accepted.map(|(stream, _)| stream));
            }
        }
        Poll::Pending
    })
    .await
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

async fn http1_connection<H, F>(
    stream: TcpStream,
    limits: Limits,
    handle: H,
    finish: Shutdown,
    mut shutdown: Shutdown,
) where
    H: Fn(Request<Incoming>) -> F,
    F: Future<Output = Response<Full<Bytes>>>,
{
    // Whoever has asked nothing yet is waited for, however many there are, and costs no buffers.
    let mut first = [0];
    tokio::select! {
        peeked = tokio::time::timeout(limits.head_time, stream.peek(&mut first)) => match peeked {
            Ok(Ok(1..)) => {}
            _ => return,
        },
        () = shutdown.started() => return,
    }
    // Boxed: what waits is smaller by it.
    if limits.is_bounded {
        Box::pin(http1(Paced::new(stream), limits, handle, finish)).await;
    } else {
        Box::pin(http1(stream, limits, handle, finish)).await;
    }
}

/// A stream that is read once in [`BOUNDED_PAUSE`] at most.
struct Paced {
    stream: TcpStream,
    next: Pin<Box<Sleep>>,
}

impl Paced {
    fn new(stream: TcpStream) -> Self {
        Self { stream, next: Box::pin(tokio::time::sleep(Duration::ZERO)) }
    }
}

impl AsyncRead for Paced {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.next.as_mut().poll(context));
        let read = ready!(Pin::new(&mut self.stream).poll_read(context, buffer));
        let next = Instant::now() + BOUNDED_PAUSE;
        self.next.as_mut().reset(next);
        Poll::Ready(read)
    }
}

impl AsyncWrite for Paced {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Serves HTTP/1 on a stream, until it is told to finish.
pub async fn http1<S, H, F>(stream: S, limits: Limits, handle: H, mut finish: Shutdown)
where
    S: AsyncRead + AsyncWrite + Unpin,
    H: Fn(Request<Incoming>) -> F,
    F: Future<Output = Response<Full<Bytes>>>,
{
    let activity = &Activity::new();
    let service = hyper::service::service_fn(move |request| {
        activity.begin();
        let answer = handle(request);
        async move {
            let answer = answer.await;
            activity.end();
            Ok::<_, Infallible>(answer)
        }
    });
    let mut serving = pin!(
        http1::Builder::new()
            // hyper would set a timer anew for each request: a thousand instructions.
            .header_read_timeout(None)
            // An answer is written at once: nobody need look meanwhile whether the client has gone, for which hyper would take
            // a new buffer for each request.
            .half_close(true)
            .keep_alive(!limits.is_bounded)
            .max_buf_size(limits.head_bytes)
            .serve_connection(TokioIo::new(stream), service)
    );
    let mut looks = tokio::time::interval_at(Instant::now() + limits.head_time, limits.head_time);
    let mut finishing = false;
    loop {
        tokio::select! {
            biased; // What has come already is answered, also where it is time to finish.
            // A broken connection or request is the client's affair: hyper has answered what can be answered.
            _ = serving.as_mut() => return,
            () = finish.started(), if !finishing => {
                finishing = true;
                serving.as_mut().graceful_shutdown();
            }
            _ = looks.tick() => {
                if activity.was_none() {
                    return;
                }
            }
        }
    }
}

/// What has become of a connection since the last look at it.
struct Activity(AtomicU8);

impl Activity {
    const NONE: u8 = 0;
    const ANSWERING: u8 = 1;
    const ANSWERED: u8 = 2;

    fn new() -> Self {
        Self(AtomicU8::new(Self::NONE))
    }

    fn begin(&self) {
        self.0.store(Self::ANSWERING, Relaxed);
    }

    fn end(&self) {
        self.0.store(Self::ANSWERED, Relaxed);
    }

    /// Looks: whether nothing was asked since the last look, and nothing is being answered.
    fn was_none(&self) -> bool {
        self.0.compare_exchange(Self::ANSWERED, Self::NONE, Relaxed, Relaxed) == Err(Self::NONE)
    }
}

#[cfg(test)]
mod tests;
