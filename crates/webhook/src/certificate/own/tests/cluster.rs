//! A cluster in memory: the two objects with their versions, and faults on request. Deterministic: chance comes from a
//! seed, and the order of concurrent requests from a scheduler of one thread.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::StatusCode;
use rustls_pki_types::CertificateDer;

use super::super::{Replica, RoundError, Settings};
use crate::certificate::{Certificate, Serving};
use crate::kubernetes::{Changes, Failure, Objects, Secret, WebhookConfiguration};

/// The tests begin in January of 2027.
pub(super) fn start() -> SystemTime {
    UNIX_EPOCH + Duration::from_hours(500_000)
}

/// Where the version of the Secret is kept, which has no place of its own here.
const VERSION: &str = "resource-version";

#[derive(Debug, Clone)]
pub(super) struct Cluster(Arc<Mutex<State>>);

#[derive(Debug)]
pub(super) struct State {
    pub(super) secret: Option<Secret>,
    pub(super) bundles: Vec<Vec<u8>>,
    /// What the bundles were, up to now, since somebody took this.
    pub(super) history: Vec<Vec<Vec<u8>>>,
    pub(super) is_configured: bool,
    pub(super) may_create: bool,
    pub(super) may_write: bool,
    /// The share of requests that never arrive.
    pub(super) lost_requests: f64,
    /// The share of writes that arrive, but whose answer does not.
    pub(super) lost_answers: f64,
    pub(super) chance: fastrand::Rng,
    /// Of the Secret, of the configuration.
    versions: [u64; 2],
}

/// A replica, with what it serves.
pub(super) struct Node {
    pub(super) replica: Replica<Cluster>,
    pub(super) serving: Arc<Serving>,
    cluster: Cluster,
    names: Vec<String>,
}

impl Cluster {
    /// No Secret, and a configuration of two webhooks with no bundle.
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            secret: None,
            bundles: vec![Vec::new(); 2],
            history: Vec::new(),
            is_configured: true,
            may_create: true,
            may_write: true,
            lost_requests: 0.0,
            lost_answers: 0.0,
            chance: fastrand::Rng::with_seed(0),
            versions: [1, 1],
        })))
    }

    /// Changes the cluster behind everybody's back.
    pub(super) fn edit(&self, edit: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        edit(&mut state);
        state.versions[1] += 1;
    }

    /// The bundles since the last call, each of which was the present one for a while.
    pub(super) fn take_history(&self) -> Vec<Vec<Vec<u8>>> {
        std::mem::take(&mut self.lock().history)
    }

    pub(super) fn put_secret(&self, changes: &Changes) {
        let mut state = self.lock();
        let secret = state.secret.clone().unwrap_or_else(|| Secret::new("n", "s"));
        state.store(&secret, changes);
    }

    pub(super) fn secret(&self) -> Secret {
        self.lock().secret.clone().unwrap()
    }

    pub(super) fn bundles(&self) -> Vec<Vec<u8>> {
        self.lock().bundles.clone()
    }

    pub(super) fn versions(&self) -> [u64; 2] {
        self.lock().versions
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Others may come first, and the request may be lost on its way.
    async fn arrive(&self, what: &str) -> Result<MutexGuard<'_, State>, Failure> {
        let others = self.lock().chance.u8(0..4);
        for _ in 0..others {
            tokio::task::yield_now().await;
        }
        let mut state = self.lock();
        if state.chance.f64() < state.lost_requests {
            return Err(Failure::Unreachable(what.to_owned(), "lost".to_owned()));
        }
        Ok(state)
    }
}

impl State {
    fn store(&mut self, secret: &Secret, changes: &Changes) -> Secret {
        self.versions[0] += 1;
        let version = Changes::from([(VERSION, Some(self.versions[0].to_string()))]);
        let stored = secret.with(changes).with(&version);
        self.secret = Some(stored.clone());
        stored
    }

    fn written<T>(&mut self, what: &str, answer: T) -> Result<T, Failure> {
        if self.chance.f64() < self.lost_answers {
            return Err(Failure::Unreachable(what.to_owned(), "answer lost".to_owned()));
        }
        Ok(answer)
    }

    fn configuration(&self) -> WebhookConfiguration {
        WebhookConfiguration { resource_version: self.versions[1].to_string(), bundles: self.bundles.clone() }
    }
}

impl Objects for Cluster {
    async fn secret(&self) -> Result<Option<Secret>, Failure> {
        Ok(self.arrive("read").await?.secret.clone())
    }

    async fn write_secret(&self, secret: Option<&Secret>, changes: &Changes) -> Result<Secret, Failure> {
        let mut state = self.arrive("write").await?;
        if !state.may_write || (secret.is_none() && !state.may_create) {
            return Err(Failure::Refused("write".to_owned(), StatusCode::FORBIDDEN, String::new()));
        }
        let version = |secret: Option<&Secret>| secret.and_then(|secret| secret.get(VERSION));
        if version(secret) != version(state.secret.as_ref()) || secret.is_some() != state.secret.is_some() {
            return Err(Failure::Conflict("write".to_owned()));
        }
        let new = Secret::new("n", "s");
        let stored = state.store(secret.unwrap_or(&new), changes);
        state.written("write", stored)
    }

    async fn configuration(&self) -> Result<Option<WebhookConfiguration>, Failure> {
        let state = self.arrive("read").await?;
        Ok(state.is_configured.then(|| state.configuration()))
    }

    async fn write_bundle(
        &self,
        configuration: &WebhookConfiguration,
        bundle: &str,
    ) -> Result<WebhookConfiguration, Failure> {
        let mut state = self.arrive("patch").await?;
        if !state.may_write {
            return Err(Failure::Refused("patch".to_owned(), StatusCode::FORBIDDEN, String::new()));
        }
        if configuration.resource_version != state.versions[1].to_string() {
            return Err(Failure::Conflict("patch".to_owned()));
        }
        state.versions[1] += 1;
        state.bundles.fill(bundle.as_bytes().to_vec());
        let bundles = state.bundles.clone();
        state.history.push(bundles);
        let answer = state.configuration();
        state.written("patch", answer)
    }
}

impl Node {
    pub(super) fn new(cluster: &Cluster, settings: Settings) -> Self {
        let serving = Arc::new(Serving::new());
        let names = settings.names.clone();
        let replica = Replica::new(cluster.clone(), settings, Arc::clone(&serving));
        Self { replica, serving, cluster: cluster.clone(), names }
    }

    pub(super) async fn look(&mut self, now: SystemTime) -> Result<Duration, RoundError> {
        self.replica.round(now).await
    }

    pub(super) fn certificate(&self) -> Option<CertificateDer<'static>> {
        certificate_of(&self.serving)
    }

    /// Whether an API server that knows the present bundles takes what is served, for every name and every webhook.
    pub(super) fn is_taken(&self, now: SystemTime) -> bool {
        self.is_taken_with(&self.cluster.bundles(), now)
    }

    pub(super) fn is_taken_with(&self, bundles: &[Vec<u8>], now: SystemTime) -> bool {
        let Some(certificate) = self.certificate().and_then(Certificate::from_der) else { return false };
        bundles.iter().all(|bundle| {
            let authorities = Certificate::all_from_pem(bundle);
            authorities.iter().any(|authority| authority.vouches_for(&certificate, &self.names, now))
        })
    }
}

pub(super) fn certificate_of(serving: &Serving) -> Option<CertificateDer<'static>> {
    serving.current().and_then(|loaded| loaded.certificate().cloned())
}

/// What the first webhook's bundle holds.
pub(super) fn bundle_of(cluster: &Cluster) -> Vec<Certificate> {
    Certificate::all_from_pem(&cluster.bundles()[0])
}
