//! What a setting may hold, parsed once. Every type reads with [`str::parse`] and prints the form it was read from.

mod arn;
mod choice;
mod region;
mod session;

pub use arn::RoleArn;
pub use choice::{HttpTokens, Interception, Metadata};
pub use region::{Partition, Region};
pub use session::{SessionDuration, SessionName};

use std::fmt;

/// A value that was refused, and the form that would be accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// What was given.
    pub value: String,
    /// A phrase that completes "accepted: …".
    pub accepted: &'static str,
}

impl Invalid {
    fn new(value: &str, accepted: &'static str) -> Self {
        Self { value: value.to_owned(), accepted }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not accepted; accepted: {}", self.value, self.accepted)
    }
}

impl std::error::Error for Invalid {}
