//! One exchange over one connection, within one deadline. No retry, no pool, no redirect: what is not an answer of the
//! endpoint itself is a [`Failure`].

use std::error::Error as _;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCEPT, CONNECTION, CONTENT_TYPE, DATE, HOST, HeaderName, HeaderValue, PROXY_AUTHORIZATION, RETRY_AFTER,
    USER_AGENT,
};
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

use crate::failure::{Failure, FailureKind};
use crate::name::addresses;
use crate::response::{Answer, LONGEST_BODY, Reply, decode};
use crate::{Endpoint, Proxy, Request as StsRequest, Scheme, Secret, Trust, request, sign};

const PRODUCT: HeaderValue = HeaderValue::from_static(concat!("imds-emulator/", env!("CARGO_PKG_VERSION")));

/// AWS's id of a request, in an answer.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");

/// hyper's bound on the head of an answer, and on how much of a body it reads at once, in bytes.
const BUFFER: usize = 16 * 1024;

/// Room for an answer of STS's usual length, in bytes.
const USUAL_BODY: usize = 4 * 1024;

/// What a client needs to know.
#[derive(Debug)]
pub struct ClientSettings {
    /// Whom to ask.
    pub endpoint: Endpoint,
    /// The region that a signed request is for; see [`EndpointSettings`](crate::EndpointSettings).
    pub signing_region: String,
    /// Through whom; see [`variables`](crate::proxy::variables).
    pub proxy: Option<Proxy>,
    /// Whose certificates are trusted.
    pub trust: Trust,
    /// How long to wait.
    pub timeouts: Timeouts,
}

/// How long to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection to one address of the host; then the next address is tried.
    pub address: Duration,
    /// For the whole exchange.
    pub exchange: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { address: Duration::from_secs(3), exchange: Duration::from_secs(15) }
    }
}

/// A client of one STS endpoint.
#[derive(Debug)]
pub struct Client {
    settings: ClientSettings,
}

impl Client {
    /// A client; nothing is opened yet.
    pub fn new(settings: ClientSettings) -> Self {
        Self { settings }
    }

    /// Whom it asks.
    pub fn endpoint(&self) -> &Endpoint {
        &self.settings.endpoint
    }

    /// Asks once. Needs a tokio runtime with I/O and time.
    pub async fn ask(&self, request: StsRequest<'_>) -> Result<Answer, Failure> {
        let deadline = Deadline::after(self.settings.timeouts.exchange);
        let stream = self.connect(deadline).await?;
        let what = format!("ask {}", self.endpoint());
        let form = request.form();
        let signature = match &request {
            StsRequest::WebIdentity(_) => Vec::new(),
            StsRequest::Role(role) => {
                sign::headers(role, self.endpoint(), &self.settings.signing_region, form.as_bytes())?
            }
        };
        let mut message = self.message(form).map_err(|error| not_sendable(&what, &error))?;
        message.headers_mut().extend(signature);
        let received = deadline.keep(&what, exchange(stream, message, &what)).await?;
        received.decode(&request)
    }

    /// A stream on which the endpoint's HTTP is spoken.
    async fn connect(&self, deadline: Deadline) -> Result<Stream, Failure> {
        let ClientSettings { endpoint, proxy, trust, timeouts, signing_region: _ } = &self.settings;
        let (host, port, whom) = match proxy {
            Some(proxy) => (proxy.host(), proxy.port(), format!("the proxy {proxy}")),
            None => (endpoint.host(), endpoint.port(), endpoint.host_and_port()),
        };
        let what = format!("connect to {whom}");
        let tcp = deadline.keep(&what, dial(host, port, timeouts.address, &what)).await?;
        match (endpoint.scheme(), proxy) {
            (Scheme::Http, _) => Ok(Box::new(tcp)),
            (Scheme::Https, None) => {
                // A name server may have led to another host.
                let at = tcp.peer_addr().map(|address| format!(" at {address}")).unwrap_or_default();
                self.handshake(Box::new(tcp), &at, trust, deadline).await
            }
            (Scheme::Https, Some(proxy)) => {
                let what = format!("get through {whom} to {}", endpoint.host_and_port());
                let message = self.connect_message(proxy).map_err(|error| not_sendable(&what, &error))?;
                let tunnel = deadline.keep(&what, tunnel(Box::new(tcp), message, &what)).await?;
                self.handshake(tunnel, "", trust, deadline).await
            }
        }
    }

    /// `at` says which address was reached, where that is known.
    async fn handshake(
        &self,
        stream: Stream,
        at: &str,
        trust: &Trust,
        deadline: Deadline,
    ) -> Result<Stream, Failure> {
        let what = format!("set up TLS with {}{at}", self.endpoint().host_and_port());
        let config =
            trust.client_config().map_err(|error| Failure::new(FailureKind::Trust, error.to_string()))?;
        let failed = |why: &str| Failure::new(FailureKind::Tls, format!("could not {what}: {why}"));
        let name = ServerName::try_from(self.endpoint().host().to_owned())
            .map_err(|error| failed(&error.to_string()))?;
        let connector = TlsConnector::from(Arc::new(config));
        let handshake = async {
            connector.connect(name, stream).await.map_err(|error| {
                let trusted = format_args!("{trust}; AWS_CA_BUNDLE names another PEM file");
                failed(&imds_tls::handshake_in_words(&error, trusted))
            })
        };
        Ok(Box::new(deadline.keep(&what, handshake).await?))
    }

    fn message(&self, form: Zeroizing<String>) -> Result<Request<Full<Bytes>>, http::Error> {
        let ClientSettings { endpoint, proxy, .. } = &self.settings;
        // A proxy that reads along is told the whole URL. RFC 9112, 3.2.2.
        let proxy = proxy.as_ref().filter(|_| endpoint.scheme() == Scheme::Http);
        let target = if proxy.is_some() { endpoint.url() } else { endpoint.path().to_owned() };
        let mut message = Request::post(target)
            .header(HOST, endpoint.authority())
            .header(USER_AGENT, PRODUCT)
            .header(ACCEPT, "text/xml, application/xml")
            .header(CONTENT_TYPE, request::CONTENT_TYPE)
            .header(CONNECTION, "close")
            .body(Full::new(Bytes::from_owner(form)))?;
        authorize(message.headers_mut(), proxy)?;
        Ok(message)
    }

    fn connect_message(&self, proxy: &Proxy) -> Result<Request<Full<Bytes>>, http::Error> {
        let target = self.endpoint().host_and_port();
        let mut message = Request::builder()
            .method(Method::CONNECT)
            .uri(target.parse::<Uri>()?)
            .header(HOST, target)
            .header(USER_AGENT, PRODUCT)
            .body(Full::default())?;
        authorize(message.headers_mut(), Some(proxy))?;
        Ok(message)
    }
}

/// The end of an exchange, on the monotonic clock.
#[derive(Debug, Clone, Copy)]
struct Deadline {
    at: Instant,
    after: Duration,
}

impl Deadline {
    fn after(after: Duration) -> Self {
        Self { at: Instant::now() + after, after }
    }

    /// Ends `step` with a failure that says what took too long.
    async fn keep<T>(self, what: &str, step: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        timeout_at(self.at, step).await.unwrap_or_else(|_| {
            let message = format!("could not {what} within {}", humantime::format_duration(self.after));
            Err(Failure::new(FailureKind::Timeout, message))
        })
    }
}

/// Plain or TLS, direct or tunnelled. One type, so that the HTTP client is compiled in once.
type Stream = Box<dyn ReadWrite>;

trait ReadWrite: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> ReadWrite for T {}

/// Connects to a host, by name or by address.
async fn dial(host: &str, port: u16, patience: Duration, what: &str) -> Result<TcpStream, Failure> {
    let failed = |kind, why: &str| Failure::new(kind, format!("could not {what}: {why}"));
    let addresses =
        addresses(host, port).await.map_err(|error| failed(FailureKind::Resolve, &error.to_string()))?;
    if addresses.is_empty() {
        return Err(failed(FailureKind::Resolve, "the name has no address"));
    }
    let stream = first_reachable(&addresses, patience)
        .await
        .map_err(|refusals| failed(FailureKind::Connect, &refusals.join("; ")))?;
    // The form may take more than one segment; the last must not wait for the first one's ACK.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

/// Tries each address in turn; what each said, if none is reached.
async fn first_reachable(addresses: &[SocketAddr], patience: Duration) -> Result<TcpStream, Vec<String>> {
    let mut refusals = Vec::new();
    for address in addresses {
        match timeout(patience, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => refusals.push(format!("{address}: {error}")),
            Err(_) => refusals
                .push(format!("{address}: no connection within {}", humantime::format_duration(patience))),
        }
    }
    Err(refusals)
}

/// Has an HTTP proxy open a tunnel.
async fn tunnel(stream: Stream, message: Request<Full<Bytes>>, what: &str) -> Result<Stream, Failure> {
    let (mut sender, connection) =
        http().handshake(TokioIo::new(stream)).await.map_err(|error| broken(what, &error))?;
    let ask = async {
        let answer = sender.send_request(message).await.map_err(|error| broken(what, &error))?;
        let kind = match answer.status() {
            status if status.is_success() => {
                return hyper::upgrade::on(answer).await.map_err(|error| broken(what, &error));
            }
            StatusCode::TOO_MANY_REQUESTS => FailureKind::Connect,
            status if status.is_client_error() => FailureKind::ProxyDenied,
            _ => FailureKind::Connect,
        };
        Err(Failure::new(kind, format!("could not {what}: it answered {}", answer.status())))
    };
    let upgraded = alongside(connection.with_upgrades(), ask).await?;
    Ok(Box::new(TokioIo::new(upgraded)))
}

/// Sends the message and reads the answer.
async fn exchange(stream: Stream, message: Request<Full<Bytes>>, what: &str) -> Result<Received, Failure> {
    let (mut sender, connection) =
        http().handshake(TokioIo::new(stream)).await.map_err(|error| broken(what, &error))?;
    let ask = async {
        let answer = sender.send_request(message).await.map_err(|error| broken(what, &error))?;
        let (head, body) = answer.into_parts();
        let (body, end) = read(body).await;
        match end {
            // An error's status says enough even when its body breaks off.
            Err(error) if head.status.is_success() => Err(broken(what, &error)),
            _ => Ok(Received { status: head.status, headers: head.headers, body }),
        }
    };
    alongside(connection, ask).await
}

/// An answer as it came.
struct Received {
    status: StatusCode,
    headers: HeaderMap,
    body: Zeroizing<Vec<u8>>,
}

impl Received {
    fn decode(&self, request: &StsRequest<'_>) -> Result<Answer, Failure> {
        let header = |name: HeaderName| self.headers.get(name)?.to_str().ok();
        let reply = Reply {
            status: self.status.as_u16(),
            date: header(DATE),
            retry_after: header(RETRY_AFTER),
            request_id: header(REQUEST_ID),
            body: &self.body,
        };
        decode(request, &reply)
    }
}

/// Reads a body, up to where it is surely too long, and says how it ended.
async fn read(mut body: Incoming) -> (Zeroizing<Vec<u8>>, Result<(), hyper::Error>) {
    let mut bytes = Zeroizing::new(Vec::with_capacity(USUAL_BODY));
    while bytes.len() <= LONGEST_BODY {
        match body.frame().await {
            Some(Ok(frame)) => bytes.extend_from_slice(frame.data_ref().map_or(&[], Bytes::as_ref)),
            Some(Err(error)) => return (bytes, Err(error)),
            None => break,
        }
    }
    (bytes, Ok(()))
}

/// hyper splits a client in two futures; this drives the connection for as long as the exchange on it takes.
async fn alongside<T>(connection: impl Future, exchange: impl Future<Output = T>) -> T {
    let mut connection = pin!(connection);
    let mut exchange = pin!(exchange);
    let mut connected = true;
    poll_fn(|context| {
        // How the connection ended is told to the exchange.
        connected = connected && connection.as_mut().poll(context).is_pending();
        exchange.as_mut().poll(context)
    })
    .await
}

fn http() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.max_buf_size(BUFFER);
    builder
}

fn authorize(headers: &mut HeaderMap, proxy: Option<&Proxy>) -> Result<(), http::Error> {
    if let Some(authorization) = proxy.and_then(Proxy::authorization).map(Secret::expose) {
        let mut value = HeaderValue::from_str(authorization)?;
        value.set_sensitive(true);
        headers.insert(PROXY_AUTHORIZATION, value);
    }
    Ok(())
}

fn not_sendable(what: &str, error: &http::Error) -> Failure {
    Failure::new(FailureKind::Connect, format!("could not {what}: {error}"))
}

/// What hyper says, with its causes.
fn broken(what: &str, error: &hyper::Error) -> Failure {
    let mut why = error.to_string();
    let mut kind = if error.is_parse() { FailureKind::UnusableAnswer } else { FailureKind::Connect };
    let mut source = error.source();
    while let Some(cause) = source {
        let tls = cause.downcast_ref().and_then(imds_tls::error_of);
        why = format!("{why}: {}", tls.map_or_else(|| cause.to_string(), imds_tls::in_words));
        if tls.is_some() {
            kind = FailureKind::Tls;
        }
        source = cause.source();
    }
    Failure::new(kind, format!("could not {what}: {why}"))
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpSocket;

    use super::*;

    #[tokio::test]
    async fn an_address_that_refuses_or_is_mute_does_not_hide_the_next() {
        let bind = || {
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
            socket
        };
        let refusing = bind().local_addr().unwrap();
        // Linux drops what comes when the backlog is full: to the client it looks like a lost packet.
        let full = bind().listen(0).unwrap();
        let mute = full.local_addr().unwrap();
        let _waiting = TcpStream::connect(mute).await.unwrap();
        let patience = Duration::from_millis(100);

        let refusals = first_reachable(&[refusing, mute], patience).await.unwrap_err();
        assert_eq!(
            refusals,
            [
                format!("{refusing}: Connection refused (os error 111)"),
                format!("{mute}: no connection within 100ms")
            ]
        );

        let good = bind().listen(1).unwrap();
        let addresses = [refusing, mute, good.local_addr().unwrap()];
        let stream = first_reachable(&addresses, patience).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), addresses[2]);
    }
}
