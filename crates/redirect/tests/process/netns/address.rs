//! `--mode address`.

use std::process::Command;

use imds_testkit::tool;

use super::pod::{EMULATOR, IMDS, IMDS_V6, Pod, REFUSED, answer};

const DONE: &str = "put in place and verified: 169.254.169.254 on lo, fd00:ec2::254 on lo";

#[test]
fn the_address_is_on_lo_at_once_and_netfilter_is_not_touched() {
    let Some(pod) = Pod::new() else { return };
    assert_eq!(pod.done("--mode address"), DONE);
    assert_eq!(pod.ruleset(), Vec::<serde_json::Value>::new());
    let shown = tool::run("ip -brief address show lo");
    assert!(shown.contains("169.254.169.254/32") && shown.contains("fd00:ec2::254/128"), "{shown}");
    // Without duplicate address detection to wait for, it can be bound at once.
    answer("emulator", &[IMDS, IMDS_V6]);
    for address in [IMDS, IMDS_V6] {
        assert_eq!(pod.get(address), EMULATOR, "{address}");
    }
}

#[test]
fn the_node_is_never_reached() {
    let Some(pod) = Pod::new() else { return };
    let _node = pod.connect_to_node();
    pod.done("--mode address");
    for address in [IMDS, IMDS_V6, "169.254.169.254:81"] {
        assert_eq!(pod.get(address), REFUSED, "{address}");
    }
    assert_eq!(pod.get("10.9.0.1:80"), "node", "other addresses are left alone");
}

#[test]
fn a_check_tells_what_is_missing() {
    let Some(pod) = Pod::new() else { return };
    pod.done("--mode address");
    assert_eq!(pod.done("--mode address"), DONE);
    assert_eq!(pod.done("--mode address --check"), DONE.replace("put in place and verified", "in place"));
    tool::run("ip address delete fd00:ec2::254/128 dev lo");
    assert_eq!(
        pod.run("--mode address --check").error(),
        "imds-redirect: not in place: address fd00:ec2::254/128 dev lo is missing"
    );
}

#[test]
fn each_mode_takes_over_from_the_other() {
    let Some(pod) = Pod::new() else { return };
    pod.done("--mode redirect");
    let error = pod.run("--mode address --check").error();
    assert!(error.contains("nf_tables table ip imds-emulator is still there"), "{error}");
    pod.done("--mode address");
    assert_eq!(pod.ruleset(), Vec::<serde_json::Value>::new());
    answer("on the address", &[IMDS, IMDS_V6]);
    pod.emulator();
    assert_eq!(pod.get(IMDS), "on the address");
    pod.done("--mode redirect");
    for address in [IMDS, IMDS_V6] {
        assert_eq!(pod.get(address), EMULATOR, "{address}");
    }
}

#[test]
fn removal_takes_the_addresses_away() {
    let Some(pod) = Pod::new() else { return };
    tool::run("ip link set lo up");
    let before = tool::run("ip -brief address show");
    pod.done("--mode address");
    pod.done("--remove");
    assert_eq!(tool::run("ip -brief address show"), before);
}

/// A program may bind its socket to the network card, and its packets leave by it: the kernel takes no answer from an address
/// that is the Pod's own.
#[test]
fn a_client_that_binds_to_the_network_card_does_not_reach_the_node() {
    let Some(pod) = Pod::new() else { return };
    let _node = pod.connect_to_node();
    let by_card = |url: &str| {
        let mut curl = Command::new("curl");
        curl.args([
            "--silent",
            "--globoff",
            "--noproxy",
            "*",
            "--max-time",
            "2",
            "--interface",
            "if!eth0",
            url,
        ]);
        String::from_utf8(curl.output().unwrap().stdout).unwrap()
    };
    let urls = [IMDS, IMDS_V6].map(|address| format!("http://{address}/"));
    assert_eq!(urls.each_ref().map(|url| by_card(url)), ["node", "node"], "without an interception it does");
    for mode in ["--mode address", "--mode redirect --to-port 1338"] {
        pod.done(mode);
        assert_eq!(urls.each_ref().map(|url| by_card(url)), ["", ""], "{mode}");
        pod.done("--remove");
    }
}
