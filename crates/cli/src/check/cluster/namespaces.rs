//! Namespaces that admit only some interceptions. Source: Kubernetes, "Pod Security Standards"; docs/security.md.

use imds_contract::{Interception, annotation};

use super::finding::ClusterFinding;
use super::{Judge, Namespace, Question};
use crate::words::names;
use imds_inject::ServerVersion;

const ENFORCE: &str = "pod-security.kubernetes.io/enforce";

/// The first server that enforces by default. Source: KEP 2579.
const FIRST: ServerVersion = ServerVersion { major: 1, minor: 23 };

/// All namespaces, or the one that is looked at.
pub(super) fn question(namespace: Option<&str>) -> Question {
    namespace.map_or(Question::Namespaces, |name| Question::Namespace(name.to_owned()))
}

/// The standard that a namespace enforces, where it refuses `NET_ADMIN`.
pub(super) fn standard(judge: &Judge<'_>, namespace: &str) -> Option<String> {
    if judge.view.server.is_some_and(|server| server < FIRST) {
        return None;
    }
    let labels = judge.view.labels(namespace);
    let standard = labels.get(ENFORCE)?.as_str()?;
    matches!(standard, "baseline" | "restricted").then(|| standard.to_owned())
}

pub(super) fn needs_capability(interception: Interception) -> bool {
    match interception {
        Interception::Redirect | Interception::Address => true,
        Interception::Endpoint => false,
    }
}

pub(super) fn judge(judge: &mut Judge<'_>, interception: Interception) {
    let asked = match &judge.view.scope {
        super::Scope::Namespace(name) if judge.answers.have(&question(Some(name))) => question(Some(name)),
        _ => Question::Namespaces,
    };
    if judge.json(&asked).is_none() || judge.view.registration.is_none() {
        return;
    }
    let refusing = |namespace: &&Namespace| {
        !judge.view.is_left_out(&namespace.name) && standard(judge, &namespace.name).is_some()
    };
    let refusing = judge.view.namespaces.iter().filter(refusing).map(|namespace| namespace.name.clone());
    let refusing: Vec<String> = refusing.collect();
    let word = interception.to_string();
    judge.found(if refusing.is_empty() || !needs_capability(interception) {
        ClusterFinding::PodSecurity { interception: word }
    } else {
        let annotation = annotation::INTERCEPTION;
        ClusterFinding::PodSecurityEnforced { namespaces: names(&refusing), interception: word, annotation }
    });
}
