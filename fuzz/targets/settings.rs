//! The webhook's `--config`: it never panics, and what is accepted can be injected with.
#![no_main]

use imds_contract::annotation;
use imds_inject::{Context, Decision, Settings, decide};
use libfuzzer_sys::fuzz_target;
use serde_json::json;

fuzz_target!(|text: &str| {
    let Ok(settings) = serde_yaml_ng::from_str::<Settings>(text) else { return };
    let pod = json!({
        "metadata": {
            "labels": {annotation::ENABLED_LABEL: annotation::ENABLED_VALUE},
            "annotations": {annotation::ROLE_ARN: "arn:aws:iam::123456789012:role/my-example-role"},
        },
        "spec": {"containers": [{"name": "app"}]},
    });
    match decide(&settings, &pod, &Context::new("default")) {
        Decision::Inject(injection) => {
            let after = injection.apply_to(&pod).expect("the patch was computed against this Pod");
            assert_eq!(
                after["spec"]["containers"].as_array().and_then(|list| list.last()).map(|app| &app["name"]),
                Some(&json!("app"))
            );
        }
        other => panic!("{other}, with {settings:?}"),
    }
});
