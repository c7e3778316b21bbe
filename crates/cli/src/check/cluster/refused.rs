//! What makes Pods, decided on as the webhook would decide on its Pods; near misses; and Pods that could not be created lately.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use imds_contract::{Interception, annotation};
use imds_inject::{Decision, Settings, decide_document, warnings};
use serde_json::{Value, json};

use super::finding::ClusterFinding;
use super::{Judge, Question, namespaces};
use crate::facts::object::{names, text};
use crate::facts::owner::{self, Commands};
use crate::facts::refusal;
use crate::facts::registration::WEBHOOK;
use crate::kubectl::Kind;
use crate::words::span;

/// An event's default life. Source: kube-apiserver, `--event-ttl`.
const LATELY: Duration = Duration::from_hours(1);

/// Objects with events that are told of.
const MOST: usize = 5;

pub(super) fn judge(judge: &mut Judge<'_>, interception: Interception) {
    // No image stands in a decision.
    let settings = Settings { interception, ..Settings::new("image") };
    let mut looked = false;
    let mut injected = Workloads::new();
    for kind in Kind::ALL {
        let question = Question::Workloads(kind, judge.view.scope.clone());
        let items = judge.items(&question).unwrap_or_default();
        looked |= judge.answers.text(&question).is_some();
        for item in items.iter().filter(|item| owner::controller(item).is_none()) {
            decided(judge, &settings, item, &mut injected);
        }
    }
    looked |= bare_pods(judge);
    if looked && !judge.findings.have("warned") {
        judge.found(ClusterFinding::NotWarned {});
    }
    lately(judge, &injected);
}

/// What is injected: namespace and name.
type Workloads = BTreeSet<(String, String)>;

fn decided(judge: &mut Judge<'_>, settings: &Settings, item: &Value, injected: &mut Workloads) {
    for decided in decide_document(settings, item, "default", judge.view.server) {
        if judge.view.is_left_out(&decided.namespace) {
            continue;
        }
        let workload = format!("{}/{} in {}", decided.kind.to_lowercase(), decided.name, decided.namespace);
        if let Decision::Inject(_) = decided.decision {
            injected.insert((decided.namespace.clone(), decided.name.clone()));
        }
        match decided.decision {
            Decision::Refuse(reason) => {
                judge.found(ClusterFinding::WorkloadRefused {
                    workload: workload.clone(),
                    reason: reason.to_string(),
                });
            }
            Decision::Inject(injection) if namespaces::needs_capability(injection.interception) => {
                if let Some(level) = namespaces::standard(judge, &decided.namespace) {
                    judge.found(ClusterFinding::PodSecurityRefuses {
                        workload: workload.clone(),
                        level,
                        interception: injection.interception.to_string(),
                        annotation: annotation::INTERCEPTION,
                    });
                }
            }
            Decision::Inject(_) | Decision::Skip(_) => {}
        }
        for warning in decided.warnings {
            judge.found(ClusterFinding::Warned { who: workload.clone(), sentence: warning.to_string() });
        }
    }
}

/// Pods that nothing controls: for the others, what controls them was looked at. Whether there was anything to look at.
fn bare_pods(judge: &mut Judge<'_>) -> bool {
    let scope = judge.view.scope.clone();
    let labelled = judge.items(&Question::Labelled(scope.clone())).unwrap_or_default();
    let others = judge.text(&Question::Others(scope));
    let looked = others.is_some();
    let others = others.unwrap_or_default();
    let others = others.lines().filter_map(metadata);
    for pod in others.chain(labelled).filter(|pod| owner::controller(pod).is_none()) {
        let (namespace, name) = names(&pod);
        for warning in warnings(&pod) {
            let who = format!("pod/{name} in {namespace}");
            judge.found(ClusterFinding::Warned { who, sentence: warning.to_string() });
        }
    }
    looked
}

/// A line of [`Question::Others`] as a Pod without a spec.
fn metadata(line: &str) -> Option<Value> {
    let mut fields = line.split('\t');
    let (namespace, name) = (fields.next()?, fields.next()?);
    let mut object = || serde_json::from_str(fields.next()?).ok();
    let (labels, annotations, owners): (Option<Value>, Option<Value>, Option<Value>) =
        (object(), object(), object());
    Some(json!({"metadata": {
        "namespace": namespace, "name": name, "labels": labels, "annotations": annotations, "ownerReferences": owners,
    }}))
}

/// Whether an event is of a workload that is injected: others may refuse its Pods because of our containers, in words that do not
/// name them.
fn is_of_injected(event: &Value, injected: &Workloads) -> bool {
    let part = |pointer| text(event, pointer).unwrap_or_default();
    let (namespace, name) = (part("/involvedObject/namespace"), part("/involvedObject/name"));
    let has = |name: &str| injected.contains(&(namespace.to_owned(), name.to_owned()));
    // A ReplicaSet has the name of its Deployment and a hash, a Job that of its CronJob and a time.
    has(name) || name.rsplit_once('-').is_some_and(|(owner, _)| has(owner))
}

/// What helps against a refusal.
fn remedy(said: &str) -> Commands {
    let has = |parts: &[&str]| parts.iter().any(|part| said.contains(part));
    Commands::fixed(if has(&refusal::LIMIT_RANGE) {
        "# the namespace's LimitRange: the annotations aws-imds-emulator-cpu-request, -cpu-limit, -memory-request and -memory-limit say what the injected containers ask for"
    } else if has(&refusal::QUOTA) {
        "# raise the namespace's ResourceQuota; the annotations aws-imds-emulator-cpu-request, -cpu-limit, -memory-request and -memory-limit say what the injected containers ask for"
    } else if has(&refusal::POD_SECURITY) {
        "metadata:\n  annotations:\n    gkemulticloud.googleapis.com/aws-imds-emulator-interception: endpoint"
    } else if has(&[WEBHOOK]) {
        "# what is wrong with the webhook stands in the other lines; where nothing does, it was mended since"
    } else {
        "# who refuses stands in the message: have it let the injected containers pass (docs/security.md)"
    })
}

fn lately(judge: &mut Judge<'_>, injected: &Workloads) {
    let question = Question::FailedCreates(judge.view.scope.clone());
    let mut newest = BTreeMap::<String, (Duration, String)>::new();
    for event in judge.items(&question).unwrap_or_default() {
        let said = text(&event, "/message").unwrap_or_default();
        let names_us = said.contains(WEBHOOK) || said.contains("aws-imds-emulator");
        let concerns_us = names_us || is_of_injected(&event, injected);
        let Some(ago) = ago(&event, judge.now).filter(|ago| concerns_us && *ago < LATELY) else { continue };
        let part = |pointer| text(&event, pointer).unwrap_or_default();
        let object = format!(
            "{}/{} in {}",
            part("/involvedObject/kind").to_lowercase(),
            part("/involvedObject/name"),
            part("/involvedObject/namespace")
        );
        let known = newest.entry(object).or_insert_with(|| (ago, said.to_owned()));
        if ago < known.0 {
            *known = (ago, said.to_owned());
        }
    }
    for (object, (ago, said)) in newest.into_iter().take(MOST) {
        judge.found(ClusterFinding::RefusedLately { object, ago: span(ago), remedy: remedy(&said), said });
    }
}

fn ago(event: &Value, now: std::time::SystemTime) -> Option<Duration> {
    let times = ["/series/lastObservedTime", "/lastTimestamp", "/eventTime", "/firstTimestamp"];
    let time = times.into_iter().find_map(|pointer| humantime::parse_rfc3339(text(event, pointer)?).ok())?;
    Some(now.duration_since(time).unwrap_or_default())
}
