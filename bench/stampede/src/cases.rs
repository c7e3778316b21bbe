//! What is simulated: what happens, to how many Pods, by which schedule.

use std::time::Duration;

use crate::measures::Measures;
use crate::schedules::{Emulator, Fixed};
use crate::simulation::{Case, play};
use crate::sts::Terms;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

/// How long every case is looked at.
pub(crate) const LASTS: Duration = Duration::from_hours(3);

/// How many Pods there are.
pub(crate) const PODS: [u32; 3] = [1_000, 10_000, 100_000];

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Scenario {
    /// All Pods start within a second, and STS answers this many requests a second.
    Restart { limit: Option<u32> },
    /// The same, and those beyond the limit are told to wait 20 seconds.
    RestartTold { limit: u32 },
    /// All Pods start within a second, and STS comes back only after 20 minutes.
    RestartInOutage,
    /// The Pods start in the course of an hour.
    Growth { limit: u32 },
    /// The same, and later STS is down for 20 minutes.
    Outage { hangs: bool },
}

impl Scenario {
    pub(crate) const ALL: [Self; 9] = [
        Self::Restart { limit: None },
        Self::Restart { limit: Some(600) },
        Self::Restart { limit: Some(50) },
        Self::RestartTold { limit: 50 },
        Self::RestartInOutage,
        Self::Growth { limit: 600 },
        Self::Growth { limit: 50 },
        Self::Outage { hangs: false },
        Self::Outage { hangs: true },
    ];

    pub(crate) fn name(self) -> String {
        match self {
            Self::Restart { limit: None } => "all restarted at once, no limit".to_owned(),
            Self::Restart { limit: Some(limit) } => format!("all restarted at once, {limit} requests/s"),
            Self::RestartTold { limit } => {
                format!("all restarted at once, {limit} requests/s, `Retry-After: 20`")
            }
            Self::RestartInOutage => {
                "all restarted at once, STS refuses for 20 min, then 600 requests/s".to_owned()
            }
            Self::Growth { limit } => format!("born over an hour, {limit} requests/s"),
            Self::Outage { hangs } => {
                let how = if hangs { "hangs" } else { "refuses" };
                format!("born over an hour, STS {how} from 1:40 to 2:00, 600 requests/s")
            }
        }
    }

    pub(crate) fn case(self, pods: u32) -> Case {
        let births = match self {
            Self::Restart { .. } | Self::RestartTold { .. } | Self::RestartInOutage => SECOND,
            Self::Growth { .. } | Self::Outage { .. } => HOUR,
        };
        let limit = |limit| Terms { limit: Some(limit), ..Terms::default() };
        let terms = match self {
            Self::Restart { limit } => Terms { limit, ..Terms::default() },
            Self::RestartTold { limit } => {
                Terms { limit: Some(limit), retry_after: Some(20 * SECOND), ..Terms::default() }
            }
            Self::RestartInOutage => Terms { outage: Some(Duration::ZERO..20 * MINUTE), ..limit(600) },
            Self::Growth { limit: most } => limit(most),
            Self::Outage { hangs } => Terms { outage: Some(100 * MINUTE..120 * MINUTE), hangs, ..limit(600) },
        };
        Case { pods, births, terms, lasts: LASTS }
    }
}

/// By which schedule every Pod goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Which {
    Emulator,
    Agent,
    Early,
    Late,
    Short,
}

impl Which {
    pub(crate) const ALL: [Self; 5] = [Self::Emulator, Self::Agent, Self::Early, Self::Late, Self::Short];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Emulator => "imds-emulator",
            Self::Agent => "at half life, retry 60–120 s",
            Self::Early => "15 min before the end, retry 60 s",
            Self::Late => "5 min before the end, retry 60 s",
            Self::Short => "15-min sessions, 5 min before, retry 60 s",
        }
    }

    pub(crate) fn play(self, case: &Case) -> Measures {
        match self {
            Self::Emulator => play(case, Emulator::new),
            Self::Agent => play(case, Fixed::agent),
            Self::Early => play(case, Fixed::early),
            Self::Late => play(case, Fixed::late),
            Self::Short => play(case, Fixed::short),
        }
    }
}
