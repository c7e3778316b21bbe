//! The files of a session: the token, the certificate of the local STS. Gone with the session; those of a session that was
//! killed are gone with the next.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, chown, geteuid};
use tempfile::TempDir;

const PREFIX: &str = "kubectl-imds-";

/// Locked for as long as the session lives. Only the kernel knows that for sure: a process id may be another's by now, or
/// mean another process in another container.
const LOCK: &str = "lock";

/// See the module.
#[derive(Debug)]
pub(crate) struct Folder {
    folder: TempDir,
    /// Held, never read.
    _lock: File,
}

impl Folder {
    /// Makes one, and removes what killed sessions of this user left.
    pub(crate) fn new() -> io::Result<Self> {
        let parent = parent();
        remove_stale(&parent);
        Self::new_in(&parent)
    }

    fn new_in(parent: &Path) -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(parent)?;
        // Under another name first: whoever sees the lock sees it locked.
        let unnamed = folder.path().join("lock.new");
        let lock = File::create(&unnamed)?;
        lock.lock()?;
        fs::rename(unnamed, folder.path().join(LOCK))?;
        Ok(Self { folder, _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The certificate of the local STS's authority.
    pub(crate) fn ca_bundle(&self) -> PathBuf {
        self.path().join("sts-ca.pem")
    }

    /// Writes it, for every reader to whom the folder is open, whatever the umask.
    pub(crate) fn write_ca_bundle(&self, pem: &str) -> io::Result<()> {
        fs::write(self.ca_bundle(), pem)?;
        fs::set_permissions(self.ca_bundle(), fs::Permissions::from_mode(0o644))
    }

    /// Whether others can come as far as to this folder.
    pub(crate) fn can_be_reached(&self) -> bool {
        self.path().parent().is_some_and(is_open_to_others)
    }

    /// Opens it, to read, to a group beside the caller.
    pub(crate) fn open_to(&self, group: Gid) -> io::Result<()> {
        chown(self.path(), None, Some(group))?;
        fs::set_permissions(self.path(), fs::Permissions::from_mode(0o750))
    }

    /// Makes an `emptyDir` volume, which every user may write to, as kubelet makes it.
    pub(crate) fn make_empty_dir(&self, name: &str) -> io::Result<()> {
        fs::create_dir(self.volume(name))?;
        fs::set_permissions(self.volume(name), fs::Permissions::from_mode(0o777))
    }

    /// Where a volume of the Pod is.
    pub(crate) fn volume(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }
}

/// The folder for temporary files. What root starts runs as others, and a private one (`pam_tmpdir` makes such) would
/// shut them out.
fn parent() -> PathBuf {
    let usual = std::env::temp_dir();
    if geteuid().is_root() && !is_open_to_others(&usual) { PathBuf::from("/tmp") } else { usual }
}

/// Whether everybody may pass through the folder and all above it.
fn is_open_to_others(folder: &Path) -> bool {
    let is_open =
        |folder: &Path| folder.metadata().is_ok_and(|metadata| metadata.permissions().mode() & 0o001 != 0);
    folder.canonicalize().is_ok_and(|folder| folder.ancestors().all(is_open))
}

/// What cannot be removed stays: it is in nobody's way.
fn remove_stale(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let is_one = entry.file_name().to_string_lossy().starts_with(PREFIX);
        if is_one && is_stale(&entry.path()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Ours, with a lock that nobody holds.
fn is_stale(folder: &Path) -> bool {
    let is_own = folder
        .symlink_metadata()
        .is_ok_and(|metadata| metadata.is_dir() && metadata.uid() == geteuid().as_raw());
    is_own && File::open(folder.join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_session_left_is_removed_and_nothing_else() {
        let parent = tempfile::tempdir().unwrap();
        let alive = Folder::new_in(parent.path()).unwrap();
        let dead = Folder::new_in(parent.path()).unwrap();
        fs::write(dead.ca_bundle(), "certificate").unwrap();
        // As after SIGKILL: the lock is gone, the files are not.
        let kill = |session: Folder| session.folder.keep();
        let dead = kill(dead);
        for other in ["kubectl-imds-unlocked", "another"] {
            fs::create_dir(parent.path().join(other)).unwrap();
        }
        remove_stale(parent.path());
        assert!(!dead.exists());
        assert!(alive.path().join(LOCK).exists());
        for other in ["kubectl-imds-unlocked", "another"] {
            assert!(parent.path().join(other).exists(), "{other}");
        }
    }

    #[test]
    fn a_folder_is_open_if_all_above_it_are() {
        let private = tempfile::tempdir().unwrap();
        let inner = private.path().join("inner");
        fs::create_dir(&inner).unwrap();
        for (outer, mode, expected) in [(0o711, 0o755, true), (0o711, 0o750, false), (0o700, 0o755, false)] {
            fs::set_permissions(&inner, fs::Permissions::from_mode(mode)).unwrap();
            fs::set_permissions(private.path(), fs::Permissions::from_mode(outer)).unwrap();
            assert_eq!(is_open_to_others(&inner), expected, "{outer:o} {mode:o}");
        }
        assert!(!is_open_to_others(Path::new("/does-not-exist")));
    }

    #[test]
    fn a_session_takes_its_files_with_it() {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::new_in(parent.path()).unwrap();
        fs::write(folder.ca_bundle(), "certificate").unwrap();
        drop(folder);
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
    }
}
