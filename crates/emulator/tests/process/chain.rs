//! Role chaining: the real program, and a local STS that checks its signatures.

use imds_local_sts::{Fault, Outcome};

use crate::support::{READER_ARN, ROLE_ARN, ROLES, Stage, WRITER_ARN, document_field, eventually};

const READER: &str = "/latest/meta-data/iam/security-credentials/reader";
const WRITER: &str = "/latest/meta-data/iam/security-credentials/writer";

#[test]
fn the_last_roles_credentials_are_served_under_its_name() {
    let stage = Stage::new();
    let chain = format!("{READER_ARN};external-id=Acme-42,{WRITER_ARN}");
    let emulator = stage.emulator().env("IMDS_ASSUME_ROLE_ARNS", &chain).ready();
    assert_eq!(emulator.get(ROLES).expect(200).body, "writer");
    let document = emulator.get(WRITER).expect(200);
    emulator.get(READER).expect(404);
    // Keys are numbered: these are the third.
    assert_eq!(document_field(&document.body, "AccessKeyId").as_deref(), Some("ASIAEXAMPLE000000003"));

    let exchanges = stage.sts.exchanges();
    let asked: Vec<_> = exchanges
        .iter()
        .map(|exchange| {
            let text = |field: &Option<String>| field.clone().unwrap_or_default();
            (
                text(&exchange.action),
                text(&exchange.role),
                text(&exchange.session_name),
                text(&exchange.duration),
            )
        })
        .collect();
    let row = |action: &str, role: &str, duration: &str| {
        (action.to_owned(), role.to_owned(), "default.nginx".to_owned(), duration.to_owned())
    };
    assert_eq!(
        asked,
        [
            row("AssumeRoleWithWebIdentity", ROLE_ARN, "900"),
            row("AssumeRole", READER_ARN, "900"),
            row("AssumeRole", WRITER_ARN, "3600"),
        ],
        "one name all along, and no step lives longer than it must"
    );
    assert!(exchanges.iter().all(|exchange| matches!(exchange.outcome, Outcome::Issued { .. })));
}

#[test]
fn a_refusal_names_the_role_at_which_it_came() {
    for (chain, role, said) in [
        (
            READER_ARN.to_owned(),
            format!("role 2 of 2, {READER_ARN}: STS answered 403 AccessDenied"),
            "sts:AssumeRole on resource",
        ),
        (
            format!("{READER_ARN};external-id=Acme-42,{ROLE_ARN}"),
            format!("role 3 of 3, {ROLE_ARN}: STS answered 403"),
            "not authorized",
        ),
    ] {
        let stage = Stage::new();
        let emulator = stage.emulator().env("IMDS_ASSUME_ROLE_ARNS", &chain).start();
        let line = emulator.wait_for_log("can't get credentials");
        assert!(
            line.contains(&role) && line.contains(said) && line.contains("\"reason\":\"denied\""),
            "{line}"
        );
        emulator.get(ROLES).expect(503);
    }
    let stage = Stage::new();
    let emulator = stage
        .emulator()
        .env("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/not-mine")
        .env("IMDS_ASSUME_ROLE_ARNS", READER_ARN)
        .start();
    let line = emulator.wait_for_log("can't get credentials");
    assert!(
        line.contains("role 1 of 2, arn:aws:iam::123456789012:role/not-mine: STS answered 403"),
        "{line}"
    );
}

#[test]
fn while_a_further_role_is_refused_the_last_good_credentials_stay() {
    let stage = Stage::new();
    // What STS gives at first ends so soon that the next refresh comes at once.
    stage.sts.set_fault(Fault::NearExpiry(std::time::Duration::from_secs(10)));
    let chain = format!("{READER_ARN};external-id=Acme-42");
    let emulator = stage.emulator().env("IMDS_ASSUME_ROLE_ARNS", &chain).ready();
    let before = emulator.get(READER).expect(200).body;
    stage.sts.set_fault(Fault::throttle());
    eventually(|| emulator.admin("/readyz").body.contains("last exchange failed: role 1 of 2"));
    assert_eq!(emulator.get(READER).expect(200).body, before);
}
