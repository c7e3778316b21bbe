//! `run`: a command on this machine as if in an injected Pod.
//!
//! [`plan`] decides, after [`probe`] has tried out what this machine allows; the process moves into the [`namespace`];
//! [`session`] starts what the injected spec says, as [`kubelet`] would; then the user's [`command`] runs, or the
//! [`transcript`]. The injected spec is the only thing that tells the programs anything.

pub(crate) mod command;
pub(crate) mod container;
mod folder;
mod http;
mod interception;
mod interrupts;
mod kubelet;
mod namespace;
mod picture;
mod plan;
pub(crate) mod probe;
mod program;
mod session;
mod transcript;
mod users;

use std::process::ExitCode;

use anyhow::Context as _;
use nix::unistd::geteuid;

use crate::arguments::RunArguments;
use crate::output::{Output, Stopwatch};
use namespace::Kind;
use plan::{Place, Plan};
use users::Users;

/// Does it all; the command's code.
pub(crate) fn run(arguments: &RunArguments, output: &Output) -> anyhow::Result<ExitCode> {
    let plan = Plan::make(arguments, output)?;
    // Before there is a second thread: a process with several cannot change its user namespace.
    let kind = match plan.place {
        Place::Namespace => Some(enter_namespace(&plan, output)?),
        Place::Host(_) => None,
    };
    let users = if plan.folder.can_be_reached() { Users::available() } else { Users::Unchanged };
    if users == Users::Unchanged {
        output.detail(format_args!("the programs run as you, uid {}, not as the spec's users", geteuid()));
    }
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    runtime.block_on(session::run(&plan, kind, users, arguments, output))
}

fn enter_namespace(plan: &Plan, output: &Output) -> anyhow::Result<Kind> {
    let stopwatch = Stopwatch::start();
    let kind = namespace::enter()?;
    output.step(
        stopwatch,
        match kind {
            Kind::Root => "Entered a new network namespace",
            Kind::User => "Entered a new network namespace, in a user namespace",
        },
    );
    for sysctl in namespace::apply_sysctls(&plan.pod)? {
        output.detail(format_args!("sysctl {sysctl}"));
    }
    Ok(kind)
}
