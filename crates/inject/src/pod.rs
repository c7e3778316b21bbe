//! A read-only view of the raw Pod: what a decision needs of it, and nothing else.

use imds_contract::{annotation, pod};
use serde_json::{Map, Value};

use crate::patch::at;
use crate::quantity::Quantity;

const LABELS: &str = "/metadata/labels";
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
pub(crate) struct PodView<'a>(pub(crate) &'a Value);

impl<'a> PodView<'a> {
    pub(crate) fn enabled_label(self) -> Option<&'a Value> {
        at(self.0, LABELS)?.get(annotation::ENABLED_LABEL)
    }

    pub(crate) fn annotation(self, name: &str) -> Option<&'a Value> {
        at(self.0, ANNOTATIONS)?.get(name).filter(|value| !value.is_null())
    }

    pub(crate) fn is_mirror(self) -> bool {
        self.annotation(CONFIG_MIRROR).is_some()
    }

    pub(crate) fn uses_host_network(self) -> bool {
        at(self.0, "/spec/hostNetwork").and_then(Value::as_bool) == Some(true)
    }

    pub(crate) fn is_windows(self) -> bool {
        let text = |path| at(self.0, path).and_then(Value::as_str);
        text("/spec/os/name") == Some("windows")
            || text("/spec/nodeSelector/kubernetes.io~1os") == Some("windows")
    }

    /// The Pod's own value of a sysctl.
    pub(crate) fn sysctl(self, name: &str) -> Option<&'a str> {
        self.named(SYSCTLS, name)?.get("value")?.as_str()
    }

    pub(crate) fn service_account(self) -> &'a str {
        let name = at(self.0, "/spec/serviceAccountName").and_then(Value::as_str);
        name.filter(|name| !name.is_empty()).unwrap_or("default")
    }

    /// In seconds.
    pub(crate) fn termination_grace_period(self) -> u64 {
        let field = at(self.0, "/spec/terminationGracePeriodSeconds");
        field
            .and_then(Value::as_i64)
            .map_or(TERMINATION_GRACE_PERIOD, |seconds| seconds.max(0).unsigned_abs())
    }

    pub(crate) fn name(self) -> Option<&'a str> {
        at(self.0, "/metadata/name")?.as_str()
    }

    /// `OnFailure` or `Never`: a Pod that is to end, as a Job's.
    pub(crate) fn ends(self) -> Option<&'a str> {
        let policy = at(self.0, "/spec/restartPolicy").and_then(Value::as_str);
        policy.filter(|policy| matches!(*policy, "OnFailure" | "Never"))
    }

    /// Whether its quality-of-service class comes from its containers and is Guaranteed: each has limits for CPU and memory,
    /// and requests that equal them or are left to be set to them. Source: Kubernetes, "Pod Quality of Service Classes".
    pub(crate) fn is_guaranteed(self) -> bool {
        // Resources of the Pod as a whole decide the class, whatever containers there are.
        let of_pod = at(self.0, "/spec/resources").and_then(Value::as_object);
        let mut containers = self.items(CONTAINERS).iter().chain(self.items(INIT_CONTAINERS));
        of_pod.is_none_or(Map::is_empty)
            && !self.items(CONTAINERS).is_empty()
            && containers.all(|container| ["cpu", "memory"].iter().all(|name| is_fixed(container, name)))
    }

    pub(crate) fn has_container(self, name: &str) -> bool {
        self.named(CONTAINERS, name).is_some() || self.named(INIT_CONTAINERS, name).is_some()
    }

    pub(crate) fn has_token_volume(self) -> bool {
        self.named(VOLUMES, pod::TOKEN_VOLUME).is_some()
    }

    /// The items of an array; none where it is absent.
    pub(crate) fn items(self, array: &str) -> &'a [Value] {
        at(self.0, array).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    fn named(self, array: &str, name: &str) -> Option<&'a Value> {
        self.items(array).iter().find(|item| is_named(item, name))
    }
}

fn is_fixed(container: &Value, resource: &str) -> bool {
    let quantity =
        |list: &str| container.get("resources")?.get(list)?.get(resource).filter(|value| !value.is_null());
    let amount = |value: &Value| {
        let text = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
        Some(text.parse::<Quantity>().ok()?.amount())
    };
    let Some(limit) = quantity("limits").and_then(amount).filter(|limit| *limit > 0.0) else { return false };
    // 0.1 and 100m are the same.
    quantity("requests")
        .is_none_or(|request| amount(request).is_some_and(|request| (request / limit - 1.0).abs() < 1e-9))
}

/// Whether the item's `name` is this one.
pub(crate) fn is_named(item: &Value, name: &str) -> bool {
    item.get("name").and_then(Value::as_str) == Some(name)
}
