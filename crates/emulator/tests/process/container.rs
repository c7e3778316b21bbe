//! The container credentials endpoint, as SDKs ask it that read `AWS_CONTAINER_CREDENTIALS_FULL_URI`.

use crate::support::{DOCUMENT, Response, Stage};

fn ask(emulator: &crate::support::Emulator, headers: &str) -> Response {
    emulator.ask(&format!(
        "GET /v1/credentials HTTP/1.1\r\nhost: 127.0.0.1:1338\r\nconnection: close\r\n{headers}\r\n"
    ))
}

#[test]
fn whoever_reads_the_file_gets_the_document_and_a_restart_changes_nothing() {
    let stage = Stage::new();
    let file = stage.folder.path().join("authorization");
    let start =
        || stage.emulator().env("IMDS_AUTHORIZATION_FILE", &file).env("IMDS_HTTP_TOKENS", "required").ready();
    let emulator = start();
    let value = std::fs::read_to_string(&file).unwrap();
    let answer = ask(&emulator, &format!("Authorization: {value}\r\n")).expect(200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    for name in ["AccessKeyId", "SecretAccessKey", "Token", "Expiration"] {
        assert!(answer.body.contains(&format!("\"{name}\" : \"")), "{name}");
    }
    let refused = ask(&emulator, "").expect(401);
    assert_eq!(refused.header("content-type"), Some("application/json"));
    ask(&emulator, "Authorization: guess\r\n").expect(401);
    ask(&emulator, &format!("Authorization: {value}\r\nX-Forwarded-For: 10.0.0.1\r\n")).expect(403);
    let metrics = emulator.admin("/metrics").expect(200).body;
    let sample = "imds_emulator_requests_total{path=\"container\",version=\"none\",code=\"401\"} 2";
    assert!(metrics.contains(sample), "{metrics}");
    drop(emulator);

    let emulator = start();
    ask(&emulator, &format!("Authorization: {value}\r\n")).expect(200);
}

#[test]
fn without_the_file_there_is_no_such_endpoint() {
    let stage = Stage::new();
    let emulator = stage.emulator().ready();
    ask(&emulator, "").expect(404);
    emulator.get(DOCUMENT).expect(200);
}

#[test]
fn a_file_that_cannot_be_made_is_told_before_anything_is_served() {
    let stage = Stage::new();
    let mut emulator = stage.emulator().env("IMDS_AUTHORIZATION_FILE", "/nowhere/at/all").spawn();
    let line = emulator.wait_for_log("can't use /nowhere/at/all");
    assert!(line.contains("No such file"), "{line}");
    crate::support::eventually(|| emulator.ended().is_some());
    assert_eq!(emulator.ended().and_then(|status| status.code()), Some(1));
}
