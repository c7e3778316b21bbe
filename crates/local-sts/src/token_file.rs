//! The token file, written and replaced as kubelet does it, so that a program that reads it sees a true rotation.
//!
//! ```text
//! DIRECTORY/..2026_11_23_20_16_38.1234567890/token   the file itself
//! DIRECTORY/..data   -> ..2026_11_23_20_16_38.1234567890
//! DIRECTORY/token    -> ..data/token
//! ```
//! A new token gets a new directory; then `..data` is replaced by a rename. Source: Kubernetes, `AtomicWriter` in
//! `pkg/volume/util`.
//!
//! One difference: kubelet removes the old directory at once, which a reader that has just followed `..data` could
//! notice; here it goes one rotation later, so that "the file is always there" holds without exception.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use imds_contract::pod::TOKEN_FILE_NAME;

use crate::random;

const DATA: &str = "..data";
const NEW_DATA: &str = "..data_tmp";

/// Who may read the token. Source: Kubernetes, projected volumes (`pkg/volume/projected`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// 0600: what kubelet chooses where the Pod's containers share one user.
    #[default]
    Owner,
    /// 0640: where the Pod has an `fsGroup`.
    OwnerAndGroup,
    /// 0644: where it has neither.
    Everyone,
}

impl Mode {
    /// The permission bits.
    pub fn bits(self) -> u32 {
        match self {
            Self::Owner => 0o600,
            Self::OwnerAndGroup => 0o640,
            Self::Everyone => 0o644,
        }
    }
}

/// A directory that holds a token as a projected volume does. One writer at a time.
#[derive(Debug)]
pub struct TokenFile {
    directory: PathBuf,
    mode: Mode,
}

impl TokenFile {
    /// A token file in this directory, which is created if absent. There is no file before the first
    /// [`TokenFile::write`].
    pub fn new(directory: &Path, mode: Mode) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        // As the volume is mounted: who may read the token is said by the file, whatever the umask is.
        fs::set_permissions(directory, Permissions::from_mode(0o755))?;
        Ok(Self { directory: directory.to_owned(), mode })
    }

    /// The path that a program is given.
    pub fn path(&self) -> PathBuf {
        self.directory.join(TOKEN_FILE_NAME)
    }

    /// Replaces the token: a reader sees the old one or the new one, whole.
    pub fn write(&self, token: &str, now: SystemTime) -> io::Result<()> {
        let current = read_link_if_present(&self.directory.join(DATA))?;
        let next = self.new_directory(token, now)?;

        // Left behind by a writer that was killed in between.
        remove_file_if_present(&self.directory.join(NEW_DATA))?;
        symlink(&next, self.directory.join(NEW_DATA))?;
        fs::rename(self.directory.join(NEW_DATA), self.directory.join(DATA))?;
        if read_link_if_present(&self.path())?.is_none() {
            symlink(Path::new(DATA).join(TOKEN_FILE_NAME), self.path())?;
        }
        self.remove_all_but(&[Some(next), current])
    }

    /// Makes the timestamped directory with the token in it; its name.
    fn new_directory(&self, token: &str, now: SystemTime) -> io::Result<PathBuf> {
        let time: String = humantime::format_rfc3339_seconds(now)
            .to_string()
            .chars()
            .filter(|character| *character != 'Z')
            .map(|character| if character.is_ascii_digit() { character } else { '_' })
            .collect();
        let name = PathBuf::from(format!("..{time}.{}", u32::from_be_bytes(random::bytes())));
        let directory = self.directory.join(&name);
        fs::create_dir(&directory)?;
        // Whatever the umask.
        fs::set_permissions(&directory, Permissions::from_mode(0o755))?;
        let file = directory.join(TOKEN_FILE_NAME);
        // For nobody else's eyes, not even until the true mode is set.
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600).open(&file)?.write_all(token.as_bytes())?;
        fs::set_permissions(&file, Permissions::from_mode(self.mode.bits()))?;
        Ok(name)
    }

    fn remove_all_but(&self, kept: &[Option<PathBuf>; 2]) -> io::Result<()> {
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            let name = PathBuf::from(entry.file_name());
            let is_old = entry.file_type()?.is_dir() && name.to_string_lossy().starts_with("..");
            if is_old && !kept.contains(&Some(name)) {
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    }
}

fn read_link_if_present(path: &Path) -> io::Result<Option<PathBuf>> {
    match fs::read_link(path) {
        Ok(target) => Ok(Some(target)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn remove_file_if_present(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_700_000_000)
    }

    #[test]
    fn the_directory_looks_as_kubelets() {
        let directory = tempfile::tempdir().unwrap();
        for mode in [Mode::Owner, Mode::OwnerAndGroup, Mode::Everyone] {
            let file = TokenFile::new(&directory.path().join("a/token-volume"), mode).unwrap();
            file.write("first", now()).unwrap();
            assert_eq!(fs::read_link(file.path()).unwrap(), Path::new("..data/token"));
            let data = fs::read_link(file.directory.join(DATA)).unwrap();
            assert!(data.to_str().unwrap().starts_with("..2023_11_14_22_13_20."));
            assert_eq!(fs::metadata(file.path()).unwrap().permissions().mode() & 0o777, mode.bits());
            let directory_mode = fs::metadata(file.directory.join(data)).unwrap().permissions().mode();
            assert_eq!(directory_mode & 0o777, 0o755);
        }
    }

    #[test]
    fn a_rotation_changes_the_file_and_leaves_no_litter() {
        let directory = tempfile::tempdir().unwrap();
        let file = TokenFile::new(directory.path(), Mode::Owner).unwrap();
        // A writer that was killed half-way.
        symlink("..nowhere", directory.path().join(NEW_DATA)).unwrap();
        for number in 0..5 {
            file.write(&format!("token {number}"), now()).unwrap();
            assert_eq!(fs::read_to_string(file.path()).unwrap(), format!("token {number}"));
        }
        let entries = fs::read_dir(directory.path()).unwrap().count();
        assert_eq!(entries, 4, "token, ..data, and the last two directories");
    }

    #[test]
    fn a_reader_never_finds_the_token_absent_or_in_part() {
        let directory = tempfile::tempdir().unwrap();
        let file = TokenFile::new(directory.path(), Mode::Owner).unwrap();
        let tokens: Vec<String> = ["a", "b", "c"].map(|letter| letter.repeat(5000)).to_vec();
        file.write(&tokens[0], now()).unwrap();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut reads = 0_u32;
                while !done.load(Relaxed) {
                    let read = fs::read_to_string(file.path()).expect("the token is there");
                    assert!(tokens.contains(&read), "a token in part: {} bytes", read.len());
                    reads += 1;
                }
                reads
            });
            for token in tokens.iter().cycle().take(300) {
                file.write(token, now()).unwrap();
                std::thread::sleep(Duration::from_millis(1));
            }
            done.store(true, Relaxed);
            assert!(reader.join().unwrap() > 300, "the reader kept up");
        });
    }
}
