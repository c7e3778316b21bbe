//! The server over its sockets: what a client gets when all is well, and when the token or the request is wrong.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is a failure")]

mod client;

use std::time::{Duration, SystemTime};

use client::{Answer, Client, ROLE};
use imds_local_sts::{
    CONFIGURATION_PATH, Certificate, Claims, Config, ForeignIssuer, Issuer, LocalSts, Mode, Outcome,
    Projection, Role, Transport,
};

/// Good whenever the test runs: no clock needed.
fn claims() -> Claims {
    let lifetime = Duration::from_hours(24 * 365 * 200);
    Claims { lifetime, ..Claims::new("default", "web", "nginx") }
}

fn role() -> Role {
    Role::new(ROLE.parse().unwrap(), "default", "web")
}

fn start() -> (LocalSts, Client, String) {
    let sts = LocalSts::start(Config { roles: vec![role()], ..Config::default() }).unwrap();
    let client = Client::new(sts.url(), sts.ca_pem().as_deref());
    let token = sts.issuer().mint(&claims(), SystemTime::UNIX_EPOCH);
    (sts, client, token)
}

#[tokio::test]
async fn a_good_token_gets_credentials_for_the_time_that_was_asked() {
    let (sts, client, token) = start();
    let answer = client.exchange(&token, &[("DurationSeconds", "900")]).await;
    assert_eq!((answer.status(), answer.header("content-type")), (200, Some("text/xml")));
    assert_eq!(answer.header("x-amzn-requestid"), Some(&*answer.element("RequestId")));
    assert_eq!(answer.life(), Duration::from_mins(15));
    assert_eq!(answer.element("AccessKeyId"), "ASIAEXAMPLE000000001");
    assert_eq!(answer.element("Arn"), "arn:aws:sts::123456789012:assumed-role/my-example-role/default.nginx");
    assert_eq!(answer.element("SubjectFromWebIdentityToken"), "system:serviceaccount:default:web");

    let second = client.exchange(&token, &[]).await;
    assert_eq!(second.life(), Duration::from_hours(1), "an hour by default");
    for key in ["AccessKeyId", "SecretAccessKey", "SessionToken"] {
        assert_ne!(answer.element(key), second.element(key), "{key} of another exchange");
    }

    let exchanges = sts.exchanges();
    assert_eq!(exchanges.len(), 2);
    assert!(matches!(exchanges[0].outcome, Outcome::Issued { .. }));
    assert_eq!(exchanges[0].role.as_deref(), Some(ROLE));
    assert_eq!(exchanges[0].session_name.as_deref(), Some("default.nginx"));
    assert_eq!((exchanges[0].duration.as_deref(), exchanges[1].duration.as_deref()), (Some("900"), None));
}

#[tokio::test]
async fn each_refusal_comes_as_awss_error() {
    let (sts, client, good) = start();
    let mint = |claims: &Claims| sts.issuer().mint(claims, SystemTime::UNIX_EPOCH);
    let expired = mint(&Claims { lifetime: Duration::from_hours(1), ..claims() });
    let vault = mint(&Claims { audience: "vault".to_owned(), ..claims() });
    let stranger = Issuer::new(sts.url()).mint(&claims(), SystemTime::UNIX_EPOCH);
    let untrusted = mint(&Claims { service_account: "other".to_owned(), ..claims() });
    let unknown_role = [("RoleArn", "arn:aws:iam::123456789012:role/unknown")];
    for (token, more, status, code) in [
        (&*expired, &[][..], 400, "ExpiredTokenException"),
        (&vault, &[], 400, "InvalidIdentityToken"),
        (&stranger, &[], 400, "InvalidIdentityToken"),
        ("not-a-jwt", &[], 400, "InvalidIdentityToken"),
        (&untrusted, &[], 403, "AccessDenied"),
        (&good, &unknown_role, 403, "AccessDenied"),
        (&good, &[("DurationSeconds", "3601")], 400, "ValidationError"),
        (&good, &[("RoleSessionName", "a/b")], 400, "ValidationError"),
        (&good, &[("Action", "GetCallerIdentity")], 400, "InvalidAction"),
    ] {
        let answer = client.exchange(token, more).await;
        let (got_status, got_code, message) = answer.error();
        assert_eq!((got_status, &*got_code), (status, code), "{message}");
        assert_eq!(answer.element("Type"), "Sender");
        assert_eq!(answer.header("x-amzn-requestid"), Some(&*answer.element("RequestId")));
        let outcome = sts.exchanges().pop().unwrap().outcome;
        assert_eq!(outcome, Outcome::Refused { code: code.to_owned() });
    }
}

#[tokio::test]
async fn only_a_posted_form_is_a_request() {
    let (sts, client, token) = start();
    let form = format!(
        "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn={ROLE}&RoleSessionName=aa&WebIdentityToken={token}"
    );
    let json = client.post("/", "content-type: application/json\r\n", &form).await.unwrap();
    assert_eq!(json.error().1, "MissingAction");
    let typed =
        "content-type: application/x-www-form-urlencoded; charset=utf-8\r\naccept: application/json\r\n";
    let answer = client.post("/", typed, &form).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(!answer.element("AccessKeyId").is_empty(), "XML, whatever is accepted");

    assert_eq!(client.get(&format!("/?{form}")).await.status(), 404, "a token has no place in a URL");
    let long = client.post("/", typed, &"x".repeat(200_000)).await;
    assert!(long.is_err() || long.is_ok_and(|answer| answer.status() == 413));
    assert_eq!(sts.exchanges().len(), 2);
}

#[tokio::test]
async fn the_issuers_documents_lead_to_the_key_of_its_tokens() {
    let (sts, client, token) = start();
    let configuration = client.get(CONFIGURATION_PATH).await;
    assert_eq!(configuration.header("content-type"), Some("application/json"));
    assert_eq!(configuration.json()["issuer"], sts.url());
    let keys = configuration.json()["jwks_uri"].as_str().unwrap().strip_prefix(sts.url()).unwrap().to_owned();
    let jwks = client.get(&keys).await;
    assert_eq!(jwks.header("content-type"), Some("application/jwk-set+json"));
    assert_eq!(jwks.json()["keys"].as_array().unwrap().len(), 1);

    sts.issuer().rotate();
    assert_eq!(client.get(&keys).await.json()["keys"].as_array().unwrap().len(), 2);
    assert_eq!(client.exchange(&token, &[]).await.status(), 200, "the old key still verifies");
    sts.issuer().drop_old_keys();
    assert_eq!(client.exchange(&token, &[]).await.error().1, "InvalidIdentityToken");
}

#[tokio::test]
async fn a_foreign_issuers_tokens_are_accepted_in_place_of_its_own() {
    let cluster = Issuer::new("https://kubernetes.default.svc");
    let foreign = ForeignIssuer::new(cluster.url(), &cluster.jwks().to_string()).unwrap();
    let config = Config { roles: vec![role()], foreign_issuer: Some(foreign), ..Config::default() };
    let sts = LocalSts::start(config).unwrap();
    let client = Client::new(sts.url(), sts.ca_pem().as_deref());

    let answer = client.exchange(&cluster.mint(&claims(), SystemTime::UNIX_EPOCH), &[]).await;
    let provider = "arn:aws:iam::123456789012:oidc-provider/kubernetes.default.svc";
    assert_eq!((answer.status(), &*answer.element("Provider")), (200, provider));
    let own = client.exchange(&sts.issuer().mint(&claims(), SystemTime::UNIX_EPOCH), &[]).await;
    let said = format!("No OpenIDConnect provider found in your account for {}", sts.url());
    assert_eq!(own.error(), (400, "InvalidIdentityToken".to_owned(), said));
}

#[tokio::test]
async fn a_projected_token_is_there_from_the_start_and_is_renewed() {
    let directory = tempfile::tempdir().unwrap();
    let lifetime = Duration::from_secs(2);
    let projection = Projection {
        directory: directory.path().to_owned(),
        mode: Mode::Owner,
        claims: Claims { lifetime, ..claims() },
    };
    let config = Config { roles: vec![role()], token: Some(projection), ..Config::default() };
    let sts = LocalSts::start(config).unwrap();
    let client = Client::new(sts.url(), sts.ca_pem().as_deref());
    let read = || std::fs::read_to_string(sts.token_path().unwrap()).unwrap();

    let first = read();
    assert_eq!(client.exchange(&first, &[]).await.status(), 200);
    sts.rotate_token().unwrap();
    let second = read();
    assert_ne!(first, second);

    let renewed = async {
        while read() == second {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), renewed).await.expect("renewed before its end");
    tokio::time::sleep(lifetime).await;
    assert_eq!(client.exchange(&first, &[]).await.error().1, "ExpiredTokenException");
    assert_eq!(client.exchange(&read(), &[]).await.status(), 200);
}

#[tokio::test]
async fn a_bad_certificate_is_noticed_and_a_good_one_comes_back() {
    let (sts, client, token) = start();
    for (certificate, complaint) in [
        (Certificate::Expired, "expired"),
        (Certificate::OtherAuthority, "UnknownIssuer"),
        (Certificate::OtherName, "not valid for"),
    ] {
        sts.set_certificate(certificate).unwrap();
        let error = client.try_exchange(&token, &[]).await.expect_err("no client may accept it").to_string();
        assert!(error.contains(complaint), "{certificate:?}: {error}");
    }
    sts.set_certificate(Certificate::Good).unwrap();
    assert_eq!(client.exchange(&token, &[]).await.status(), 200);
}

#[tokio::test]
async fn plain_http_serves_the_same() {
    let config = Config { roles: vec![role()], transport: Transport::Http, ..Config::default() };
    let sts = LocalSts::start(config).unwrap();
    assert!(sts.url().starts_with("http://127.0.0.1:") && sts.ca_pem().is_none(), "{}", sts.url());
    let client = Client::new(sts.url(), None);
    let token = sts.issuer().mint(&claims(), SystemTime::UNIX_EPOCH);
    assert_eq!(client.exchange(&token, &[]).await.status(), 200);
    assert!(sts.set_certificate(Certificate::Good).is_err());
    assert!(sts.rotate_token().is_err(), "there is no token file");
}

#[tokio::test]
async fn one_connection_may_ask_many_times() {
    let (_sts, client, _token) = start();
    let request = "GET /openid/v1/jwks HTTP/1.1\r\nhost: x\r\n";
    let twice = client.send(&format!("{request}\r\n{request}connection: close\r\n\r\n")).await.unwrap();
    assert_eq!(String::from_utf8(twice.body).unwrap().matches("HTTP/1.1 200 OK").count(), 1);
}

#[tokio::test]
async fn dropping_it_closes_the_listener() {
    let (sts, client, token) = start();
    drop(sts);
    let error = client.try_exchange(&token, &[]).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
}

#[test]
fn without_a_runtime_it_says_so() {
    assert!(LocalSts::start(Config::default()).is_err());
}

/// The two flavours of runtime are the same to it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_serves_on_a_runtime_of_several_threads() {
    let (_sts, client, token) = start();
    let answers: [Answer; 2] =
        tokio::join!(client.exchange(&token, &[]), client.exchange(&token, &[])).into();
    assert_ne!(answers[0].element("AccessKeyId"), answers[1].element("AccessKeyId"));
}
