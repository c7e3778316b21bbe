//! `check`: each fault is found, and everything around the findings.

use std::thread;

use serde_json::Value;

use super::page::{self, cell, code, transcript};
use super::recording::{Recording, Run};

/// Something that is wrong in a cluster, and the finding that tells of it.
pub struct Fault {
    pub what: &'static str,
    pub word: &'static str,
    pub recording: Recording,
}

pub fn fault(
    word: &'static str,
    what: &'static str,
    mut recording: Recording,
    put: impl FnOnce(&mut Recording),
) -> Fault {
    put(&mut recording);
    Fault { what, word, recording }
}

/// Runs a check, and takes its findings from the JSON.
fn findings(recording: &Recording, arguments: &[&str]) -> (Run, Value) {
    let run = recording.run(&[arguments, &["-o", "json"]].concat());
    let report = serde_json::from_str(&run.stdout).unwrap_or_else(|_| panic!("{run:?}"));
    (run, report)
}

fn with_word<'a>(report: &'a Value, word: &str) -> Option<&'a Value> {
    report["findings"].as_array().unwrap().iter().find(|finding| finding["finding"] == word)
}

/// Each fault is found, and not where all is well; the exit code tells of it. Gives the documentation's table.
fn table(arguments: &[&str], well: &Recording, faults: &[Fault]) -> String {
    let (_, well) = findings(well, arguments);
    let row = |Fault { what, word, recording }: &Fault| {
        let (run, report) = findings(recording, arguments);
        let finding = with_word(&report, word).unwrap_or_else(|| panic!("{what}: no {word} in {report:#}"));
        assert!(with_word(&well, word).is_none(), "{word} is found where all is well, too");
        let has = |level: &str| {
            report["findings"].as_array().unwrap().iter().any(|finding| finding["level"] == level)
        };
        let expected = if has("wrong") { 1 } else { i32::from(has("unseen")) * 2 };
        assert_eq!(run.code, Some(expected), "{what}: {report:#}");
        let mark = if finding["level"] == "wrong" { "✘" } else { "!" };
        let (message, remedy) = (finding["message"].as_str().unwrap(), finding["remedy"].as_str());
        let remedy = code(remedy.unwrap_or_default());
        format!("| {what} | `{word}` | {mark} {} | {remedy} |\n", cell(message))
    };
    let rows: Vec<String> = thread::scope(|scope| {
        let halves = faults.chunks(faults.len().div_ceil(4));
        let running: Vec<_> =
            halves.map(|half| scope.spawn(|| half.iter().map(row).collect::<String>())).collect();
        running.into_iter().map(|half| half.join().unwrap()).collect()
    });
    format!("| fault | finding | what `check` says | what mends it |\n|---|---|---|---|\n{}", rows.concat())
}

#[test]
fn each_fault_of_a_cluster_is_found() {
    let rows = table(&["check"], &Recording::cluster(), &super::cluster_faults::faults());
    page::holds("check.md", "faults of a cluster", &rows);
}

#[test]
fn each_fault_of_a_pod_is_found() {
    let rows = table(&["check", "nginx", "-n", "imds-test"], &Recording::pod(), &super::pod_faults::faults());
    page::holds("check.md", "faults of a Pod", &rows);
}

#[test]
fn a_service_that_is_absent_is_told_once() {
    let mut faults = super::cluster_faults::faults().into_iter();
    let absent = faults.find(|fault| fault.word == "service_absent").unwrap();
    let (_, report) = findings(&absent.recording, &["check"]);
    assert!(with_word(&report, "not_answered").is_none(), "{report:#}");
}

#[test]
fn the_documentation_shows_what_it_says() {
    let run = super::cluster_faults::for_a_transcript().run(&["check"]);
    assert_eq!(run.code, Some(1), "{run:?}");
    page::holds("check.md", "check", &transcript("kubectl imds check", &run.stdout));
    let run = super::pod_faults::for_a_transcript().run(&["check", "stranger", "-n", "imds-test"]);
    assert_eq!(run.code, Some(1), "{run:?}");
    page::holds(
        "check.md",
        "check POD",
        &transcript("kubectl imds check stranger -n imds-test", &run.stdout),
    );
}

#[test]
fn where_all_is_well_each_line_says_so() {
    let run = Recording::cluster().run(&["check"]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{run:?}");
    let mut lines: Vec<&str> = run.stdout.lines().collect();
    let last = lines.pop().unwrap();
    assert!(lines.iter().all(|line| line.starts_with("✔ ")), "{}", run.stdout);
    assert_eq!(last, format!("{} well", lines.len()));
    let (_, report) = findings(&Recording::cluster(), &["check"]);
    assert_eq!((report["outcome"].as_str(), &report["pod"]), (Some("well"), &Value::Null));
}

#[test]
fn it_is_read_only_and_goes_where_kubectl_goes() {
    let flags = ["--context", "other", "--as", "jane", "--as-group", "readers", "--kubeconfig", "/k"];
    for (recording, arguments) in [
        (Recording::cluster(), ["check"].as_slice()),
        (Recording::pod(), ["check", "nginx", "-n", "imds-test"].as_slice()),
        (Recording::denied(), ["explain", "stranger", "-n", "imds-test"].as_slice()),
    ] {
        let run = recording.run(&[arguments, &flags].concat());
        for call in run.asked.lines() {
            let call = call.strip_prefix("--kubeconfig=/k --context=other --as=jane --as-group=readers ");
            let words = call.unwrap_or_else(|| panic!("{:?}", run.asked));
            let reads = ["get ", "logs ", "config view "].iter().any(|verb| words.starts_with(verb));
            assert!(reads || words.starts_with("create --dry-run=server "), "{words}");
        }
        let commands = run.stdout.lines().filter(|line| line.trim_start().starts_with("kubectl"));
        for command in commands {
            assert!(command.contains("--context other"), "{command}");
        }
    }
}

#[test]
fn where_nothing_can_be_looked_at_it_says_why_and_ends_with_2() {
    let refused =
        "The connection to the server 127.0.0.1:6443 was refused - did you specify the right host or port?";
    let mut unreachable = Recording::cluster();
    unreachable.fails("get --raw /version", refused);
    let mut slow = Recording::cluster();
    slow.hangs("get --raw /version");
    let mut unknown = Recording::pod();
    unknown.fails("get pod nginx", "Error from server (NotFound): pods \"nginx\" not found");
    for (recording, arguments, expected) in [
        (&unreachable, ["check"].as_slice(), refused),
        (&slow, ["check", "--timeout", "1"].as_slice(), "no answer within 1 s (--timeout)"),
        (&unknown, ["check", "nginx", "-n", "imds-test"].as_slice(), "pods \"nginx\" not found"),
        (&unknown, ["explain", "nginx", "-n", "imds-test"].as_slice(), "pods \"nginx\" not found"),
    ] {
        let run = recording.run(arguments);
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{run:?}");
        assert!(run.stderr.contains(expected), "{}", run.stderr);
    }
    let run = super::recording::program().args(["check", "--kubectl", "/nowhere/kubectl"]).output().unwrap();
    let stderr = String::from_utf8(run.stderr).unwrap();
    assert_eq!(run.status.code(), Some(2));
    assert!(stderr.contains("install kubectl, or say where it is with --kubectl FILE"), "{stderr}");
}

/// The resources and verbs of kubectl's arguments, as RBAC has them.
fn right(call: &str) -> Option<(String, &'static str)> {
    let words: Vec<&str> = call.split(' ').collect();
    Some(match words.as_slice() {
        ["config", ..] => return None,
        ["create", ..] => ("pods".to_owned(), "create"),
        ["logs", ..] => ("pods/log".to_owned(), "get"),
        ["get", "--raw", path] if path.contains("/proxy/") => ("pods/proxy".to_owned(), "get"),
        ["get", "--raw", path] => ((*path).to_owned(), "get"),
        ["get", resource, rest @ ..] => {
            let resource = resource.split('.').next().unwrap().trim_end_matches('s');
            (format!("{resource}s"), if rest[0].starts_with("--") { "list" } else { "get" })
        }
        _ => panic!("{call}"),
    })
}

#[test]
fn the_rights_of_the_documentation_are_those_that_it_takes() {
    let documentation = include_str!("../../../../docs/check.md");
    let (_, yaml) = documentation.split_once("```yaml\n").unwrap();
    let role: Value = serde_yaml_ng::from_str(yaml.split_once("```").unwrap().0).unwrap();
    let has = |rule: &Value, list: &str, word: &str| {
        rule[list].as_array().is_some_and(|words| words.iter().any(|known| known == word))
    };
    for (recording, arguments) in [
        (Recording::cluster(), ["check"].as_slice()),
        (Recording::pod(), ["check", "nginx", "-n", "imds-test"].as_slice()),
        (Recording::denied(), ["explain", "stranger", "-n", "imds-test"].as_slice()),
    ] {
        for (resource, verb) in recording.run(arguments).asked.lines().filter_map(right) {
            let list = if resource.starts_with('/') { "nonResourceURLs" } else { "resources" };
            let mut rules = role["rules"].as_array().unwrap().iter();
            let given = rules.any(|rule| has(rule, list, &resource) && has(rule, "verbs", verb));
            assert!(given, "{verb} {resource} is not in docs/check.md");
        }
    }
}

/// Who may look at one namespace alone.
#[test]
fn what_one_may_not_read_is_said_and_the_rest_is_looked_at() {
    let mut recording = Recording::cluster();
    let forbidden = |what: &str| {
        format!(
            "Error from server (Forbidden): {what} is forbidden: User \"jane\" cannot list resource \"{what}\" in API group \"\" at the cluster scope"
        )
    };
    for what in ["get mutatingwebhookconfigurations", "get namespaces", "get secret"] {
        recording.fails(what, &forbidden(what.trim_start_matches("get ")));
    }
    let (run, report) = findings(&recording, &["check"]);
    assert_eq!(run.code, Some(2), "{report:#}");
    assert_eq!(report["outcome"], "unseen");
    assert!(with_word(&report, "pods").is_some(), "{report:#}");
    let forbidden = with_word(&report, "forbidden").unwrap();
    let message = forbidden["message"].as_str().unwrap();
    assert!(message.contains("the MutatingWebhookConfigurations, the namespaces"), "{message}");
    assert!(forbidden["remedy"].as_str().unwrap().contains("docs/check.md"), "{forbidden}");
}

#[test]
fn a_wrong_command_line_ends_with_64() {
    for arguments in [["check", "deployment/web"].as_slice(), &["check", "-o", "yaml"], &["check", "a", "b"]]
    {
        let run = super::recording::program().args(arguments).output().unwrap();
        assert_eq!(run.status.code(), Some(64), "{arguments:?}");
    }
}
