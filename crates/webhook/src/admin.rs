//! Health and metrics of the webhook.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use imds_daemon::admin::{self, Page};
use imds_inject::ServerVersion;
use tokio::sync::watch;

use crate::certificate::Serving;
use crate::metrics::Metrics;

/// What the admin listener knows.
#[derive(Debug)]
pub struct Admin {
    /// The certificate that is served.
    pub certificate: Arc<Serving>,
    /// The API server's version, where injection depends on it.
    pub server_version: Option<watch::Receiver<Option<ServerVersion>>>,
    /// The counters.
    pub metrics: Arc<Metrics>,
    /// Whether the program was told to stop.
    pub stopping: watch::Receiver<bool>,
}

impl Admin {
    /// Answers a request.
    pub fn respond<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        admin::respond(request, "/livez /readyz /metrics", |path| match path {
            "/livez" => Some(Page::Health { well: true, text: "alive\n".to_owned() }),
            "/readyz" => Some(self.ready()),
            "/metrics" => Some(Page::Metrics(self.metrics.render(self.certificate.expires()))),
            _ => None,
        })
    }

    fn ready(&self) -> Page {
        let version_known = self.server_version.as_ref().is_none_or(|version| version.borrow().is_some());
        let missing = if *self.stopping.borrow() {
            "told to stop"
        } else if !self.certificate.is_loaded() {
            "no certificate yet"
        } else if !version_known {
            "the API server's version is not known yet"
        } else {
            return Page::Health { well: true, text: "ready\n".to_owned() };
        };
        Page::Health { well: false, text: format!("not ready: {missing}\n") }
    }
}
