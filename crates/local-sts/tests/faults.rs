//! Each fault as a client sees it, how it ends, and the controls for scripts.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is a failure")]

mod client;

use std::io;
use std::time::{Duration, SystemTime};

use client::{Client, ROLE};
use imds_local_sts::{Claims, Config, Fault, LocalSts, Outcome, Role};
use tokio::time::{Instant, timeout};

fn start() -> (LocalSts, Client, String) {
    let role = Role::new(ROLE.parse().unwrap(), "default", "web");
    let sts = LocalSts::start(Config { roles: vec![role], ..Config::default() }).unwrap();
    let client = Client::new(sts.url(), sts.ca_pem().as_deref());
    let lifetime = Duration::from_hours(24 * 365 * 200);
    let claims = Claims { lifetime, ..Claims::new("default", "web", "nginx") };
    let token = sts.issuer().mint(&claims, SystemTime::UNIX_EPOCH);
    (sts, client, token)
}

fn fault(spec: &str) -> Fault {
    spec.parse().unwrap()
}

fn broken(fault: &str) -> Outcome {
    Outcome::Broken { fault: fault.to_owned() }
}

#[tokio::test]
async fn latency_delays_whatever_comes_then() {
    let (sts, client, token) = start();
    for (spec, status) in [("latency=300ms", 200), ("latency=300ms+status=500", 500)] {
        sts.set_fault(fault(spec));
        let before = Instant::now();
        assert_eq!(client.exchange(&token, &[]).await.status(), status);
        assert!(before.elapsed() >= Duration::from_millis(300), "{spec}");
    }
}

#[tokio::test]
async fn a_hung_request_is_never_answered_and_others_are() {
    let (sts, client, token) = start();
    sts.set_fault(Fault::Hang);
    let hung = timeout(Duration::from_millis(500), client.try_exchange(&token, &[])).await;
    assert!(hung.is_err(), "{hung:?}");
    assert_eq!(sts.exchanges().pop().unwrap().outcome, broken("hang"));
    assert_eq!(client.get("/openid/v1/jwks").await.status(), 200, "the documents are not concerned");
    sts.set_fault(Fault::None);
    assert_eq!(client.exchange(&token, &[]).await.status(), 200);
}

#[tokio::test]
async fn aws_errors_come_with_their_status_code_and_headers() {
    let (sts, client, token) = start();
    for (spec, status, code, kind, retry_after) in [
        ("throttle", 400, "Throttling", "Sender", None),
        ("throttle-429=2s", 429, "Throttling", "Sender", Some("2")),
        ("throttle-503=1m", 503, "Throttling", "Receiver", Some("60")),
        ("status=500", 500, "InternalFailure", "Receiver", None),
        ("status=503", 503, "ServiceUnavailable", "Receiver", None),
        ("error=IDPCommunicationError:400:no provider", 400, "IDPCommunicationError", "Sender", None),
    ] {
        sts.set_fault(fault(spec));
        let answer = client.exchange(&token, &[]).await;
        assert_eq!((answer.status(), &*answer.element("Code")), (status, code), "{spec}");
        assert_eq!((&*answer.element("Type"), answer.header("retry-after")), (kind, retry_after), "{spec}");
        assert_eq!(sts.exchanges().pop().unwrap().outcome, Outcome::Refused { code: code.to_owned() });
    }
    sts.set_fault(fault("status=502"));
    let page = client.exchange(&token, &[]).await;
    assert_eq!((page.status(), page.header("content-type")), (502, Some("text/html")));
    assert!(page.text().contains("502 Bad Gateway"), "{}", page.text());
}

#[tokio::test]
async fn a_reset_is_a_reset() {
    let (sts, client, token) = start();
    sts.set_fault(Fault::Reset);
    let error = client.try_exchange(&token, &[]).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "{error}");
    assert_eq!(sts.exchanges().pop().unwrap().outcome, broken("reset"));
}

#[tokio::test]
async fn garbage_is_no_xml() {
    let (sts, client, token) = start();
    sts.set_fault(Fault::Garbage);
    let answer = client.exchange(&token, &[]).await;
    assert_eq!((answer.status(), answer.header("content-type")), (200, Some("text/xml")));
    assert!(String::from_utf8(answer.body).is_err());
}

#[tokio::test]
async fn a_truncated_answer_is_shorter_than_it_promises() {
    let (sts, client, token) = start();
    sts.set_fault(Fault::Truncate);
    let answer = client.exchange(&token, &[]).await;
    let promised: usize = answer.header("content-length").unwrap().parse().unwrap();
    assert_eq!((answer.status(), answer.body.len()), (200, promised / 2));
    assert!(answer.text().starts_with("<AssumeRoleWithWebIdentityResponse"), "{}", answer.text());
}

#[tokio::test]
async fn credentials_may_end_soon_or_belong_to_another_role() {
    let (sts, client, token) = start();
    for (spec, life) in [("near-expiry=60s", 60), ("near-expiry=0s", 0)] {
        sts.set_fault(fault(spec));
        assert_eq!(client.exchange(&token, &[]).await.life(), Duration::from_secs(life));
    }
    sts.set_fault(Fault::WrongRole);
    let arn = client.exchange(&token, &[]).await.element("Arn");
    assert_eq!(arn, "arn:aws:sts::123456789012:assumed-role/another-role/default.nginx");
    assert_eq!(client.exchange("x.y.z", &[]).await.status(), 400, "a wrong token stays wrong");
}

#[tokio::test]
async fn a_refusing_sts_refuses_at_once_and_recovers_at_the_same_address() {
    let (sts, client, token) = start();
    for _ in 0..3 {
        sts.set_fault(Fault::Refuse(None));
        let error = client.try_exchange(&token, &[]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        sts.set_fault(Fault::None);
        assert_eq!(client.exchange(&token, &[]).await.status(), 200);
    }
}

#[tokio::test]
async fn a_script_sets_and_ends_faults() {
    let (sts, client, token) = start();
    let set = async |spec: &str| client.post("/_local/fault", "", spec).await.unwrap();

    let answer = set("throttle=5s\n").await;
    assert_eq!((answer.status(), answer.text()), (200, "throttle=5s\n"));
    assert_eq!(client.exchange(&token, &[]).await.status(), 400);
    assert_eq!(set("sulk").await.status(), 400);
    assert_eq!(set("refuse").await.status(), 400, "for ever would be out of reach");
    assert_eq!(client.exchange(&token, &[]).await.element("Code"), "Throttling", "nothing has changed");
    assert_eq!(set("none").await.status(), 200);
    assert_eq!(client.exchange(&token, &[]).await.status(), 200);

    let exchanges = client.get("/_local/exchanges").await;
    let outcomes: Vec<_> =
        exchanges.json().as_array().unwrap().iter().map(|one| one["outcome"].clone()).collect();
    assert_eq!(outcomes, ["Throttling", "Throttling", "issued"]);
    assert!(
        !exchanges.text().contains(&token) && !exchanges.text().contains("EXAMPLE"),
        "{}",
        exchanges.text()
    );
    assert_eq!(
        client.post("/_local/token/rotate", "", "").await.unwrap().status(),
        409,
        "no token file here"
    );

    assert_eq!(set("refuse=700ms").await.status(), 200, "the answer comes before the door shuts for others");
    let error = client.try_exchange(&token, &[]).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    let recovered = async {
        while client.try_exchange(&token, &[]).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(20), recovered).await.expect("it ends by itself");
    drop(sts);
}

#[tokio::test]
async fn an_older_refusals_end_does_not_end_a_newer_fault() {
    let (sts, client, token) = start();
    sts.set_fault(fault("refuse=100ms"));
    sts.set_fault(Fault::throttle());
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(client.exchange(&token, &[]).await.element("Code"), "Throttling");
}
