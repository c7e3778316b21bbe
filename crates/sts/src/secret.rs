//! Text that must not leave this process but on purpose. No `Display`, no `Clone`, a `Debug` that tells nothing, and
//! memory that is wiped when it is dropped.
//!
//! The wiping covers our own copies. What the HTTP and TLS libraries buffered on the way is freed: a program that holds secrets for
//! long wipes all that is freed, as `imds-emulator` does by its allocator.

use std::fmt;

use zeroize::Zeroizing;

/// A token or a key.
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// The text itself. For the writer of a request or an answer; never for a log, a metric or an error.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(Zeroizing::new(text.to_owned()))
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cannot_print() {
        let secret = Secret::from("wJalrXUtnFEMI");
        assert_eq!(format!("{secret:?} {secret:#?}"), "Secret(…) Secret(…)");
        assert_eq!(secret.expose(), "wJalrXUtnFEMI");
    }
}
