//! The network namespace, which stands for the Pod's.
//!
//! The process moves itself, once and before it has a second thread; whatever it starts or listens on is in there too.

use std::fs;

use anyhow::{Context as _, bail};
use imds_redirect::netlink::route::loopback_up;
use imds_redirect::netlink::{Subsystem, change};
use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{getegid, geteuid};
use rustix::thread::{CapabilitySet, capabilities, configure_capability_in_ambient_set, set_capabilities};
use serde_json::Value;

/// How the namespace was had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// As root, with root's own users.
    Root,
    /// With a user namespace in which the caller, and nobody else, exists.
    User,
}

/// Moves this process into a new network namespace. It has no interface but `lo`, so that nothing in it reaches another network.
pub(crate) fn enter() -> anyhow::Result<Kind> {
    let kind = move_in()?;
    // As a container runtime does it.
    change(Subsystem::Route, &loopback_up()).context("cannot set lo up")?;
    Ok(kind)
}

fn move_in() -> anyhow::Result<Kind> {
    let (uid, gid) = (geteuid(), getegid());
    match unshare(CloneFlags::CLONE_NEWNET) {
        Ok(()) => return Ok(Kind::Root),
        Err(Errno::EPERM) => {}
        Err(error) => bail!(refusal("network", error)),
    }
    if let Err(error) = unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET) {
        bail!(refusal("user", error));
    }
    // Whoever has no privilege may map itself alone, and only after it has given up on groups (user_namespaces(7)).
    for (file, content) in [
        ("setgroups", "deny".to_owned()),
        ("uid_map", format!("{uid} {uid} 1")),
        ("gid_map", format!("{gid} {gid} 1")),
    ] {
        fs::write(format!("/proc/self/{file}"), content)
            .with_context(|| format!("cannot write the user namespace's {file}"))?;
    }
    Ok(Kind::User)
}

/// Why a namespace was not to be had, in words.
fn refusal(namespace: &str, error: Errno) -> String {
    match error {
        Errno::EPERM => format!("a policy of this machine or container forbids {namespace} namespaces"),
        // What unshare(2) says when a limit on the number of namespaces is reached.
        Errno::ENOSPC => "no more namespaces are allowed here (sysctls user.max_user_namespaces, \
                          user.max_net_namespaces)"
            .to_owned(),
        error => format!("cannot make a {namespace} namespace: {error}"),
    }
}

/// Lets the programs that are started from now on inherit `CAP_NET_ADMIN`, or not. In a user namespace this process has
/// every capability, but loses all that are not ambient to a program it starts.
pub(crate) fn share_net_admin(share: bool) -> anyhow::Result<()> {
    let context = "cannot pass CAP_NET_ADMIN on";
    let mut sets = capabilities(None).context(context)?;
    sets.inheritable.set(CapabilitySet::NET_ADMIN, share);
    set_capabilities(None, sets).context(context)?;
    configure_capability_in_ambient_set(CapabilitySet::NET_ADMIN, share).context(context)
}

/// Sets the Pod's own sysctls, as kubelet does; only those of a network namespace, which can be no others'.
pub(crate) fn apply_sysctls(pod: &Value) -> anyhow::Result<Vec<String>> {
    let mut applied = Vec::new();
    let sysctls = pod.pointer("/spec/securityContext/sysctls").and_then(Value::as_array);
    for sysctl in sysctls.into_iter().flatten() {
        let text = |key| sysctl.get(key).and_then(Value::as_str);
        let (Some(name), Some(value)) = (text("name"), text("value")) else { continue };
        let Some(path) = network_sysctl_path(name) else { continue };
        fs::write(&path, value).with_context(|| format!("cannot set the sysctl {name} to {value}"))?;
        applied.push(format!("{name}={value}"));
    }
    Ok(applied)
}

fn network_sysctl_path(name: &str) -> Option<String> {
    let words: Vec<&str> = name.split('.').collect();
    let is_word = |word: &&str| {
        !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
    };
    let ours = words.first() == Some(&"net") && words.iter().all(is_word);
    ours.then(|| format!("/proc/sys/{}", words.join("/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sysctls_of_the_network_namespace_are_set() {
        let path = |name| network_sysctl_path(name);
        assert_eq!(
            path("net.ipv4.ip_unprivileged_port_start").as_deref(),
            Some("/proc/sys/net/ipv4/ip_unprivileged_port_start")
        );
        for others in ["kernel.shm_rmid_forced", "net.../kernel.x", "net.ipv4/../../kernel", "net..x", ""] {
            assert_eq!(path(others), None, "{others}");
        }
    }
}
