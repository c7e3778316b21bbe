//! The client of the Kubernetes API: what it sends, and what it makes of answers.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

#[path = "support/api_server.rs"]
mod api_server;

use std::collections::BTreeMap;

use api_server::{ApiServer, Fault};
use http::StatusCode;
use imds_webhook::kubernetes::{Changes, Client, Failure, Objects as _, Version};
use serde_json::json;

#[tokio::test]
async fn reads_the_version() {
    let server = ApiServer::start().await;
    let version = server.client().version().await.unwrap();
    assert_eq!(version, Version { major: "1".to_owned(), minor: "32+".to_owned() });
}

#[tokio::test]
async fn what_it_does_not_know_of_an_object_stays() {
    let server = ApiServer::start().await;
    let objects = server.objects();
    assert!(objects.secret().await.unwrap().is_none());
    server.store().secret = Some(json!({
        "kind": "Secret",
        "metadata": { "name": "certificates", "resourceVersion": "1", "labels": { "a": "b" } },
        "type": "Opaque",
        "data": { "theirs": "dGhlaXJz", "tls.crt": "b2xk", "next-ca.crt": "b2xk" },
        "aFieldOfTheFuture": [1],
    }));
    let secret = objects.secret().await.unwrap().unwrap();
    assert_eq!(secret.get("tls.crt"), Some(b"old".to_vec()));
    let changes =
        Changes::from([("tls.crt", Some("new".to_owned())), ("next-ca.crt", None), ("absent", None)]);
    let written = objects.write_secret(Some(&secret), &changes).await.unwrap();
    assert_eq!(written.get("tls.crt"), Some(b"new".to_vec()));
    let mut stored = server.store().secret.clone().unwrap();
    assert_eq!(stored["metadata"]["resourceVersion"].take(), "2");
    assert_eq!(
        stored,
        json!({
            "kind": "Secret",
            "metadata": { "name": "certificates", "resourceVersion": null, "labels": { "a": "b" } },
            "type": "Opaque",
            "data": { "theirs": "dGhlaXJz", "tls.crt": "bmV3" },
            "aFieldOfTheFuture": [1],
        })
    );

    let before = server.store().configuration.clone().unwrap();
    let configuration = objects.configuration().await.unwrap().unwrap();
    assert_eq!(configuration.bundles, [b"", b""]);
    objects.write_bundle(&configuration, "PEM").await.unwrap();
    assert_eq!(server.bundles(), ["PEM", "PEM"]);
    let mut after = server.store().configuration.clone().unwrap();
    after["metadata"]["resourceVersion"] = "1".into();
    for webhook in after["webhooks"].as_array_mut().unwrap() {
        webhook["clientConfig"].as_object_mut().unwrap().remove("caBundle").unwrap();
    }
    assert_eq!(after, before);
}

#[tokio::test]
async fn who_writes_from_an_old_version_is_told_of_a_conflict() {
    let server = ApiServer::start().await;
    let objects = server.objects();
    let changes = Changes::from([("tls.crt", Some("1".to_owned()))]);
    let first = objects.write_secret(None, &changes).await.unwrap();
    let created_again = objects.write_secret(None, &changes).await.unwrap_err();
    objects.write_secret(Some(&first), &changes).await.unwrap();
    let updated_again = objects.write_secret(Some(&first), &changes).await.unwrap_err();
    let configuration = objects.configuration().await.unwrap().unwrap();
    objects.write_bundle(&configuration, "first").await.unwrap();
    let patched_again = objects.write_bundle(&configuration, "second").await.unwrap_err();
    for failure in [created_again, updated_again, patched_again] {
        assert!(failure.is_conflict(), "{failure}");
    }
    assert_eq!(server.bundles(), ["first", "first"]);
}

#[tokio::test]
async fn token_and_authority_are_read_anew() {
    let server = ApiServer::start().await;
    let client = server.client();
    client.version().await.unwrap();
    server.store().token = "rotated".to_owned();
    let failure = client.version().await.unwrap_err();
    assert!(matches!(failure, Failure::Refused(_, StatusCode::UNAUTHORIZED, _)), "{failure}");
    std::fs::write(server.service_account().join("token"), "rotated").unwrap();
    client.version().await.unwrap();
    server.replace_authority();
    client.version().await.unwrap();
}

#[tokio::test]
async fn a_failure_says_what_was_tried_and_never_what_is_secret() {
    const SECRET: &str = r#"{"data":{"ca.key":"c2VjcmV0"},"#;
    let server = ApiServer::start().await;
    let objects = server.objects();
    for (fault, expected) in [
        (
            Fault::Answer(200, SECRET),
            "can't read the Secret imds/certificates: the API server's answer is wrong",
        ),
        (Fault::Answer(200, "[]"), "it is no JSON object"),
        (Fault::Answer(503, SECRET), "the API server answers 503 Service Unavailable"),
        (Fault::Answer(403, r#"{"kind":"Status","message":"secrets is forbidden"}"#), "secrets is forbidden"),
        (Fault::CutOff, "can't read the Secret imds/certificates: 127.0.0.1, port"),
    ] {
        server.store().fault = Some(fault);
        let message = objects.secret().await.unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
        assert!(!message.contains("c2VjcmV0") && !message.contains("the token"), "{message}");
    }
    server.store().fault = Some(Fault::Answer(200, r#"{"metadata":{}}"#));
    let message = objects.configuration().await.unwrap_err().to_string();
    assert!(message.contains("metadata.resourceVersion is missing"), "{message}");
}

#[tokio::test]
async fn whom_it_can_not_trust_or_reach_it_names() {
    let server = ApiServer::start().await;
    let stranger = ApiServer::start().await;
    let certificate = std::fs::read(stranger.service_account().join("ca.crt")).unwrap();
    std::fs::write(server.service_account().join("ca.crt"), certificate).unwrap();
    let message = server.client().version().await.unwrap_err().to_string();
    assert!(message.contains("can't set up TLS with 127.0.0.1"), "{message}");
    // Both authorities have the same name.
    assert!(
        message.contains("its certificate is signed by nobody whom we trust, or with a key"),
        "{message}"
    );
    assert!(message.contains("/ca.crt)"), "it names the file: {message}");
    assert_eq!(server.store().requests.len(), 0, "no token for a stranger");
    std::fs::write(server.service_account().join("ca.crt"), "").unwrap();
    let message = server.client().version().await.unwrap_err().to_string();
    assert!(message.contains("ca.crt of the service account: it holds no certificate"), "{message}");

    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let nobody = Client::new("127.0.0.1".to_owned(), free, stranger.service_account().to_owned());
    let message = nobody.version().await.unwrap_err().to_string();
    assert!(message.contains("can't connect to 127.0.0.1"), "{message}");
}

#[tokio::test]
async fn silence_ends() {
    let server = ApiServer::start().await;
    server.store().fault = Some(Fault::Silence);
    let client = server.client();
    let asked = tokio::spawn(async move { client.version().await });
    // Until the request is on its way, time is real.
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    tokio::time::pause();
    tokio::time::advance(std::time::Duration::from_secs(11)).await;
    let message = asked.await.unwrap().unwrap_err().to_string();
    assert!(message.contains("no answer within 10s"), "{message}");
}

#[test]
fn outside_a_pod_it_says_so() {
    for (environment, missing) in [
        (BTreeMap::new(), "KUBERNETES_SERVICE_HOST"),
        (BTreeMap::from([("KUBERNETES_SERVICE_HOST", "10.0.0.1")]), "KUBERNETES_SERVICE_PORT"),
        (
            BTreeMap::from([("KUBERNETES_SERVICE_HOST", "::1"), ("KUBERNETES_SERVICE_PORT", "https")]),
            "KUBERNETES_SERVICE_PORT",
        ),
    ] {
        let message = Client::in_pod(&environment).unwrap_err().to_string();
        assert!(message.contains(missing), "{message}");
    }
}
