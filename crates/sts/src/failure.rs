//! Why an exchange failed, and what helps. Pure.
//!
//! STS's code (or the status, or what broke on our side) means a [`FailureKind`]; the kind alone means the [`Remedy`].
//! Source of the codes: STS API reference, common error types, and the retry tables of botocore.

use std::fmt;
use std::time::Duration;

/// The longest text of somebody else's that is passed on, in characters.
const LONGEST_MESSAGE: usize = 500;

/// The least part of a token that is recognised in a text, in bytes.
const TOKEN_PART: usize = 16;

/// A failed exchange. Holds no secret: fit for a log, a metric's label (`kind`) and a user's eyes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What went wrong, in a word.
    pub kind: FailureKind,
    /// What helps.
    pub remedy: Remedy,
    /// STS's own code, for example `AccessDenied`.
    pub code: Option<String>,
    /// STS's own message, or what we tried and what came of it.
    pub message: String,
    /// The HTTP status, where there was an answer.
    pub status: Option<u16>,
    /// STS's id of the request, which AWS support asks for.
    pub request_id: Option<String>,
    /// How long the answer asked us to wait; an hour at most.
    pub retry_after: Option<Duration>,
}

/// What to do about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Remedy {
    /// It may pass: try again, waiting longer each time.
    Retry,
    /// The token is what's wrong: another attempt needs the token file's new content.
    RereadToken,
    /// We ask too much: wait longer than for an ordinary failure.
    Wait,
    /// Only a change in AWS or in the settings helps: try again, but rarely.
    GiveUpSlowly,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $word:literal => $remedy:ident,)+) => {
        /// What went wrong. Few words, so that they can label a metric.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum FailureKind { $($(#[$doc])* $kind,)+ }

        impl FailureKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$kind,)+];

            /// The word.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$kind => $word,)+ }
            }

            /// What helps against it.
            pub fn remedy(self) -> Remedy {
                match self { $(Self::$kind => Remedy::$remedy,)+ }
            }
        }
    };
}

kinds! {
    /// The role's trust policy, or another policy, doesn't allow it.
    Denied = "denied" => GiveUpSlowly,
    /// The identity provider says no, for example because the token was revoked.
    RejectedClaim = "rejected_claim" => GiveUpSlowly,
    /// STS can't verify the token.
    InvalidToken = "invalid_token" => RereadToken,
    /// The token has expired.
    ExpiredToken = "expired_token" => RereadToken,
    /// STS didn't reach the identity provider.
    IdpUnreachable = "idp_unreachable" => Retry,
    /// Too many requests.
    Throttled = "throttled" => Wait,
    /// STS is switched off in this region for the account.
    RegionDisabled = "region_disabled" => GiveUpSlowly,
    /// STS doesn't accept the request, for example because the role's longest session is shorter.
    InvalidRequest = "invalid_request" => GiveUpSlowly,
    /// STS failed.
    ServerError = "server_error" => Retry,
    /// An answer that holds no credentials that could be served.
    UnusableAnswer = "unusable_answer" => Retry,
    /// The host's name has no address.
    Resolve = "resolve" => Retry,
    /// No connection, or one that broke.
    Connect = "connect" => Retry,
    /// The proxy doesn't let us through.
    ProxyDenied = "proxy_denied" => GiveUpSlowly,
    /// No TLS, for example because the certificate is signed by nobody whom we trust.
    Tls = "tls" => Retry,
    /// The file with the trust roots can't be used.
    Trust = "trust" => Retry,
    /// No answer in time.
    Timeout = "timeout" => Retry,
}

impl FailureKind {
    /// What an error answer means: by its code, else by its status.
    pub fn of_answer(code: Option<&str>, status: u16) -> Self {
        code.and_then(Self::of_code).unwrap_or(match status {
            403 => Self::Denied,
            // Not STS's own word: a load balancer that has nothing behind it yet, or a proxy.
            404 | 405 | 421 => Self::UnusableAnswer,
            407 => Self::ProxyDenied,
            408 => Self::Timeout,
            429 => Self::Throttled,
            400..=499 => Self::InvalidRequest,
            500..=599 => Self::ServerError,
            _ => Self::UnusableAnswer,
        })
    }

    /// What one of STS's own codes means; `None` for a code that decides nothing.
    pub fn of_code(code: &str) -> Option<Self> {
        // Some codes are written with or without this ending, depending on the protocol and on who answers.
        Some(match code.strip_suffix("Exception").unwrap_or(code) {
            "AccessDenied" => Self::Denied,
            "IDPRejectedClaim" => Self::RejectedClaim,
            "InvalidIdentityToken" => Self::InvalidToken,
            "ExpiredToken" => Self::ExpiredToken,
            "IDPCommunicationError" => Self::IdpUnreachable,
            "RegionDisabled" => Self::RegionDisabled,
            "MalformedPolicyDocument" | "PackedPolicyTooLarge" | "ValidationError" => Self::InvalidRequest,
            "Throttling"
            | "Throttled"
            | "RequestThrottled"
            | "EC2Throttled"
            | "TooManyRequests"
            | "RequestLimitExceeded"
            | "BandwidthLimitExceeded"
            | "LimitExceeded"
            | "ProvisionedThroughputExceeded"
            | "PriorRequestNotComplete"
            | "SlowDown" => Self::Throttled,
            "RequestTimeout" => Self::Timeout,
            "InternalFailure" | "InternalError" | "ServiceUnavailable" | "ServiceFailure" => {
                Self::ServerError
            }
            _ => return None,
        })
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Failure {
    /// A failure without an answer of STS. The cause is part of the sentence: it goes to logs, probes and reports alike.
    pub(crate) fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            remedy: kind.remedy(),
            code: None,
            message: message.into(),
            status: None,
            request_id: None,
            retry_after: None,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.status, &self.code) {
            (Some(status), Some(code)) => write!(f, "STS answered {status} {code}: {}", self.message)?,
            (Some(status), None) => write!(f, "STS answered {status}: {}", self.message)?,
            (None, _) => f.write_str(&self.message)?,
        }
        match &self.request_id {
            Some(id) => write!(f, " (request {id})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}

/// Somebody else's text, fit to be passed on: one line, no control characters, not too long, and no part of the token.
pub(crate) fn clean(text: &str, token: &str) -> String {
    let line = text.split(|c: char| c.is_whitespace() || is_invisible(c)).filter(|word| !word.is_empty());
    let line = line.collect::<Vec<_>>().join(" ");
    // A little more than will be kept, so that a part of the token at the end is recognised, too.
    let line: String = line.chars().take(LONGEST_MESSAGE + TOKEN_PART).collect();
    let line = without_token(&line, token);
    match line.char_indices().nth(LONGEST_MESSAGE) {
        Some((end, _)) => line.get(..end).unwrap_or_default().to_owned() + "…",
        None => line,
    }
}

/// An id or a code of somebody else's: `None` unless it looks like one.
pub(crate) fn clean_word(text: &str, token: &str) -> Option<String> {
    let text = text.trim();
    let is_word = (1..=128).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b));
    (is_word && without_token(text, token) == text).then(|| text.to_owned())
}

/// Puts `[token]` for every part of the token that is long enough to be no coincidence.
fn without_token(text: &str, token: &str) -> String {
    let part = token.len().min(TOKEN_PART);
    let mut hidden_to = 0;
    let mut shown = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        let begins_a_part = text.get(at..at + part).is_some_and(|text| part > 0 && token.contains(text));
        if begins_a_part {
            if at >= hidden_to {
                shown.push_str("[token]");
            }
            hidden_to = at + part;
        }
        if at >= hidden_to {
            shown.push(c);
        }
    }
    shown
}

/// Control characters, and those that reorder or hide text on a terminal.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str =
        "eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ.eyJzdWIiOiJzeXN0ZW06c2VydmljZWFjY291bnQifQ.c2lnbmF0dXJl";

    /// Every row of the error table of STS, with the status it comes with.
    #[test]
    fn every_code_of_sts_has_its_remedy() {
        for (code, status, word, remedy) in [
            ("IDPCommunicationError", 400, "idp_unreachable", Remedy::Retry),
            ("InvalidIdentityToken", 400, "invalid_token", Remedy::RereadToken),
            ("InvalidIdentityTokenException", 400, "invalid_token", Remedy::RereadToken),
            ("ExpiredTokenException", 400, "expired_token", Remedy::RereadToken),
            ("ExpiredToken", 400, "expired_token", Remedy::RereadToken),
            ("IDPRejectedClaim", 403, "rejected_claim", Remedy::GiveUpSlowly),
            ("AccessDenied", 403, "denied", Remedy::GiveUpSlowly),
            ("AccessDeniedException", 400, "denied", Remedy::GiveUpSlowly),
            ("MalformedPolicyDocument", 400, "invalid_request", Remedy::GiveUpSlowly),
            ("PackedPolicyTooLarge", 400, "invalid_request", Remedy::GiveUpSlowly),
            ("ValidationError", 400, "invalid_request", Remedy::GiveUpSlowly),
            ("RegionDisabledException", 403, "region_disabled", Remedy::GiveUpSlowly),
            ("InvalidParameterValue", 400, "invalid_request", Remedy::GiveUpSlowly),
            ("InvalidClientTokenId", 403, "denied", Remedy::GiveUpSlowly),
            ("Throttling", 400, "throttled", Remedy::Wait),
            ("ThrottlingException", 400, "throttled", Remedy::Wait),
            ("RequestLimitExceeded", 503, "throttled", Remedy::Wait),
            ("TooManyRequestsException", 429, "throttled", Remedy::Wait),
            ("SlowDown", 503, "throttled", Remedy::Wait),
            ("RequestTimeout", 400, "timeout", Remedy::Retry),
            ("InternalFailure", 500, "server_error", Remedy::Retry),
            ("ServiceUnavailable", 503, "server_error", Remedy::Retry),
            ("SomethingNew", 400, "invalid_request", Remedy::GiveUpSlowly),
            ("SomethingNew", 500, "server_error", Remedy::Retry),
        ] {
            let kind = FailureKind::of_answer(Some(code), status);
            assert_eq!((kind.as_str(), kind.remedy()), (word, remedy), "{code}");
        }
    }

    #[test]
    fn without_a_code_the_status_decides() {
        for (status, word, remedy) in [
            (302, "unusable_answer", Remedy::Retry),
            (400, "invalid_request", Remedy::GiveUpSlowly),
            (403, "denied", Remedy::GiveUpSlowly),
            (408, "timeout", Remedy::Retry),
            (429, "throttled", Remedy::Wait),
            (500, "server_error", Remedy::Retry),
            (503, "server_error", Remedy::Retry),
        ] {
            let kind = FailureKind::of_answer(None, status);
            assert_eq!((kind.as_str(), kind.remedy()), (word, remedy), "{status}");
        }
    }

    #[test]
    fn kinds_are_distinct_metric_labels() {
        let mut words: Vec<_> = FailureKind::ALL.iter().map(|kind| kind.as_str()).collect();
        assert!(words.iter().all(|word| word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')));
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), FailureKind::ALL.len());
    }

    #[test]
    fn says_what_sts_said() {
        let mut failure = Failure::new(FailureKind::Denied, "Not authorized");
        assert_eq!(failure.to_string(), "Not authorized");
        failure.status = Some(403);
        assert_eq!(failure.to_string(), "STS answered 403: Not authorized");
        failure.code = Some("AccessDenied".to_owned());
        failure.request_id = Some("f00".to_owned());
        assert_eq!(failure.to_string(), "STS answered 403 AccessDenied: Not authorized (request f00)");
    }

    #[test]
    fn a_foreign_text_becomes_one_short_harmless_line() {
        assert_eq!(clean(" a\r\n\tb\u{1b}[31m\u{202e}c\u{0}", TOKEN), "a b [31m c");
        let long = clean(&"é".repeat(70_000), TOKEN);
        assert_eq!(long.chars().count(), LONGEST_MESSAGE + 1);
        assert!(long.ends_with('…'));
        assert_eq!(clean("any", ""), "any");
    }

    #[test]
    fn no_part_of_the_token_comes_back() {
        for (text, shown) in [
            (format!("the token {TOKEN} is bad"), "the token [token] is bad"),
            (format!("x{}y", &TOKEN[3..40]), "x[token]y"),
            (format!("{}/{}", &TOKEN[..20], &TOKEN[50..70]), "[token]/[token]"),
            (format!("short {}", &TOKEN[..15]), "short eyJhbGciOiJSUzI"),
        ] {
            assert_eq!(clean(&text, TOKEN), shown);
        }
        // Where a long message is cut, the cut doesn't save a part of the token from being recognised.
        let cut = clean(&format!("{}{TOKEN}", "x".repeat(LONGEST_MESSAGE - 10)), TOKEN);
        assert!(!cut.contains("eyJ"), "{cut}");
        assert_eq!(clean("secret tok1 here", "tok1"), "secret [token] here");
        assert_eq!(clean_word(&TOKEN[..30], TOKEN), None);
        assert_eq!(clean_word(" Access-1 ", TOKEN).as_deref(), Some("Access-1"));
        assert_eq!(clean_word("two words", TOKEN), None);
    }
}
