//! When to ask STS. Pure: the loop in `refresh.rs` does what this says.
//!
//! The rule (why 25 minutes: botocore stretches what has less left, s3fs and the Java SDK refetch at every request): a
//! session of one hour is refreshed when half of its life is still ahead, at a moment drawn for each refresh so that Pods
//! born together drift apart. Failures wait longer and longer, most of it at random, up to a cap by kind of failure; who
//! still has credentials leaves STS to those who have none. What thousands of Pods make of it: `docs/scale.md`.

use std::time::{Duration, SystemTime};

use imds_sts::Remedy;

use crate::clock::Now;

/// No sleep is longer, so that a clock step or a suspended machine is noticed.
pub const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// A refresh falls due when this share of the life has passed; drawn evenly between the two.
const REFRESH_SHARE: std::ops::Range<f64> = 0.40..0.50;

/// A wait is drawn evenly between these parts of its full length, so that Pods which failed together do not come back together.
/// From nought on it would be more even still, but who draws short waits in a row is soon at the longest (docs/adr/0015).
const DRAWN: std::ops::Range<f64> = 1.0 / 3.0..1.0;

/// What the loop does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Ask STS now.
    Exchange,
    /// Sleep, then ask this module again.
    Wait(Duration),
}

/// When the next exchange is due, and how many have failed since the last success.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    due: Now,
    failures: u32,
}

impl Schedule {
    /// At the start: due at once.
    pub fn new() -> Self {
        Self { due: Now { wall: SystemTime::UNIX_EPOCH, boot: Duration::ZERO }, failures: 0 }
    }

    /// What to do at `now`. Due is what either clock says is due: boot time does not see a frozen machine, wall time
    /// may be set back.
    pub fn next(&self, now: Now) -> Step {
        let by_wall = self.due.wall.duration_since(now.wall).unwrap_or_default();
        let left = by_wall.min(self.due.boot.saturating_sub(now.boot));
        if left.is_zero() { Step::Exchange } else { Step::Wait(left.min(LONGEST_SLEEP)) }
    }

    /// After credentials with this life arrived at `now`, of which so much is left. `random` is even in 0..1.
    pub fn succeeded(life: Duration, left: Duration, now: Now, random: f64) -> Self {
        let share = REFRESH_SHARE.start + (REFRESH_SHARE.end - REFRESH_SHARE.start) * random;
        // Counted from their end: what was lost on the way is lost before the refresh, not after it.
        let due = left.saturating_sub(life.mul_f64(1.0 - share));
        // However short a life STS gives, it is not asked more than once a second.
        Self { due: later(now, due.max(Duration::from_secs(1))), failures: 0 }
    }

    /// After a failure at `now`, when so much is `left` of the credentials that are held. `retry_after` is what STS asked for;
    /// `random` is even in 0..1.
    #[must_use]
    pub fn failed(
        &self,
        remedy: Remedy,
        retry_after: Option<Duration>,
        left: Duration,
        now: Now,
        random: f64,
    ) -> Self {
        let wait = backoff(remedy, self.failures, retry_after, left, random);
        Self { due: later(now, wait), failures: self.failures.saturating_add(1) }
    }

    /// Failures since the last success.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// How long until the next exchange is due.
    pub fn wait(&self, now: Now) -> Duration {
        self.due.boot.saturating_sub(now.boot)
    }
}

impl Default for Schedule {
    fn default() -> Self {
        Self::new()
    }
}

/// The wait before try number `failures + 1`: doubling from a first wait up to a cap, at least a third of it.
fn backoff(
    remedy: Remedy,
    failures: u32,
    retry_after: Option<Duration>,
    left: Duration,
    random: f64,
) -> Duration {
    let (first, cap) = match remedy {
        Remedy::Retry | Remedy::RereadToken => (Duration::from_secs(1), Duration::from_secs(30)),
        Remedy::Wait => (Duration::from_secs(4), Duration::from_mins(1)),
        // IAM takes seconds to minutes to spread a change; a wrong setting takes a person.
        Remedy::GiveUpSlowly => (Duration::from_secs(5), Duration::from_mins(5)),
    };
    // A tenth of what is left costs nobody anything. Where STS has too much to do, it is left at once to those with less.
    let patience = (left / 10).min(Duration::from_mins(5));
    let first = if remedy == Remedy::Wait { first.max(patience) } else { first };
    let cap = cap.max(patience);
    // A server's own word is taken, within reason. It is the same for all: our own wait comes on top, and is as wide.
    let named = retry_after.unwrap_or_default().min(Duration::from_mins(5));
    let full = first.saturating_mul(2_u32.saturating_pow(failures)).max(named).min(cap);
    named + full.mul_f64(DRAWN.start + (DRAWN.end - DRAWN.start) * random)
}

fn later(now: Now, wait: Duration) -> Now {
    Now { wall: now.wall + wait, boot: now.boot + wait }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOUR: Duration = Duration::from_hours(1);

    fn at(seconds: u64) -> Now {
        let boot = Duration::from_secs(seconds);
        Now { wall: SystemTime::UNIX_EPOCH + Duration::from_hours(500_000) + boot, boot }
    }

    #[test]
    fn asks_at_once_at_the_start() {
        assert_eq!(Schedule::new().next(at(0)), Step::Exchange);
    }

    #[test]
    fn refreshes_an_hours_session_with_at_least_half_an_hour_left() {
        for random in [0.0, 0.3, 0.999] {
            let schedule = Schedule::succeeded(HOUR, HOUR, at(0), random);
            let due = (0..3600).find(|second| schedule.next(at(*second)) == Step::Exchange).unwrap();
            assert!((24 * 60..=30 * 60).contains(&due), "{due}");
        }
    }

    #[test]
    fn what_was_lost_on_the_way_is_not_lost_to_those_who_read() {
        let late = |left| {
            let schedule = Schedule::succeeded(HOUR, Duration::from_mins(left), at(0), 0.5);
            schedule.wait(at(0)).as_secs()
        };
        assert_eq!(late(60) - late(50), 600, "refreshed with as much left as ever");
        assert_eq!(late(20), 1, "less than that is left already");
    }

    #[test]
    fn sleeps_are_short_enough_to_notice_a_clock_step() {
        let schedule = Schedule::succeeded(HOUR, HOUR, at(0), 0.5);
        assert_eq!(schedule.next(at(0)), Step::Wait(LONGEST_SLEEP));
        let thawed = Now { wall: at(7200).wall, boot: at(10).boot };
        assert_eq!(schedule.next(thawed), Step::Exchange, "frozen for two hours: boot time did not move");
        let set_back = Now { wall: at(0).wall - HOUR * 24, boot: at(1800).boot };
        assert_eq!(schedule.next(set_back), Step::Exchange, "wall clock set back a day");
    }

    /// The shortest and the longest wait, in milliseconds.
    fn between(remedy: Remedy, failures: u32, retry_after: Option<u64>, left: Duration) -> [u128; 2] {
        let after = retry_after.map(Duration::from_secs);
        [0.0, 1.0].map(|random| backoff(remedy, failures, after, left, random).as_millis())
    }

    #[test]
    fn a_server_that_names_a_time_is_waited_for_within_reason() {
        let none = Duration::ZERO;
        assert_eq!(between(Remedy::Wait, 0, Some(1), none), [2_333, 5_000]);
        assert_eq!(between(Remedy::Wait, 0, Some(24), none), [32_000, 48_000], "not all at the same moment");
        assert_eq!(between(Remedy::Wait, 9, Some(86_400), none), [320_000, 360_000]);
        let soon = Schedule::new().failed(Remedy::Wait, Some(Duration::from_secs(24)), none, at(0), 0.0);
        assert_eq!(soon.wait(at(0)).as_secs(), 32);
    }

    #[test]
    fn who_has_credentials_leaves_sts_to_those_who_have_none() {
        let half_an_hour = Duration::from_mins(30);
        assert_eq!(between(Remedy::Wait, 0, None, Duration::ZERO), [1_333, 4_000]);
        assert_eq!(
            between(Remedy::Wait, 0, None, half_an_hour),
            [60_000, 180_000],
            "throttled: a tenth of it at once"
        );
        assert_eq!(between(Remedy::Wait, 9, None, half_an_hour), [60_000, 180_000]);
        assert_eq!(between(Remedy::Retry, 0, None, half_an_hour), [333, 1_000], "one failure says little");
        assert_eq!(between(Remedy::Retry, 9, None, half_an_hour), [60_000, 180_000]);
        assert_eq!(between(Remedy::Retry, 9, None, Duration::from_hours(6)), [100_000, 300_000]);
    }

    proptest! {
        #[test]
        fn waits_grow_to_a_cap_and_never_vanish(
            failures in 0..100_u32, left in 0..50_000_u64, random in 0.0..1.0_f64,
        ) {
            let left = Duration::from_secs(left);
            for (remedy, cap) in [
                (Remedy::Retry, 30), (Remedy::RereadToken, 30), (Remedy::Wait, 60), (Remedy::GiveUpSlowly, 300),
            ] {
                let wait = backoff(remedy, failures, None, left, random);
                prop_assert!(wait >= Duration::from_millis(250));
                prop_assert!(wait <= Duration::from_secs(cap).max(left / 10));
                prop_assert!(backoff(remedy, failures + 1, None, left, random) >= wait);
            }
        }
    }
}
