//! What a container runtime does last: this process takes on the identity that the container's spec has, and becomes its
//! program. It is a program of its own because only the new process may change what it is, and safe code cannot run
//! between fork and exec.
//!
//! Applied: user, group, no supplementary groups, capabilities, no new privileges. Not applied: the read-only root and
//! seccomp, for which the machine's own root file system would have to be another.

use std::convert::Infallible;
use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::{Gid, Uid, execveat, getppid, setgroups, setresgid, setresuid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set,
    configure_capability_in_ambient_set, remove_capability_from_bounding_set, set_capabilities,
    set_keep_capabilities,
};

use super::interrupts::let_through;
use crate::arguments::ContainerArguments;

/// Returns only to say what went wrong.
pub(crate) fn become_it(container: &ContainerArguments) -> anyhow::Result<Infallible> {
    let ContainerArguments { parent, user, group, capability, program } = container;
    let_through()?;
    let file = Path::new(program.first().context("no program")?);
    let (Some(folder), Some(name)) = (file.parent(), file.file_name()) else {
        bail!("{} is no program", file.display())
    };
    // Opened before the user changes: the new one may be shut out from the folders above, as no container would be.
    let directory = open(folder, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
        .with_context(|| format!("cannot open {}", folder.display()))?;
    // Likewise: the file may be for its owner alone. One that only runs cannot be read, and need not be.
    let content = File::open(file);
    let wanted = wanted(capability)?;
    limit_bounding_set(wanted)?;
    if let Some(user) = *user {
        change_user(Uid::from_raw(user), Gid::from_raw(group.unwrap_or(user)))?;
    }
    keep_only(wanted)?;
    prctl::set_no_new_privs().context("cannot give up new privileges")?;
    // Last, because a change of user takes it back.
    end_with(*parent)?;
    let arguments = program.iter().map(|argument| c_string(argument)).collect::<Result<Vec<_>, _>>()?;
    let environment = std::env::vars_os().map(assignment).collect::<Result<Vec<_>, _>>()?;
    let Err(mut error) = execveat(directory, &c_string(name)?, &arguments, &environment, AtFlags::empty());
    if let (Errno::EACCES, Ok(content)) = (error, content) {
        let copy = executable_copy(content).with_context(|| format!("cannot copy {}", file.display()))?;
        let Err(of_copy) = execveat(copy, c"", &arguments, &environment, AtFlags::AT_EMPTY_PATH);
        error = of_copy;
    }
    Err(error).with_context(|| format!("cannot run {}", file.display()))
}

/// From now on this process dies when its parent does, however that ends.
pub(super) fn end_with(parent: i32) -> anyhow::Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL).context("cannot ask to end with the parent")?;
    if getppid().as_raw() != parent {
        bail!("the parent has ended");
    }
    Ok(())
}

/// A copy in memory that everybody may run, as in an image: a umask of 077 makes programs that only their owner may.
fn executable_copy(mut program: File) -> anyhow::Result<File> {
    let mut copy = File::from(memfd_create(c"program", MFdFlags::MFD_CLOEXEC)?);
    io::copy(&mut program, &mut copy)?;
    Ok(copy)
}

fn wanted(names: &[String]) -> anyhow::Result<CapabilitySet> {
    let mut wanted = CapabilitySet::empty();
    for name in names {
        wanted |= CapabilitySet::from_name(name).with_context(|| format!("{name} is no capability"))?;
    }
    // What is not there cannot be granted; the program says what it misses.
    Ok(wanted & capabilities(None).context("cannot read the capabilities")?.permitted)
}

/// So that a program run by uid 0 of a user namespace does not get all of them back.
fn limit_bounding_set(wanted: CapabilitySet) -> anyhow::Result<()> {
    if !capabilities(None)?.effective.contains(CapabilitySet::SETPCAP) {
        return Ok(());
    }
    for bit in 0..u64::BITS {
        let capability = CapabilitySet::from_bits_retain(1 << bit);
        // An error says that the kernel has no capability of this number.
        if !wanted.contains(capability) && capability_is_in_bounding_set(capability).unwrap_or(false) {
            remove_capability_from_bounding_set(capability).context("cannot limit the capabilities")?;
        }
    }
    Ok(())
}

fn change_user(user: Uid, group: Gid) -> anyhow::Result<()> {
    set_keep_capabilities(true).context("cannot keep capabilities")?;
    setgroups(&[]).context("cannot leave the groups")?;
    setresgid(group, group, group).with_context(|| format!("cannot become group {group}"))?;
    setresuid(user, user, user).with_context(|| format!("cannot become user {user}"))
}

fn keep_only(wanted: CapabilitySet) -> anyhow::Result<()> {
    let sets = CapabilitySets { effective: wanted, permitted: wanted, inheritable: wanted };
    set_capabilities(None, sets).context("cannot limit the capabilities")?;
    for capability in wanted.iter() {
        // Where a container runtime relies on the file's own capabilities, which a file just built has not.
        configure_capability_in_ambient_set(capability, true).context("cannot pass the capabilities on")?;
    }
    Ok(())
}

fn assignment((name, value): (OsString, OsString)) -> anyhow::Result<CString> {
    let mut assignment = name;
    assignment.push("=");
    assignment.push(value);
    c_string(&assignment)
}

fn c_string(text: &OsStr) -> anyhow::Result<CString> {
    CString::new(text.as_bytes()).context("a NUL byte in a command line")
}
