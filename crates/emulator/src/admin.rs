//! Health and metrics, on every address of the Pod. Holds no way to a credential's secret.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use imds_contract::Start;
use imds_daemon::admin::{self, Page};

use crate::clock::{Clock, Now};
use crate::metrics::Metrics;
use crate::refresh::View;

/// The page that says whether the Pod's other containers may start. IMDS's own listeners have it too.
pub const STARTED: &str = "/startupz";

/// What the admin listener knows.
#[derive(Debug)]
pub struct Admin<C> {
    /// What the refresh loop knows.
    pub view: View,
    /// The counters.
    pub metrics: Arc<Metrics>,
    /// The clock.
    pub clock: C,
    /// When the process started.
    pub started: Now,
    /// Whether the Pod's other containers start without credentials.
    pub start: Start,
    /// How long they are held back at most, where they do.
    pub start_timeout: Duration,
}

impl<C: Clock> Admin<C> {
    /// Answers a request.
    pub fn respond<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        let now = self.clock.now();
        admin::respond(request, "/livez /readyz /startupz /metrics", |path| match path {
            "/livez" => Some(Page::Health { well: true, text: "alive\n".to_owned() }),
            "/readyz" => Some(self.health(now, false)),
            STARTED => Some(self.health(now, true)),
            "/metrics" => Some(Page::Metrics(self.metrics.render(&self.view.state(), now))),
            _ => None,
        })
    }

    /// Ready while valid credentials are served; at the start also once the others were held back long enough.
    fn health(&self, now: Now, starting: bool) -> Page {
        let state = self.view.state();
        let left = state.credentials.as_ref().map(|held| held.remaining(now));
        let waited = now.boot.saturating_sub(self.started.boot);
        let (well, mut text) = match left {
            Some(left) if !left.is_zero() => {
                (true, format!("ready: credentials are valid for {} s\n", left.as_secs()))
            }
            // Once started, always started: what happens later is /readyz's affair.
            Some(_) if starting => (true, "started; the credentials have expired since\n".to_owned()),
            Some(_) => (false, "not ready: the credentials have expired\n".to_owned()),
            None if starting && self.start == Start::Always && waited >= self.start_timeout => {
                (true, format!("started without credentials after {} s\n", waited.as_secs()))
            }
            None => (false, "not ready: no credentials yet\n".to_owned()),
        };
        if let Some(failure) = &state.failure {
            let _ = writeln!(text, "last exchange failed: {failure}");
        }
        Page::Health { well, text }
    }
}
