//! An injected Pod of which something was changed or lost: it is refused, completed, or warned of, whatever it was.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod common;

use common::{CONTEXT, injected};
use imds_contract::{Start, annotation, pod};
use imds_inject::{Decision, Extent, Reason, Settings, Sidecar, decide, injection_warnings};
use serde_json::{Value, json};

/// What an autoscaler, an operator or the API server chooses: docs/annotations.md, "Injected Pods that come back".
const FREE: [&str; 5] =
    ["/name", "/imagePullPolicy", "/resources", "/terminationMessagePolicy", "/securityContext/privileged"];

fn every_form() -> impl Iterator<Item = (Settings, Value)> {
    let forms = [Sidecar::Native, Sidecar::Classic]
        .into_iter()
        .flat_map(|sidecar| ["redirect", "address", "endpoint"].map(|interception| (sidecar, interception)))
        .flat_map(|form| [Start::Always, Start::WithCredentials].map(|start| (form, start)));
    forms.map(|((sidecar, interception), start)| {
        let settings = Settings {
            sidecar,
            start,
            interception: interception.parse().unwrap(),
            ..Settings::new("registry.example/imds:1")
        };
        let pod = json!({
            "kind": "Pod",
            "metadata": {
                "labels": {annotation::ENABLED_LABEL: annotation::ENABLED_VALUE},
                "annotations": {annotation::ROLE_ARN: "arn:aws:iam::123456789012:role/r"},
            },
            "spec": {"containers": [{"name": "app"}], "securityContext": {"appArmorProfile": {"type": "RuntimeDefault"}}},
        });
        let pod = injected(&settings, &pod);
        (settings, pod)
    })
}

/// JSON pointers to what bears our names, each with its depth.
fn ours(pod: &Value) -> Vec<String> {
    let names =
        [pod::EMULATOR_CONTAINER, pod::REDIRECT_CONTAINER, pod::TOKEN_VOLUME, pod::AUTHORIZATION_VOLUME];
    let mut places = Vec::new();
    for list in ["initContainers", "containers", "volumes"] {
        for (index, item) in pod["spec"][list].as_array().into_iter().flatten().enumerate() {
            if names.contains(&item["name"].as_str().unwrap_or_default()) {
                places.push(format!("/spec/{list}/{index}"));
            }
        }
    }
    places
}

/// Every field and item below, by its pointer from `place`.
fn below(value: &Value, at: &str, found: &mut Vec<String>) {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields.iter().map(|(key, child)| (key.clone(), child)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(n, child)| (n.to_string(), child)).collect(),
        _ => Vec::new(),
    };
    for (key, child) in children {
        let at = format!("{at}/{key}");
        below(child, &at, found);
        found.push(at);
    }
}

fn other(value: &Value) -> Value {
    match value {
        Value::Bool(is) => (!is).into(),
        Value::Number(number) => (number.as_u64().unwrap() % 7).into(),
        Value::String(text) => format!("{text}x").into(),
        Value::Array(_) | Value::Object(_) | Value::Null => json!("another"),
    }
}

/// Whether the change is noticed; a completion gives the Pod back what it lost.
fn is_noticed(settings: &Settings, pod: &Value) -> bool {
    match decide(settings, pod, &CONTEXT) {
        Decision::Refuse(_) => true,
        Decision::Inject(injection) => {
            assert!(matches!(injection.extent, Extent::Completion { .. }), "{pod}");
            let completed = injection.apply_to(pod).unwrap();
            assert_eq!(
                decide(settings, &completed, &CONTEXT),
                Decision::Skip(Reason::AlreadyInjected),
                "{pod}"
            );
            true
        }
        Decision::Skip(reason) => {
            assert_eq!(reason, Reason::AlreadyInjected);
            !injection_warnings(settings, pod, CONTEXT.namespace).is_empty()
        }
    }
}

/// Options of the Pod that no annotation of these Pods names, so that nothing says what they should be; and a patience.
fn is_an_option(pod: &Value, place: &str, at: &str) -> bool {
    let container = pod.pointer(place).unwrap();
    let options = [
        "AWS_ROLE_SESSION_NAME",
        "IMDS_SESSION_DURATION",
        "IMDS_HTTP_TOKENS",
        "IMDS_START",
        "IMDS_GRACE_PERIOD",
    ];
    let variable = at.strip_prefix("/env/").map(|at| at.split('/').next().unwrap_or_default());
    let name = variable.and_then(|index| container["env"][index.parse::<usize>().ok()?]["name"].as_str());
    name.is_some_and(|name| options.contains(&name))
        || ["/startupProbe/periodSeconds", "/startupProbe/timeoutSeconds"].contains(&at)
        || at == "/env"
}

/// Of releases before the hook (docs/adr/0021), and before the probe by a command (docs/adr/0020).
#[test]
fn a_native_sidecar_with_the_startup_probe_of_an_older_release_is_whole() {
    let forms = every_form().filter(|(settings, _)| settings.sidecar == Sidecar::Native);
    for (settings, pod) in forms {
        let index = pod["spec"]["initContainers"].as_array().unwrap().iter();
        let index = index.take_while(|container| container["name"] != pod::EMULATOR_CONTAINER).count();
        for (handler, asks) in [
            ("exec", json!({"command": ["/imds-emulator", "--wait=8"]})),
            ("httpGet", json!({"path": "/startupz", "port": 1339, "scheme": "HTTP"})),
        ] {
            let mut older = pod.clone();
            let emulator = older["spec"]["initContainers"][index].as_object_mut().unwrap();
            emulator.shift_remove("lifecycle");
            let probe = json!({handler: asks, "periodSeconds": 1, "failureThreshold": 60});
            emulator.insert("startupProbe".to_owned(), probe);
            let decision = decide(&settings, &older, &CONTEXT);
            assert_eq!(decision, Decision::Skip(Reason::AlreadyInjected), "{older}");
        }
    }
}

#[test]
fn whatever_is_changed_in_the_injected_parts_is_noticed() {
    let mut tried = 0;
    for (settings, pod) in every_form() {
        for place in ours(&pod) {
            let mut fields = Vec::new();
            below(pod.pointer(&place).unwrap(), "", &mut fields);
            let free =
                |at: &str| FREE[..4].iter().any(|free| at == *free || at.starts_with(&format!("{free}/")));
            for at in fields.iter().filter(|at| !free(at) && !is_an_option(&pod, &place, at)) {
                let mut changed = pod.clone();
                let field = changed.pointer_mut(&format!("{place}{at}")).unwrap();
                *field = other(field);
                assert!(is_noticed(&settings, &changed), "{place}{at} is changed: {changed}");
                tried += 1;
            }
        }
    }
    assert!(tried > 400, "{tried}");
}

#[test]
fn whatever_is_lost_of_the_injected_parts_is_noticed() {
    let mut tried = 0;
    for (settings, pod) in every_form() {
        for place in ours(&pod) {
            let mut fields = Vec::new();
            below(pod.pointer(&place).unwrap(), "", &mut fields);
            let free = |at: &str| FREE.iter().any(|free| at == *free || at.starts_with(&format!("{free}/")));
            for at in fields.iter().filter(|at| !free(at) && !is_an_option(&pod, &place, at)) {
                let (parent, key) = at.rsplit_once('/').unwrap();
                let mut lost = pod.clone();
                match lost.pointer_mut(&format!("{place}{parent}")).unwrap() {
                    Value::Object(fields) => drop(fields.shift_remove(key)),
                    Value::Array(items) => drop(items.remove(key.parse().unwrap())),
                    other => panic!("{other}"),
                }
                let is_default = pod.pointer(&format!("{place}{at}")) == Some(&json!(false))
                    && at.ends_with("/readOnly")
                    || at.starts_with("/emptyDir/sizeLimit");
                if !is_default {
                    assert!(is_noticed(&settings, &lost), "{place}{at} is lost: {lost}");
                    tried += 1;
                }
            }
        }
    }
    assert!(tried > 400, "{tried}");
}

#[test]
fn whatever_is_added_to_the_injected_containers_is_noticed() {
    let added = [
        ("args", json!(["--allow-remote"])),
        ("command", json!(["/imds-emulator", "x"])),
        ("restartPolicy", json!("OnFailure")),
        ("lifecycle", json!({"preStop": {"exec": {"command": ["x"]}}})),
        ("readinessProbe", json!({"tcpSocket": {"port": 1}})),
        ("startupProbe", json!({"tcpSocket": {"port": 1}})),
        ("livenessProbe", json!({"exec": {"command": ["x"]}})),
        ("volumeDevices", json!([{"name": "v", "devicePath": "/dev/x"}])),
        ("volumeMounts", json!([{"name": "v", "mountPath": "/x"}])),
        ("envFrom", json!([{"secretRef": {"name": "s"}}])),
        ("env", json!([{"name": "LD_PRELOAD", "value": "/x"}])),
        ("ports", json!([{"containerPort": 1}])),
        ("workingDir", json!("/x")),
        ("tty", json!(true)),
        ("aFieldOfTheFuture", json!({"x": 1})),
        ("securityContext/privileged", json!(true)),
        ("securityContext/procMount", json!("Unmasked")),
        ("securityContext/seLinuxOptions", json!({"level": "s0"})),
        ("securityContext/aFieldOfTheFuture", json!(1)),
        ("securityContext/seccompProfile/localhostProfile", json!("x")),
    ];
    for (settings, pod) in every_form() {
        for place in ours(&pod).iter().filter(|place| place.contains("ontainers/")) {
            for (at, value) in &added {
                let (parent, key) = at.rsplit_once('/').unwrap_or(("", at));
                let parent = if parent.is_empty() { place.clone() } else { format!("{place}/{parent}") };
                let mut more = pod.clone();
                let field = &mut more.pointer_mut(&parent).unwrap()[key];
                match (field.as_array_mut(), value) {
                    (Some(items), Value::Array(further)) if !matches!(key, "args" | "command") => {
                        items.extend(further.clone());
                    }
                    _ => *field = value.clone(),
                }
                assert!(is_noticed(&settings, &more), "{place}/{at}");
            }
        }
    }
}
