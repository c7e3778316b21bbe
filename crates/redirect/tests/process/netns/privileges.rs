//! The privileges that a container runtime leaves to the program.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use imds_testkit::{privilege, tool};
use tempfile::TempDir;

use super::pod::{EMULATOR, IMDS, Pod, Run, run, words};

/// The program's file as in the image: with an attribute (or without), and within every user's reach.
struct Image {
    _folder: TempDir,
    program: PathBuf,
}

impl Image {
    /// `None` where the test is to be skipped.
    fn new(attribute: Option<&str>) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        let program = folder.path().join("imds-redirect");
        fs::copy(super::pod::PROGRAM, &program).unwrap();
        if let Some(attribute) = attribute {
            let output = Command::new("setcap").arg(attribute).arg(&program).output().unwrap();
            let set = output.status.success().then_some(()).ok_or(String::from_utf8_lossy(&output.stderr));
            privilege::require("file capabilities", set)?;
        }
        Some(Self { _folder: folder, program })
    }

    /// Runs the program at the end of a command line of `setpriv` or `capsh`.
    fn run_by(&self, line: &str, arguments: &[&str]) -> Run {
        let mut line = words(line);
        let mut command = Command::new(line.next().unwrap());
        command.args(line).arg(&self.program).args(arguments).env_remove("IMDS_HOST_IP");
        run(command)
    }
}

/// What a runtime does for `runAsUser: 65534` with these capabilities added and all others dropped.
fn as_nobody(capabilities: &str) -> String {
    format!(
        "setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps -all --bounding-set -all{capabilities}"
    )
}

/// `None` where the test is to be skipped: in a user namespace that knows no such user.
fn user_nobody() -> Option<()> {
    let output =
        Command::new("setpriv").args(words("--reuid 65534 --regid 65534 --clear-groups true")).output();
    let output = output.unwrap();
    let set = output.status.success().then_some(()).ok_or(String::from_utf8_lossy(&output.stderr));
    privilege::require("user id 65534", set)
}

#[test]
fn nobody_with_net_admin_alone_can_put_it_in_place_and_read_it_back() {
    let Some(pod) = Pod::new() else { return };
    let Some(()) = user_nobody() else { return };
    let Some(image) = Image::new(Some("cap_net_admin+p")) else { return };
    image.run_by(&as_nobody(",+net_admin"), &[]).line();
    image.run_by(&as_nobody(",+net_admin"), &["--check"]).line();
    pod.emulator();
    assert_eq!(pod.get(IMDS), EMULATOR);
    image.run_by(&as_nobody(",+net_admin"), &["--mode", "address"]).line();
    image.run_by(&as_nobody(",+net_admin"), &["--remove"]).line();
}

#[test]
fn no_new_privileges_does_not_stand_in_the_way() {
    let Some(_pod) = Pod::new() else { return };
    let Some(()) = user_nobody() else { return };
    let Some(image) = Image::new(Some("cap_net_admin+p")) else { return };
    // A runtime execs the program while the capability is still permitted; capsh does so with --shell.
    let shell = format!("--shell={}", image.program.display());
    let mut command = Command::new("setpriv");
    command
        .args(words("--no-new-privs --bounding-set -all,+net_admin,+setuid,+setgid,+setpcap capsh --keep=1"));
    command.args(words("--gid=65534 --uid=65534 --caps=cap_net_admin+p")).arg(shell).arg("--");
    run(command).line();
}

#[test]
fn root_with_net_admin_alone_needs_no_attribute_on_the_file() {
    let Some(_pod) = Pod::new() else { return };
    let Some(image) = Image::new(None) else { return };
    image.run_by("setpriv --bounding-set -all,+net_admin --inh-caps -all", &[]).line();
}

#[test]
fn a_grant_that_is_missing_is_told_in_words() {
    let Some(pod) = Pod::new() else { return };
    let Some(()) = user_nobody() else { return };
    let Some(image) = Image::new(Some("cap_net_admin+p")) else { return };
    let error = image.run_by(&as_nobody(""), &[]).error();
    assert!(
        error.starts_with("imds-redirect: CAP_NET_ADMIN is missing: allow the init container"),
        "{error}"
    );
    assert!(
        error.contains("gkemulticloud.googleapis.com/aws-imds-emulator-interception: endpoint"),
        "{error}"
    );
    assert_eq!(pod.ruleset(), Vec::<serde_json::Value>::new());
}

#[test]
fn an_attribute_that_the_file_has_lost_is_told_in_words() {
    let Some(_pod) = Pod::new() else { return };
    let Some(()) = user_nobody() else { return };
    let Some(image) = Image::new(None) else { return };
    let error = image.run_by(&as_nobody(",+net_admin"), &[]).error();
    assert!(error.contains("has lost its attribute (setcap cap_net_admin+p)"), "{error}");
}

#[test]
fn a_read_only_root_is_enough() {
    let Some(_pod) = Pod::new() else { return };
    let Some(image) = Image::new(None) else { return };
    let script = "mount -o remount,bind,ro / && ! touch /read-only 2>&- && exec \"$0\"";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script]).arg(&image.program).env_clear();
    command.env("PATH", std::env::var_os("PATH").unwrap());
    run(command).line();
}

/// These very tests, run again as the root of a user namespace that has no say outside it.
#[test]
fn a_user_namespace_is_enough() {
    let Some(_pod) = Pod::new() else { return };
    let test = "netns::redirect::before_the_emulator_listens_a_client_is_refused_and_never_reaches_the_node";
    let available =
        Command::new("unshare").args(words("--user --map-root-user --net true")).output().unwrap();
    let available =
        available.status.success().then_some(()).ok_or(String::from_utf8_lossy(&available.stderr));
    let Some(()) = privilege::require("a user namespace", available) else { return };
    let program = std::env::current_exe().unwrap();
    let told =
        tool::run(&format!("unshare --user --map-root-user --net {} --exact {test}", program.display()));
    assert!(told.contains("1 passed"), "{told}");
}
