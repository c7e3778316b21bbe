//! The promises, asked of every read. Knows the truth, which the emulator does not.

use std::collections::HashMap;
use std::time::Duration;

use http::StatusCode;
use imds_emulator::imds::Answer;

use crate::plan::{Behaviour, Event, Plan};
use crate::world::{ASKED, World};

/// Every document of a session of one hour has this much left, whenever STS could be reached.
const FRESH: Duration = Duration::from_mins(25);
/// What clocks that tell whole seconds cost.
const RESOLUTION: Duration = Duration::from_secs(2);
/// The longest sleep of the loop, which notices a clock that was set when it wakes; and the longest exchange.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);
const LONGEST_EXCHANGE: Duration = Duration::from_secs(15);
/// The longest back-off of who holds nothing, and of who holds credentials, where STS names no time: a tenth of what is left, and
/// of an hour six tenths are left at the earliest refresh.
const EMPTY_HANDED: Duration = Duration::from_mins(1);
const WITH_CREDENTIALS: Duration = Duration::from_secs(216);

/// See the module.
pub(crate) struct Checker {
    world: World,
    /// Once STS is well and the machine is left alone, this long until something is served.
    recovery: Duration,
    /// And this long until what is served is fresh.
    refreshed: Duration,
    /// In the process's time: since when nothing has been served though no back-off was in force.
    dark_since: Option<Duration>,
    /// By key: the document.
    documents: HashMap<String, Vec<u8>>,
    pub(crate) served: u64,
    pub(crate) unavailable: u64,
    /// Documents with less than [`FRESH`] left, for which there was a reason.
    pub(crate) excused: u64,
}

impl Checker {
    pub(crate) fn new(world: World, plan: &Plan) -> Self {
        let after = |own| LONGEST_EXCHANGE + longest_wait(plan, own) + LONGEST_EXCHANGE + RESOLUTION;
        Self {
            world,
            recovery: after(EMPTY_HANDED),
            // The loop sleeps on when a clock is set; only a reader who gets nothing wakes it.
            refreshed: after(WITH_CREDENTIALS) + LONGEST_SLEEP,
            dark_since: None,
            documents: HashMap::new(),
            served: 0,
            unavailable: 0,
            excused: 0,
        }
    }

    /// Looks at what is answered now to who asks for the document.
    pub(crate) fn check(&mut self, answer: &Answer) -> Result<(), String> {
        let world = self.world.clone();
        let world = world.lock();
        if let Some(broken) = &world.broken {
            return Err(broken.clone());
        }
        let now = world.true_time();
        let well_for = world.good_since.map_or(Duration::ZERO, |since| world.process_time() - since);
        match answer.status {
            StatusCode::OK => {
                self.served += 1;
                self.dark_since = None;
                let text = String::from_utf8_lossy(&answer.body);
                let id = field(&text, "AccessKeyId").ok_or("a document without a key")?;
                let issued = world.issued.get(&id).ok_or_else(|| format!("{id} was never issued"))?;
                if issued.incarnation != world.incarnation {
                    return Err(format!("{id} is of a process that is gone"));
                }
                if now >= issued.end {
                    return Err(format!("{id} is served {:?} after its end", now - issued.end));
                }
                let expiration = humantime::format_rfc3339_seconds(issued.expiration).to_string();
                if field(&text, "Expiration").as_deref() != Some(&expiration) {
                    return Err(format!("STS said that {id} ends at {expiration}, and it says {text}"));
                }
                if *self.documents.entry(id.clone()).or_insert_with(|| answer.body.to_vec()) != answer.body {
                    return Err(format!("the document of {id} has changed: {text}"));
                }
                let left = issued.end - now;
                if left < FRESH {
                    self.excused += 1;
                    // STS once gave less than was asked for: half of that is used before it is asked again.
                    let short = if issued.life < ASKED { issued.life / 2 } else { Duration::ZERO };
                    if well_for > self.refreshed + short {
                        return Err(format!(
                            "{id} has {left:?} left, and STS has been well for {well_for:?}"
                        ));
                    }
                }
                Ok(())
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                self.unavailable += 1;
                // Those that were received, the best of them: the others were replaced.
                let received =
                    world.issued.iter().filter(|(_, issued)| issued.incarnation == world.incarnation);
                let received = received.filter_map(|(id, issued)| Some((id, issued, issued.wall_ahead?)));
                if let Some((id, issued, wall_ahead)) = received.max_by_key(|(_, issued, _)| issued.end) {
                    // The earlier end of both clocks counts: a wall clock that was set forward makes it come earlier.
                    let forward = Duration::from_secs((issued.most_ahead - wall_ahead).max(0).unsigned_abs());
                    if now + forward + issued.doubt + RESOLUTION < issued.end {
                        return Err(format!("{id} is good for {:?} and is not served", issued.end - now));
                    }
                }
                let waiting_for_none = world.last_was_good && world.good_since.is_some();
                self.dark_since = waiting_for_none.then(|| self.dark_since.unwrap_or(world.process_time()));
                let dark = self.dark_since.map_or(Duration::ZERO, |since| world.process_time() - since);
                if dark > LONGEST_EXCHANGE {
                    return Err(format!("for {dark:?} readers have found nothing, and nobody has asked STS"));
                }
                if well_for > self.recovery {
                    return Err(format!("nothing is served, and STS has been well for {well_for:?}"));
                }
                Ok(())
            }
            other => Err(format!("answered {other}")),
        }
    }
}

/// The longest wait between two tries that anything in the plan can bring about; `own` is the longest that the emulator comes to
/// by itself.
fn longest_wait(plan: &Plan, own: Duration) -> Duration {
    let waits = plan.events.iter().map(|(_, event)| match event {
        // What STS names, five minutes of it at most, and the emulator's own on top.
        Event::Sts(Behaviour::Throttled { retry_after: Some(_) }) => Duration::from_mins(5) + own,
        Event::Sts(Behaviour::Denied) => Duration::from_mins(5),
        _ => own,
    });
    waits.max().unwrap_or(own)
}

fn field(document: &str, name: &str) -> Option<String> {
    let (_, rest) = document.split_once(&format!("\"{name}\" : \""))?;
    rest.split_once('"').map(|(value, _)| value.to_owned())
}

const _: () = assert!(ASKED.as_secs() == 3600, "the promise of 25 minutes is about sessions of one hour");
