//! An AdmissionReview as the webhook gets it. It never panics; what it answers is JSON with the request's uid; its patch
//! applies by the crate json-patch, and to what comes of that there is nothing more to add.
#![no_main]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use imds_contract::Interception;
use imds_fuzz::{mutate_json, settings};
use imds_inject::Sidecar;
use imds_webhook::review::{Outcome, Webhook, review};
use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use serde_json::Value;

fuzz_target!(|body: &[u8]| {
    for webhook in Webhook::ALL {
        check(body, webhook);
    }
});

fuzz_mutator!(|data: &mut [u8], size: usize, longest: usize, seed: u32| {
    mutate_json(data, size, longest, seed)
});

fn check(body: &[u8], webhook: Webhook) {
    let settings = settings(Sidecar::Auto, Interception::Redirect);
    let Ok(reviewed) = review(body, webhook, &settings, None) else { return };
    let answer: Value = serde_json::from_slice(&reviewed.body).expect("the answer is JSON");
    let response = &answer["response"];
    assert_eq!(
        (&answer["apiVersion"], &answer["kind"]),
        (&"admission.k8s.io/v1".into(), &"AdmissionReview".into())
    );
    assert_ne!(response["uid"], "", "{answer}");
    let refused = matches!(reviewed.outcome, Outcome::Refused { .. });
    assert_eq!(response["allowed"], !refused, "{answer}");
    assert_eq!(response.get("status").is_some(), refused, "{answer}");
    let injected = matches!(reviewed.outcome, Outcome::Injected { .. } | Outcome::Completed { .. });
    assert_eq!(
        (response.get("patch").is_some(), response.get("patchType").is_some()),
        (injected, injected),
        "{answer}"
    );
    assert!(webhook == Webhook::Mutate || !(refused || injected), "{answer}");

    // What is not looked at may be nested too deep for a Value, or no UTF-8.
    let Ok(asked) = serde_json::from_slice::<Value>(body) else { return };
    // A list of a struct's fields is as good to serde as an object.
    if let Some(uid) = asked.pointer("/request/uid") {
        assert_eq!(response["uid"], *uid);
    }
    if injected && asked.pointer("/request/object").is_some() {
        check_patch(asked, response["patch"].as_str().expect("a patch is text"), &settings);
    }
}

fn check_patch(mut asked: Value, patch: &str, settings: &imds_inject::Settings) {
    let patch = STANDARD.decode(patch).expect("a patch is base64");
    let patch: json_patch::Patch = serde_json::from_slice(&patch).expect("a patch is one by RFC 6902");
    let object = asked.pointer_mut("/request/object").expect("what was injected is there");
    json_patch::patch(object, &patch).expect("the patch applies");
    let again =
        review(asked.to_string().as_bytes(), Webhook::Mutate, settings, None).expect("it is a review");
    // It may still be warned about.
    assert!(matches!(again.outcome, Outcome::Skipped { .. } | Outcome::Warned { .. }), "{:?}", again.outcome);
}
