//! Documents that carry our label or an annotation of ours where the command line injects nothing: a kind that it does not know,
//! such as an Argo `Rollout`, or a Namespace. The webhook may still inject the Pods that come of it, but what the command line
//! prints is not injected, and whoever relies on that has to hear of it.

use std::fmt;

use imds_contract::annotation::{self, ENABLED_LABEL};
use imds_contract::{excerpt, visible};
use serde_json::Value;

use crate::near_miss::is_disabling;
use crate::workload::workloads;

/// API groups of Kubernetes itself, beside `*.k8s.io`.
const BUILT_IN: [&str; 5] = ["", "apps", "autoscaling", "batch", "policy"];

/// Fields whose labels choose objects and are on none.
const SELECTORS: [&str; 5] = ["selector", "matchLabels", "matchExpressions", "labelSelector", "podSelector"];

/// A label or an annotation of ours that has no effect where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownKind {
    /// The document's kind and API version, as a person would name it.
    pub kind: String,
    /// The document's name; empty where it has none.
    pub name: String,
    /// The label or annotation.
    pub key: &'static str,
    /// Where it is: `spec.template.metadata.labels`.
    pub place: String,
}

impl fmt::Display for UnknownKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} is at {}, and nothing is injected into a {}: this program does not know the kind. The webhook injects its Pods \
             when they are created; without the webhook they run without the emulator",
            self.key,
            visible(&excerpt(&self.place)),
            visible(&excerpt(&self.kind)),
        )
    }
}

/// The labels and annotations of ours in a document that are on none of its [`workloads`], one for each object that has some.
///
/// What is on an object of Kubernetes itself that makes no Pods, such as a Service, is passed over: tools put the
/// same labels on all objects of an application. A Namespace is not: the label of other injectors is put there.
pub fn unknown_kinds(document: &Value) -> Vec<UnknownKind> {
    let known: Vec<String> = workloads(document, "").into_iter().map(|workload| workload.object).collect();
    let mut found = Vec::new();
    objects(document, "", &known, &mut found);
    found
}

/// Goes into lists, as the decision does.
fn objects(object: &Value, pointer: &str, known: &[String], found: &mut Vec<UnknownKind>) {
    let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let kind = text("/kind");
    if let (Some(items), true) =
        (object.get("items").and_then(Value::as_array), kind.is_empty() || kind.ends_with("List"))
    {
        for (index, item) in items.iter().enumerate() {
            objects(item, &format!("{pointer}/items/{index}"), known, found);
        }
        return;
    }
    if known.iter().any(|known| known == pointer) {
        return;
    }
    let version = text("/apiVersion");
    let group = version.rsplit_once('/').map_or("", |(group, _)| group);
    let is_built_in = BUILT_IN.contains(&group) || group.ends_with(".k8s.io");
    let own_metadata_counts = !is_built_in || kind == "Namespace";
    let mut path = Vec::new();
    if let Some((key, place)) = carried(object, &mut path, own_metadata_counts) {
        let kind = if kind.is_empty() { "document without a kind" } else { kind };
        let kind = if version.is_empty() { kind.to_owned() } else { format!("{kind} ({version})") };
        found.push(UnknownKind { kind, name: text("/metadata/name").to_owned(), key, place });
    }
}

/// The first that is on something: our label, or an annotation of ours.
fn carried(
    value: &Value,
    path: &mut Vec<String>,
    own_metadata_counts: bool,
) -> Option<(&'static str, String)> {
    match value {
        Value::Object(fields) => {
            let is_own_metadata = path.first().is_some_and(|first| first == "metadata");
            if own_metadata_counts || !is_own_metadata {
                let key = fields.iter().find_map(|(key, value)| ours(key, value));
                if let Some(key) = key {
                    return Some((key, path.join(".")));
                }
            }
            fields.iter().filter(|(key, _)| !SELECTORS.contains(&key.as_str())).find_map(|(key, value)| {
                path.push(key.clone());
                let found = carried(value, path, own_metadata_counts);
                path.pop();
                found
            })
        }
        Value::Array(items) => items.iter().enumerate().find_map(|(index, item)| {
            path.push(index.to_string());
            let found = carried(item, path, own_metadata_counts);
            path.pop();
            found
        }),
        _ => None,
    }
}

/// A label that plainly says no asks for nothing.
fn ours(key: &str, value: &Value) -> Option<&'static str> {
    if key == ENABLED_LABEL {
        return (!is_disabling(value)).then_some(ENABLED_LABEL);
    }
    let names = annotation::ALL.into_iter();
    names.filter(|name| *name != annotation::STATUS).find(|name| *name == key)
}

#[cfg(test)]
mod tests {
    use imds_contract::annotation::ROLE_ARN;
    use serde_json::json;

    use super::*;

    fn places(document: &Value) -> Vec<String> {
        unknown_kinds(document).into_iter().map(|found| format!("{} {}", found.kind, found.place)).collect()
    }

    #[test]
    fn finds_our_label_wherever_an_unknown_kind_carries_it() {
        let labels = json!({ENABLED_LABEL: "True"});
        let template = json!({"metadata": {"labels": labels}});
        let role = json!({"metadata": {"annotations": {ROLE_ARN: "arn:aws:iam::123456789012:role/r"}}});
        for (document, expected) in [
            (
                json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "spec": {"template": template}}),
                "Rollout (argoproj.io/v1alpha1) spec.template.metadata.labels",
            ),
            (
                json!({"apiVersion": "serving.knative.dev/v1", "kind": "Service", "metadata": {"labels": labels}}),
                "Service (serving.knative.dev/v1) metadata.labels",
            ),
            (
                json!({"apiVersion": "jobset.x-k8s.io/v1alpha2", "kind": "JobSet", "spec": {"replicatedJobs": [{"template": {"spec": {"template": template}}}]}}),
                "JobSet (jobset.x-k8s.io/v1alpha2) spec.replicatedJobs.0.template.spec.template.metadata.labels",
            ),
            (
                json!({"apiVersion": "sparkoperator.k8s.io/v1beta2", "kind": "SparkApplication", "spec": {"driver": {"labels": labels}}}),
                "SparkApplication (sparkoperator.k8s.io/v1beta2) spec.driver.labels",
            ),
            (
                json!({"apiVersion": "extensions/v1beta1", "kind": "Deployment", "spec": {"template": template}}),
                "Deployment (extensions/v1beta1) spec.template.metadata.labels",
            ),
            (
                json!({"apiVersion": "apps.kruise.io/v1alpha1", "kind": "CloneSet", "spec": {"template": role}}),
                "CloneSet (apps.kruise.io/v1alpha1) spec.template.metadata.annotations",
            ),
            (
                json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"labels": labels}}),
                "Namespace (v1) metadata.labels",
            ),
            (
                json!({"kind": "List", "items": [{"kind": "Pod", "metadata": {"labels": labels}}, {"kind": "Rollout", "spec": {"template": template}}]}),
                "Rollout spec.template.metadata.labels",
            ),
            (
                json!({"spec": {"template": template}}),
                "document without a kind spec.template.metadata.labels",
            ),
        ] {
            assert_eq!(places(&document), [expected], "{document}");
        }
    }

    #[test]
    fn passes_over_what_is_injected_and_what_makes_no_pods() {
        let labels = json!({ENABLED_LABEL: "True"});
        for document in [
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"labels": labels}}),
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"labels": labels}, "spec": {"template": {"metadata": {"labels": labels}}}}),
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"labels": labels}}),
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"labels": labels}, "spec": {"selector": labels}}),
            json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"labels": labels}, "spec": {"podSelector": {"matchLabels": labels}}}),
            json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "spec": {"selector": {"matchLabels": labels}}}),
            json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "spec": {"template": {"metadata": {"labels": {ENABLED_LABEL: "False"}}}}}),
            json!([1, "text"]),
            json!(null),
        ] {
            assert_eq!(places(&document), Vec::<String>::new(), "{document}");
        }
    }
}
