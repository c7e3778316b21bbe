//! What the log says where trust is refused: enough to find out why, and never the token.

use imds_local_sts::{Claims, Fault};

use crate::support::{ROLE_ARN, Stage, field};

const OTHER_ROLE: &str = "arn:aws:iam::123456789012:role/not-mine";

#[test]
fn a_refusal_tells_of_the_token_that_was_shown_and_names_the_command_that_explains() {
    let stage = Stage::new();
    let emulator = stage
        .emulator()
        .env("AWS_ROLE_ARN", OTHER_ROLE)
        .env("IMDS_POD_NAME", "nginx")
        .env("IMDS_POD_NAMESPACE", "default")
        .start();
    let line = emulator.wait_for_log("can't get credentials");
    assert_eq!(field(&line, "reason"), "denied");
    assert_eq!(field(&line, "iss"), stage.sts.url());
    assert_eq!(field(&line, "sub"), Claims::new("default", "default", "nginx").subject());
    assert_eq!(field(&line, "aud"), "sts.amazonaws.com");
    assert_eq!(field(&line, "explain"), "kubectl imds explain nginx -n default");
    let said = emulator.admin("/startupz").body;
    assert!(
        said.contains("AccessDenied") && !said.contains("explain"),
        "the probe's message stays short: {said}"
    );
    let message = line.split("\"reason\"").next().unwrap();
    assert!(!message.contains("explain") && !message.contains("system:serviceaccount"), "{message}");
}

#[test]
fn what_is_no_token_is_shown_to_sts_all_the_same_and_what_is_unknown_is_empty() {
    let stage = Stage::new();
    let file = stage.folder.path().join("no-token");
    std::fs::write(&file, "this.is!.none").unwrap();
    let emulator = stage.emulator().env("AWS_WEB_IDENTITY_TOKEN_FILE", &file).start();
    let line = emulator.wait_for_log("can't get credentials");
    assert_eq!(field(&line, "reason"), "invalid_token");
    assert_eq!([field(&line, "iss"), field(&line, "sub"), field(&line, "aud")], ["", "", ""]);
    assert_eq!(field(&line, "explain"), "kubectl imds explain", "the Pod is not known here");
}

#[test]
fn where_trust_is_not_the_matter_nothing_is_said_of_it() {
    let stage = Stage::new();
    stage.sts.set_fault(Fault::throttle());
    let emulator = stage.emulator().env("AWS_ROLE_ARN", ROLE_ARN).start();
    let line = emulator.wait_for_log("can't get credentials");
    assert!(
        line.contains("\"reason\":\"throttled\"") && !line.contains("\"iss\"") && !line.contains("explain"),
        "{line}"
    );
}
