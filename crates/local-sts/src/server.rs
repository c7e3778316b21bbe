//! HTTP: connections, routes, and the faults that are no answer at all. The only place that asks the clock.
//!
//! | request | answer |
//! |---|---|
//! | `POST /` | `AssumeRoleWithWebIdentity`, `AssumeRole` |
//! | `GET /.well-known/openid-configuration`, `GET /openid/v1/jwks` | its own issuer's documents |
//! | `POST /_local/fault` (a word of [`Fault`]) | sets the fault |
//! | `POST /_local/token/rotate` | mints a new token into the token file |
//! | `GET /_local/exchanges` | what became of each request for credentials, as JSON |

use std::fmt;
use std::future::{pending, poll_fn};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::server::TlsStream;

use crate::door::Door;
use crate::exchange::Exchange;
use crate::fault::Fault;
use crate::issuer::{CONFIGURATION_PATH, JWKS_PATH};
use crate::projection::Projected;
use crate::request::Form;
use crate::sts::{Posted, Reply, Sts};
use crate::tls::Tls;

/// More than the longest token, form-encoded, and everything beside it.
const LONGEST_BODY: usize = 128 * 1024;

/// For the whole body of a request.
const BODY_TIME: Duration = Duration::from_secs(10);

/// After a failed `accept`.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

pub(crate) struct Server {
    pub(crate) door: Door,
    /// Absent where plain HTTP is spoken.
    pub(crate) tls: Option<Tls>,
    pub(crate) sts: Sts,
    pub(crate) projected: Option<Projected>,
    pub(crate) exchanges: Mutex<Vec<Exchange>>,
    pub(crate) fault: Mutex<CurrentFault>,
}

/// The fault, and the task that will end it.
#[derive(Default)]
pub(crate) struct CurrentFault {
    fault: Fault,
    end: Option<AbortHandle>,
}

/// An end of a connection that is no HTTP answer.
#[derive(Debug)]
enum Broken {
    Reset,
    FirstHalf(Bytes),
}

type Answered = Result<Response<Full<Bytes>>, Broken>;

/// This moment.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place of this program that asks; the rest take it as an argument"
)]
pub(crate) fn now() -> SystemTime {
    SystemTime::now()
}

impl Server {
    /// Accepts connections for ever; dropping this future ends them all.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.door.accept() => match accepted {
                    Ok(stream) => {
                        connections.spawn(Arc::clone(&self).connection(stream));
                    }
                    Err(error) => {
                        log::warn!(error:% = error; "can't accept a connection; trying again");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
            }
        }
    }

    /// Keeps the token file fresh for ever; its first token must be there already.
    pub(crate) async fn keep_token_fresh(self: Arc<Self>) {
        let Some(projected) = &self.projected else { return };
        let mut renewal = Ok(());
        loop {
            tokio::time::sleep(projected.wait_after(&renewal)).await;
            renewal = projected.renew(&self.sts.issuer, now());
            match &renewal {
                Ok(()) => log::info!("renewed the token"),
                Err(error) => log::warn!(error:% = error; "can't renew the token; trying again"),
            }
        }
    }

    /// Mints a new token into the token file.
    pub(crate) fn rotate_token(&self) -> io::Result<()> {
        let projected = self
            .projected
            .as_ref()
            .ok_or_else(|| io::Error::new(io::ErrorKind::Unsupported, "there is no token file"))?;
        projected.renew(&self.sts.issuer, now())
    }

    /// Sets the fault; a closed listener is closed, or opened, when this returns.
    pub(crate) fn set_fault(self: &Arc<Self>, fault: Fault) {
        let mut current = lock(&self.fault);
        if let Some(end) = current.end.take() {
            end.abort();
        }
        match &fault {
            Fault::Refuse(lasts) => {
                self.door.shut();
                current.end = lasts.map(|lasts| self.end_fault_after(lasts));
            }
            _ => self.door.open(),
        }
        log::info!(fault:% = fault; "fault set");
        current.fault = fault;
    }

    fn end_fault_after(self: &Arc<Self>, time: Duration) -> AbortHandle {
        let server = Arc::downgrade(self);
        let end = async move {
            tokio::time::sleep(time).await;
            if let Some(server) = server.upgrade() {
                server.set_fault(Fault::None);
            }
        };
        self.door.runtime().spawn(end).abort_handle()
    }

    async fn connection(self: Arc<Self>, stream: TcpStream) {
        // Answers are small and written at once: waiting to fill a segment would only delay them.
        let _ = stream.set_nodelay(true);
        match &self.tls {
            None => self.serve(stream).await,
            Some(tls) => match tls.acceptor().accept(stream).await {
                Ok(stream) => self.serve(stream).await,
                Err(error) => log::info!(error:% = error; "a client broke off the TLS handshake"),
            },
        }
    }

    async fn serve<S: Stream>(self: &Arc<Self>, stream: S) {
        let service = service_fn(|request| Box::pin(Arc::clone(self).respond(request)));
        let mut connection =
            http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service);
        let served = poll_fn(|context| connection.poll_without_shutdown(context)).await;
        let mut stream = connection.into_parts().io.into_inner();
        let broken = served.as_ref().err().and_then(std::error::Error::source);
        // What fails from here on is a client that has gone.
        let _ = match broken.and_then(|broken| broken.downcast_ref()) {
            Some(Broken::Reset) => stream.tcp().set_zero_linger(),
            Some(Broken::FirstHalf(bytes)) => match stream.write_all(bytes).await {
                Ok(()) => stream.shutdown().await,
                Err(error) => Err(error),
            },
            None => stream.shutdown().await,
        };
    }

    async fn respond(self: Arc<Self>, request: Request<Incoming>) -> Answered {
        let (head, body) = request.into_parts();
        let reading = Limited::new(body, LONGEST_BODY).collect();
        let Ok(Ok(body)) = tokio::time::timeout(BODY_TIME, reading).await else {
            return Ok(plain(StatusCode::PAYLOAD_TOO_LARGE, "the body is too long, or came too slowly\n"));
        };
        let body = body.to_bytes();
        Ok(match (&head.method, head.uri.path()) {
            (&Method::POST, "/") => {
                let is_form = head.headers.get(header::CONTENT_TYPE).is_some_and(is_form);
                return self.exchange(&head, if is_form { &body } else { &[] }).await;
            }
            (&Method::GET, CONFIGURATION_PATH) => json("application/json", &self.sts.issuer.configuration()),
            (&Method::GET, JWKS_PATH) => json("application/jwk-set+json", &self.sts.issuer.jwks()),
            (&Method::POST, "/_local/fault") => self.control_fault(&body),
            (&Method::POST, "/_local/token/rotate") => match self.rotate_token() {
                Ok(()) => plain(StatusCode::OK, "rotated\n"),
                Err(error) => plain(StatusCode::CONFLICT, format!("can't rotate: {error}\n")),
            },
            (&Method::GET, "/_local/exchanges") => {
                json("application/json", &lock(&self.exchanges).iter().map(Exchange::to_json).collect())
            }
            _ => plain(StatusCode::NOT_FOUND, "no such page; an STS request is POST /\n"),
        })
    }

    async fn exchange(&self, head: &Parts, body: &[u8]) -> Answered {
        let form = Form::read(body);
        let fault = lock(&self.fault).fault.clone();
        let mut rest = &fault;
        while let Fault::Latency { wait, then } = rest {
            tokio::time::sleep(*wait).await;
            rest = then;
        }
        let now = now();
        let (reply, outcome) = self.sts.exchange(&Posted { form: &form, head, body }, rest, now);
        log::info!(
            outcome:% = outcome, role = form.role_arn.as_deref().unwrap_or("-"),
            session = form.session_name.as_deref().unwrap_or("-"); "{}", form.action.as_deref().unwrap_or("no action")
        );
        lock(&self.exchanges).push(Exchange {
            time: now,
            outcome,
            action: form.action,
            role: form.role_arn,
            session_name: form.session_name,
            duration: form.duration,
        });
        match reply {
            Reply::Answer(answer) => Ok(answer.into_response(now)),
            Reply::FirstHalf(answer) => Err(Broken::FirstHalf(answer.into_first_half())),
            Reply::Reset => Err(Broken::Reset),
            Reply::Hang => pending().await,
        }
    }

    fn control_fault(self: &Arc<Self>, body: &[u8]) -> Response<Full<Bytes>> {
        match String::from_utf8_lossy(body).trim_end().parse() {
            // Nobody could come and end it.
            Ok(Fault::Refuse(None)) => plain(StatusCode::BAD_REQUEST, "here, say for how long: refuse=10s\n"),
            Ok(fault) => {
                let answer = plain(StatusCode::OK, format!("{fault}\n"));
                self.set_fault(fault);
                answer
            }
            Err(error) => plain(StatusCode::BAD_REQUEST, format!("{error}\n")),
        }
    }
}

/// What a connection runs over.
trait Stream: AsyncRead + AsyncWrite + Unpin {
    /// The connection itself, under TLS or not.
    fn tcp(&self) -> &TcpStream;
}

impl Stream for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Stream for TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("broken off on request")
    }
}

impl std::error::Error for Broken {}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_form(content_type: &HeaderValue) -> bool {
    let media_type = content_type.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
    media_type.trim_ascii().eq_ignore_ascii_case(b"application/x-www-form-urlencoded")
}

fn json(content_type: &'static str, value: &serde_json::Value) -> Response<Full<Bytes>> {
    typed(StatusCode::OK, content_type, value.to_string())
}

fn plain(status: StatusCode, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    typed(status, "text/plain; charset=utf-8", text)
}

fn typed(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
