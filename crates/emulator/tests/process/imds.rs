//! IMDS on the socket of the real program: what a client's HTTP library sees.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::support::{DOCUMENT, ROLES, Response, Stage, document_field};

fn put_token(headers: &str) -> String {
    format!("PUT /latest/api/token HTTP/1.1\r\nhost: 169.254.169.254\r\nconnection: close\r\n{headers}\r\n")
}

fn get_with_token(path: &str, token: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-AWS-ec2-metadata-TOKEN: {token}\r\n\r\n"
    )
}

#[test]
fn v1_sees_the_real_services_headers_and_form() {
    let stage = Stage::new();
    let emulator = stage.emulator().ready();
    let roles = emulator.get(ROLES).expect(200);
    assert_eq!(roles.body, "my-example-role");
    for (name, value) in [
        ("server", "EC2ws"),
        ("content-type", "text/plain"),
        ("content-length", "15"),
        ("accept-ranges", "none"),
    ] {
        assert_eq!(roles.header(name), Some(value), "{name}: {roles:?}");
    }
    assert!(roles.header("last-modified").is_some_and(|time| time.ends_with(" GMT")), "{roles:?}");
    assert!(roles.header("date").is_some() && roles.header("transfer-encoding").is_none(), "{roles:?}");
    let document = emulator.get(DOCUMENT).expect(200);
    assert_eq!(document.header("content-type"), Some("text/plain"));
    assert_eq!(document_field(&document.body, "Code").as_deref(), Some("Success"));
    assert!(document_field(&document.body, "AccessKeyId").unwrap().starts_with("ASIAEXAMPLE"));
}

#[test]
fn v2_works_and_is_all_that_works_where_tokens_are_required() {
    let stage = Stage::new();
    let emulator = stage.emulator().env("IMDS_HTTP_TOKENS", "required").ready();
    let token = emulator.ask(&put_token("x-aws-ec2-metadata-token-ttl-seconds: 60\r\n")).expect(200);
    assert_eq!(token.header("x-aws-ec2-metadata-token-ttl-seconds"), Some("60"));
    assert_eq!(token.header("content-type"), Some("text/plain"));
    let document = emulator.ask(&get_with_token(DOCUMENT, &token.body)).expect(200);
    assert!(document.header("x-aws-ec2-metadata-token-ttl-seconds").is_some());
    let refused = emulator.get(DOCUMENT).expect(401);
    assert_eq!(refused.header("content-type"), Some("text/html"));
    assert!(refused.body.contains("401 - Unauthorized"));
    emulator.ask(&get_with_token(DOCUMENT, "INVALID")).expect(401);
}

#[test]
fn a_token_of_another_process_is_refused() {
    let stage = Stage::new();
    let (one, other) = (stage.emulator().ready(), stage.emulator().ready());
    let token = one.ask(&put_token("x-aws-ec2-metadata-token-ttl-seconds: 60\r\n")).expect(200).body;
    other.ask(&get_with_token("/", &token)).expect(401);
}

/// s3fs sends its token request so.
#[test]
fn an_empty_chunked_put_that_waits_for_100_continue_gets_a_token() {
    let stage = Stage::new();
    let emulator = stage.emulator().ready();
    let head = put_token(
        "x-aws-ec2-metadata-token-ttl-seconds: 21600\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n",
    );
    let mut stream = TcpStream::connect(emulator.imds).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"0\r\n\r\n").unwrap();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    assert_eq!(Response::parse(&rest).unwrap().expect(200).body.len(), 56);
    // The same body without asking first.
    emulator.ask(&(head.replace("Expect: 100-continue\r\n", "") + "0\r\n\r\n")).expect(200);
}

#[test]
fn a_token_request_with_a_body_too_long_is_refused() {
    let stage = Stage::new();
    let emulator = stage.emulator().start();
    let ttl = "x-aws-ec2-metadata-token-ttl-seconds: 60\r\n";
    emulator.ask(&(put_token(&format!("{ttl}content-length: 4\r\n")) + "body")).expect(200);
    let long = "x".repeat(2000);
    emulator.ask(&(put_token(&format!("{ttl}content-length: 2000\r\n")) + &long)).expect(413);
}

/// curl announces a body and sends none when it is given an empty file.
#[test]
fn a_token_request_whose_body_never_comes_is_answered_all_the_same() {
    let stage = Stage::new();
    let emulator = stage.emulator().start();
    let head = put_token("x-aws-ec2-metadata-token-ttl-seconds: 60\r\nTransfer-Encoding: chunked\r\n");
    let answer = emulator.ask(&head.replace("connection: close\r\n", "")).expect(200);
    assert_eq!(answer.header("connection"), Some("close"));
}

#[test]
fn http_1_0_keep_alive_pipelining_and_absolute_targets_work() {
    let stage = Stage::new();
    let emulator = stage.emulator().ready();
    let old = emulator.ask(&format!("GET {ROLES} HTTP/1.0\r\n\r\n")).expect(200);
    assert_eq!((old.version.as_str(), old.body.as_str()), ("HTTP/1.0", "my-example-role"));
    let absolute = format!(
        "GET http://169.254.169.254{ROLES} HTTP/1.1\r\nhost: fd00:ec2::254\r\nconnection: close\r\n\r\n"
    );
    assert_eq!(emulator.ask(&absolute).expect(200).body, "my-example-role");

    let two = format!(
        "GET {ROLES} HTTP/1.1\r\nhost: x\r\n\r\nGET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    );
    let mut stream = TcpStream::connect(emulator.imds).unwrap();
    stream.write_all(two.as_bytes()).unwrap();
    let mut both = String::new();
    stream.read_to_string(&mut both).unwrap();
    assert_eq!(both.matches("HTTP/1.1 200 OK").count(), 2, "{both}");
    assert!(both.contains("my-example-role") && both.ends_with("\nlatest"), "{both}");
}

#[test]
fn head_has_the_length_and_no_body() {
    let stage = Stage::new();
    let emulator = stage.emulator().ready();
    let head =
        emulator.ask(&format!("HEAD {ROLES} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")).expect(200);
    assert_eq!((head.header("content-length"), head.body.as_str()), (Some("15"), ""));
}

#[test]
fn forwarded_and_wrong_requests_are_refused_as_by_the_real_service() {
    let stage = Stage::new();
    let emulator = stage.emulator().ready();
    let forwarded =
        emulator.ask(&put_token("x-aws-ec2-metadata-token-ttl-seconds: 60\r\nX-Forwarded-For: 10.0.0.1\r\n"));
    assert_eq!((forwarded.expect(403).header("content-length")), Some("0"));
    emulator.ask(&put_token("")).expect(400);
    let get = emulator.get("/latest/api/token").expect(405);
    assert_eq!(get.header("allow"), Some("OPTIONS, PUT"));
    let post = emulator.ask(&format!(
        "POST {DOCUMENT} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
    ));
    assert_eq!(post.expect(405).header("allow"), Some("OPTIONS, GET, HEAD"));
    let missing = emulator.get("/latest/meta-data/instance-id").expect(404);
    assert_eq!(
        (missing.header("content-type"), missing.header("content-length")),
        (Some("text/html"), Some("339"))
    );
    assert!(emulator.ask("NONSENSE\r\n\r\n").status >= 400);
    emulator.get(ROLES).expect(200);
}

#[test]
fn the_recorded_requests_of_s3fs_pgbackrest_minio_js_and_fluent_bit_are_served() {
    let stage = Stage::new();
    let emulator = stage.emulator().ready();
    // minio-js doubles the slash; pgBackRest and the C++ SDK leave the last one out, and pgBackRest asks for 9 seconds.
    emulator.get("/latest/meta-data/iam/security-credentials//my-example-role").expect(200);
    emulator.get("/latest/meta-data/iam/security-credentials").expect(200);
    let token = emulator
        .ask(&put_token("x-aws-ec2-metadata-token-ttl-seconds: 9\r\ncontent-length: 0\r\n"))
        .expect(200);
    emulator.ask(&get_with_token(ROLES, &token.body)).expect(200);
    // fluent-bit finds out what there is with a token that can't be good, then without.
    emulator.ask(&get_with_token("/", "INVALID")).expect(401);
    emulator.get("/").expect(200);
}

#[test]
fn admin_serves_health_and_metrics_and_never_a_credential() {
    let stage = Stage::new();
    let emulator = stage.emulator().ready();
    emulator.get(DOCUMENT).expect(200);
    emulator.get("/latest/meta-data/instance-id").expect(404);
    for path in ["/livez", "/readyz", "/startupz"] {
        emulator.admin(path).expect(200);
    }
    for path in [DOCUMENT, ROLES, "/", "/latest/api/token"] {
        emulator.admin(path).expect(404);
    }
    let metrics = emulator.admin("/metrics").expect(200).body;
    for sample in [
        "imds_emulator_requests_total{path=\"document\",version=\"v1\",code=\"200\"} 1",
        "imds_emulator_requests_total{path=\"metadata\",version=\"v1\",code=\"404\"} 1",
        "imds_emulator_imdsv1_reads_total{client=\"none\"} 1",
        "imds_emulator_sts_exchanges_total{outcome=\"success\"} 1",
        "imds_emulator_sts_exchange_duration_seconds_count 1",
        "imds_emulator_credentials_valid 1",
        "imds_emulator_build_info{version=",
    ] {
        assert!(metrics.contains(sample), "{sample} is not in:\n{metrics}");
    }
    assert!(metrics.contains("imds_emulator_credentials_expiration_timestamp_seconds 1"), "{metrics}");
}

#[test]
fn who_still_uses_imdsv1_is_told_once_and_counted() {
    let stage = Stage::new();
    let emulator = stage.emulator().ready();
    let ask = |agent: &str| {
        emulator.ask(&format!(
            "GET {DOCUMENT} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nuser-agent: {agent}\r\n\r\n"
        ))
    };
    for agent in ["Boto/2.49.0 Python/3.11", "Boto/2.49.0 Python/3.12", "curl/7.88.1"] {
        ask(agent).expect(200);
    }
    let line = emulator.wait_for_log("reads credentials by IMDSv1");
    assert!(line.contains("\"client\":\"Boto\"") && line.contains("Python/3.11"), "{line}");
    let line = emulator.wait_for_log("reads credentials by IMDSv1");
    assert!(line.contains("\"client\":\"curl\""), "once for each family: {line}");
    let token =
        emulator.ask(&put_token("x-aws-ec2-metadata-token-ttl-seconds: 60\r\nuser-agent: aws-cli/2\r\n"));
    emulator.ask(&get_with_token(DOCUMENT, &token.body)).expect(200);
    let metrics = emulator.admin("/metrics").expect(200).body;
    for sample in ["{client=\"Boto\"} 2", "{client=\"curl\"} 1"] {
        assert!(metrics.contains(&format!("imds_emulator_imdsv1_reads_total{sample}")), "{metrics}");
    }
    assert!(!metrics.contains("aws-cli"), "{metrics}");
}

#[test]
fn the_guards_of_the_operator_are_kept() {
    let stage = Stage::new();
    let emulator = stage
        .emulator()
        .env("IMDS_ALLOWED_HOSTS", "169.254.169.254,localhost")
        .env("IMDS_HOP_LIMIT", "1")
        .ready();
    emulator.get(ROLES).expect(200);
    let ask = |host: &str, target: &str| {
        emulator.ask(&format!("GET {target}{ROLES} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"))
    };
    ask("localhost:1338", "").expect(200);
    assert_eq!(ask("rebind.example", "").expect(403).body, "");
    ask("localhost", "http://rebind.example").expect(403);
}

#[test]
fn what_is_known_of_the_pod_is_served_where_it_is_asked_for() {
    let stage = Stage::new();
    let emulator = stage
        .emulator()
        .env("IMDS_METADATA", "extended")
        .env("AWS_REGION", "eu-central-1")
        .env("IMDS_POD_UID", "0b6d4d1e-8f3a-4a53-9d3c-2f1e5a7c9b10")
        .env("IMDS_POD_IPS", "10.1.2.3")
        .ready();
    let document = emulator.get("/latest/dynamic/instance-identity/document").expect(200);
    assert_eq!(document.header("content-type"), Some("text/plain"));
    for (name, value) in
        [("region", "eu-central-1"), ("accountId", "123456789012"), ("privateIp", "10.1.2.3")]
    {
        assert_eq!(document_field(&document.body, name).as_deref(), Some(value));
    }
    emulator.get("/latest/meta-data/placement/availability-zone").expect(404);
    assert_eq!(emulator.get("/latest/meta-data/placement/").expect(200).body, "region");
}

#[test]
fn odd_heads_are_refused_and_harm_nobody() {
    let stage = Stage::new();
    let emulator = stage.emulator().ready();
    let head = |more: &str| format!("GET {ROLES} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{more}\r\n");
    emulator.ask(&head(&format!("long: {}\r\n", "y".repeat(9000)))).expect(431);
    emulator.ask(&head(&"many: y\r\n".repeat(200))).expect(431);
    emulator.ask(&head("X-AWS-EC2-METADATA-TOKEN: \r\n")).expect(401);
    for path in
        ["/latest/../latest/meta-data/", "/latest/meta-data/iam/security-credentials/%2e%2e/x", "/%00"]
    {
        emulator.get(path).expect(400);
    }
    emulator.get("/latest/%6deta-data/iam/security-credentials/").expect(200);
    emulator.get(&format!("{DOCUMENT}?a=b#c")).expect(200);
    emulator.get(ROLES).expect(200);
}
