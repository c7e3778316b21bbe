//! A folder per case under `tests/golden`: `input.yaml` (a Pod, with a line of prose), `settings.yaml`, `report.txt` (the
//! decision and the operations' paths) and, where the Pod is injected, `expected.yaml`.
//!
//! `UPDATE_GOLDEN=1 cargo test -p imds-inject --test golden` writes what the code does now; read the difference.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod common;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use common::{CONTEXT, keeps_promises};
use imds_inject::{Decision, Settings, decide};
use serde_json::Value;

#[test]
fn every_case_is_decided_as_recorded() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut folders: Vec<_> = fs::read_dir(cases).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    assert!(folders.len() >= 12, "cases are missing");
    let different: Vec<String> = folders.iter().filter_map(|folder| run(folder)).collect();
    assert!(different.is_empty(), "not as recorded:\n{}", different.join("\n"));
}

/// The case's difference, if there is one.
fn run(folder: &Path) -> Option<String> {
    let input: Value = read_yaml(&folder.join("input.yaml"));
    let settings: Settings = read_yaml(&folder.join("settings.yaml"));
    let decision = decide(&settings, &input, &CONTEXT);
    let mut report = format!("{decision}\n");
    let mut expected = None;
    if let Decision::Inject(injection) = &decision {
        for operation in &injection.operations {
            writeln!(report, "  add {}", operation.path).unwrap();
        }
        let pod = injection.apply_to(&input).unwrap();
        keeps_promises(&settings, &input, &pod);
        expected = Some(serde_yaml_ng::to_string(&pod).unwrap());
    }
    let differences = [
        compare(&folder.join("report.txt"), Some(&report)),
        compare(&folder.join("expected.yaml"), expected.as_deref()),
    ];
    differences.into_iter().flatten().next()
}

#[expect(clippy::disallowed_methods, reason = "a switch of the person who runs the test")]
fn compare(file: &Path, now: Option<&str>) -> Option<String> {
    let recorded = fs::read_to_string(file).ok();
    if recorded.as_deref() == now {
        return None;
    }
    if std::env::var("UPDATE_GOLDEN").is_ok() {
        match now {
            Some(text) => fs::write(file, text).unwrap(),
            None => fs::remove_file(file).unwrap(),
        }
        return None;
    }
    Some(format!("{}:\n{}", file.display(), now.unwrap_or("(should not be there)")))
}

fn read_yaml<T: serde::de::DeserializeOwned>(file: &Path) -> T {
    let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    serde_yaml_ng::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}
