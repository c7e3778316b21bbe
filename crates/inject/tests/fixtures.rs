//! Admission reviews recorded from a real API server (`fixtures/README.md`).

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{CONTEXT, injected};
use imds_contract::{Interception, pod};
use imds_inject::{Context, Decision, ServerVersion, Settings, Sidecar, Warning, decide, warnings};
use serde_json::{Value, json};

/// Every recorded Pod: the decision, in the words of the metrics, and the words of the near misses.
const DECISIONS: [(&str, &str, &[&str]); 40] = [
    ("no-reinvocation.first", "injected", &[]),
    ("no-reinvocation.second", "injected", &[]),
    ("pod-annotation-only", "not_labelled", &["role_without_label"]),
    ("pod-as-user-with-extra", "injected", &[]),
    ("pod-automount-false", "injected", &[]),
    ("pod-bad-role-arn", "invalid_annotations", &[]),
    ("pod-bare", "injected", &[]),
    ("pod-by-apply", "injected", &[]),
    ("pod-by-kubectl-run", "injected", &[]),
    ("pod-by-server-side-apply", "injected", &[]),
    ("pod-dry-run-server", "injected", &[]),
    ("pod-empty-role-arn", "invalid_annotations", &[]),
    ("pod-existing-initcontainers-and-native-sidecar", "injected", &[]),
    ("pod-generatename", "injected", &[]),
    ("pod-has-container-with-env", "injected", &[]),
    ("pod-has-volume-aws-iam-token", "injected", &[]),
    ("pod-hostnetwork", "host_network", &[]),
    ("pod-label-only", "no_role", &[]),
    ("pod-label-value-1", "disabled", &["label_value"]),
    ("pod-label-value-False", "disabled", &["role_without_label"]),
    ("pod-label-value-TRUE", "disabled", &["label_value"]),
    ("pod-label-value-True", "injected", &[]),
    ("pod-label-value-empty", "disabled", &["role_without_label"]),
    ("pod-label-value-true", "disabled", &["label_value"]),
    ("pod-label-value-yes", "disabled", &["label_value"]),
    ("pod-many-containers", "name_taken", &[]),
    ("pod-mirror-of-static", "mirror_pod", &[]),
    ("pod-no-labels-no-annotations", "not_labelled", &[]),
    ("pod-of-cronjob", "injected", &[]),
    ("pod-of-daemonset", "injected", &[]),
    ("pod-of-deployment", "injected", &[]),
    ("pod-of-job", "injected", &[]),
    ("pod-of-statefulset", "injected", &[]),
    ("pod-securitycontext", "injected", &[]),
    ("pod-via-service", "not_labelled", &[]),
    ("pod-windows", "windows", &[]),
    ("pod-with-serviceaccount", "injected", &[]),
    ("reinvocation.first", "injected", &[]),
    ("reinvocation.first-2", "injected", &[]),
    ("reinvocation.second", "injected", &[]),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn fixture(name: &str) -> Value {
    let review: Value =
        serde_json::from_str(&fs::read_to_string(folder().join(format!("{name}.json"))).unwrap()).unwrap();
    assert_eq!(review["request"]["operation"], "CREATE", "{name}");
    review["request"]["object"].clone()
}

fn word(decision: &Decision) -> &'static str {
    match decision {
        Decision::Inject(_) => "injected",
        Decision::Skip(reason) | Decision::Refuse(reason) => reason.word(),
    }
}

fn settings(sidecar: Sidecar, interception: &str) -> Settings {
    Settings {
        sidecar,
        interception: interception.parse().unwrap(),
        ..Settings::new("registry.example/imds:1")
    }
}

/// Each form that a Pod can be injected in.
fn every_form() -> impl Iterator<Item = Settings> {
    let sidecars = [Sidecar::Native, Sidecar::Classic];
    sidecars.into_iter().flat_map(|sidecar| {
        ["redirect", "address", "endpoint"].map(|interception| settings(sidecar, interception))
    })
}

#[test]
fn every_recorded_pod_is_decided_as_the_contract_says() {
    let mut files: Vec<String> = fs::read_dir(folder())
        .unwrap()
        .filter_map(|entry| {
            Some(entry.unwrap().file_name().into_string().unwrap().strip_suffix(".json")?.to_owned())
        })
        .collect();
    files.sort();
    let mut listed = DECISIONS.map(|(name, ..)| name);
    listed.sort_unstable();
    assert_eq!(files, listed);
    for (name, decided, near_misses) in DECISIONS {
        for settings in every_form() {
            let pod = fixture(name);
            assert_eq!(word(&decide(&settings, &pod, &CONTEXT)), decided, "{name}");
            let words: Vec<_> = warnings(&pod).iter().map(Warning::word).collect();
            assert_eq!(words, near_misses, "{name}");
        }
    }
}

#[test]
fn recorded_pods_keep_everything_and_are_injected_once() {
    for (name, ..) in DECISIONS.into_iter().filter(|(_, decided, _)| *decided == "injected") {
        for settings in every_form() {
            injected(&settings, &fixture(name));
        }
    }
}

#[test]
fn a_recorded_jobs_pod_completes_in_the_native_form_alone() {
    let decided = |server: &str| {
        let context = Context { server: server.parse::<ServerVersion>().ok(), ..CONTEXT };
        let settings = settings(Sidecar::Auto, "redirect");
        ["pod-of-job", "pod-of-cronjob", "pod-of-deployment"].map(|name| {
            let Decision::Inject(injection) = decide(&settings, &fixture(name), &context) else {
                panic!("{name}")
            };
            injection.warnings.iter().map(Warning::word).collect::<Vec<_>>()
        })
    };
    assert_eq!(decided("1.31"), [vec!["never_completes"], vec!["never_completes"], vec![]]);
    assert_eq!(decided("1.32"), [[""; 0]; 3]);
}

#[test]
fn redirect_and_emulator_come_before_every_container_of_the_user() {
    let pod = fixture("pod-existing-initcontainers-and-native-sidecar");
    let names = |pod: &Value, list: &str| -> Vec<String> {
        pod["spec"][list].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap().to_owned()).collect()
    };
    let native = injected(&settings(Sidecar::Native, "redirect"), &pod);
    assert_eq!(
        names(&native, "initContainers"),
        [pod::REDIRECT_CONTAINER, pod::EMULATOR_CONTAINER, "setup", "logs"]
    );
    let classic = injected(&settings(Sidecar::Classic, "redirect"), &pod);
    assert_eq!(names(&classic, "initContainers"), [pod::REDIRECT_CONTAINER, "setup", "logs"]);
    assert_eq!(names(&classic, "containers"), [pod::EMULATOR_CONTAINER, "app"]);
}

#[test]
fn only_the_emulator_mounts_the_token() {
    for settings in every_form() {
        let pod = injected(&settings, &fixture("pod-existing-initcontainers-and-native-sidecar"));
        for list in ["initContainers", "containers"] {
            for container in pod["spec"][list].as_array().unwrap() {
                let mounts = container["volumeMounts"].to_string().contains(pod::TOKEN_VOLUME);
                assert_eq!(mounts, container["name"] == pod::EMULATOR_CONTAINER, "{container}");
            }
        }
    }
}

/// What a Pod may set for all its containers, and each must not get from it.
fn pod_level_defaults() -> Vec<Value> {
    vec![
        json!({}),
        json!({"securityContext": {"runAsUser": 0, "runAsGroup": 0}}),
        json!({"securityContext": {"runAsUser": 0, "runAsNonRoot": false}}),
        json!({"securityContext": {"runAsNonRoot": true}}),
        json!({"securityContext": {"fsGroup": 0, "supplementalGroups": [0], "fsGroupChangePolicy": "Always"}}),
        json!({"securityContext": {"seccompProfile": {"type": "Unconfined"}}}),
        json!({"securityContext": {"seccompProfile": {"type": "Localhost", "localhostProfile": "app.json"}}}),
        json!({"securityContext": {"appArmorProfile": {"type": "Localhost", "localhostProfile": "no-netlink"}}}),
        json!({"securityContext": {"appArmorProfile": {"type": "RuntimeDefault"}}}),
        json!({"securityContext": {"appArmorProfile": {"type": "Unconfined"}}}),
        // Reaches ours by design: a node's policy is the operator's, and its labels are those of the Pod's volumes.
        json!({"securityContext": {"seLinuxOptions": {"level": "s0:c123,c456"}}}),
        json!({"hostUsers": false}),
        json!({"hostUsers": false, "securityContext": {"runAsUser": 0, "runAsNonRoot": true}}),
        json!({"shareProcessNamespace": true, "hostPID": true, "hostIPC": true}),
        json!({"automountServiceAccountToken": false}),
    ]
}

#[test]
fn no_default_of_the_pod_reaches_our_containers() {
    for (settings, defaults) in
        every_form().flat_map(|form| pod_level_defaults().into_iter().map(move |d| (form.clone(), d)))
    {
        let mut pod = fixture("pod-bare");
        for (name, value) in defaults.as_object().unwrap() {
            pod["spec"][name] = value.clone();
        }
        let pod = injected(&settings, &pod);
        for (name, value) in defaults.as_object().unwrap() {
            let theirs = untouched_part(&pod["spec"][name]);
            assert_eq!(theirs, *value, "the Pod's own {name}");
        }
        let lists = [&pod["spec"]["initContainers"], &pod["spec"]["containers"]];
        let ours = lists.into_iter().filter_map(Value::as_array).flatten();
        let ours: Vec<_> =
            ours.filter(|c| c["name"].as_str().unwrap().starts_with(pod::EMULATOR_CONTAINER)).collect();
        assert_eq!(ours.len(), if settings.interception == Interception::Endpoint { 1 } else { 2 });
        for container in ours {
            let redirect = container["name"] == pod::REDIRECT_CONTAINER;
            let uid = if redirect { pod::REDIRECT_UID } else { pod::EMULATOR_UID };
            let capabilities = if redirect {
                json!({"drop": ["ALL"], "add": ["NET_ADMIN"]})
            } else {
                json!({"drop": ["ALL"]})
            };
            let mut expected = json!({
                "privileged": false,
                "allowPrivilegeEscalation": false,
                "capabilities": capabilities,
                "readOnlyRootFilesystem": true,
                "runAsNonRoot": true,
                "runAsUser": uid,
                "runAsGroup": uid,
                "seccompProfile": {"type": "RuntimeDefault"},
            });
            let profile = &defaults["securityContext"]["appArmorProfile"]["type"];
            if profile == "Localhost" || profile == "RuntimeDefault" {
                expected["appArmorProfile"] = json!({"type": "RuntimeDefault"});
            }
            assert_eq!(container["securityContext"], expected, "{defaults}");
            let resources = json!({
                "requests": {"cpu": "5m", "memory": "16Mi"},
                "limits": {"memory": "32Mi"},
            });
            assert_eq!(container["resources"], resources, "{defaults}");
            assert_eq!(container["terminationMessagePolicy"], "FallbackToLogsOnError");
        }
    }
}

/// Without the one thing that an injection may add to the Pod's own `securityContext`.
fn untouched_part(field: &Value) -> Value {
    let mut field = field.clone();
    if let Some(fields) = field.as_object_mut() {
        fields.shift_remove("sysctls");
    }
    field
}

/// The runtime would have to make a folder in it, which a read-only volume does not let it. In some kubelet does.
#[test]
fn where_a_volume_lies_over_the_file_of_the_container_endpoint_a_container_is_told_of_imds_alone() {
    let told = |mount_path: &str, kind: &str| {
        let mut pod = fixture("pod-bare");
        pod["spec"]["volumes"] = json!([{"name": "own", kind: {}}]);
        pod["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "own", "mountPath": mount_path}]);
        let injected = injected(&settings(Sidecar::Native, "endpoint"), &pod);
        let container = &injected["spec"]["containers"][0];
        ["env", "volumeMounts"].map(|list| container[list].as_array().unwrap().len())
    };
    let (alone, both) = ([1, 1], [3, 2]);
    for over in ["/", "/var", "/var/", "/var/run", "/run", "/run/secrets", "/var/run/secrets", "var/run"] {
        for kind in ["hostPath", "persistentVolumeClaim", "csi", "nfs"] {
            assert_eq!(told(over, kind), alone, "{over} {kind}");
        }
        for kind in ["configMap", "downwardAPI", "emptyDir", "projected", "secret"] {
            assert_eq!(told(over, kind), both, "{over} {kind}");
        }
    }
    assert_eq!(told(pod::AUTHORIZATION_MOUNT_PATH, "secret"), alone, "it can't be there twice");
    for beside in ["/srv", "/var/run/secrets/kubernetes.io/serviceaccount", "/var/lib", "/runtime"] {
        assert_eq!(told(beside, "hostPath"), both, "{beside}");
    }
}
