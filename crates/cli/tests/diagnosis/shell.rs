//! Help, completions, man pages; and what is not for a terminal.

use std::fs;
use std::process::Command;

use super::recording::{Recording, program};

fn stdout(arguments: &[&str]) -> String {
    let output = program().args(arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

const COMMANDS: [&str; 6] = ["inject", "run", "check", "explain", "completion", "man"];

#[test]
fn the_help_of_each_command_has_examples() {
    let each = COMMANDS.map(|command| vec![command, "--help"]);
    for arguments in [vec!["--help"]].iter().chain(&each) {
        let help = stdout(arguments);
        let (_, examples) = help.split_once("Examples:\n").unwrap_or_else(|| panic!("{help}"));
        assert!(examples.contains("kubectl"), "{arguments:?}: {help}");
        assert!(!help.contains('\u{1b}'), "{arguments:?}: coloured, and no terminal");
        assert!(help.lines().all(|line| line.chars().count() <= 100), "{arguments:?}: {help}");
    }
}

#[test]
fn the_completions_know_the_commands_and_nothing_that_is_hidden() {
    for shell in ["bash", "zsh", "fish"] {
        let script = stdout(&["completion", shell]);
        for word in COMMANDS.into_iter().chain(["token-file", "server-version"]) {
            assert!(script.contains(word), "{shell}: {word}");
        }
        assert!(!script.contains("__container"), "{shell}");
    }
    // The one shell that is everywhere.
    let script = stdout(&["completion", "bash"]);
    let read = Command::new("bash").args(["-n", "-c", &script]).output();
    if let Ok(read) = read {
        assert!(read.status.success(), "{read:?}");
    }
}

#[test]
fn each_command_has_a_man_page() {
    let folder = tempfile::tempdir().unwrap();
    stdout(&["man", folder.path().to_str().unwrap()]);
    let mut pages: Vec<String> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    pages.sort();
    let mut expected: Vec<String> = COMMANDS.iter().map(|name| format!("kubectl-imds-{name}.1")).collect();
    expected.push("kubectl-imds.1".to_owned());
    expected.sort();
    assert_eq!(pages, expected);
    let page = fs::read_to_string(folder.path().join("kubectl-imds-check.1")).unwrap();
    assert!(page.contains("Examples:"), "{page}");
}

/// Not on a terminal: no colour, no progress.
#[test]
fn what_is_not_for_a_terminal_is_plain() {
    let mut slow = Recording::pod();
    slow.hangs("/proxy/metrics");
    let run = slow.run(&["check", "nginx", "-n", "imds-test", "--timeout", "2"]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(2), ""), "{run:?}");
    assert!(!run.stdout.contains('\u{1b}'), "{}", run.stdout);
}

#[test]
fn on_a_terminal_it_is_coloured_and_tells_how_far_it_is() {
    let mut slow = Recording::pod();
    slow.hangs("/proxy/metrics");
    let arguments = "check nginx -n imds-test --timeout 2";
    let seen = slow.run_on_a_terminal(arguments, None);
    assert!(seen.contains("\u{1b}[32m✔\u{1b}[0m the Pod"), "{seen:?}");
    assert!(seen.contains("questions answered, waiting for /metrics of the Pod nginx"), "{seen:?}");
    assert!(slow.run_on_a_terminal(arguments, Some("")).contains('\u{1b}'), "an empty NO_COLOR says nothing");
    assert!(!slow.run_on_a_terminal(arguments, Some("1")).contains('\u{1b}'));
}
