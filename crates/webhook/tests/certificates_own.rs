//! Our own certificates through a whole stack: replicas, an API server over HTTPS, TLS clients that go by its bundle.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

#[path = "support/api_server.rs"]
mod api_server;
#[path = "support/handshake.rs"]
mod handshake;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use api_server::ApiServer;
use imds_webhook::certificate::own::{Replica, Settings};
use imds_webhook::certificate::{Serving, system_time};
use imds_webhook::kubernetes::OwnObjects;

const NAME: &str = "imds-webhook.imds.svc";
const HOUR: Duration = Duration::from_hours(1);

fn settings() -> Settings {
    Settings::for_service("imds-webhook", "imds")
}

fn replica(server: &ApiServer, settings: Settings) -> (Replica<OwnObjects>, Arc<Serving>) {
    let serving = Arc::new(Serving::new());
    (Replica::new(server.objects(), settings, Arc::clone(&serving)), serving)
}

#[tokio::test]
async fn two_replicas_that_start_at_once_from_nothing_serve_the_same() {
    let server = ApiServer::start().await;
    let mut addresses = Vec::new();
    for _ in 0..2 {
        let (replica, serving) = replica(&server, settings());
        tokio::spawn(replica.run(system_time));
        addresses.push((handshake::listen(Arc::clone(&serving)).await, serving));
    }
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while !addresses.iter().all(|(_, serving)| serving.is_loaded()) {
        assert!(tokio::time::Instant::now() < deadline, "{:?}", server.store().requests);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut shown = BTreeSet::new();
    for bundle in server.bundles() {
        for (address, _) in &addresses {
            for name in [NAME, "imds-webhook.imds.svc.cluster.local"] {
                shown.insert(
                    handshake::connect(*address, &bundle, name, system_time()).await.unwrap().to_vec(),
                );
            }
        }
    }
    assert_eq!(shown.len(), 1);
    let requests = &server.store().requests;
    let written = requests.iter().filter(|request| !request.starts_with("GET")).count();
    assert!(written <= 4, "one creates, one patches, at most one more try of each: {requests:?}");
}

/// A clock that the test moves.
#[derive(Default)]
struct Clock(AtomicU64);

impl Clock {
    fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_800_000_000 + self.0.load(Ordering::SeqCst))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_handshake_fails_while_authorities_and_certificates_are_replaced() {
    let server = Arc::new(ApiServer::start().await);
    let clock = Arc::new(Clock::default());
    let settings = Settings {
        authority_life: HOUR * 24 * 30,
        leaf_life: HOUR * 24 * 9,
        settle: HOUR * 12,
        interval: HOUR * 6,
        ..settings()
    };
    let mut replicas = Vec::new();
    let mut addresses = Vec::new();
    for _ in 0..2 {
        let (mut replica, serving) = replica(&server, settings.clone());
        replica.round(clock.now()).await.unwrap();
        replicas.push(replica);
        addresses.push(handshake::listen(serving).await);
    }
    // What a slow API server goes by: the bundle of the step before.
    let slow = Arc::new(Mutex::new(server.bundles()));
    let stop = Arc::new(AtomicBool::new(false));
    let passes: Vec<_> = addresses.iter().map(|_| Arc::new(AtomicU64::new(0))).collect();
    let clients: Vec<_> = addresses
        .iter()
        .zip(&passes)
        .map(|(address, passes)| {
            tokio::spawn(client(
                *address,
                Arc::clone(&server),
                Arc::clone(&slow),
                clock.clone(),
                Arc::clone(passes),
                stop.clone(),
            ))
        })
        .collect();
    let mut bundles = BTreeSet::new();
    for _ in 0..130 {
        *slow.lock().unwrap() = server.bundles();
        bundles.extend(server.bundles());
        clock.0.fetch_add(HOUR.as_secs() * 6, Ordering::SeqCst);
        for replica in &mut replicas {
            replica.round(clock.now()).await.unwrap();
        }
        // A client that is slow is at most one step behind: each makes a whole pass before the next.
        let begun: Vec<u64> = passes.iter().map(|passes| passes.load(Ordering::SeqCst)).collect();
        let has_passed =
            |(passes, begun): (&Arc<AtomicU64>, &u64)| passes.load(Ordering::SeqCst) >= begun + 2;
        while !passes.iter().zip(&begun).all(has_passed) {
            assert!(!clients.iter().any(tokio::task::JoinHandle::is_finished), "a client has failed");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    stop.store(true, Ordering::SeqCst);
    for client in clients {
        let (handshakes, shown) = client.await.unwrap();
        assert!(handshakes > 200, "{handshakes}");
        assert!(shown >= 5, "{shown} certificates");
    }
    assert!(bundles.len() >= 3, "the authority was replaced");
}

/// Connects again and again; returns how often, and how many certificates it saw.
async fn client(
    address: SocketAddr,
    server: Arc<ApiServer>,
    slow: Arc<Mutex<Vec<String>>>,
    clock: Arc<Clock>,
    passes: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
) -> (u32, usize) {
    let (mut handshakes, mut shown) = (0, BTreeSet::new());
    while !stop.load(Ordering::SeqCst) {
        let slow = slow.lock().unwrap().clone();
        for bundle in [slow, server.bundles()].concat() {
            let taken = handshake::connect(address, &bundle, NAME, clock.now()).await;
            shown.insert(taken.expect("every handshake succeeds").to_vec());
            handshakes += 1;
        }
        passes.fetch_add(1, Ordering::SeqCst);
    }
    (handshakes, shown.len())
}
