//! Whether `NetworkPolicies` keep a Pod from the node's IMDS. Source: Kubernetes, `networking/v1`, `NetworkPolicy`.

use std::net::IpAddr;

use imds_contract::address;
use serde_json::{Map, Value};

use super::object::{list, names, text};
use super::selector::selects;

/// The name of a policy that keeps the Pod from it, of those in its namespace. The error is a policy that lets it through, or that
/// none limits what the Pod may reach. What one policy allows, no other takes away.
pub(crate) fn closed_by(pod: &Value, policies: &[Value]) -> Result<String, Option<String>> {
    let none = Map::new();
    let labels = pod.pointer("/metadata/labels").and_then(Value::as_object).unwrap_or(&none);
    let applies =
        |policy: &&Value| limits_egress(policy) && selects(policy.pointer("/spec/podSelector"), labels);
    let policies: Vec<&Value> = policies.iter().filter(applies).collect();
    let first = policies.first().ok_or(None)?;
    match policies.iter().find(|policy| list(policy, "/spec/egress").iter().any(allows)) {
        Some(open) => Err(Some(names(open).1)),
        None => Ok(names(first).1),
    }
}

/// The API server writes `policyTypes` where nobody does.
fn limits_egress(policy: &Value) -> bool {
    list(policy, "/spec/policyTypes").iter().any(|kind| kind == "Egress")
}

/// Whether a rule allows it. What a selector selects is Pods, and a port by name is a Pod's.
fn allows(rule: &Value) -> bool {
    let (peers, ports) = (list(rule, "/to"), list(rule, "/ports"));
    let is_to_imds = |peer: &Value| {
        let addresses: [IpAddr; 2] = [address::IMDS_IPV4.into(), address::IMDS_IPV6.into()];
        addresses.into_iter().any(|address| peer.get("ipBlock").is_some_and(|block| holds(block, address)))
    };
    let is_imds_port = |port: &Value| {
        let number = |field| port.get(field).and_then(Value::as_u64);
        let is_in_range = match (number("port"), number("endPort")) {
            (Some(first), last) => (first..=last.unwrap_or(first)).contains(&address::IMDS_PORT.into()),
            (None, _) => port.get("port").is_none(),
        };
        text(port, "/protocol").unwrap_or("TCP") == "TCP" && is_in_range
    };
    (peers.is_empty() || peers.iter().any(is_to_imds)) && (ports.is_empty() || ports.iter().any(is_imds_port))
}

fn holds(block: &Value, address: IpAddr) -> bool {
    let is_in = |range: &Value| range.as_str().is_some_and(|range| is_in_range(range, address));
    block.get("cidr").is_some_and(is_in) && !list(block, "/except").iter().any(is_in)
}

fn is_in_range(range: &str, ip: IpAddr) -> bool {
    let parts = range.split_once('/');
    let parts = parts.and_then(|(network, prefix)| Some((network.parse().ok()?, prefix.parse().ok()?)));
    parts.is_some_and(|(network, prefix)| address::is_in_range(ip, network, prefix))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn closed(egress: &Value) -> bool {
        let pod = json!({"metadata": {"labels": {"app": "web"}}});
        let policy =
            json!({"metadata": {"name": "p"}, "spec": {"policyTypes": ["Egress"], "egress": egress}});
        closed_by(&pod, &[policy]).is_ok()
    }

    #[test]
    fn a_rule_allows_imds_by_address_and_port() {
        let block = |cidr: &str, except: &[&str]| json!({"ipBlock": {"cidr": cidr, "except": except}});
        for (egress, expected) in [
            (json!([]), true),
            (json!([{}]), false),
            (json!([{"to": [block("0.0.0.0/0", &[])]}]), false),
            (json!([{"to": [block("0.0.0.0/0", &["169.254.169.254/32"])]}]), true),
            (json!([{"to": [block("0.0.0.0/0", &["169.254.0.0/16"])]}]), true),
            (json!([{"to": [block("0.0.0.0/0", &["169.254.169.253/32"])]}]), false),
            (json!([{"to": [block("169.254.169.254/32", &[])]}]), false),
            (json!([{"to": [block("10.0.0.0/8", &[])]}]), true),
            (json!([{"to": [block("::/0", &[])]}]), false),
            (json!([{"to": [block("::/0", &["fd00:ec2::254/128"])]}]), true),
            (json!([{"to": [{"podSelector": {}}, {"namespaceSelector": {}}]}]), true),
            (json!([{"ports": [{"port": 443}, {"port": "http"}, {"port": 80, "protocol": "UDP"}]}]), true),
            (json!([{"ports": [{"port": 80}]}]), false),
            (json!([{"ports": [{"port": 1, "endPort": 1024, "protocol": "TCP"}]}]), false),
            (json!([{"ports": [{"protocol": "TCP"}]}]), false),
            (json!([{"ports": [{"port": 443}], "to": [block("0.0.0.0/0", &[])]}, {"to": []}]), false),
            (json!([{"to": [block("nonsense", &[])]}]), true),
        ] {
            assert_eq!(closed(&egress), expected, "{egress}");
        }
    }

    #[test]
    fn only_policies_that_select_the_pod_and_its_egress_count() {
        let pod = json!({"metadata": {"labels": {"app": "web"}}});
        let policy = |name: &str, app: &str, kind: &str, egress: Value| {
            let selector = json!({"matchLabels": {"app": app}});
            json!({"metadata": {"name": name}, "spec": {"podSelector": selector, "policyTypes": [kind], "egress": egress}})
        };
        let closes = policy("closes", "web", "Egress", json!([]));
        let opens = policy("opens", "web", "Egress", json!([{}]));
        for (policies, expected) in [
            (vec![], Err(None)),
            (vec![policy("other", "db", "Egress", json!([]))], Err(None)),
            (vec![policy("ingress", "web", "Ingress", json!([]))], Err(None)),
            (vec![closes.clone()], Ok("closes".to_owned())),
            (vec![closes, opens], Err(Some("opens".to_owned()))),
        ] {
            assert_eq!(closed_by(&pod, &policies), expected, "{policies:?}");
        }
    }
}
