use imds_sts::{FailureKind, Remedy, Secret};
use imds_testkit::metrics::{Families, documented, shown, without_values};

use super::*;
use crate::credentials::Credentials;
use crate::exchange::Failure;

const START: Duration = Duration::from_secs(1_700_000_000);

fn at(seconds: u64) -> Now {
    let boot = Duration::from_secs(seconds);
    Now { wall: UNIX_EPOCH + START + boot, boot }
}

/// Credentials of an hour that came 10 s after the start.
fn credentials() -> Credentials {
    let credentials = imds_sts::Credentials {
        access_key_id: "ASIAEXAMPLE000000001".to_owned(),
        secret_access_key: Secret::from("EXAMPLE"),
        session_token: Secret::from("EXAMPLE"),
        expiration: at(3610).wall,
    };
    let answer = imds_sts::Answer { credentials, assumed_role_arn: None, date: None };
    Credentials::new(&answer, Duration::from_hours(1), at(10), at(10)).unwrap()
}

fn failing(kind: &'static str) -> State {
    let failure =
        Failure { kind, message: String::new(), remedy: Remedy::Retry, retry_after: None, advice: None };
    State {
        credentials: Some(credentials().into()),
        failure: Some(failure.into()),
        failing_since: Some(at(1500).wall),
    }
}

/// Every way in which an exchange can fail: those of STS, and what the loop and the exchange count besides.
fn failures() -> Vec<&'static str> {
    let sources = [include_str!("../exchange.rs"), include_str!("../refresh.rs")];
    let own = sources.iter().flat_map(|source| source.split("kind: \"").skip(1));
    let own = own.filter_map(|rest| rest.split('"').next());
    FailureKind::ALL.iter().map(|kind| kind.as_str()).chain(own).collect()
}

/// A page on which everything has happened.
fn everything() -> Families {
    let metrics = Metrics::new(at(0).wall);
    let codes = [200, 400, 401, 403, 404, 405, 413, 503, 500];
    assert_eq!(codes.len(), CODES.len());
    for (class, _) in CLASSES {
        for (version, _) in VERSIONS {
            for code in codes {
                metrics.answered(Asked { class, version }, StatusCode::from_u16(code).unwrap());
            }
        }
    }
    metrics.imds_v1.count(Some(b"Boto/2.49.0"));
    metrics.exchanged("success", Duration::from_millis(30));
    let mut families = shown(&metrics.render(&State::default(), at(20)));
    for kind in failures() {
        metrics.exchanged(kind, Duration::from_millis(30));
        for (name, family) in shown(&metrics.render(&failing(kind), at(20))) {
            let known = families.entry(name).or_default();
            known.kind = family.kind;
            for (label, values) in family.labels {
                known.labels.entry(label).or_default().extend(values);
            }
        }
    }
    families
}

#[test]
fn every_metric_label_and_value_is_documented_and_no_other() {
    let shown = without_values(everything(), "imds_emulator_imdsv1_reads_total", "client");
    let shown = without_values(shown, "imds_emulator_build_info", "version");
    assert_eq!(shown, documented("imds-emulator"));
}

#[test]
fn a_class_and_a_version_are_counted_under_their_own_names() {
    for (index, (class, _)) in CLASSES.iter().enumerate() {
        assert_eq!(*class as usize, index);
    }
    for (index, (version, _)) in VERSIONS.iter().enumerate() {
        assert_eq!(*version as usize, index);
    }
}

#[test]
fn what_is_known_of_the_credentials_is_told() {
    let metrics = Metrics::new(at(0).wall);
    let gauges = |state: &State, seconds| {
        let page = metrics.render(state, at(seconds));
        let told = page.lines().filter(|line| {
            line.starts_with("imds_emulator_credentials_") || line.starts_with("imds_emulator_sts_failing")
        });
        told.map(|line| line.strip_prefix("imds_emulator_").unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(gauges(&State::default(), 5), ["credentials_valid 0"]);
    let well = State { credentials: Some(credentials().into()), ..State::default() };
    let [obtained, expiration] = [
        "credentials_obtained_timestamp_seconds 1700000010",
        "credentials_expiration_timestamp_seconds 1700003610",
    ];
    assert_eq!(gauges(&well, 20), ["credentials_valid 1", expiration, obtained]);
    let since = "sts_failing_since_timestamp_seconds{outcome=\"denied\"} 1700001500";
    assert_eq!(gauges(&failing("denied"), 2000), [since, "credentials_valid 1", expiration, obtained]);
    assert_eq!(gauges(&failing("denied"), 3700), [since, "credentials_valid 0", expiration, obtained]);
}
