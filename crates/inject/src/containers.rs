//! What is added to a Pod: two containers and a volume; where asked for, environment variables, a second volume and a sysctl.
//!
//! Every field that bears on security is set, so that no default of the Pod's own `securityContext` changes it.

use std::collections::BTreeMap;

use imds_contract::{Interception, Metadata, Seconds, address, environment, pod};
use serde_json::{Map, Value, json};

use crate::pod::PodView;
use crate::quantity::Quantity;
use crate::resources::Resources;
use crate::session_name::Variable;
use crate::settings::{Settings, SidecarForm};
use crate::wishes::Wishes;

/// How many seconds before kubelet's SIGKILL a classic sidecar stops by itself.
const BEFORE_THE_KILL: u64 = 5;

/// A native sidecar is stopped after the user's containers have ended: nobody is left to serve.
const NATIVE_GRACE_PERIOD: u64 = 1;

/// How long the emulator's own start timeout is by default, in seconds (its `--start-timeout`).
const START_TIMEOUT: u32 = 30;

/// kubelet kills a sidecar that has not started in time; the emulator, whose `/startupz` says yes after its own timeout,
/// must always be faster. In seconds.
const START_SLACK: u32 = 30;

/// The init container that puts the interception in place; none for `endpoint`, which intercepts nothing.
pub(crate) fn redirect(settings: &Settings, wishes: &Wishes, pod: PodView<'_>) -> Option<Value> {
    let args = match wishes.interception {
        Interception::Redirect => {
            json!(["--mode", wishes.interception.as_str(), "--to-port", address::EMULATOR_PORT.to_string()])
        }
        Interception::Address => json!(["--mode", wishes.interception.as_str()]),
        Interception::Endpoint => return None,
    };
    let mut container = container(pod::REDIRECT_CONTAINER, pod::REDIRECT_COMMAND, settings, wishes);
    container.insert("args".to_owned(), args);
    // By these the program knows the node's own network namespace, which it must not touch.
    let env = [
        field_variable(environment::POD_IPS, "status.podIPs"),
        field_variable(environment::HOST_IP, "status.hostIP"),
    ];
    container.insert("env".to_owned(), json!(env));
    let security_context = security_context(pod, pod::REDIRECT_UID, &["NET_ADMIN"]);
    container.insert("securityContext".to_owned(), security_context);
    Some(container.into())
}

/// The sidecar of this Pod.
pub(crate) fn emulator(
    settings: &Settings,
    wishes: &Wishes,
    form: SidecarForm,
    pod: PodView<'_>,
    namespace: &str,
) -> Value {
    let mut container = container(pod::EMULATOR_CONTAINER, pod::EMULATOR_COMMAND, settings, wishes);
    let grace_period = match form {
        SidecarForm::Native => {
            container.insert("restartPolicy".to_owned(), json!("Always"));
            Seconds::at_most(NATIVE_GRACE_PERIOD)
        }
        SidecarForm::Classic => {
            // kubelet starts the next container once this has returned.
            let gate = json!({"exec": {"command": [pod::EMULATOR_COMMAND, "--wait"]}});
            container.insert("lifecycle".to_owned(), json!({"postStart": gate}));
            // All containers are stopped at once: the others still want credentials while they drain.
            Seconds::at_most(pod.termination_grace_period().saturating_sub(BEFORE_THE_KILL).max(1))
        }
    };
    let session_name = wishes.session_name.render(|variable| match variable {
        Variable::Namespace => Some(namespace),
        Variable::Pod => pod.name(),
        Variable::ServiceAccount => Some(pod.service_account()),
    });
    container.insert("env".to_owned(), emulator_env(settings, wishes, grace_period, &session_name).into());
    // No readiness probe: an STS that is down must not take the Pod out of its Services.
    container.insert("startupProbe".to_owned(), probe("/startupz", 1, start_timeout(settings) + START_SLACK));
    container.insert("livenessProbe".to_owned(), probe("/livez", 10, 3));
    container.insert("securityContext".to_owned(), security_context(pod, pod::EMULATOR_UID, &[]));
    let token = json!({"name": pod::TOKEN_VOLUME, "mountPath": pod::TOKEN_MOUNT_PATH, "readOnly": true});
    let authorization = wishes.container_endpoint().then(|| authorization_mount(false));
    let mounts: Vec<_> = [token].into_iter().chain(authorization).collect();
    container.insert("volumeMounts".to_owned(), mounts.into());
    container.into()
}

/// The volume with the service-account token that STS is shown.
pub(crate) fn token_volume(settings: &Settings) -> Value {
    json!({
        "name": pod::TOKEN_VOLUME,
        "projected": {"sources": [{"serviceAccountToken": {
            "audience": settings.token_audience,
            "expirationSeconds": pod::TOKEN_EXPIRATION_SECONDS,
            "path": pod::TOKEN_FILE_NAME,
        }}]},
    })
}

/// The volume with the value of `Authorization` for the container credentials endpoint: never on a disk.
pub(crate) fn authorization_volume() -> Value {
    json!({"name": pod::AUTHORIZATION_VOLUME, "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}})
}

/// That volume in a container: the emulator writes it, the others read.
pub(crate) fn authorization_mount(read_only: bool) -> Value {
    json!({"name": pod::AUTHORIZATION_VOLUME, "mountPath": pod::AUTHORIZATION_MOUNT_PATH, "readOnly": read_only})
}

/// Where IMDS is, for a user's container where nothing is intercepted. Some clients join the paths without a slash of their
/// own.
pub(crate) fn endpoint_variable() -> Value {
    let url = format!("http://127.0.0.1:{}/", address::EMULATOR_PORT);
    variable(environment::EC2_METADATA_SERVICE_ENDPOINT, &url)
}

/// Where the container credentials endpoint is, and the file that opens it.
pub(crate) fn container_endpoint_variables() -> [Value; 2] {
    let url = format!("http://127.0.0.1:{}{}", address::EMULATOR_PORT, pod::CONTAINER_CREDENTIALS_PATH);
    [
        variable(environment::CONTAINER_CREDENTIALS_FULL_URI, &url),
        variable(environment::CONTAINER_AUTHORIZATION_TOKEN_FILE, &authorization_file()),
    ]
}

fn authorization_file() -> String {
    format!("{}/{}", pod::AUTHORIZATION_MOUNT_PATH, pod::AUTHORIZATION_FILE_NAME)
}

/// The TCP port of the Pod that the emulator serves IMDS on.
pub(crate) fn imds_port(interception: Interception) -> u16 {
    match interception {
        Interception::Address => address::IMDS_PORT,
        Interception::Redirect | Interception::Endpoint => address::EMULATOR_PORT,
    }
}

fn container(name: &str, command: &str, settings: &Settings, wishes: &Wishes) -> Map<String, Value> {
    let mut container = Map::new();
    container.insert("name".to_owned(), json!(name));
    container.insert("image".to_owned(), json!(settings.image));
    if let Some(policy) = settings.image_pull_policy {
        container.insert("imagePullPolicy".to_owned(), json!(policy));
    }
    container.insert("command".to_owned(), json!([command]));
    let Resources { requests, limits } = &wishes.resources;
    let resources = json!({"requests": resource_list(requests), "limits": resource_list(limits)});
    container.insert("resources".to_owned(), resources);
    // What the program said last is in `kubectl describe pod`.
    container.insert("terminationMessagePolicy".to_owned(), json!("FallbackToLogsOnError"));
    container
}

fn resource_list(quantities: &BTreeMap<String, Quantity>) -> Map<String, Value> {
    quantities.iter().map(|(name, quantity)| (name.clone(), quantity.as_str().into())).collect()
}

fn security_context(pod: PodView<'_>, uid: u32, capabilities: &[&str]) -> Value {
    let mut of_capabilities = json!({"drop": ["ALL"]});
    if let (false, Some(fields)) = (capabilities.is_empty(), of_capabilities.as_object_mut()) {
        fields.insert("add".to_owned(), json!(capabilities));
    }
    let mut context = json!({
        "privileged": false,
        "allowPrivilegeEscalation": false,
        "capabilities": of_capabilities,
        "readOnlyRootFilesystem": true,
        "runAsNonRoot": true,
        "runAsUser": uid,
        "runAsGroup": uid,
        "seccompProfile": {"type": "RuntimeDefault"},
    });
    // Servers before 1.30 do not know the field: it is there only where the Pod has it too.
    if let (true, Some(fields)) = (pod.is_confined_by_apparmor(), context.as_object_mut()) {
        fields.insert("appArmorProfile".to_owned(), json!({"type": "RuntimeDefault"}));
    }
    context
}

fn emulator_env(
    settings: &Settings,
    wishes: &Wishes,
    grace_period: Seconds,
    session_name: &str,
) -> Vec<Value> {
    let token_file = format!("{}/{}", pod::TOKEN_MOUNT_PATH, pod::TOKEN_FILE_NAME);
    let mut env = vec![
        // A role's path may hold a reference's `$(`.
        variable(environment::ROLE_ARN, &literal(wishes.role.as_str())),
        variable(environment::TOKEN_FILE, &token_file),
    ];
    env.extend(wishes.region.as_ref().map(|region| variable(environment::REGION, region.as_str())));
    // kubelet expands references to variables that stand before.
    let used = Variable::ALL.into_iter().filter(|variable| wishes.session_name.uses(*variable));
    env.extend(used.map(|variable| field_variable(variable.environment(), variable.field_path())));
    env.push(variable(environment::SESSION_NAME, session_name));
    env.push(variable(environment::SESSION_DURATION, &wishes.session_duration.to_string()));
    env.push(variable(environment::HTTP_TOKENS, wishes.http_tokens.as_str()));
    if !wishes.role_chain.hops().is_empty() {
        env.push(variable(environment::ASSUME_ROLE_ARNS, &literal(&wishes.role_chain.to_string())));
    }
    if wishes.metadata == Metadata::Extended {
        env.extend(metadata_variables(settings));
    }
    if wishes.container_endpoint() {
        env.push(variable(environment::AUTHORIZATION_FILE, &authorization_file()));
    }
    env.push(variable(environment::GRACE_PERIOD, &grace_period.to_string()));
    if wishes.interception == Interception::Address {
        let (ipv4, ipv6, port) = (address::IMDS_IPV4, address::IMDS_IPV6, address::IMDS_PORT);
        env.push(variable(environment::LISTEN, &format!("{ipv4}:{port},[{ipv6}]:{port}")));
    }
    env.extend(settings.emulator_env.iter().map(|(name, value)| variable(name, &literal(value))));
    env
}

/// What `metadata: extended` tells of the Pod. The operator's word on the zone counts more than the Pod's label, which only newer
/// clusters set; where there is none, kubelet hands on an empty text.
fn metadata_variables(settings: &Settings) -> impl Iterator<Item = Value> {
    let zone = format!("metadata.labels['{}']", pod::ZONE_LABEL);
    let by_label = !settings.emulator_env.sets(environment::ZONE);
    let zone = by_label.then(|| field_variable(environment::ZONE, &zone));
    let known = [
        variable(environment::METADATA, Metadata::Extended.as_str()),
        field_variable(environment::POD_UID, "metadata.uid"),
        field_variable(environment::POD_IPS, "status.podIPs"),
    ];
    known.into_iter().chain(zone)
}

fn start_timeout(settings: &Settings) -> u32 {
    let set = settings.emulator_env.iter().find(|(name, _)| *name == environment::START_TIMEOUT);
    set.and_then(|(_, value)| value.parse().ok()).map_or(START_TIMEOUT, Seconds::as_secs)
}

/// A value that kubelet hands on as it is: `$$` stands for `$`, so that no `$(` is a reference.
/// Source: Kubernetes, `third_party/forked/golang/expansion`.
pub(crate) fn literal(value: &str) -> String {
    value.replace('$', "$$")
}

fn variable(name: &str, value: &str) -> Value {
    json!({"name": name, "value": value})
}

fn field_variable(name: &str, field_path: &str) -> Value {
    json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": field_path}}})
}

fn probe(path: &str, period_seconds: u32, failure_threshold: u32) -> Value {
    json!({
        "httpGet": {"path": path, "port": address::ADMIN_PORT},
        "periodSeconds": period_seconds,
        "timeoutSeconds": 2,
        "failureThreshold": failure_threshold,
    })
}
