//! `check`: each fault is found, and everything around the findings.

use std::thread;

use serde_json::{Value, json};

use super::cluster_faults::Cause;
use super::page::{self, cell, code, transcript};
use super::pod_faults::network_policies;
use super::recording::{NETWORK_POLICIES, NODE, NODES, Recording, Run};

/// Something that is wrong in a cluster, and the finding that tells of it.
pub struct Fault {
    pub what: &'static str,
    pub word: &'static str,
    pub recording: Recording,
    /// Further arguments of the command line.
    pub further: &'static [&'static str],
}

pub fn fault(
    word: &'static str,
    what: &'static str,
    mut recording: Recording,
    put: impl FnOnce(&mut Recording),
) -> Fault {
    put(&mut recording);
    Fault { what, word, recording, further: &[] }
}

/// Runs a check, and takes its findings from the JSON.
fn findings(recording: &Recording, arguments: &[&str]) -> (Run, Value) {
    let run = recording.run(&[arguments, &["-o", "json"]].concat());
    let report = serde_json::from_str(&run.stdout).unwrap_or_else(|_| panic!("{run:?}"));
    (run, report)
}

/// The finding of this word, also where it follows from another.
fn with_word<'a>(report: &'a Value, word: &str) -> Option<&'a Value> {
    let findings = report["findings"].as_array().unwrap().iter();
    let all = findings.flat_map(|one| std::iter::once(one).chain(one["consequences"].as_array().unwrap()));
    all.into_iter().find(|finding| finding["finding"] == word)
}

/// The words of all findings that are wrong, each with what follows from it.
fn wrong(report: &Value) -> Vec<(&str, Vec<&str>)> {
    let mut words = Vec::new();
    for finding in report["findings"].as_array().unwrap().iter().filter(|finding| finding["level"] == "wrong")
    {
        let following = finding["consequences"].as_array().unwrap().iter();
        words.push((
            finding["finding"].as_str().unwrap(),
            following.map(|one| one["finding"].as_str().unwrap()).collect(),
        ));
    }
    words
}

/// Each fault is found, and not where all is well; the exit code tells of it. Gives the documentation's table.
fn table(arguments: &[&str], well: &Recording, faults: &[Fault]) -> String {
    let (_, well) = findings(well, arguments);
    let row = |Fault { what, word, recording, further }: &Fault| {
        let (run, report) = findings(recording, &[arguments, further].concat());
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

/// Each is one thing that a person has to mend.
#[test]
fn one_cause_is_one_finding_with_what_follows_from_it() {
    for Cause { what, recording, word, following } in super::cluster_faults::causes() {
        let expected = (word, following);
        let (run, report) = findings(&recording, &["check"]);
        assert_eq!(wrong(&report), [expected], "{what}: {report:#}");
        assert_eq!((run.code, report["outcome"].as_str()), (Some(1), Some("wrong")), "{what}");
        let text = recording.run(&["check"]).stdout;
        assert_eq!(text.lines().filter(|line| line.starts_with('✘')).count(), 1, "{what}: {text}");
        assert!(text.contains("1 wrong"), "{what}: {text}");
    }
    let Cause { recording, .. } = super::cluster_faults::causes().into_iter().next().unwrap();
    let text = recording.run(&["check"]).stdout;
    let lines: Vec<&str> = text.lines().skip_while(|line| !line.starts_with('✘')).take(5).collect();
    assert_eq!(
        lines,
        [
            "✘ none of 2 replicas of deployment/imds-webhook in imds-system is ready: imds-webhook-7958ff86f-bn8b9: ImagePullBackOff: Back-off pulling image \"example.com/imds-emulator:1\" [replicas_none]",
            "    kubectl describe pods --namespace imds-system",
            "    → labelled Pods can't be created: the Service imds-webhook has no ready replica behind it [no_endpoints]",
            "    → caBundle of MutatingWebhookConfiguration imds-webhook is empty: the API server trusts no certificate of the webhook [bundle_empty]",
            "    → replicaset/web-7d4b9c in imds-test could not create a Pod, last 5 min ago: Error creating: Internal error occurred: failed calling webhook \"inject.imds-emulator.internal\": failed to call webhook: no endpoints available for service \"imds-webhook\" [refused_lately]",
        ]
    );
}

#[test]
fn an_absent_namespace_is_said_plainly() {
    let absent = super::cluster_faults::without_namespace();
    let (run, report) = findings(&absent, &["check", "-n", "nosuchns"]);
    assert_eq!(wrong(&report), [("namespace_absent", vec![])], "{report:#}");
    assert!(!run.asked.contains("create --dry-run"), "{}", run.asked);
    let text = report.to_string();
    assert!(!text.contains("refuses") && !text.contains("no Pod with the label"), "{report:#}");

    // Known from the dry run alone, where namespaces may not be read.
    let mut forbidden = Recording::cluster();
    forbidden.fails("get namespaces", "Error from server (Forbidden): namespaces is forbidden: User \"jane\" cannot list resource \"namespaces\"");
    forbidden.fails(
        "create --dry-run=server",
        "Error from server (NotFound): error when creating \"STDIN\": namespaces \"default\" not found",
    );
    let (_, report) = findings(&forbidden, &["check"]);
    assert_eq!(wrong(&report), [("namespace_absent", vec![])], "{report:#}");

    // Of a Pod.
    let not_found = "Error from server (NotFound): pods \"web\" not found";
    let mut pod = absent;
    pod.also("get pod web --output=json --namespace=nosuchns", "");
    pod.fails("get pod web --output=json --namespace=nosuchns", not_found);
    pod.also("get pod web --output=json", "");
    pod.fails("get pod web --output=json", not_found);
    for command in ["check", "explain"] {
        let run = pod.run(&[command, "web", "-n", "nosuchns"]);
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{run:?}");
        assert!(run.stderr.contains("there is no namespace nosuchns in this cluster"), "{}", run.stderr);
    }
    let mut of_context = pod;
    of_context
        .edit("config view", |config| config["contexts"][0]["context"]["namespace"] = json!("nosuchns"));
    for command in ["check", "explain"] {
        let run = of_context.run(&[command, "web"]);
        assert!(run.stderr.contains("there is no namespace nosuchns in this cluster"), "{}", run.stderr);
    }
}

#[test]
fn a_cloud_with_a_metadata_server_of_its_own_is_warned_of_where_it_is_hidden() {
    let (gce, azure) = ("gce://p/z/n", "azure:///subscriptions/0/x");
    for (nodes, interception, expected) in [
        (format!("{gce}\n{gce}\n"), "redirect", vec!["2 nodes are of Google Cloud"]),
        (format!("{gce}\n"), "address", vec!["1 node is of Google Cloud"]),
        (format!("{azure}\naws:///z/i-1\n"), "redirect", vec!["1 node is of Azure"]),
        (format!("{gce}\n{azure}\n"), "redirect", vec!["of Google Cloud", "of Azure"]),
        (format!("{gce}\n"), "endpoint", vec![]),
        ("aws:///z/i-1\n".to_owned(), "redirect", vec![]),
        ("\n\n".to_owned(), "redirect", vec![]),
    ] {
        let status = format!("injected; interception={interception}; sidecar=native");
        let mut cluster = Recording::cluster();
        cluster.says(NODES, &nodes);
        let annotation = "gkemulticloud.googleapis.com/aws-imds-emulator-status";
        cluster.edit("create --dry-run=server", |pod| {
            pod["metadata"]["annotations"][annotation] = json!(status);
        });
        let (run, report) = findings(&cluster, &["check"]);
        let found =
            report["findings"].as_array().unwrap().iter().filter(|one| one["finding"] == "metadata_hidden");
        let messages: Vec<&str> = found.map(|one| one["message"].as_str().unwrap()).collect();
        assert_eq!(messages.len(), expected.len(), "{nodes}: {messages:#?}");
        for (message, part) in messages.iter().zip(expected) {
            assert!(
                message.contains(part) && message.contains(&format!("interception {interception}")),
                "{message}"
            );
        }
        assert_eq!(run.code, Some(0), "a warning: {report:#}");

        let mut pod = Recording::pod();
        pod.says(NODE, nodes.lines().next().unwrap());
        pod.edit("get pod nginx", |pod| pod["metadata"]["annotations"][annotation] = json!(status));
        let (_, report) = findings(&pod, &["check", "nginx", "-n", "imds-test"]);
        assert_eq!(with_word(&report, "metadata_hidden").is_some(), !messages.is_empty(), "{report:#}");
    }
    // Without the right, that is said and the rest is looked at.
    let refusal = "Error from server (Forbidden): nodes is forbidden: User \"jane\" cannot list resource \"nodes\" in API group \"\" at the cluster scope";
    let mut cluster = Recording::cluster();
    cluster.fails(NODES, refusal);
    let mut pod = Recording::pod();
    pod.fails(NODE, refusal);
    for (recording, arguments) in
        [(cluster, ["check"].as_slice()), (pod, &["check", "nginx", "-n", "imds-test"])]
    {
        let (run, report) = findings(&recording, arguments);
        let forbidden = with_word(&report, "forbidden").unwrap_or_else(|| panic!("{report:#}"));
        assert!(forbidden["message"].as_str().unwrap().contains("the node"), "{forbidden}");
        assert_eq!((run.code, report["outcome"].as_str()), (Some(2), Some("unseen")), "{report:#}");
    }
}

#[test]
fn endpoint_is_warned_of_only_where_the_nodes_imds_may_be_reached() {
    let look = |change: &dyn Fn(&mut Recording)| {
        let mut pod = Recording::pod();
        super::pod_faults::with_endpoint_on_ec2(&mut pod);
        change(&mut pod);
        findings(&pod, &["check", "nginx", "-n", "imds-test"])
    };
    let closed = json!([{"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["169.254.169.254/32"]}}]}]);
    let (_, report) = look(&|pod| pod.says(NETWORK_POLICIES, &network_policies(&closed)));
    assert!(with_word(&report, "node_imds_open").is_none(), "{report:#}");
    assert!(with_word(&report, "node_imds_closed").is_some(), "{report:#}");

    for node in ["\n", "gce://p/z/n\n", "aws:///z/0-1/fargate-ip-10-0-0-1\n"] {
        let (run, report) = look(&|pod| pod.says(NODE, node));
        assert!(with_word(&report, "node_imds_open").is_none(), "{node}: {report:#}");
        assert!(!run.asked.contains("networkpolicies"), "{node}: {}", run.asked);
    }

    let refusal = "Error from server (Forbidden): networkpolicies.networking.k8s.io is forbidden: User \"jane\" cannot list resource \"networkpolicies\" in API group \"networking.k8s.io\" in the namespace \"imds-test\"";
    let (_, report) = look(&|pod| pod.fails(NETWORK_POLICIES, refusal));
    let open = with_word(&report, "node_imds_open").unwrap_or_else(|| panic!("{report:#}"));
    assert!(open["message"].as_str().unwrap().contains("the NetworkPolicies are not known"), "{open}");
    assert!(with_word(&report, "forbidden").is_some(), "{report:#}");
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
fn all_namespaces_are_looked_at_with_a_flag_or_without() {
    let cluster = Recording::cluster();
    let without = cluster.run(&["check"]);
    assert!(without.stdout.contains("of every namespace"), "{without:?}");
    for flag in ["-A", "--all-namespaces"] {
        let with = cluster.run(&["check", flag]);
        assert_eq!((with.code, with.stdout), (without.code, without.stdout.clone()), "{flag}");
    }
}

/// A `NetworkPolicy` or a network in between may keep the API server from the Pod: then nothing is known of the emulator.
#[test]
fn an_emulator_hangs_only_where_the_api_server_reaches_its_pod() {
    let mut unreached = Recording::pod();
    super::pod_faults::hangs(&mut unreached);
    unreached.hangs(super::pod_faults::CLOSED_PORT);
    unreached.says("--container=aws-imds-emulator --tail", "");
    let (run, report) = findings(&unreached, &["check", "nginx", "-n", "imds-test", "--timeout", "3"]);
    assert!(with_word(&report, "emulator_hangs").is_none(), "{report:#}");
    assert!(with_word(&report, "not_answered").is_some(), "{report:#}");
    assert_eq!(run.code, Some(2), "{report:#}");
}

#[test]
fn a_restart_of_the_whole_pod_is_none_of_the_emulator() {
    let mut pod = Recording::pod();
    super::pod_faults::restarts_as_a_whole(&mut pod);
    let (run, report) = findings(&pod, &["check", "nginx", "-n", "imds-test"]);
    assert!(with_word(&report, "restarted_with_pod").is_some(), "{report:#}");
    assert!(with_word(&report, "emulator_restarted").is_none(), "{report:#}");
    assert_eq!((run.code, report["outcome"].as_str()), (Some(0), Some("well")), "{report:#}");
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
    let mut on_ec2 = Recording::pod();
    super::pod_faults::with_endpoint_on_ec2(&mut on_ec2);
    for (recording, arguments) in [
        (Recording::cluster(), ["check"].as_slice()),
        (Recording::pod(), ["check", "nginx", "-n", "imds-test"].as_slice()),
        (on_ec2, ["check", "nginx", "-n", "imds-test"].as_slice()),
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
    for arguments in [
        ["check", "deployment/web"].as_slice(),
        &["check", "-o", "yaml"],
        &["check", "a", "b"],
        &["check", "a", "-A"],
        &["check", "-A", "-n", "shop"],
    ] {
        let run = super::recording::program().args(arguments).output().unwrap();
        assert_eq!(run.status.code(), Some(64), "{arguments:?}");
    }
}
