//! Months of three replicas, with every fault at once, and API servers that are slow to hear of a bundle. Lives are
//! shorter than in earnest and the looks rarer, in proportion.

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, SystemTime};

use super::cluster::{Cluster, Node, start};
use super::{DAY, HOUR, settings};
use crate::certificate::own::Settings;

/// The oldest bundle that an API server may still go by.
const LAG: Duration = Duration::from_hours(5);

fn short_lives() -> Settings {
    Settings {
        authority_life: 30 * DAY,
        leaf_life: 9 * DAY,
        settle: Duration::from_hours(6),
        interval: 2 * HOUR,
        ..settings()
    }
}

/// The bundles that API servers may go by: the present one, and each that was replaced less than [`LAG`] ago.
struct Known(VecDeque<(Vec<Vec<u8>>, Option<SystemTime>)>);

impl Known {
    fn learn(&mut self, cluster: &Cluster, now: SystemTime) {
        for bundles in cluster.take_history() {
            if let Some((_, replaced)) = self.0.back_mut() {
                *replaced = Some(now);
            }
            self.0.push_back((bundles, None));
        }
        self.0.retain(|(_, replaced)| replaced.is_none_or(|replaced| now < replaced + LAG));
    }
}

#[tokio::test]
async fn every_api_server_takes_every_replica_at_every_moment() {
    for seed in 0..3 {
        months(seed).await;
    }
}

async fn months(seed: u64) {
    let mut chance = fastrand::Rng::with_seed(seed);
    let cluster = Cluster::new();
    let settings = short_lives();
    let mut nodes: Vec<_> = (0..3).map(|_| Node::new(&cluster, settings.clone())).collect();
    let mut known = Known(VecDeque::new());
    let (mut leaves, mut authorities) = (BTreeSet::new(), BTreeSet::new());
    // What is taken once is taken until it ends: nothing outlives its authority.
    let mut checked = BTreeSet::new();
    // Which replica is cut off, and until when.
    let mut cut_off: Option<(usize, SystemTime)> = None;
    for node in &mut nodes {
        node.look(start()).await.unwrap();
    }
    cluster.edit(|state| {
        state.chance = fastrand::Rng::with_seed(seed);
        state.lost_requests = 0.1;
        state.lost_answers = 0.1;
    });
    let mut now = start();
    while now < start() + 120 * DAY {
        now += Duration::from_mins(90 + chance.u64(0..60));
        cut_off = cut_off.filter(|(_, until)| now < *until);
        match chance.u32(0..200) {
            // The leaf has three days left when it is replaced.
            0 if cut_off.is_none() => cut_off = Some((chance.usize(0..3), now + chance.u32(1..60) * HOUR)),
            1 => nodes[chance.usize(0..3)] = Node::new(&cluster, settings.clone()),
            // Somebody sets an annotation on the configuration.
            2 => cluster.edit(|_| ()),
            _ => {}
        }
        // At once, so that their requests come in any order. Who fails tries again later.
        let [first, second, third] = &mut nodes[..] else { unreachable!() };
        let connected = |place| cut_off.is_none_or(|(cut_off, _)| cut_off != place);
        let look = async |place: usize, node: &mut Node| {
            if connected(place) {
                let _ = node.look(now).await;
            }
        };
        tokio::join!(look(0, first), look(1, second), look(2, third));
        known.learn(&cluster, now);
        for (place, node) in nodes.iter().enumerate() {
            let Some(certificate) = node.certificate() else { continue };
            leaves.insert(certificate.to_vec());
            assert!(
                node.serving.expires().is_some_and(|end| now < end),
                "seed {seed}: replica {place}, {now:?}"
            );
            for (bundles, replaced) in &known.0 {
                if checked.insert((certificate.to_vec(), bundles.clone())) {
                    assert!(
                        node.is_taken_with(bundles, now),
                        "seed {seed}: replica {place} on day {} with a bundle replaced at {replaced:?}",
                        now.duration_since(start()).unwrap().as_secs() / 86_400
                    );
                }
            }
        }
        authorities
            .extend(super::bundle_of(&cluster).iter().map(|authority| authority.common_name().to_owned()));
        assert!(super::bundle_of(&cluster).len() <= 3, "the bundle does not grow");
    }
    assert!(authorities.len() >= 5, "{authorities:?}");
    assert!(leaves.len() >= 15, "{}", leaves.len());
    cluster.edit(|state| (state.lost_requests, state.lost_answers) = (0.0, 0.0));
    for hours in 1..20 {
        for node in &mut nodes {
            node.look(now + hours * HOUR).await.unwrap();
        }
    }
    assert!(nodes.iter().all(|node| node.certificate() == nodes[0].certificate()), "in the end all agree");
}
