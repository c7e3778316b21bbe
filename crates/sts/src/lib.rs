//! The STS client: the only outbound connection of the emulator. It makes one exchange, `AssumeRoleWithWebIdentity` or
//! `AssumeRole`, over one connection, and never retries: the caller's loop alone does.
//!
//! [`endpoint`], [`request`], `sign`, [`response`], [`failure`], [`claims`] and [`proxy`] are pure; [`tls`] reads one file;
//! [`client`] talks.
//! The crate writes no log: what a person should know is in a [`Failure`]. Secrets are in [`Secret`], which can't print.

pub mod claims;
pub mod client;
pub mod endpoint;
pub mod failure;
mod json;
mod name;
pub mod proxy;
pub mod request;
pub mod response;
pub mod secret;
mod sign;
pub mod tls;

pub use claims::Claims;
pub use client::{Client, ClientSettings, Timeouts};
pub use endpoint::{Endpoint, EndpointError, EndpointSettings, RegionalEndpoints, Scheme};
pub use failure::{Failure, FailureKind, Remedy};
pub use proxy::{NoProxy, Proxy, ProxyError};
pub use request::{AssumeRole, AssumeRoleWithWebIdentity, Request, TOKEN_LENGTH};
pub use response::{Answer, Credentials, ErrorBody, Reply, error_body};
pub use secret::Secret;
pub use tls::Trust;
