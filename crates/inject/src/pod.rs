//! A read-only view of the raw Pod: what a decision needs of it, and nothing else.

use imds_contract::{annotation, pod};
use serde_json::Value;

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
        self.0.pointer(LABELS)?.get(annotation::ENABLED_LABEL)
    }

    pub(crate) fn annotation(self, name: &str) -> Option<&'a Value> {
        self.0.pointer(ANNOTATIONS)?.get(name).filter(|value| !value.is_null())
    }

    pub(crate) fn is_mirror(self) -> bool {
        self.annotation(CONFIG_MIRROR).is_some()
    }

    pub(crate) fn uses_host_network(self) -> bool {
        self.0.pointer("/spec/hostNetwork").and_then(Value::as_bool) == Some(true)
    }

    pub(crate) fn is_windows(self) -> bool {
        let text = |path| self.0.pointer(path).and_then(Value::as_str);
        text("/spec/os/name") == Some("windows")
            || text("/spec/nodeSelector/kubernetes.io~1os") == Some("windows")
    }

    /// The Pod's own value of a sysctl.
    pub(crate) fn sysctl(self, name: &str) -> Option<&'a str> {
        self.named(SYSCTLS, name)?.get("value")?.as_str()
    }

    pub(crate) fn service_account(self) -> &'a str {
        let name = self.0.pointer("/spec/serviceAccountName").and_then(Value::as_str);
        name.filter(|name| !name.is_empty()).unwrap_or("default")
    }

    /// In seconds.
    pub(crate) fn termination_grace_period(self) -> u64 {
        let field = self.0.pointer("/spec/terminationGracePeriodSeconds");
        field
            .and_then(Value::as_i64)
            .map_or(TERMINATION_GRACE_PERIOD, |seconds| seconds.max(0).unsigned_abs())
    }

    pub(crate) fn has_container(self, name: &str) -> bool {
        self.named(CONTAINERS, name).is_some() || self.named(INIT_CONTAINERS, name).is_some()
    }

    pub(crate) fn has_token_volume(self) -> bool {
        self.named(VOLUMES, pod::TOKEN_VOLUME).is_some()
    }

    /// The items of an array; none where it is absent.
    pub(crate) fn items(self, array: &str) -> &'a [Value] {
        self.0.pointer(array).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    fn named(self, array: &str, name: &str) -> Option<&'a Value> {
        self.items(array).iter().find(|item| is_named(item, name))
    }
}

/// Whether the item's `name` is this one.
pub(crate) fn is_named(item: &Value, name: &str) -> bool {
    item.get("name").and_then(Value::as_str) == Some(name)
}
