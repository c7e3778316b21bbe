//! The limits of a container, for one process of a test, as kubelet sets them: a control group of version 1 or 2.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crate::privilege;

/// How long the kernel counts until it gives CPU time anew, in microseconds: kubelet's default.
const CPU_PERIOD: u64 = 100_000;

/// A control group with limits. It is removed when this is dropped, once its processes are gone.
#[derive(Debug)]
pub struct Limits {
    /// One, or with version 1 one for memory and one for CPU.
    folders: Vec<PathBuf>,
    files: &'static Files,
}

#[derive(Debug)]
struct Files {
    memory_limit: &'static str,
    peak: &'static str,
    /// Only version 1 counts the memory of sockets apart, and only where it is limited.
    sockets: Option<(&'static str, &'static str)>,
    kills: &'static str,
}

const VERSION_1: Files = Files {
    memory_limit: "memory.limit_in_bytes",
    peak: "memory.max_usage_in_bytes",
    sockets: Some(("memory.kmem.tcp.limit_in_bytes", "memory.kmem.tcp.max_usage_in_bytes")),
    kills: "memory.oom_control",
};
const VERSION_2: Files =
    Files { memory_limit: "memory.max", peak: "memory.peak", sockets: None, kills: "memory.events" };

impl Limits {
    /// New limits of so many bytes of memory and, where given, so many thousandths of a CPU, with nobody in them; `None`
    /// where the test is to be skipped.
    ///
    /// # Panics
    ///
    /// Where this is not possible and nothing may be skipped (see [`privilege`]).
    pub fn new(memory: u64, millicores: Option<u64>) -> Option<Self> {
        privilege::require("a control group with limits", Self::try_new(memory, millicores))
    }

    /// New limits of so many bytes of memory and, where given, so many thousandths of a CPU, with nobody in them.
    pub fn try_new(memory: u64, millicores: Option<u64>) -> io::Result<Self> {
        let root = Path::new("/sys/fs/cgroup");
        let (roots, files) = if root.join("memory").is_dir() {
            (vec![root.join("memory"), root.join("cpu")], &VERSION_1)
        } else {
            (vec![root.to_owned()], &VERSION_2)
        };
        let name =
            format!("imds-test-{}-{:?}", std::process::id(), thread::current().id()).replace(['(', ')'], "-");
        let mut limits = Self { folders: Vec::new(), files };
        for root in roots {
            let folder = root.join(&name);
            fs::create_dir(&folder)?;
            limits.folders.push(folder);
        }
        limits.set(files.memory_limit, &memory.to_string())?;
        if let Some((sockets, _)) = files.sockets {
            limits.set(sockets, &memory.to_string())?;
        }
        if let Some(millicores) = millicores {
            let quota = millicores * CPU_PERIOD / 1000;
            match limits.set("cpu.cfs_quota_us", &quota.to_string()) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    limits.set("cpu.max", &format!("{quota} {CPU_PERIOD}"))?;
                }
                set => set?,
            }
        }
        Ok(limits)
    }

    /// The words of a command that becomes the one that follows it, within the limits.
    pub fn command(&self) -> Vec<String> {
        let members: Vec<String> =
            self.folders.iter().map(|folder| folder.join("cgroup.procs").display().to_string()).collect();
        let script = "for members in $0; do echo $$ >\"$members\"; done; exec \"$@\"";
        ["sh", "-c", script, &members.join(" ")].map(str::to_owned).to_vec()
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

    fn set(&self, file: &str, value: &str) -> io::Result<()> {
        let folder = self.folders.iter().find(|folder| folder.join(file).exists());
        fs::write(folder.ok_or(io::ErrorKind::NotFound)?.join(file), value)
    }

    fn number(&self, file: &str, before: &str) -> u64 {
        let read = |folder: &PathBuf| fs::read_to_string(folder.join(file)).ok();
        let text = self.folders.iter().find_map(read).unwrap_or_default();
        text.lines().find_map(|line| line.strip_prefix(before)?.trim().parse().ok()).unwrap_or_default()
    }
}

impl Drop for Limits {
    fn drop(&mut self) {
        for folder in &self.folders {
            // A process that has just ended is a member for a moment yet.
            for _ in 0..100 {
                if fs::remove_dir(folder).is_ok() {
                    break;
                }
                thread::sleep(Duration::from_millis(20));
            }
        }
    }
}
