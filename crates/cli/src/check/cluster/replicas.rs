//! The Pods that answer for the webhook.

use std::collections::BTreeSet;

use serde_json::Value;

use super::finding::ClusterFinding;
use super::{Judge, Question};
use crate::facts::object::{list, text};
use crate::facts::registration::{Registration, Target};
use crate::facts::samples::Samples;
use crate::facts::selector::selects;
use crate::kubectl::{Answers, Failure};
use crate::words::names;

/// Where its admin listener is, where the Pod does not say (`imds-webhook --admin-listen`).
const ADMIN_PORT: u16 = 8080;

/// Replicas whose pages are read.
const MOST_PAGES: usize = 3;

/// A replica.
pub(super) struct Replica {
    name: String,
    namespace: String,
    image: String,
    port: u16,
    is_ready: bool,
    /// Why it does not run.
    trouble: Option<String>,
}

impl Replica {
    pub(super) fn page(&self, path: &'static str) -> Question {
        Question::Page { namespace: self.namespace.clone(), pod: self.name.clone(), port: self.port, path }
    }

    fn of(pod: &Value) -> Option<Self> {
        let containers = pod.pointer("/spec/containers")?.as_array()?;
        let ports = containers.iter().filter_map(|container| container.get("ports")?.as_array()).flatten();
        let mut admin = ports.filter(|port| text(port, "/name") == Some("admin"));
        let port = admin.find_map(|port| port.get("containerPort")?.as_u64()?.try_into().ok());
        let conditions = list(pod, "/status/conditions");
        let is = |condition: &Value| {
            text(condition, "/type") == Some("Ready") && text(condition, "/status") == Some("True")
        };
        Some(Self {
            name: text(pod, "/metadata/name")?.to_owned(),
            namespace: text(pod, "/metadata/namespace")?.to_owned(),
            image: text(containers.first()?, "/image").unwrap_or_default().to_owned(),
            port: port.unwrap_or(ADMIN_PORT),
            is_ready: conditions.iter().any(is) && pod.pointer("/metadata/deletionTimestamp").is_none(),
            trouble: crate::facts::containers::trouble(pod),
        })
    }
}

/// Those behind the webhook's Service.
pub(super) fn behind(registration: &Registration, answers: &Answers) -> Vec<Replica> {
    let Some((namespace, selector)) = selector(registration, answers) else { return Vec::new() };
    let pods = answers.value(&Question::Pods { namespace }).unwrap_or_default();
    list(&pods, "/items")
        .iter()
        .filter(|pod| matches(&selector, pod, "/metadata/labels"))
        .filter_map(Replica::of)
        .collect()
}

fn selector(registration: &Registration, answers: &Answers) -> Option<(String, Value)> {
    let Target::Service { namespace, name } = registration.target()? else { return None };
    let service = answers.json(&Question::Service { namespace: namespace.clone(), name })?.ok()?;
    Some((namespace, serde_json::json!({"matchLabels": service.pointer("/spec/selector")?})))
}

fn matches(selector: &Value, object: &Value, labels: &str) -> bool {
    object.pointer(labels).and_then(Value::as_object).is_some_and(|labels| selects(Some(selector), labels))
}

/// What each says of itself: of one that is ready how long its certificate lives, of another why it is not.
pub(super) fn questions(registration: &Registration, answers: &Answers) -> Vec<Question> {
    let replicas = behind(registration, answers);
    let page = |replica: &Replica| replica.page(if replica.is_ready { "/metrics" } else { "/readyz" });
    replicas.iter().filter(|replica| replica.trouble.is_none()).take(MOST_PAGES).map(page).collect()
}

pub(super) fn judge(judge: &mut Judge<'_>) {
    let view = judge.view;
    let Some(registration) = &view.registration else { return };
    let (namespace, service) = match registration.target() {
        Some(Target::Service { namespace, name }) => (namespace, name),
        Some(Target::Url(url)) => return judge.found(ClusterFinding::Elsewhere { url }),
        None => return,
    };
    let question = Question::Service { namespace: namespace.clone(), name: service.clone() };
    // Where it is not there, the dry run tells.
    if matches!(judge.answers.said(&question), Some(Err(Failure::NotFound { .. })))
        || judge.json(&question).is_none()
    {
        return;
    }
    let deployments =
        judge.items(&Question::Deployments { namespace: namespace.clone() }).unwrap_or_default();
    let _ = judge.json(&Question::Pods { namespace: namespace.clone() });
    let selector = selector(registration, judge.answers).map(|(_, selector)| selector).unwrap_or_default();
    let makes = |deployment: &&Value| matches(&selector, deployment, "/spec/template/metadata/labels");
    let replicas = behind(registration, judge.answers);
    let Some(deployment) = deployments.iter().find(makes) else {
        if judge.answers.text(&Question::Deployments { namespace: namespace.clone() }).is_some() {
            judge.found(ClusterFinding::DeploymentAbsent { service, namespace });
        }
        return;
    };
    let name = text(deployment, "/metadata/name").unwrap_or_default().to_owned();
    let number =
        |pointer| deployment.pointer(pointer).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
    let wanted = number("/spec/replicas").unwrap_or(1);
    let ready = number("/status/readyReplicas").unwrap_or(0);
    let why = why(&replicas, judge.answers);
    let version = version(&replicas, judge.answers);
    let images: BTreeSet<&str> = replicas.iter().map(|replica| replica.image.as_str()).collect();
    let images: Vec<&str> = images.into_iter().collect();
    judge.found(if wanted == 0 {
        ClusterFinding::ScaledToNone { deployment: name.clone(), namespace: namespace.clone() }
    } else if ready == 0 {
        ClusterFinding::ReplicasNone { wanted, deployment: name.clone(), namespace: namespace.clone(), why }
    } else if ready < wanted {
        ClusterFinding::ReplicasFew {
            ready,
            wanted,
            deployment: name.clone(),
            namespace: namespace.clone(),
            why,
        }
    } else {
        let image = text(deployment, "/spec/template/spec/containers/0/image").unwrap_or_default().to_owned();
        let version = version.as_ref().map(|version| format!(", version {version}"));
        ClusterFinding::Replicas {
            ready,
            deployment: name.clone(),
            image,
            version: version.unwrap_or_default(),
        }
    });
    if wanted == 1 {
        let release = registration.release.clone();
        judge.found(ClusterFinding::ReplicaSingle {
            deployment: name.clone(),
            namespace: namespace.clone(),
            release,
        });
    }
    if images.len() > 1 {
        judge.found(ClusterFinding::ReplicaImages { images: names(&images), namespace, name });
    }
    let own = env!("CARGO_PKG_VERSION");
    if let Some(webhook) = version.filter(|webhook| webhook != own) {
        judge.found(ClusterFinding::VersionDiffers { webhook, own });
    }
}

fn version(replicas: &[Replica], answers: &Answers) -> Option<String> {
    let mut pages = replicas.iter().filter_map(|replica| answers.text(&replica.page("/metrics")));
    pages.find_map(|page| Samples::read(page).label("imds_webhook_build_info", "version").map(str::to_owned))
}

/// The first reason that is known why one is not ready.
fn why(replicas: &[Replica], answers: &Answers) -> String {
    let mut reasons = replicas.iter().filter(|replica| !replica.is_ready).filter_map(|replica| {
        let said = || answers.text(&replica.page("/readyz")).map(|page| page.trim().to_owned());
        Some(format!(": {}: {}", replica.name, replica.trouble.clone().or_else(said)?))
    });
    reasons.next().unwrap_or_default()
}
