//! Whether the Pod's node is of a cloud whose own metadata server the interception hides from the Pod.

use imds_contract::{Interception, annotation};
use serde_json::Value;

use super::finding::PodFinding;
use super::{Judge, Question};
use crate::facts::cloud::Cloud;
use crate::facts::injected;
use crate::facts::object::text;

/// The Pod's node, where its address of IMDS is intercepted.
pub(super) fn question(pod: &Value) -> Option<Question> {
    let intercepts = match injected::interception(pod) {
        Interception::Redirect | Interception::Address => injected::emulator(pod).is_some(),
        Interception::Endpoint => false,
    };
    text(pod, "/spec/nodeName").filter(|_| intercepts).map(|node| Question::Node(node.to_owned()))
}

pub(super) fn judge(judge: &mut Judge<'_>) {
    let Some(question) = question(judge.pod) else { return };
    match judge.answers.said(&question) {
        Some(Ok(said)) => {
            if let (Some(cloud), Question::Node(node)) = (Cloud::of_provider_id(said.stdout.trim()), question)
            {
                judge.found(PodFinding::MetadataHidden {
                    node,
                    cloud: cloud.name(),
                    interception: injected::interception(judge.pod).to_string(),
                    users: cloud.users(),
                    annotation: annotation::INTERCEPTION,
                });
            }
        }
        Some(Err(failure)) => judge.unseen(&question, &failure),
        None => {}
    }
}
