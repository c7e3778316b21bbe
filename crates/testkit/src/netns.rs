//! A network namespace for one test. Tests run in threads, and a network namespace belongs to a thread: what the test's
//! thread starts from then on (threads, processes) is in the new one, every other test stays where it is.
//!
//! Needs root, or to be run inside `unshare --user --map-root-user --net`.

use std::fs::{self, File};
use std::marker::PhantomData;

use nix::sched::{CloneFlags, setns, unshare};

use crate::privilege;

/// The network namespace that this thread is in, with nothing but `lo`, which is down. The thread goes back to the
/// namespace it came from when this is dropped.
#[derive(Debug)]
pub struct Netns {
    origin: File,
    /// It belongs to one thread.
    thread: PhantomData<*const ()>,
}

impl Netns {
    /// Puts this thread into a new network namespace; `None` where the test is to be skipped.
    ///
    /// # Panics
    ///
    /// Where this is not possible and nothing may be skipped (see [`privilege`]).
    pub fn enter() -> Option<Self> {
        privilege::require("a network namespace", Self::try_enter())
    }

    /// Puts this thread into a new network namespace.
    pub fn try_enter() -> std::io::Result<Self> {
        let origin = File::open("/proc/thread-self/ns/net")?;
        unshare(CloneFlags::CLONE_NEWNET)?;
        Ok(Self { origin, thread: PhantomData })
    }

    /// Writes a setting of this namespace, for example `net/ipv4/ip_unprivileged_port_start`; `None` where the test is to
    /// be skipped because `/proc/sys` is read-only.
    ///
    /// # Panics
    ///
    /// Where this is not possible and nothing may be skipped (see [`privilege`]).
    pub fn set_sysctl(&self, name: &str, value: &str) -> Option<()> {
        privilege::require(&format!("to set sysctl {name}"), fs::write(format!("/proc/sys/{name}"), value))
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        // Whoever entered has the privilege to leave; if not, the thread is the test's own and ends with it.
        let _ = setns(&self.origin, CloneFlags::CLONE_NEWNET);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool;

    fn here() -> String {
        tool::run("readlink /proc/self/ns/net")
    }

    #[test]
    fn a_test_is_alone_in_its_namespace_and_comes_back() {
        let before = here();
        let Some(netns) = Netns::enter() else { return };
        assert_ne!(here(), before, "a process started by the test is in the new namespace");
        assert_eq!(std::thread::spawn(here).join().unwrap(), here(), "and so is a thread");
        drop(netns);
        assert_eq!(here(), before);
    }

    #[test]
    fn a_setting_changes_in_the_tests_namespace_alone() {
        let read = || fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap();
        let before = read();
        let Some(netns) = Netns::enter() else { return };
        let Some(()) = netns.set_sysctl("net/ipv4/ip_unprivileged_port_start", "77") else { return };
        assert_eq!(read(), "77\n");
        drop(netns);
        assert_eq!(read(), before);
    }
}
