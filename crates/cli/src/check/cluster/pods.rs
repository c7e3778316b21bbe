//! The Pods that have the label: whether the emulator is in them, which one, and how it is.

use std::collections::BTreeMap;

use imds_contract::pod;
use serde_json::Value;

use super::admission::Admitted;
use super::finding::ClusterFinding;
use super::{Judge, Question};
use crate::facts::containers::{self, State};
use crate::facts::object::text;
use crate::facts::{injected, owner};
use crate::words::{count, names};

/// Pods that are told of one by one.
const MOST: usize = 10;

pub(super) fn emulator_image(pod: &Value) -> Option<&str> {
    text(injected::emulator(pod)?, "/image")
}

pub(super) fn judge(judge: &mut Judge<'_>, admitted: Option<&Admitted>) {
    let question = Question::Labelled(judge.view.scope.clone());
    forbidden_elsewhere(judge, &question);
    let Some(mut pods) = judge.items(&question) else { return };
    pods.retain(|pod| !is_over(pod));
    if pods.is_empty() {
        return judge.found(ClusterFinding::NoPods {});
    }
    let (injected, others): (Vec<_>, Vec<_>) = pods.iter().partition(|pod| injected::is_in(pod));
    if !injected.is_empty() {
        told(judge, &injected, admitted);
    }
    let mut by_reason = BTreeMap::<String, Vec<&Value>>::new();
    for pod in others {
        let labels = judge.view.labels(text(pod, "/metadata/namespace").unwrap_or_default());
        let why = injected::why_not(pod, judge.view.registration.as_ref(), &labels);
        by_reason.entry(why).or_default().push(pod);
    }
    for (why, pods) in by_reason {
        let remedy = owner::recreate(pods.iter().copied());
        let pods = names(&pods.into_iter().map(owner::name).collect::<Vec<_>>());
        judge.found(ClusterFinding::Uninjected { pods, why, remedy });
    }
    for (pod, how) in injected.into_iter().filter_map(|pod| Some((pod, how(pod)?))).take(MOST) {
        let command = owner::Commands::plugin("check", pod);
        let pod = owner::name(pod);
        judge.found(match how {
            How::Down(how) => ClusterFinding::Unwell { pod, how, command },
            How::Restarted(how) => ClusterFinding::Restarted { pod, how, command },
        });
    }
}

/// Where all namespaces were asked for and one was looked at: that the others were not.
fn forbidden_elsewhere(judge: &mut Judge<'_>, asked: &Question) {
    let everywhere = Question::Labelled(super::Scope::All);
    if *asked != everywhere && judge.answers.have(&everywhere) {
        let _ = judge.json(&everywhere);
    }
}

fn is_over(pod: &Value) -> bool {
    containers::has_ended(pod) || pod.pointer("/metadata/deletionTimestamp").is_some()
}

fn told(judge: &mut Judge<'_>, injected: &[&Value], admitted: Option<&Admitted>) {
    let verb = if injected.len() == 1 { "runs" } else { "run" };
    let number = format!("{} {verb}", count(injected.len(), "labelled Pod"));
    let current = admitted.map(|admitted| admitted.image.as_str()).filter(|image| !image.is_empty());
    let of_image = |pod: &&Value, image: &str| emulator_image(pod) == Some(image);
    let old: Vec<&Value> = current.map_or_else(Vec::new, |image| {
        injected.iter().filter(|pod| !of_image(pod, image)).copied().collect()
    });
    let image = match current {
        Some(image) if old.is_empty() => format!(", image {image}"),
        _ => String::new(),
    };
    judge.found(ClusterFinding::Pods { injected: number, image });
    if let (Some(image), false) = (current, old.is_empty()) {
        let remedy = owner::recreate(old.iter().copied());
        let pods = names(&old.into_iter().map(owner::name).collect::<Vec<_>>());
        judge.found(ClusterFinding::OldImage { pods, image: image.to_owned(), remedy });
    }
}

enum How {
    Down(String),
    Restarted(String),
}

fn how(pod: &Value) -> Option<How> {
    let emulator = containers::find(pod, pod::EMULATOR_CONTAINER)?;
    let restarts = || format!("was restarted {}", times(emulator.restarts));
    match (&emulator.state, &emulator.last) {
        (State::Ended(end), _) => Some(How::Down(format!("has ended: {}", end.said()))),
        (State::Waiting { reason, .. }, last) if !containers::is_its_turn(reason) => {
            let said = last.as_ref().map(|end| format!(": {}", end.said()));
            Some(How::Down(format!("does not run: {reason}{}", said.unwrap_or_default())))
        }
        (_, Some(end)) if emulator.restarts > 0 && !containers::is_restarted_with_pod(pod, &emulator) => {
            let why = if end.is_oom() { "its memory was full (OOMKilled)".to_owned() } else { end.said() };
            Some(How::Restarted(format!("{}: {why}", restarts())))
        }
        _ => None,
    }
}

fn times(number: u64) -> String {
    if number == 1 { "once".to_owned() } else { format!("{number} times") }
}
