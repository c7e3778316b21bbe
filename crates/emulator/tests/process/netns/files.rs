//! File systems that take nothing more.

use std::fs;
use std::path::Path;
use std::time::Duration;

use imds_local_sts::Fault;

use crate::support::{DOCUMENT, Emulator, Stage, can_unshare, eventually};
use crate::watch::Watch;

const READ_ONLY: &str = "mount -o remount,bind,ro / && mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\" && exec \"$@\"";
const FULL: &str =
    "mount -t tmpfs -o size=4k none \"$0\" && head -c 4096 /dev/zero >\"$0\"/full && exec \"$@\"";

fn in_mounts<'a>(script: &'a str, folder: &'a Path) -> [&'a str; 6] {
    ["unshare", "--mount", "sh", "-c", script, folder.to_str().unwrap()]
}

#[track_caller]
fn ends_with_the_reason(mut emulator: Emulator, path: &Path, reason: &str) {
    let line = emulator.wait_for_log(reason);
    assert!(line.contains(path.to_str().unwrap()), "{line}");
    eventually(|| emulator.ended().is_some());
    assert_eq!(emulator.ended().unwrap().code(), Some(1));
}

/// Where nothing can be written, it lacks nothing but the value that it would hand to the other containers in a file.
#[test]
fn on_a_read_only_file_system() {
    if !can_unshare(&["--mount"]) {
        return;
    }
    let stage = Stage::new();
    stage.sts.set_fault(Fault::NearExpiry(Duration::from_secs(4)));
    let folder = stage.folder.path();
    let value = folder.join("authorization");
    let start = || {
        let program = stage.emulator_through(&in_mounts(READ_ONLY, folder));
        program.env("IMDS_AUTHORIZATION_FILE", &value)
    };
    ends_with_the_reason(start().spawn(), &value, "Read-only file system");
    assert!(!value.exists(), "it was read-only");

    fs::write(&value, "x".repeat(43)).unwrap();
    let emulator = start().ready();
    let watch = Watch::of(&emulator);
    let first = emulator.get(DOCUMENT).expect(200).body;
    stage.rotate_key_and_token();
    eventually(|| emulator.get(DOCUMENT).expect(200).body != first);
    watch.end(&emulator, &stage.sts);
}

#[test]
fn on_a_full_file_system() {
    if !can_unshare(&["--mount"]) {
        return;
    }
    let stage = Stage::new();
    let folder = stage.folder.path().join("full");
    fs::create_dir(&folder).unwrap();
    let value = folder.join("authorization");
    let program = stage.emulator_through(&in_mounts(FULL, &folder)).env("IMDS_AUTHORIZATION_FILE", &value);
    ends_with_the_reason(program.spawn(), &value, "No space left on device");
}
