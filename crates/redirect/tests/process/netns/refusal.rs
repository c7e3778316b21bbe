//! The node's own network namespace, and wrong settings.

use std::process::Command;

use imds_testkit::tool;

use super::pod::{PROGRAM, Pod, run, words};

#[test]
fn the_nodes_namespace_is_recognised_by_its_address_and_left_as_it_is() {
    let Some(pod) = Pod::new() else { return };
    tool::run("ip address add 10.0.0.5/32 dev lo");
    tool::run("ip address add fd00::5/128 dev lo nodad");
    let before = tool::run("ip address show");
    for host_ip in ["10.0.0.5", "fd00::5"] {
        for arguments in ["", "--mode address", "--check", "--remove"] {
            let error = pod.run_with(arguments, &[("IMDS_HOST_IP", host_ip)]).error();
            assert!(
                error.contains(&format!("the node's own network namespace (IMDS_HOST_IP {host_ip} is")),
                "{error}"
            );
            assert!(error.contains("remove hostNetwork: true from the Pod"), "{error}");
        }
    }
    assert_eq!(tool::run("ip address show"), before);
    assert_eq!(pod.ruleset(), Vec::<serde_json::Value>::new());
    pod.run_with("--allow-host", &[("IMDS_HOST_IP", "10.0.0.5")]).line();
}

#[test]
fn a_pod_with_the_nodes_address_is_refused() {
    let Some(pod) = Pod::new() else { return };
    let told = [("IMDS_HOST_IP", "10.0.0.5"), ("IMDS_POD_IPS", "fd00::5,10.0.0.5")];
    let error = pod.run_with("", &told).error();
    assert!(error.contains("IMDS_HOST_IP 10.0.0.5 is among IMDS_POD_IPS"), "{error}");
    assert_eq!(pod.ruleset(), Vec::<serde_json::Value>::new());
}

#[test]
fn a_pod_with_an_address_of_its_own_is_not_taken_for_the_node() {
    let Some(pod) = Pod::new() else { return };
    pod.run_with("", &[("IMDS_HOST_IP", "10.0.0.5"), ("IMDS_POD_IPS", "10.1.0.7")]).line();
}

/// The only run outside a namespace of its own: it may look, but has no capability to change anything.
#[test]
fn the_initial_network_namespace_is_recognised_untold() {
    let mut command = Command::new("setpriv");
    command.args(words("--bounding-set -net_admin --inh-caps -all")).arg(PROGRAM).arg("--check").env_clear();
    let error = run(command).error();
    // The tests may well be run inside a container.
    let here = std::path::Path::new("/proc/sys/net/core/netdev_max_backlog").exists();
    let expected = if here {
        "the node's own network namespace (it is the kernel's initial one)"
    } else {
        "CAP_NET_ADMIN"
    };
    assert!(error.contains(expected), "{error}");
}

#[test]
fn wrong_settings_exit_with_64_and_are_all_reported() {
    let mut command = Command::new(PROGRAM);
    command.args(["--mode=endpoint", "--to-port", "http"]).env("IMDS_HOST_IP", "node-1");
    let run = run(command);
    assert_eq!((run.code, run.stdout.as_str()), (Some(64), ""));
    for name in ["--mode", "--to-port", "IMDS_HOST_IP"] {
        assert!(run.stderr.contains(&format!("{name}: ")), "{}", run.stderr);
    }
}

#[test]
fn help_and_version_exit_with_0() {
    for (argument, expected) in [("--help", "--allow-host"), ("--version", env!("CARGO_PKG_VERSION"))] {
        let mut command = Command::new(PROGRAM);
        command.arg(argument);
        let line = run(command).line();
        assert!(line.contains(expected), "{line}");
    }
}
