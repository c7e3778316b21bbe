//! What came of the emulator's exchanges with STS: from its health pages, else from its metrics and its log. No page and no log
//! holds a credential.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use imds_contract::{address, pod};
use serde_json::Value;

use super::containers::{State, find};
use super::log::parse;
use super::object::names;
use super::samples::Samples;
use crate::kubectl::{Answers, Failure, Question};
use crate::words::left;

const VALID: &str = "imds_emulator_credentials_valid";
const END: &str = "imds_emulator_credentials_expiration_timestamp_seconds";

/// What the emulator's log begins a failed exchange with (`crates/emulator/src/refresh.rs`).
pub(crate) const CANNOT: &str = "can't get credentials: ";
const GOT: &str = "got credentials from STS";
/// What its pages write before the failure (`crates/emulator/src/admin.rs`).
pub(crate) const LAST_FAILURE: &str = "last exchange failed: ";

/// What its admin listener serves.
const PAGES: [&str; 3] = ["/readyz", "/startupz", "/metrics"];

/// How the credentials are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Credentials {
    Valid { left: Duration },
    Expired,
    None,
}

/// What is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) credentials: Credentials,
    /// Why the last exchange failed, where it did.
    pub(crate) failure: Option<String>,
    /// By the log alone.
    pub(crate) by_log: bool,
}

/// What the emulator says of itself, where it runs; its log in any case.
pub(crate) fn questions(pod: &Value) -> Vec<Question> {
    let mut questions = Vec::new();
    match find(pod, pod::EMULATOR_CONTAINER).map(|emulator| emulator.state) {
        Some(State::Running) => {
            questions.extend(PAGES.map(|path| page(pod, path)));
            questions.push(log(pod, pod::EMULATOR_CONTAINER));
        }
        Some(State::Ended(_)) => questions.push(log(pod, pod::EMULATOR_CONTAINER)),
        _ => {}
    }
    questions
}

/// A page that the emulator serves.
pub(crate) fn page(pod: &Value, path: &'static str) -> Question {
    let (namespace, pod) = names(pod);
    Question::Page { namespace, pod, port: address::ADMIN_PORT, path }
}

/// Where no page answers in time: the port of IMDS. From outside the Pod it is always closed, so that a refusal shows that the API server
/// reaches the Pod.
pub(crate) fn closed_port(pod: &Value, answers: &Answers) -> Option<Question> {
    silence(pod, answers)?;
    let (namespace, pod) = names(pod);
    Some(Question::Page { namespace, pod, port: address::EMULATOR_PORT, path: "/" })
}

/// How long was waited, where it gives no answer though the API server reaches the Pod. The port of a Pod that is not reached, for a
/// `NetworkPolicy` for example, gives none either.
pub(crate) fn hangs(pod: &Value, answers: &Answers) -> Option<Duration> {
    match answers.said(&closed_port(pod, answers)?)? {
        Err(Failure::Other { said }) if said.contains("connection refused") => silence(pod, answers),
        _ => None,
    }
}

/// How long was waited for its pages, where none came.
fn silence(pod: &Value, answers: &Answers) -> Option<Duration> {
    let waited = |path| match answers.said(&page(pod, path))? {
        Err(Failure::TimedOut { after }) => Some(after),
        _ => None,
    };
    PAGES.into_iter().map(waited).min()?
}

/// What a container of the Pod said.
pub(crate) fn log(pod: &Value, container: &'static str) -> Question {
    let (namespace, pod) = names(pod);
    Question::Log { namespace, pod, container }
}

/// The error is why there is nothing to go by.
pub(crate) fn outcome(
    pod: &Value,
    answers: &Answers,
    now: SystemTime,
) -> Option<Result<Outcome, (Question, Failure)>> {
    let ready = page(pod, "/readyz");
    let answer = answers.said(&ready)?;
    if let Some(page) = answers.text(&ready)
        && let Some(left) = seconds(page)
    {
        return Some(Ok(Outcome {
            credentials: Credentials::Valid { left },
            failure: failure(page),
            by_log: false,
        }));
    }
    let logged = logged(answers.text(&log(pod, pod::EMULATOR_CONTAINER)).unwrap_or_default(), now);
    // kubectl does not repeat what a page says that answers 503; this one answers 200 in the end.
    let started = answers.text(&page(pod, "/startupz"));
    let said =
        started.and_then(failure).or_else(|| logged.as_ref().and_then(|logged| logged.failure.clone()));
    if let Some(metrics) = answers.text(&page(pod, "/metrics")).map(Samples::read)
        && let Some(valid) = metrics.sum(VALID, &[])
    {
        let end = metrics.sum(END, &[]).filter(|end| (0.0..253e9).contains(end));
        let credentials = match end.map(|end| UNIX_EPOCH + Duration::from_secs_f64(end)) {
            Some(end) if valid > 0.0 => Credentials::Valid { left: left(end, now) },
            Some(_) => Credentials::Expired,
            None => Credentials::None,
        };
        return Some(Ok(Outcome { credentials, failure: said, by_log: false }));
    }
    match (logged, answer) {
        (Some(outcome), _) => Some(Ok(outcome)),
        (None, Err(failure)) => Some(Err((ready, failure))),
        (None, Ok(_)) => None,
    }
}

/// `ready: credentials are valid for 3528 s`.
fn seconds(page: &str) -> Option<Duration> {
    let rest = page.strip_prefix("ready: credentials are valid for ")?;
    rest.split(' ').next()?.parse().ok().map(Duration::from_secs)
}

fn failure(page: &str) -> Option<String> {
    page.lines().find_map(|line| line.strip_prefix(LAST_FAILURE)).map(str::to_owned)
}

/// By the last line of the log that tells of an exchange.
fn logged(log: &str, now: SystemTime) -> Option<Outcome> {
    let mut end: Option<SystemTime> = None;
    let mut failure = None;
    let mut seen = false;
    for line in log.lines().filter_map(parse) {
        let message = line.get("message").and_then(Value::as_str).unwrap_or_default();
        if message == GOT {
            let time = line.get("expiration").and_then(Value::as_str);
            end = time.and_then(|time| humantime::parse_rfc3339(time).ok());
            (failure, seen) = (None, true);
        } else if let Some(said) = message.strip_prefix(CANNOT) {
            (failure, seen) = (Some(said.to_owned()), true);
        }
    }
    let credentials = match end.map(|end| left(end, now)) {
        Some(Duration::ZERO) => Credentials::Expired,
        Some(left) => Credentials::Valid { left },
        None => Credentials::None,
    };
    seen.then_some(Outcome { credentials, failure, by_log: true })
}
