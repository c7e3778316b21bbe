//! What to do next about our own certificates. Pure: the loop in `run.rs` does what this says.
//!
//! How an authority is replaced, step by step, by whichever replicas happen to look:
//!
//! 1. `Stage`: the next authority is made and put beside the current one.
//! 2. `Trust`: the bundle names both. Any replica puts it right whenever it is not so.
//! 3. `Promote`, once the bundle has stood unchanged for long enough that every API server knows it: the next authority
//!    becomes the current one, with a serving certificate of its own.
//! 4. `Serve`: each replica takes the new serving certificate when it next looks. The old authority stays in the bundle
//!    until it ends, so a replica that can't look goes on being trusted.

use std::time::{Duration, SystemTime};

use rustls_pki_types::CertificateDer;

use super::Settings;
use super::stored::{Stored, is_ours};
use crate::certificate::Certificate;

/// What a replica knows.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a> {
    /// What the Secret holds.
    pub(super) stored: &'a Stored,
    /// Whom API servers are told to trust; none where the webhook configuration is absent or can't be read.
    pub(super) trust: Option<&'a Trust>,
    /// What this replica serves.
    pub(super) served: Option<&'a Served>,
}

/// Whom API servers are told to trust.
#[derive(Debug, Clone)]
pub(super) struct Trust {
    /// The bundle of each webhook, PEM.
    pub(super) bundles: Vec<Vec<u8>>,
    /// Since when this replica has known the configuration to be as it is.
    pub(super) since: SystemTime,
}

/// A serving certificate in use.
#[derive(Debug, Clone)]
pub(super) struct Served {
    pub(super) certificate: Certificate,
    pub(super) authority: Certificate,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Change the Secret, or create it.
    Write(Change),
    /// Put this bundle into each webhook of the configuration.
    Trust(String),
    /// Serve what the Secret holds.
    Serve,
    /// Look again after so long.
    Wait(Duration),
}

/// A change of the Secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// A new authority and a serving certificate of it, in the place of whatever is there.
    StartOver,
    /// A new serving certificate of the current authority.
    Renew,
    /// The next authority, not used yet.
    Stage,
    /// The next authority becomes the current one, and signs a new serving certificate.
    Promote,
}

/// The next step, at `now`. What can be served is served before anything is asked of the API server that it may refuse.
pub(super) fn next(view: View<'_>, settings: &Settings, now: SystemTime) -> Step {
    let Stored { authority, leaf, next, damage: _ } = view.stored;
    let next = next.as_ref().map(|next| &next.certificate).filter(|next| !next.is_over(now));
    let authority = authority.as_ref().map(|authority| &authority.certificate);
    let Some(authority) = authority.filter(|authority| !authority.is_over(now)) else {
        return Step::Write(if next.is_some() { Change::Promote } else { Change::StartOver });
    };
    let Some(leaf) = leaf.as_ref().map(|leaf| &leaf.certificate).filter(|leaf| !leaf.is_over(now)) else {
        return Step::Write(Change::Renew);
    };
    if may_serve(leaf, authority, view, settings, now) {
        return Step::Serve;
    }
    if leaf.is_due(now) {
        return Step::Write(Change::Renew);
    }
    if next.is_none() && authority.is_due(now) {
        return Step::Write(Change::Stage);
    }
    if let Some(trust) = view.trust {
        let bundle = bundle(view, trust, [Some(authority), next], now);
        if trust.bundles.iter().any(|present| present != bundle.as_bytes()) {
            return Step::Trust(bundle);
        }
    }
    if next.is_some() && may_promote(authority, view.trust, settings, now) {
        return Step::Write(Change::Promote);
    }
    Step::Wait(settings.interval)
}

impl Trust {
    /// Whether every webhook's bundle names this authority.
    pub(super) fn names(&self, authority: &Certificate) -> bool {
        self.bundles.iter().all(|bundle| Certificate::all_from_pem(bundle).contains(authority))
    }

    /// Whether every API server is held to know it.
    fn has_settled(&self, settings: &Settings, now: SystemTime) -> bool {
        now.duration_since(self.since).is_ok_and(|time| time >= settings.settle)
    }
}

/// Asked when the bundle already names the next authority, if there is one. Without waiting for it to settle where too
/// little of the current authority is left: something keeps changing the webhook configuration, or it is absent.
fn may_promote(authority: &Certificate, trust: Option<&Trust>, settings: &Settings, now: SystemTime) -> bool {
    authority.is_over(now + settings.leaf_life) || trust.is_some_and(|trust| trust.has_settled(settings, now))
}

/// A certificate of the same authority is taken at once. For one of another authority, API servers must have had time to
/// learn of that, unless little is left of what is served, or nothing is served at all.
fn may_serve(
    leaf: &Certificate,
    authority: &Certificate,
    view: View<'_>,
    settings: &Settings,
    now: SystemTime,
) -> bool {
    let is_named = || view.trust.is_none_or(|trust| trust.names(authority));
    let has_settled = || view.trust.is_some_and(|trust| trust.has_settled(settings, now));
    match view.served {
        None => is_named(),
        Some(served) if served.certificate == *leaf => false,
        Some(served) if served.authority == *authority => true,
        Some(served) => {
            is_named() && (has_settled() || served.certificate.is_over(now + settings.leaf_life / 9))
        }
    }
}

/// The bundle as it should be: the current and the next authority, that of what this replica serves, and those of before,
/// which the present bundles name, until they end. Always in the same order, so that equal means equal as text.
fn bundle(view: View<'_>, trust: &Trust, wanted: [Option<&Certificate>; 2], now: SystemTime) -> String {
    let present = trust.bundles.iter().flat_map(|bundle| Certificate::all_from_pem(bundle)).filter(is_ours);
    let served = view.served.map(|served| served.authority.clone());
    let wanted = wanted.into_iter().flatten().cloned();
    let mut all: Vec<_> = wanted.chain(present).chain(served).filter(|one| !one.is_over(now)).collect();
    all.sort_by(|a, b| (b.not_after(), b.der().as_ref()).cmp(&(a.not_after(), a.der().as_ref())));
    all.dedup();
    all.iter().map(|one| pem(one.der())).collect()
}

/// RFC 7468: lines of 64 characters.
fn pem(der: &CertificateDer<'_>) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let mut pem = "-----BEGIN CERTIFICATE-----\n".to_owned();
    for (place, character) in text.chars().enumerate() {
        if place > 0 && place % 64 == 0 {
            pem.push('\n');
        }
        pem.push(character);
    }
    pem.push_str("\n-----END CERTIFICATE-----\n");
    pem
}
