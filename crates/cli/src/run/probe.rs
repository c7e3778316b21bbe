//! Whether the Pod's network can be had here: a namespace, its sysctls, the interception. A container may allow the first
//! and not the others, and who has once moved cannot go back: so it is tried out in a process that is thrown away.

use std::io::{self, Write as _};
use std::process::{Command, Stdio};

use anyhow::Context as _;
use imds_contract::pod;
use serde_json::Value;

use super::kubelet::{Facts, Process, container};
use super::users::Users;
use super::{interception, namespace, program};

/// Tries it out with the injected Pod. The inner error is the reason in words why it cannot be had.
pub(crate) fn try_out(pod: &Value) -> anyhow::Result<Result<(), String>> {
    // A program that is not installed is no limit of the machine.
    if let Some(redirect) = container(pod, pod::REDIRECT_CONTAINER) {
        program::of(&Process::of(redirect, &Facts::of(pod))?)?;
    }
    let mut probe = Command::new("/proc/self/exe")
        .arg("__probe")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot try out a network namespace")?;
    if let Some(mut stdin) = probe.stdin.take() {
        // Whether it was all read shows in the outcome.
        let _ = stdin.write_all(pod.to_string().as_bytes());
    }
    let outcome = probe.wait_with_output().context("cannot try out a network namespace")?;
    if outcome.status.success() {
        return Ok(Ok(()));
    }
    let reason = String::from_utf8_lossy(&outcome.stderr);
    Ok(Err(reason.trim().trim_start_matches("kubectl-imds: ").to_owned()))
}

/// In the process that is thrown away: the Pod's network, for the Pod on stdin.
pub(crate) fn answer() -> anyhow::Result<()> {
    let pod: Value = serde_json::from_reader(io::stdin()).context("cannot read the Pod")?;
    let kind = namespace::enter()?;
    namespace::apply_sysctls(&pod)?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    let facts = Facts::of(&pod);
    runtime.block_on(interception::put_in_place(&pod, &facts, Some(kind), Users::available(), None))?;
    Ok(())
}
