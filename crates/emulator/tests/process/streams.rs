//! Whatever becomes of its log, it serves.

use std::fs::File;
use std::io::{self, Read as _};
use std::process::Stdio;

use crate::support::{DOCUMENT, Emulator, Stage, eventually};

/// So many that their lines fill any pipe.
const REQUESTS: usize = 2000;

/// At the level `trace`, each request is a line.
fn serves(emulator: &Emulator) {
    for _ in 0..REQUESTS {
        emulator.get(DOCUMENT).expect(200);
    }
    emulator.admin("/livez").expect(200);
}

#[test]
fn with_its_streams_closed() {
    let stage = Stage::new();
    serves(&stage.emulator_through(&["sh", "-c", "exec \"$@\" <&- >&- 2>&-", "sh"]).ready_unheard());
}

#[test]
fn with_its_log_on_a_full_disk() {
    let stage = Stage::new();
    let full = File::options().write(true).open("/dev/full").unwrap();
    serves(&stage.emulator().log_to(full).ready_unheard());
}

#[test]
fn with_its_log_to_a_reader_that_has_gone() {
    let stage = Stage::new();
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    serves(&stage.emulator().log_to(writer).ready_unheard());
}

#[test]
fn with_its_log_to_a_reader_that_does_not_read_and_then_it_says_what_was_lost() {
    let stage = Stage::new();
    let (mut reader, writer) = io::pipe().unwrap();
    let mut emulator = stage.emulator().log_to(writer).ready_unheard();
    serves(&emulator);
    let mut unread = vec![0; 65_536];
    let length = reader.read(&mut unread).unwrap();
    assert!(length > 32_768, "the pipe was full: {length}");
    emulator.get(DOCUMENT).expect(200);
    emulator.signal(rustix::process::Signal::TERM);
    eventually(|| emulator.ended().is_some());
    let mut rest = String::new();
    reader.read_to_string(&mut rest).unwrap();
    let lost = rest.lines().find(|line| line.contains("lines of the log were lost")).expect("a word on it");
    assert!(lost.contains("\"lines\":"), "{lost}");
    // All but the one of which a part was read before.
    let broken = rest.lines().skip(1).find(|line| !(line.starts_with('{') && line.ends_with('}')));
    assert_eq!(broken, None);
}

#[test]
fn a_page_that_can_not_be_printed_is_an_error() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let status = std::process::Command::new(env!("CARGO_BIN_EXE_imds-emulator"))
        .arg("--version")
        .stdout(Stdio::from(full))
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(1));
}
