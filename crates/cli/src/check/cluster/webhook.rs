//! Whether the API server is told of the webhook, and rightly.

use imds_contract::annotation::ENABLED_LABEL;

use super::finding::ClusterFinding;
use super::{Judge, Question};
use crate::facts::registration::{Registration, WEBHOOK};
use crate::words::names;

pub(super) fn judge(judge: &mut Judge<'_>) {
    if judge.json(&Question::Configurations).is_none() {
        return;
    }
    let view = judge.view;
    let Some(registration) = &view.registration else {
        return judge.found(ClusterFinding::NotRegistered { webhook: WEBHOOK });
    };
    judge.found(ClusterFinding::Registered {
        configuration: registration.configuration.clone(),
        policy: registration.failure_policy().to_owned(),
        timeout: registration.timeout(),
        namespaces: namespaces(judge),
    });
    if view.registrations.len() > 1 {
        let all: Vec<&str> = view.registrations.iter().map(|one| one.configuration.as_str()).collect();
        judge.found(ClusterFinding::RegisteredTwice { configurations: names(&all) });
    }
    if registration.failure_policy() == "Ignore" {
        let (namespace, release) = (registration.namespace(), registration.release.clone());
        judge.found(ClusterFinding::PolicyIgnore { namespace, release });
    }
    selectors(judge, registration);
}

fn selectors(judge: &mut Judge<'_>, registration: &Registration) {
    let configuration = registration.configuration.clone();
    let label = ENABLED_LABEL;
    if !registration.asks_about_labelled() {
        judge.found(ClusterFinding::SelectorMisses { label, configuration: configuration.clone() });
    } else if registration.asks_about_all() {
        judge.found(ClusterFinding::SelectorWide { label, configuration: configuration.clone() });
    }
    if !registration.asks_about_creation() {
        judge.found(ClusterFinding::RulesMiss { configuration });
    }
}

fn namespaces(judge: &Judge<'_>) -> String {
    let view = judge.view;
    let known = view.namespaces.iter().map(|namespace| namespace.name.as_str());
    let left_out: Vec<&str> = known.filter(|name| view.is_left_out(name)).collect();
    match (left_out.as_slice(), view.namespaces.as_slice()) {
        (_, []) => "the namespaces that it selects".to_owned(),
        ([], [one]) => format!("namespace {}", one.name),
        ([], _) => "every namespace".to_owned(),
        (_, [one]) => format!("no Pod of namespace {}", one.name),
        (left_out, _) => format!("every namespace but {}", names(left_out)),
    }
}
