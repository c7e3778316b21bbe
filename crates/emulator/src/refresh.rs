//! The loop that keeps credentials fresh. It alone talks to STS and it alone changes what is served, so one exchange is
//! in flight whatever asks, and a failure can never take valid credentials away.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::{Notify, watch};

use crate::clock::{Clock, Now};
use crate::credentials::Credentials;
use crate::exchange::{Exchange, Failure};
use crate::metrics::Metrics;
use crate::schedule::{Schedule, Step};
use imds_sts::Remedy;

/// What is known now: the last good credentials, and why the last exchange failed if it did.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// The last good credentials, kept until better ones replace them. Whether they are still valid is asked at each use.
    pub credentials: Option<Arc<Credentials>>,
    /// Why the last exchange failed; none after a success.
    pub failure: Option<Arc<Failure>>,
    /// When the first exchange after the last success failed; none after a success.
    pub failing_since: Option<SystemTime>,
}

/// The loop's end of what it shares with the readers.
#[derive(Debug)]
pub struct Publisher {
    state: watch::Sender<State>,
    wake: Arc<Notify>,
}

/// The readers' end.
#[derive(Debug, Clone)]
pub struct View {
    state: watch::Receiver<State>,
    wake: Arc<Notify>,
}

/// Both ends, with nothing known yet.
pub fn channel() -> (Publisher, View) {
    let (sender, receiver) = watch::channel(State::default());
    let wake = Arc::new(Notify::new());
    (Publisher { state: sender, wake: Arc::clone(&wake) }, View { state: receiver, wake })
}

impl View {
    /// What is known now.
    pub fn state(&self) -> watch::Ref<'_, State> {
        self.state.borrow()
    }

    /// The last good credentials, for somebody who asks at `now`. If they have ended, the loop looks at its clocks again: one
    /// of them was set, or the machine slept, and the loop still sleeps. It asks STS no sooner than is due.
    pub fn credentials(&self, now: Now) -> Option<Arc<Credentials>> {
        let credentials = self.state.borrow().credentials.clone();
        if credentials.as_ref().is_some_and(|held| !held.are_valid(now)) {
            self.wake.notify_one();
        }
        credentials
    }
}

/// Runs until the readers are gone. `asked` is the life that `exchange` asks for.
pub async fn run(
    exchange: impl Exchange,
    asked: Duration,
    clock: impl Clock,
    metrics: Arc<Metrics>,
    publisher: Publisher,
) {
    let Publisher { state, wake } = publisher;
    let mut schedule = Schedule::new();
    while !state.is_closed() {
        match schedule.next(clock.now()) {
            Step::Wait(time) => tokio::select! {
                () = tokio::time::sleep(time) => {}
                () = wake.notified() => {}
                () = state.closed() => {}
            },
            Step::Exchange => {
                log::debug!("asking STS for credentials");
                let begun = clock.now();
                let outcome = exchange.exchange().await;
                let now = clock.now();
                let held = state.borrow().credentials.clone();
                let outcome = outcome.and_then(|answer| {
                    let credentials =
                        Credentials::new(&answer, asked, begun, now).ok_or_else(already_expired)?;
                    let worse = |held: &Credentials| credentials.remaining(now) < held.remaining(now);
                    if held.as_deref().is_some_and(worse) {
                        Err(shorter_than_held())
                    } else {
                        Ok(credentials)
                    }
                });
                let word = outcome.as_ref().map_or_else(|failure| failure.kind, |_| "success");
                metrics.exchanged(word, now.boot.saturating_sub(begun.boot));
                schedule = match outcome {
                    Ok(credentials) => succeeded(&state, credentials, now),
                    Err(failure) => failed(&state, &schedule, failure, now),
                };
            }
        }
    }
}

fn succeeded(state: &watch::Sender<State>, credentials: Credentials, now: Now) -> Schedule {
    let schedule = Schedule::succeeded(credentials.life(), credentials.remaining(now), now, fastrand::f64());
    log::info!(
        expiration:% = humantime::format_rfc3339_seconds(credentials.expiration()),
        refresh_in_seconds = rounded_up(schedule.wait(now));
        "got credentials from STS"
    );
    state.send_modify(|state| {
        *state = State { credentials: Some(Arc::new(credentials)), failure: None, failing_since: None };
    });
    schedule
}

fn failed(state: &watch::Sender<State>, before: &Schedule, failure: Failure, now: Now) -> Schedule {
    let left = state.borrow().credentials.as_ref().map_or(Duration::ZERO, |held| held.remaining(now));
    let schedule = before.failed(failure.remedy, failure.retry_after, left, now, fastrand::f64());
    let (reason, failures) = (failure.kind, schedule.failures());
    let (retry, left) = (rounded_up(schedule.wait(now)), left.as_secs());
    match &failure.advice {
        None => log::warn!(
            reason, failures, retry_in_seconds = retry, credentials_left_seconds = left;
            "can't get credentials: {failure}"
        ),
        Some(advice) => log::warn!(
            reason, failures, retry_in_seconds = retry, credentials_left_seconds = left,
            iss = advice.issuer(), sub = advice.subject(), aud = advice.audiences(), explain:% = advice.command;
            "can't get credentials: {failure}"
        ),
    }
    state.send_modify(|state| {
        state.failure = Some(Arc::new(failure));
        state.failing_since.get_or_insert(now.wall);
    });
    schedule
}

/// Whole seconds, so that what is not at once does not look as if it were.
fn rounded_up(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

/// The last good credentials are served until their end: worse ones do not replace them.
fn shorter_than_held() -> Failure {
    Failure {
        kind: "short_answer",
        message: "STS's answer holds credentials that end before those that are served".to_owned(),
        remedy: Remedy::Retry,
        retry_after: None,
        advice: None,
    }
}

fn already_expired() -> Failure {
    Failure {
        kind: "expired_answer",
        message: "STS's answer holds credentials that have already expired".to_owned(),
        remedy: Remedy::Retry,
        retry_after: None,
        advice: None,
    }
}

#[cfg(test)]
mod tests;
