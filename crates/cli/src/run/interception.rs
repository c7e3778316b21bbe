//! The init container, which puts the interception in place.

use anyhow::Context as _;
use imds_contract::pod;
use serde_json::Value;

use super::kubelet::{Facts, Process, container};
use super::namespace::{Kind, share_net_admin};
use super::program::{self, Program};
use super::users::Users;
use crate::output::Output;

/// An init container that has run.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) process: Process,
    /// What it said.
    pub(crate) lines: Vec<String>,
}

/// Runs the Pod's init container, if it has one.
pub(crate) async fn put_in_place(
    pod: &Value,
    facts: &Facts,
    kind: Option<Kind>,
    users: Users,
    echo: Option<&Output>,
) -> anyhow::Result<Option<Done>> {
    let Some(redirect) = container(pod, pod::REDIRECT_CONTAINER) else { return Ok(None) };
    let process = Process::of(redirect, facts)?;
    let file = program::of(&process)?;
    let in_user_namespace = kind == Some(Kind::User);
    if in_user_namespace {
        share_net_admin(true)?;
    }
    let started = Program::start(&file, &process, users, echo);
    if in_user_namespace {
        share_net_admin(false)?;
    }
    let lines = started?.succeeded().await.context("the interception is not in place")?;
    Ok(Some(Done { process, lines }))
}
