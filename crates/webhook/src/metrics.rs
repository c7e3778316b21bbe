//! What `/metrics` tells. Every name and label is listed in `docs/metrics.md`.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use imds_daemon::metrics::{Counter, Histogram, Kind, Tally, Text};

use crate::log_limit::RequestLog;
use crate::review::{Outcome, Webhook};

/// Why a Pod is refused, in the words of `Outcome::Refused`. They are shown before they occur, so that the first refusal is
/// an increase.
const REFUSALS: [&str; 12] = [
    "host_network",
    "injected_otherwise",
    "injection_changed",
    "internal",
    "invalid_annotations",
    "malformed",
    "name_taken",
    "native_unsupported",
    "no_role",
    "privileged_port",
    "too_large",
    "windows",
];

/// The counters of a process.
#[derive(Debug)]
pub struct Metrics {
    reviews: Tally<3>,
    unreadable: Counter,
    log: Arc<RequestLog>,
    review_time: Histogram<8>,
    start: SystemTime,
}

impl Metrics {
    /// All at zero.
    pub fn new(start: SystemTime, log: Arc<RequestLog>) -> Self {
        let reviews = Tally::new();
        for reason in REFUSALS {
            reviews.start_at_zero([Webhook::Mutate.name(), "refused", reason]);
        }
        Self {
            reviews,
            unreadable: Counter::new(),
            log,
            review_time: Histogram::new([1, 2, 5, 10, 50, 100, 1000, 5000]),
            start,
        }
    }

    /// Counts an answered review.
    pub fn reviewed(&self, webhook: Webhook, outcome: &Outcome, time: Duration) {
        let [outcome, reason] = outcome.labels();
        self.reviews.increment([webhook.name(), outcome, reason]);
        self.review_time.observe(time);
    }

    /// Counts a request that was no AdmissionReview, or too long or too slow.
    pub fn unreadable(&self) {
        self.unreadable.increment();
    }

    /// The page. `certificate` is the end of the serving certificate, where there is one.
    pub fn render(&self, certificate: Option<SystemTime>) -> String {
        let mut text = Text::default();
        text.tally(
            "imds_webhook_reviews_total",
            "Reviews answered, by webhook, outcome and reason.",
            ["webhook", "outcome", "reason"],
            &self.reviews,
        );
        text.family(
            "imds_webhook_unreadable_requests_total",
            Kind::Counter,
            "Requests that were no AdmissionReview, or too long or too slow.",
        )
        .sample(&[], self.unreadable.get());
        text.family(
            "imds_webhook_log_lines_suppressed_total",
            Kind::Counter,
            "Log lines that requests would have caused beyond the rate that is logged.",
        )
        .sample(&[], self.log.suppressed.get());
        text.histogram(
            "imds_webhook_review_duration_seconds",
            "How long reviews took, from the end of the request to the answer.",
            &self.review_time,
        );
        if let Some(end) = certificate {
            text.family(
                "imds_webhook_certificate_expiration_timestamp_seconds",
                Kind::Gauge,
                "When the serving certificate expires.",
            )
            .sample(&[], unix_seconds(end));
        }
        text.family("imds_webhook_build_info", Kind::Gauge, "1; the labels tell the build.")
            .sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
        text.family(
            "process_start_time_seconds",
            Kind::Gauge,
            "Start time of the process since unix epoch in seconds.",
        )
        .sample(&[], unix_seconds(self.start));
        text.into_string()
    }
}

fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests;
