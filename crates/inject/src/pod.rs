//! A read-only view of the raw Pod: what a decision needs of it, and nothing else.

use imds_contract::annotation;
use serde_json::Value;

use crate::patch::at;
use crate::quantity::Quantity;
use crate::resources::{COMPUTE, Constraint, LIMITS, REQUESTS};

/// Where a node's operating system stands. Source: Kubernetes, "Well-Known Labels"; the second is the deprecated one.
const OS_LABELS: [&str; 2] = ["kubernetes.io/os", "beta.kubernetes.io/os"];
const WINDOWS: &str = "windows";

pub(crate) const ANNOTATIONS: &str = "/metadata/annotations";
pub(crate) const CONTAINERS: &str = "/spec/containers";
pub(crate) const INIT_CONTAINERS: &str = "/spec/initContainers";
pub(crate) const VOLUMES: &str = "/spec/volumes";
pub(crate) const SYSCTLS: &str = "/spec/securityContext/sysctls";

/// The sysctl below whose value a port is privileged.
pub(crate) const UNPRIVILEGED_PORT_START: &str = "net.ipv4.ip_unprivileged_port_start";

/// Set by kubelet on the mirror of a static Pod. Source: k8s.io/api, `core/v1`, `MirrorPodAnnotationKey`.
const CONFIG_MIRROR: &str = "kubernetes.io/config.mirror";

/// kubelet's default. Source: k8s.io/api, `core/v1`, `DefaultTerminationGracePeriodSeconds`.
const TERMINATION_GRACE_PERIOD: u64 = 30;

/// See the module.
#[derive(Clone, Copy)]
pub(crate) struct PodView<'a> {
    pub(crate) raw: &'a Value,
    labels: &'a Value,
    annotations: &'a Value,
    spec: &'a Value,
    pub(crate) containers: &'a [Value],
    init_containers: &'a [Value],
}

impl<'a> PodView<'a> {
    pub(crate) fn new(raw: &'a Value) -> Self {
        let part = |path| at(raw, path).unwrap_or(&Value::Null);
        Self {
            raw,
            labels: part("/metadata/labels"),
            annotations: part(ANNOTATIONS),
            spec: part("/spec"),
            containers: items(raw, CONTAINERS),
            init_containers: items(raw, INIT_CONTAINERS),
        }
    }

    pub(crate) fn enabled_label(self) -> Option<&'a Value> {
        self.labels.get(annotation::ENABLED_LABEL)
    }

    pub(crate) fn annotation(self, name: &str) -> Option<&'a Value> {
        self.annotations.get(name).filter(|value| !value.is_null())
    }

    pub(crate) fn is_mirror(self) -> bool {
        self.annotation(CONFIG_MIRROR).is_some()
    }

    pub(crate) fn uses_host_network(self) -> bool {
        self.spec.get("hostNetwork").and_then(Value::as_bool) == Some(true)
    }

    pub(crate) fn is_windows(self) -> bool {
        let selector = |label: &&str| self.spec.get("nodeSelector")?.get(*label)?.as_str();
        let named = at(self.spec, "/os/name").and_then(Value::as_str);
        let mut systems = named.into_iter().chain(OS_LABELS.iter().filter_map(selector)).peekable();
        // A Pod that says where it goes need not be guessed at.
        if systems.peek().is_some() {
            return systems.any(|system| system == WINDOWS);
        }
        self.must_go_to_windows() || self.has_windows_options()
    }

    /// By node affinity: the terms are alternatives.
    fn must_go_to_windows(self) -> bool {
        let required =
            "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms";
        let is_windows = |expression: &Value| {
            let text = |key| expression.get(key).and_then(Value::as_str);
            let values = expression.get("values").and_then(Value::as_array);
            text("key").is_some_and(|key| OS_LABELS.contains(&key))
                && text("operator") == Some("In")
                && values.is_some_and(|values| !values.is_empty() && values.iter().all(|v| v == WINDOWS))
        };
        let asks = |term: &Value| {
            let expressions = term.get("matchExpressions").and_then(Value::as_array);
            expressions.is_some_and(|expressions| expressions.iter().any(is_windows))
        };
        let terms = self.items(required);
        !terms.is_empty() && terms.iter().all(asks)
    }

    fn has_windows_options(self) -> bool {
        let mut contexts = self
            .all_containers()
            .filter_map(|container| container.get("securityContext"))
            .chain(self.spec.get("securityContext"));
        contexts.any(|context| {
            let options = context.get("windowsOptions").and_then(Value::as_object);
            options.is_some_and(|options| !options.is_empty())
        })
    }

    /// The Pod's own value of a sysctl; empty where it is there without one.
    pub(crate) fn sysctl(self, name: &str) -> Option<&'a str> {
        let value = self.named(SYSCTLS, name)?.get("value").and_then(Value::as_str);
        Some(value.unwrap_or_default())
    }

    /// Whether the Pod confines all its containers with `AppArmor`. `Unconfined` denies ours nothing, and kubelet refuses any
    /// other profile on a node without `AppArmor`.
    pub(crate) fn is_confined_by_apparmor(self) -> bool {
        let profile = at(self.spec, "/securityContext/appArmorProfile/type").and_then(Value::as_str);
        profile.is_some_and(|profile| profile != "Unconfined")
    }

    /// The TCP ports that the containers say they listen on, each with the container's name.
    pub(crate) fn container_ports(self) -> impl Iterator<Item = (&'a str, u16)> {
        self.all_containers().flat_map(|container| {
            let name = container.get("name").and_then(Value::as_str).unwrap_or_default();
            let ports = container.get("ports").and_then(Value::as_array).into_iter().flatten();
            let tcp =
                ports.filter(|port| port.get("protocol").and_then(Value::as_str).is_none_or(|p| p == "TCP"));
            tcp.filter_map(move |port| Some((name, port.get("containerPort")?.as_u64()?.try_into().ok()?)))
        })
    }

    pub(crate) fn service_account(self) -> &'a str {
        let name = self.spec.get("serviceAccountName").and_then(Value::as_str);
        name.filter(|name| !name.is_empty()).unwrap_or("default")
    }

    /// In seconds.
    pub(crate) fn termination_grace_period(self) -> u64 {
        let field = self.spec.get("terminationGracePeriodSeconds");
        field
            .and_then(Value::as_i64)
            .map_or(TERMINATION_GRACE_PERIOD, |seconds| seconds.max(0).unsigned_abs())
    }

    pub(crate) fn name(self) -> Option<&'a str> {
        at(self.raw, "/metadata/name")?.as_str()
    }

    /// `OnFailure` or `Never`: a Pod that is to end, as a Job's.
    pub(crate) fn ends(self) -> Option<&'a str> {
        let policy = self.spec.get("restartPolicy").and_then(Value::as_str);
        policy.filter(|policy| matches!(*policy, "OnFailure" | "Never"))
    }

    /// What its own resources ask of those of a further container.
    pub(crate) fn constraint(self) -> Constraint {
        match self.spec.get("resources").and_then(Value::as_object).filter(|of_pod| !of_pod.is_empty()) {
            Some(of_pod) => {
                let limit = |name: &&'static str| Some((*name, quantity(of_pod.get("limits")?.get(*name)?)?));
                Constraint::Within { limits: COMPUTE.iter().filter_map(limit).collect() }
            }
            None if self.is_guaranteed() => Constraint::Equal,
            None => Constraint::None,
        }
    }

    /// Whether each of its containers has this resource in this list. What is limited is requested too: the API server sees to
    /// that. Source: Kubernetes, `pkg/apis/core/v1/defaults.go`, `SetDefaults_Pod`.
    pub(crate) fn each_has(self, list: &str, resource: &str) -> bool {
        let has = |container: &Value| {
            let is_in = |list: &str| amount(container, list, resource).is_some();
            is_in(list) || list == REQUESTS && is_in(LIMITS)
        };
        !self.containers.is_empty() && self.all_containers().all(has)
    }

    /// Whether its quality-of-service class comes from its containers and is Guaranteed: each has limits for CPU and memory,
    /// and requests that equal them or are left to be set to them. Source: Kubernetes, "Pod Quality of Service Classes".
    fn is_guaranteed(self) -> bool {
        !self.containers.is_empty()
            && self.all_containers().all(|container| COMPUTE.iter().all(|name| is_fixed(container, name)))
    }

    pub(crate) fn container(self, name: &str) -> Option<&'a Value> {
        self.all_containers().find(|container| is_named(container, name))
    }

    pub(crate) fn has_volume(self, name: &str) -> bool {
        self.volume(name).is_some()
    }

    pub(crate) fn volume(self, name: &str) -> Option<&'a Value> {
        self.named(VOLUMES, name)
    }

    fn all_containers(self) -> impl Iterator<Item = &'a Value> {
        self.containers.iter().chain(self.init_containers)
    }

    /// The items of an array; none where it is absent.
    pub(crate) fn items(self, array: &str) -> &'a [Value] {
        items(self.raw, array)
    }

    fn named(self, array: &str, name: &str) -> Option<&'a Value> {
        self.items(array).iter().find(|item| is_named(item, name))
    }
}

fn items<'a>(document: &'a Value, array: &str) -> &'a [Value] {
    at(document, array).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn is_fixed(container: &Value, resource: &str) -> bool {
    let written = |list: &str| amount(container, list, resource);
    let number = |value: &Value| Some(quantity(value)?.amount());
    let Some(limit) = written(LIMITS).and_then(number).filter(|limit| *limit > 0.0) else { return false };
    // 0.1 and 100m are the same.
    written(REQUESTS)
        .is_none_or(|request| number(request).is_some_and(|request| (request / limit - 1.0).abs() < 1e-9))
}

/// What a container has of a resource in a list of its own.
fn amount<'a>(container: &'a Value, list: &str, resource: &str) -> Option<&'a Value> {
    container.get("resources")?.get(list)?.get(resource).filter(|value| !value.is_null())
}

/// A quantity that is text, or a bare number.
fn quantity(value: &Value) -> Option<Quantity> {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned).parse().ok()
}

/// Whether the item's `name` is this one.
pub(crate) fn is_named(item: &Value, name: &str) -> bool {
    item.get("name").and_then(Value::as_str) == Some(name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_each_container_has_counts_and_a_limit_is_a_request_too() {
        let each_has = |list, containers: &Value| {
            let pod = json!({"spec": {"containers": containers, "initContainers": [
                {"name": "setup", "resources": {"limits": {"ephemeral-storage": "1Gi"}}}]}});
            PodView::new(&pod).each_has(list, "ephemeral-storage")
        };
        let requests = json!([{"name": "app", "resources": {"requests": {"ephemeral-storage": "1Gi"}}}]);
        assert!(each_has(REQUESTS, &requests));
        assert!(!each_has(LIMITS, &requests));
        let limits = json!([{"name": "app", "resources": {"limits": {"ephemeral-storage": "1Gi"}}}]);
        assert!(each_has(LIMITS, &limits));
        let none = json!([{"name": "app", "resources": {"limits": {"ephemeral-storage": null}}}]);
        assert!(!each_has(REQUESTS, &none));
        assert!(!each_has(REQUESTS, &json!([])));
    }
}
