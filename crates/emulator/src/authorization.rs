//! The value of `Authorization` for the container credentials endpoint: a random one of this Pod, in a file that the other
//! containers mount to read. It stays the same when the emulator is started anew.

use std::fs::{self, File, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use imds_sts::Secret;
use ring::rand::{SecureRandom as _, SystemRandom};
use zeroize::Zeroizing;

/// As long as 32 random bytes are in base64.
const LENGTH: usize = 43;

/// Whoever shares the volume reads it.
const MODE: u32 = 0o444;

/// Reads the value, or makes one where there is none yet. Written beside and renamed: nobody sees half of it.
pub fn read_or_create(path: &Path) -> io::Result<Secret> {
    if let Some(secret) = read(path)? {
        return Ok(secret);
    }
    let secret = generate()?;
    let beside = path.with_extension("new");
    let _ = fs::remove_file(&beside);
    let mut file = File::options().write(true).create_new(true).mode(MODE).open(&beside)?;
    // Whatever the umask takes away.
    file.set_permissions(Permissions::from_mode(MODE))?;
    file.write_all(secret.expose().as_bytes())?;
    fs::rename(&beside, path)?;
    Ok(secret)
}

/// The value that is there, if it is one of ours.
fn read(path: &Path) -> io::Result<Option<Secret>> {
    let mut text = Zeroizing::new(String::with_capacity(LENGTH + 2));
    match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?.take(LENGTH as u64 + 1).read_to_string(&mut text)?,
    };
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    Ok((text.len() == LENGTH && text.bytes().all(legal)).then(|| Secret::from(text.as_str())))
}

fn generate() -> io::Result<Secret> {
    let mut bytes = Zeroizing::new([0; 32]);
    SystemRandom::new().fill(bytes.as_mut()).map_err(|_| io::Error::other("no random bytes"))?;
    Ok(Secret::from(URL_SAFE_NO_PAD.encode(bytes.as_ref())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_made_once_and_readable_by_all_writable_by_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let first = read_or_create(&path).unwrap();
        assert_eq!(first.expose().len(), LENGTH);
        assert_eq!(read_or_create(&path).unwrap().expose(), first.expose(), "a restart keeps it");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, MODE);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn what_is_not_whole_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        for broken in ["", "short", &"x".repeat(LENGTH + 1), &" ".repeat(LENGTH)] {
            fs::write(&path, broken).unwrap();
            fs::write(path.with_extension("new"), "left by a process that was killed").unwrap();
            let made = read_or_create(&path).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), made.expose());
            fs::remove_file(&path).unwrap();
        }
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error() {
        assert!(read_or_create(Path::new("/nowhere/at/all")).is_err());
    }
}
