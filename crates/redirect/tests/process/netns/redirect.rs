//! `--mode redirect`.

use imds_testkit::tool;
use serde_json::{Value, json};

use super::pod::{EMULATOR, IMDS, IMDS_V6, Pod, REFUSED, UNREACHABLE, answer};

const DONE: &str =
    "put in place and verified: 169.254.169.254:80 to 127.0.0.1:1338, [fd00:ec2::254]:80 to [::1]:1338";
const IPV4_DONE: &str = "put in place and verified: 169.254.169.254:80 to 127.0.0.1:1338; \
                         IPv6 skipped: it is off on lo, and fd00:ec2::254 is unreachable";

/// Our table as `nft` should tell it.
fn table(family: &str, address: &str, port: u16) -> Vec<Value> {
    let is = |protocol: &str, field: &str, value: Value| {
        let payload = json!({"payload": {"protocol": protocol, "field": field}});
        json!({"match": {"op": "==", "left": payload, "right": value}})
    };
    vec![
        json!({"table": {"family": family, "name": "imds-emulator"}}),
        json!({"chain": {"family": family, "table": "imds-emulator", "name": "output",
            "type": "nat", "hook": "output", "prio": -110, "policy": "accept"}}),
        json!({"rule": {"family": family, "table": "imds-emulator", "chain": "output", "expr": [
            is(family, "daddr", json!(address)),
            is("tcp", "dport", json!(80)),
            {"redirect": {"port": port}},
        ]}}),
    ]
}

fn both_tables(port: u16) -> Vec<Value> {
    [table("ip", "169.254.169.254", port), table("ip6", "fd00:ec2::254", port)].concat()
}

#[test]
fn both_addresses_reach_the_emulator_with_every_link_down_and_no_route() {
    let Some(pod) = Pod::new() else { return };
    assert_eq!(pod.done(""), DONE);
    assert_eq!(pod.ruleset(), both_tables(1338));
    pod.emulator();
    for address in [IMDS, IMDS_V6] {
        assert_eq!(pod.get(address), EMULATOR, "{address}");
    }
}

#[test]
fn every_user_is_redirected() {
    let Some(pod) = Pod::new() else { return };
    pod.done("");
    pod.emulator();
    for uid in [0, 65534] {
        for url in [IMDS, IMDS_V6].map(|address| format!("http://{address}/latest/meta-data/")) {
            let Some(answer) = pod.curl(uid, &url) else { return };
            assert_eq!(answer, "emulator", "{uid} {url}");
        }
    }
}

#[test]
fn before_the_emulator_listens_a_client_is_refused_and_never_reaches_the_node() {
    let Some(pod) = Pod::new() else { return };
    let _node = pod.connect_to_node();
    for address in [IMDS, IMDS_V6] {
        assert_eq!(pod.get(address), "node", "{address}: as it is without us");
    }
    pod.done("");
    for address in [IMDS, IMDS_V6] {
        assert_eq!(pod.get(address), REFUSED, "{address}");
    }
    pod.emulator();
    for address in [IMDS, IMDS_V6] {
        assert_eq!(pod.get(address), EMULATOR, "{address}");
    }
}

#[test]
fn other_ports_of_the_address_answer_nothing() {
    let Some(pod) = Pod::new() else { return };
    let _node = pod.connect_to_node();
    assert_eq!(pod.get("169.254.169.254:81"), "node", "as it is without us");
    pod.done("");
    pod.emulator();
    for address in ["169.254.169.254:81", "[fd00:ec2::254]:81", "169.254.169.254:443"] {
        assert_eq!(pod.get(address), REFUSED, "{address}");
    }
    assert_eq!(pod.get("10.9.0.1:80"), "node", "other addresses are left alone");
}

#[test]
fn an_ipv6_only_pod_reaches_the_emulator_by_both_addresses() {
    let Some(pod) = Pod::new() else { return };
    let _node = pod.connect_to_node();
    tool::run("ip -4 address flush dev eth0");
    assert_eq!(pod.done(""), DONE);
    pod.emulator();
    for address in [IMDS, IMDS_V6] {
        assert_eq!(pod.get(address), EMULATOR, "{address}");
    }
}

#[test]
fn ipv6_that_is_off_is_skipped_without_an_error() {
    let Some(pod) = Pod::new() else { return };
    let Some(()) = pod.netns.set_sysctl("net/ipv6/conf/all/disable_ipv6", "1") else { return };
    assert_eq!(pod.done(""), IPV4_DONE);
    assert_eq!(pod.ruleset(), table("ip", "169.254.169.254", 1338));
    assert_eq!(pod.done("--check"), IPV4_DONE.replace("put in place and verified", "in place"));
    answer("emulator", &["127.0.0.1:1338"]);
    assert_eq!(pod.get(IMDS), EMULATOR);
    pod.done("--remove");
}

#[test]
fn ipv6_off_on_lo_alone_opens_no_way_to_the_node() {
    let Some(pod) = Pod::new() else { return };
    let _node = pod.connect_to_node();
    let Some(()) = pod.netns.set_sysctl("net/ipv6/conf/lo/disable_ipv6", "1") else { return };
    for mode in ["redirect", "address"] {
        assert_eq!(pod.get(IMDS_V6), "node", "as it is without us");
        let line = pod.done(&format!("--mode {mode}"));
        assert!(line.ends_with("IPv6 skipped: it is off on lo, and fd00:ec2::254 is unreachable"), "{line}");
        assert_eq!(pod.get(IMDS_V6), UNREACHABLE);
        tool::run("ip -6 route delete unreachable fd00:ec2::254 table local");
        let error = pod.run(&format!("--mode {mode} --check")).error();
        assert!(
            error.ends_with("not in place: route unreachable fd00:ec2::254 table local is missing"),
            "{error}"
        );
    }
}

#[test]
fn ipv6_switched_on_later_is_taken_up_by_the_next_run() {
    let Some(pod) = Pod::new() else { return };
    let Some(()) = pod.netns.set_sysctl("net/ipv6/conf/all/disable_ipv6", "1") else { return };
    assert_eq!(pod.done(""), IPV4_DONE);
    let Some(()) = pod.netns.set_sysctl("net/ipv6/conf/all/disable_ipv6", "0") else { return };
    assert_eq!(pod.done(""), DONE);
    pod.emulator();
    assert_eq!(pod.get(IMDS_V6), EMULATOR);
}

#[test]
fn running_again_replaces_the_table_whole() {
    let Some(pod) = Pod::new() else { return };
    assert_eq!(pod.done(""), DONE);
    assert_eq!(pod.done(""), DONE);
    assert_eq!(pod.ruleset(), both_tables(1338));
    pod.done("--to-port=4711");
    assert_eq!(pod.ruleset(), both_tables(4711));
    answer("another port", &["127.0.0.1:4711"]);
    assert_eq!(pod.get(IMDS), "another port");
}

#[test]
fn a_service_mesh_that_redirects_everything_does_not_get_our_requests() {
    let Some(pod) = Pod::new() else { return };
    tool::run("ip link set lo up");
    for family in ["ip", "ip6"] {
        tool::run(&format!("nft add table {family} mesh"));
        tool::run(&format!("nft add chain {family} mesh output {{ type nat hook output priority -100 ; }}"));
        tool::run(&format!("nft add rule {family} mesh output meta l4proto tcp redirect to :15001"));
    }
    answer("mesh", &["127.0.0.1:15001", "[::1]:15001"]);
    assert_eq!(pod.get("127.0.0.1:80"), "mesh", "the mesh gets all there is");
    pod.done("");
    pod.emulator();
    for address in [IMDS, IMDS_V6] {
        assert_eq!(pod.get(address), EMULATOR, "{address}");
    }
    assert_eq!(pod.get("127.0.0.1:80"), "mesh", "and keeps the rest");
}

#[test]
fn a_check_tells_what_is_missing_and_changes_nothing() {
    let Some(pod) = Pod::new() else { return };
    let error = pod.run("--check").error();
    assert_eq!(
        error,
        "imds-redirect: not in place: lo is down; \
         route local 169.254.169.254 dev lo table local is missing; \
         route local fd00:ec2::254 dev lo table local is missing; \
         nf_tables table ip imds-emulator is missing; nf_tables table ip6 imds-emulator is missing"
    );
    assert_eq!(pod.run("--check").error(), error);
    pod.done("");
    assert_eq!(pod.done("--check"), DONE.replace("put in place and verified", "in place"));
    let error = pod.run("--check --to-port 1339").error();
    assert!(error.contains("table ip imds-emulator has another rule than planned"), "{error}");
    assert_eq!(pod.ruleset(), both_tables(1338));
}

#[test]
fn a_check_sees_every_way_to_tamper_and_the_next_run_mends_it() {
    let Some(pod) = Pod::new() else { return };
    pod.done("");
    let rule = "add rule ip imds-emulator output";
    for (tampering, difference) in [
        ("nft delete table ip imds-emulator", "table ip imds-emulator is missing"),
        ("nft delete table ip6 imds-emulator", "table ip6 imds-emulator is missing"),
        ("nft flush chain ip imds-emulator output", "table ip imds-emulator has not one rule"),
        (&format!("nft {rule} accept"), "table ip imds-emulator has not one rule"),
        ("nft add chain ip imds-emulator more", "table ip imds-emulator has not one chain"),
        (
            "nft add table ip imds-emulator { flags dormant ; }",
            "table ip imds-emulator has other flags than planned",
        ),
        (
            &format!(
                "nft flush chain ip imds-emulator output ; {rule} ip daddr 169.254.169.254 tcp dport 80 accept"
            ),
            "table ip imds-emulator has another rule than planned",
        ),
        (
            "nft delete table ip imds-emulator ; add table ip imds-emulator ; \
             add chain ip imds-emulator output { type nat hook output priority -90 ; policy accept ; } ; \
             add rule ip imds-emulator output ip daddr 169.254.169.254 tcp dport 80 redirect to :1338",
            "table ip imds-emulator has another chain than planned",
        ),
        (
            "ip route delete local 169.254.169.254 table local",
            "route local 169.254.169.254 dev lo table local is missing",
        ),
        (
            "ip -6 route delete local fd00:ec2::254 table local",
            "route local fd00:ec2::254 dev lo table local is missing",
        ),
        ("ip link set lo down", "lo is down"),
    ] {
        tool::run(tampering);
        let error = pod.run("--check").error();
        assert!(error.contains(difference), "{tampering}: {error}");
        assert_eq!(pod.done(""), DONE, "{tampering}");
        assert_eq!(pod.ruleset(), both_tables(1338), "{tampering}");
    }
}

#[test]
fn a_route_of_another_in_front_of_ours_is_seen_or_overcome() {
    let Some(pod) = Pod::new() else { return };
    tool::run("ip link set lo up");
    tool::run("ip route add blackhole 169.254.169.254 table local");
    pod.done("");
    pod.emulator();
    assert_eq!(pod.get(IMDS), EMULATOR, "ours comes first");
    tool::run("ip route prepend prohibit 169.254.169.254 table local");
    let error = pod.run("").error();
    assert!(error.contains("route local 169.254.169.254 dev lo table local is missing"), "{error}");
}

#[test]
fn removal_leaves_nothing_of_ours_and_all_of_others() {
    let Some(pod) = Pod::new() else { return };
    tool::run("ip link set lo up");
    tool::run("nft add table ip theirs");
    tool::run("ip route add local 169.254.169.254 dev lo table local");
    let state = || {
        [
            tool::run("nft list ruleset"),
            tool::run("ip route show table local"),
            tool::run("ip -6 route show table local"),
        ]
    };
    let before = state();
    pod.done("");
    assert_ne!(state(), before);
    for _ in 0..2 {
        assert_eq!(pod.done("--remove"), "removed: nothing of ours is left in this network namespace");
        assert_eq!(state(), before);
    }
}
