//! What kubelet makes of a container's spec: its command line, its environment, its identity. Pure.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::bail;
use serde_json::Value;

/// Plainly nobody's: the API server has not made one.
const UID: &str = "00000000-0000-4000-8000-000000000000";

/// What the downward API knows of the Pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) service_account: String,
    pub(crate) pod_ip: String,
    pub(crate) host_ip: String,
    labels: BTreeMap<String, String>,
}

impl Facts {
    /// The facts of a Pod that runs here. The addresses are of the documentation's range (RFC 5737): the Pod has none, and
    /// no machine has these.
    pub(crate) fn of(pod: &Value) -> Self {
        let text = |path: &str| pod.pointer(path).and_then(Value::as_str).filter(|text| !text.is_empty());
        let generated = || text("/metadata/generateName").map(|prefix| format!("{prefix}local"));
        Self {
            name: text("/metadata/name")
                .map(ToOwned::to_owned)
                .or_else(generated)
                .unwrap_or_else(|| "pod".to_owned()),
            namespace: text("/metadata/namespace").unwrap_or("default").to_owned(),
            service_account: text("/spec/serviceAccountName").unwrap_or("default").to_owned(),
            pod_ip: "192.0.2.2".to_owned(),
            host_ip: "192.0.2.1".to_owned(),
            labels: labels(pod),
        }
    }

    fn field(&self, path: &str) -> Option<&str> {
        Some(match path {
            "metadata.name" => &self.name,
            "metadata.namespace" => &self.namespace,
            "spec.serviceAccountName" => &self.service_account,
            "status.podIP" | "status.podIPs" => &self.pod_ip,
            "status.hostIP" => &self.host_ip,
            "metadata.uid" => UID,
            _ => {
                let label = path.strip_prefix("metadata.labels['")?.strip_suffix("']")?;
                // kubelet hands on an empty text where there is no such label.
                self.labels.get(label).map_or("", String::as_str)
            }
        })
    }
}

fn labels(pod: &Value) -> BTreeMap<String, String> {
    let labels = pod.pointer("/metadata/labels").and_then(Value::as_object).into_iter().flatten();
    labels.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
}

/// A container's process, as its spec has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    /// The program and its arguments.
    pub(crate) command: Vec<String>,
    /// The environment, in the spec's order.
    pub(crate) env: Vec<(String, String)>,
    pub(crate) user: Option<u32>,
    pub(crate) group: Option<u32>,
    /// `capabilities.add`.
    pub(crate) capabilities: Vec<String>,
    /// The volumes by name, and where they are mounted.
    pub(crate) mounts: Vec<(String, PathBuf)>,
    /// The command of the `postStart` hook; empty where there is none.
    post_start: Vec<String>,
}

impl Process {
    /// Reads a container's spec whole; what is not understood is an error.
    pub(crate) fn of(container: &Value, facts: &Facts) -> anyhow::Result<Self> {
        let Environment { variables: env, left_out } = Environment::of(container, facts);
        if !left_out.is_empty() {
            bail!("not to be had here: {}", left_out.join(", "));
        }
        let mut command = strings(container, "/command");
        command.extend(strings(container, "/args"));
        let id = |path| container.pointer(path).and_then(Value::as_u64).and_then(|id| u32::try_from(id).ok());
        Ok(Self {
            command: command.iter().map(|argument| expand(argument, &env)).collect(),
            user: id("/securityContext/runAsUser"),
            group: id("/securityContext/runAsGroup"),
            capabilities: strings(container, "/securityContext/capabilities/add"),
            mounts: mounts(container),
            // Not expanded: kubelet runs a hook's command as it stands.
            post_start: strings(container, "/lifecycle/postStart/exec/command"),
            env,
        })
    }

    /// The `postStart` hook, which kubelet runs inside the container: with its environment and its identity.
    pub(crate) fn post_start(&self) -> Option<Self> {
        let command = self.post_start.clone();
        (!command.is_empty()).then(|| Self { command, post_start: Vec::new(), ..self.clone() })
    }

    pub(crate) fn variable(&self, name: &str) -> Option<&str> {
        self.env.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Replaces a volume's mount path by a local folder, wherever the environment or the command line name it.
    pub(crate) fn mount_locally(&mut self, volume: &str, folder: &Path) {
        let values = self.env.iter_mut().map(|(_, value)| value).chain(&mut self.command);
        mount_locally(&self.mounts, volume, folder, values);
    }
}

fn mount_locally<'a>(
    mounts: &[(String, PathBuf)],
    volume: &str,
    folder: &Path,
    values: impl Iterator<Item = &'a mut String>,
) {
    let paths: Vec<&PathBuf> =
        mounts.iter().filter(|(name, _)| name == volume).map(|(_, path)| path).collect();
    for value in values {
        let inside = paths.iter().find_map(|path| Path::new(value.as_str()).strip_prefix(path).ok());
        if let Some(inside) = inside {
            *value = folder.join(inside).to_string_lossy().into_owned();
        }
    }
}

/// A container of the Pod, wherever it stands.
pub(crate) fn container<'a>(pod: &'a Value, name: &str) -> Option<&'a Value> {
    let lists = ["/spec/initContainers", "/spec/containers"];
    let mut containers = lists.iter().filter_map(|list| pod.pointer(list)?.as_array()).flatten();
    containers.find(|container| container.get("name").and_then(Value::as_str) == Some(name))
}

/// A container's environment as far as it stands in the Pod.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Environment {
    /// In the spec's order.
    pub(crate) variables: Vec<(String, String)>,
    /// What only a cluster has: each with where it comes from.
    pub(crate) left_out: Vec<String>,
}

impl Environment {
    pub(crate) fn of(container: &Value, facts: &Facts) -> Self {
        let list = |name: &str| container.get(name).and_then(Value::as_array).into_iter().flatten();
        let mut env = Self::default();
        for source in list("envFrom") {
            let name =
                source.as_object().into_iter().flatten().find_map(|(_, object)| object.get("name")?.as_str());
            env.left_out.push(format!("{} (envFrom {})", name.unwrap_or("?"), kind(source)));
        }
        for variable in list("env") {
            let Some(name) = variable.get("name").and_then(Value::as_str) else { continue };
            let value = match variable.get("valueFrom") {
                None | Some(Value::Null) => {
                    let text = variable.get("value").and_then(Value::as_str).unwrap_or_default();
                    Ok(expand(text, &env.variables))
                }
                Some(source) => {
                    let field = source.pointer("/fieldRef/fieldPath").and_then(Value::as_str);
                    field
                        .and_then(|path| facts.field(path))
                        .map(ToOwned::to_owned)
                        .ok_or_else(|| kind(source))
                }
            };
            match value {
                Ok(value) => env.variables.push((name.to_owned(), value)),
                Err(source) => env.left_out.push(format!("{name} ({source})")),
            }
        }
        env
    }
}

impl Environment {
    /// Replaces the mount path of a volume of this container by a local folder.
    pub(crate) fn mount_locally(&mut self, container: &Value, volume: &str, folder: &Path) {
        let values = self.variables.iter_mut().map(|(_, value)| value);
        mount_locally(&mounts(container), volume, folder, values);
    }
}

/// What a `valueFrom` or an `envFrom` refers to.
fn kind(source: &Value) -> String {
    let keys = source.as_object().into_iter().flatten().filter(|(_, value)| value.is_object());
    let kinds: Vec<_> = keys.map(|(key, _)| key.as_str()).collect();
    kinds.join(", ")
}

fn mounts(container: &Value) -> Vec<(String, PathBuf)> {
    let mounts = container.get("volumeMounts").and_then(Value::as_array).into_iter().flatten();
    mounts
        .filter_map(|mount| {
            let text = |key| mount.get(key).and_then(Value::as_str);
            Some((text("name")?.to_owned(), text("mountPath")?.into()))
        })
        .collect()
}

fn strings(container: &Value, path: &str) -> Vec<String> {
    let items = container.pointer(path).and_then(Value::as_array).into_iter().flatten();
    items.filter_map(Value::as_str).map(ToOwned::to_owned).collect()
}

/// Expands `$(NAME)`; `$$` stands for `$`, and a reference to nothing stays as it is.
/// Source: Kubernetes, `third_party/forked/golang/expansion`.
fn expand(text: &str, env: &[(String, String)]) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        expanded.push_str(before);
        if let Some(escaped) = after.strip_prefix('$') {
            expanded.push('$');
            rest = escaped;
        } else if let Some((name, behind)) = after.strip_prefix('(').and_then(|opened| opened.split_once(')'))
        {
            match env.iter().rev().find(|(known, _)| known == name) {
                Some((_, value)) => expanded.push_str(value),
                None => expanded.extend(["$(", name, ")"]),
            }
            rest = behind;
        } else {
            expanded.push('$');
            rest = after;
        }
    }
    expanded + rest
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn facts() -> Facts {
        Facts::of(&json!({
            "metadata": {"name": "nginx", "namespace": "web"},
            "spec": {"serviceAccountName": "my-sa"},
        }))
    }

    #[test]
    fn references_are_expanded_as_kubelet_does() {
        let env =
            [("A", "1"), ("B", "$(A)"), ("A", "2")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        for (text, expected) in [
            ("plain", "plain"),
            ("$(A)-$(A)", "2-2"),
            ("$(B)", "$(A)"),
            ("$$(A)", "$(A)"),
            ("$$$(A)", "$2"),
            ("$(UNKNOWN)", "$(UNKNOWN)"),
            ("$(A", "$(A"),
            ("$A ${A} $", "$A ${A} $"),
            ("$()", "$()"),
        ] {
            assert_eq!(expand(text, &env), expected, "{text}");
        }
    }

    #[test]
    fn a_container_is_read_as_kubelet_reads_it() {
        let container = json!({
            "command": ["/program"],
            "args": ["--name", "$(NAME)"],
            "env": [
                {"name": "NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
                {"name": "NAME", "value": "$(NAMESPACE).$(LATER)"},
                {"name": "LATER", "value": "x"},
                {"name": "EMPTY"},
            ],
            "securityContext": {"runAsUser": 7, "runAsGroup": 8, "capabilities": {"add": ["NET_ADMIN"]}},
            "volumeMounts": [{"name": "v", "mountPath": "/mnt"}],
        });
        let process = Process::of(&container, &facts()).unwrap();
        assert_eq!(process.command, ["/program", "--name", "web.$(LATER)"]);
        assert_eq!(process.variable("NAME"), Some("web.$(LATER)"), "what stands later is not known yet");
        assert_eq!(process.variable("EMPTY"), Some(""));
        assert_eq!((process.user, process.group), (Some(7), Some(8)));
        assert_eq!(process.capabilities, ["NET_ADMIN"]);
        assert_eq!(process.mounts, [("v".to_owned(), "/mnt".into())]);
    }

    #[test]
    fn a_hook_runs_inside_the_container() {
        let container = json!({
            "command": ["/program"],
            "env": [{"name": "NAME", "value": "x"}],
            "securityContext": {"runAsUser": 7},
            "lifecycle": {"postStart": {"exec": {"command": ["/program", "--wait", "$(NAME)"]}}},
        });
        let process = Process::of(&container, &facts()).unwrap();
        let hook = process.post_start().unwrap();
        assert_eq!(hook.command, ["/program", "--wait", "$(NAME)"]);
        assert_eq!((hook.user, hook.variable("NAME"), hook.post_start()), (Some(7), Some("x"), None));
        assert_eq!(Process::of(&json!({}), &facts()).unwrap().post_start(), None);
    }

    #[test]
    fn the_downward_api_tells_what_the_injection_asks() {
        let facts = facts();
        let answers = [
            ("metadata.name", "nginx"),
            ("metadata.namespace", "web"),
            ("spec.serviceAccountName", "my-sa"),
            ("status.podIPs", "192.0.2.2"),
            ("status.hostIP", "192.0.2.1"),
        ];
        for (path, expected) in answers {
            assert_eq!(facts.field(path), Some(expected));
        }
        let generated = Facts::of(&json!({"metadata": {"generateName": "job-"}}));
        assert_eq!((generated.name.as_str(), generated.namespace.as_str()), ("job-local", "default"));
        assert_eq!(generated.service_account, "default");
    }

    #[test]
    fn what_a_cluster_alone_knows_is_an_error_for_ours_and_told_for_the_users() {
        let container = json!({
            "envFrom": [{"prefix": "P_", "configMapRef": {"name": "settings", "optional": true}}],
            "env": [
                {"name": "SECRET", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
                {"name": "MODE", "value": "fast"},
                {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
                {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                {"name": "MEMORY", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory"}}},
            ],
        });
        let error = Process::of(&container, &facts()).unwrap_err().to_string();
        assert!(error.contains("SECRET"), "{error}");
        let env = Environment::of(&container, &facts());
        let variables = [("MODE", "fast"), ("POD", "nginx")];
        assert_eq!(env.variables, variables.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let left_out = [
            "settings (envFrom configMapRef)",
            "SECRET (secretKeyRef)",
            "NODE (fieldRef)",
            "MEMORY (resourceFieldRef)",
        ];
        assert_eq!(env.left_out, left_out);
    }

    #[test]
    fn only_paths_inside_the_mount_become_local() {
        let container = json!({
            "command": ["/bin/x", "/mnt/a/b"],
            "env": [
                {"name": "FILE", "value": "/mnt/token"},
                {"name": "MOUNT", "value": "/mnt"},
                {"name": "SIBLING", "value": "/mnt2/token"},
                {"name": "TEXT", "value": "see /mnt/token"},
            ],
            "volumeMounts": [{"name": "v", "mountPath": "/mnt"}, {"name": "other", "mountPath": "/bin"}],
        });
        let mut process = Process::of(&container, &facts()).unwrap();
        process.mount_locally("v", Path::new("/tmp/v"));
        assert_eq!(process.command, ["/bin/x", "/tmp/v/a/b"]);
        assert_eq!(process.variable("FILE"), Some("/tmp/v/token"));
        assert_eq!(process.variable("MOUNT"), Some("/tmp/v/"));
        assert_eq!(process.variable("SIBLING"), Some("/mnt2/token"));
        assert_eq!(process.variable("TEXT"), Some("see /mnt/token"));
    }
}
