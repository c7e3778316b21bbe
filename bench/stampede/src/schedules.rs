//! The schedules that a Pod may go by: the emulator's own, called as its refresh loop calls it, and those of others.

use std::time::{Duration, SystemTime};

use imds_emulator::clock::Now;
use imds_emulator::credentials::Credentials;
use imds_emulator::schedule::{self, Step};
use imds_sts::{Answer, Secret};

use crate::sts::Refusal;

const HOUR: Duration = Duration::from_hours(1);
const MINUTE: Duration = Duration::from_mins(1);

/// How one Pod keeps its credentials fresh. Times count from the beginning of the case.
pub(crate) trait Schedule {
    /// Credentials came at `now` by a request of `begun`. They are served until the moment that is returned.
    fn succeeded(&mut self, begun: Duration, now: Duration, random: f64) -> Duration;

    /// There came none. `random` is even in 0..1.
    fn failed(&mut self, refusal: Refusal, now: Duration, random: f64);

    /// When the next exchange begins, said at `now`.
    fn next(&self, now: Duration) -> Duration;
}

/// The emulator's.
pub(crate) struct Emulator {
    schedule: schedule::Schedule,
    end: Duration,
}

impl Emulator {
    pub(crate) fn new() -> Self {
        Self { schedule: schedule::Schedule::new(), end: Duration::ZERO }
    }
}

impl Schedule for Emulator {
    fn succeeded(&mut self, begun: Duration, now: Duration, random: f64) -> Duration {
        let (asked, clocks) = (HOUR, at(now));
        let Some(credentials) = Credentials::new(&answer(begun, now, asked), asked, at(begun), clocks) else {
            // Never: an answer of an hour is on its way for some milliseconds.
            return now;
        };
        let left = credentials.remaining(clocks);
        self.schedule = schedule::Schedule::succeeded(credentials.life(), left, clocks, random);
        self.end = now + left;
        self.end
    }

    fn failed(&mut self, refusal: Refusal, now: Duration, random: f64) {
        let Refusal { kind, retry_after } = refusal;
        let left = self.end.saturating_sub(now);
        self.schedule = self.schedule.failed(kind.remedy(), retry_after, left, at(now), random);
    }

    fn next(&self, mut now: Duration) -> Duration {
        while let Step::Wait(time) = self.schedule.next(at(now)) {
            now += time;
        }
        now
    }
}

/// Asked for again at a fixed time before the end, and after every failure in the same way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fixed {
    session: Duration,
    before_end: Duration,
    /// To this wait after a failure comes a random part of `jitter`.
    wait: Duration,
    jitter: Duration,
    next: Duration,
}

impl Fixed {
    const PLAIN: Self = Self {
        session: HOUR,
        before_end: Duration::from_mins(5),
        wait: MINUTE,
        jitter: Duration::ZERO,
        next: Duration::ZERO,
    };

    /// Five minutes before the end: AWS's `rolesanywhere-credential-helper`.
    pub(crate) fn late() -> Self {
        Self::PLAIN
    }

    /// A quarter of an hour before the end: the advisory window of botocore.
    pub(crate) fn early() -> Self {
        Self { before_end: Duration::from_mins(15), ..Self::PLAIN }
    }

    /// The defaults of kiam.
    pub(crate) fn short() -> Self {
        Self { session: Duration::from_mins(15), ..Self::PLAIN }
    }

    /// The EKS Pod Identity Agent's: random waits after failures, none before the refresh.
    pub(crate) fn agent() -> Self {
        Self { before_end: HOUR / 2, jitter: MINUTE, ..Self::PLAIN }
    }
}

impl Schedule for Fixed {
    fn succeeded(&mut self, begun: Duration, now: Duration, _random: f64) -> Duration {
        let end = issued(begun, now) + self.session;
        self.next = end.saturating_sub(self.before_end);
        end
    }

    fn failed(&mut self, _refusal: Refusal, now: Duration, random: f64) {
        self.next = now + self.wait + self.jitter.mul_f64(random);
    }

    fn next(&self, now: Duration) -> Duration {
        self.next.max(now)
    }
}

/// STS's answer to a request of `begun` that came at `now`, in whole seconds as AWS's.
fn answer(begun: Duration, now: Duration, life: Duration) -> Answer {
    let date = at(Duration::from_secs(issued(begun, now).as_secs())).wall;
    let credentials = imds_sts::Credentials {
        access_key_id: "ASIAEXAMPLE000000001".to_owned(),
        secret_access_key: Secret::from("EXAMPLE"),
        session_token: Secret::from("EXAMPLE"),
        expiration: date + life,
    };
    Answer { credentials, assumed_role_arn: None, date: Some(date) }
}

/// Half of the way is there.
fn issued(begun: Duration, now: Duration) -> Duration {
    begun + now.saturating_sub(begun) / 2
}

/// What the clocks of every machine say.
fn at(time: Duration) -> Now {
    Now { wall: SystemTime::UNIX_EPOCH + 500_000 * HOUR + time, boot: HOUR + time }
}
