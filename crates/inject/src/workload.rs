//! Whole documents: a Pod, what makes Pods of a template, or a list of such. Each Pod or template is decided on its own, by
//! its own label and annotations, as the Pods that come of it would be.

use std::iter;

use serde_json::Value;

use crate::decide::{Context, Decision, decide, injection_warnings};
use crate::near_miss;
use crate::patch::at;
use crate::reason::Reason;
use crate::server_version::ServerVersion;
use crate::settings::Settings;
use crate::warning::Warning;

/// What holds a Pod template: API group, kind, and where the template is.
const KINDS: [(&str, &str, &str); 9] = [
    ("", "Pod", ""),
    ("", "PodTemplate", "/template"),
    ("", "ReplicationController", "/spec/template"),
    ("apps", "DaemonSet", "/spec/template"),
    ("apps", "Deployment", "/spec/template"),
    ("apps", "ReplicaSet", "/spec/template"),
    ("apps", "StatefulSet", "/spec/template"),
    ("batch", "CronJob", "/spec/jobTemplate/spec/template"),
    ("batch", "Job", "/spec/template"),
];

/// A Pod, or something that makes Pods of a template, in a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    /// A JSON pointer to the object in the document: empty, or `/items/0` for the first of a List.
    pub object: String,
    /// A JSON pointer to the Pod template in the object: `/spec/template`; empty for a Pod.
    pub template: &'static str,
    /// The object's kind.
    pub kind: String,
    /// The object's name; its `generateName` followed by `*` where it has no name, empty where it has neither.
    pub name: String,
    /// The object's namespace, or the caller's default.
    pub namespace: String,
}

impl Workload {
    /// A JSON pointer to the Pod or the Pod template in the document.
    pub fn path(&self) -> String {
        format!("{}{}", self.object, self.template)
    }
}

/// What becomes of one Pod or Pod template of a document.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkloadDecision {
    /// A JSON pointer to the Pod or the Pod template in the document.
    pub path: String,
    /// The kind of the object that holds it.
    pub kind: String,
    /// The object's name; its `generateName` followed by `*` where it has no name, empty where it has neither.
    pub name: String,
    /// The object's namespace, or the caller's default.
    pub namespace: String,
    /// The decision. Its paths begin at the document's root.
    pub decision: Decision,
    /// Near misses, and those of the injection ([`Injection::warnings`](crate::Injection::warnings)).
    pub warnings: Vec<Warning>,
}

/// Decides on every Pod and Pod template of the document; a document without one gives nothing. The operations of several
/// decisions do not touch each other: they can be applied one after the other.
pub fn decide_document(
    settings: &Settings,
    document: &Value,
    default_namespace: &str,
    server: Option<ServerVersion>,
) -> Vec<WorkloadDecision> {
    let decide_one = |workload: Workload| {
        let path = workload.path();
        let pod = at(document, &path).unwrap_or(&Value::Null);
        let decision = decide(settings, pod, &Context { namespace: &workload.namespace, server });
        let mut warnings = near_miss::of_workload(document, &workload);
        match &decision {
            Decision::Inject(injection) => warnings.extend(injection.warnings.iter().cloned()),
            Decision::Skip(Reason::AlreadyInjected) => {
                warnings.extend(injection_warnings(settings, pod, &workload.namespace));
            }
            Decision::Skip(_) | Decision::Refuse(_) => {}
        }
        let Workload { kind, name, namespace, .. } = workload;
        WorkloadDecision { decision: decision.under(&path), path, kind, name, namespace, warnings }
    };
    workloads(document, default_namespace).into_iter().map(decide_one).collect()
}

/// The Pods and Pod templates of the document, in its order.
pub fn workloads(document: &Value, default_namespace: &str) -> Vec<Workload> {
    let mut found = Vec::new();
    collect(document, String::new(), None, default_namespace, &mut found);
    found
}

/// `list_kind` is what the items of a `PodList` are, which do not say it themselves in an API server's own answers.
fn collect(
    value: &Value,
    object: String,
    list_kind: Option<&str>,
    default_namespace: &str,
    found: &mut Vec<Workload>,
) {
    let text = |path: &str| at(value, path).and_then(Value::as_str).filter(|text| !text.is_empty());
    let kind = text("/kind").or(list_kind).unwrap_or_default();
    let items = value.get("items").and_then(Value::as_array);
    if let Some((items, item_kind)) = items.zip(kind.strip_suffix("List").or(kind.is_empty().then_some(""))) {
        let item_kind = Some(item_kind).filter(|kind| !kind.is_empty());
        for (index, item) in items.iter().enumerate() {
            collect(item, format!("{object}/items/{index}"), item_kind, default_namespace, found);
        }
    }
    let group = text("/apiVersion").map(|version| version.rsplit_once('/').map_or("", |(group, _)| group));
    let known =
        KINDS.into_iter().find(|(of, name, _)| *name == kind && group.is_none_or(|group| group == *of));
    if let Some((_, kind, template)) = known {
        let name = text("/metadata/name").map(ToOwned::to_owned);
        found.push(Workload {
            object,
            template,
            kind: kind.to_owned(),
            name: name.or_else(|| Some(format!("{}*", text("/metadata/generateName")?))).unwrap_or_default(),
            namespace: text("/metadata/namespace").unwrap_or(default_namespace).to_owned(),
        });
    }
}

impl Workload {
    /// JSON pointers in the document to the objects around the template, each with `metadata` of its own: a Deployment, or
    /// a `CronJob` and its Job template. None for a Pod.
    pub(crate) fn around_template(&self) -> impl Iterator<Item = String> {
        let ends = self.template.match_indices("/spec").map(|(end, _)| end);
        let ends = ends.chain(iter::once(0).filter(|_| self.template == "/template"));
        ends.filter_map(|end| Some(format!("{}{}", self.object, self.template.get(..end)?)))
    }
}
