//! The certificate from two files, for example a Secret that cert-manager keeps and kubelet mounts.
//!
//! The files are read again and again and compared by content: kubelet swaps a symbolic link, others write in place, and
//! no notification covers both. A pair that can't be used is told once and changes nothing.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::{LoadError, Loaded, Serving};

/// How long after a look at the files comes the next.
pub const INTERVAL: Duration = Duration::from_secs(10);

/// Keeps a [`Serving`] as the two files are.
#[derive(Debug)]
pub struct Watch {
    files: Files,
    serving: Arc<Serving>,
    /// What was looked at last, usable or not.
    seen: Option<Pair>,
    /// What was told last, so that it is not told again.
    told: Option<String>,
}

/// Why the files can't be served.
#[derive(Debug)]
pub enum FileError {
    /// A file can't be read.
    Read(PathBuf, io::Error),
    /// The file with the certificate holds none that can be used.
    Certificate(PathBuf, LoadError),
    /// The file with the key holds none that can be used.
    Key(PathBuf, LoadError),
    /// Each is good, but they don't belong together: certificate, key.
    Mismatch(PathBuf, PathBuf),
}

#[derive(Debug)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

#[derive(PartialEq, Eq)]
struct Pair {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Watch {
    /// Reads the files, PEM both, and serves them from now on. At the start of a program a pair that can't be used is an
    /// error: there is nothing older to go on with.
    pub fn start(certificate: PathBuf, key: PathBuf, serving: Arc<Serving>) -> Result<Self, FileError> {
        let files = Files { certificate, key };
        let pair = files.read()?;
        serving.set(files.load(&pair)?);
        Ok(Self { files, serving, seen: Some(pair), told: None })
    }

    /// Looks at the files every [`INTERVAL`], for ever.
    pub async fn run(mut self) {
        loop {
            tokio::time::sleep(INTERVAL).await;
            self.look();
        }
    }

    /// Looks at the files once, and serves them if they have changed and can be used. Blocking, for as long as two local
    /// files take.
    pub fn look(&mut self) {
        let looked = self.files.read().and_then(|pair| {
            if self.seen.as_ref() == Some(&pair) {
                return Ok(None);
            }
            let loaded = self.files.load(&pair);
            self.seen = Some(pair);
            loaded.map(Some)
        });
        match looked {
            Ok(None) => {}
            Ok(Some(loaded)) => {
                log::info!(
                    file:% = self.files.certificate.display(),
                    expires:% = humantime::format_rfc3339_seconds(loaded.expires());
                    "the certificate has changed: serving the new one"
                );
                self.serving.set(loaded);
                self.told = None;
            }
            Err(error) => {
                let text = error.to_string();
                if self.told.as_ref() != Some(&text) {
                    log::warn!("{text}; still serving the one before");
                    self.told = Some(text);
                }
            }
        }
    }
}

impl Files {
    /// Both files, and of one moment: a swap between the two readings is noticed by reading the first again.
    fn read(&self) -> Result<Pair, FileError> {
        let mut certificate = read(&self.certificate)?;
        for _ in 0..3 {
            let key = read(&self.key)?;
            let again = read(&self.certificate)?;
            if again == certificate {
                return Ok(Pair { certificate, key });
            }
            certificate = again;
        }
        Err(FileError::Read(self.certificate.clone(), io::Error::other("it changes while it is read")))
    }

    fn load(&self, pair: &Pair) -> Result<Loaded, FileError> {
        Loaded::from_pem(&pair.certificate, &pair.key).map_err(|error| match error {
            LoadError::NoCertificate | LoadError::BadCertificate(_) => {
                FileError::Certificate(self.certificate.clone(), error)
            }
            LoadError::NoKey | LoadError::BadKey(_) => FileError::Key(self.key.clone(), error),
            LoadError::Mismatch => FileError::Mismatch(self.certificate.clone(), self.key.clone()),
        })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    std::fs::read(path).map_err(|error| FileError::Read(path.to_owned(), error))
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pair(…)")
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(path, error) => write!(f, "can't read {}: {error}", path.display()),
            Self::Certificate(path, error) | Self::Key(path, error) => {
                write!(f, "can't serve from {}: {error}", path.display())
            }
            Self::Mismatch(certificate, key) => write!(
                f,
                "the key in {} does not belong to the certificate in {}",
                key.display(),
                certificate.display()
            ),
        }
    }
}

/// The cause is part of the sentence.
impl std::error::Error for FileError {}
