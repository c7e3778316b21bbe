//! The only place that asks the system for the time. Everything else takes [`Now`] as an argument.

use std::time::{Duration, SystemTime};

/// One moment, on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Wall time: what people and documents speak of. It can step either way.
    pub wall: SystemTime,
    /// Time since the machine's boot, suspension included (`CLOCK_BOOTTIME`): never steps back.
    pub boot: Duration,
}

/// Something that knows the time.
pub trait Clock: Send + Sync + 'static {
    /// This moment.
    fn now(&self) -> Now;
}

/// The system's clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that may")]
    fn now(&self) -> Now {
        let boot = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let seconds = u64::try_from(boot.tv_sec).unwrap_or_default();
        let nanoseconds = u32::try_from(boot.tv_nsec).unwrap_or_default();
        Now { wall: SystemTime::now(), boot: Duration::new(seconds, nanoseconds) }
    }
}
