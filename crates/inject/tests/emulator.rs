//! Whatever environment is injected, the emulator starts with it: its own parser reads it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod common;

use std::collections::BTreeMap;

use common::injected;
use imds_contract::{annotation, pod};
use imds_emulator::config;
use imds_inject::{Settings, Sidecar};
use serde_json::{Value, json};

const ROLE: &str = "arn:aws:iam::123456789012:role/r";

fn settings(yaml: &str) -> Result<Settings, String> {
    serde_yaml_ng::from_str(&format!("image: i\n{yaml}")).map_err(|error| error.to_string())
}

fn labelled(annotations: &Value, spec: &Value) -> Value {
    let mut pod = json!({
        "kind": "Pod",
        "metadata": {
            "name": "p",
            "labels": {annotation::ENABLED_LABEL: annotation::ENABLED_VALUE},
            "annotations": {annotation::ROLE_ARN: ROLE},
        },
        "spec": {"containers": [{"name": "app"}]},
    });
    for (place, fields) in [("/metadata/annotations", annotations), ("/spec", spec)] {
        for (name, value) in fields.as_object().unwrap() {
            pod.pointer_mut(place).unwrap()[name] = value.clone();
        }
    }
    pod
}

/// What the emulator says to the environment that it gets in this Pod.
fn started(settings: &Settings, pod: &Value) -> Result<(), String> {
    let pod = injected(settings, pod);
    let containers = ["/spec/initContainers", "/spec/containers"];
    let containers = containers.iter().filter_map(|list| pod.pointer(list)?.as_array()).flatten();
    let emulator = containers.into_iter().find(|c| c["name"] == pod::EMULATOR_CONTAINER).unwrap();
    // What kubelet makes of it: `$$` is `$`, and every name of the downward API is `p`.
    let mut environment: BTreeMap<&str, String> = BTreeMap::new();
    for variable in emulator["env"].as_array().unwrap() {
        let value = variable["value"].as_str().map(|text| {
            let references = ["$(IMDS_POD_NAMESPACE)", "$(IMDS_POD_NAME)", "$(IMDS_POD_SERVICE_ACCOUNT)"];
            references.iter().fold(text.to_owned(), |text, name| text.replace(name, "p")).replace("$$", "$")
        });
        environment.insert(variable["name"].as_str().unwrap(), value.unwrap_or_else(|| "p".to_owned()));
    }
    let environment: BTreeMap<&str, &str> = environment.iter().map(|(k, v)| (*k, v.as_str())).collect();
    config::parse([], &environment).map(drop).map_err(|problems| problems.to_string())
}

#[test]
fn every_injected_value_is_accepted() {
    let annotations = [
        json!({}),
        json!({annotation::REGION: "us-gov-west-1", annotation::ROLE_ARN: "arn:aws-us-gov:iam::123456789012:role/r"}),
        json!({annotation::ROLE_ARN: "arn:aws:iam::123456789012:role/$(HOME)/$$/r"}),
        json!({annotation::SESSION_DURATION: "900", annotation::HTTP_TOKENS: "required"}),
        json!({annotation::SESSION_DURATION: "43200", annotation::SESSION_NAME: "{pod}"}),
        json!({annotation::INTERCEPTION: "address"}),
        json!({annotation::INTERCEPTION: "endpoint"}),
    ];
    let seconds =
        [json!(null), json!(-1), json!(0), json!(30), json!(3605), json!(3606), json!(7200), json!(i64::MAX)];
    for sidecar in [Sidecar::Native, Sidecar::Classic] {
        let settings = Settings { sidecar, ..settings("emulatorEnv: {IMDS_START_TIMEOUT: 3600}").unwrap() };
        for annotations in &annotations {
            for seconds in &seconds {
                let pod = labelled(annotations, &json!({"terminationGracePeriodSeconds": seconds}));
                assert_eq!(started(&settings, &pod), Ok(()), "{sidecar:?} {annotations} {seconds}");
            }
        }
    }
}

/// The rule is written twice, because a library of the webhook must not carry the emulator: here they are compared.
#[test]
fn the_settings_refuse_what_the_emulator_refuses() {
    let pod = labelled(&json!({}), &json!({}));
    for (name, values) in [
        ("IMDS_START_TIMEOUT", &["", "0", "3600", "3601", "-1", "30s", "1.5", "+5", "now"][..]),
        ("IMDS_LOG_LEVEL", &["", "info", "WARN", "Trace", "off", "loud", "warning", "5"]),
        ("AWS_USE_FIPS_ENDPOINT", &["", "true", "False", "1", "yes"]),
        ("AWS_USE_DUALSTACK_ENDPOINT", &["", "TRUE", "false", "0", "on"]),
        ("AWS_STS_REGIONAL_ENDPOINTS", &["", "regional", "Legacy", "global"]),
        ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", &["", "true", "false", "2"]),
    ] {
        for value in values {
            let refused = settings(&format!("emulatorEnv: {{{name}: '{value}'}}"));
            let mut unchecked = injected(&Settings::new("i"), &pod);
            let emulator = &mut unchecked["spec"]["initContainers"][1];
            assert_eq!(emulator["name"], pod::EMULATOR_CONTAINER);
            let environment: BTreeMap<&str, &str> = emulator["env"]
                .as_array()
                .unwrap()
                .iter()
                .map(|variable| {
                    (variable["name"].as_str().unwrap(), variable["value"].as_str().unwrap_or("p"))
                })
                .filter(|(name, _)| *name != "AWS_ROLE_SESSION_NAME")
                .chain([(name, *value)])
                .collect();
            let by_emulator = config::parse([], &environment);
            assert_eq!(refused.is_ok(), by_emulator.is_ok(), "{name}={value}: {by_emulator:?}");
        }
    }
}
