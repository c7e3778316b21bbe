//! A folder per case under `tests/golden`: `input.yaml` (a document, after a line of prose), `settings.yaml`, `report.txt` (the
//! decisions, the operations' paths, the warnings) and, where something is injected, `expected.yaml`. `server-version.txt`
//! stands in the folders of cases that depend on it. The namespace is `default` where the document has none.
//!
//! `UPDATE_GOLDEN=1 cargo test -p imds-inject --test golden` writes what the code does now; read the difference.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod common;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use common::{applied, keeps_promises};
use imds_inject::{Decision, ServerVersion, Settings, WorkloadDecision, decide_document};
use serde_json::Value;

fn folders() -> Vec<PathBuf> {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut folders: Vec<_> = fs::read_dir(cases).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders
}

#[test]
fn every_case_is_decided_as_recorded() {
    let folders = folders();
    assert!(folders.len() >= 90, "cases are missing");
    let different: Vec<String> = folders.iter().filter_map(|folder| run(folder)).collect();
    assert!(different.is_empty(), "not as recorded:\n{}", different.join("\n"));
}

#[test]
fn every_case_says_what_it_is_for() {
    for folder in folders() {
        let input = fs::read_to_string(folder.join("input.yaml")).unwrap();
        assert!(
            input.starts_with("# ") && input.lines().next().unwrap().ends_with('.'),
            "{}",
            folder.display()
        );
    }
}

/// The case's difference, if there is one.
fn run(folder: &Path) -> Option<String> {
    let input: Value = read_yaml(&folder.join("input.yaml"));
    let settings: Settings = read_yaml(&folder.join("settings.yaml"));
    let server: Option<ServerVersion> =
        fs::read_to_string(folder.join("server-version.txt")).ok().map(|text| text.trim().parse().unwrap());
    let decisions = decide_document(&settings, &input, "default", server);
    let mut expected = None;
    if decisions.iter().any(|workload| matches!(workload.decision, Decision::Inject(_))) {
        let document = applied(&input, &decisions);
        keeps_promises(&settings, server, &input, &document, &decisions);
        expected = Some(serde_yaml_ng::to_string(&document).unwrap());
    }
    let differences = [
        compare(&folder.join("report.txt"), Some(&report(&decisions))),
        compare(&folder.join("expected.yaml"), expected.as_deref()),
    ];
    differences.into_iter().flatten().next()
}

fn report(decisions: &[WorkloadDecision]) -> String {
    let mut report = String::new();
    if decisions.is_empty() {
        report.push_str("no Pod and no Pod template\n");
    }
    for WorkloadDecision { path, kind, name, namespace, decision, warnings } in decisions {
        writeln!(report, "{kind} {name:?} in {namespace} at {path:?}: {decision}").unwrap();
        if let Decision::Inject(injection) = decision {
            writeln!(report, "  for {}", injection.subject).unwrap();
            for operation in &injection.operations {
                writeln!(report, "  add {}", operation.path).unwrap();
            }
        }
        for warning in warnings {
            writeln!(report, "  warning {}: {warning}", warning.word()).unwrap();
        }
    }
    report
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
