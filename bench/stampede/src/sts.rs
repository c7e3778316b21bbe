//! STS as many Pods see it: one account, one region.

use std::ops::Range;
use std::time::Duration;

use fastrand::Rng;
use imds_sts::FailureKind;

/// Seconds that an answer is on its way, there and back.
const WAY: Range<f64> = 0.020..0.080;
/// How long the emulator's client waits for an answer (`imds_sts::Timeouts`).
const PATIENCE: Duration = Duration::from_secs(15);

/// What STS does in a case.
#[derive(Debug, Clone, Default)]
pub(crate) struct Terms {
    /// Requests a second that are answered; as many may come at once after a quiet second. `None`: all are.
    pub(crate) limit: Option<u32>,
    /// What those who are beyond the limit are told to wait.
    pub(crate) retry_after: Option<Duration>,
    /// When nothing is answered.
    pub(crate) outage: Option<Range<Duration>>,
    /// In the outage: no answer at all, so that each client waits as long as it can bear; else it is refused at once.
    pub(crate) hangs: bool,
}

/// Why a request brought no credentials.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Refusal {
    pub(crate) kind: FailureKind,
    pub(crate) retry_after: Option<Duration>,
}

/// See the module. The limit is a bucket of tokens, as such limits mostly are; how AWS's works is not published.
pub(crate) struct Sts {
    terms: Terms,
    tokens: f64,
    filled: Duration,
}

impl Sts {
    pub(crate) fn new(terms: Terms) -> Self {
        let tokens = terms.limit.map_or(0.0, f64::from);
        Self { terms, tokens, filled: Duration::ZERO }
    }

    /// What comes of a request of `now`, and how long it takes. Time never goes back from call to call.
    pub(crate) fn ask(&mut self, now: Duration, rng: &mut Rng) -> (Result<(), Refusal>, Duration) {
        let way = Duration::from_secs_f64(WAY.start + (WAY.end - WAY.start) * rng.f64());
        let refused = |kind, retry_after| Err(Refusal { kind, retry_after });
        if self.terms.outage.as_ref().is_some_and(|outage| outage.contains(&now)) {
            let (kind, took) =
                if self.terms.hangs { (FailureKind::Timeout, PATIENCE) } else { (FailureKind::Connect, way) };
            return (refused(kind, None), took);
        }
        if self.has_room(now) {
            (Ok(()), way)
        } else {
            (refused(FailureKind::Throttled, self.terms.retry_after), way)
        }
    }

    fn has_room(&mut self, now: Duration) -> bool {
        let Some(limit) = self.terms.limit.map(f64::from) else { return true };
        self.tokens = (self.tokens + now.saturating_sub(self.filled).as_secs_f64() * limit).min(limit);
        self.filled = now;
        let enough = self.tokens >= 1.0;
        self.tokens -= f64::from(u8::from(enough));
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_are_answered_as_the_limit_says() {
        let mut rng = Rng::with_seed(1);
        let mut sts = Sts::new(Terms { limit: Some(50), ..Terms::default() });
        let mut answered = |second: u64| {
            let now = Duration::from_secs(second);
            (0..1000).filter(|_| sts.ask(now, &mut rng).0.is_ok()).count()
        };
        assert_eq!([answered(0), answered(1), answered(9)], [50, 50, 50]);
    }

    #[test]
    fn nobody_is_answered_in_an_outage() {
        let outage = Some(Duration::from_secs(10)..Duration::from_secs(20));
        let mut sts = Sts::new(Terms { outage, hangs: true, ..Terms::default() });
        let mut ask = |second| sts.ask(Duration::from_secs(second), &mut Rng::with_seed(1));
        assert!(ask(9).0.is_ok());
        assert_eq!(ask(10).1, PATIENCE);
        assert!(ask(20).0.is_ok());
    }
}
