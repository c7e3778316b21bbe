//! The world around the refresh loop: true time, the machine's clocks, STS. All of it is simulated; the process's own time is
//! tokio's, paused.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use imds_emulator::clock::{Clock, Now};
use imds_emulator::exchange::{Exchange, Failure};
use imds_sts::{Answer, Credentials, Remedy, Secret};
use tokio::time::{Instant, sleep};

use crate::plan::{Behaviour, Event};

/// What is asked for.
pub(crate) const ASKED: Duration = Duration::from_hours(1);
/// How long the client waits for an answer (`imds_sts::Timeouts`).
const PATIENCE: Duration = Duration::from_secs(15);
const QUICK: Duration = Duration::from_millis(20);

/// See the module.
#[derive(Clone)]
pub(crate) struct World(Arc<Mutex<Inner>>);

pub(crate) struct Inner {
    start: Instant,
    /// What the process has missed: suspended or frozen.
    missed: Duration,
    /// What boot time has missed, too: frozen.
    frozen: Duration,
    /// How far the wall clock is ahead of true time, in seconds.
    pub(crate) wall_ahead: i64,
    behaviour: Behaviour,
    /// In the process's time: since when STS has been well and no clock was touched.
    pub(crate) good_since: Option<Duration>,
    pub(crate) issued: HashMap<String, Issued>,
    pub(crate) in_flight: u32,
    /// Whether the exchange before this moment brought credentials: no back-off is in force.
    pub(crate) last_was_good: bool,
    /// When the last exchange began, in the process's time, with the disturbance that was the last before.
    last_begun: Option<(u32, Duration)>,
    pub(crate) exchanges: u64,
    pub(crate) incarnation: u32,
    /// How often a clock was touched or the process started anew.
    disturbances: u32,
    pub(crate) broken: Option<String>,
}

/// What is true of credentials that STS gave.
#[derive(Debug, Clone)]
pub(crate) struct Issued {
    /// What was given.
    pub(crate) life: Duration,
    /// True time.
    pub(crate) end: Duration,
    /// STS's own word.
    pub(crate) expiration: SystemTime,
    /// Of which life of the process.
    pub(crate) incarnation: u32,
    /// How far before the true end nobody may be blamed for thinking that it has come: a wrong `Date`, a way that was long.
    pub(crate) doubt: Duration,
    /// Where the wall clock stood when they came; `None` until then.
    pub(crate) wall_ahead: Option<i64>,
    /// Where it stood at most since then: a clock that is set forward may have them dropped for good.
    pub(crate) most_ahead: i64,
}

impl World {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Inner {
            start: Instant::now(),
            missed: Duration::ZERO,
            frozen: Duration::ZERO,
            wall_ahead: 0,
            behaviour: Behaviour::Good { there: QUICK, back: QUICK },
            good_since: Some(Duration::ZERO),
            issued: HashMap::new(),
            in_flight: 0,
            last_was_good: false,
            last_begun: None,
            exchanges: 0,
            incarnation: 0,
            disturbances: 0,
            broken: None,
        })))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    pub(crate) fn happen(&self, event: Event) {
        let mut world = self.lock();
        let now = world.process_time();
        match event {
            Event::Sts(behaviour) => {
                let goes_on = world.behaviour.is_good() && behaviour.is_good();
                if !goes_on {
                    world.good_since = behaviour.is_good().then_some(now);
                }
                world.behaviour = behaviour;
                return;
            }
            Event::WallStep(seconds) => {
                world.wall_ahead += seconds;
                let ahead = world.wall_ahead;
                world.issued.values_mut().for_each(|issued| issued.most_ahead = issued.most_ahead.max(ahead));
            }
            Event::Suspend(time) => world.missed += time,
            Event::Freeze(time) => {
                world.missed += time;
                world.frozen += time;
            }
            Event::Restart => {
                world.incarnation += 1;
                world.in_flight = 0;
                world.last_was_good = false;
            }
        }
        world.disturbances += 1;
        world.good_since = world.good_since.map(|_| now);
    }
}

impl Inner {
    /// How long the process has run.
    pub(crate) fn process_time(&self) -> Duration {
        self.start.elapsed()
    }

    pub(crate) fn true_time(&self) -> Duration {
        self.process_time() + self.missed
    }

    /// The process's time at a true time to come, if nothing is missed before.
    pub(crate) fn when(&self, true_time: Duration) -> Duration {
        true_time.saturating_sub(self.missed)
    }

    /// A moment of true time, as the world writes it.
    pub(crate) fn date(true_time: Duration) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_hours(500_000) + true_time
    }

    fn now(&self) -> Now {
        let truth = Self::date(self.true_time());
        let ahead = Duration::from_secs(self.wall_ahead.unsigned_abs());
        let wall = if self.wall_ahead < 0 { truth - ahead } else { truth + ahead };
        Now { wall, boot: Duration::from_hours(9) + self.true_time().saturating_sub(self.frozen) }
    }

    /// STS is never asked twice within a quarter of a second, if nobody touches a clock between.
    fn begin_exchange(&mut self) {
        self.exchanges += 1;
        let (disturbance, now) = (self.disturbances, self.process_time());
        if let Some((since, before)) = self.last_begun.replace((disturbance, now))
            && since == disturbance
            && now - before < Duration::from_millis(250)
        {
            self.broken = Some(format!("STS was asked at {before:?} and again at {now:?}"));
        }
    }

    fn issue(&mut self, life: Duration, doubt: Duration) -> (String, SystemTime) {
        let number = self.issued.len() + 1;
        let id = format!("ASIAEXAMPLE{number:09}");
        let end = self.true_time() + life;
        // As AWS: whole seconds.
        let expiration = Self::date(Duration::from_secs(end.as_secs()));
        let issued = Issued {
            life,
            end: Duration::from_secs(end.as_secs()),
            expiration,
            incarnation: self.incarnation,
            doubt,
            wall_ahead: None,
            most_ahead: 0,
        };
        self.issued.insert(id.clone(), issued);
        (id, expiration)
    }
}

impl Clock for World {
    fn now(&self) -> Now {
        self.lock().now()
    }
}

/// When STS was asked, in true time, and where the wall clock stood then.
#[derive(Clone, Copy)]
struct Begun {
    at: Duration,
    wall_ahead: i64,
}

/// STS, as one life of the process sees it.
pub(crate) struct SimulatedSts(pub(crate) World);

impl Exchange for SimulatedSts {
    async fn exchange(&self) -> Result<Answer, Failure> {
        let (behaviour, begun) = {
            let mut world = self.0.lock();
            world.begin_exchange();
            world.in_flight += 1;
            if world.in_flight > 1 {
                world.broken = Some("two exchanges in flight".to_owned());
            }
            (world.behaviour, Begun { at: world.true_time(), wall_ahead: world.wall_ahead })
        };
        let answered = self.answer(behaviour, begun).await;
        let mut world = self.0.lock();
        world.in_flight -= 1;
        world.last_was_good = answered.is_ok() && behaviour.is_good();
        answered
    }
}

impl SimulatedSts {
    async fn answer(&self, behaviour: Behaviour, begun: Begun) -> Result<Answer, Failure> {
        let failed = |kind, remedy, retry_after| Failure {
            kind,
            message: "simulated".to_owned(),
            remedy,
            retry_after,
            advice: None,
        };
        let failure = match behaviour {
            Behaviour::Good { there, back } => return self.good(begun, there, back, ASKED, Some(0)).await,
            Behaviour::NoDate => return self.good(begun, QUICK, QUICK, ASKED, None).await,
            Behaviour::WrongDate { seconds, life } => {
                // With our own clock late as well, nobody could tell that less was given than asked for.
                let life = if begun.wall_ahead < 0 { ASKED } else { life };
                return self.good(begun, QUICK, QUICK, life, Some(seconds)).await;
            }
            Behaviour::NearExpiry(life) => return self.good(begun, QUICK, QUICK, life, Some(0)).await,
            Behaviour::Hang => {
                sleep(PATIENCE).await;
                failed("timeout", Remedy::Retry, None)
            }
            Behaviour::Throttled { retry_after } => failed("throttled", Remedy::Wait, retry_after),
            Behaviour::ServerError => failed("server_error", Remedy::Retry, None),
            Behaviour::Refused => failed("connect", Remedy::Retry, None),
            Behaviour::Garbage => failed("unusable_answer", Remedy::Retry, None),
            Behaviour::Denied => failed("denied", Remedy::GiveUpSlowly, None),
            Behaviour::NoToken => failed("token_file", Remedy::RereadToken, None),
            Behaviour::TokenExpired => failed("expired_token", Remedy::RereadToken, None),
        };
        sleep(QUICK).await;
        Err(failure)
    }

    /// An answer whose `Date` is wrong by so many seconds, or that has none.
    async fn good(
        &self,
        begun: Begun,
        there: Duration,
        back: Duration,
        life: Duration,
        date_off: Option<i64>,
    ) -> Result<Answer, Failure> {
        sleep(there).await;
        let (id, expiration, date) = {
            let mut world = self.0.lock();
            let truth = world.true_time();
            let seconds = |wrong: i64| Duration::from_secs(wrong.max(0).unsigned_abs());
            // By the local clock where there is no Date, or none that can be true.
            let doubt = match date_off {
                Some(off) if off >= 0 => seconds(off),
                _ => seconds(world.wall_ahead),
            };
            let (id, expiration) = world.issue(life, doubt);
            let date = date_off.map(|off| {
                let off_by = Duration::from_secs(off.unsigned_abs());
                let whole = Inner::date(Duration::from_secs(truth.as_secs()));
                if off < 0 { whole - off_by } else { whole + off_by }
            });
            (id, expiration, date)
        };
        sleep(back).await;
        let mut world = self.0.lock();
        let (truth, wall_ahead) = (world.true_time(), world.wall_ahead);
        if let Some(issued) = world.issued.get_mut(&id) {
            issued.wall_ahead = Some(wall_ahead);
            issued.most_ahead = wall_ahead;
            // Set forward while the answer was on its way: it may have been on its way for so long.
            let forward = Duration::from_secs((wall_ahead - begun.wall_ahead).max(0).unsigned_abs());
            issued.doubt += truth - begun.at + forward;
        }
        Ok(Answer {
            credentials: Credentials {
                access_key_id: id,
                secret_access_key: Secret::from("EXAMPLE"),
                session_token: Secret::from("EXAMPLE"),
                expiration,
            },
            assumed_role_arn: None,
            date,
        })
    }
}
