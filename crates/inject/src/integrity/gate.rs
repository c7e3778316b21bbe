//! When kubelet starts the other containers, and when it restarts the emulator.

use imds_contract::{address, pod};
use serde_json::{Value, json};

use super::{Examiner, Place, present, shown, text};
use crate::containers;
use crate::patch::Misshapen;
use crate::pod::INIT_CONTAINERS;

/// The kinds of a probe. Source: k8s.io/api, `core/v1`, `ProbeHandler`.
const PROBE_HANDLERS: [&str; 4] = ["exec", "grpc", "httpGet", "tcpSocket"];

/// A startup probe that gives up sooner than the emulator has kubelet restart it for ever. In seconds, at a period of one.
const LEAST_FAILURES: u64 = 30;

impl Examiner<'_> {
    /// The gate, of this release or of an older one, and the liveness probe of older releases.
    pub(super) fn gate(&mut self, place: &Place<'_>, expected: &Value) -> Result<(), Misshapen> {
        let Place { name, path, actual, .. } = place;
        let probe = place.get("startupProbe");
        if let Some(probe) = probe.filter(|probe| !is_startup_probe(probe)) {
            let probe = shown(probe);
            self.changed
                .push(format!("startupProbe of {name} is {probe}, which is no probe of the injection"));
        }
        // Every native sidecar had a probe, and no hook (docs/adr/0021).
        let by_probe = place.list == INIT_CONTAINERS && probe.is_some() && place.get("lifecycle").is_none();
        match expected.get("lifecycle") {
            Some(_) if by_probe => {}
            Some(expected) => self.object(name, path, "lifecycle", expected, actual, &[])?,
            None => self.absent(place, "lifecycle"),
        }
        if let (None, Some(expected)) = (probe, expected.get("startupProbe")) {
            self.patch.set_absent(path, "startupProbe", expected.clone())?;
            self.restored.push(format!("startupProbe of {name}"));
        }
        if let Some(probe) = place.get("livenessProbe").filter(|probe| !is_http(probe, "/livez")) {
            let probe = shown(probe);
            self.changed
                .push(format!("livenessProbe of {name} is {probe}, which is no probe of the injection"));
        }
        Ok(())
    }
}

/// By a command; by HTTP in Pods that were injected before that (docs/adr/0020).
fn is_startup_probe(probe: &Value) -> bool {
    let command = json!([pod::EMULATOR_COMMAND, containers::STARTUP_PROBE]);
    let patient =
        probe.get("failureThreshold").and_then(Value::as_u64).is_some_and(|times| times >= LEAST_FAILURES);
    patient
        && (is_http(probe, "/startupz")
            || handler(probe) == Some("exec") && probe.pointer("/exec/command") == Some(&command))
}

/// The one kind that the probe has.
fn handler(probe: &Value) -> Option<&'static str> {
    let mut kinds = PROBE_HANDLERS.into_iter().filter(|kind| probe.get(kind).is_some_and(|of| !of.is_null()));
    kinds.next().filter(|_| kinds.next().is_none())
}

/// Istio has kubelet ask its agent in place of a container, which passes the probe on to it. Source: Istio,
/// "Health Checking of Istio Services", "Probe rewrite".
fn is_http(probe: &Value, path: &str) -> bool {
    let Some(get) = probe.get("httpGet").filter(|_| handler(probe) == Some("httpGet")) else { return false };
    let asked = text(get, "path");
    let plain = asked == path && get.get("port").and_then(Value::as_u64) == Some(address::ADMIN_PORT.into());
    let by_agent =
        asked.strip_prefix("/app-health/").and_then(|rest| rest.strip_prefix(pod::EMULATOR_CONTAINER))
            == Some(path);
    (plain || by_agent) && present(get, "host").is_none()
}
