//! A check of one Pod: [`plan`] says what to ask, [`judge`] what the answers come to. Both are pure.

mod cloud;
mod containers;
mod credentials;
mod environment;
pub(super) mod finding;
mod injection;
mod reference;
mod token;

use std::time::SystemTime;

use imds_contract::pod;
use serde_json::Value;

use super::findings::Findings;
use super::report::Report;
use crate::facts::containers::{find, trouble};
use crate::facts::emulator::{self, log};
use crate::facts::injected;
use crate::facts::object::{list, names, text};
use crate::kubectl::{Answers, Failure, Question};
use finding::PodFinding;

/// What is to be asked next; nothing once all is known. The first question is the Pod.
pub(super) fn plan(first: &Question, answers: &Answers) -> Vec<Question> {
    if !answers.have(first) {
        return vec![first.clone()];
    }
    let Some(pod) = answers.value(first) else { return answers.about_absent_pod(first) };
    let (namespace, name) = names(&pod);
    let mut questions = Vec::new();
    if injected::emulator(&pod).is_some() {
        questions.extend(emulator::questions(&pod));
        questions.extend(emulator::closed_port(&pod, answers));
        questions.extend(cloud::questions(&pod, answers));
        questions.push(reference::question(&namespace));
    } else {
        questions.extend([Question::Configurations, Question::Namespace(namespace.clone())]);
    }
    if find(&pod, pod::REDIRECT_CONTAINER).is_some() {
        questions.push(log(&pod, pod::REDIRECT_CONTAINER));
    }
    if text(&pod, "/status/phase") == Some("Pending") || trouble(&pod).is_some() {
        questions.push(Question::Events { namespace, pod: name });
    }
    questions
}

/// What the answers come to, in the order in which they are told.
pub(super) fn judge(pod: &Value, answers: &Answers, now: SystemTime) -> Report {
    let mut judge = Judge { answers, pod, now, findings: Findings::default() };
    judge.pod();
    if injection::judge(&mut judge) {
        containers::judge(&mut judge);
        credentials::judge(&mut judge);
        token::judge(&mut judge);
        environment::judge(&mut judge);
        cloud::judge(&mut judge);
    }
    let (namespace, name) = names(pod);
    Report { namespace: Some(namespace), pod: Some(name), findings: judge.findings.done() }
}

/// The judges' pen.
struct Judge<'a> {
    answers: &'a Answers,
    pod: &'a Value,
    now: SystemTime,
    findings: Findings,
}

impl<'a> Judge<'a> {
    fn found(&mut self, finding: PodFinding) {
        self.findings.add(finding);
    }

    fn unseen(&mut self, question: &Question, failure: &Failure) {
        self.findings.unseen(question, failure);
    }

    fn text(&self, pointer: &str) -> Option<&'a str> {
        text(self.pod, pointer)
    }

    fn items(&self, pointer: &str) -> &'a [Value] {
        list(self.pod, pointer)
    }

    /// The containers that somebody added to the running Pod.
    fn ephemeral(&self) -> &'a [Value] {
        self.items("/spec/ephemeralContainers")
    }

    /// The containers of the user.
    fn users(&self) -> impl Iterator<Item = &'a Value> + use<'a> {
        let containers = self.items("/spec/initContainers").iter().chain(self.items("/spec/containers"));
        containers.filter(|container| !injected::is_ours(container_name(container)))
    }

    fn pod(&mut self) {
        let (namespace, name) = names(self.pod);
        let phase = self.text("/status/phase").unwrap_or("in no phase yet").to_owned();
        let node = self.text("/spec/nodeName").map(|node| format!(" on node {node}")).unwrap_or_default();
        self.found(PodFinding::Pod { pod: format!("{namespace}/{name}"), phase, node });
    }
}

fn container_name(container: &Value) -> &str {
    text(container, "/name").unwrap_or_default()
}
