//! What can be wrong in a Pod.

use serde_json::{Value, json};

use super::check::{Fault, fault};
use super::recording::{DRY_RUN, NETWORK_POLICIES, Recording, named};

const ANNOTATION: &str = "gkemulticloud.googleapis.com/aws-imds-emulator";
const EMULATOR: &str = "aws-imds-emulator";
const REDIRECT: &str = "aws-imds-emulator-redirect";
const POD: &str = "get pod nginx";
const METRICS: &str = "nginx:1339/proxy/metrics";
const READY: &str = "nginx:1339/proxy/readyz";
const STARTED: &str = "nginx:1339/proxy/startupz";
/// The port that is closed from outside the Pod.
pub const CLOSED_PORT: &str = "get --raw /api/v1/namespaces/imds-test/pods/nginx:1338/proxy/";
const DENIED: &str =
    "STS answered 403 AccessDenied: Not authorized to perform sts:AssumeRoleWithWebIdentity (request 1)";

/// A service account that the role does not trust, and keys in the environment.
pub fn for_a_transcript() -> Recording {
    Recording::denied()
}

pub fn faults() -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut add = |word, what, put: fn(&mut Recording)| faults.push(fault(word, what, Recording::pod(), put));
    looking(&mut add);
    injection(&mut add);
    integrity(&mut add);
    containers(&mut add);
    images(&mut add);
    credentials(&mut add);
    token(&mut add);
    environment(&mut add);
    let hung =
        fault("emulator_hangs", "an emulator that was stopped (`kill -STOP`)", Recording::pod(), hangs);
    faults.push(Fault { further: &["--timeout", "3"], ..hung });
    faults.push(fault("imdsv1", "an app that uses IMDSv1, too", Recording::pod_with_imdsv1(), |_| {}));
    faults
}

type Add<'a> = &'a mut dyn FnMut(&'static str, &'static str, fn(&mut Recording));

fn looking(add: Add<'_>) {
    add("forbidden", "you may not use `pods/proxy`", |pod| {
        pod.fails(
            METRICS,
            "Error from server (Forbidden): pods \"nginx\" is forbidden: User \"jane\" cannot get resource \"pods/proxy\" in API group \"\" in the namespace \"imds-test\"",
        );
    });
    add("not_answered", "the API server does not reach the emulator's page of metrics", |pod| {
        pod.fails(
            METRICS,
            "Error from server (ServiceUnavailable): the server is currently unable to handle the request",
        );
    });
}

/// The Pod as if the webhook had never seen it; then the webhook is asked about, too.
fn without_emulator(recording: &mut Recording) {
    recording.edit(POD, |pod| {
        pod["metadata"]["annotations"].as_object_mut().unwrap().remove(&format!("{ANNOTATION}-status"));
        pod["spec"]["initContainers"] = json!([]);
        pod["status"]["initContainerStatuses"] = json!([]);
        for list in ["/spec/containers", "/status/containerStatuses"] {
            let list = pod.pointer_mut(list).unwrap();
            list.as_array_mut().unwrap().retain(|container| container["name"] != EMULATOR);
        }
        let volumes = pod["spec"]["volumes"].as_array_mut().unwrap();
        volumes.retain(|volume| volume["name"] != "aws-imds-emulator-token");
    });
    let configurations = json!({"items": [{
        "metadata": {"name": "imds-webhook", "creationTimestamp": "2026-11-25T03:00:00Z"},
        "webhooks": [{"name": "inject.imds-emulator.internal"}],
    }]});
    recording.also(
        "get mutatingwebhookconfigurations.admissionregistration.k8s.io --output=json",
        &configurations.to_string(),
    );
    recording.also("get namespace imds-test --output=json", "{\"metadata\": {\"name\": \"imds-test\"}}");
}

fn injection(add: Add<'_>) {
    add("not_enabled", "no label", |pod| {
        without_emulator(pod);
        pod.edit(POD, |pod| pod["metadata"]["labels"] = json!({}));
    });
    add("warned", "the label `\"true\"`", |pod| {
        without_emulator(pod);
        pod.edit(POD, |pod| pod["metadata"]["labels"][format!("{ANNOTATION}-enabled")] = json!("true"));
    });
    add("refused", "`hostNetwork: true` in a Pod that the webhook did not see", |pod| {
        without_emulator(pod);
        pod.edit(POD, |pod| pod["spec"]["hostNetwork"] = json!(true));
    });
    add("uninjected", "a Pod that is older than the webhook", without_emulator);
    add("changed", "an annotation that was changed after the injection", |pod| {
        pod.edit(POD, |pod| {
            pod["metadata"]["annotations"][format!("{ANNOTATION}-role-arn")] =
                json!("arn:aws:iam::123456789012:role/another-role");
        });
    });
}

/// The emulator's container is changed, in the Pod alone.
fn emulator(recording: &mut Recording, change: fn(&mut Value)) {
    recording.edit(POD, |pod| change(named(&mut pod["spec"]["containers"], EMULATOR)));
}

fn integrity(add: Add<'_>) {
    add(
        "injection_changed",
        "a status annotation, and containers that the injection does not write",
        |pod| {
            emulator(pod, |emulator| {
                emulator["image"] = json!("evil.example/x:1");
                emulator["command"] = json!(["/bin/sh"]);
                emulator["securityContext"]["capabilities"]["add"] = json!(["NET_ADMIN"]);
            });
        },
    );
    add("injection_incomplete", "another webhook dropped a field that it does not know", |pod| {
        emulator(pod, |emulator| drop(emulator.as_object_mut().unwrap().remove("lifecycle")));
    });
    add("other_image", "`kubectl set image pod/nginx aws-imds-emulator=evil.example/x:1`", |pod| {
        emulator(pod, |emulator| emulator["image"] = json!("evil.example/x:1"));
    });
    add("other_image", "the same, where you may not create Pods", |pod| {
        emulator(pod, |emulator| emulator["image"] = json!("evil.example/x:1"));
        emulator(pod, |emulator| {
            emulator["env"]
                .as_array_mut()
                .unwrap()
                .retain(|variable| variable["name"] != "AWS_ENDPOINT_URL_STS");
        });
        pod.fails(
            DRY_RUN,
            "Error from server (Forbidden): error when creating \"STDIN\": pods is forbidden: User \"jane\" cannot create resource \"pods\" in API group \"\" in the namespace \"imds-test\"",
        );
    });
    add("injection_extended", "a variable that somebody gave to the emulator", |pod| {
        emulator(pod, |emulator| {
            let env = emulator["env"].as_array_mut().unwrap();
            env.push(json!({"name": "HTTPS_PROXY", "value": "http://proxy.example:3128"}));
        });
    });
    add("token_shared", "an ephemeral container that mounts the emulator's token", |pod| {
        ephemeral(
            pod,
            &json!({"name": "debugger", "volumeMounts": [{"name": "aws-imds-emulator-token", "mountPath": "/t"}]}),
        );
    });
    add(
        "authorization_shared",
        "an ephemeral container that mounts the other volume of the injection",
        |pod| {
            ephemeral(
                pod,
                &json!({"name": "debugger", "volumeMounts": [{"name": "aws-imds-emulator-authorization", "mountPath": "/t"}]}),
            );
        },
    );
    add("ephemeral_named", "an ephemeral container that bears a name of ours", |pod| {
        ephemeral(pod, &json!({"name": "aws-imds-emulator-debug"}));
    });
    add("ephemeral_target", "`kubectl debug nginx --target aws-imds-emulator`", |pod| {
        ephemeral(pod, &json!({"name": "debugger", "targetContainerName": "aws-imds-emulator"}));
    });
}

fn ephemeral(recording: &mut Recording, container: &Value) {
    recording.edit(POD, |pod| pod["spec"]["ephemeralContainers"] = json!([container]));
}

fn status<'a>(pod: &'a mut Value, container: &str) -> &'a mut Value {
    let list = if container == REDIRECT { "initContainerStatuses" } else { "containerStatuses" };
    named(&mut pod["status"][list], container)
}

/// What kubelet says of a container.
pub fn with_status<'a>(pod: &'a mut Value, container: &str) -> &'a mut Value {
    status(pod, container)
}

fn does_not_run(pod: &mut Value, container: &str, state: Value) {
    let status = status(pod, container);
    status["ready"] = json!(false);
    status["state"] = state;
}

fn containers(add: Add<'_>) {
    add("order_wrong", "another webhook put its init container before ours", |pod| {
        pod.edit(POD, |pod| {
            let inits = pod["spec"]["initContainers"].as_array_mut().unwrap();
            inits.insert(0, json!({"name": "mesh-init", "image": "example.com/mesh"}));
        });
    });
    add("init_without", "an init container of yours, and the classic form of the sidecar", |pod| {
        pod.edit(POD, |pod| {
            let inits = pod["spec"]["initContainers"].as_array_mut().unwrap();
            inits.push(json!({"name": "migrate", "image": "example.com/app"}));
        });
    });
    add("waits", "no node has room", |pod| {
        pod.edit(POD, |pod| {
            pod["status"] = json!({"phase": "Pending", "conditions": [{
                "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                "message": "0/3 nodes are available: 3 Insufficient memory.",
            }]});
        });
        no_events(pod);
    });
    add("starting", "asked in the Pod's first second", |pod| {
        pod.edit(POD, |pod| pod["status"] = json!({"phase": "Running"}));
    });
    add("container_waits", "an image that is not there", |pod| {
        pod.edit(POD, |pod| {
            does_not_run(
                pod,
                EMULATOR,
                json!({"waiting": {"reason": "ErrImagePull", "message": "example.com/imds-emulator:9: not found"}}),
            );
        });
        no_events(pod);
    });
    add("user_crashes", "an app that listens on a port of the emulator's", |pod| {
        pod.edit(POD, |pod| {
            does_not_run(
                pod,
                "nginx",
                json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s"}}),
            );
            status(pod, "nginx")["lastState"] = json!({"terminated": {"exitCode": 1, "reason": "Error"}});
        });
        no_events(pod);
    });
    add("redirect_failed", "a policy that takes NET_ADMIN away", |pod| {
        pod.edit(POD, |pod| {
            does_not_run(
                pod,
                REDIRECT,
                json!({"terminated": {"exitCode": 1, "reason": "Error", "message": "imds-redirect: CAP_NET_ADMIN is missing\n"}}),
            );
        });
        no_events(pod);
    });
    add("emulator_ended", "an emulator with a wrong setting", |pod| {
        pod.edit(POD, |pod| {
            does_not_run(
                pod,
                EMULATOR,
                json!({"terminated": {"exitCode": 64, "reason": "Error", "message": "AWS_REGION: \"moon\" is no region\n"}}),
            );
        });
        no_events(pod);
    });
    add("emulator_restarted", "an emulator that was killed", |pod| {
        let log = "{\"level\":\"warn\",\"message\":\"a client reads credentials by IMDSv1\"}\n{\"level\":\"info\",\"message\":\"got credentials from STS\"}\n";
        restarted(pod, &json!({"exitCode": 137, "reason": "Error", "message": log}));
    });
    add("emulator_restarted", "an emulator that hung, and that its watchdog ended", |pod| {
        let log = "{\"level\":\"error\",\"message\":\"the event loop no longer runs: ending, to be started anew\"}\n";
        restarted(pod, &json!({"exitCode": 134, "reason": "Error", "message": log}));
    });
    add("emulator_oom", "an emulator without enough memory", |pod| {
        restarted(pod, &json!({"exitCode": 137, "reason": "OOMKilled"}));
    });
}

fn images(add: Add<'_>) {
    add("image_changed", "`kubectl set image pod/nginx '*=other:1'`", |pod| {
        pod.edit(POD, |pod| {
            for list in ["/spec/initContainers", "/spec/containers"] {
                for container in pod.pointer_mut(list).unwrap().as_array_mut().unwrap() {
                    container["image"] = json!("other:1");
                }
            }
            cannot_start(pod);
        });
        no_events(pod);
    });
    add("image_changed", "the same, where no registry has it", |pod| {
        pod.edit(POD, |pod| {
            named(&mut pod["spec"]["containers"], EMULATOR)["image"] = json!("other:1");
            let state =
                json!({"waiting": {"reason": "ErrImagePull", "message": "docker.io/library/other:1: not found"}});
            does_not_run(pod, EMULATOR, state);
            status(pod, EMULATOR)["lastState"] = json!({"terminated": {"exitCode": 0, "reason": "Completed"}});
        });
        no_events(pod);
    });
    add("image_changed", "the same with `interception: endpoint`", |pod| {
        with_endpoint(pod);
        pod.edit(POD, |pod| {
            without_redirect(pod);
            named(&mut pod["spec"]["containers"], EMULATOR)["image"] = json!("other:1");
            does_not_run(pod, EMULATOR, json!({"terminated": {"exitCode": 0, "reason": "Completed"}}));
        });
        no_events(pod);
    });
    add("container_waits", "an emulator whose image no registry has any more", |pod| {
        pod.edit(POD, |pod| {
            let state = json!({"waiting": {"reason": "ImagePullBackOff", "message": "not found"}});
            does_not_run(pod, EMULATOR, state);
            status(pod, EMULATOR)["lastState"] = json!({"terminated": {"exitCode": 137, "reason": "Error"}});
        });
        no_events(pod);
    });
    add("image_changed", "the first with `interception: endpoint`", |pod| {
        with_endpoint(pod);
        pod.edit(POD, |pod| {
            without_redirect(pod);
            named(&mut pod["spec"]["containers"], EMULATOR)["image"] = json!("other:1");
            status(pod, EMULATOR)["image"] = json!("docker.io/library/other:1");
            cannot_start(pod);
        });
        no_events(pod);
    });
}

fn without_redirect(pod: &mut Value) {
    pod["spec"]["initContainers"] = json!([]);
    pod["status"]["initContainerStatuses"] = json!([]);
}

/// As containerd says of an image without the program.
fn cannot_start(pod: &mut Value) {
    does_not_run(
        pod,
        EMULATOR,
        json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}),
    );
    let message = "failed to create containerd task: failed to create shim task: OCI runtime create failed: exec: \"/imds-emulator\": stat /imds-emulator: no such file or directory";
    status(pod, EMULATOR)["lastState"] =
        json!({"terminated": {"exitCode": 128, "reason": "StartError", "message": message}});
}

/// An emulator that takes no connection from the kernel any more.
pub fn hangs(pod: &mut Recording) {
    for page in [READY, STARTED, METRICS] {
        pod.hangs(page);
    }
    pod.also(CLOSED_PORT, "");
    pod.fails(
        CLOSED_PORT,
        "Error from server (ServiceUnavailable): error trying to reach service: dial tcp 10.244.0.5:1338: connect: connection refused",
    );
}

/// All of the Pod was started anew.
pub fn restarts_as_a_whole(recording: &mut Recording) {
    restarted(recording, &json!({"exitCode": 137, "reason": "Error", "finishedAt": "2026-11-25T04:00:00Z"}));
    recording.edit(POD, |pod| {
        let redirect = status(pod, REDIRECT);
        redirect["restartCount"] = json!(1);
        redirect["state"]["terminated"]["startedAt"] = json!("2026-11-25T04:00:01Z");
        status(pod, EMULATOR)["state"] = json!({"running": {"startedAt": "2026-11-25T04:00:02Z"}});
    });
}

fn no_events(pod: &mut Recording) {
    pod.also(
        "get events --namespace=imds-test --field-selector=involvedObject.kind=Pod,involvedObject.name=nginx --output=json",
        "{\"items\": []}",
    );
}

fn restarted(recording: &mut Recording, end: &Value) {
    recording.edit(POD, |pod| {
        let emulator = status(pod, EMULATOR);
        emulator["restartCount"] = json!(1);
        emulator["lastState"] = json!({"terminated": end});
    });
}

fn without_credentials(pod: &mut Recording) {
    pod.fails(
        READY,
        "Error from server (ServiceUnavailable): the server is currently unable to handle the request",
    );
    pod.says(STARTED, &format!("started without credentials after 31 s\nlast exchange failed: {DENIED}\n"));
}

fn credentials(add: Add<'_>) {
    add("refresh_failing", "a trust policy that was changed while the Pod ran", |pod| {
        pod.says(
            READY,
            &format!("ready: credentials are valid for 1500 s\nlast exchange failed: {DENIED}\n"),
        );
    });
    add("no_credentials", "a trust policy that names another service account", |pod| {
        without_credentials(pod);
        pod.says(METRICS, "imds_emulator_credentials_valid 0\n");
    });
    add("credentials_expired", "an STS that was away for longer than a session", |pod| {
        without_credentials(pod);
        pod.says(
            METRICS,
            "imds_emulator_credentials_valid 0\nimds_emulator_credentials_expiration_timestamp_seconds 1700000000\n",
        );
    });
    add("not_asked", "an app that takes its keys from elsewhere", |pod| {
        pod.says(METRICS, "imds_emulator_credentials_valid 1\n");
    });
    add("imdsv1_refused", "a client that knows IMDSv1 alone, and `http-tokens: required`", |pod| {
        pod.edit(POD, |pod| {
            pod["metadata"]["annotations"][format!("{ANNOTATION}-http-tokens")] = json!("required");
            let emulator = named(&mut pod["spec"]["containers"], EMULATOR);
            named(&mut emulator["env"], "IMDS_HTTP_TOKENS")["value"] = json!("required");
        });
        pod.says(METRICS, "imds_emulator_requests_total{path=\"roles\",version=\"v1\",code=\"401\"} 3\n");
    });
}

fn token(add: Add<'_>) {
    add("token_absent", "something took the mount of the token away", |pod| {
        pod.edit(POD, |pod| named(&mut pod["spec"]["containers"], EMULATOR)["volumeMounts"] = json!([]));
    });
    add("token_shared", "a container of yours that mounts the emulator's token", |pod| {
        pod.edit(POD, |pod| {
            let mounts = &mut named(&mut pod["spec"]["containers"], "nginx")["volumeMounts"];
            mounts
                .as_array_mut()
                .unwrap()
                .push(json!({"name": "aws-imds-emulator-token", "mountPath": "/token"}));
        });
    });
}

fn environment(add: Add<'_>) {
    add("other_source", "`AWS_ACCESS_KEY_ID` in the app's environment", |pod| {
        set(pod, "AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE");
    });
    add("imds_disabled", "`AWS_EC2_METADATA_DISABLED`", |pod| set(pod, "AWS_EC2_METADATA_DISABLED", "true"));
    add("other_endpoint", "`AWS_EC2_METADATA_SERVICE_ENDPOINT` of another emulator", |pod| {
        set(pod, "AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:9911/");
    });
    add("proxied", "`HTTP_PROXY` without an exception", |pod| {
        set(pod, "HTTP_PROXY", "http://proxy.example.com:3128");
    });
    add("metadata_hidden", "a node on Azure", |pod| {
        pod.says(
            super::recording::NODE,
            "azure:///subscriptions/0/resourceGroups/group/providers/Microsoft.Compute/node",
        );
    });
    add("endpoint_missing", "`interception: endpoint`, and a container that came later", with_endpoint);
    add("node_imds_open", "`interception: endpoint` on EC2", with_endpoint_on_ec2);
    add("node_imds_open", "the same, with a NetworkPolicy that does not close it", |pod| {
        with_endpoint_on_ec2(pod);
        pod.says(NETWORK_POLICIES, &network_policies(&json!([{"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}])));
    });
    add("node_imds_open", "the same, where you may not look at nodes", |pod| {
        with_endpoint_on_ec2(pod);
        pod.fails(
            super::recording::NODE,
            "Error from server (Forbidden): nodes \"node\" is forbidden: User \"jane\" cannot get resource \"nodes\" in API group \"\" at the cluster scope",
        );
    });
}

fn with_endpoint(recording: &mut Recording) {
    recording.edit(POD, |pod| {
        let annotations = &mut pod["metadata"]["annotations"];
        annotations[format!("{ANNOTATION}-interception")] = json!("endpoint");
        annotations[format!("{ANNOTATION}-status")] =
            json!("injected; interception=endpoint; sidecar=classic");
    });
}

/// Without any `NetworkPolicy`.
pub fn with_endpoint_on_ec2(recording: &mut Recording) {
    with_endpoint(recording);
    recording.says(
        super::recording::NODE,
        "aws:///eu-central-1a/i-0123456789abcdef0\nec2e1916-9099-7caf-fd21-012345abcdef",
    );
    recording.also(NETWORK_POLICIES, "{\"items\": []}");
}

/// One that limits the egress of every Pod to this.
pub fn network_policies(egress: &Value) -> String {
    let spec = json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": egress});
    json!({"items": [{"metadata": {"name": "default-egress"}, "spec": spec}]}).to_string()
}

fn set(recording: &mut Recording, variable: &str, value: &str) {
    recording.edit(POD, |pod| {
        named(&mut pod["spec"]["containers"], "nginx")["env"] = json!([{"name": variable, "value": value}]);
    });
}
