//! What can be wrong in a cluster.

use std::time::Duration;

use serde_json::{Value, json};

use super::check::{Fault, fault};
use super::recording::{ISSUER, Recording, item, name, named, now};

const LABEL: &str = "gkemulticloud.googleapis.com/aws-imds-emulator-enabled";
const ROLE: &str = "gkemulticloud.googleapis.com/aws-imds-emulator-role-arn";
const REPLICAS: &str = "get pods --namespace=imds-system";
const DEPLOYMENTS: &str = "get deployments --namespace=imds-system";
const WORKLOADS: &str = "get deployments --output=json --all-namespaces";
const LABELLED: &str = "get pods --selector=gkemulticloud.googleapis.com/aws-imds-emulator-enabled=True";
const DRY_RUN: &str = "create --dry-run=server";

/// All is well but for two things.
pub fn for_a_transcript() -> Recording {
    let mut cluster = Recording::cluster();
    cluster.edit(WORKLOADS, |list| {
        item(list, "web")["spec"]["template"]["metadata"]["labels"][LABEL] = json!("true");
    });
    cluster.edit(LABELLED, without_emulator);
    cluster
}

pub fn faults() -> Vec<Fault> {
    let mut faults = vec![
        fault("server_old", "a cluster of Kubernetes 1.20", Recording::old_cluster(), |_| {}),
        fault(
            "webhook_unguarded",
            "a Kubernetes that has no policies, and a webhook that keeps its own certificates",
            Recording::cluster(),
            |cluster| cluster.edit("get --raw /version", |version| version["gitVersion"] = json!("v1.29.6")),
        ),
    ];
    let mut add = |word, what, put: fn(&mut Recording)| {
        faults.push(fault(word, what, Recording::cluster(), put));
    };
    looking(&mut add);
    registration(&mut add);
    admission(&mut add);
    replicas(&mut add);
    certificate(&mut add);
    guard(&mut add);
    namespaces_and_pods(&mut add);
    faults.push(Fault {
        what: "`check -n nosuchns`, and there is no such namespace",
        word: "namespace_absent",
        recording: without_namespace(),
        further: &["-n", "nosuchns"],
    });
    faults
}

/// What is asked of a namespace that does not exist: lists of it are empty, itself is not found.
pub fn without_namespace() -> Recording {
    let mut cluster = Recording::cluster();
    let items = "{\"items\": []}";
    for lists in ["deployments", "statefulsets", "daemonsets", "cronjobs", "jobs"] {
        cluster.also(&format!("get {lists} --output=json --namespace=nosuchns"), items);
    }
    cluster.also("get events --field-selector=reason=FailedCreate --output=json --namespace=nosuchns", items);
    cluster.also(&format!("get pods --selector={LABEL}=True --output=json --namespace=nosuchns"), items);
    cluster.also(
        &format!("get pods --selector={LABEL}!=True {} --namespace=nosuchns", super::recording::OTHERS),
        "",
    );
    cluster.also("get namespace nosuchns --output=json", "");
    cluster
        .fails("get namespace nosuchns", "Error from server (NotFound): namespaces \"nosuchns\" not found");
    cluster
}

/// One cause, and the words of all that goes wrong because of it.
pub struct Cause {
    pub what: &'static str,
    pub recording: Recording,
    pub word: &'static str,
    pub following: Vec<&'static str>,
}

pub fn causes() -> Vec<Cause> {
    let no_endpoints = "failed to call webhook: no endpoints available for service \"imds-webhook\"";
    let empty = |cluster: &mut Recording| {
        change_webhook(cluster, |webhook| webhook["clientConfig"]["caBundle"] = json!(""));
    };
    let cause = |what, put: &dyn Fn(&mut Recording), (word, following): (&'static str, &[&'static str])| {
        let mut recording = Recording::cluster();
        put(&mut recording);
        Cause { what, recording, word, following: following.to_vec() }
    };
    let replicas = |cluster: &mut Recording| {
        cluster.edit(DEPLOYMENTS, |list| item(list, "imds-webhook")["spec"]["replicas"] = json!(0));
    };
    vec![
        cause(
            "the image can't be pulled, so that no replica is ready, none can be called and none writes caBundle",
            &|cluster| {
                ready_replicas(cluster, 0);
                call_fails(cluster, no_endpoints);
                empty(cluster);
                refused_lately(cluster);
            },
            ("replicas_none", &["no_endpoints", "bundle_empty", "refused_lately"]),
        ),
        cause(
            "scaled to none",
            &|cluster| {
                replicas(cluster);
                cluster.edit(REPLICAS, |list| list["items"] = json!([]));
                call_fails(cluster, no_endpoints);
            },
            ("scaled_to_none", &["no_endpoints"]),
        ),
        cause(
            "the replicas crash, and the connection is refused",
            &|cluster| {
                ready_replicas(cluster, 0);
                post_fails(cluster, "dial tcp 10.0.0.197:443: connect: connection refused");
            },
            ("replicas_none", &["call_failed"]),
        ),
        cause(
            "the Deployment was deleted",
            &|cluster| {
                cluster.edit(DEPLOYMENTS, |list| list["items"] = json!([]));
                cluster.edit(REPLICAS, |list| list["items"] = json!([]));
                call_fails(cluster, no_endpoints);
            },
            ("deployment_absent", &["no_endpoints"]),
        ),
        cause(
            "no caBundle, and the API server says so",
            &|cluster| {
                empty(cluster);
                post_fails(cluster, "x509: certificate signed by unknown authority");
            },
            ("bundle_empty", &["authority_unknown"]),
        ),
        cause(
            "a certificate that was not renewed and has expired",
            &|cluster| {
                cluster.certificate_ends_in(Duration::ZERO);
                post_fails(
                    cluster,
                    "x509: certificate has expired or is not yet valid: current time is after the end",
                );
            },
            ("certificate_expired", &[]),
        ),
        cause(
            "rules that miss, and a dry run that shows it",
            &|cluster| {
                change_webhook(cluster, |webhook| webhook["rules"][0]["operations"] = json!(["UPDATE"]));
                cluster.edit(DRY_RUN, remove_emulator);
            },
            ("rules_miss", &["not_injected"]),
        ),
    ]
}

type Add<'a> = &'a mut dyn FnMut(&'static str, &'static str, fn(&mut Recording));

fn looking(add: Add<'_>) {
    add("forbidden", "you may not list events", |cluster| {
        cluster.fails(
            "get events",
            "Error from server (Forbidden): events is forbidden: User \"jane\" cannot list resource \"events\" in API group \"\" at the cluster scope",
        );
    });
    add("not_answered", "the API server does not reach the replicas' page of metrics", |cluster| {
        cluster.fails(
            "/proxy/metrics",
            "Error from server (ServiceUnavailable): the server is currently unable to handle the request",
        );
    });
    add("issuer_private", "the cluster's issuer is the one that an API server has by itself", |cluster| {
        cluster.replace("openid-configuration", ISSUER, "https://kubernetes.default.svc");
    });
}

fn change_webhook(cluster: &mut Recording, change: fn(&mut Value)) {
    cluster.edit("get mutatingwebhookconfigurations", |list| {
        change(named(&mut list["items"][0]["webhooks"], "inject.imds-emulator.internal"));
    });
}

fn registration(add: Add<'_>) {
    add("not_registered", "the MutatingWebhookConfiguration was deleted", |cluster| {
        cluster.edit("get mutatingwebhookconfigurations", |list| list["items"] = json!([]));
    });
    add("registered_twice", "the chart was installed twice", |cluster| {
        cluster.edit("get mutatingwebhookconfigurations", |list| {
            let mut second = list["items"][0].clone();
            second["metadata"]["name"] = json!("second-imds-webhook");
            list["items"].as_array_mut().unwrap().push(second);
        });
    });
    add("policy_ignore", "`failurePolicy: Ignore`", |cluster| {
        change_webhook(cluster, |webhook| webhook["failurePolicy"] = json!("Ignore"));
    });
    add("selector_misses", "an `objectSelector` for another label", |cluster| {
        change_webhook(cluster, |webhook| {
            webhook["objectSelector"] = json!({"matchLabels": {"imds": "yes"}});
        });
    });
    add("selector_wide", "no `objectSelector`", |cluster| {
        change_webhook(cluster, |webhook| webhook["objectSelector"] = json!({}));
    });
    add("rules_miss", "rules for `UPDATE` alone", |cluster| {
        change_webhook(cluster, |webhook| webhook["rules"][0]["operations"] = json!(["UPDATE"]));
    });
    add("webhook_elsewhere", "a webhook that runs outside of the cluster", |cluster| {
        change_webhook(cluster, |webhook| {
            let bundle = webhook["clientConfig"]["caBundle"].take();
            webhook["clientConfig"] =
                json!({"url": "https://imds-webhook.example.com/mutate", "caBundle": bundle});
        });
    });
}

fn call_fails(cluster: &mut Recording, why: &str) {
    cluster.fails(
        DRY_RUN,
        &format!(
            "Error from server (InternalError): error when creating \"STDIN\": Internal error occurred: failed calling webhook \"inject.imds-emulator.internal\": {why}"
        ),
    );
}

fn post_fails(cluster: &mut Recording, why: &str) {
    call_fails(
        cluster,
        &format!("Post \"https://imds-webhook.imds-system.svc:443/mutate?timeout=5s\": {why}"),
    );
}

fn admission(add: Add<'_>) {
    add("not_injected", "another webhook takes the label off before ours is asked", |cluster| {
        cluster.edit(DRY_RUN, remove_emulator);
    });
    add(
        "denied_by_webhook",
        "a webhook of another version, which refuses what this program takes for good",
        |cluster| {
            cluster.fails(
            DRY_RUN,
            "Error from server: error when creating \"STDIN\": admission webhook \"inject.imds-emulator.internal\" denied the request: the annotation gkemulticloud.googleapis.com/aws-imds-emulator-session-duration is not accepted",
        );
        },
    );
    add("refused_by_others", "a quota that is used up", |cluster| {
        cluster.fails(
            DRY_RUN,
            "Error from server (Forbidden): error when creating \"STDIN\": pods \"imds-check-x\" is forbidden: exceeded quota: compute, requested: pods=1, used: pods=4, limited: pods=4",
        );
    });
    add("no_endpoints", "no replica is ready, and a Pod is to be created", |cluster| {
        call_fails(cluster, "failed to call webhook: no endpoints available for service \"imds-webhook\"");
    });
    add("service_absent", "the Service was deleted", |cluster| {
        call_fails(cluster, "failed to call webhook: service \"imds-webhook\" not found");
        cluster.fails("get service", "Error from server (NotFound): services \"imds-webhook\" not found");
    });
    add(
        "webhook_timeout",
        "a NetworkPolicy or firewall between the control plane and the replicas",
        |cluster| {
            post_fails(cluster, "context deadline exceeded");
        },
    );
    add("authority_unknown", "a `caBundle` of another authority, and a Pod is to be created", |cluster| {
        post_fails(cluster, "x509: certificate signed by unknown authority");
    });
    add("certificate_name", "a certificate of your own for another name", |cluster| {
        post_fails(
            cluster,
            "x509: certificate is valid for webhook.example.com, not imds-webhook.imds-system.svc",
        );
    });
    add("call_failed", "the replicas are there, and nothing listens", |cluster| {
        post_fails(cluster, "dial tcp 10.0.0.197:443: connect: connection refused");
    });
}

fn ready_replicas(cluster: &mut Recording, ready: u64) {
    cluster.edit(DEPLOYMENTS, |list| item(list, "imds-webhook")["status"]["readyReplicas"] = json!(ready));
    cluster.edit(REPLICAS, |list| {
        let replicas = list["items"].as_array_mut().unwrap().iter_mut();
        for pod in replicas.skip(usize::try_from(ready).unwrap()) {
            pod["status"]["conditions"] = json!([{"type": "Ready", "status": "False"}]);
            pod["status"]["containerStatuses"][0]["state"] = json!({"waiting": {
                "reason": "ImagePullBackOff", "message": "Back-off pulling image \"example.com/imds-emulator:1\"",
            }});
        }
    });
}

fn replicas(add: Add<'_>) {
    add("replicas_few", "a replica whose image can't be pulled", |cluster| ready_replicas(cluster, 1));
    add("replicas_none", "replicas whose image can't be pulled", |cluster| ready_replicas(cluster, 0));
    add("scaled_to_none", "`kubectl scale --replicas 0`", |cluster| {
        cluster.edit(DEPLOYMENTS, |list| item(list, "imds-webhook")["spec"]["replicas"] = json!(0));
        cluster.edit(REPLICAS, |list| list["items"] = json!([]));
        call_fails(cluster, "failed to call webhook: no endpoints available for service \"imds-webhook\"");
    });
    add("replica_single", "`replicas: 1`", |cluster| {
        cluster.edit(DEPLOYMENTS, |list| {
            let deployment = item(list, "imds-webhook");
            deployment["spec"]["replicas"] = json!(1);
            deployment["status"]["readyReplicas"] = json!(1);
        });
    });
    add("deployment_absent", "the Deployment was deleted", |cluster| {
        cluster.edit(DEPLOYMENTS, |list| list["items"] = json!([]));
    });
    add("replica_images", "an upgrade that stopped half-way", |cluster| {
        cluster.edit(REPLICAS, |list| {
            list["items"][0]["spec"]["containers"][0]["image"] = json!("localhost/imds-emulator:old");
        });
    });
    add("version_differs", "a webhook that is older than this program", |cluster| {
        cluster.replace(
            "/proxy/metrics",
            concat!("version=\"", env!("CARGO_PKG_VERSION"), "\""),
            "version=\"0.0.1\"",
        );
    });
}

fn certificate(add: Add<'_>) {
    add("certificate_ends", "a serving certificate that was not renewed", |cluster| {
        cluster.certificate_ends_in(Duration::from_hours(5 * 24 + 1));
    });
    add("certificate_expired", "a serving certificate that has expired", |cluster| {
        cluster.certificate_ends_in(Duration::ZERO);
        post_fails(
            cluster,
            "x509: certificate has expired or is not yet valid: current time is after the end",
        );
    });
    add("bundle_empty", "no `caBundle`", |cluster| {
        change_webhook(cluster, |webhook| webhook["clientConfig"]["caBundle"] = json!(""));
    });
    add("bundle_other", "a Secret that was made anew, and a `caBundle` that was not", |cluster| {
        // A certificate in form alone.
        cluster.says(
            "get secret",
            "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JSUIKLS0tLS1FTkQgQ0VSVElGSUNBVEUtLS0tLQo=",
        );
    });
}

/// The Pod as if the webhook had never seen it.
fn remove_emulator(pod: &mut Value) {
    pod["metadata"]["annotations"]
        .as_object_mut()
        .unwrap()
        .remove("gkemulticloud.googleapis.com/aws-imds-emulator-status");
    for list in ["initContainers", "containers"] {
        if let Some(containers) = pod["spec"][list].as_array_mut() {
            containers
                .retain(|container| !container["name"].as_str().unwrap().starts_with("aws-imds-emulator"));
        }
    }
}

fn without_emulator(list: &mut Value) {
    let pods = list["items"].as_array_mut().unwrap();
    remove_emulator(pods.iter_mut().find(|pod| name(pod).starts_with("web-")).unwrap());
}

fn emulator_of_first(list: &mut Value) -> &mut Value {
    named(&mut list["items"][0]["status"]["containerStatuses"], "aws-imds-emulator")
}

fn enforce(cluster: &mut Recording, standard: &str) {
    cluster.edit("get namespaces", |list| {
        item(list, "imds-test")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] = json!(standard);
    });
}

const POLICIES: &str = "get validatingadmissionpolicies";

fn guard(add: Add<'_>) {
    add("webhook_unguarded", "no policy limits the webhook's account to `caBundle`", |cluster| {
        cluster.edit(POLICIES, |list| list["items"] = json!([]));
    });
    add("webhook_unguarded", "the policy is about an account of another name", |cluster| {
        cluster.replace(POLICIES, "imds-system:imds-webhook'", "imds-system:another'");
    });
    add("webhook_unguarded", "the policy without its binding", |cluster| {
        cluster.edit(POLICIES, |list| list["items"].as_array_mut().unwrap().truncate(1));
    });
    add("webhook_unguarded", "a binding that warns and does not deny", |cluster| {
        cluster.edit(POLICIES, |list| list["items"][1]["spec"]["validationActions"] = json!(["Warn"]));
    });
    add("webhook_unguarded", "a policy whose errors let everything through", |cluster| {
        cluster.edit(POLICIES, |list| list["items"][0]["spec"]["failurePolicy"] = json!("Ignore"));
    });
}

fn namespaces_and_pods(add: Add<'_>) {
    add("pod_security_enforced", "a namespace that enforces Baseline", |cluster| {
        enforce(cluster, "baseline");
    });
    add("pod_security_refuses", "a labelled Deployment in a namespace that enforces Restricted", |cluster| {
        enforce(cluster, "restricted");
    });
    add("uninjected", "a Pod that was created while the webhook was away", |cluster| {
        cluster.edit(LABELLED, without_emulator);
    });
    add("old_image", "Pods from before an upgrade", |cluster| {
        cluster.replace(DRY_RUN, "localhost/imds-emulator:dev", "localhost/imds-emulator:new");
    });
    add("unwell", "an emulator that does not stay up", |cluster| {
        cluster.edit(LABELLED, |list| {
            let emulator = emulator_of_first(list);
            emulator["state"] = json!({"waiting": {"reason": "CrashLoopBackOff"}});
            emulator["lastState"] = json!({"terminated": {"exitCode": 64, "reason": "Error", "message": "AWS_REGION: \"moon\" is no region"}});
        });
    });
    add("restarted", "an emulator without enough memory", |cluster| {
        cluster.edit(LABELLED, |list| {
            let emulator = emulator_of_first(list);
            emulator["restartCount"] = json!(2);
            emulator["lastState"] = json!({"terminated": {"exitCode": 137, "reason": "OOMKilled"}});
        });
    });
    add("warned", "the label `\"true\"`", |cluster| {
        cluster.edit(WORKLOADS, |list| {
            item(list, "web")["spec"]["template"]["metadata"]["labels"][LABEL] = json!("true");
        });
    });
    add("workload_refused", "a Deployment without the role", |cluster| {
        cluster.edit(WORKLOADS, |list| {
            let annotations = &mut item(list, "web")["spec"]["template"]["metadata"]["annotations"];
            annotations.as_object_mut().unwrap().remove(ROLE);
        });
    });
    add("refused_lately", "a ReplicaSet whose Pods were refused", refused_lately);
    add("refused_lately", "a LimitRange that our containers do not fit", |cluster| {
        refuses_lately(cluster, &forbidden("maximum cpu usage per Container is 50m, but limit is 100m"));
    });
    add("refused_lately", "a ResourceQuota that is used up", |cluster| {
        let quota = "exceeded quota: compute, requested: limits.memory=64Mi, used: limits.memory=1Gi, limited: limits.memory=1Gi";
        refuses_lately(cluster, &forbidden(quota));
    });
    add("refused_lately", "a policy of somebody else", |cluster| {
        let policy = "ValidatingAdmissionPolicy 'images' with binding 'images' denied request: no image of another registry";
        refuses_lately(cluster, &forbidden(policy));
    });
    add("context_namespace_absent", "a context for a namespace that was deleted", |cluster| {
        cluster
            .edit("config view", |config| config["contexts"][0]["context"]["namespace"] = json!("deleted"));
    });
    add("metadata_hidden", "a cluster on Google Cloud", |cluster| {
        cluster.says(
            super::recording::NODES,
            "gce://my-project/europe-west1-b/node-1\ngce://my-project/europe-west1-b/node-2\n",
        );
    });
}

fn refused_lately(cluster: &mut Recording) {
    refuses_lately(
        cluster,
        "Error creating: Internal error occurred: failed calling webhook \"inject.imds-emulator.internal\": failed to call webhook: no endpoints available for service \"imds-webhook\"",
    );
}

fn forbidden(why: &str) -> String {
    format!("Error creating: pods \"web-7d4b9c-x\" is forbidden: {why}")
}

fn refuses_lately(cluster: &mut Recording, said: &str) {
    let ago = humantime::format_rfc3339_seconds(now() - Duration::from_secs(5 * 60 + 30)).to_string();
    cluster.edit("get events", |list| {
        list["items"] = json!([{
            "involvedObject": {"kind": "ReplicaSet", "name": "web-7d4b9c", "namespace": "imds-test"},
            "message": said,
            "lastTimestamp": ago,
        }]);
    });
}
