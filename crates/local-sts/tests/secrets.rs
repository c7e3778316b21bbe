//! No token and no key reaches the log, at any level, in any outcome.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is a failure")]

mod client;

use std::fmt::Write as _;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use client::{Client, ROLE};
use imds_local_sts::{Claims, Config, Fault, LocalSts, Mode, Projection, Role};
use log::kv::{Error, Key, Value, VisitSource};
use log::{Log, Metadata, Record};

static LINES: Mutex<String> = Mutex::new(String::new());

struct Capture;

impl Log for Capture {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let mut lines = LINES.lock().unwrap();
        lines.push_str(&record.args().to_string());
        record.key_values().visit(&mut Fields(&mut lines)).unwrap();
        lines.push('\n');
    }

    fn flush(&self) {}
}

struct Fields<'a>(&'a mut String);

impl<'kvs> VisitSource<'kvs> for Fields<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        let _ = write!(self.0, " {key}={value}");
        Ok(())
    }
}

#[tokio::test]
async fn no_secret_reaches_the_log() {
    log::set_logger(&Capture).unwrap();
    log::set_max_level(log::LevelFilter::Trace);
    let directory = tempfile::tempdir().unwrap();
    let claims = Claims::new("default", "web", "nginx");
    let projection =
        Projection { directory: directory.path().to_owned(), mode: Mode::Owner, claims: claims.clone() };
    let role = Role::new(ROLE.parse().unwrap(), "default", "web");
    let sts =
        LocalSts::start(Config { roles: vec![role], token: Some(projection), ..Config::default() }).unwrap();
    let client = Client::new(sts.url(), sts.ca_pem().as_deref());
    let good = std::fs::read_to_string(sts.token_path().unwrap()).unwrap();
    let expired =
        sts.issuer().mint(&Claims { lifetime: Duration::from_secs(1), ..claims }, SystemTime::UNIX_EPOCH);

    // A JWT's signature is its secret part.
    let mut secrets: Vec<String> =
        [&good, &expired].map(|token| token.rsplit('.').next().unwrap().to_owned()).into();
    for fault in ["none", "near-expiry=1s", "wrong-role", "latency=1ms"] {
        sts.set_fault(fault.parse().unwrap());
        let answer = client.exchange(&good, &[]).await;
        secrets.extend(["AccessKeyId", "SecretAccessKey", "SessionToken"].map(|name| answer.element(name)));
        client.exchange(&expired, &[]).await;
    }
    for fault in ["truncate", "garbage", "throttle", "reset"] {
        sts.set_fault(fault.parse().unwrap());
        let _ = client.try_exchange(&good, &[]).await;
    }
    sts.rotate_token().unwrap();
    sts.set_fault(Fault::None);
    client.exchange("an.odd.token", &[("RoleSessionName", "x")]).await;

    let lines = LINES.lock().unwrap().clone();
    assert!(lines.contains("outcome=issued") && lines.contains("ExpiredTokenException"), "{lines}");
    for secret in secrets.iter().map(String::as_str).chain(["EXAMPLE", "eyJ", "an.odd.token"]) {
        assert!(!lines.contains(secret), "{secret} in {lines}");
    }
}
