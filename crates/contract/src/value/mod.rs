//! What a setting may hold, parsed once. Every type reads with [`str::parse`] and prints the form it was read from.

mod arn;
mod chain;
mod choice;
mod guards;
mod region;
mod seconds;
mod session;

pub use arn::RoleArn;
pub use chain::{Hop, RoleChain};
pub use choice::{HttpTokens, Interception, Metadata, Start};
pub use guards::{AllowedHosts, HopLimit};
pub use region::{Partition, Region};
pub use seconds::Seconds;
pub use session::{SessionDuration, SessionName};

use std::borrow::Cow;
use std::fmt;

/// A value that was refused, and the form that would be accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// What was given; only its [`excerpt`] is printed.
    pub value: String,
    /// A phrase that completes "accepted: …".
    pub accepted: Cow<'static, str>,
}

impl Invalid {
    /// Of this value; `accepted` completes "accepted: …".
    pub fn new(value: impl Into<String>, accepted: impl Into<Cow<'static, str>>) -> Self {
        Self { value: value.into(), accepted: accepted.into() }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not accepted; accepted: {}", excerpt(&self.value), self.accepted)
    }
}

impl std::error::Error for Invalid {}

/// The most characters of what others wrote that a message repeats.
const LONGEST_EXCERPT: usize = 100;

/// What others wrote, cut to 100 characters and `…`: a message must not grow with it (an annotation may have 256 KiB).
pub fn excerpt(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(LONGEST_EXCERPT) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()).into(),
        None => text.into(),
    }
}

/// Whether it is what stands around a value that was written with too much, as `" value "` is: a blank or a quote.
pub fn is_blank_or_quote(c: char) -> bool {
    c.is_whitespace() || matches!(c, '"' | '\'')
}

/// Whether it has the length and the characters of an object's name. Source: Kubernetes, "Object Names and IDs".
pub fn is_object_name(text: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
    (1..=253).contains(&text.len()) && text.bytes().all(legal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_repeats_no_more_than_an_excerpt() {
        let message = Invalid::new("é".repeat(100_000), "less").to_string();
        assert_eq!(message, format!("\"{}…\" is not accepted; accepted: less", "é".repeat(100)));
        assert_eq!(excerpt(&"é".repeat(100)), "é".repeat(100));
    }
}
