//! What is counted, second by second.

use std::time::Duration;

/// What every served document is to have left, for clients that can't live with less (`docs/clients.md`).
const FRESH: Duration = Duration::from_mins(25);

/// What one Pod serves: since when, and until when. Nothing yet where both are its birth.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held {
    since: Duration,
    end: Duration,
}

impl Held {
    pub(crate) fn nothing_since(birth: Duration) -> Self {
        Self { since: birth, end: birth }
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Measures {
    lasts: Duration,
    /// Requests that STS saw in each second.
    requests: Vec<u32>,
    /// By how many more Pods are without credentials after each second.
    more_without: Vec<i32>,
    refused: u32,
    pods: u32,
    longest_without: Duration,
    without_at_the_end: u32,
    /// Pods times seconds with a document, and with one that has less left than is to be.
    served: f64,
    stale: f64,
}

impl Measures {
    pub(crate) fn new(lasts: Duration) -> Self {
        let seconds = second(lasts) + 1;
        Self {
            lasts,
            requests: vec![0; seconds],
            more_without: vec![0; seconds],
            refused: 0,
            pods: 0,
            longest_without: Duration::ZERO,
            without_at_the_end: 0,
            served: 0.0,
            stale: 0.0,
        }
    }

    /// A Pod asks STS.
    pub(crate) fn asked(&mut self, at: Duration, answered: bool) {
        if let Some(requests) = self.requests.get_mut(second(at)) {
            *requests += 1;
        }
        self.refused += u32::from(!answered);
    }

    /// A Pod has new credentials.
    pub(crate) fn obtained(&mut self, held: &mut Held, now: Duration, end: Duration) {
        self.account(*held, now.min(self.lasts));
        *held = Held { since: now, end };
    }

    /// Nothing more happens to a Pod.
    pub(crate) fn ended(&mut self, held: Held) {
        self.account(held, self.lasts);
        self.pods += 1;
        self.without_at_the_end += u32::from(held.end < self.lasts);
    }

    /// Counts what a Pod served, and when it served nothing, from `held.since` until `now`.
    fn account(&mut self, held: Held, now: Duration) {
        let until = held.end.min(now);
        let stale_since = held.end.saturating_sub(FRESH).max(held.since);
        self.served += until.saturating_sub(held.since).as_secs_f64();
        self.stale += until.saturating_sub(stale_since).as_secs_f64();
        let without = now.saturating_sub(held.end);
        self.longest_without = self.longest_without.max(without);
        // What is over within the second is no gap that a picture shows.
        if second(held.end) < second(now) {
            for (moment, change) in [(held.end, 1), (now, -1)] {
                if let Some(more) = self.more_without.get_mut(second(moment)) {
                    *more += change;
                }
            }
        }
    }

    /// Requests in the busiest second from `from` on.
    pub(crate) fn peak(&self, from: Duration) -> u32 {
        self.requests.iter().skip(second(from)).copied().max().unwrap_or_default()
    }

    /// Requests of a Pod that brought nothing, on the average.
    pub(crate) fn refused_a_pod(&self) -> f64 {
        f64::from(self.refused) / f64::from(self.pods.max(1))
    }

    /// The longest time that a Pod was without credentials, and whether some Pod still is.
    pub(crate) fn longest_without(&self) -> (Duration, bool) {
        (self.longest_without, self.without_at_the_end > 0)
    }

    /// Of the documents that are read at any time, the share with less than 25 minutes left.
    pub(crate) fn stale_share(&self) -> f64 {
        if self.served > 0.0 { self.stale / self.served } else { 0.0 }
    }

    /// Requests in each second.
    pub(crate) fn requests(&self) -> Vec<u32> {
        self.requests.clone()
    }

    /// Pods without credentials, after each second.
    pub(crate) fn without(&self) -> Vec<u32> {
        let mut pods = 0_i32;
        let mut after = |more: &i32| {
            pods += more;
            pods.unsigned_abs()
        };
        self.more_without.iter().map(&mut after).collect()
    }
}

fn second(time: Duration) -> usize {
    usize::try_from(time.as_secs()).unwrap_or(usize::MAX)
}
