//! What the Pod's node has at the address of IMDS: a cloud's own metadata server, which an interception hides from the Pod; or EC2's
//! IMDS, which `endpoint` leaves within reach of clients that do not read the variables.

use imds_contract::{Interception, annotation};
use serde_json::Value;

use super::finding::PodFinding;
use super::{Judge, Question, names};
use crate::facts::cloud::{Cloud, is_ec2};
use crate::facts::injected;
use crate::facts::network_policy::closed_by;
use crate::facts::object::{list, text};
use crate::kubectl::Answers;

/// The Pod's node; and what may close it to the Pod, where that matters.
pub(super) fn questions(pod: &Value, answers: &Answers) -> Vec<Question> {
    let Some(node) = text(pod, "/spec/nodeName") else { return Vec::new() };
    let node = Question::Node(node.to_owned());
    let may_be_ec2 = answers.said(&node).is_some_and(|said| said.map_or(true, |said| is_ec2(&said.stdout)));
    let is_open = may_be_ec2 && injected::interception(pod) == Interception::Endpoint;
    std::iter::once(node).chain(is_open.then(|| policies(pod))).collect()
}

fn policies(pod: &Value) -> Question {
    let (namespace, _) = names(pod);
    Question::NetworkPolicies { namespace }
}

pub(super) fn judge(judge: &mut Judge<'_>) {
    let Some(node) = judge.text("/spec/nodeName") else { return };
    let question = Question::Node(node.to_owned());
    let said = match judge.answers.said(&question) {
        Some(Ok(said)) => Some(said.stdout.as_str()),
        Some(Err(failure)) => {
            judge.unseen(&question, &failure);
            None
        }
        None => return,
    };
    match injected::interception(judge.pod) {
        Interception::Endpoint => open(judge, node, said),
        interception @ (Interception::Redirect | Interception::Address) => {
            let id = said.and_then(|said| said.lines().next()).unwrap_or_default();
            if let Some(cloud) = Cloud::of_provider_id(id) {
                judge.found(PodFinding::MetadataHidden {
                    node: node.to_owned(),
                    cloud: cloud.name(),
                    interception: interception.to_string(),
                    users: cloud.users(),
                    annotation: annotation::INTERCEPTION,
                });
            }
        }
    }
}

/// Whether the Pod reaches EC2's IMDS.
fn open(judge: &mut Judge<'_>, node: &str, said: Option<&str>) {
    let is = match said {
        Some(said) if is_ec2(said) => "is",
        Some(_) => return,
        None => "may be",
    };
    let question = policies(judge.pod);
    let unless = match judge.answers.json(&question) {
        Some(Ok(policies)) => match closed_by(judge.pod, list(&policies, "/items")) {
            Ok(policy) => return judge.found(PodFinding::NodeImdsClosed { policy }),
            Err(Some(policy)) => format!("NetworkPolicy {policy} allows it"),
            Err(None) => "no NetworkPolicy limits what the Pod may reach".to_owned(),
        },
        Some(Err(failure)) => {
            judge.unseen(&question, &failure);
            "the NetworkPolicies are not known".to_owned()
        }
        None => return,
    };
    judge.found(PodFinding::NodeImdsOpen {
        node: format!("node {node} {is} an EC2 instance"),
        unless,
        annotation: annotation::INTERCEPTION,
    });
}
