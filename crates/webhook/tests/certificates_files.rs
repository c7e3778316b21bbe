//! The certificate from files: what is served follows the files, and only to something better.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

#[path = "support/handshake.rs"]
mod handshake;

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use imds_webhook::certificate::files::{FileError, Watch};
use imds_webhook::certificate::{Serving, system_time};
use tempfile::TempDir;

/// A folder as kubelet mounts a Secret: `tls.crt → ..data/tls.crt`, `..data → ..1`.
struct Mount {
    folder: TempDir,
    swaps: u32,
}

struct Pair {
    certificate: String,
    key: String,
}

fn pair() -> Pair {
    let made = rcgen::generate_simple_self_signed(["a.test".to_owned()]).unwrap();
    Pair { certificate: made.cert.pem(), key: made.signing_key.serialize_pem() }
}

impl Mount {
    fn with(pair: &Pair) -> Self {
        let mut mount = Self { folder: tempfile::tempdir().unwrap(), swaps: 0 };
        mount.swap(pair);
        for name in ["tls.crt", "tls.key"] {
            symlink(Path::new("..data").join(name), mount.folder.path().join(name)).unwrap();
        }
        mount
    }

    fn swap(&mut self, pair: &Pair) {
        self.swaps += 1;
        let version = format!("..{}", self.swaps);
        let folder = self.folder.path();
        std::fs::create_dir(folder.join(&version)).unwrap();
        std::fs::write(folder.join(&version).join("tls.crt"), &pair.certificate).unwrap();
        std::fs::write(folder.join(&version).join("tls.key"), &pair.key).unwrap();
        symlink(&version, folder.join("..data_tmp")).unwrap();
        std::fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn start(&self, serving: &Arc<Serving>) -> Result<Watch, FileError> {
        Watch::start(self.path("tls.crt"), self.path("tls.key"), Arc::clone(serving))
    }
}

#[tokio::test]
async fn follows_a_swap_of_the_mount() {
    let (first, second) = (pair(), pair());
    let mut mount = Mount::with(&first);
    let serving = Arc::new(Serving::new());
    let mut watch = mount.start(&serving).unwrap();
    let address = handshake::listen(serving).await;
    let taken = async |pair: &Pair| {
        handshake::connect(address, &pair.certificate, "a.test", system_time()).await.is_ok()
    };
    assert!(taken(&first).await);
    mount.swap(&second);
    watch.look();
    assert!(taken(&second).await && !taken(&first).await);
}

#[tokio::test]
async fn a_pair_that_can_not_be_used_changes_nothing() {
    let (good, other) = (pair(), pair());
    let mut mount = Mount::with(&good);
    let serving = Arc::new(Serving::new());
    let mut watch = mount.start(&serving).unwrap();
    let address = handshake::listen(serving).await;
    let half = other.certificate.get(..100).unwrap().to_owned();
    for (case, certificate, key) in [
        ("new certificate, old key", &other.certificate, &good.key),
        ("old certificate, new key", &good.certificate, &other.key),
        ("half a certificate", &half, &other.key),
        ("empty", &String::new(), &String::new()),
        ("garbage", &"garbage".to_owned(), &"garbage".to_owned()),
    ] {
        mount.swap(&Pair { certificate: certificate.clone(), key: key.clone() });
        watch.look();
        watch.look();
        handshake::connect(address, &good.certificate, "a.test", system_time()).await.expect(case);
    }
    std::fs::remove_file(mount.path("..data")).unwrap();
    watch.look();
    handshake::connect(address, &good.certificate, "a.test", system_time()).await.expect("files gone");
    mount.swap(&other);
    watch.look();
    handshake::connect(address, &other.certificate, "a.test", system_time()).await.expect("good again");
}

#[test]
fn a_problem_is_told_once_and_so_is_its_end() {
    static LINES: Lines = Lines(Mutex::new(Vec::new()));
    log::set_logger(&LINES).unwrap();
    log::set_max_level(log::LevelFilter::Info);
    let mut mount = Mount::with(&pair());
    let mut watch = mount.start(&Arc::default()).unwrap();
    mount.swap(&Pair { key: pair().key, ..pair() });
    (0..3).for_each(|_| watch.look());
    std::fs::remove_file(mount.path("..data")).unwrap();
    (0..3).for_each(|_| watch.look());
    mount.swap(&pair());
    (0..3).for_each(|_| watch.look());
    // Other tests of this file run at the same time, in folders of their own.
    let folder = mount.folder.path().to_str().unwrap();
    let mut lines = LINES.0.lock().unwrap().clone();
    lines.retain(|line| line.contains(folder));
    assert_eq!(lines.len(), 3, "{lines:#?}");
    assert!(lines[0].contains("does not belong") && lines[1].contains("can't read"), "{lines:#?}");
    assert!(lines[2].contains("serving the new one"), "{lines:#?}");
}

struct Lines(Mutex<Vec<String>>);

impl log::Log for Lines {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let line = imds_daemon::logging::line(record, system_time());
        self.0.lock().unwrap().push(line);
    }

    fn flush(&self) {}
}

#[test]
fn the_start_says_which_file_is_wrong_and_how() {
    let good = pair();
    for (pair, file, why) in [
        (Pair { certificate: String::new(), key: good.key.clone() }, "tls.crt", "no certificate"),
        (Pair { certificate: good.certificate.clone(), key: "x".to_owned() }, "tls.key", "no private key"),
        (Pair { certificate: good.certificate.clone(), key: self::pair().key }, "tls.key", "does not belong"),
    ] {
        let mount = Mount::with(&pair);
        let serving = Arc::new(Serving::new());
        let error = mount.start(&serving).unwrap_err().to_string();
        assert!(error.contains(mount.path(file).to_str().unwrap()) && error.contains(why), "{error}");
        assert!(!serving.is_loaded());
    }
    let mount = Mount::with(&good);
    std::fs::remove_file(mount.path("tls.key")).unwrap();
    let error = mount.start(&Arc::default()).unwrap_err().to_string();
    assert!(error.contains("tls.key") && error.contains("No such file"), "{error}");
}
