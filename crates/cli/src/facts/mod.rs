//! What objects of Kubernetes, pages and logs tell: read for `check` and `explain` alike. All of it is pure.

pub(crate) mod cloud;
pub(crate) mod containers;
pub(crate) mod emulator;
pub(crate) mod environment;
pub(crate) mod identity;
pub(crate) mod injected;
pub(crate) mod issuer;
pub(crate) mod log;
pub(crate) mod network_policy;
pub(crate) mod object;
pub(crate) mod owner;
pub(crate) mod refusal;
pub(crate) mod registration;
pub(crate) mod samples;
pub(crate) mod selector;
