use imds_contract::annotation;
use imds_inject::{ServerVersion, Settings, Sidecar};
use imds_testkit::metrics::{Families, documented, shown, without_values};
use serde_json::{Value, json};

use super::*;
use crate::review::review;

const ROLE: &str = "arn:aws:iam::123456789012:role/my-example-role";

/// A review of this object. `changes` are laid over a Pod that is injected.
fn request(operation: &str, resource: &str, changes: &Value) -> Value {
    let mut pod = json!({
        "metadata": {"labels": {annotation::ENABLED_LABEL: "True"}, "annotations": {annotation::ROLE_ARN: ROLE}},
        "spec": {"containers": [{"name": "app"}]},
    });
    json_patch::merge(&mut pod, changes);
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "u", "operation": operation, "namespace": "default",
            "resource": {"group": "", "version": "v1", "resource": resource}, "object": pod,
        },
    })
}

fn create(changes: &Value) -> Value {
    request("CREATE", "pods", changes)
}

fn annotated(name: &str, value: impl Into<Value>) -> Value {
    json!({"metadata": {"annotations": {name: value.into()}}})
}

/// The Pod as it is after its injection.
fn injected(settings: &Settings) -> Value {
    let mut pod = create(&json!({}))["request"]["object"].take();
    let context = imds_inject::Context { namespace: "default", server: None };
    let imds_inject::Decision::Inject(injection) = imds_inject::decide(settings, &pod, &context) else {
        panic!("not injected")
    };
    let operations = serde_json::to_value(&injection.operations).unwrap();
    json_patch::patch(&mut pod, &serde_json::from_value::<json_patch::Patch>(operations).unwrap()).unwrap();
    pod
}

/// The page after reviews for every reason that there is.
fn after_everything(metrics: &Metrics) -> Families {
    let settings = Settings::new("image:1");
    let mutated = |metrics: &Metrics, body: &Value, settings: &Settings| {
        let server = ServerVersion::from_parts("1", "27").unwrap();
        let reviewed = review(body.to_string().as_bytes(), Webhook::Mutate, settings, Some(server)).unwrap();
        metrics.reviewed(Webhook::Mutate, &reviewed.outcome, Duration::from_millis(1));
    };
    let unlabelled = json!({"metadata": {"labels": null, "annotations": null}});
    let label = |value: &str| json!({"metadata": {"labels": {annotation::ENABLED_LABEL: value}, "annotations": null}});
    let mut misplaced = label("False");
    misplaced["metadata"]["annotations"] =
        json!({annotation::ENABLED_LABEL: "True", annotation::ROLE_ARN: null});
    let mut wrong_kind = label("False");
    wrong_kind["metadata"]["labels"][annotation::ROLE_ARN] = "r".into();
    let too_large = json!({"spec": {"volumes": vec![json!({}); 300_000]}});
    for changes in [
        json!({}),
        // Refused.
        json!({"metadata": {"annotations": null}}),
        annotated(annotation::SESSION_DURATION, "60"),
        json!({"spec": {"hostNetwork": true}}),
        json!({"spec": {"os": {"name": "windows"}}}),
        json!({"spec": {"containers": [{"name": "aws-imds-emulator"}]}}),
        json!({
            "metadata": {"annotations": {annotation::INTERCEPTION: "address"}},
            "spec": {"securityContext": {"sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "1024"}]}},
        }),
        json!({"spec": {"volumes": 5}}),
        too_large.clone(),
        // Left as they are.
        unlabelled.clone(),
        label("False"),
        annotated("kubernetes.io/config.mirror", "x"),
        // Near misses.
        label("true"),
        json!({"metadata": {"labels": null}}),
        json!({"metadata": {"labels": {annotation::ENABLED_LABEL: null, "gkemulticloud.googleapis.com/aws-imds-emulator-enable": "True"}, "annotations": null}}),
        json!({"metadata": {"labels": null, "annotations": {annotation::ROLE_ARN: null, "gkemulticloud.googleapis.com/aws-imds-emulator-rolearn": ROLE}}}),
        misplaced,
        wrong_kind,
    ] {
        mutated(metrics, &create(&changes), &settings);
    }
    let native = Settings { sidecar: Sidecar::Native, ..Settings::new("image:1") };
    mutated(metrics, &create(&json!({})), &native);
    let mut again = injected(&settings);
    mutated(metrics, &create(&again), &settings);
    for (field, value) in [
        ("command", json!(["/bin/sh"])),
        ("restartPolicy", Value::Null),
        ("image", json!("mirror:1")),
        ("envFrom", json!([{"configMapRef": {"name": "c"}}])),
    ] {
        let mut pod = again.clone();
        pod["spec"]["initContainers"][1][field] = value;
        mutated(metrics, &create(&pod), &settings);
    }
    again["metadata"]["annotations"][annotation::ROLE_ARN] = format!("{ROLE}-other").into();
    mutated(metrics, &create(&again), &settings);
    mutated(metrics, &request("UPDATE", "pods", &json!({})), &settings);
    mutated(metrics, &request("CREATE", "services", &json!({})), &settings);

    let linted = review(create(&unlabelled).to_string().as_bytes(), Webhook::Lint, &settings, None).unwrap();
    metrics.reviewed(Webhook::Lint, &linted.outcome, Duration::from_millis(1));
    let unread = review(create(&too_large).to_string().as_bytes(), Webhook::Lint, &settings, None).unwrap();
    metrics.reviewed(Webhook::Lint, &unread.outcome, Duration::from_millis(1));
    shown(&metrics.render(Some(UNIX_EPOCH)))
}

#[test]
fn every_metric_label_and_value_is_documented_and_no_other() {
    let shown = after_everything(&Metrics::new(UNIX_EPOCH, Arc::default()));
    let shown = without_values(shown, "imds_webhook_build_info", "version");
    assert_eq!(shown, documented("imds-webhook"));
}

/// So that one which is added is not forgotten here.
#[test]
fn every_reason_and_every_near_miss_has_occurred() {
    let sources =
        [include_str!("../../../inject/src/reason.rs"), include_str!("../../../inject/src/warning.rs")];
    let words = sources.iter().flat_map(|source| {
        let (_, body) = source.split_once("pub fn word").unwrap();
        let (body, _) = body.split_once("\n    }\n").unwrap();
        body.split('"').skip(1).step_by(2)
    });
    // Said of an injected Pod, or of what is no Pod.
    let uncounted = ["not_on_template", "never_completes", "port_taken"];
    let occurred = after_everything(&Metrics::new(UNIX_EPOCH, Arc::default()));
    let occurred = &occurred["imds_webhook_reviews_total"].labels["reason"];
    let missing: Vec<_> =
        words.filter(|word| !uncounted.contains(word) && !occurred.contains(*word)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn every_refusal_is_shown_before_it_occurs() {
    let (before, after) =
        (Metrics::new(UNIX_EPOCH, Arc::default()), Metrics::new(UNIX_EPOCH, Arc::default()));
    after_everything(&after);
    let refusals = |metrics: &Metrics| {
        let page = metrics.render(None);
        let samples = page.lines().filter(|line| line.contains("outcome=\"refused\""));
        samples.map(|line| line.split_once("} ").map(|(labels, _)| labels.to_owned())).collect::<Vec<_>>()
    };
    assert_eq!(refusals(&before).len(), REFUSALS.len());
    assert_eq!(refusals(&before), refusals(&after), "a reason is not in REFUSALS");
}
