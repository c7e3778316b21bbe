//! Bounds how many log lines requests cause: whoever reaches the port could fill the node's disk, and hide what others did.
//!
//! A token bucket for each kind of line. What is left out is counted, and said in a line of its own once in a while.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use imds_daemon::metrics::Counter;
use log::Level;
use tokio::time::Instant;

/// Lines a second, and at once after a quiet time: a rollout of a hundred Pods is logged whole.
const RATE: f64 = 20.0;
const BURST: f64 = 100.0;
/// From one line about lines that were left out to the next.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// The budgets of log lines that requests cause, each on its own: nonsense does not use up that of reviews.
#[derive(Debug, Default)]
pub struct RequestLog {
    /// Lines about answered reviews.
    pub reviews: Budget,
    /// Lines about what could not be read, TLS handshakes included.
    pub unreadable: Budget,
    /// Lines that were left out.
    pub suppressed: Counter,
}

/// One token bucket.
#[derive(Debug, Default)]
pub struct Budget(Mutex<Option<Bucket>>);

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    filled: Instant,
    suppressed: u64,
    reported: Instant,
}

/// What becomes of a line.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    Write,
    /// After a line that says how many were left out.
    WriteAfterReport {
        suppressed: u64,
    },
    Suppress,
}

impl RequestLog {
    /// Whether a line of this level may be written now. Lines that the log's level leaves out anyway cost nothing.
    pub fn permits(&self, budget: &Budget, level: Level) -> bool {
        if level > log::max_level() {
            return false;
        }
        match budget.take(Instant::now()) {
            Line::Write => true,
            Line::WriteAfterReport { suppressed } => {
                log::warn!(lines = suppressed; "requests caused more log lines than {RATE} a second: some were left out");
                true
            }
            Line::Suppress => {
                self.suppressed.increment();
                false
            }
        }
    }
}

impl Budget {
    fn take(&self, now: Instant) -> Line {
        let mut bucket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        bucket.get_or_insert_with(|| Bucket::full(now)).take(now)
    }
}

impl Bucket {
    fn full(now: Instant) -> Self {
        Self { tokens: BURST, filled: now, suppressed: 0, reported: now }
    }

    fn take(&mut self, now: Instant) -> Line {
        let elapsed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.tokens = (self.tokens + elapsed * RATE).min(BURST);
        self.filled = now;
        if self.tokens < 1.0 {
            self.suppressed += 1;
            return Line::Suppress;
        }
        self.tokens -= 1.0;
        if self.suppressed == 0 || now.saturating_duration_since(self.reported) < REPORT_INTERVAL {
            return Line::Write;
        }
        self.reported = now;
        Line::WriteAfterReport { suppressed: std::mem::take(&mut self.suppressed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The two minutes in which a stranger once wrote 58,000 lines.
    #[tokio::test(start_paused = true)]
    async fn a_flood_is_cut_to_the_rate_and_what_is_left_out_is_said() {
        let budget = Budget::default();
        let (mut written, mut suppressed, mut reported, mut reports) = (0, 0, 0, 0);
        for _ in 0..58_000 {
            match budget.take(Instant::now()) {
                Line::Write => written += 1,
                Line::WriteAfterReport { suppressed } => {
                    written += 1;
                    reports += 1;
                    reported += suppressed;
                }
                Line::Suppress => suppressed += 1,
            }
            tokio::time::advance(Duration::from_micros(2069)).await;
        }
        assert!((2450..=2520).contains(&written), "{written}");
        assert_eq!(written + suppressed, 58_000);
        assert!((11..=12).contains(&reports), "{reports}");
        tokio::time::advance(Duration::from_mins(1)).await;
        let Line::WriteAfterReport { suppressed: last } = budget.take(Instant::now()) else {
            panic!("not reported")
        };
        assert_eq!(reported + last, suppressed, "every line that was left out is reported");
        assert_eq!(budget.take(Instant::now()), Line::Write, "it is said once");
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_slowly_is_all_written() {
        let budget = Budget::default();
        for _ in 0..1000 {
            assert_eq!(budget.take(Instant::now()), Line::Write);
            tokio::time::advance(Duration::from_millis(51)).await;
        }
        for _ in 0..100 {
            assert_eq!(budget.take(Instant::now()), Line::Write, "a burst");
        }
        assert_eq!(budget.take(Instant::now()), Line::Suppress);
    }
}
