//! Whether a `ValidatingAdmissionPolicy` limits the webhook's own account to `caBundle`. With certificates of its own the account
//! may patch its configuration, and RBAC does not limit a right to a field.

use imds_inject::ServerVersion;
use serde_json::Value;

use super::finding::ClusterFinding;
use super::{Judge, Question};
use crate::facts::object::{list, text};
use crate::facts::registration::{Registration, Target};
use crate::kubectl::Answers;

/// The first Kubernetes with `admissionregistration.k8s.io/v1` `ValidatingAdmissionPolicy`.
const FIRST: ServerVersion = ServerVersion { major: 1, minor: 30 };

/// None where the server is known to have no policies.
pub(super) fn question(server: Option<ServerVersion>) -> Option<Question> {
    server.is_none_or(|server| server >= FIRST).then_some(Question::Policies)
}

pub(super) fn judge(judge: &mut Judge<'_>) {
    let view = judge.view;
    let Some(registration) = &view.registration else { return };
    let Some(account) = account(registration, judge.answers) else { return };
    let (release, namespace) = (registration.release.clone(), registration.namespace());
    let Some(question) = question(view.server) else {
        let why = format!("Kubernetes has policies from {FIRST} on");
        let how = " --set certificates.mode=cert-manager";
        return judge.found(ClusterFinding::Unguarded { account, why, release, namespace, how });
    };
    let Some(objects) = judge.items(&question) else { return };
    let how = "    # without Helm: kubectl apply -f deploy/install-policy.yaml";
    judge.found(match guard(&account, &objects) {
        Ok(policy) => ClusterFinding::Guarded { account, policy },
        Err(why) => ClusterFinding::Unguarded { account, why, release, namespace, how },
    });
}

/// The user name of the webhook's account, where the webhook keeps its own certificates.
fn account(registration: &Registration, answers: &Answers) -> Option<String> {
    let Target::Service { namespace, .. } = registration.target()? else { return None };
    let deployments = answers.json(&Question::Deployments { namespace: namespace.clone() })?.ok()?;
    let flag = format!("--webhook-configuration={}", registration.configuration);
    let mut specs =
        list(&deployments, "/items").iter().filter_map(|item| item.pointer("/spec/template/spec"));
    let spec = specs.find(|spec| list(spec, "/containers/0/args").iter().any(|arg| *arg == *flag))?;
    let account = text(spec, "/serviceAccountName").unwrap_or("default");
    Some(format!("system:serviceaccount:{namespace}:{account}"))
}

/// The policy about this account that is in force, or why there is none.
fn guard(account: &str, objects: &[Value]) -> Result<String, String> {
    let of_kind =
        |kind: &'static str| objects.iter().filter(move |object| text(object, "/kind") == Some(kind));
    let quoted = format!("'{account}'");
    let is_about = |policy: &&Value| {
        let conditions = list(policy, "/spec/matchConditions").iter();
        let mut expressions = conditions.filter_map(|condition| text(condition, "/expression"));
        expressions.any(|expression| expression.contains(&quoted))
    };
    let Some(policy) = of_kind("ValidatingAdmissionPolicy").find(is_about) else {
        return Err("no ValidatingAdmissionPolicy is about it".to_owned());
    };
    let name = text(policy, "/metadata/name").unwrap_or_default();
    let denies = |binding: &Value| {
        text(binding, "/spec/policyName") == Some(name)
            && binding.pointer("/spec/matchResources").is_none()
            && list(binding, "/spec/validationActions").iter().any(|action| action == "Deny")
    };
    if text(policy, "/spec/failurePolicy").is_some_and(|policy| policy != "Fail") {
        return Err(format!("failurePolicy of the ValidatingAdmissionPolicy {name} is not Fail"));
    }
    if !of_kind("ValidatingAdmissionPolicyBinding").any(denies) {
        return Err(format!("no binding makes the ValidatingAdmissionPolicy {name} deny anything"));
    }
    Ok(name.to_owned())
}
