//! Certificates of the webhook's own making: an authority and a serving certificate in one Secret, the authority's
//! certificate in the `caBundle` of one MutatingWebhookConfiguration. Every replica does this, none leads: `plan.rs` says
//! what is next, `run.rs` does it, and the API server's resource versions settle who was first.
//!
//! Invariant: an authority is in the bundle before any replica serves a certificate of it, and stays there until it ends,
//! and with it everything that it has signed. So it does not matter how long a replica has not heard of a change.
//!
//! What the Secret holds, all in PEM:
//!
//! | key | what |
//! |---|---|
//! | `ca.crt`, `ca.key` | the authority that signs |
//! | `tls.crt`, `tls.key` | the serving certificate of every replica |
//! | `next-ca.crt`, `next-ca.key` | the authority that signs next; only while API servers are made to trust it |
//!
//! The authorities of before have no key any more. Their certificates live in the bundle alone.

mod issue;
mod plan;
mod run;
mod stored;

use std::time::Duration;

pub use run::{Replica, RoundError};

/// The longest that one look at the two objects is followed by nothing.
pub const INTERVAL: Duration = Duration::from_secs(45);

const DAY: Duration = Duration::from_hours(24);

/// Which certificates are made, and when.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The DNS names of the serving certificate; the API server asks for `SERVICE.NAMESPACE.svc`.
    pub names: Vec<String>,
    /// The life of an authority; two thirds into it the next is made.
    pub authority_life: Duration,
    /// The life of a serving certificate; two thirds into it the next is made.
    pub leaf_life: Duration,
    /// How long a bundle must have stood unchanged until every API server is held to know it. They watch the
    /// configuration, so it is seconds as a rule.
    pub settle: Duration,
    /// How often to look at the two objects.
    pub interval: Duration,
}

impl Settings {
    /// The usual settings for the webhook behind this Service.
    pub fn for_service(service: &str, namespace: &str) -> Self {
        let name = format!("{service}.{namespace}.svc");
        Self {
            names: vec![format!("{name}.cluster.local"), name],
            authority_life: DAY * 365,
            leaf_life: DAY * 90,
            settle: Duration::from_mins(10),
            interval: INTERVAL,
        }
    }
}

#[cfg(test)]
mod tests;
