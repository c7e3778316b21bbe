//! Prometheus metrics: counters and histograms of fixed shape, and the text exposition format.
//! Source: "Exposition formats", Prometheus documentation, version 0.0.4.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The `Content-Type` of [`Text`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// A counter at zero.
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Adds one.
    pub fn increment(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    /// The number so far.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Counters by label values that are words of the program's own, few and not known beforehand. Kept under a lock: for
/// what happens now and then, not at every request.
#[derive(Debug)]
pub struct Tally<const N: usize>(Mutex<BTreeMap<[&'static str; N], u64>>);

impl<const N: usize> Tally<N> {
    /// Nothing counted.
    pub const fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    /// Shows these label values from the start, at zero: what only appears with its first event is no increase to
    /// Prometheus.
    pub fn start_at_zero(&self, labels: [&'static str; N]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(labels).or_default();
    }

    /// Adds one for these label values.
    pub fn increment(&self, labels: [&'static str; N]) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(labels).or_default() += 1;
    }
}

impl<const N: usize> Default for Tally<N> {
    fn default() -> Self {
        Self::new()
    }
}

/// A distribution of durations over fixed buckets.
#[derive(Debug)]
pub struct Histogram<const N: usize> {
    /// Upper bounds in milliseconds, ascending; the last bucket, `+Inf`, is not among them.
    bounds: [u32; N],
    buckets: [AtomicU64; N],
    count: AtomicU64,
    microseconds: AtomicU64,
}

impl<const N: usize> Histogram<N> {
    /// An empty histogram with these upper bounds in milliseconds, ascending.
    pub const fn new(bounds: [u32; N]) -> Self {
        Self {
            bounds,
            buckets: [const { AtomicU64::new(0) }; N],
            count: AtomicU64::new(0),
            microseconds: AtomicU64::new(0),
        }
    }

    /// Counts one duration.
    pub fn observe(&self, duration: Duration) {
        let reached = self.bounds.iter().position(|bound| duration <= Duration::from_millis((*bound).into()));
        if let Some(bucket) = reached.and_then(|index| self.buckets.get(index)) {
            bucket.fetch_add(1, Relaxed);
        }
        self.count.fetch_add(1, Relaxed);
        self.microseconds.fetch_add(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX), Relaxed);
    }
}

/// What kind of metric a family is.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
}

/// A page in the text exposition format, written family by family.
#[derive(Debug, Default)]
pub struct Text(String);

impl Text {
    /// Begins a family; its samples follow.
    pub fn family(&mut self, name: &'static str, kind: Kind, help: &'static str) -> Family<'_> {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        self.header(name, kind, help);
        Family { text: self, name }
    }

    /// Writes a whole tally, a counter.
    pub fn tally<const N: usize>(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: [&'static str; N],
        tally: &Tally<N>,
    ) {
        let mut family = self.family(name, Kind::Counter, help);
        for (values, count) in tally.0.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let pairs: Vec<(&str, &str)> = labels.iter().copied().zip(values.iter().copied()).collect();
            family.sample(&pairs, count);
        }
    }

    /// Writes a whole histogram, in seconds.
    pub fn histogram<const N: usize>(&mut self, name: &str, help: &str, histogram: &Histogram<N>) {
        self.header(name, "histogram", help);
        let mut total = 0;
        for (bound, bucket) in histogram.bounds.iter().zip(&histogram.buckets) {
            total += bucket.load(Relaxed);
            let seconds = f64::from(*bound) / 1000.0;
            let _ = writeln!(self.0, "{name}_bucket{{le=\"{seconds}\"}} {total}");
        }
        let count = histogram.count.load(Relaxed);
        let sum = Duration::from_micros(histogram.microseconds.load(Relaxed)).as_secs_f64();
        let _ =
            writeln!(self.0, "{name}_bucket{{le=\"+Inf\"}} {count}\n{name}_sum {sum}\n{name}_count {count}");
    }

    /// The page.
    pub fn into_string(self) -> String {
        self.0
    }

    fn header(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }
}

/// One family of a [`Text`].
#[derive(Debug)]
pub struct Family<'a> {
    text: &'a mut Text,
    name: &'static str,
}

impl Family<'_> {
    /// Writes a sample with these labels. Label values must need no escaping: they are words of our own.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) -> &mut Self {
        self.text.0.push_str(self.name);
        for (index, (name, label)) in labels.iter().enumerate() {
            let _ = write!(self.text.0, "{}{name}=\"{label}\"", if index == 0 { '{' } else { ',' });
        }
        let _ = writeln!(self.text.0, "{} {value}", if labels.is_empty() { "" } else { "}" });
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_the_exposition_format() {
        let requests = Counter::new();
        requests.increment();
        let latency = Histogram::new([5, 100]);
        for milliseconds in [1, 5, 50, 5000] {
            latency.observe(Duration::from_millis(milliseconds));
        }
        let outcomes = Tally::new();
        outcomes.start_at_zero(["bad", "never"]);
        outcomes.start_at_zero(["good", ""]);
        outcomes.increment(["good", ""]);
        outcomes.increment(["bad", "late"]);
        outcomes.increment(["good", ""]);
        outcomes.start_at_zero(["good", ""]);
        let mut text = Text::default();
        text.tally("x_outcomes_total", "Outcomes.", ["outcome", "reason"], &outcomes);
        text.family("x_requests_total", Kind::Counter, "Requests.")
            .sample(&[("path", "token"), ("code", "200")], requests.get());
        text.family("x_up", Kind::Gauge, "Up.").sample(&[], 1);
        text.histogram("x_seconds", "Latency.", &latency);
        assert_eq!(
            text.into_string(),
            "# HELP x_outcomes_total Outcomes.\n# TYPE x_outcomes_total counter\n\
             x_outcomes_total{outcome=\"bad\",reason=\"late\"} 1\n\
             x_outcomes_total{outcome=\"bad\",reason=\"never\"} 0\n\
             x_outcomes_total{outcome=\"good\",reason=\"\"} 2\n\
             # HELP x_requests_total Requests.\n# TYPE x_requests_total counter\n\
             x_requests_total{path=\"token\",code=\"200\"} 1\n\
             # HELP x_up Up.\n# TYPE x_up gauge\nx_up 1\n\
             # HELP x_seconds Latency.\n# TYPE x_seconds histogram\n\
             x_seconds_bucket{le=\"0.005\"} 2\nx_seconds_bucket{le=\"0.1\"} 3\nx_seconds_bucket{le=\"+Inf\"} 4\n\
             x_seconds_sum 5.056\nx_seconds_count 4\n"
        );
    }
}
