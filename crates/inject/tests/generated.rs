//! Documents that a generator made: nothing of them is lost, and none makes the decision panic.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod common;

use common::{CONTEXT, injected};
use imds_contract::annotation;
use imds_inject::{Decision, Settings, Sidecar, decide, decide_document, warnings};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

const ROLE: &str = "arn:aws:iam::123456789012:role/r";

/// Each form that a Pod can be injected in.
fn every_form() -> impl Iterator<Item = Settings> {
    [Sidecar::Native, Sidecar::Classic].into_iter().flat_map(|sidecar| {
        ["redirect", "address", "endpoint"].map(|interception| Settings {
            sidecar,
            interception: interception.parse().unwrap(),
            image_pull_secrets: vec!["registry".to_owned()],
            ..Settings::new("registry.example/imds:1")
        })
    })
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

/// The object with unknown fields of any content; what it has stays.
fn with_unknown(object: Value, unknown: &Map<String, Value>) -> Value {
    let Value::Object(mut fields) = object else { return object };
    for (name, value) in unknown {
        fields.entry(format!("unknown-{name}")).or_insert_with(|| value.clone());
    }
    fields.into()
}

fn unknown() -> impl Strategy<Value = Map<String, Value>> {
    prop::collection::vec(("[a-z~/]{1,6}", any_json()), 0..3).prop_map(|fields| fields.into_iter().collect())
}

prop_compose! {
    /// A Pod, or the template of one, that asks for the emulator.
    fn labelled_pod()(
        containers in list(1..4),
        init_containers in maybe(list(0..3)),
        volumes in maybe(list(0..3)),
        pull_secrets in maybe(list(0..2)),
        security_context in maybe(Just(json!({"fsGroup": 1, "sysctls": null}))),
        grace in maybe(any::<i64>().prop_map(Value::from)),
        restart_policy in maybe(prop_oneof![Just(json!("Never")), Just(json!("Always"))]),
        unknown in unknown(),
    ) -> Value {
        let labels = with_unknown(json!({annotation::ENABLED_LABEL: "True"}), &unknown);
        let annotations = with_unknown(json!({annotation::ROLE_ARN: ROLE}), &unknown);
        let mut spec = with_unknown(json!({"containers": containers}), &unknown);
        for (name, field) in [
            ("initContainers", init_containers),
            ("volumes", volumes),
            ("imagePullSecrets", pull_secrets),
            ("securityContext", security_context.map(|context| with_unknown(context, &unknown))),
            ("terminationGracePeriodSeconds", grace),
            ("restartPolicy", restart_policy),
        ] {
            if let Some(field) = field {
                spec[name] = field;
            }
        }
        let metadata = with_unknown(json!({"labels": labels, "annotations": annotations}), &unknown);
        with_unknown(json!({"metadata": metadata, "spec": spec}), &unknown)
    }
}

prop_compose! {
    /// A document of any kind that has such a Pod in it.
    fn document()(pod in labelled_pod(), others in prop::collection::vec(any_json(), 0..3), unknown in unknown(), kind in 0..5) -> Value {
        let object = |api: &str, kind: &str, spec: Value| {
            with_unknown(json!({"apiVersion": api, "kind": kind, "spec": with_unknown(spec, &unknown)}), &unknown)
        };
        let mut whole = pod.clone();
        whole["kind"] = "Pod".into();
        let deployment = object("apps/v1", "Deployment", json!({"template": pod}));
        match kind {
            0 => whole,
            1 => deployment,
            2 => object("batch/v1", "CronJob", json!({"jobTemplate": with_unknown(json!({"spec": {"template": pod}}), &unknown)})),
            3 => with_unknown(json!({"kind": "PodList", "items": [pod]}), &unknown),
            _ => {
                let items: Vec<_> = others.into_iter().chain([whole, deployment]).collect();
                with_unknown(json!({"kind": "List", "items": items}), &unknown)
            }
        }
    }
}

proptest! {
    #[test]
    fn every_document_keeps_everything_and_is_injected_once(document in document()) {
        for settings in every_form() {
            injected(&settings, &document);
        }
    }

    #[test]
    fn no_document_makes_the_decision_panic(
        document in any_json(),
        spec in any_json(),
        metadata in any_json(),
        annotations in any_json(),
        containers in any_json(),
        kind in prop_oneof![Just("Pod"), Just("List"), Just("Deployment"), Just("CronJob"), Just("PodTemplate")],
    ) {
        let labels = json!({annotation::ENABLED_LABEL: "True"});
        let mut annotations = annotations;
        if let Some(annotations) = annotations.as_object_mut() {
            annotations.insert(annotation::ROLE_ARN.to_owned(), ROLE.into());
        }
        let pod = json!({"metadata": {"labels": labels, "annotations": annotations}, "spec": spec});
        let list = json!({"metadata": pod["metadata"], "spec": {"containers": [containers], "volumes": spec}});
        let misshapen = json!({"kind": kind, "metadata": metadata, "spec": spec, "items": [document, pod], "template": document});
        for document in [&document, &pod, &list, &misshapen] {
            warnings(document);
            for settings in every_form() {
                if let Decision::Inject(injection) = decide(&settings, document, &CONTEXT) {
                    injection.apply_to(document).unwrap();
                }
                decide_document(&settings, document, "default", None);
            }
        }
    }
}
