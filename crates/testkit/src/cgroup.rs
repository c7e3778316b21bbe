//! A memory limit for one process of a test, as kubelet sets it for a container: a control group of version 1 or 2.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crate::privilege;

/// A control group with a memory limit. It is removed when this is dropped, once its processes are gone.
#[derive(Debug)]
pub struct MemoryLimit {
    folder: PathBuf,
    files: &'static Files,
}

#[derive(Debug)]
struct Files {
    limit: &'static str,
    peak: &'static str,
    /// Only version 1 counts the memory of sockets apart, and only where it is limited.
    sockets: Option<(&'static str, &'static str)>,
    kills: &'static str,
}

const VERSION_1: Files = Files {
    limit: "memory.limit_in_bytes",
    peak: "memory.max_usage_in_bytes",
    sockets: Some(("memory.kmem.tcp.limit_in_bytes", "memory.kmem.tcp.max_usage_in_bytes")),
    kills: "memory.oom_control",
};
const VERSION_2: Files =
    Files { limit: "memory.max", peak: "memory.peak", sockets: None, kills: "memory.events" };

impl MemoryLimit {
    /// A new limit of so many bytes, with nobody in it; `None` where the test is to be skipped.
    ///
    /// # Panics
    ///
    /// Where this is not possible and nothing may be skipped (see [`privilege`]).
    pub fn new(bytes: u64) -> Option<Self> {
        privilege::require("a control group with a memory limit", Self::try_new(bytes))
    }

    /// A new limit of so many bytes, with nobody in it.
    pub fn try_new(bytes: u64) -> io::Result<Self> {
        let (root, files) = match Path::new("/sys/fs/cgroup/memory") {
            version_1 if version_1.is_dir() => (version_1, &VERSION_1),
            _ => (Path::new("/sys/fs/cgroup"), &VERSION_2),
        };
        let thread = thread::current().id();
        let folder =
            root.join(format!("imds-test-{}-{thread:?}", std::process::id()).replace(['(', ')'], "-"));
        fs::create_dir(&folder)?;
        let limit = Self { folder, files };
        let bytes = bytes.to_string();
        fs::write(limit.folder.join(files.limit), &bytes)?;
        if let Some((sockets, _)) = files.sockets {
            fs::write(limit.folder.join(sockets), &bytes)?;
        }
        Ok(limit)
    }

    /// The file that takes the number of a process that is to be limited.
    pub fn members(&self) -> PathBuf {
        self.folder.join("cgroup.procs")
    }

    /// The most memory that was ever used, in bytes, that of sockets included.
    pub fn peak(&self) -> u64 {
        let sockets = self.files.sockets.map_or(0, |(_, peak)| self.number(peak, ""));
        self.number(self.files.peak, "") + sockets
    }

    /// How often the kernel has killed a process for lack of memory.
    pub fn kills(&self) -> u64 {
        self.number(self.files.kills, "oom_kill ")
    }

    fn number(&self, file: &str, before: &str) -> u64 {
        let text = fs::read_to_string(self.folder.join(file)).unwrap_or_default();
        text.lines().find_map(|line| line.strip_prefix(before)?.trim().parse().ok()).unwrap_or_default()
    }
}

impl Drop for MemoryLimit {
    fn drop(&mut self) {
        // A process that has just ended is a member for a moment yet.
        for _ in 0..100 {
            if fs::remove_dir(&self.folder).is_ok() {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}
