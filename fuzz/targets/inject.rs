//! A document with Pods or what makes Pods: whatever it is, nothing panics, nothing the user wrote changes, others apply
//! the patch to the same effect, and a second injection has nothing to add. The checks are those of the generated Pods.
#![no_main]

#[path = "../../crates/inject/tests/common/mod.rs"]
mod common;

use common::CONTEXT;
use imds_fuzz::{every_form, mutate_json};
use imds_inject::{ServerVersion, decide, decide_document, warnings};
use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use serde_json::Value;

const OLD: ServerVersion = ServerVersion { major: 1, minor: 24 };

fuzz_target!(|document: &[u8]| {
    let Ok(document) = serde_json::from_slice::<Value>(document) else { return };
    for warning in warnings(&document) {
        assert!(!warning.to_string().is_empty());
    }
    for settings in every_form() {
        // As the webhook has it: the whole is a Pod, whatever it says it is.
        let _ = decide(&settings, &document, &CONTEXT);
        for server in [None, Some(OLD)] {
            let decisions = decide_document(&settings, &document, CONTEXT.namespace, server);
            let after = common::applied(&document, &decisions);
            common::keeps_promises(&settings, server, &document, &after, &decisions);
        }
    }
});

fuzz_mutator!(|data: &mut [u8], size: usize, longest: usize, seed: u32| {
    mutate_json(data, size, longest, seed)
});
