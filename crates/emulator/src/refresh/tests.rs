//! The loop over the whole timeline, in paused time.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::SystemTime;

use imds_sts::{Answer, Credentials as StsCredentials, Secret};
use tokio::time::Instant;

use super::*;

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const BORN: Duration = Duration::from_hours(500_000);

/// Both clocks follow tokio's paused time.
#[derive(Clone, Copy)]
struct TestClock(Instant);

impl Clock for TestClock {
    fn now(&self) -> Now {
        let boot = self.0.elapsed();
        Now { wall: SystemTime::UNIX_EPOCH + BORN + boot, boot }
    }
}

/// What the next exchanges do; then success for ever.
enum Script {
    Succeed,
    /// Credentials with this life.
    Grant(Duration),
    Fail(Remedy),
    Hang(Duration),
}

struct TestSts {
    clock: TestClock,
    script: Mutex<VecDeque<Script>>,
    in_flight: AtomicU32,
    log: Arc<Mutex<Vec<Duration>>>,
}

impl Exchange for TestSts {
    async fn exchange(&self) -> Result<Answer, Failure> {
        assert_eq!(self.in_flight.fetch_add(1, SeqCst), 0, "one exchange in flight");
        let asked = self.clock.now();
        let number = {
            let mut log = self.log.lock().unwrap();
            log.push(asked.boot);
            log.len()
        };
        let step = self.script.lock().unwrap().pop_front();
        let outcome = match step {
            Some(Script::Fail(remedy)) => {
                Err(Failure { kind: "test", message: "no".into(), remedy, retry_after: None, advice: None })
            }
            Some(Script::Hang(time)) => {
                tokio::time::sleep(time).await;
                Err(Failure {
                    kind: "timeout",
                    message: "no".into(),
                    remedy: Remedy::Retry,
                    retry_after: None,
                    advice: None,
                })
            }
            Some(Script::Succeed) | None => Ok(answer(number, asked, HOUR)),
            Some(Script::Grant(life)) => Ok(answer(number, asked, life)),
        };
        self.in_flight.fetch_sub(1, SeqCst);
        outcome
    }
}

fn answer(number: usize, asked: Now, life: Duration) -> Answer {
    Answer {
        credentials: StsCredentials {
            access_key_id: format!("ASIAEXAMPLE{number:09}"),
            secret_access_key: Secret::from("EXAMPLE"),
            session_token: Secret::from("EXAMPLE"),
            expiration: asked.wall + life,
        },
        assumed_role_arn: None,
        date: Some(asked.wall),
    }
}

struct Running {
    clock: TestClock,
    view: View,
    exchanges: Arc<Mutex<Vec<Duration>>>,
}

fn start(script: impl IntoIterator<Item = Script>) -> Running {
    let clock = TestClock(Instant::now());
    let log = Arc::new(Mutex::new(Vec::new()));
    let sts = TestSts {
        clock,
        script: Mutex::new(script.into_iter().collect()),
        in_flight: AtomicU32::new(0),
        log: Arc::clone(&log),
    };
    let (publisher, view) = channel();
    let metrics = Arc::new(Metrics::new(clock.now().wall));
    tokio::spawn(run(sts, HOUR, clock, metrics, publisher));
    Running { clock, view, exchanges: log }
}

impl Running {
    fn left(&self) -> Duration {
        let state = self.view.state();
        state.credentials.as_ref().map_or(Duration::ZERO, |held| held.remaining(self.clock.now()))
    }

    fn exchanges(&self) -> usize {
        self.exchanges.lock().unwrap().len()
    }
}

#[tokio::test(start_paused = true)]
async fn a_day_of_hourly_sessions_never_has_less_than_25_minutes_left() {
    let running = start([]);
    tokio::time::sleep(Duration::from_secs(1)).await;
    for _ in 0..24 * 60 {
        assert!(running.left() >= 25 * MINUTE, "{:?} left", running.left());
        tokio::time::sleep(MINUTE).await;
    }
    let exchanges = running.exchanges();
    assert!((48..=61).contains(&exchanges), "{exchanges} exchanges in 24 hours");
}

#[tokio::test(start_paused = true)]
async fn keeps_serving_while_sts_is_down_until_the_true_end_then_recovers() {
    let down = std::iter::repeat_with(|| Script::Fail(Remedy::Retry)).take(200);
    let running = start(std::iter::once(Script::Succeed).chain(down));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let first = running.view.state().credentials.clone().unwrap();
    let second = Duration::from_secs(1);
    // The life was measured by a `Date` header: one second is kept in reserve.
    tokio::time::sleep_until(running.clock.0 + HOUR - 2 * second).await;
    let held = running.view.state().clone();
    assert!(Arc::ptr_eq(&held.credentials.unwrap(), &first), "unchanged");
    assert!(held.failure.is_some());
    assert!(first.are_valid(running.clock.now()));
    tokio::time::sleep(second).await;
    assert!(!first.are_valid(running.clock.now()), "not a second longer");
    tokio::time::sleep(2 * HOUR).await;
    assert!(running.exchanges() > 200, "the outage is over");
    assert!(running.left() >= 25 * MINUTE, "recovered");
    assert!(running.view.state().failure.is_none());
}

#[tokio::test(start_paused = true)]
async fn since_when_exchanges_fail_is_known_until_one_succeeds() {
    let fails = || Script::Fail(Remedy::GiveUpSlowly);
    let running = start([Script::Succeed, fails(), fails(), fails(), Script::Succeed]);
    let failing_since = || running.view.state().failing_since;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(failing_since(), None);
    while running.exchanges() < 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(Duration::from_millis(10)).await;
    let first = failing_since().unwrap();
    while running.exchanges() < 4 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert_eq!(failing_since(), Some(first), "the first failure counts");
    }
    tokio::time::sleep(10 * MINUTE).await;
    assert_eq!(running.exchanges(), 5);
    assert_eq!(failing_since(), None);
}

#[tokio::test(start_paused = true)]
async fn worse_credentials_never_replace_better_ones() {
    let running = start([Script::Succeed, Script::Grant(5 * MINUTE), Script::Fail(Remedy::GiveUpSlowly)]);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let first = running.view.state().credentials.clone().unwrap();
    while running.exchanges() < 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(Duration::from_millis(10)).await;
    let held = running.view.state().clone();
    assert!(Arc::ptr_eq(&held.credentials.unwrap(), &first));
    assert_eq!(held.failure.unwrap().kind, "short_answer");
    tokio::time::sleep(20 * MINUTE).await;
    assert!(running.left() >= 25 * MINUTE, "and better ones are asked for soon");
}

#[tokio::test(start_paused = true)]
async fn an_sts_that_gives_very_short_lives_is_not_hammered() {
    let running = start(std::iter::repeat_with(|| Script::Grant(2 * Duration::from_secs(1))).take(100_000));
    tokio::time::sleep(MINUTE).await;
    assert!(running.exchanges() <= 62, "{} exchanges in a minute", running.exchanges());
}

#[tokio::test(start_paused = true)]
async fn recovery_is_noticed_within_the_cap_of_the_kind_of_failure() {
    for (remedy, cap) in
        [(Remedy::Retry, 30), (Remedy::RereadToken, 30), (Remedy::Wait, 60), (Remedy::GiveUpSlowly, 300)]
    {
        let running = start((0..20).map(|_| Script::Fail(remedy)));
        while running.exchanges() < 20 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        tokio::time::sleep(Duration::from_secs(cap) + Duration::from_secs(1)).await;
        assert!(!running.left().is_zero(), "{remedy:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_hanging_exchange_holds_no_reader_and_no_second_exchange_starts() {
    let running = start([Script::Hang(10 * MINUTE)]);
    tokio::time::sleep(5 * MINUTE).await;
    assert_eq!(running.exchanges(), 1);
    assert!(running.view.state().credentials.is_none());
    tokio::time::sleep(6 * MINUTE).await;
    assert!(!running.left().is_zero());
}

#[tokio::test(start_paused = true)]
async fn pods_born_together_drift_apart() {
    let pods: Vec<Running> = (0..20).map(|_| start([])).collect();
    tokio::time::sleep(31 * MINUTE).await;
    let mut second: Vec<u64> = pods.iter().map(|pod| pod.exchanges.lock().unwrap()[1].as_secs()).collect();
    second.sort_unstable();
    assert!(second[19] - second[0] > 60, "spread over more than a minute: {second:?}");
}

#[tokio::test(start_paused = true)]
async fn ends_when_nobody_reads_any_more() {
    let running = start([]);
    let (clock, log) = (running.clock, Arc::clone(&running.exchanges));
    tokio::time::sleep(MINUTE).await;
    drop(running);
    tokio::time::sleep_until(clock.0 + 5 * HOUR).await;
    assert_eq!(log.lock().unwrap().len(), 1);
}

/// A wall clock that can be set.
#[derive(Clone)]
struct SettableClock(TestClock, Arc<AtomicU32>);

impl Clock for SettableClock {
    fn now(&self) -> Now {
        let Now { wall, boot } = self.0.now();
        Now { wall: wall + Duration::from_secs(self.1.load(SeqCst).into()), boot }
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_who_finds_that_all_has_ended_wakes_the_loop() {
    let clock = SettableClock(TestClock(Instant::now()), Arc::default());
    let log = Arc::new(Mutex::new(Vec::new()));
    let sts = TestSts {
        clock: clock.0,
        script: Mutex::default(),
        in_flight: AtomicU32::new(0),
        log: Arc::clone(&log),
    };
    let (publisher, view) = channel();
    let metrics = Arc::new(Metrics::new(clock.now().wall));
    tokio::spawn(run(sts, HOUR, clock.clone(), metrics, publisher));
    tokio::time::sleep(MINUTE).await;
    assert!(view.credentials(clock.now()).unwrap().are_valid(clock.now()));

    clock.1.store(2 * 3600, SeqCst);
    let before = log.lock().unwrap().len();
    assert!(!view.credentials(clock.now()).unwrap().are_valid(clock.now()), "set two hours forward");
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(log.lock().unwrap().len(), before + 1, "asked at once, not after the longest sleep");
}
