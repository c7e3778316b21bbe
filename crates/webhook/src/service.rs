//! Between hyper and [`review`](crate::review): what is read of a request, how it is answered, counted and logged.

use std::sync::Arc;

use http::header::{self, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use imds_inject::{ServerVersion, Settings};
use log::Level;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::answer::{Answer, AnswerRoom};
use crate::body::{Bodies, Unread};
use crate::log_limit::RequestLog;
use crate::metrics::Metrics;
use crate::review::{Outcome, Subject, Webhook, review};

/// What the webhook knows.
#[derive(Debug)]
pub struct Service {
    /// The operator's settings.
    pub settings: Settings,
    /// The API server's version, once it is known.
    pub server_version: watch::Receiver<Option<ServerVersion>>,
    /// The bodies that are being read and reviewed.
    pub bodies: Bodies,
    /// The answers that are being sent.
    pub answers: AnswerRoom,
    /// What may be logged of requests.
    pub log: Arc<RequestLog>,
    /// The counters.
    pub metrics: Arc<Metrics>,
}

impl Service {
    /// Answers a request.
    pub async fn respond(&self, request: Request<Incoming>) -> Response<Answer> {
        let path = request.uri().path();
        let Some(webhook) = Webhook::ALL.into_iter().find(|webhook| webhook.path() == path) else {
            return text(StatusCode::NOT_FOUND, "paths: /mutate /lint\n".to_owned());
        };
        if request.method() != Method::POST {
            let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, "POST only\n".to_owned());
            refused.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
            return refused;
        }
        let body = match self.bodies.read(request.into_body()).await {
            Ok(body) => body,
            Err(Unread::TooLong) => {
                return self.unreadable(StatusCode::PAYLOAD_TOO_LARGE, "the body is over 4 MiB");
            }
            Err(Unread::Unfinished) => {
                return self.unreadable(StatusCode::REQUEST_TIMEOUT, "the body did not come within 4 s");
            }
            Err(Unread::NoRoom) => {
                return self.unreadable(StatusCode::SERVICE_UNAVAILABLE, "too many long reviews at once");
            }
        };
        let begun = Instant::now();
        let server = *self.server_version.borrow();
        match review(&body.bytes, webhook, &self.settings, server) {
            Ok(reviewed) => {
                self.metrics.reviewed(webhook, &reviewed.outcome, begun.elapsed());
                log_outcome(&self.log, webhook, &reviewed.outcome, &reviewed.subject);
                let Some(body) = self.answers.answer(reviewed.body) else {
                    return self
                        .unreadable(StatusCode::SERVICE_UNAVAILABLE, "too many long answers are not read");
                };
                let mut answer = Response::new(body);
                let json = HeaderValue::from_static("application/json");
                answer.headers_mut().insert(header::CONTENT_TYPE, json);
                answer
            }
            Err(error) => self.unreadable(StatusCode::BAD_REQUEST, &error.to_string()),
        }
    }

    fn unreadable(&self, status: StatusCode, why: &str) -> Response<Answer> {
        self.metrics.unreadable();
        if self.log.permits(&self.log.unreadable, Level::Warn) {
            log::warn!(status = status.as_u16(); "can't read a request: {why}");
        }
        text(status, format!("{why}\n"))
    }
}

/// What changed a Pod or stopped it is of interest; the rest is not.
fn log_outcome(log: &RequestLog, webhook: Webhook, outcome: &Outcome, subject: &Subject) {
    let level = if matches!(outcome, Outcome::Skipped { .. }) { Level::Debug } else { Level::Info };
    if !log.permits(&log.reviews, level) {
        return;
    }
    let Subject { uid, namespace, name } = subject;
    let (webhook, [_, reason]) = (webhook.name(), outcome.labels());
    match outcome {
        Outcome::Injected { what } | Outcome::Completed { what } => {
            log::info!(webhook, namespace, pod = name, uid; "{what}");
        }
        Outcome::Refused { message, .. } => {
            log::info!(webhook, namespace, pod = name, uid, reason; "refused: {message}");
        }
        Outcome::Warned { message, .. } => {
            log::info!(webhook, namespace, pod = name, uid, reason; "warned: {message}");
        }
        Outcome::Skipped { .. } => log::debug!(webhook, namespace, pod = name, uid, reason; "left as it is"),
    }
}

fn text(status: StatusCode, body: String) -> Response<Answer> {
    let mut response = Response::new(Answer::sentence(body));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response
}
