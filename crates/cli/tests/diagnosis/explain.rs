//! `explain`: what it takes, what it prints, and what it never prints.

use std::io::Write as _;
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::page::{self, transcript};
use super::recording::{ISSUER, Recording, now, program};

pub const ROLE: &str = "arn:aws:iam::210987654321:role/my-app";
pub const DENIED: &str = "AccessDenied: Not authorized to perform sts:AssumeRoleWithWebIdentity";

/// The program, with this on stdin: its exit code, stdout and stderr.
fn explain(arguments: &[&str], stdin: &str) -> (Option<i32>, String, String) {
    let mut command = program();
    command.arg("explain").args(arguments);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A program that refuses its arguments reads nothing.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

pub fn said(arguments: &[&str], stdin: &str) -> String {
    let (code, stdout, stderr) = explain(arguments, stdin);
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{arguments:?}: {stdout}");
    stdout
}

/// A token as kubelet projects it, with a signature that is none.
pub fn token(change: impl FnOnce(&mut Value)) -> String {
    let seconds = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let mut claims = json!({
        "iss": ISSUER, "sub": "system:serviceaccount:shop:web", "aud": ["sts.amazonaws.com"],
        "exp": seconds(now() + Duration::from_hours(20) + Duration::from_mins(1)), "nbf": seconds(now()) - 60,
        "kubernetes.io": {"namespace": "shop", "serviceaccount": {"name": "web"}},
    });
    change(&mut claims);
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    [part("{\"alg\":\"RS256\",\"kid\":\"x\"}"), part(&claims.to_string()), part("a signature of its own")]
        .join(".")
}

/// One part of a trust, as the program judges it: the mark and the text.
pub fn part<'a>(stdout: &'a str, name: &str) -> (&'a str, &'a str) {
    let lines = stdout.lines().skip_while(|line| *line != "Part by part").skip(1);
    let mut parts = lines.take_while(|line| !line.is_empty()).filter_map(|line| line.split_once(' '));
    let found =
        parts.find_map(|(mark, rest)| Some((mark, rest.strip_prefix(name)?.strip_prefix(' ')?.trim())));
    found.unwrap_or_else(|| panic!("no {name} in {stdout}"))
}

#[test]
fn the_documentation_shows_what_it_says() {
    let run = Recording::denied().with_public_issuer().run(&["explain", "stranger", "-n", "imds-test"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    page::holds(
        "explain.md",
        "explain POD",
        &transcript("kubectl imds explain stranger -n imds-test", &run.stdout),
    );
}

/// The JSON after a heading.
pub fn policy(stdout: &str, heading: &str) -> Value {
    let (_, rest) = stdout.split_once(heading).unwrap_or_else(|| panic!("no {heading} in {stdout}"));
    let mut values = serde_json::Deserializer::from_str(&rest[rest.find('{').unwrap()..]).into_iter();
    values.next().unwrap().unwrap()
}

#[test]
fn the_trust_policy_is_that_of_the_token() {
    let stdout = said(&["--token-file", "-", "--role-arn", ROLE], &token(|_| {}));
    let statement = json!({
        "Effect": "Allow",
        "Principal": {"Federated": "arn:aws:iam::210987654321:oidc-provider/oidc.example.com/my-cluster"},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {"StringEquals": {
            "oidc.example.com/my-cluster:aud": "sts.amazonaws.com",
            "oidc.example.com/my-cluster:sub": "system:serviceaccount:shop:web",
        }},
    });
    assert_eq!(policy(&stdout, "(statement.json)"), statement);
    assert!(part(&stdout, "expiry").1.ends_with(", in 20 h"), "{stdout}");
}

#[test]
fn a_further_role_gets_a_trust_policy_and_a_permission() {
    let mut pod = Recording::chained();
    pod.refuses(
        "STS answered 403 AccessDenied: User: x is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::210987654321:role/first",
    );
    let run = pod.run(&["explain", "chained", "-n", "imds-test"]);
    let trust = policy(&run.stdout, "(statement.json)");
    assert_eq!(trust["Principal"]["AWS"], "arn:aws:iam::123456789012:role/my-example-role", "{run:?}");
    assert_eq!(trust["Condition"]["StringEquals"]["sts:ExternalId"], "Acme-42");
    let permission = &policy(&run.stdout, "(permission.json)")["Statement"][0];
    assert_eq!(permission["Resource"], "arn:aws:iam::210987654321:role/first");
}

/// A policy of another kind is mended where it is, and session tags by one more action.
#[test]
fn what_is_printed_is_of_the_policy_that_refuses() {
    let of_chain = |action: &str, because: &str| {
        format!(
            "AccessDenied: User: arn:aws:sts::123456789012:assumed-role/a/s is not authorized to perform: {action} on resource: {ROLE}{because}"
        )
    };
    let explained = |refusal: &str| said(&["--token-file", "-", "--error", refusal], &token(|_| {}));
    for policy in ["VPC endpoint policy", "service control policy", "permissions boundary", "session policy"]
    {
        let stdout = explained(&of_chain(
            "sts:AssumeRole",
            &format!(" because no {policy} allows the sts:AssumeRole action"),
        ));
        assert!(!stdout.contains("\"Effect\"") && !stdout.contains("aws iam update"), "{policy}: {stdout}");
    }
    let permission = explained(&of_chain(
        "sts:AssumeRole",
        " because no identity-based policy allows the sts:AssumeRole action",
    ));
    assert!(
        permission.contains("(permission.json)") && permission.contains("put-role-policy --role-name a"),
        "{permission}"
    );
    assert!(!permission.contains("(statement.json)"), "{permission}");
    let tagged = explained(&of_chain("sts:TagSession", ""));
    assert!(
        tagged.contains("\"sts:AssumeRole\",\n    \"sts:TagSession\"")
            && tagged.contains("update-assume-role-policy"),
        "{tagged}"
    );
}

#[test]
fn a_pod_that_is_well_has_nothing_to_explain() {
    let run = Recording::pod().run(&["explain", "nginx", "-n", "imds-test"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.stdout.contains("Its credentials are valid for 58 min more."), "{}", run.stdout);
    assert!(!run.stdout.contains("What it means"), "{}", run.stdout);
}

#[test]
fn a_pod_without_the_emulator_is_for_check() {
    let mut faults = super::pod_faults::faults().into_iter();
    let uninjected = faults.find(|fault| fault.word == "uninjected").unwrap();
    let run = uninjected.recording.run(&["explain", "nginx", "-n", "imds-test"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{run:?}");
    assert!(
        run.stderr.contains("has no emulator: kubectl imds check nginx -n imds-test says why"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_log_is_explained_from_stdin() {
    let line = "{\"level\":\"warn\",\"message\":\"can't get credentials: STS answered 403 AccessDenied: Not authorized to perform sts:AssumeRoleWithWebIdentity\",\"reason\":\"denied\",\"iss\":\"https://oidc.example.com/my-cluster\",\"sub\":\"system:serviceaccount:shop:web\",\"aud\":\"sts.amazonaws.com\"}\n";
    let stdout = said(&["--role-arn", ROLE], line);
    assert!(
        stdout.contains("\"oidc.example.com/my-cluster:sub\": \"system:serviceaccount:shop:web\""),
        "{stdout}"
    );
}

/// Neither a token, nor a part of one, nor what was taken for one.
#[test]
fn no_token_is_ever_printed() {
    let token = token(|_| {});
    let cut = token.get(..token.len() / 2).unwrap();
    let swapped = token.replacen('.', "!", 1);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    for shown in [token.as_str(), cut, &swapped, &format!("Bearer {token}"), &format!("{token}.{token}")] {
        std::fs::write(&file, shown).unwrap();
        for (arguments, stdin) in [
            (["--token-file", "-", "--error", DENIED].as_slice(), shown),
            (["--token-file", file.to_str().unwrap()].as_slice(), ""),
            // Given by mistake.
            ([].as_slice(), shown),
            (
                ["--error", &format!("AccessDenied: WebIdentityToken={shown}&Version=2011-06-15")].as_slice(),
                "",
            ),
        ] {
            let (code, stdout, stderr) = explain(arguments, stdin);
            assert!([Some(0), Some(1)].contains(&code), "{stdout}{stderr}");
            for secret in token.split('.') {
                assert!(
                    !stdout.contains(secret) && !stderr.contains(secret),
                    "{arguments:?}: {stdout}{stderr}"
                );
            }
        }
    }
}

#[test]
fn the_exit_code_tells_whether_there_was_an_explanation() {
    for (arguments, stdin, code, expected) in [
        (["--error", "all is fine"].as_slice(), "", 1, "no failure that is known here"),
        (&["--token-file", "-"], "no token", 1, "stdin holds no token"),
        (&["--token-file", "/nowhere"], "", 1, "cannot read /nowhere"),
        (&["web", "--token-file", "-"], "", 64, "cannot be used with"),
        (&["--role-arn", "my-role"], "", 64, "--role-arn"),
        (&["web", "--kubectl", "/nowhere"], "", 2, "install kubectl"),
    ] {
        let (ended, stdout, stderr) = explain(arguments, stdin);
        assert_eq!((ended, stdout.as_str()), (Some(code), ""), "{arguments:?}: {stderr}");
        assert!(stderr.contains(expected), "{arguments:?}: {stderr}");
    }
}
