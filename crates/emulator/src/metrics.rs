//! What `/metrics` tells. Every name and label is listed in `docs/metrics.md`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::StatusCode;
use imds_daemon::metrics::{Counter, Histogram, Kind, Tally, Text};

use crate::clock::Now;
use crate::imds::{Asked, Class, Version};
use crate::imdsv1::Clients;
use crate::refresh::State;

const CLASSES: [(Class, &str); 7] = [
    (Class::Token, "token"),
    (Class::Roles, "roles"),
    (Class::Document, "document"),
    (Class::Versions, "versions"),
    (Class::Container, "container"),
    (Class::Metadata, "metadata"),
    (Class::Other, "other"),
];
const VERSIONS: [(Version, &str); 3] = [(Version::V1, "v1"), (Version::V2, "v2"), (Version::Neither, "none")];
const CODES: [&str; 9] = ["200", "400", "401", "403", "404", "405", "413", "503", "other"];

/// The counters of a process.
#[derive(Debug)]
pub struct Metrics {
    requests: [[[Counter; CODES.len()]; VERSIONS.len()]; CLASSES.len()],
    /// Role names and documents that were read without a session token.
    pub imds_v1: Clients,
    exchanges: Tally<1>,
    exchange_time: Histogram<8>,
    start: SystemTime,
}

impl Metrics {
    /// All at zero.
    pub fn new(start: SystemTime) -> Self {
        Self {
            requests: [const { [const { [const { Counter::new() }; CODES.len()] }; VERSIONS.len()] };
                CLASSES.len()],
            imds_v1: Clients::default(),
            exchanges: Tally::new(),
            exchange_time: Histogram::new([25, 50, 100, 250, 500, 1000, 5000, 15_000]),
            start,
        }
    }

    /// Counts an answered request.
    pub fn answered(&self, asked: Asked, status: StatusCode) {
        let code = match status {
            StatusCode::OK => 0,
            StatusCode::BAD_REQUEST => 1,
            StatusCode::UNAUTHORIZED => 2,
            StatusCode::FORBIDDEN => 3,
            StatusCode::NOT_FOUND => 4,
            StatusCode::METHOD_NOT_ALLOWED => 5,
            StatusCode::PAYLOAD_TOO_LARGE => 6,
            StatusCode::SERVICE_UNAVAILABLE => 7,
            _ => 8,
        };
        let (class, version) = (asked.class as usize, asked.version as usize);
        let counter = self.requests.get(class).and_then(|class| class.get(version)?.get(code));
        counter.into_iter().for_each(Counter::increment);
    }

    /// Counts an exchange with STS.
    pub fn exchanged(&self, outcome: &'static str, time: Duration) {
        self.exchanges.increment([outcome]);
        self.exchange_time.observe(time);
    }

    /// The page.
    pub fn render(&self, state: &State, now: Now) -> String {
        let mut text = Text::default();
        let mut requests = text.family(
            "imds_emulator_requests_total",
            Kind::Counter,
            "Requests answered, by kind of path, IMDS version and status.",
        );
        for (by_version, (_, path)) in self.requests.iter().zip(CLASSES) {
            for (by_code, (_, version)) in by_version.iter().zip(VERSIONS) {
                for (counter, code) in by_code.iter().zip(CODES).filter(|(counter, _)| counter.get() > 0) {
                    requests.sample(&[("path", path), ("version", version), ("code", code)], counter.get());
                }
            }
        }
        let mut reads = text.family(
            "imds_emulator_imdsv1_reads_total",
            Kind::Counter,
            "Role names and documents served without a session token (IMDSv1), by family of client.",
        );
        for (client, count) in self.imds_v1.reads() {
            reads.sample(&[("client", &client)], count);
        }
        text.tally(
            "imds_emulator_sts_exchanges_total",
            "Exchanges with STS, by outcome.",
            ["outcome"],
            &self.exchanges,
        );
        text.histogram(
            "imds_emulator_sts_exchange_duration_seconds",
            "How long exchanges with STS took.",
            &self.exchange_time,
        );
        if let (Some(failure), Some(since)) = (state.failure.as_deref(), state.failing_since) {
            text.family(
                "imds_emulator_sts_failing_since_timestamp_seconds",
                Kind::Gauge,
                "Since when exchanges with STS have failed, by the last outcome; absent after a success.",
            )
            .sample(&[("outcome", failure.kind)], unix_seconds(since));
        }
        let held = state.credentials.as_deref();
        text.family(
            "imds_emulator_credentials_valid",
            Kind::Gauge,
            "1 while valid credentials are served, else 0.",
        )
        .sample(&[], u8::from(held.is_some_and(|held| held.are_valid(now))));
        if let Some(held) = held {
            text.family(
                "imds_emulator_credentials_expiration_timestamp_seconds",
                Kind::Gauge,
                "When the credentials that were last obtained expire, as STS said.",
            )
            .sample(&[], unix_seconds(held.expiration()));
            text.family(
                "imds_emulator_credentials_obtained_timestamp_seconds",
                Kind::Gauge,
                "When an exchange with STS last brought credentials that are served.",
            )
            .sample(&[], unix_seconds(held.obtained()));
        }
        text.family("imds_emulator_build_info", Kind::Gauge, "1; the labels tell the build.")
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
