//! Clocks that are elsewhere, and clocks that are set. A time namespace moves the clocks that count from boot, and for a new
//! process alone; for a wall clock that is set while the process runs there is libfaketime.

use std::fs;
use std::path::Path;
use std::time::Duration;

use imds_local_sts::Fault;
use imds_testkit::privilege;

use crate::support::{DOCUMENT, Stage, can_unshare, document_field, eventually};
use crate::watch::Watch;

/// Nine years and a half.
const LONG: &str = "300000000";

#[test]
fn where_the_machine_seems_to_have_run_for_years() {
    let space = ["--time", "--boottime", LONG, "--monotonic", LONG, "--fork", "--kill-child"];
    if !can_unshare(&space) {
        return;
    }
    let stage = Stage::new();
    stage.sts.set_fault(Fault::NearExpiry(Duration::from_secs(4)));
    let emulator = stage.emulator_through(&[&["unshare"], &space[..]].concat()).ready();
    let watch = Watch::of(&emulator);
    for _ in 0..2 {
        let before = emulator.get(DOCUMENT).expect(200).body;
        eventually(|| emulator.get(DOCUMENT).expect(200).body != before);
    }
    stage.sts.set_fault(Fault::Refuse(None));
    eventually(|| emulator.get(DOCUMENT).status == 503);
    stage.sts.set_fault(Fault::None);
    eventually(|| emulator.get(DOCUMENT).status == 200);
    watch.end(&emulator, &stage.sts);
}

/// The loader puts the system's library folder in the place of `$LIB`.
const FAKETIME: &str = "/usr/$LIB/faketime/libfaketime.so.1";

fn faketime_is_installed() -> bool {
    let folders = ["lib64", "lib/x86_64-linux-gnu", "lib/aarch64-linux-gnu"];
    let is_there = folders.iter().any(|folder| Path::new(&FAKETIME.replace("$LIB", folder)).exists());
    let given = if is_there { Ok(()) } else { Err("it is not installed") };
    privilege::require("libfaketime", given).is_some()
}

#[test]
fn a_wall_clock_that_is_set() {
    if !faketime_is_installed() {
        return;
    }
    let stage = Stage::new();
    let clock = stage.folder.path().join("clock");
    let set = |offset: &str| {
        // Replaced: it is read at each look at the clock.
        fs::write(clock.with_extension("new"), offset).unwrap();
        fs::rename(clock.with_extension("new"), &clock).unwrap();
    };
    set("+0");
    let emulator = stage
        .emulator()
        .env("LD_PRELOAD", FAKETIME)
        .env("FAKETIME_TIMESTAMP_FILE", &clock)
        .env("FAKETIME_NO_CACHE", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .ready();
    let key = || {
        let answer = emulator.get(DOCUMENT);
        (answer.status == 200).then(|| document_field(&answer.body, "AccessKeyId").unwrap())
    };
    let first = key().unwrap();

    // By this clock they have ended. New ones are good for as long as STS's own clock says, whatever this one shows.
    set("+2h");
    assert_ne!(key().as_ref(), Some(&first), "they are not served past their end");
    eventually(|| key().is_some());
    let second = key().unwrap();
    assert_ne!(second, first);

    // Set right again, then far too early: what is held is good until its end, counted from boot.
    for offset in ["+0", "-30d"] {
        set(offset);
        for _ in 0..50 {
            assert_eq!(key().as_ref(), Some(&second), "{offset}");
        }
    }
    assert_eq!(stage.sts.exchanges().len(), 2, "{:?}", stage.sts.exchanges());
}
