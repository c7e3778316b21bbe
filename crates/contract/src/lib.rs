//! The words that the writer of an injected Pod spec (`imds-inject`) and its readers (`imds-emulator`, `imds-redirect`,
//! `kubectl-imds`) must agree on: annotations, environment variables, addresses, names, and the values they may hold.
//!
//! No dependency, no I/O. A value is parsed once, at the edge, into one of the types of [`value`]; its error says which
//! form is accepted.

pub mod address;
pub mod annotation;
pub mod environment;
pub mod pod;
pub mod value;
mod visible;

pub use value::{
    AllowedHosts, Hop, HopLimit, HttpTokens, Interception, Invalid, Metadata, Partition, Region, RoleArn,
    RoleChain, Seconds, SessionDuration, SessionName, Start, excerpt, is_blank_or_quote, is_object_name,
};
pub use visible::{visible, visible_lines};
