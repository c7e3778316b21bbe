//! Puts the interception of the IMDS address in place in the network namespace it is run in, proves it by reading the
//! kernel's state back, and ends. It holds `CAP_NET_ADMIN` for that moment and links no network client.
//!
//! [`config`] → [`plan`] (pure) → [`apply`] and [`verify`], both over [`netlink`] and with [`retry`] → [`report`]. The local route comes first:
//! from then on nothing sent to the address leaves through an interface, and without the rest it is refused.

pub mod apply;
pub mod capability;
pub mod config;
pub mod error;
pub mod family;
pub mod namespace;
pub mod netlink;
pub mod plan;
pub mod report;
pub mod retry;
pub mod verify;

use std::thread;

use config::{Action, Config, NodeNamespace};
use error::Error;
use plan::Plan;
use report::Report;

/// Does what `config` asks for in this thread's network namespace. A check is one look; anything else is tried again for
/// three seconds where that can help.
pub fn run(config: &Config) -> Result<Report, Error> {
    match config.action {
        Action::Check => attempt(config),
        Action::Apply | Action::Remove => retry::with_retries(|| attempt(config), thread::sleep),
    }
}

fn attempt(config: &Config) -> Result<Report, Error> {
    let reading = |what, errno| Error::Refused { attempt: format!("read {what}"), errno };
    if config.node_namespace == NodeNamespace::Refuse {
        let facts =
            namespace::Facts::read().map_err(|errno| reading("the addresses assigned here", errno))?;
        if let Some(sign) = namespace::node_sign(config, &facts) {
            return Err(Error::NodeNamespace(sign));
        }
    }
    capability::raise_net_admin()?;
    let plan = match config.action {
        Action::Apply | Action::Check => {
            let loopback = netlink::route::loopback().map_err(|errno| reading("the state of lo", errno))?;
            Plan::interception(config.mode, config.to_port, loopback.ipv6)
        }
        Action::Remove => Plan::removal(),
    };
    let plan = match config.action {
        Action::Apply | Action::Remove => apply::apply(plan)?,
        Action::Check => plan,
    };
    verify::verify(&plan)?;
    Ok(Report { action: config.action, plan })
}
