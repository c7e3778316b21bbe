//! An answer of STS: status, `Date`, `Retry-After`, `x-amzn-RequestId`, a line each, and the body. Decoding never panics;
//! credentials make a document that is JSON and has them as they came; what is told of a failure or printed holds no secret.
#![no_main]

use std::fmt::Debug;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use imds_contract::SessionDuration;
use imds_emulator::clock::Now;
use imds_emulator::credentials::Credentials;
use imds_sts::{Answer, AssumeRoleWithWebIdentity, Failure, Reply, Secret, response};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

/// The one that the seeds have in them too.
const TOKEN: &str =
    "eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ.eyJzdWIiOiJzeXN0ZW0ifQ.c2lnbmF0dXJlLW9mLXRoZS10b2tlbg";

/// Shorter ones may be part of any word.
const SHORTEST_SECRET: usize = 16;

static NOW: LazyLock<Now> = LazyLock::new(|| Now {
    wall: SystemTime::UNIX_EPOCH + Duration::from_hours(500_000),
    boot: Duration::from_secs(5000),
});

fuzz_target!(|input: &[u8]| {
    let mut lines = input.splitn(5, |byte| *byte == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    let mut text = || str::from_utf8(line()).ok();
    let Some(status) = text().and_then(|status| status.parse().ok()) else { return };
    let (date, retry_after, request_id) = (text(), text(), text());
    let reply = Reply { status, date, retry_after, request_id, body: line() };
    let request = AssumeRoleWithWebIdentity {
        role_arn: &"arn:aws:iam::123456789012:role/team/my-role".parse().expect("a role"),
        session_name: &"shop.web".parse().expect("a name"),
        duration: SessionDuration::DEFAULT,
        token: &Secret::from(TOKEN),
    };
    match response::decode(&request.into(), &reply) {
        Ok(answer) => check_answer(&answer),
        Err(failure) => check_failure(&failure),
    }
});

fn check_answer(answer: &Answer) {
    let credentials = &answer.credentials;
    let [key, token] = [&credentials.secret_access_key, &credentials.session_token].map(Secret::expose);
    for text in [&credentials.access_key_id, key, token] {
        let fit = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
        assert!(!text.is_empty() && text.bytes().all(fit), "{text:?}");
    }
    let printed = printed(answer);
    for secret in [key, token].into_iter().filter(|secret| secret.len() >= SHORTEST_SECRET) {
        assert!(!printed.contains(secret), "{printed}");
    }
    let Some(served) = Credentials::new(answer, Duration::from_hours(1), *NOW, *NOW) else { return };
    assert!(served.are_valid(*NOW) && served.life() <= Duration::from_hours(1), "{served:?}");
    let document: Value = serde_json::from_slice(&served.document()).expect("the document is JSON");
    assert_eq!(
        [&document["AccessKeyId"], &document["SecretAccessKey"], &document["Token"]],
        [&credentials.access_key_id[..], key, token].map(Value::from).each_ref()
    );
}

fn check_failure(failure: &Failure) {
    let printed = format!("{failure} {}", printed(failure));
    assert!(!printed.contains(TOKEN), "{printed}");
    let signature = TOKEN.rsplit('.').next().expect("a token has three parts");
    assert!(!printed.contains(signature), "{printed}");
    assert!(!printed.chars().any(char::is_control), "{printed:?}");
}

fn printed(value: &impl Debug) -> String {
    format!("{value:?}")
}
