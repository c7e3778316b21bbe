//! Every recorded request, and what an API server never sends.

use std::path::PathBuf;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// An AdmissionReview recorded from a real API server: those of a Pod being created are kept by `imds-inject`.
fn recorded(name: &str) -> Vec<u8> {
    let folders = ["tests/fixtures", "../inject/tests/fixtures"];
    let path = |folder| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(folder).join(format!("{name}.json"));
    folders.into_iter().find_map(|folder| std::fs::read(path(folder)).ok()).expect(name)
}

fn ask(webhook: Webhook, body: &[u8]) -> (Value, Outcome, Subject) {
    let Reviewed { body, outcome, subject } = review(body, webhook, &Settings::new("image:1"), None).unwrap();
    let answer: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((&answer["apiVersion"], &answer["kind"]), (&json!(API_VERSION), &json!(KIND)));
    (answer["response"].clone(), outcome, subject)
}

/// The request's uid, and what `/mutate` answers.
fn mutate(name: &str) -> (String, Value, Outcome) {
    let body = recorded(name);
    let sent: Value = serde_json::from_slice(&body).unwrap();
    let (response, outcome, _) = ask(Webhook::Mutate, &body);
    let uid = sent["request"]["uid"].as_str().unwrap().to_owned();
    assert_eq!(response["uid"], uid);
    (uid, response, outcome)
}

fn patch(response: &Value) -> Value {
    serde_json::from_slice(&STANDARD.decode(response["patch"].as_str().unwrap()).unwrap()).unwrap()
}

#[test]
fn a_pod_is_injected_by_a_patch_that_only_adds() {
    for name in ["pod-bare", "pod-of-deployment", "pod-automount-false", "pod-dry-run-server"] {
        let (_, response, outcome) = mutate(name);
        assert_eq!(
            (&response["allowed"], &response["patchType"]),
            (&json!(true), &json!("JSONPatch")),
            "{name}"
        );
        let patch = patch(&response);
        let operations = patch.as_array().unwrap();
        assert!(
            !operations.is_empty() && operations.iter().all(|operation| operation["op"] == "add"),
            "{patch}"
        );
        assert_eq!(outcome.labels(), ["injected", ""], "{name}");
    }
}

#[test]
fn the_patched_pod_needs_no_second_patch() {
    let mut review: Value = serde_json::from_slice(&recorded("pod-bare")).unwrap();
    let (_, response, _) = mutate("pod-bare");
    let patch: json_patch::Patch = serde_json::from_value(patch(&response)).unwrap();
    json_patch::patch(&mut review["request"]["object"], &patch).unwrap();
    let (response, outcome, _) = ask(Webhook::Mutate, &serde_json::to_vec(&review).unwrap());
    assert_eq!((&response["allowed"], response.get("patch")), (&json!(true), None));
    assert_eq!(outcome.labels(), ["skipped", "already_injected"]);
}

/// A review of the injected Pod, after a change to its emulator or to the Pod.
fn injected_then(change: impl FnOnce(&mut Value)) -> (Value, Outcome) {
    let mut review: Value = serde_json::from_slice(&recorded("pod-bare")).unwrap();
    let (_, response, _) = mutate("pod-bare");
    let patch: json_patch::Patch = serde_json::from_value(patch(&response)).unwrap();
    json_patch::patch(&mut review["request"]["object"], &patch).unwrap();
    change(&mut review["request"]["object"]);
    let (response, outcome, _) = ask(Webhook::Mutate, &serde_json::to_vec(&review).unwrap());
    (response, outcome)
}

#[test]
fn a_lost_field_is_completed_and_not_called_an_injection() {
    let (response, outcome) = injected_then(|pod| {
        pod["spec"]["initContainers"][1].as_object_mut().unwrap().remove("restartPolicy");
    });
    let added = json!([{"op": "add", "path": "/spec/initContainers/1/restartPolicy", "value": "Always"}]);
    assert_eq!(patch(&response), added);
    assert_eq!(outcome.labels(), ["completed", ""]);
    let Outcome::Completed { what } = outcome else { panic!("{outcome:?}") };
    assert!(what.starts_with("completed: restartPolicy of aws-imds-emulator; "), "{what}");
}

#[test]
fn a_forged_status_is_refused_and_another_image_is_warned_of() {
    let (response, outcome) = injected_then(|pod| {
        pod["spec"]["initContainers"] = json!([
            {"name": "aws-imds-emulator-redirect", "image": "evil.example/x:1", "securityContext": {"privileged": true}},
            {"name": "aws-imds-emulator", "image": "evil.example/x:1", "restartPolicy": "Always"},
        ]);
    });
    assert_eq!((&response["allowed"], outcome.labels()), (&json!(false), ["refused", "injection_changed"]));
    let (response, outcome) =
        injected_then(|pod| pod["spec"]["initContainers"][1]["image"] = json!("evil.example/x:1"));
    assert_eq!((&response["allowed"], outcome.labels()), (&json!(true), ["warned", "other_image"]));
    assert!(response["warnings"][0].as_str().unwrap().contains("evil.example/x:1"), "{response}");
}

#[test]
fn a_refusal_says_what_to_do() {
    for (name, reason) in [
        ("pod-hostnetwork", "host_network"),
        ("pod-windows", "windows"),
        ("pod-bad-role-arn", "invalid_annotations"),
        ("pod-label-only", "no_role"),
    ] {
        let (_, response, outcome) = mutate(name);
        assert_eq!((&response["allowed"], response.get("patch")), (&json!(false), None), "{name}");
        assert_eq!(outcome.labels(), ["refused", reason], "{name}");
        let status = &response["status"];
        assert_eq!((&status["code"], &status["reason"]), (&json!(422), &json!("Invalid")), "{name}");
        assert!(status["message"].as_str().unwrap().starts_with("aws-imds-emulator: "), "{status}");
    }
}

#[test]
fn what_is_no_pod_being_created_passes_untouched() {
    for name in [
        "pod-update",
        "pod-ephemeralcontainers-update",
        "pod-resize-update",
        "pod-exec-connect",
        "pod-eviction-create",
        "pod-binding-create",
        "pod-delete",
        "other-resource-configmap",
        "pod-no-labels-no-annotations",
    ] {
        let (uid, response, outcome) = mutate(name);
        assert_eq!(response, json!({"uid": uid, "allowed": true}), "{name}");
        assert!(matches!(outcome, Outcome::Skipped { .. }), "{name}: {outcome:?}");
    }
}

#[test]
fn a_mirror_pod_is_left_alone_with_a_warning_for_kubelets_log() {
    let (_, response, outcome) = mutate("pod-mirror-of-static");
    assert_eq!((&response["allowed"], response.get("patch")), (&json!(true), None));
    let warning = response["warnings"][0].as_str().unwrap();
    assert!(warning.contains("static Pod") && warning.contains("without the emulator"), "{warning}");
    assert_eq!(outcome.labels(), ["skipped", "mirror_pod"]);
}

#[test]
fn a_near_miss_is_admitted_with_a_warning_by_either_webhook() {
    for webhook in Webhook::ALL {
        for name in ["pod-label-value-true", "pod-annotation-only"] {
            let (response, outcome, _) = ask(webhook, &recorded(name));
            assert_eq!((&response["allowed"], response.get("patch")), (&json!(true), None), "{name}");
            assert!(!response["warnings"].as_array().unwrap().is_empty(), "{name}: {response}");
            assert!(matches!(outcome, Outcome::Warned { .. }), "{name}: {outcome:?}");
        }
    }
}

#[test]
fn lint_changes_and_refuses_nothing() {
    for name in ["pod-bare", "pod-hostnetwork", "pod-bad-role-arn", "pod-no-labels-no-annotations"] {
        let (response, _, _) = ask(Webhook::Lint, &recorded(name));
        assert_eq!((&response["allowed"], response.get("patch")), (&json!(true), None), "{name}");
    }
}

#[test]
fn the_subject_of_a_nameless_pod_is_its_generate_name() {
    let (_, _, subject) = ask(Webhook::Mutate, &recorded("pod-of-deployment"));
    assert!(subject.name.ends_with('-') && !subject.namespace.is_empty(), "{subject:?}");
}

#[test]
fn what_can_not_be_answered_is_unreadable() {
    let request = json!({"uid": "u", "operation": "CREATE"});
    for body in [
        json!(null),
        json!([]),
        json!("AdmissionReview"),
        json!({}),
        json!({"apiVersion": "admission.k8s.io/v1beta1", "kind": "AdmissionReview", "request": request}),
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "ConversionReview", "request": request}),
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}),
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {"operation": "CREATE"}}),
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {"uid": 7}}),
    ] {
        let body = serde_json::to_vec(&body).unwrap();
        for webhook in Webhook::ALL {
            assert!(
                review(&body, webhook, &Settings::new("i"), None).is_err(),
                "{}",
                String::from_utf8_lossy(&body)
            );
        }
    }
}

#[test]
fn a_pod_that_is_none_is_refused_with_its_uid() {
    for object in [json!({}), json!({"metadata": {"labels": 7}, "spec": {"containers": {}}})] {
        let review = json!({"apiVersion": API_VERSION, "kind": KIND, "request": {
            "uid": "u", "operation": "CREATE", "namespace": "n",
            "resource": {"group": "", "version": "v1", "resource": "pods"}, "object": object,
        }});
        let (response, _, _) = ask(Webhook::Mutate, &serde_json::to_vec(&review).unwrap());
        assert_eq!(response["uid"], "u");
    }
}

#[test]
fn nulls_count_as_absent_and_an_unreadable_object_is_no_review() {
    let body = |object: &str| {
        format!(
            r#"{{"apiVersion": "{API_VERSION}", "kind": "{KIND}", "request": {{
                "uid": "u", "operation": "CREATE", "namespace": null, "name": null, "subResource": null,
                "resource": {{"group": null, "version": "v1", "resource": "pods"}}, "object": {object}}}}}"#
        )
    };
    let (response, outcome, _) = ask(Webhook::Mutate, body("null").as_bytes());
    assert_eq!((&response["uid"], &response["allowed"]), (&json!("u"), &json!(true)), "{outcome:?}");
    let deep = "[".repeat(200) + &"]".repeat(200);
    let (surrogate, deep) = (r#"{"spec": {"os": "\ud800"}}"#, format!("{{\"spec\": {{\"os\": {deep}}}}}"));
    for object in [r#"{"spec": 1e999}"#, surrogate, "7", "[]", &deep] {
        let reviewed = review(body(object).as_bytes(), Webhook::Mutate, &Settings::new("image:1"), None);
        assert!(matches!(reviewed, Err(Unreadable::Json(_))), "{object}");
    }
}

/// A Pod's author chooses the bytes; the webhook has so much memory for all of them.
#[test]
fn a_pod_that_would_take_too_much_memory_is_refused_and_never_linted() {
    let env = format!("[{}{{}}]", r#"{"name":"A"},"#.repeat(200_000));
    let pod = format!(
        r#"{{"metadata": {{"labels": {{}}}}, "spec": {{"containers": [{{"name": "c", "env": {env}}}]}}}}"#
    );
    let body = format!(
        r#"{{"apiVersion": "{API_VERSION}", "kind": "{KIND}", "request": {{"uid": "u", "operation": "CREATE",
            "resource": {{"group": "", "version": "v1", "resource": "pods"}}, "object": {pod}}}}}"#
    );
    let (response, outcome, _) = ask(Webhook::Mutate, body.as_bytes());
    assert_eq!((outcome.labels(), &response["allowed"]), (["refused", "too_large"], &json!(false)));
    assert!(
        response["status"]["message"].as_str().unwrap().contains("too large to be inspected"),
        "{response}"
    );
    let (response, outcome, _) = ask(Webhook::Lint, body.as_bytes());
    assert_eq!((outcome.labels(), &response["allowed"]), (["skipped", "too_large"], &json!(true)));
}

/// The webhook and the command line share the library: here is the webhook's half, over all that the library promises.
#[test]
fn every_golden_pod_comes_out_as_the_library_promises() {
    let goldens = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../inject/tests/golden");
    let yaml = |path: PathBuf| -> Option<Value> {
        std::fs::read_to_string(path).ok().map(|text| serde_yaml_ng::from_str(&text).unwrap())
    };
    let mut injected = 0;
    for folder in std::fs::read_dir(goldens).unwrap().map(|entry| entry.unwrap().path()) {
        let Ok(text) = std::fs::read_to_string(folder.join("input.yaml")) else { continue };
        let Ok(pod) = serde_yaml_ng::from_str::<Value>(&text) else { continue };
        if pod["kind"] != "Pod" {
            continue;
        }
        let settings: Settings = yaml(folder.join("settings.yaml"))
            .map_or_else(|| Settings::new("image:1"), |settings| serde_json::from_value(settings).unwrap());
        let server = std::fs::read_to_string(folder.join("server-version.txt")).ok();
        let server = server.map(|text| text.trim().parse().unwrap());
        let namespace = pod["metadata"]["namespace"].as_str().unwrap_or("default");
        let request = json!({"apiVersion": API_VERSION, "kind": KIND, "request": {
            "uid": "u", "operation": "CREATE", "namespace": namespace,
            "resource": {"group": "", "version": "v1", "resource": "pods"}, "object": pod,
        }});
        let body = serde_json::to_vec(&request).unwrap();
        let reviewed = review(&body, Webhook::Mutate, &settings, server).unwrap();
        let answer: Value = serde_json::from_slice(&reviewed.body).unwrap();
        let mut patched = pod.clone();
        if answer["response"]["patch"].is_string() {
            let patch: json_patch::Patch = serde_json::from_value(patch(&answer["response"])).unwrap();
            json_patch::patch(&mut patched, &patch).unwrap();
            injected += 1;
        }
        let expected = yaml(folder.join("expected.yaml")).unwrap_or(pod);
        assert_eq!(patched, expected, "{}", folder.display());
    }
    assert!(injected > 20, "{injected}");
}

proptest! {
    #[test]
    fn no_bytes_panic(mut body in proptest::collection::vec(any::<u8>(), 0..200), cut in 0..4000_usize) {
        for webhook in Webhook::ALL {
            let _ = review(&body, webhook, &Settings::new("i"), None);
        }
        let mut real = recorded("pod-bare");
        let at = cut % real.len();
        real.truncate(at);
        real.append(&mut body);
        let _ = review(&real, Webhook::Mutate, &Settings::new("i"), None);
    }
}
