//! What the long-running programs share: a listener with limits and drain ([`server`]), the pages of the admin listener
//! ([`admin`]), the signals that end a program ([`shutdown`]), log lines ([`logging`]) and Prometheus text ([`metrics`]).
//! Nothing here knows of credentials.

pub mod admin;
mod crowd;
pub mod logging;
pub mod metrics;
pub mod server;
pub mod shutdown;
