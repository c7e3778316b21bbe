//! Who an injected Pod is to STS: by its spec, which is what the emulator goes by.

use imds_contract::{RoleArn, RoleChain, annotation, environment, pod};
use serde_json::Value;

use super::environment::value;
use super::injected;
use super::object::{list, text};

/// See the module. What the spec does not say is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) role: Option<RoleArn>,
    pub(crate) chain: RoleChain,
    /// `system:serviceaccount:NAMESPACE:NAME`.
    pub(crate) subject: String,
    pub(crate) audience: Option<String>,
    pub(crate) region: Option<String>,
    pub(crate) session_duration: Option<u32>,
}

impl Identity {
    pub(crate) fn of_pod(pod: &Value) -> Self {
        let emulator = injected::emulator(pod);
        // kubelet's `$$` is a `$`.
        let variable = |name| Some(value(emulator?, name)?.replace("$$", "$"));
        let asked = |name: &str| Some(pod.pointer("/metadata/annotations")?.get(name)?.as_str()?.to_owned());
        let setting = |name, annotation| variable(name).or_else(|| asked(annotation));
        let (namespace, account) = (text(pod, "/metadata/namespace"), text(pod, "/spec/serviceAccountName"));
        let volumes = list(pod, "/spec/volumes");
        let volume = volumes.iter().find(|volume| text(volume, "/name") == Some(pod::TOKEN_VOLUME));
        let sources = volume.map_or(&[][..], |volume| list(volume, "/projected/sources"));
        let audience = sources.iter().find_map(|source| text(source, "/serviceAccountToken/audience"));
        Self {
            role: setting(environment::ROLE_ARN, annotation::ROLE_ARN).and_then(|role| role.parse().ok()),
            chain: setting(environment::ASSUME_ROLE_ARNS, annotation::ASSUME_ROLE_ARNS)
                .and_then(|chain| chain.parse().ok())
                .unwrap_or_default(),
            subject: format!(
                "system:serviceaccount:{}:{}",
                namespace.unwrap_or("default"),
                account.filter(|account| !account.is_empty()).unwrap_or("default")
            ),
            audience: audience.map(str::to_owned),
            region: setting(environment::REGION, annotation::REGION),
            session_duration: setting(environment::SESSION_DURATION, annotation::SESSION_DURATION)
                .and_then(|seconds| seconds.parse().ok()),
        }
    }

    /// The roles in their order, in words.
    pub(crate) fn roles(&self) -> String {
        let Some(role) = &self.role else { return "no role".to_owned() };
        let further = self.chain.hops().iter().map(|hop| format!(", then {}", hop.role_arn));
        format!("role {role}{}", further.collect::<String>())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_injected_counts_before_what_is_asked_for_now() {
        let pod = json!({
            "metadata": {"namespace": "shop", "annotations": {annotation::ROLE_ARN: "arn:aws:iam::123456789012:role/new"}},
            "spec": {
                "serviceAccountName": "web",
                "initContainers": [{"name": pod::EMULATOR_CONTAINER, "env": [
                    {"name": "AWS_ROLE_ARN", "value": "arn:aws:iam::123456789012:role/$$(x)/old"},
                    {"name": "IMDS_ASSUME_ROLE_ARNS", "value": "arn:aws:iam::210987654321:role/next;external-id=Acme-42"},
                    {"name": "IMDS_SESSION_DURATION", "value": "900"},
                    {"name": "AWS_REGION", "value": "eu-central-1"},
                ]}],
                "volumes": [{"name": pod::TOKEN_VOLUME, "projected": {"sources": [{"serviceAccountToken": {"audience": "a"}}]}}],
            },
        });
        let identity = Identity::of_pod(&pod);
        assert_eq!(
            identity.roles(),
            "role arn:aws:iam::123456789012:role/$(x)/old, then arn:aws:iam::210987654321:role/next"
        );
        assert_eq!(identity.subject, "system:serviceaccount:shop:web");
        assert_eq!((identity.audience.as_deref(), identity.session_duration), (Some("a"), Some(900)));
        assert_eq!(identity.region.as_deref(), Some("eu-central-1"));
        assert_eq!(Identity::of_pod(&json!({})).subject, "system:serviceaccount:default:default");
    }
}
