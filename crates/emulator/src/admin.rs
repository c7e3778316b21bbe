//! Health and metrics, on every address of the Pod. Holds no way to a credential's secret.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use tokio::sync::watch;

use crate::clock::{Clock, Now};
use crate::metrics::Metrics;
use crate::refresh::State;

/// What the admin listener knows.
#[derive(Debug)]
pub struct Admin<C> {
    /// What the refresh loop knows.
    pub state: watch::Receiver<State>,
    /// The counters.
    pub metrics: Arc<Metrics>,
    /// The clock.
    pub clock: C,
    /// When the process started.
    pub start: Now,
    /// How long the Pod's other containers are held back at most.
    pub start_timeout: Duration,
}

impl<C: Clock> Admin<C> {
    /// Answers a request.
    pub fn respond<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, "GET and HEAD only\n".into());
            refused.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refused;
        }
        let now = self.clock.now();
        match request.uri().path() {
            "/livez" => text(StatusCode::OK, "alive\n".into()),
            "/readyz" => self.health(now, false),
            "/startupz" => self.health(now, true),
            "/metrics" => self.metrics(now),
            _ => text(StatusCode::NOT_FOUND, "paths: /livez /readyz /startupz /metrics\n".into()),
        }
    }

    /// Ready while valid credentials are served; at the start also once the others were held back long enough.
    fn health(&self, now: Now, starting: bool) -> Response<Full<Bytes>> {
        let state = self.state.borrow();
        let left = state.credentials.as_ref().map(|held| held.remaining(now));
        let waited = now.boot.saturating_sub(self.start.boot);
        let (status, mut body) = match left {
            Some(left) if !left.is_zero() => {
                (StatusCode::OK, format!("ready: credentials are valid for {} s\n", left.as_secs()))
            }
            // Once started, always started: what happens later is /readyz's affair.
            Some(_) if starting => {
                (StatusCode::OK, "started; the credentials have expired since\n".to_owned())
            }
            Some(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, "not ready: the credentials have expired\n".to_owned())
            }
            None if starting && waited >= self.start_timeout => {
                (StatusCode::OK, format!("started without credentials after {} s\n", waited.as_secs()))
            }
            None => (StatusCode::SERVICE_UNAVAILABLE, "not ready: no credentials yet\n".to_owned()),
        };
        if let Some(failure) = &state.failure {
            let _ = writeln!(body, "last exchange failed: {failure}");
        }
        text(status, body)
    }

    fn metrics(&self, now: Now) -> Response<Full<Bytes>> {
        let mut page = text(StatusCode::OK, self.metrics.render(&self.state.borrow(), now));
        let content_type = HeaderValue::from_static(imds_daemon::metrics::CONTENT_TYPE);
        page.headers_mut().insert(header::CONTENT_TYPE, content_type);
        page
    }
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let content_type = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}
