//! What becomes of a labelled Pod: a dry run, which goes through the API server and the webhook and creates nothing.

use imds_contract::{Interception, annotation, pod};
use serde_json::{Value, json};

use super::finding::ClusterFinding;
use super::{Judge, Question};
use crate::facts::injected;
use crate::facts::registration::Registration;
use crate::kubectl::{Failure, Said};

/// Any role: no token is exchanged for it.
const ROLE: &str = "arn:aws:iam::123456789012:role/my-example-role";

/// What new Pods get.
pub(super) struct Admitted {
    pub(super) interception: Interception,
    pub(super) image: String,
}

pub(in crate::check) fn question(namespace: &str) -> Question {
    Question::DryRun { namespace: namespace.to_owned(), document: probe().to_string() }
}

/// A Pod that every namespace admits but for what the injection adds: Restricted, with resources.
fn probe() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": "imds-check-",
            "labels": {annotation::ENABLED_LABEL: annotation::ENABLED_VALUE},
            "annotations": {annotation::ROLE_ARN: ROLE},
        },
        "spec": {
            "securityContext": {"runAsNonRoot": true, "runAsUser": 65534, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": "app",
                "image": "never-created",
                "resources": {"requests": {"cpu": "1m", "memory": "16Mi"}, "limits": {"cpu": "10m", "memory": "16Mi"}},
                "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
            }],
        },
    })
}

pub(super) fn judge(judge: &mut Judge<'_>) -> Option<Admitted> {
    let registration = judge.view.registration.as_ref()?;
    let namespace = judge.view.home.clone();
    let question = question(&namespace);
    match judge.answers.said(&question)? {
        Ok(said) => created(judge, registration, namespace, said),
        Err(failure @ (Failure::Forbidden { .. } | Failure::TimedOut { .. })) => {
            judge.unseen(&question, &failure);
            None
        }
        Err(Failure::NotFound { said })
            if said.contains(&format!("namespaces \"{namespace}\" not found")) =>
        {
            judge.found(ClusterFinding::NamespaceAbsent { namespace });
            None
        }
        Err(failure) => {
            judge.found(refused(registration, namespace, &failure.to_string()));
            None
        }
    }
}

fn created(
    judge: &mut Judge<'_>,
    registration: &Registration,
    namespace: String,
    said: &Said,
) -> Option<Admitted> {
    let created: Value = serde_json::from_str(&said.stdout).unwrap_or_default();
    let Some(status) = injected::status(&created) else {
        let why = why_not(judge, registration, &namespace);
        let (name, of_webhook) = (registration.name(), registration.namespace());
        judge.found(ClusterFinding::NotInjected { namespace, why, name, of_webhook });
        return None;
    };
    let image = super::pods::emulator_image(&created).unwrap_or_default().to_owned();
    let how = injected::status_in_words(status);
    judge.found(ClusterFinding::Injects { namespace, how, image: image.clone() });
    Some(Admitted { interception: injected::interception(&created), image })
}

fn why_not(judge: &Judge<'_>, registration: &Registration, namespace: &str) -> String {
    if judge.view.is_left_out(namespace) {
        "the webhook's namespaceSelector leaves this namespace out".to_owned()
    } else if registration.failure_policy() == "Ignore" {
        "the API server did not get an answer of the webhook, and failurePolicy is Ignore".to_owned()
    } else {
        "the API server did not ask the webhook, or it changed nothing".to_owned()
    }
}

/// By the API server's words. Source: `k8s.io/apiserver`, admission plugin "webhook"; Go's `net/http` and `crypto/x509`; recorded
/// in tests.
fn refused(registration: &Registration, namespace: String, said: &str) -> ClusterFinding {
    let own = |verb: &str| said.contains(&format!("{verb} \"{}\"", crate::facts::registration::WEBHOOK));
    if own("admission webhook") {
        let said = said.split_once("denied the request: ").map_or(said, |(_, said)| said).to_owned();
        return ClusterFinding::DeniedByWebhook { namespace, said };
    }
    if !own("failed calling webhook") {
        let by_redirect = said.contains(pod::REDIRECT_CONTAINER) && said.contains("violates PodSecurity");
        let said = if by_redirect {
            format!("{said} (interception endpoint needs no capability)")
        } else {
            said.to_owned()
        };
        return ClusterFinding::RefusedByOthers { namespace, said };
    }
    let (namespace, release, name) =
        (registration.namespace(), registration.release.clone(), registration.name());
    let service = name.clone();
    let has = |part: &str| said.contains(part);
    if has("no endpoints available for service") {
        ClusterFinding::NoEndpoints { namespace, service }
    } else if has("service \"") && has("not found") {
        ClusterFinding::ServiceAbsent { namespace, service, release }
    } else if has("deadline exceeded") || has("Client.Timeout") || has("i/o timeout") {
        ClusterFinding::WebhookTimeout { timeout: registration.timeout(), namespace }
    } else if has("certificate has expired") {
        ClusterFinding::CertificateExpired { namespace, name }
    } else if has("x509: certificate signed by unknown authority") || has("x509: ECDSA verification failure")
    {
        ClusterFinding::AuthorityUnknown { namespace, name }
    } else if has("x509: ") {
        let said = said.split_once("x509: ").map_or(said, |(_, said)| said).to_owned();
        ClusterFinding::CertificateName { said }
    } else {
        let said = said.split_once("failed calling webhook ").map_or(said, |(_, said)| said).to_owned();
        ClusterFinding::CallFailed { said, namespace, name }
    }
}
