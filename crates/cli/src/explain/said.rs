//! What STS said, out of whatever a person has of it: a line of the emulator's log, its probe's message, an answer of STS, or how
//! an SDK or the AWS CLI tells it. Pure.

use imds_contract::RoleArn;
use imds_sts::{FailureKind, error_body};
use serde_json::Value;

use super::cause::{Cause, Reason};
use super::{others, whose};
use crate::facts::emulator::{CANNOT, LAST_FAILURE};

/// The most that is read.
const LONGEST: usize = 256 * 1024;

/// What STS said, or what the emulator says in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) reason: Reason,
    pub(crate) cause: Cause,
    /// As it was said, without what stood around it.
    pub(crate) message: String,
    /// At which role of a chain.
    pub(crate) at: Option<At>,
    /// What the token that was shown says of itself, where the emulator's log told.
    pub(crate) shown: Shown,
}

/// A role of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct At {
    /// 1 for the first.
    pub(crate) number: usize,
    pub(crate) of: usize,
    pub(crate) role: RoleArn,
}

/// Claims of a token; empty where they are not known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) issuer: String,
    pub(crate) subject: String,
    pub(crate) audiences: Vec<String>,
}

impl Said {
    /// `None` where the text tells of no failure of STS.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let end =
            text.char_indices().map(|(at, _)| at).take_while(|at| *at <= LONGEST).last().unwrap_or_default();
        let text = if text.len() > LONGEST { text.get(..end).unwrap_or_default() } else { text };
        // A whole log: its last failure counts.
        let logged = text.lines().rev().find_map(|line| {
            let line = crate::facts::log::parse(line)?;
            line.get("message")?.as_str()?.starts_with(CANNOT).then_some(line)
        });
        if let Some(line) = logged {
            return Self::logged(&line);
        }
        let text = text.trim();
        if let Some(body) = error_body(text.as_bytes()).filter(|body| body.code.is_some()) {
            let code = body.code.unwrap_or_default();
            let message = body.message.unwrap_or_default();
            return Self::plain(&format!("{code}: {message}"));
        }
        let last = text.lines().find_map(|line| line.split_once(LAST_FAILURE)).map(|(_, said)| said);
        let said = last.or_else(|| text.split_once(CANNOT).map(|(_, said)| said)).unwrap_or(text);
        Self::plain(said)
    }

    /// A line of the emulator's log.
    pub(crate) fn logged(line: &Value) -> Option<Self> {
        let field = |name: &str| line.get(name).and_then(Value::as_str).unwrap_or_default();
        let message = field("message").strip_prefix(CANNOT)?;
        let shown = Shown {
            issuer: field("iss").to_owned(),
            subject: field("sub").to_owned(),
            audiences: field("aud").split_whitespace().map(str::to_owned).collect(),
        };
        let said = match Reason::from_word(field("reason")) {
            Some(reason) => Self::new(reason, message),
            None => Self::plain(message)?,
        };
        Some(Self { shown, ..said })
    }

    fn plain(text: &str) -> Option<Self> {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let known = Reason::from_word(&text).or_else(|| own(&text));
        if let Some(cause) = whose::elsewhere(&text).filter(|_| known.is_none()) {
            return Some(Self::with(cause, &text));
        }
        Some(Self::new(known.or_else(|| reason(&text))?, &text))
    }

    fn new(reason: Reason, message: &str) -> Self {
        Self::with(Cause::of(reason, message), message)
    }

    fn with(cause: Cause, message: &str) -> Self {
        let message = without_tokens(message);
        Self { reason: cause.reason(), cause, at: at(&message), message, shown: Shown::default() }
    }
}

/// Who pastes a whole request pastes its token, and a token begins with JSON in base64.
fn without_tokens(text: &str) -> String {
    let of_token = |c: char| c.is_ascii_alphanumeric() || "-_.=%".contains(c);
    let mut parts = text.split("eyJ");
    let mut clean = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        clean.extend(["(a token)", part.trim_start_matches(of_token)]);
    }
    clean
}

/// `role 2 of 3, ARN: …`: see `crates/emulator/src/exchange.rs`.
fn at(message: &str) -> Option<At> {
    let rest = message.strip_prefix("role ")?;
    let (number, rest) = rest.split_once(" of ")?;
    let (of, rest) = rest.split_once(", ")?;
    let (role, _) = rest.split_once(": ")?;
    Some(At { number: number.parse().ok()?, of: of.parse().ok()?, role: role.parse().ok()? })
}

/// By a code of STS that stands in it, by the words of a message that has but one meaning, or by those of other programs.
fn reason(text: &str) -> Option<Reason> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let coded = words.clone().find_map(FailureKind::of_code);
    // Of requests that are signed: no kind of their own.
    let signed = ["SignatureDoesNotMatch", "RequestExpired", "InvalidClientTokenId"];
    let by_sign = words.clone().any(|word| signed.contains(&word)).then_some(FailureKind::Denied);
    // The first cause of STS's that has words of its own for it.
    let named = || {
        let mut all = Cause::ALL.iter().filter(|cause| cause.reason() != Reason::Elsewhere);
        all.find(|cause| cause.said().iter().any(|part| text.contains(part))).map(|cause| cause.reason())
    };
    let of_others = || others::kind(text).map(Reason::Sts);
    coded.or(by_sign).map(Reason::Sts).or_else(named).or_else(of_others).or_else(|| by_status(text))
}

/// By the emulator's own words. Sources: `crates/sts` (`client.rs`, `response.rs`, `tls.rs`), `crates/emulator` (`exchange.rs`,
/// `refresh.rs`); a test looks for the words there.
fn own(text: &str) -> Option<Reason> {
    on_the_way(text)
        .map(Reason::Sts)
        .or_else(|| OWN_WORDS.iter().find(|(part, _)| text.contains(part)).map(|(_, reason)| *reason))
}

const OWN_WORDS: [(&str, Reason); 6] = [
    ("can't use the token file", Reason::TokenFile),
    ("credentials that end before those that are served", Reason::ShortAnswer),
    ("credentials that have already expired", Reason::ExpiredAnswer),
    ("the CA bundle ", Reason::Sts(FailureKind::Trust)),
    ("can't set up TLS: ", Reason::Sts(FailureKind::Trust)),
    ("STS answered 200: but", Reason::Sts(FailureKind::UnusableAnswer)),
];

/// `could not connect to HOST:PORT: …`, and the steps after that. Other programs say `could not connect to` too, of no such target.
fn on_the_way(text: &str) -> Option<FailureKind> {
    use FailureKind::{Connect, ProxyDenied, Resolve, Timeout, Tls};
    const CONNECT: &str = "could not connect to ";
    const TUNNEL: &str = "could not get through ";
    const HANDSHAKE: &str = "could not set up TLS with ";
    const ASK: &str = "could not ask ";
    let steps = [CONNECT, TUNNEL, HANDSHAKE, ASK];
    let (step, rest) = steps.into_iter().find_map(|step| Some((step, text.split_once(step)?.1)))?;
    let target = rest.split(' ').next().unwrap_or_default();
    let has_port = target
        .trim_end_matches(':')
        .rsplit_once(':')
        .is_some_and(|(_, port)| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()));
    if !(has_port || rest.starts_with("the proxy ") || rest.starts_with("http")) {
        return None;
    }
    let has = |part| rest.contains(part);
    Some(match step {
        _ if has(" within ") => Timeout,
        HANDSHAKE => Tls,
        _ if has("failed to lookup address") || has("the name has no address") => Resolve,
        TUNNEL if has("it answered 4") => ProxyDenied,
        ASK => others::kind(rest).unwrap_or(Connect),
        _ => Connect,
    })
}

/// `STS answered 503: …`, or an SDK's `status code: 503`.
fn by_status(text: &str) -> Option<Reason> {
    let after = ["STS answered ", "StatusCode: ", "status code: ", "Status Code: ", "HTTP "];
    let status = after.iter().find_map(|before| {
        let (_, rest) = text.split_once(before)?;
        rest.get(..3)?.parse::<u16>().ok()
    });
    status
        .filter(|status| (300..600).contains(status))
        .map(|status| Reason::Sts(FailureKind::of_answer(None, status)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause(text: &str) -> Option<Cause> {
        Said::read(text).map(|said| said.cause)
    }

    #[test]
    fn an_error_is_understood_however_it_is_told() {
        let denied = "Not authorized to perform sts:AssumeRoleWithWebIdentity";
        for text in [
            denied,
            &format!("AccessDenied: {denied}"),
            &format!("STS answered 403 AccessDenied: {denied} (request 0de08558-1293)"),
            &format!(
                "started without credentials after 43 s\nlast exchange failed: STS answered 403 AccessDenied: {denied}\n"
            ),
            &format!(
                "Startup probe failed: HTTP probe failed with statuscode: 503\nnot ready: no credentials yet\nlast exchange failed: STS answered 403 AccessDenied: {denied}"
            ),
            &format!(
                "An error occurred (AccessDenied) when calling the AssumeRoleWithWebIdentity operation: {denied}"
            ),
            &format!(
                "WebIdentityErr: failed to retrieve credentials\ncaused by: AccessDenied: {denied}\n\tstatus code: 403, request id: 1"
            ),
            &format!(
                "operation error STS: AssumeRoleWithWebIdentity, https response error StatusCode: 403, RequestID: 1, api error AccessDenied: {denied}"
            ),
            &format!(
                "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>{denied}</Message></Error><RequestId>1</RequestId></ErrorResponse>"
            ),
            &format!("{{\"Error\":{{\"Code\":\"AccessDenied\",\"Message\":\"{denied}\"}}}}"),
            &format!(
                "{{\"time\":\"t\",\"level\":\"info\",\"message\":\"serving IMDS\"}}\n{{\"time\":\"t\",\"level\":\"warn\",\"message\":\"can't get credentials: STS answered 403 AccessDenied: {denied}\",\"reason\":\"denied\"}}\n"
            ),
            &format!("warn can't get credentials: STS answered 403 AccessDenied: {denied}"),
        ] {
            assert_eq!(cause(text), Some(Cause::NotTrusted), "{text}");
        }
        for (text, expected) in [
            (
                "InvalidIdentityToken: No OpenIDConnect provider found in your account for https://a",
                Cause::NoProvider,
            ),
            ("No OpenIDConnect provider found in your account for https://a", Cause::NoProvider),
            (
                "OpenIDConnect provider's HTTPS certificate doesn't match configured thumbprint",
                Cause::Thumbprint,
            ),
            ("denied", Cause::Refused),
            ("throttled", Cause::TooMany),
            ("STS answered 503: with an empty body", Cause::ServerFailed),
            ("STS answered 403: a page that is not STS's, titled \"Forbidden\"", Cause::Refused),
            (
                "could not connect to sts.amazonaws.com:443: failed to lookup address information: Name or service not known",
                Cause::NoName,
            ),
            (
                "could not connect to sts.amazonaws.com:443: 1.2.3.4:443: Connection refused (os error 111)",
                Cause::NoWay,
            ),
            ("could not connect to sts.amazonaws.com:443 within 5s", Cause::TooSlow),
            ("could not set up TLS with sts.amazonaws.com:443: UnknownIssuer", Cause::NoTls),
            (
                "could not get through the proxy http://p:3128 to sts.amazonaws.com:443: it answered 407 Proxy Authentication Required",
                Cause::ProxySaysNo,
            ),
            ("can't read the CA bundle /ca.pem: No such file or directory", Cause::NoTrustFile),
            (
                "can't use the token file /var/run/secrets/aws-imds-emulator/token: Permission denied",
                Cause::TokenUnreadable,
            ),
            ("STS's answer holds credentials that have already expired", Cause::OverBefore),
        ] {
            assert_eq!(cause(text), Some(expected), "{text}");
        }
        for nothing in
            ["", "hello", "{\"a\": 1}", "<html>", "credentials are valid for 3 s", "got credentials from STS"]
        {
            assert_eq!(cause(nothing), None, "{nothing}");
        }
    }

    /// As programs print them: explanation and text; `-` where there is nothing to explain. Written down by hand, not recorded.
    #[test]
    fn an_error_of_another_program_is_explained_as_what_it_is() {
        let wrong = include_str!("errors.tsv").lines().filter_map(|line| {
            let (expected, text) = line.split_once('\t').unwrap();
            let explained = cause(text).map_or("-", Cause::word);
            (explained != expected).then(|| format!("{explained}, not {expected}: {text}"))
        });
        let wrong: Vec<_> = wrong.collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn the_last_failure_of_a_log_counts_and_tells_of_the_token() {
        let line = |reason: &str, message: &str| {
            format!(
                "{{\"message\":\"can't get credentials: {message}\",\"reason\":\"{reason}\",\"iss\":\"https://i\",\"sub\":\"s\",\"aud\":\"a b\"}}"
            )
        };
        let log = format!(
            "{}\n{}\n{{\"message\":\"stopped\"}}",
            line("throttled", "x"),
            line(
                "denied",
                "role 2 of 3, arn:aws:iam::210987654321:role/p/first: STS answered 403 AccessDenied: User: arn:aws:sts::123456789012:assumed-role/a/s is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::210987654321:role/p/first"
            )
        );
        let said = Said::read(&log).unwrap();
        assert_eq!(said.cause, Cause::NotTrustedByRole);
        assert_eq!(
            said.at,
            Some(At { number: 2, of: 3, role: "arn:aws:iam::210987654321:role/p/first".parse().unwrap() })
        );
        assert_eq!((said.shown.issuer.as_str(), said.shown.subject.as_str()), ("https://i", "s"));
        assert_eq!(said.shown.audiences, ["a", "b"]);
    }

    #[test]
    fn a_long_text_is_read_in_part() {
        let said = Said::read(&format!("AccessDenied: {}", "é".repeat(LONGEST))).unwrap();
        assert!(said.message.len() <= LONGEST, "{}", said.message.len());
    }

    #[test]
    fn the_words_of_the_emulator_are_its_words() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let files = [
            "sts/src/client.rs",
            "sts/src/tls.rs",
            "sts/src/response.rs",
            "sts/src/failure.rs",
            "emulator/src/exchange.rs",
            "emulator/src/refresh.rs",
            "emulator/src/admin.rs",
        ];
        let sources: String =
            files.iter().map(|file| std::fs::read_to_string(folder.join(file)).unwrap()).collect();
        for part in [
            "can't get credentials: ",
            "got credentials from STS",
            "last exchange failed: ",
            "ready: credentials are valid for ",
            "can't use the token file",
            "credentials that end before those that are served",
            "credentials that have already expired",
            "the CA bundle",
            "set up TLS with",
            "can't set up TLS: ",
            "ask {}",
            "it answered {}",
            "within {}",
            "the name has no address",
            "connect to {whom}",
            "could not {what}",
            "get through {whom} to",
            "STS answered {status}",
            "but without {name}",
            "role {} of {}, {role}: ",
        ] {
            assert!(sources.contains(part), "{part:?} is not in the sources any more");
        }
    }
}
