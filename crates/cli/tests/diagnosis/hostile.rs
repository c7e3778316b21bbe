//! Text of the lesser trusted: a Pod's log and spec, STS's answers, objects of the cluster. None of it is a command, and none of it
//! is more than a part of a line.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::explain::{DENIED, ROLE, policy, said, token};
use super::pod_faults::with_status;
use super::recording::{ISSUER, Recording, named, program};

/// What a shell runs, or a command's parser takes for a flag.
const SHELL: [&str; 8] = [
    ";touch PWNED;#",
    "$(touch PWNED)",
    "`touch PWNED`",
    "&touch PWNED&",
    "'\"; touch PWNED; '",
    "\ntouch PWNED\n",
    " --debug PWNED",
    "|touch PWNED",
];

/// What a terminal obeys or hides, and a line that looks like ours.
const TERMINAL: &str = "\u{1b}]0;T\u{7}\u{1b}[2J\u{9b}31m\u{202e}\u{200b}\r\n✔ all is well [pod]\n    kubectl delete namespace shop\t";

/// The lines of a section, or of remedies: what a person would paste.
fn commands(stdout: &str) -> String {
    let is_command = |line: &&str| {
        let line = line.trim_start();
        ["aws ", "curl ", "diff ", "helm ", "jq ", "kubectl ", "openssl ", "#"]
            .iter()
            .any(|word| line.starts_with(word))
    };
    stdout.lines().filter(is_command).flat_map(|line| [line.trim_start(), "\n"]).collect()
}

/// Pastes them into a shell in which every program is one that does nothing.
fn paste(commands: &str) {
    let folder = tempfile::tempdir().unwrap();
    let bin = folder.path().join("bin");
    fs::create_dir(&bin).unwrap();
    for program in ["aws", "curl", "diff", "helm", "jq", "kubectl", "openssl"] {
        fs::write(bin.join(program), "#!/bin/sh\nexit 0\n").unwrap();
        fs::set_permissions(bin.join(program), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let work = folder.path().join("work");
    fs::create_dir(&work).unwrap();
    // `touch` is there, so that what would run runs.
    let path = format!("{}:/usr/bin:/bin", bin.display());
    let output =
        Command::new("sh").args(["-c", commands]).current_dir(&work).env("PATH", path).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!has_pwned(&work), "{commands}");
    assert!(!stderr.contains("not found") && !stderr.contains("yntax error"), "{commands}: {stderr}");
}

fn has_pwned(folder: &Path) -> bool {
    fs::read_dir(folder).unwrap().any(|entry| entry.unwrap().file_name().to_string_lossy().contains("PWNED"))
}

/// A log line of the emulator, as anything in the Pod may write it.
fn line(message: &str, reason: &str, fields: &Value) -> String {
    let mut line =
        json!({"level": "warn", "message": format!("can't get credentials: {message}"), "reason": reason});
    for (name, value) in fields.as_object().unwrap() {
        line[name] = value.clone();
    }
    format!("{line}\n")
}

/// The Pod `stranger` of a cluster with a published issuer, whose log says this.
fn logging(log: &str) -> Recording {
    let mut pod = Recording::denied().with_public_issuer();
    pod.says("--container=aws-imds-emulator --tail", log);
    pod.fails(
        "/proxy/startupz",
        "Error from server (ServiceUnavailable): the server is currently unable to handle the request",
    );
    pod
}

fn explain(recording: &Recording) -> String {
    let run = recording.run(&["explain", "stranger", "-n", "imds-test"]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{run:?}");
    run.stdout
}

const CAUSES: [(&str, &str); 6] = [
    ("STS answered 403 AccessDenied: Not authorized to perform sts:AssumeRoleWithWebIdentity", "denied"),
    ("InvalidIdentityToken: No OpenIDConnect provider found in your account for ", "invalid_token"),
    ("InvalidIdentityToken: Incorrect token audience ", "invalid_token"),
    (
        "InvalidIdentityToken: OpenIDConnect provider's HTTPS certificate doesn't match configured thumbprint ",
        "invalid_token",
    ),
    ("IDPCommunicationError: ", "idp_unreachable"),
    (
        "ValidationError: The requested DurationSeconds exceeds the MaxSessionDuration set for this role ",
        "invalid_request",
    ),
];

#[test]
fn no_text_of_a_pods_log_is_in_a_command() {
    for shell in SHELL {
        for (message, reason) in CAUSES {
            let issuer = format!("https://oidc.example.com/id/1{shell}");
            let fields =
                json!({"iss": issuer, "sub": format!("system:serviceaccount:shop:web{shell}"), "aud": shell});
            let log = line(&format!("{message}{issuer}"), reason, &fields);
            let stdout = explain(&logging(&log));
            let commands = commands(&stdout);
            assert!(!commands.is_empty() && !commands.contains("PWNED"), "{stdout}");
            paste(&commands);
            // The same text, pasted by a person: nothing is known beside it.
            let stdout = said(&["--role-arn", ROLE], &log);
            let commands = self::commands(&stdout);
            assert!(!commands.contains("PWNED"), "{stdout}");
            paste(&commands);
            if let Some((_, rest)) = stdout.split_once("(statement.json)\n") {
                let statement = rest.split("\n\n").next().unwrap();
                assert!(!statement.contains("PWNED"), "{statement}");
            }
        }
    }
}

#[test]
fn no_claim_of_a_token_is_a_command() {
    for shell in SHELL {
        for claim in ["iss", "sub", "aud"] {
            for refusal in CAUSES.map(|(refusal, _)| refusal) {
                let token =
                    token(|claims| claims[claim] = json!(format!("https://oidc.example.com/{shell}")));
                let stdout = said(&["--token-file", "-", "--role-arn", ROLE, "--error", refusal], &token);
                let commands = commands(&stdout);
                assert!(!commands.contains("PWNED"), "{stdout}");
                paste(&commands);
            }
        }
    }
}

/// A text is all that is known: what is above it says so, and the role is the one that was refused.
#[test]
fn what_a_text_alone_names_is_marked_as_that() {
    let note = "Whom the statement trusts is known from this text alone";
    let chained = said(
        &[
            "--error",
            "AccessDenied: User: arn:aws:sts::123456789012:assumed-role/a/s is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::210987654321:role/b",
        ],
        "",
    );
    assert!(chained.contains(note) && !chained.contains("ROLE_NAME"), "{chained}");
    assert!(commands(&chained).contains("aws iam get-role --role-name b "), "{chained}");
    let fields = json!({"iss": ISSUER, "sub": "system:serviceaccount:shop:${x}"});
    let logged = said(&["--role-arn", ROLE], &line(DENIED, "denied", &fields));
    assert!(logged.contains(note) && logged.contains("Put in what stands in capitals"), "{logged}");
    assert!(
        logged.contains(
            "✘ subject          system:serviceaccount:shop:${x}: no service account has such a name"
        ),
        "{logged}"
    );
    let of_token = said(&["--token-file", "-", "--role-arn", ROLE, "--error", DENIED], &token(|_| {}));
    assert!(!of_token.contains(note), "{of_token}");
}

/// Without any trick of a shell.
#[test]
fn the_clusters_issuer_and_the_pods_account_go_before_what_its_log_says() {
    let fields = json!({"iss": "https://oidc.attacker.example/x", "sub": "system:serviceaccount:attacker:app", "aud": "attacker"});
    let stdout = explain(&logging(&line(DENIED, "denied", &fields)));
    assert_eq!(
        policy(&stdout, "(statement.json)")["Condition"]["StringEquals"],
        json!({
            "oidc.example.com/my-cluster:aud": "sts.amazonaws.com",
            "oidc.example.com/my-cluster:sub": "system:serviceaccount:imds-test:stranger",
        })
    );
    assert!(!commands(&stdout).contains("attacker"), "{stdout}");
    holds("explain-foreign-claims", &stdout);

    // Where the cluster does not say its issuer, the log's is not taken for it.
    let mut silent = logging(&line(DENIED, "denied", &fields));
    silent.fails(
        "openid-configuration",
        "Error from server (Forbidden): forbidden: User \"jane\" cannot get path \"/.well-known/openid-configuration\"",
    );
    let stdout = explain(&silent);
    let principal = &policy(&stdout, "(statement.json)")["Principal"]["Federated"];
    assert_eq!(principal, "arn:aws:iam::123456789012:oidc-provider/ISSUER");
    assert!(stdout.contains("! issuer           https://oidc.attacker.example/x, says the Pod's log; the cluster's own could not be read"), "{stdout}");
}

#[test]
fn a_role_that_only_the_log_names_is_trusted_by_nobody() {
    let evil = "arn:aws:iam::666666666666:role/evil";
    for message in [
        format!(
            "STS answered 403 AccessDenied: User: arn:aws:sts::666666666666:assumed-role/evil/s is not authorized to perform: sts:AssumeRole on resource: {evil}"
        ),
        format!(
            "role 2 of 3, {evil}: STS answered 403 AccessDenied: User: arn:aws:sts::666666666666:assumed-role/evil/s is not authorized to perform: sts:AssumeRole on resource: {evil}"
        ),
        format!("role 1 of 1, {evil}: STS answered 403 {DENIED}"),
    ] {
        let stdout = explain(&logging(&line(&message, "denied", &json!({}))));
        let (_, after) = stdout.split_once("account          ").unwrap();
        assert!(!after.contains("evil") && !after.contains("666666666666"), "{stdout}");
        assert!(stdout.contains(&format!("✘ role name        arn:aws:iam::123456789012:role/my-example-role: what the Pod asks for, but its log names {evil}")), "{stdout}");
    }
}

/// Each line begins as one of ours, and holds nothing that a terminal obeys.
fn is_ours(stdout: &str) {
    for line in stdout.lines() {
        assert!(line.chars().all(|c| !c.is_control() && !"\u{202e}\u{200b}".contains(c)), "{line:?}");
        assert!(!line.starts_with("✔ all is well") && !line.starts_with("    kubectl delete"), "{stdout}");
    }
}

/// In all that a Pod's author, its containers and the cluster write.
fn hostile_pod() -> Recording {
    let mut pod = Recording::pod();
    pod.edit("get pod nginx", |pod| {
        named(&mut pod["spec"]["containers"], "nginx")["env"] = json!([
            {"name": "AWS_EC2_METADATA_SERVICE_ENDPOINT", "value": format!("http://x/{TERMINAL}")},
        ]);
        pod["metadata"]["annotations"]["gkemulticloud.googleapis.com/aws-imds-emulator-rol-arn"] = json!("x");
        pod["metadata"]["annotations"]["gkemulticloud.googleapis.com/aws-imds-emulator-status"] =
            json!(format!("injected; interception=redirect; sidecar=classic{TERMINAL}"));
        pod["status"]["phase"] = json!(format!("Running{TERMINAL}"));
        let emulator = with_status(pod, "aws-imds-emulator");
        emulator["restartCount"] = json!(1);
        emulator["lastState"] = json!({"terminated": {"exitCode": 1, "reason": TERMINAL, "message": TERMINAL.replace('\n', " ")}});
    });
    pod.fails("/proxy/metrics", &format!("Error from server (ServiceUnavailable): {TERMINAL}"));
    pod
}

#[test]
fn what_a_pod_says_is_visible_and_forges_no_line() {
    let run = hostile_pod().run(&["check", "nginx", "-n", "imds-test"]);
    is_ours(&run.stdout);
    is_ours(&run.stderr);
    holds("check-pod", &run.stdout);
    let json = hostile_pod().run(&["check", "nginx", "-n", "imds-test", "-o", "json"]);
    is_ours(&json.stdout);
    let report: Value = serde_json::from_str(&json.stdout).unwrap();
    let messages: Vec<&str> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| finding["message"].as_str().unwrap())
        .collect();
    let expected =
        format!("container nginx: AWS_EC2_METADATA_SERVICE_ENDPOINT is http://x/{TERMINAL}: SDKs ask there");
    assert!(messages.contains(&expected.as_str()), "JSON means what was said: {messages:#?}");
}

#[test]
fn what_a_cluster_says_is_visible_and_no_command() {
    let hostile = |shell: &str| {
        let mut cluster = Recording::cluster();
        let name = format!("web{shell}{TERMINAL}");
        cluster.edit(
            "get pods --selector=gkemulticloud.googleapis.com/aws-imds-emulator-enabled=True",
            |list| {
                for pod in list["items"].as_array_mut().unwrap() {
                    pod["metadata"]["annotations"] = json!({});
                    pod["spec"]["initContainers"] = json!([]);
                    pod["metadata"]["ownerReferences"] =
                        json!([{"kind": "StatefulSet", "name": name, "controller": true}]);
                }
            },
        );
        cluster.edit("get mutatingwebhookconfigurations", |list| {
            list["items"][0]["metadata"]["name"] = json!(name);
            list["items"][0]["metadata"]["labels"] = json!({"app.kubernetes.io/instance": name});
            for webhook in list["items"][0]["webhooks"].as_array_mut().unwrap() {
                webhook["failurePolicy"] = json!("Ignore");
                webhook["objectSelector"] = json!({});
                webhook["rules"] = json!([]);
            }
        });
        cluster.says("openid-configuration", &json!({"issuer": format!("https://x{TERMINAL}")}).to_string());
        cluster.fails(
            "get events",
            &format!("Error from server (Forbidden): events is forbidden: User \"{TERMINAL}\" cannot list"),
        );
        cluster
    };
    for shell in SHELL {
        let run = hostile(shell).run(&["check"]);
        is_ours(&run.stdout);
        let commands = commands(&run.stdout);
        assert!(
            commands.contains("rollout restart statefulset/NAME") && !commands.contains("PWNED"),
            "{commands}"
        );
        paste(&commands);
    }
    holds("check-cluster", &hostile("").run(&["check"]).stdout);
}

#[test]
fn an_error_is_one_line_whatever_is_in_it() {
    let mut unknown = Recording::pod();
    unknown.fails("get pod nginx", &format!("Error from server (NotFound): pods \"{TERMINAL}\" not found"));
    for command in ["check", "explain"] {
        let run = unknown.run(&[command, "nginx", "-n", "imds-test"]);
        is_ours(&run.stderr);
        assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
    }
    for arguments in [
        vec!["check", TERMINAL],
        vec!["inject", "-f", "-", "--image", TERMINAL],
        vec!["inject", "-f", "-", "--namespace", TERMINAL],
        vec!["inject", "-f", TERMINAL],
        vec!["run", "-f", TERMINAL],
        vec!["explain", "--token-file", TERMINAL],
        vec!["explain", "--error", TERMINAL],
        vec![TERMINAL],
        vec!["check", "--output", TERMINAL],
    ] {
        let output = program().args(&arguments).stdin(std::process::Stdio::null()).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && !stderr.is_empty(), "{arguments:?}");
        is_ours(&stderr);
    }
}

#[test]
fn the_report_of_inject_is_a_line_for_each_workload() {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": format!("x{TERMINAL}"), "namespace": TERMINAL, "labels": {"gkemulticloud.googleapis.com/aws-imds-emulator-enabled": "True"}},
        "spec": {"containers": [{"name": "app"}]},
    });
    let mut injected = pod.clone();
    injected["metadata"]["annotations"] = json!({"gkemulticloud.googleapis.com/aws-imds-emulator-role-arn": "arn:aws:iam::123456789012:role/r"});
    let rollout = json!({"kind": format!("Rollout{TERMINAL}"), "apiVersion": TERMINAL, "spec": {"template": pod, TERMINAL: pod}});
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(format!("a{}.json", TERMINAL.replace('/', " ")));
    let text = format!("{pod}\n{injected}\n{rollout}\n");
    // As JSON's escapes: raw, YAML has none of these.
    let escaped =
        text.chars().map(|c| if c.is_ascii() { c.to_string() } else { format!("\\u{:04x}", u32::from(c)) });
    fs::write(&file, escaped.collect::<String>()).unwrap();
    let output = program()
        .args(["inject", "--image", "i", "--dry-run", "--skip-refused", "-f"])
        .arg(&file)
        .output()
        .unwrap();
    let (stdout, stderr) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    is_ours(&stderr);
    assert_eq!(stderr.lines().count(), 3, "{stderr}");
    let comments: Vec<&str> = stdout.lines().filter(|line| line.starts_with('#')).collect();
    assert_eq!(comments.len(), 1, "{stdout}");
    assert!(!stdout.contains("\n✔"), "{stdout}");
}

/// Nothing that builds on an issuer which AWS can't read.
#[test]
fn a_private_issuer_comes_first_and_nothing_is_built_on_it() {
    let private = "https://kubernetes.default.svc";
    let of_pod = |refusal: &str| {
        let mut pod = Recording::denied();
        pod.refuses(refusal);
        explain(&pod)
    };
    let of_token = |refusal: &str| {
        said(
            &["--token-file", "-", "--role-arn", ROLE, "--error", refusal],
            &token(|claims| claims["iss"] = json!(private)),
        )
    };
    for (refusal, _) in CAUSES.iter().filter(|(_, reason)| *reason != "invalid_request") {
        let refusal = format!("{refusal}{private}");
        for stdout in [
            of_pod(&format!("STS answered 403 {}", refusal.trim_start_matches("STS answered 403 "))),
            of_token(&refusal),
        ] {
            for built in [
                "statement.json",
                "trust.json",
                "create-open-id-connect-provider",
                "update-assume-role-policy",
                "oidc-provider/",
                "--fail https://kubernetes",
                "openssl",
            ] {
                assert!(!stdout.contains(built), "{built}: {stdout}");
            }
            assert!(stdout.contains("Publish the issuer first"), "{stdout}");
            assert!(
                stdout.contains("✘ issuer           https://kubernetes.default.svc: AWS can't read it"),
                "{stdout}"
            );
        }
    }
    // What does not build on it is still printed.
    let too_long = of_token(
        "ValidationError: The requested DurationSeconds exceeds the MaxSessionDuration set for this role",
    );
    assert!(too_long.contains("aws iam update-role --role-name my-app"), "{too_long}");
    let nothing_said =
        said(&["--token-file", "-", "--role-arn", ROLE], &token(|claims| claims["iss"] = json!(private)));
    assert!(!nothing_said.contains("aws iam"), "{nothing_said}");
    assert!(ISSUER.starts_with("https://"));
    holds(
        "explain-private-issuer",
        &of_pod("STS answered 403 AccessDenied: Not authorized to perform sts:AssumeRoleWithWebIdentity"),
    );
}

/// What is there for others is merged, never replaced unseen.
#[test]
fn no_command_replaces_what_others_use() {
    for (refusal, _) in CAUSES {
        let stdout = said(&["--token-file", "-", "--role-arn", ROLE, "--error", refusal], &token(|_| {}));
        let commands = commands(&stdout);
        if let Some((before, update)) = commands.split_once("aws iam update-assume-role-policy") {
            assert!(before.contains("aws iam get-role --role-name my-app --query Role.AssumeRolePolicyDocument --output json > trust.json"), "{commands}");
            assert!(update.lines().next().unwrap().ends_with("file://merged.json"), "{commands}");
        }
        assert!(!commands.contains("file://trust.json"), "{commands}");
        if let Some((_, list)) = commands.split_once("--thumbprint-list ") {
            assert!(list.starts_with("OLD THUMBPRINT"), "{commands}");
        }
    }
    // jq, where it is, merges a list and a single statement.
    let stdout = said(&["--token-file", "-", "--role-arn", ROLE, "--error", DENIED], &token(|_| {}));
    let merge = commands(&stdout).lines().find(|line| line.starts_with("jq '.Statement")).unwrap().to_owned();
    let folder = tempfile::tempdir().unwrap();
    let statement = policy(&stdout, "(statement.json)");
    fs::write(folder.path().join("statement.json"), statement.to_string()).unwrap();
    for (there, number) in [(json!([{"Sid": "a"}, {"Sid": "b"}]), 3), (json!({"Sid": "a"}), 2)] {
        fs::write(
            folder.path().join("trust.json"),
            json!({"Version": "2012-10-17", "Statement": there}).to_string(),
        )
        .unwrap();
        let run = Command::new("sh").args(["-c", &merge]).current_dir(folder.path()).output().unwrap();
        assert!(run.status.success(), "jq has to be installed for this test: {run:?}");
        let merged: Value =
            serde_json::from_str(&fs::read_to_string(folder.path().join("merged.json")).unwrap()).unwrap();
        let statements = merged["Statement"].as_array().unwrap();
        assert_eq!((statements.len(), statements.last().unwrap()), (number, &statement));
    }
}

/// Text that is kept in a file: compared, or written anew with `UPDATE_GOLDEN=1`.
fn holds(name: &str, text: &str) {
    let file = super::recording::folder().join("golden").join(format!("{name}.txt"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&file, text).unwrap();
    }
    let expected = fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(text, expected, "{}: run again with UPDATE_GOLDEN=1, and read the difference", file.display());
}
