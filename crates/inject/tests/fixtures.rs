//! Admission reviews recorded from a real API server, and Pods that a generator made.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod common;

use std::fs;
use std::path::Path;

use common::{CONTEXT, injected};
use imds_contract::pod;
use imds_inject::{Decision, Settings, Sidecar, decide};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn fixture(name: &str) -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name).with_extension("json");
    let review: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    review["request"]["object"].clone()
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
fn recorded_pods_are_decided_as_the_contract_says() {
    for (name, word) in [
        ("pod-bare", "injected"),
        ("pod-automount-false", "injected"),
        ("pod-existing-initcontainers-and-native-sidecar", "injected"),
        ("pod-securitycontext", "injected"),
        ("pod-has-container-with-env", "injected"),
        ("pod-of-deployment", "injected"),
        ("pod-no-labels-no-annotations", "not_labelled"),
        ("pod-annotation-only", "not_labelled"),
        ("pod-label-value-true", "disabled"),
        ("pod-label-value-empty", "disabled"),
        ("pod-mirror-of-static", "mirror_pod"),
        ("pod-hostnetwork", "host_network"),
        ("pod-windows", "windows"),
        ("pod-many-containers", "name_taken"),
        ("pod-label-only", "no_role"),
        ("pod-bad-role-arn", "invalid_annotations"),
        ("pod-empty-role-arn", "invalid_annotations"),
    ] {
        let decided = match decide(&settings(Sidecar::Native, "redirect"), &fixture(name), &CONTEXT) {
            Decision::Inject(_) => "injected",
            Decision::Skip(reason) | Decision::Refuse(reason) => reason.word(),
        };
        assert_eq!(decided, word, "{name}");
    }
}

#[test]
fn recorded_pods_keep_everything_and_are_injected_once() {
    for name in [
        "pod-bare",
        "pod-automount-false",
        "pod-existing-initcontainers-and-native-sidecar",
        "pod-securitycontext",
        "pod-has-container-with-env",
        "pod-of-deployment",
    ] {
        for settings in every_form() {
            injected(&settings, &fixture(name));
        }
    }
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

#[test]
fn no_default_of_the_pod_reaches_our_containers() {
    for settings in every_form() {
        let pod = injected(&settings, &fixture("pod-securitycontext"));
        let spec = &pod["spec"];
        let lists = [&spec["initContainers"], &spec["containers"]];
        for ours in lists.into_iter().filter_map(Value::as_array).flatten() {
            if !ours["name"].as_str().unwrap().starts_with(pod::EMULATOR_CONTAINER) {
                continue;
            }
            let context = &ours["securityContext"];
            for field in [
                "privileged",
                "allowPrivilegeEscalation",
                "capabilities",
                "readOnlyRootFilesystem",
                "runAsNonRoot",
                "runAsUser",
                "runAsGroup",
                "seccompProfile",
            ] {
                assert!(!context[field].is_null(), "{}: {field}", ours["name"]);
            }
            assert_eq!(context["capabilities"]["drop"], json!(["ALL"]));
            assert_ne!(context["runAsUser"], 0);
            assert!(!ours["resources"]["requests"]["memory"].is_null());
            assert!(!ours["resources"]["limits"]["memory"].is_null());
        }
    }
}

/// Any JSON, for the fields that no library knows.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-z~/ ]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::vec(("[a-z~/]{1,6}", inner), 0..3)
                .prop_map(|fields| fields.into_iter().collect::<Map<_, _>>().into()),
        ]
    })
}

/// A field's value, `null`, or no field at all.
fn maybe(strategy: impl Strategy<Value = Value>) -> impl Strategy<Value = Option<Value>> {
    prop_oneof![Just(None), Just(Some(Value::Null)), strategy.prop_map(Some)]
}

fn named() -> impl Strategy<Value = Value> {
    let variable = prop_oneof![Just("AWS_EC2_METADATA_SERVICE_ENDPOINT"), Just("HOME")]
        .prop_map(|name| json!({"name": name, "value": "theirs"}));
    let env = maybe(prop::collection::vec(variable, 0..3).prop_map(Value::from));
    ("[a-z]{1,8}", any_json(), env).prop_map(|(name, unknown, env)| {
        let mut item = json!({"name": name, "unknownToUs": unknown});
        if let Some(env) = env {
            item["env"] = env;
        }
        item
    })
}

fn list(size: std::ops::Range<usize>) -> impl Strategy<Value = Value> {
    prop::collection::vec(named(), size).prop_map(Value::from)
}

prop_compose! {
    fn labelled_pod()(
        containers in list(1..4),
        init_containers in maybe(list(0..3)),
        volumes in maybe(list(0..3)),
        pull_secrets in maybe(list(0..2)),
        security_context in maybe(Just(json!({"fsGroup": 1, "sysctls": null}))),
        grace in maybe(any::<i64>().prop_map(Value::from)),
        unknown in any_json(),
    ) -> Value {
        let mut pod = json!({
            "unknownToUs": unknown,
            "metadata": {
                "labels": {"gkemulticloud.googleapis.com/aws-imds-emulator-enabled": "True"},
                "annotations": {
                    "gkemulticloud.googleapis.com/aws-imds-emulator-role-arn": "arn:aws:iam::123456789012:role/r",
                },
            },
            "spec": {"containers": containers, "unknownToUs": unknown},
        });
        for (name, field) in [
            ("initContainers", init_containers),
            ("volumes", volumes),
            ("imagePullSecrets", pull_secrets),
            ("securityContext", security_context),
            ("terminationGracePeriodSeconds", grace),
        ] {
            if let Some(field) = field {
                pod["spec"][name] = field;
            }
        }
        pod
    }
}

proptest! {
    #[test]
    fn every_pod_keeps_everything_and_is_injected_once(pod in labelled_pod()) {
        for mut settings in every_form() {
            settings.image_pull_secrets = vec!["registry".to_owned()];
            injected(&settings, &pod);
        }
    }

    #[test]
    fn no_document_makes_the_decision_panic(
        document in any_json(),
        spec in any_json(),
        annotations in any_json(),
        containers in any_json(),
    ) {
        let labels = json!({"gkemulticloud.googleapis.com/aws-imds-emulator-enabled": "True"});
        let mut annotations = annotations;
        if let Some(annotations) = annotations.as_object_mut() {
            let role = "arn:aws:iam::123456789012:role/r";
            annotations.insert("gkemulticloud.googleapis.com/aws-imds-emulator-role-arn".to_owned(), role.into());
        }
        let pod = json!({"metadata": {"labels": labels, "annotations": annotations}, "spec": spec});
        let list = json!({"metadata": pod["metadata"], "spec": {"containers": [containers], "volumes": spec}});
        for document in [&document, &pod, &list] {
            for settings in every_form() {
                if let Decision::Inject(injection) = decide(&settings, document, &CONTEXT) {
                    injection.apply_to(document).unwrap();
                }
            }
        }
    }
}
