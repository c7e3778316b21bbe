//! `kubectl-imds inject` as a person has it: the program, its streams and its exit codes.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde::Deserialize as _;
use serde_json::Value;

const POD: &str = include_str!("../../../examples/pod.yaml");
const OTHER: &str = "# not ours\nkind: ConfigMap\ndata:   {mode: 'yes'}";
const REFUSED: &str = "kind: Pod\nmetadata:\n  name: no-role\n  labels: {gkemulticloud.googleapis.com/aws-imds-emulator-enabled: 'True'}\nspec: {containers: [{name: app}]}\n";

struct Run {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

fn inject(arguments: &[&str], stdin: &[u8]) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-imds"));
    command.arg("inject").args(arguments);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A program that refuses its arguments reads nothing.
    let _ = child.stdin.take().unwrap().write_all(stdin);
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Run { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// The documents, read by a parser of others.
fn documents(text: &str) -> Vec<Value> {
    serde_yaml_ng::Deserializer::from_str(text)
        .map(|document| Value::deserialize(document).unwrap())
        .collect()
}

#[test]
fn every_golden_case_gives_what_the_library_gives() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("../inject/tests/golden");
    let mut injected = 0;
    for folder in fs::read_dir(cases).unwrap().map(|entry| entry.unwrap().path()) {
        let read = |name: &str| fs::read_to_string(folder.join(name));
        let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
        let server = read("server-version.txt").ok();
        let (input, settings) = (path("input.yaml"), path("settings.yaml"));
        let mut arguments = vec!["--skip-refused", "-f", &input, "--settings", &settings];
        arguments
            .extend(server.as_deref().map(|version| ["--server-version", version.trim()]).iter().flatten());
        let run = inject(&arguments, b"");
        assert_eq!(run.code, Some(0), "{}: {}", folder.display(), run.stderr);
        let text = read("input.yaml").unwrap();
        match read("expected.yaml") {
            Ok(expected) => {
                injected += 1;
                assert_eq!(documents(&run.stdout), documents(&expected), "{}", folder.display());
                assert!(!run.stderr.contains("written anew"), "{}: {}", folder.display(), run.stderr);
                let comment = text.lines().next().unwrap();
                assert_eq!(run.stdout.lines().next(), Some(comment), "{}", folder.display());
            }
            Err(_) => assert_eq!(run.stdout, text, "{}", folder.display()),
        }
        // The sentences of the decisions, as recorded.
        for line in read("report.txt").unwrap().lines() {
            let sentence = match line.strip_prefix("  warning ") {
                Some(warning) => warning.split_once(": ").map(|(_, sentence)| sentence),
                None => line
                    .split_once(": left as it is: ")
                    .or_else(|| line.split_once(": refused: "))
                    .map(|(_, reason)| reason),
            };
            assert!(
                run.stderr.contains(sentence.unwrap_or_default()),
                "{}: {line}\n{}",
                folder.display(),
                run.stderr
            );
        }
    }
    assert!(injected >= 50, "cases are missing: {injected}");
}

#[test]
fn folders_files_and_stdin_become_one_stream() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("a.yaml"), OTHER).unwrap();
    fs::write(path("b.json"), serde_json::to_string_pretty(&documents(POD)[0]).unwrap()).unwrap();
    fs::create_dir(path("deep")).unwrap();
    fs::write(path("deep/c.yml"), POD).unwrap();
    let all = folder.path().to_str().unwrap();
    let run = inject(
        &["-f", all, "-f", "-", "--recursive", "--skip-refused", "--image", "registry.example/imds:1"],
        REFUSED.as_bytes(),
    );
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.stdout.starts_with(&format!("{OTHER}\n---\n{{\n")), "{}", run.stdout);
    assert!(run.stdout.ends_with(&format!("---\n{REFUSED}")), "{}", run.stdout);
    let documents = documents(&run.stdout);
    assert_eq!(documents.len(), 4);
    assert_eq!(documents[1], documents[2], "the same Pod as JSON and as YAML");
    assert_eq!(documents[1]["spec"]["initContainers"][0]["image"], "registry.example/imds:1");
    let lines: Vec<&str> = run.stderr.lines().collect();
    for (line, expected) in lines.iter().zip([
        "b.json, document 1: injected pod/nginx in default: role arn:aws:iam::123456789012:role/my-example-role",
        "c.yml, document 1: injected pod/nginx in default",
        "stdin, document 1: refused pod/no-role in default: the annotation",
    ]) {
        assert!(line.contains(expected), "{line}");
    }
    assert_eq!(lines.len(), 3, "{}", run.stderr);
}

#[test]
fn a_refused_workload_is_an_error_and_nothing_is_printed() {
    let other = REFUSED.replace("no-role", "also-no-role").replace("spec: {", "spec: {hostNetwork: true, ");
    let stream = format!("{POD}---\n{REFUSED}---\n{other}");
    for further in [&[][..], &["--dry-run"], &["--strict"]] {
        let run = inject(&[&["-f", "-", "--image", "i"], further].concat(), stream.as_bytes());
        assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""), "{further:?}: {}", run.stderr);
        let lines: Vec<&str> = run.stderr.lines().collect();
        for (line, expected) in lines.iter().zip([
            "stdin, document 1: injected pod/nginx in default: ",
            "stdin, document 2: refused pod/no-role in default: the annotation gkemulticloud.googleapis.com/aws-imds-emulator-role-arn is missing",
            "stdin, document 3: refused pod/also-no-role in default: with hostNetwork: true ",
            "kubectl-imds: nothing is printed: 2 workloads refused (--skip-refused ",
        ]) {
            assert!(line.starts_with(expected), "{line}");
        }
        assert_eq!(lines.len(), 4, "{}", run.stderr);
    }
    let skipped = inject(&["-f", "-", "--image", "i"], format!("{OTHER}\n---\n{POD}").as_bytes());
    assert_eq!(skipped.code, Some(0), "what is left as it is is not refused: {}", skipped.stderr);
}

#[test]
fn every_reason_of_every_file_is_reported_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("a.yaml"), REFUSED).unwrap();
    fs::write(path("b.yaml"), "a:\n\tb: 1\n").unwrap();
    fs::write(path("c.yaml"), format!("kind: List\nitems:\n- {}", REFUSED.trim_end().replace('\n', "\n  ")))
        .unwrap();
    let run = inject(&["-f", folder.path().to_str().unwrap(), "--image", "i"], b"");
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""));
    for expected in [
        "a.yaml, document 1: refused pod/no-role",
        "b.yaml: line 2: tabs",
        "c.yaml, document 1: refused pod/no-role",
        "nothing is printed: 1 file cannot be used; 2 workloads refused",
    ] {
        assert!(run.stderr.contains(expected), "{expected} is not in\n{}", run.stderr);
    }
}

#[test]
fn skip_refused_passes_on_what_is_refused_with_the_reason_on_stderr() {
    let stream = format!("{POD}---\n{REFUSED}");
    let run = inject(&["-f", "-", "--image", "i", "--skip-refused"], stream.as_bytes());
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.stdout.ends_with(&format!("---\n{REFUSED}")), "{}", run.stdout);
    assert!(run.stderr.contains("document 2: refused pod/no-role"), "{}", run.stderr);
    let both = inject(&["-f", "-", "--image", "i", "--skip-refused", "--strict"], stream.as_bytes());
    assert_eq!((both.code, both.stdout.as_str()), (Some(64), ""), "{}", both.stderr);
}

#[test]
fn strict_makes_every_warning_an_error() {
    let near_miss = REFUSED.replace("'True'", "'true'");
    let rollout = "apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {name: web}\nspec:\n  template:\n    metadata:\n      labels: {gkemulticloud.googleapis.com/aws-imds-emulator-enabled: 'True'}\n";
    for (stream, warning) in [
        (near_miss.as_str(), "document 1: warning pod/no-role in default: the label"),
        (
            rollout,
            "document 1: warning web: gkemulticloud.googleapis.com/aws-imds-emulator-enabled is at spec.template.metadata.labels, and nothing is injected into a Rollout (argoproj.io/v1alpha1)",
        ),
    ] {
        let lenient = inject(&["-f", "-", "--image", "i"], stream.as_bytes());
        assert_eq!((lenient.code, lenient.stdout.as_str()), (Some(0), stream), "{}", lenient.stderr);
        assert!(lenient.stderr.contains(warning), "{}", lenient.stderr);
        let strict = inject(&["-f", "-", "--image", "i", "--strict"], stream.as_bytes());
        assert_eq!((strict.code, strict.stdout.as_str()), (Some(1), ""), "{}", strict.stderr);
        assert!(strict.stderr.contains(warning), "{}", strict.stderr);
        assert!(strict.stderr.contains("1 warning, which --strict makes errors"), "{}", strict.stderr);
    }
    let no_image = inject(&["-f", "-", "--strict"], POD.as_bytes());
    assert_eq!((no_image.code, no_image.stdout.as_str()), (Some(1), ""), "{}", no_image.stderr);
    let well = inject(&["-f", "-", "--image", "i", "--strict"], format!("{OTHER}\n---\n{POD}").as_bytes());
    assert_eq!(well.code, Some(0), "{}", well.stderr);
}

#[test]
fn an_image_or_namespace_that_no_cluster_takes_is_refused_with_the_accepted_form() {
    for image in ["", "UPPER CASE", "registry.example/Upper", "imds:", "imds@sha256:abc"] {
        let run = inject(&["-f", "-", "--image", image], POD.as_bytes());
        assert_eq!((run.code, run.stdout.as_str()), (Some(64), ""), "{image}: {}", run.stderr);
        assert!(run.stderr.contains("accepted: a reference to an image"), "{image}: {}", run.stderr);
    }
    for namespace in ["", "Shop", "a b", "-n", "a.b", &"a".repeat(64)] {
        let run = inject(&["-f", "-", "--image", "i", &format!("--namespace={namespace}")], POD.as_bytes());
        assert_eq!((run.code, run.stdout.as_str()), (Some(64), ""), "{namespace}: {}", run.stderr);
        assert!(run.stderr.contains("accepted: the name of a namespace"), "{namespace}: {}", run.stderr);
    }
    let settings = tempfile::NamedTempFile::new().unwrap();
    fs::write(settings.path(), "image: registry.example/Upper\n").unwrap();
    let run = inject(&["-f", "-", "--settings", settings.path().to_str().unwrap()], POD.as_bytes());
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""));
    assert!(run.stderr.contains("image: \"registry.example/Upper\" is not accepted"), "{}", run.stderr);
}

#[test]
fn a_dry_run_prints_a_patch_that_others_could_apply() {
    let run = inject(&["-f", "-", "--image", "i", "--dry-run"], format!("{OTHER}\n---\n{POD}").as_bytes());
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.stdout.starts_with("# stdin, document 2\n"), "{}", run.stdout);
    let [patch] = documents(&run.stdout).try_into().unwrap();
    let paths: Vec<&str> = patch.as_array().unwrap().iter().map(|op| op["path"].as_str().unwrap()).collect();
    assert!(paths.contains(&"/spec/initContainers/0") && paths.contains(&"/spec/volumes/-"), "{paths:?}");
    assert!(patch.as_array().unwrap().iter().all(|op| op["op"] == "add" && op.get("value").is_some()));
}

#[test]
fn what_cannot_be_used_fails_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("good.yaml"), POD).unwrap();
    fs::write(path("tab.yaml"), "a:\n\tb: 1\n").unwrap();
    fs::write(path("twice.yaml"), format!("{POD}kind: Pod\n")).unwrap();
    fs::write(path("latin.yaml"), [b"# \xe9\n", POD.as_bytes()].concat()).unwrap();
    let run =
        inject(&["-f", folder.path().to_str().unwrap(), "-f", &path("absent.yaml"), "--image", "i"], b"");
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""));
    for expected in [
        "tab.yaml: line 2: tabs",
        "twice.yaml: line 14: the key \"kind\" is here twice",
        "latin.yaml: line 1: this is not UTF-8",
        "cannot read",
        "injected pod/nginx",
    ] {
        assert!(run.stderr.contains(expected), "{expected} is not in\n{}", run.stderr);
    }
}

#[test]
fn a_file_without_injection_is_printed_byte_for_byte_whatever_its_encoding() {
    let utf16: Vec<u8> =
        "\u{feff}kind: ConfigMap\r\ndata: {a: é}\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (bytes, warning) in [
        (utf16.as_slice(), ""),
        (
            b"# caf\xe9\nkind: ConfigMap\n",
            "stdin: warning: line 1: this is not UTF-8; kubectl reads U+FFFD instead\n",
        ),
        (b"{\"kind\": \"ConfigMap\"}{\"a\": \"\\/\"}", ""),
    ] {
        let mut program = Command::new(env!("CARGO_BIN_EXE_kubectl-imds"));
        program.args(["inject", "-f", "-", "--image", "i"]);
        let mut child =
            program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(bytes).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(
            (output.stdout.as_slice(), String::from_utf8_lossy(&output.stderr).as_ref()),
            (bytes, warning)
        );
    }
}

#[test]
fn utf_16_is_injected_and_printed_as_utf_8() {
    let utf16: Vec<u8> = format!("\u{feff}{POD}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    let run = inject(&["-f", "-", "--image", "i"], &utf16);
    assert_eq!(run.stdout, inject(&["-f", "-", "--image", "i"], POD.as_bytes()).stdout, "{}", run.stderr);
    assert!(run.stdout.contains("serviceAccountToken"), "{}", run.stdout);
}

#[test]
fn a_byte_that_is_not_utf_8_stops_its_own_document_alone() {
    let stream = [b"# caf\xe9\nkind: ConfigMap\n---\n", POD.as_bytes()].concat();
    let run = inject(&["-f", "-", "--image", "i"], &stream);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.stdout.starts_with("# caf\u{fffd}\nkind: ConfigMap\n---\n"), "{}", run.stdout);
    assert!(run.stderr.starts_with("stdin: warning: line 1: this is not UTF-8; "), "{}", run.stderr);
    assert!(run.stdout.contains("serviceAccountToken"), "{}", run.stdout);
    let strict = inject(&["-f", "-", "--image", "i", "--strict"], &stream);
    assert_eq!((strict.code, strict.stdout.as_str()), (Some(1), ""), "{}", strict.stderr);
}

#[test]
fn escape_sequences_of_a_file_do_not_reach_the_terminal() {
    let hostile = r"x\e[31mRED\e]0;own\a";
    let shown = r"x\u001b[31mRED\u001b]0;own\u0007";
    let named = POD.replace("name: nginx", &format!("name: \"{hostile}\""));
    let refused = named.replace("spec:\n", "spec:\n hostNetwork: yes\n");
    for (stream, code) in [(&named, 0), (&refused, 1)] {
        let run = inject(&["-f", "-", "--image", "i"], stream.as_bytes());
        assert_eq!(run.code, Some(code), "{}", run.stderr);
        assert!(run.stderr.contains(shown) && !run.stderr.contains(['\u{1b}', '\u{7}']), "{:?}", run.stderr);
    }
    let twice =
        inject(&["-f", "-", "--image", "i"], format!("\"{hostile}\": 1\n\"{hostile}\": 2\n").as_bytes());
    assert!(twice.stderr.contains("is here twice"), "{}", twice.stderr);
    assert!(!twice.stderr.contains(['\u{1b}', '\u{7}']), "{:?}", twice.stderr);
}

#[test]
fn wrong_usage_is_told_from_failure() {
    for arguments in [&[][..], &["-f"], &["-f", "-", "--server-version", "new"], &["--stict"]] {
        assert_eq!(inject(arguments, b"").code, Some(64), "{arguments:?}");
    }
    let run = inject(&["-f", "-", "--settings", "/nowhere.yaml"], b"");
    assert_eq!(run.code, Some(1), "{}", run.stderr);
}

#[test]
fn without_an_image_the_local_one_is_taken_and_told() {
    let run = inject(&["-f", "-"], POD.as_bytes());
    assert_eq!(run.code, Some(0));
    assert!(run.stderr.starts_with("warning: no --image"), "{}", run.stderr);
    assert!(run.stdout.contains("image: localhost/imds-emulator:dev\n"));
}

#[test]
fn the_server_version_decides_on_the_form_of_the_sidecar() {
    for (version, containers) in [("1.24", 2), ("v1.31.4-gke.1", 2), ("1.32", 1)] {
        let run = inject(&["-f", "-", "--image", "i", "--server-version", version], POD.as_bytes());
        let pod = &documents(&run.stdout)[0];
        assert_eq!(pod["spec"]["containers"].as_array().unwrap().len(), containers, "{version}");
    }
}
