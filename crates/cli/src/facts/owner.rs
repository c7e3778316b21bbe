//! Who makes a Pod, and the command that makes it anew: a Pod is injected when it is created, and at no other time.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;

use super::object::{list, names, text};
use crate::shell_words;

/// More commands than these are not listed.
const MOST_COMMANDS: usize = 5;

/// Commands that a person may paste, and comments between them, a line each. A text of others is in them only where it has the form
/// of what is meant: made here, and nowhere else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Commands(String);

impl Commands {
    /// One that looks further: `kubectl imds WORD POD -n NAMESPACE`.
    pub(crate) fn plugin(word: &'static str, pod: &Value) -> Self {
        let (namespace, pod) = names(pod);
        Self(format!("kubectl imds {word} {} -n {}", shell_words::name(&pod, POD), namespace_of(&namespace)))
    }

    /// One that is ours from its first letter to its last.
    pub(crate) fn fixed(line: &'static str) -> Self {
        Self(line.to_owned())
    }
}

impl fmt::Display for Commands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

const POD: &str = "POD";

fn namespace_of(namespace: &str) -> &str {
    shell_words::name(namespace, "NAMESPACE")
}

/// `NAMESPACE/NAME`.
pub(crate) fn name(pod: &Value) -> String {
    let (namespace, name) = names(pod);
    format!("{namespace}/{name}")
}

/// What controls it: kind and name; of a Deployment's `ReplicaSet` the Deployment.
pub(crate) fn controller(pod: &Value) -> Option<(&str, &str)> {
    let owners = list(pod, "/metadata/ownerReferences");
    let owner = owners.iter().find(|owner| owner.get("controller").and_then(Value::as_bool) == Some(true))?;
    let (kind, name) = (text(owner, "/kind")?, text(owner, "/name")?);
    let hash = pod.pointer("/metadata/labels").and_then(|labels| labels.get("pod-template-hash")?.as_str());
    match hash.and_then(|hash| name.strip_suffix(hash)?.strip_suffix('-')) {
        Some(deployment) if kind == "ReplicaSet" => Some(("Deployment", deployment)),
        _ => Some((kind, name)),
    }
}

/// The commands that make these Pods anew.
pub(crate) fn recreate<'a>(pods: impl IntoIterator<Item = &'a Value>) -> Commands {
    let commands: BTreeSet<String> = pods.into_iter().map(command).collect();
    let more = commands.len().saturating_sub(MOST_COMMANDS);
    let mut lines: Vec<String> = commands.into_iter().take(MOST_COMMANDS).collect();
    if more > 0 {
        lines.push(format!("# and {more} more"));
    }
    Commands(lines.join("\n"))
}

fn command(pod: &Value) -> String {
    let (namespace, of_pod) = names(pod);
    let (namespace, of_pod) = (namespace_of(&namespace), shell_words::name(&of_pod, POD));
    match controller(pod) {
        Some((kind @ ("Deployment" | "StatefulSet" | "DaemonSet"), name)) => {
            // An owner is what the Pod's author wrote.
            let name = shell_words::name(name, "NAME");
            format!("kubectl rollout restart {}/{name} --namespace {namespace}", kind.to_lowercase())
        }
        Some(_) => {
            format!("kubectl delete pod {of_pod} --namespace {namespace}    # its controller makes another")
        }
        None => format!("# nothing controls {namespace}/{of_pod}: delete it and apply its manifest again"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(kind: &str, owner: &str, hash: Option<&str>) -> Value {
        json!({"metadata": {
            "namespace": "shop", "name": "web-1", "labels": {"pod-template-hash": hash},
            "ownerReferences": [{"kind": "Other", "name": "x"}, {"kind": kind, "name": owner, "controller": true}],
        }})
    }

    #[test]
    fn a_pod_is_made_anew_by_what_made_it() {
        for (pod, expected) in [
            (
                pod("ReplicaSet", "web-7d4b9c", Some("7d4b9c")),
                "kubectl rollout restart deployment/web --namespace shop",
            ),
            (
                pod("ReplicaSet", "bare", None),
                "kubectl delete pod web-1 --namespace shop    # its controller makes another",
            ),
            (pod("StatefulSet", "db", None), "kubectl rollout restart statefulset/db --namespace shop"),
            (
                pod("Job", "once", None),
                "kubectl delete pod web-1 --namespace shop    # its controller makes another",
            ),
            (
                json!({"metadata": {"namespace": "shop", "name": "web"}}),
                "# nothing controls shop/web: delete it and apply its manifest again",
            ),
        ] {
            assert_eq!(recreate([&pod, &pod]).to_string(), expected);
        }
        let many: Vec<Value> = (0..7).map(|n| pod("DaemonSet", &format!("d{n}"), None)).collect();
        let commands = recreate(&many).to_string();
        assert!(commands.ends_with("daemonset/d4 --namespace shop\n# and 2 more"), "{commands}");
    }

    #[test]
    fn what_is_no_name_is_in_no_command() {
        let hostile = "x;touch PWNED;#\nkubectl delete namespace shop";
        let mut owned = pod("StatefulSet", hostile, None);
        assert_eq!(
            recreate([&owned]).to_string(),
            "kubectl rollout restart statefulset/NAME --namespace shop"
        );
        owned["metadata"]["ownerReferences"] = json!([]);
        owned["metadata"]["name"] = json!(hostile);
        owned["metadata"]["namespace"] = json!("--all");
        assert_eq!(
            recreate([&owned]).to_string(),
            "# nothing controls NAMESPACE/POD: delete it and apply its manifest again"
        );
        assert_eq!(Commands::plugin("check", &owned).to_string(), "kubectl imds check POD -n NAMESPACE");
    }
}
