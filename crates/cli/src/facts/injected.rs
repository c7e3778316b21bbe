//! What the injection left in a Pod; and why it left nothing in one that has the label.

use imds_contract::{Interception, annotation, pod};
use serde_json::{Map, Value};

use super::object::{created, list, text};
use super::registration::Registration;

/// Whether the injection is in it; whether it is whole is another question.
pub(crate) fn is_in(pod: &Value) -> bool {
    status(pod).is_some() && emulator(pod).is_some()
}

/// Whether a container of this name is one of the injection's.
pub(crate) fn is_ours(container: &str) -> bool {
    matches!(container, pod::REDIRECT_CONTAINER | pod::EMULATOR_CONTAINER)
}

/// The emulator's container in the spec.
pub(crate) fn emulator(pod: &Value) -> Option<&Value> {
    let mut containers = list(pod, "/spec/initContainers").iter().chain(list(pod, "/spec/containers"));
    containers.find(|container| text(container, "/name") == Some(pod::EMULATOR_CONTAINER))
}

/// What the injection wrote down of itself: `injected; interception=redirect; sidecar=native`.
pub(crate) fn status(pod: &Value) -> Option<&str> {
    pod.pointer("/metadata/annotations")?.get(annotation::STATUS)?.as_str()
}

/// The same, in words.
pub(crate) fn status_in_words(status: &str) -> String {
    status.replace("; ", ", ").replace('=', " ")
}

/// The interception that was injected; the default where it is not told.
pub(crate) fn interception(pod: &Value) -> Interception {
    let word = status(pod).and_then(|status| status.split("interception=").nth(1)?.split(';').next());
    word.and_then(|word| word.parse().ok()).unwrap_or_default()
}

/// Why there is none, in words. `namespace` are the labels of its namespace.
pub(crate) fn why_not(
    pod: &Value,
    registration: Option<&Registration>,
    namespace: &Map<String, Value>,
) -> String {
    let Some(registration) = registration else { return "the webhook is not there".to_owned() };
    let is_static = pod.pointer("/metadata/annotations/kubernetes.io~1config.mirror").is_some();
    let is_older = created(pod).zip(registration.created).is_some_and(|(pod, webhook)| pod < webhook);
    if is_static {
        "a static Pod is never injected: what runs is in its node's file".to_owned()
    } else if !registration.asks_about_namespace(namespace) {
        let name = text(pod, "/metadata/namespace").unwrap_or_default();
        format!("the webhook is not asked about namespace {name}")
    } else if is_older {
        "older than the webhook's registration".to_owned()
    } else if registration.failure_policy() == "Ignore" {
        "created while the webhook did not answer (failurePolicy Ignore), or labelled later".to_owned()
    } else {
        "created when the webhook was not asked, or labelled later".to_owned()
    }
}
