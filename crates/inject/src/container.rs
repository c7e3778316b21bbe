//! Kubernetes's `Container`, as far as it is injected. Typed where all else is a tree of JSON, because building, writing and
//! dropping two such trees was a third of what a review costs. Source of the names: k8s.io/api, `core/v1`.

use std::borrow::Cow;

use serde::Serialize;

use crate::resources::Resources;
use crate::settings::PullPolicy;

/// A container of ours. What is `None` or empty is left out.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Container {
    pub(crate) name: &'static str,
    pub(crate) image: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) image_pull_policy: Option<PullPolicy>,
    pub(crate) command: [&'static str; 1],
    pub(crate) resources: Resources,
    pub(crate) termination_message_policy: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) args: Vec<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) restart_policy: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) lifecycle: Option<Lifecycle>,
    pub(crate) env: Vec<EnvVar>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) startup_probe: Option<Probe>,
    pub(crate) security_context: SecurityContext,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) volume_mounts: Vec<VolumeMount>,
}

/// Mostly known when this is compiled.
pub(crate) type Text = Cow<'static, str>;

/// An environment variable.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EnvVar {
    name: Text,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_from: Option<ValueFrom>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct ValueFrom {
    field_ref: FieldRef,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct FieldRef {
    field_path: Text,
}

impl EnvVar {
    /// A variable of this value, in which kubelet expands references.
    pub(crate) fn new(name: impl Into<Text>, value: impl Into<Text>) -> Self {
        Self { name: name.into(), value: Some(value.into()), value_from: None }
    }

    /// A variable of what the downward API has at this path.
    pub(crate) fn of_field(name: &'static str, field_path: impl Into<Text>) -> Self {
        let field_ref = FieldRef { field_path: field_path.into() };
        Self { name: name.into(), value: None, value_from: Some(ValueFrom { field_ref }) }
    }
}

/// What is mounted, and where.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct VolumeMount {
    pub(crate) name: &'static str,
    pub(crate) mount_path: &'static str,
    pub(crate) read_only: bool,
}

/// What kubelet waits for after it has started the container.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Lifecycle {
    pub(crate) post_start: Handler,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Handler {
    pub(crate) exec: Exec,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Exec {
    pub(crate) command: [&'static str; 2],
}

/// A probe by a command in the container.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Probe {
    pub(crate) exec: Exec,
    pub(crate) period_seconds: u32,
    pub(crate) timeout_seconds: u32,
    pub(crate) failure_threshold: u32,
}

/// Every field is set, but those that older servers don't know.
#[expect(clippy::struct_excessive_bools, reason = "Kubernetes's own fields")]
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SecurityContext {
    pub(crate) privileged: bool,
    pub(crate) allow_privilege_escalation: bool,
    pub(crate) capabilities: Capabilities,
    pub(crate) read_only_root_filesystem: bool,
    pub(crate) run_as_non_root: bool,
    pub(crate) run_as_user: u32,
    pub(crate) run_as_group: u32,
    pub(crate) seccomp_profile: Profile,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) app_armor_profile: Option<Profile>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Capabilities {
    pub(crate) drop: &'static [&'static str],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(crate) add: &'static [&'static str],
}

/// Of seccomp or `AppArmor`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Profile {
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
}
