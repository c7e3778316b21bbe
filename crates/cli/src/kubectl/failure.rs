//! Why there is no answer: read from what kubectl said. Pure.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::time::Duration;

/// The most of kubectl's words that is repeated, in characters.
const LONGEST: usize = 600;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// kubectl could not be started.
    CannotRun { program: String, why: String },
    /// No answer in time.
    TimedOut { after: Duration },
    /// The API server is not reached.
    Unreachable { said: String },
    /// The API server does not know who asks.
    NotLoggedIn { said: String },
    /// Who asks may not.
    Forbidden { said: String },
    /// It is not there.
    NotFound { said: String },
    /// Anything else.
    Other { said: String },
}

impl Failure {
    pub(crate) fn cannot_run(program: &OsStr, error: &io::Error) -> Self {
        let why = match error.kind() {
            io::ErrorKind::NotFound => "there is no such program".to_owned(),
            _ => error.to_string(),
        };
        Self::CannotRun { program: program.to_string_lossy().into_owned(), why }
    }

    /// By what kubectl wrote to stderr.
    pub(crate) fn said(stderr: &str) -> Self {
        let said = last_words(stderr);
        let any = |parts: &[&str]| parts.iter().any(|part| said.contains(part));
        // The first before the others: a webhook's or a policy's refusal may quote anything.
        if said.starts_with("Error from server") || said.starts_with("error: error from server") {
            let reason = said.split_once('(').and_then(|(_, rest)| rest.split_once(')'));
            return match reason.map(|(reason, _)| reason) {
                Some("Forbidden") if any(&[" cannot "]) => Self::Forbidden { said },
                Some("NotFound") => Self::NotFound { said },
                Some("Unauthorized") => Self::NotLoggedIn { said },
                _ => Self::Other { said },
            };
        }
        if any(&[
            "You must be logged in",
            "getting credentials",
            "the server has asked for the client to provide credentials",
        ]) {
            return Self::NotLoggedIn { said };
        }
        if any(&[
            "Unable to connect to the server",
            "The connection to the server",
            "couldn't get current server API",
        ]) {
            return Self::Unreachable { said };
        }
        Self::Other { said }
    }

    /// Whether it stands in the way of every other question too.
    pub(crate) fn ends_all(&self) -> bool {
        matches!(self, Self::CannotRun { .. } | Self::Unreachable { .. } | Self::NotLoggedIn { .. })
    }
}

/// The error itself, without what kubectl logged on the way.
fn last_words(stderr: &str) -> String {
    let is_logged = |line: &&str| {
        let mut chars = line.chars();
        matches!(chars.next(), Some('E' | 'W' | 'I')) && chars.take(4).all(|c| c.is_ascii_digit())
    };
    let lines =
        stderr.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("Warning:"));
    let text = lines.filter(|line| !is_logged(line)).collect::<Vec<_>>().join(" ");
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CannotRun { program, why } => write!(
                f,
                "cannot run {program}: {why}; install kubectl, or say where it is with --kubectl FILE"
            ),
            Self::TimedOut { after } => write!(f, "no answer within {} s (--timeout)", after.as_secs()),
            Self::Unreachable { said }
            | Self::NotLoggedIn { said }
            | Self::Forbidden { said }
            | Self::NotFound { said }
            | Self::Other { said } => {
                f.write_str(if said.is_empty() { "kubectl failed without a word" } else { said })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kubectl_says_is_understood() {
        for (stderr, kind) in [
            (
                "Error from server (Forbidden): pods is forbidden: User \"jane\" cannot list resource \"pods\" in API group \"\" at the cluster scope\n",
                "Forbidden",
            ),
            (
                "Error from server (Forbidden): error when creating \"STDIN\": pods \"x\" is forbidden: violates PodSecurity \"baseline:latest\": …",
                "Other",
            ),
            (
                "Error from server (Forbidden): error when creating \"STDIN\": pods \"x\" is forbidden: exceeded quota: q",
                "Other",
            ),
            ("Error from server (NotFound): pods \"nope\" not found", "NotFound"),
            ("error: error from server (NotFound): pods \"web\" not found in namespace \"shop\"", "NotFound"),
            (
                "E1125 01:56:36.9 8179 memcache.go:265] couldn't get current server API group list: Get \"https://127.0.0.1:6443/api\": dial tcp\nThe connection to the server 127.0.0.1:6443 was refused - did you specify the right host or port?",
                "Unreachable",
            ),
            (
                "Unable to connect to the server: dial tcp: lookup nowhere.example: no such host",
                "Unreachable",
            ),
            ("error: You must be logged in to the server (Unauthorized)", "NotLoggedIn"),
            (
                "Unable to connect to the server: getting credentials: exec: executable aws not found",
                "NotLoggedIn",
            ),
            (
                "Error from server (ServiceUnavailable): the server is currently unable to handle the request",
                "Other",
            ),
            (
                "Error from server (InternalError): error when creating \"STDIN\": Internal error occurred: failed calling webhook \"w\": failed to call webhook: Post \"https://x\": dial tcp 1.2.3.4:443: connect: connection refused",
                "Other",
            ),
            ("error: context \"nope\" does not exist", "Other"),
            ("", "Other"),
        ] {
            let failure = Failure::said(stderr);
            assert!(format!("{failure:?}").starts_with(kind), "{stderr}: {failure:?}");
        }
    }

    #[test]
    fn only_the_error_itself_is_repeated() {
        let stderr = "W1125 01:56:36.9 8179 x.go:1] note\nWarning: aws-imds-emulator: near\n\nError from server: \u{1b}[31mno\n";
        assert_eq!(
            Failure::said(stderr),
            Failure::Other { said: "Error from server: \u{1b}[31mno".to_owned() }
        );
        let Failure::Other { said } = Failure::said(&"é".repeat(10_000)) else { panic!("other") };
        assert_eq!(said.chars().count(), LONGEST + 1);
    }
}
