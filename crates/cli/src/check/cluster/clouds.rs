//! Nodes of a cloud whose own metadata server the interception hides from labelled Pods.

use std::collections::BTreeMap;

use imds_contract::{Interception, annotation};

use super::finding::ClusterFinding;
use super::{Judge, Question, namespaces};
use crate::facts::cloud::Cloud;
use crate::words::count;

pub(super) fn judge(judge: &mut Judge<'_>, interception: Interception) {
    if judge.view.registration.is_none() || !namespaces::needs_capability(interception) {
        return;
    }
    let Some(nodes) = judge.text(&Question::Nodes) else { return };
    let mut by_cloud = BTreeMap::<Cloud, usize>::new();
    for cloud in nodes.lines().filter_map(Cloud::of_provider_id) {
        *by_cloud.entry(cloud).or_default() += 1;
    }
    for (cloud, number) in by_cloud {
        judge.found(ClusterFinding::MetadataHidden {
            nodes: format!("{} {}", count(number, "node"), if number == 1 { "is" } else { "are" }),
            cloud: cloud.name(),
            interception: interception.to_string(),
            users: cloud.users(),
            annotation: annotation::INTERCEPTION,
        });
    }
}
