//! Our own certificates against a cluster in memory: see `cluster.rs` for what it may do wrong, `months.rs` for whole
//! lives of authorities. Here: one thing at a time.

mod cluster;
mod months;

use std::time::Duration;

use super::stored::Stored;
use super::{Replica, Settings};
use crate::kubernetes::Changes;
use cluster::{Cluster, Node, bundle_of, start};

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = super::DAY;

fn settings() -> Settings {
    Settings::for_service("imds-webhook", "imds")
}

#[tokio::test]
async fn from_nothing_to_a_certificate_that_the_api_server_takes() {
    let cluster = Cluster::new();
    let mut node = Node::new(&cluster, settings());
    node.look(start()).await.unwrap();
    assert!(node.is_taken(start()));
    assert_eq!(node.serving.expires(), Some(start() + 90 * DAY));
    let version = cluster.versions();
    node.look(start() + HOUR).await.unwrap();
    assert_eq!(cluster.versions(), version, "nothing to do, nothing written");
}

#[tokio::test]
async fn an_empty_secret_made_by_the_chart_needs_no_create() {
    let cluster = Cluster::new();
    cluster
        .put_secret(&Changes::from([("tls.crt", Some(String::new())), ("kept", Some("by us".to_owned()))]));
    cluster.edit(|state| state.may_create = false);
    let mut node = Node::new(&cluster, settings());
    node.look(start()).await.unwrap();
    assert!(node.is_taken(start()));
    assert_eq!(cluster.secret().get("kept"), Some(b"by us".to_vec()));
}

#[tokio::test]
async fn what_can_not_be_used_is_replaced() {
    let settings = settings();
    let other = {
        let cluster = Cluster::new();
        Node::new(&cluster, settings.clone()).look(start()).await.unwrap();
        cluster.secret()
    };
    let of_other = |key: &str| other.get(key).map(|value| String::from_utf8(value).unwrap());
    let (foreign, foreign_key) = {
        let made = rcgen::generate_simple_self_signed(settings.names.clone()).unwrap();
        (Some(made.cert.pem()), Some(made.signing_key.serialize_pem()))
    };
    let garbage = || Some("\u{fffd} garbage".to_owned());
    for (case, changes) in [
        ("authority garbage", Changes::from([("ca.crt", garbage())])),
        ("authority gone", Changes::from([("ca.crt", None), ("ca.key", None)])),
        ("authority's key garbage", Changes::from([("ca.key", garbage())])),
        ("authority's key gone", Changes::from([("ca.key", None)])),
        ("authority's key another's", Changes::from([("ca.key", of_other("ca.key"))])),
        (
            "another authority",
            Changes::from([("ca.crt", of_other("ca.crt")), ("ca.key", of_other("ca.key"))]),
        ),
        ("leaf garbage", Changes::from([("tls.crt", garbage())])),
        ("leaf's key garbage", Changes::from([("tls.key", garbage())])),
        ("leaf's key another's", Changes::from([("tls.key", of_other("tls.key"))])),
        (
            "leaf another's",
            Changes::from([("tls.crt", of_other("tls.crt")), ("tls.key", of_other("tls.key"))]),
        ),
        ("leaf foreign", Changes::from([("tls.crt", foreign.clone()), ("tls.key", foreign_key.clone())])),
        ("authority foreign", Changes::from([("ca.crt", foreign), ("ca.key", foreign_key)])),
        ("next garbage", Changes::from([("next-ca.crt", garbage()), ("next-ca.key", garbage())])),
    ] {
        let cluster = Cluster::new();
        let mut warm = Node::new(&cluster, settings.clone());
        warm.look(start()).await.unwrap();
        cluster.put_secret(&changes);
        let mut cold = Node::new(&cluster, settings.clone());
        for hours in 1..3 {
            let now = start() + hours * HOUR;
            cold.look(now).await.unwrap();
            assert!(cold.is_taken(now) && warm.is_taken(now), "{case}");
            warm.look(now).await.unwrap();
            assert!(cold.is_taken(now) && warm.is_taken(now), "{case}");
        }
        let stored = Stored::read(Some(&cluster.secret()), &settings.names);
        assert!(stored.authority.is_some() && stored.leaf.is_some(), "{case}: {stored:?}");
        assert_eq!(warm.certificate(), cold.certificate(), "{case}: both serve what is stored");
    }
}

#[tokio::test]
async fn what_has_ended_is_replaced() {
    let cluster = Cluster::new();
    let mut node = Node::new(&cluster, settings());
    node.look(start()).await.unwrap();
    for later in [100 * DAY, 400 * DAY] {
        let now = start() + later;
        assert!(!node.is_taken(now));
        node.look(now).await.unwrap();
        assert!(node.is_taken(now), "{later:?}");
    }
    assert_eq!(bundle_of(&cluster).len(), 1, "an authority that has ended is no longer in the bundle");
}

#[tokio::test]
async fn a_service_of_another_name_gets_another_certificate() {
    let cluster = Cluster::new();
    Node::new(&cluster, settings()).look(start()).await.unwrap();
    let mut renamed = Node::new(&cluster, Settings::for_service("another", "imds"));
    renamed.look(start() + HOUR).await.unwrap();
    assert!(renamed.is_taken(start() + HOUR));
    assert_eq!(bundle_of(&cluster).len(), 1, "of the same authority");
}

#[tokio::test]
async fn a_deleted_secret_does_not_part_replicas_from_slow_api_servers() {
    let cluster = Cluster::new();
    let mut nodes = [Node::new(&cluster, settings()), Node::new(&cluster, settings())];
    for node in &mut nodes {
        node.look(start()).await.unwrap();
    }
    let slow = cluster.bundles();
    cluster.edit(|state| state.secret = None);
    let mut now = start() + HOUR;
    for node in &mut nodes {
        node.look(now).await.unwrap();
    }
    for node in &nodes {
        assert!(node.is_taken_with(&slow, now), "an API server that has not heard of the change");
        assert!(node.is_taken(now));
    }
    now += settings().settle;
    for node in &mut nodes {
        node.look(now).await.unwrap();
        assert!(!node.is_taken_with(&slow, now), "the new certificate, in time");
        assert!(node.is_taken(now));
    }
}

#[tokio::test]
async fn a_bundle_that_was_emptied_or_filled_with_others_is_put_right() {
    let cluster = Cluster::new();
    let mut node = Node::new(&cluster, settings());
    node.look(start()).await.unwrap();
    let right = cluster.bundles();
    let foreign = rcgen::generate_simple_self_signed(["foreign".to_owned()]).unwrap().cert.pem();
    for wrong in [String::new(), "garbage".to_owned(), foreign] {
        cluster.edit(|state| *state.bundles.first_mut().unwrap() = wrong.into_bytes());
        node.look(start() + HOUR).await.unwrap();
        assert_eq!(cluster.bundles(), right);
    }
}

#[tokio::test]
async fn a_missing_webhook_configuration_is_waited_for() {
    let cluster = Cluster::new();
    cluster.edit(|state| state.is_configured = false);
    let mut node = Node::new(&cluster, settings());
    node.look(start()).await.unwrap();
    assert!(node.serving.is_loaded(), "ready before the configuration exists");
    cluster.edit(|state| state.is_configured = true);
    node.look(start() + HOUR).await.unwrap();
    assert!(node.is_taken(start() + HOUR));
}

#[tokio::test]
async fn a_configuration_that_never_rests_or_is_missing_does_not_stop_rotation() {
    for is_configured in [true, false] {
        let cluster = Cluster::new();
        let mut node = Node::new(&cluster, settings());
        for day in 0..1000 {
            let now = start() + day * DAY;
            let is_good = |node: &Node| {
                node.serving.expires().is_some_and(|end| end > now) && (!is_configured || node.is_taken(now))
            };
            assert!(day == 0 || is_good(&node), "day {day}, before the look");
            // Each change is a new version.
            cluster.edit(|state| state.is_configured = is_configured || day == 0);
            node.look(now).await.unwrap();
            assert!(is_good(&node), "day {day}, after the look");
        }
    }
}

#[tokio::test]
async fn keeps_serving_while_the_api_server_is_away() {
    let cluster = Cluster::new();
    let mut node = Node::new(&cluster, settings());
    node.look(start()).await.unwrap();
    let before = node.certificate();
    cluster.edit(|state| state.lost_requests = 1.0);
    let now = start() + 70 * DAY;
    node.look(now).await.unwrap_err();
    assert_eq!(node.certificate(), before);
    assert!(node.is_taken(now));
    cluster.edit(|state| state.lost_requests = 0.0);
    node.look(now).await.unwrap();
    assert_ne!(node.certificate(), before);
    assert!(node.is_taken(now));
}

#[tokio::test]
async fn a_good_certificate_is_served_though_nothing_may_be_written() {
    let cluster = Cluster::new();
    Node::new(&cluster, settings()).look(start()).await.unwrap();
    cluster.edit(|state| state.may_write = false);
    let mut node = Node::new(&cluster, settings());
    let now = start() + 70 * DAY;
    node.look(now).await.unwrap_err();
    assert!(node.is_taken(now));
}

#[tokio::test(start_paused = true)]
async fn replicas_that_start_together_agree() {
    let cluster = Cluster::new();
    let nodes: Vec<_> = (0..3).map(|_| Node::new(&cluster, settings())).collect();
    let servings: Vec<_> = nodes.iter().map(|node| node.serving.clone()).collect();
    let running: Vec<_> = nodes.into_iter().map(|node| tokio::spawn(node.replica.run(start))).collect();
    tokio::time::sleep(Duration::from_mins(3)).await;
    for task in running {
        task.abort();
    }
    let certificates: Vec<_> = servings.iter().map(|serving| cluster::certificate_of(serving)).collect();
    assert!(certificates.iter().all(|one| one.is_some() && *one == certificates[0]));
    assert_eq!(bundle_of(&cluster).len(), 1);
}

#[test]
fn nothing_prints_a_key() {
    let replica = Replica::new(Cluster::new(), settings(), std::sync::Arc::default());
    assert!(!format!("{replica:?}").contains("PRIVATE"));
}
