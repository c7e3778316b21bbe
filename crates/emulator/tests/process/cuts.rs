//! STS's answer is broken off after so many bytes, in the middle of TLS records and between them: there are credentials, or
//! there are none, and never a part of them.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;

use crate::proxy::{Does, Proxy};
use crate::support::{DOCUMENT, Stage, document_field, eventually};

/// How many places, and how many are tried at a time.
const PLACES: usize = 48;
const THREADS: usize = 6;

#[test]
fn an_answer_that_breaks_off_anywhere_is_no_answer() {
    let stage = Stage::new();
    let whole = {
        let proxy = Proxy::to(stage.sts.url());
        drop(stage.emulator().env("AWS_ENDPOINT_URL_STS", proxy.url()).ready());
        eventually(|| proxy.answered() > 0);
        proxy.answered()
    };
    assert!(whole > 1000, "{whole}");
    let failed = AtomicUsize::new(0);
    thread::scope(|threads| {
        for thread in 0..THREADS {
            let (stage, failed) = (&stage, &failed);
            threads.spawn(move || {
                for place in (thread..PLACES).step_by(THREADS) {
                    // All of the first bytes, then evenly to the end.
                    let bytes = place.max(whole * place / PLACES);
                    let does = if place % 2 == 0 { Does::CutAfter(bytes) } else { Does::ResetAfter(bytes) };
                    failed.fetch_add(usize::from(breaks_off(stage, does)), SeqCst);
                }
            });
        }
    });
    // Near the end the document is there, and what is missing is TLS's own good-bye.
    let failed = failed.into_inner();
    assert!(failed > PLACES / 2, "{failed} of {PLACES} failed");
}

/// Whether the first exchange failed; the second is let through.
fn breaks_off(stage: &Stage, does: Does) -> bool {
    let proxy = Proxy::to(stage.sts.url());
    proxy.set(does);
    let emulator = stage.emulator().env("AWS_ENDPOINT_URL_STS", proxy.url()).start();
    let outcome = emulator.wait_for_log("credentials");
    let outcome = if outcome.contains("asking STS") { emulator.wait_for_log("credentials") } else { outcome };
    let failed = outcome.contains("can't get credentials");
    if failed {
        let words = ["\"tls\"", "\"connect\"", "\"unusable_answer\""];
        assert!(words.iter().any(|word| outcome.contains(word)), "{does:?}: {outcome}");
        assert_eq!(emulator.get(DOCUMENT).status, 503, "{does:?}");
    }
    proxy.set(Does::Pass);
    eventually(|| emulator.get(DOCUMENT).status == 200);
    let document = emulator.get(DOCUMENT).expect(200).body;
    for field in ["AccessKeyId", "SecretAccessKey", "Token", "Expiration"] {
        assert!(document_field(&document, field).is_some_and(|value| value.len() > 15), "{does:?}: {field}");
    }
    failed
}
