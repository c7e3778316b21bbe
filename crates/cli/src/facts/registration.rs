//! Where the API server is told of the webhook. Source: Kubernetes, `admissionregistration.k8s.io/v1`.

use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use imds_contract::annotation::{ENABLED_LABEL, ENABLED_VALUE};
use serde_json::{Map, Value, json};

use super::object::{created, list, text};
use super::selector::selects;

/// The name of the webhook that injects, in whatever configuration it is.
pub(crate) const WEBHOOK: &str = "inject.imds-emulator.internal";

/// The label with the namespace's name, which the API server sets from 1.22 on.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// The configuration, as far as it matters here.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Registration {
    /// The `MutatingWebhookConfiguration`'s name.
    pub(crate) configuration: String,
    pub(crate) created: Option<SystemTime>,
    /// Helm's release, where it is of one.
    pub(crate) release: String,
    webhook: Value,
}

/// Where the API server calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    Service { namespace: String, name: String },
    Url(String),
}

impl Registration {
    /// All that are in a list of configurations.
    pub(crate) fn all(configurations: &Value) -> Vec<Self> {
        list(configurations, "/items").iter().filter_map(Self::of).collect()
    }

    fn of(configuration: &Value) -> Option<Self> {
        let webhook = list(configuration, "/webhooks")
            .iter()
            .find(|webhook| text(webhook, "/name") == Some(WEBHOOK))?;
        let release = text(configuration, "/metadata/labels/app.kubernetes.io~1instance");
        Some(Self {
            configuration: text(configuration, "/metadata/name")?.to_owned(),
            created: created(configuration),
            release: release.unwrap_or("imds-emulator").to_owned(),
            webhook: webhook.clone(),
        })
    }

    pub(crate) fn target(&self) -> Option<Target> {
        let service = "/clientConfig/service";
        match self.webhook.pointer(service) {
            Some(service) => Some(Target::Service {
                namespace: text(service, "/namespace")?.to_owned(),
                name: text(service, "/name")?.to_owned(),
            }),
            None => text(&self.webhook, "/clientConfig/url").map(|url| Target::Url(url.to_owned())),
        }
    }

    /// The namespace of its Service; where nothing says, the one that the documentation installs into.
    pub(crate) fn namespace(&self) -> String {
        match self.target() {
            Some(Target::Service { namespace, .. }) => namespace,
            _ => "imds-system".to_owned(),
        }
    }

    /// The name of its Service, which the chart gives to the Deployment too.
    pub(crate) fn name(&self) -> String {
        match self.target() {
            Some(Target::Service { name, .. }) => name,
            _ => "imds-webhook".to_owned(),
        }
    }

    /// `Fail` where the field is not there.
    pub(crate) fn failure_policy(&self) -> &str {
        text(&self.webhook, "/failurePolicy").unwrap_or("Fail")
    }

    /// In seconds.
    pub(crate) fn timeout(&self) -> u64 {
        self.webhook.get("timeoutSeconds").and_then(Value::as_u64).unwrap_or(10)
    }

    /// The authorities that the API server trusts it by, PEM; empty where there is none.
    pub(crate) fn bundle(&self) -> String {
        let encoded = text(&self.webhook, "/clientConfig/caBundle").unwrap_or_default();
        let bundle = STANDARD.decode(encoded).unwrap_or_default();
        String::from_utf8_lossy(&bundle).into_owned()
    }

    /// Whether it is asked about Pods of a namespace with these labels.
    pub(crate) fn asks_about_namespace(&self, labels: &Map<String, Value>) -> bool {
        selects(self.webhook.get("namespaceSelector"), labels)
    }

    /// Whether it is asked about Pods with the label.
    pub(crate) fn asks_about_labelled(&self) -> bool {
        let labels = json!({ENABLED_LABEL: ENABLED_VALUE});
        self.asks_about_labels(&labels)
    }

    /// Whether it is asked about Pods without any label.
    pub(crate) fn asks_about_all(&self) -> bool {
        self.asks_about_labels(&json!({}))
    }

    fn asks_about_labels(&self, labels: &Value) -> bool {
        labels.as_object().is_some_and(|labels| selects(self.webhook.get("objectSelector"), labels))
    }

    /// Whether a rule is about the creation of Pods.
    pub(crate) fn asks_about_creation(&self) -> bool {
        let rules = self.webhook.get("rules").and_then(Value::as_array);
        let has = |rule: &Value, list: &str, word: &str| {
            let words = rule.get(list).and_then(Value::as_array);
            words.is_some_and(|words| words.iter().any(|w| w == word || w == "*"))
        };
        rules.is_some_and(|rules| {
            rules.iter().any(|rule| {
                has(rule, "apiGroups", "")
                    && has(rule, "apiVersions", "v1")
                    && has(rule, "operations", "CREATE")
                    && (has(rule, "resources", "pods") || has(rule, "resources", "*/*"))
            })
        })
    }
}

/// The labels of a namespace.
pub(crate) fn namespace_labels(namespace: &Value) -> Map<String, Value> {
    let labels = namespace.pointer("/metadata/labels").and_then(Value::as_object);
    labels.cloned().unwrap_or_default()
}

/// The labels of a namespace of which only the name is known.
pub(crate) fn labels_of_name(name: &str) -> Map<String, Value> {
    Map::from_iter([(NAME_LABEL.to_owned(), name.into())])
}
