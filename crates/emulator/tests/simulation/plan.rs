//! What happens in a schedule, and when: drawn from a seed.

use std::time::Duration;

use fastrand::Rng;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

/// What STS does from now on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Behaviour {
    /// Good answers, on the way for so long there and back.
    Good {
        there: Duration,
        back: Duration,
    },
    /// Good answers without `Date`.
    NoDate,
    /// Good answers through something whose clock is wrong by so many seconds, with credentials of this life.
    WrongDate {
        seconds: i64,
        life: Duration,
    },
    /// Answers whose credentials end this soon.
    NearExpiry(Duration),
    Throttled {
        retry_after: Option<Duration>,
    },
    ServerError,
    /// Nobody listens.
    Refused,
    /// No answer until the client gives up.
    Hang,
    /// Bytes that are no answer; answers for another role count as the same.
    Garbage,
    Denied,
    /// STS is well, but the token file is not: missing, empty, unreadable.
    NoToken,
    TokenExpired,
}

impl Behaviour {
    /// Whether a whole hour's credentials come, and soon. Not without `Date`: a wrong clock of ours may then make them end
    /// before they begin.
    pub(crate) fn is_good(self) -> bool {
        matches!(self, Self::Good { .. })
    }
}

/// One thing that happens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Event {
    Sts(Behaviour),
    /// The wall clock is set so many seconds forward, or back.
    WallStep(i64),
    /// The machine sleeps: both clocks go on, the process does not.
    Suspend(Duration),
    /// The machine is frozen and thawed (a virtual machine): boot time stands still, the wall clock is right again at once.
    Freeze(Duration),
    /// The process is killed and starts anew, at once.
    Restart,
}

/// See the module. Times are those of the process: they stand still while it does.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) events: Vec<(Duration, Event)>,
    pub(crate) reads: Vec<Duration>,
    pub(crate) end: Duration,
}

impl Plan {
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        let end = between(rng, HOUR, 6 * HOUR);
        // Frozen and set back at once, a machine has no clock that tells: nothing could be promised.
        let may_freeze = rng.bool();
        let mut events = Vec::new();
        if rng.bool() {
            events.push((Duration::ZERO, Event::Sts(behaviour(rng))));
        }
        for _ in 0..rng.usize(0..12) {
            let at = between(rng, Duration::ZERO, end);
            events.push((at, event(rng, may_freeze)));
            // Troubles pass, most of them.
            if rng.u8(0..4) > 0 {
                let lasts = if rng.bool() {
                    between(rng, SECOND, 5 * MINUTE)
                } else {
                    between(rng, MINUTE, 2 * HOUR)
                };
                events.push((at + lasts, Event::Sts(good(rng))));
            }
        }
        events.sort_by_key(|(at, _)| *at);
        let mut reads: Vec<_> = (0..rng.usize(20..120)).map(|_| between(rng, Duration::ZERO, end)).collect();
        reads.sort();
        Self { events, reads, end }
    }
}

fn event(rng: &mut Rng, may_freeze: bool) -> Event {
    match rng.u8(0..20) {
        0..12 => Event::Sts(behaviour(rng)),
        12..15 => {
            let seconds = i64::try_from(between(rng, SECOND, 8 * HOUR).as_secs()).unwrap_or_default();
            Event::WallStep(if may_freeze || rng.bool() { seconds } else { -seconds })
        }
        15..17 => Event::Suspend(between(rng, SECOND, 3 * HOUR)),
        17 if may_freeze => Event::Freeze(between(rng, SECOND, 3 * HOUR)),
        _ => Event::Restart,
    }
}

fn behaviour(rng: &mut Rng) -> Behaviour {
    match rng.u8(0..14) {
        0 => good(rng),
        1 => Behaviour::NoDate,
        2 if rng.bool() => Behaviour::WrongDate { seconds: rng.i64(-7200..7200), life: HOUR },
        // Less than was asked for, by a Date that makes it more than that: nobody can see through a Date that makes it less.
        2 => Behaviour::WrongDate { seconds: -rng.i64(7200..86_400), life: between(rng, MINUTE, HOUR) },
        3 => Behaviour::NearExpiry(between(rng, Duration::ZERO, 30 * MINUTE)),
        4 => Behaviour::Throttled { retry_after: None },
        5 => Behaviour::Throttled { retry_after: Some(between(rng, SECOND, HOUR)) },
        6 | 7 => Behaviour::ServerError,
        8 => Behaviour::Refused,
        9 => Behaviour::Hang,
        10 => Behaviour::Garbage,
        11 => Behaviour::Denied,
        12 => Behaviour::NoToken,
        _ => Behaviour::TokenExpired,
    }
}

/// Mostly quick, now and then as slow as the client bears.
fn good(rng: &mut Rng) -> Behaviour {
    let mut way =
        |most| if rng.u8(0..4) == 0 { between(rng, Duration::ZERO, most) } else { 20 * SECOND / 1000 };
    Behaviour::Good { there: way(6 * SECOND), back: way(6 * SECOND) }
}

fn between(rng: &mut Rng, least: Duration, most: Duration) -> Duration {
    least + (most - least).mul_f64(rng.f64())
}
