//! The name and the life of an STS session.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::Invalid;
use super::arn::is_name_byte;

/// A role session name: 2 to 64 characters of `[\w+=,.@-]`; longer text is cut, so that a long Pod name still works.
/// Source: STS API, `AssumeRoleWithWebIdentity`, `RoleSessionName`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SessionName(String);

impl SessionName {
    /// STS's limit, in characters.
    pub const LONGEST: usize = 64;

    /// For a session that nobody named.
    pub fn anonymous() -> Self {
        Self("imds-emulator".to_owned())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SessionName {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text.len() < 2 || !text.bytes().all(is_name_byte) {
            return Err(Invalid::new(
                text,
                "at least 2 letters, digits or _+=,.@- (what is over 64 characters is cut)",
            ));
        }
        Ok(Self(text.chars().take(Self::LONGEST).collect()))
    }
}

impl fmt::Display for SessionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The life that a session is asked for: 900 to 43200 seconds, 3600 by default.
/// Source: STS API, `AssumeRoleWithWebIdentity`, `DurationSeconds`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionDuration(u32);

impl SessionDuration {
    /// One hour: the shortest life with which every client always has time to refresh (the AWS SDKs stretch what has
    /// less than 25 minutes left).
    pub const DEFAULT: Self = Self(3600);

    /// The shortest that STS gives.
    pub const SHORTEST: Self = Self(900);

    /// In seconds.
    pub fn as_secs(self) -> u32 {
        self.0
    }
}

impl Default for SessionDuration {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl From<SessionDuration> for Duration {
    fn from(duration: SessionDuration) -> Self {
        Duration::from_secs(duration.0.into())
    }
}

impl FromStr for SessionDuration {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        // `u32::from_str` would take "+900".
        let digits = text.bytes().all(|b| b.is_ascii_digit());
        match text.parse() {
            Ok(seconds @ 900..=43_200) if digits => Ok(Self(seconds)),
            _ => Err(Invalid::new(text, "whole seconds from 900 to 43200")),
        }
    }
}

impl fmt::Display for SessionDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_is_cut_and_an_illegal_one_refused() {
        let long = "n".repeat(63) + ".a-very-long-pod-name";
        assert_eq!(long.parse::<SessionName>().unwrap().as_str(), "n".repeat(63) + ".");
        for wrong in ["", "a", "two words", "sla/sh", "ü-umlaut", "new\nline"] {
            assert!(wrong.parse::<SessionName>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_duration_keeps_sts_bounds() {
        assert_eq!("900".parse::<SessionDuration>().unwrap().as_secs(), 900);
        assert_eq!("43200".parse::<SessionDuration>().unwrap().as_secs(), 43_200);
        for wrong in ["899", "43201", "+3600", "1h", "", "-1", "99999999999"] {
            assert!(wrong.parse::<SessionDuration>().is_err(), "{wrong:?}");
        }
    }
}
