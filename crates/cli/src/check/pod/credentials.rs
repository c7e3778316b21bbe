//! What became of the credentials, and who asked for them.

use imds_contract::{annotation, environment};

use super::Judge;
use super::finding::PodFinding;
use crate::facts::emulator::{Credentials, Outcome, hangs, outcome, page};
use crate::facts::environment::value;
use crate::facts::injected;
use crate::facts::owner::{self, Commands};
use crate::facts::samples::Samples;
use crate::words::{count, names as listed, span};

const REQUESTS: &str = "imds_emulator_requests_total";
const V1_READS: &str = "imds_emulator_imdsv1_reads_total";

pub(super) fn judge(judge: &mut Judge<'_>) {
    if let Some(after) = hangs(judge.pod, judge.answers) {
        let (seconds, remedy) = (after.as_secs(), owner::recreate([judge.pod]));
        return judge.found(PodFinding::EmulatorHangs { seconds, remedy });
    }
    match outcome(judge.pod, judge.answers, judge.now) {
        Some(Ok(outcome)) => told(judge, outcome),
        Some(Err((question, failure))) => judge.unseen(&question, &failure),
        None => return,
    }
    let question = page(judge.pod, "/metrics");
    match judge.answers.said(&question) {
        Some(Ok(said)) => readers(judge, &Samples::read(&said.stdout)),
        Some(Err(failure)) => judge.unseen(&question, &failure),
        None => {}
    }
}

fn told(judge: &mut Judge<'_>, outcome: Outcome) {
    let command = Commands::plugin("explain", judge.pod);
    let Outcome { credentials, failure, by_log } = outcome;
    let by = if by_log { ", says the emulator's log" } else { "" };
    let unknown = || "STS was not asked yet".to_owned();
    judge.found(match (credentials, failure) {
        (Credentials::Valid { left }, None) => PodFinding::Credentials { left: span(left), by },
        (Credentials::Valid { left }, Some(said)) => {
            PodFinding::RefreshFailing { left: span(left), said, command }
        }
        (Credentials::Expired, said) => {
            PodFinding::CredentialsExpired { said: said.unwrap_or_else(unknown), command }
        }
        (Credentials::None, said) => {
            PodFinding::NoCredentials { said: said.unwrap_or_else(unknown), command }
        }
    });
}

/// Who asked, by which version, and in vain.
fn readers(judge: &mut Judge<'_>, metrics: &Samples) {
    let asked = |version: &str| {
        let reads =
            ["roles", "document"].map(|path| metrics.sum(REQUESTS, &[("path", path), ("version", version)]));
        reads.into_iter().flatten().sum::<f64>()
    };
    let by_container = metrics.sum(REQUESTS, &[("path", "container")]).unwrap_or_default();
    let ways =
        [(asked("v2"), "by IMDSv2"), (asked("v1"), "by IMDSv1"), (by_container, "as a container's endpoint")];
    let ways: Vec<String> = ways
        .iter()
        .filter(|(number, _)| *number > 0.0)
        .map(|(number, how)| format!("{} {how}", times(*number)))
        .collect();
    let in_vain = times(metrics.sum(REQUESTS, &[("code", "503")]).unwrap_or_default());
    let in_vain =
        if in_vain.starts_with("0 ") { String::new() } else { format!("; in vain {in_vain} (503)") };
    judge.found(if ways.is_empty() {
        PodFinding::NotAsked {}
    } else {
        PodFinding::Asked { times: listed(&ways), in_vain }
    });
    let clients: Vec<String> = metrics
        .by(V1_READS, "client")
        .into_iter()
        .map(|(client, reads)| match client {
            "none" => format!("clients that give no name ({reads:.0})"),
            "other" => format!("further clients ({reads:.0})"),
            name => format!("{name} ({reads:.0})"),
        })
        .collect();
    if !clients.is_empty() {
        judge.found(PodFinding::ImdsV1 { clients: listed(&clients), annotation: annotation::HTTP_TOKENS });
    }
    let refused = metrics.sum(REQUESTS, &[("version", "v1"), ("code", "401")]).unwrap_or_default();
    if refused > 0.0 && http_tokens_are_required(judge) {
        let times = times(refused);
        judge.found(PodFinding::ImdsV1Refused { times, annotation: annotation::HTTP_TOKENS });
    }
}

fn times(number: f64) -> String {
    // A counter's value.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of requests")]
    count(number as usize, "time")
}

fn http_tokens_are_required(judge: &Judge<'_>) -> bool {
    let emulator = injected::emulator(judge.pod);
    emulator.and_then(|emulator| value(emulator, environment::HTTP_TOKENS)) == Some("required")
}
