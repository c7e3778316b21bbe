//! Between hyper and [`imds`](crate::imds): what is read of a request, and how an answer is written.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use imds_daemon::server::{Body, read_body};

use crate::admin::{Admin, STARTED};
use crate::clock::Clock;
use crate::imds::{Answer, ContentType, Imds, Request as ImdsRequest};
use crate::metrics::Metrics;
use crate::refresh::View;

const TOKEN: &str = "x-aws-ec2-metadata-token";
const TOKEN_TTL: &str = "x-aws-ec2-metadata-token-ttl-seconds";
const SERVER: HeaderValue = HeaderValue::from_static("EC2ws");
const PLAIN: HeaderValue = HeaderValue::from_static("text/plain");
const HTML: HeaderValue = HeaderValue::from_static("text/html");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const NO_RANGES: HeaderValue = HeaderValue::from_static("none");

/// A token request has no body; some clients send an empty one in chunks, and some announce one and send none.
const BODY_LIMIT: usize = 1024;
const BODY_TIME: Duration = Duration::from_millis(200);

/// What the IMDS listener knows.
#[derive(Debug)]
pub struct Service<C> {
    /// The service.
    pub imds: Imds,
    /// What the refresh loop knows.
    pub view: View,
    /// The counters.
    pub metrics: Arc<Metrics>,
    /// The clock.
    pub clock: C,
    /// Whether the Pod's other containers may start is asked here too: strangers can keep the admin listener from answering.
    pub admin: Arc<Admin<C>>,
}

impl<C: Clock> Service<C> {
    /// Answers a request, never waiting for anything but the request's own body.
    pub async fn respond(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let request = read(&head);
        let now = self.clock.now();
        let credentials = self.view.credentials(now);
        let (asked, mut answer) = self.imds.respond(&request, credentials.as_deref(), now);
        if !answer.status.is_success() && is_gate(&head) {
            return self.admin.respond(&Request::from_parts(head, ()));
        }
        // No request means anything by its body; it is read so that a client that waits for "100 Continue" gets it.
        let mut close = false;
        if !hyper::body::Body::is_end_stream(&body) {
            match read_body(body, BODY_LIMIT, BODY_TIME).await {
                Body::Whole(_) => {}
                Body::TooLong => answer = Answer::too_long(),
                Body::Unfinished => close = true,
            }
        }
        self.metrics.answered(asked, answer.status);
        if asked.is_v1_read() && answer.status.is_success() {
            self.count_v1_read(head.headers.get(header::USER_AGENT).map(HeaderValue::as_bytes));
        }
        log::trace!(path = head.uri.path(), status = answer.status.as_u16(); "answered {}", head.method);
        let mut response = write(answer, &head.method);
        if close {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    /// Said once for each family of clients: the rest is in the metrics.
    fn count_v1_read(&self, user_agent: Option<&[u8]>) {
        if let Some(client) = self.metrics.imds_v1.count(user_agent) {
            let full = String::from_utf8_lossy(user_agent.unwrap_or_default());
            log::info!(
                client = client.as_str(), user_agent = &*imds_contract::excerpt(&full);
                "a client reads credentials by IMDSv1: with http-tokens required it would be refused"
            );
        }
    }
}

/// Whether it is `imds-emulator --wait` that asks. Nothing of IMDS is there, and browsers and proxies, which IMDS has guards
/// against, always say for which host they ask.
fn is_gate(head: &Parts) -> bool {
    head.uri.path() == STARTED && head.method == Method::GET && head.headers.is_empty()
}

/// One look at each of the few headers is cheaper than a search for each that matters. Of several of a name the first counts.
fn read(head: &Parts) -> ImdsRequest<'_> {
    let mut request = ImdsRequest::new(&head.method, head.uri.path());
    request.host = head.uri.authority().map(|authority| authority.as_str().as_bytes());
    for (name, value) in &head.headers {
        let field = match name.as_str() {
            "host" => &mut request.host,
            "authorization" => &mut request.authorization,
            TOKEN => &mut request.token,
            TOKEN_TTL => &mut request.ttl,
            "x-forwarded-for" => {
                request.forwarded = true;
                continue;
            }
            _ => continue,
        };
        field.get_or_insert(value.as_bytes());
    }
    request
}

/// Writes an answer with the headers of the real service; hyper adds `Date` and `Content-Length`.
fn write(answer: Answer, method: &Method) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(answer.body));
    *response.status_mut() = answer.status;
    let headers = response.headers_mut();
    headers.insert(header::SERVER, SERVER);
    match answer.content_type {
        ContentType::Plain => headers.insert(header::CONTENT_TYPE, PLAIN),
        ContentType::Html => headers.insert(header::CONTENT_TYPE, HTML),
        ContentType::Json => headers.insert(header::CONTENT_TYPE, JSON),
    };
    if answer.status.is_success() && *method != Method::PUT {
        headers.insert(header::ACCEPT_RANGES, NO_RANGES);
    }
    if let Some(time) = answer.last_modified {
        headers.insert(header::LAST_MODIFIED, time);
    }
    if let Some(seconds) = answer.token_ttl {
        headers.insert(HeaderName::from_static(TOKEN_TTL), seconds.into());
    }
    if let Some(allow) = answer.allow {
        headers.insert(header::ALLOW, HeaderValue::from_static(allow));
    }
    response
}
