//! Settings that are one word of a few.

use std::fmt;
use std::str::FromStr;

use super::Invalid;

/// Declares an enum whose variants are written as fixed words, with one list for reading, printing and the error.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident, $accepted:literal, { $($(#[$doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
        pub enum $name { $($(#[$doc])* $variant,)+ }

        impl $name {
            /// Every value, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word that a user writes.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }

        impl FromStr for $name {
            type Err = Invalid;

            fn from_str(text: &str) -> Result<Self, Invalid> {
                match text { $($word => Ok(Self::$variant),)+ _ => Err(Invalid::new(text, $accepted)) }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words! {
    /// Whether a session token is needed, in AWS's own words (`HttpTokens` of the EC2 API).
    HttpTokens, "optional (IMDSv1 and IMDSv2) or required (IMDSv2 only)", {
        /// IMDSv1 and IMDSv2.
        #[default]
        Optional = "optional",
        /// IMDSv2 only.
        Required = "required",
    }
}

words! {
    /// How requests to the IMDS address come to the emulator.
    Interception, "redirect, address or endpoint", {
        /// netfilter: the address's port 80 is mapped to the emulator's port.
        #[default]
        Redirect = "redirect",
        /// The address is put on the Pod's `lo`; the emulator listens on its port 80.
        Address = "address",
        /// Environment variables only: no init container, no capability.
        Endpoint = "endpoint",
    }
}

words! {
    /// How much of the metadata tree is served.
    Metadata, "credentials or extended", {
        /// The credential paths alone, as GKE on AWS's emulator.
        #[default]
        Credentials = "credentials",
        /// Region, zone, `iam/info` and identity document too, as far as known.
        Extended = "extended",
    }
}

words! {
    /// Whether the Pod's other containers start where STS gives no credentials.
    Start, "always or with-credentials", {
        /// They start after a while, as with GKE on AWS's emulator.
        #[default]
        Always = "always",
        /// They don't: a rollout stops.
        WithCredentials = "with-credentials",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_exact() {
        assert_eq!("required".parse(), Ok(HttpTokens::Required));
        let error = "Required".parse::<HttpTokens>().unwrap_err();
        assert_eq!(
            error.to_string(),
            r#""Required" is not accepted; accepted: optional (IMDSv1 and IMDSv2) or required (IMDSv2 only)"#
        );
    }

    #[test]
    fn every_word_reads_back() {
        for mode in Interception::ALL {
            assert_eq!(mode.as_str().parse(), Ok(*mode));
        }
    }
}
