//! How long a program waits.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::Invalid;

/// Whole seconds, up to an hour: the emulator's start timeout and grace period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seconds(u32);

impl Seconds {
    /// An hour.
    pub const MOST: Self = Self(3600);

    /// This many, or [`Seconds::MOST`] where they are more.
    pub fn at_most(seconds: u64) -> Self {
        u32::try_from(seconds).map_or(Self::MOST, |seconds| Self(seconds).min(Self::MOST))
    }

    /// In seconds.
    pub fn as_secs(self) -> u32 {
        self.0
    }
}

impl From<Seconds> for Duration {
    fn from(seconds: Seconds) -> Self {
        Duration::from_secs(seconds.0.into())
    }
}

impl FromStr for Seconds {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        // `u32::from_str` would take "+5".
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let seconds = text.parse().ok().map(Self).filter(|seconds| digits && *seconds <= Self::MOST);
        seconds.ok_or_else(|| Invalid::new(text, "whole seconds from 0 to 3600"))
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_is_the_most() {
        for (text, seconds) in [("0", 0), ("30", 30), ("3600", 3600)] {
            assert_eq!(text.parse::<Seconds>().unwrap().as_secs(), seconds);
        }
        for wrong in ["", "-1", "+5", "1.5", "5s", "3601", "99999999999"] {
            assert!(wrong.parse::<Seconds>().is_err(), "{wrong:?}");
        }
        assert_eq!(Seconds::at_most(3601), Seconds::MOST);
        assert_eq!(Seconds::at_most(u64::MAX), Seconds::MOST);
        assert_eq!(Seconds::at_most(7).as_secs(), 7);
    }
}
