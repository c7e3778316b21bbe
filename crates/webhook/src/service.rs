//! Between hyper and [`review`](crate::review): what is read of a request, how it is answered, counted and logged.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Body as _, Incoming};
use imds_daemon::server::{Body, read_body};
use imds_inject::{ServerVersion, Settings};
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use crate::metrics::Metrics;
use crate::review::{Outcome, Subject, Webhook, review};

/// The API server takes objects of up to 3 MiB, and a review may hold more than one.
const BODY_LIMIT: usize = 4 * 1024 * 1024;

/// What is counted of memory for bodies, in bytes.
const UNIT: usize = 64 * 1024;
/// 64 MiB: sixteen of the longest reviews at once, a thousand of the usual ones.
pub const ROOM: usize = 1024;
/// How long a review waits for others to make room.
const ROOM_TIME: Duration = Duration::from_secs(2);

/// Well below the API server's own limit, 10 s by default.
const BODY_TIME: Duration = Duration::from_secs(4);

/// What the webhook knows.
#[derive(Debug)]
pub struct Service {
    /// The operator's settings.
    pub settings: Settings,
    /// The API server's version, once it is known.
    pub server_version: watch::Receiver<Option<ServerVersion>>,
    /// What the bodies that are being read and reviewed may take of memory together: a permit for each 64 KiB.
    pub room: Semaphore,
    /// The counters.
    pub metrics: Arc<Metrics>,
}

impl Service {
    /// Answers a request.
    pub async fn respond(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path();
        let Some(webhook) = Webhook::ALL.into_iter().find(|webhook| webhook.path() == path) else {
            return text(StatusCode::NOT_FOUND, "paths: /mutate /lint\n".to_owned());
        };
        if request.method() != Method::POST {
            let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, "POST only\n".to_owned());
            refused.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
            return refused;
        }
        let announced = request.body().size_hint().upper().and_then(|bytes| usize::try_from(bytes).ok());
        let units = announced.unwrap_or(BODY_LIMIT).min(BODY_LIMIT) / UNIT + 1;
        let room = self.room.acquire_many(u32::try_from(units).unwrap_or(u32::MAX));
        let Ok(Ok(_room)) = tokio::time::timeout(ROOM_TIME, room).await else {
            return self.unreadable(StatusCode::SERVICE_UNAVAILABLE, "too many reviews at once");
        };
        let body = match read_body(request.into_body(), BODY_LIMIT, BODY_TIME).await {
            Body::Whole(body) => body,
            Body::TooLong => return self.unreadable(StatusCode::PAYLOAD_TOO_LARGE, "the body is over 4 MiB"),
            Body::Unfinished => {
                return self.unreadable(StatusCode::REQUEST_TIMEOUT, "the body did not come within 4 s");
            }
        };
        let begun = Instant::now();
        let server = *self.server_version.borrow();
        match review(&body, webhook, &self.settings, server) {
            Ok(reviewed) => {
                self.metrics.reviewed(webhook, &reviewed.outcome, begun.elapsed());
                log_outcome(webhook, &reviewed.outcome, &reviewed.subject);
                let mut answer = Response::new(Full::new(reviewed.body.into()));
                let json = HeaderValue::from_static("application/json");
                answer.headers_mut().insert(header::CONTENT_TYPE, json);
                answer
            }
            Err(error) => self.unreadable(StatusCode::BAD_REQUEST, &error.to_string()),
        }
    }

    fn unreadable(&self, status: StatusCode, why: &str) -> Response<Full<Bytes>> {
        self.metrics.unreadable();
        log::warn!(status = status.as_u16(); "can't read a request: {why}");
        text(status, format!("{why}\n"))
    }
}

/// What changed a Pod or stopped it is of interest; the rest is not.
fn log_outcome(webhook: Webhook, outcome: &Outcome, subject: &Subject) {
    let Subject { uid, namespace, name } = subject;
    let (webhook, [_, reason]) = (webhook.name(), outcome.labels());
    match outcome {
        Outcome::Injected { what } => log::info!(webhook, namespace, pod = name, uid; "{what}"),
        Outcome::Refused { message, .. } => {
            log::info!(webhook, namespace, pod = name, uid, reason; "refused: {message}");
        }
        Outcome::Warned { message, .. } => {
            log::info!(webhook, namespace, pod = name, uid, reason; "warned: {message}");
        }
        Outcome::Skipped { .. } => log::debug!(webhook, namespace, pod = name, uid, reason; "left as it is"),
    }
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response
}
