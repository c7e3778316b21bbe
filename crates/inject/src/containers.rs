//! What is added to a Pod: two containers and a volume; where asked for, environment variables, a second volume and a sysctl.
//!
//! Every field that bears on security is set, so that no default of the Pod's own `securityContext` changes it.

use imds_contract::{Interception, Metadata, Seconds, Start, address, environment, pod};
use serde_json::{Value, json};

use crate::container::{
    Capabilities, Container, EnvVar, Exec, Handler, Lifecycle, Probe, Profile, SecurityContext, Text,
    VolumeMount,
};
use crate::pod::PodView;
use crate::session_name::Variable;
use crate::settings::{Settings, SidecarForm};
use crate::wishes::Wishes;

/// How many seconds before kubelet's SIGKILL a classic sidecar stops by itself.
const BEFORE_THE_KILL: u64 = 5;

/// A native sidecar is stopped after the user's containers have ended: nobody is left to serve.
const NATIVE_GRACE_PERIOD: u64 = 1;

/// kubelet writes the output of a startup probe that fails into the Pod's events, once so often, in seconds.
pub(crate) const STARTUP_PROBE: &str = "--wait=8";
const STARTUP_PROBE_TIMEOUT: u32 = 10;

/// Kubernetes' greatest: kubelet never kills an emulator that waits for credentials, which would only delay them.
const NEVER: u32 = i32::MAX.unsigned_abs();

/// The init container that puts the interception in place; none for `endpoint`, which intercepts nothing.
pub(crate) fn redirect(settings: &Settings, wishes: &Wishes, pod: PodView<'_>) -> Option<Container> {
    let mode = ["--mode", wishes.interception.as_str()].map(Text::from);
    let to_port = match wishes.interception {
        Interception::Redirect => vec!["--to-port".into(), address::EMULATOR_PORT.to_string().into()],
        Interception::Address => Vec::new(),
        Interception::Endpoint => return None,
    };
    let security_context = security_context(pod, pod::REDIRECT_UID, &["NET_ADMIN"]);
    Some(Container {
        args: mode.into_iter().chain(to_port).collect(),
        // By these the program knows the node's own network namespace, which it must not touch.
        env: vec![
            EnvVar::of_field(environment::POD_IPS, "status.podIPs"),
            EnvVar::of_field(environment::HOST_IP, "status.hostIP"),
        ],
        ..container(pod::REDIRECT_CONTAINER, pod::REDIRECT_COMMAND, security_context, settings, wishes)
    })
}

/// The sidecar of this Pod.
pub(crate) fn emulator(
    settings: &Settings,
    wishes: &Wishes,
    form: SidecarForm,
    pod: PodView<'_>,
    namespace: &str,
) -> Container {
    let (restart_policy, grace_period) = match form {
        SidecarForm::Native => (Some("Always"), NATIVE_GRACE_PERIOD),
        // All containers are stopped at once: the others still want credentials while they drain.
        SidecarForm::Classic => (None, pod.termination_grace_period().saturating_sub(BEFORE_THE_KILL).max(1)),
    };
    let (lifecycle, startup_probe) = gate(form, wishes.start);
    let session_name = wishes.session_name.render(|variable| match variable {
        Variable::Namespace => Some(namespace),
        Variable::Pod => pod.name(),
        Variable::ServiceAccount => Some(pod.service_account()),
    });
    let token = VolumeMount { name: pod::TOKEN_VOLUME, mount_path: pod::TOKEN_MOUNT_PATH, read_only: true };
    let authorization = wishes.container_endpoint().then(|| authorization_mount(false));
    let security_context = security_context(pod, pod::EMULATOR_UID, &[]);
    Container {
        restart_policy,
        lifecycle,
        env: emulator_env(settings, wishes, Seconds::at_most(grace_period), session_name),
        // No readiness probe: an STS that is down must not take the Pod out of its Services. No liveness probe, and none over
        // the network: strangers could have the emulator killed (docs/adr/0020). It watches over itself.
        startup_probe,
        volume_mounts: [token].into_iter().chain(authorization).collect(),
        ..container(pod::EMULATOR_CONTAINER, pod::EMULATOR_COMMAND, security_context, settings, wishes)
    }
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
pub(crate) fn authorization_mount(read_only: bool) -> VolumeMount {
    VolumeMount { name: pod::AUTHORIZATION_VOLUME, mount_path: pod::AUTHORIZATION_MOUNT_PATH, read_only }
}

/// Where IMDS is, for a user's container where nothing is intercepted. Some clients join the paths without a slash of their
/// own.
pub(crate) fn endpoint_variable() -> EnvVar {
    let url = format!("http://127.0.0.1:{}/", address::EMULATOR_PORT);
    EnvVar::new(environment::EC2_METADATA_SERVICE_ENDPOINT, url)
}

/// Where the container credentials endpoint is, and the file that opens it.
pub(crate) fn container_endpoint_variables() -> [EnvVar; 2] {
    let url = format!("http://127.0.0.1:{}{}", address::EMULATOR_PORT, pod::CONTAINER_CREDENTIALS_PATH);
    [
        EnvVar::new(environment::CONTAINER_CREDENTIALS_FULL_URI, url),
        EnvVar::new(environment::CONTAINER_AUTHORIZATION_TOKEN_FILE, authorization_file()),
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

/// What both containers have.
fn container(
    name: &'static str,
    command: &'static str,
    security_context: SecurityContext,
    settings: &Settings,
    wishes: &Wishes,
) -> Container {
    Container {
        name,
        image: settings.image.clone(),
        image_pull_policy: settings.image_pull_policy,
        command: [command],
        args: Vec::new(),
        restart_policy: None,
        lifecycle: None,
        env: Vec::new(),
        resources: wishes.resources.clone(),
        startup_probe: None,
        security_context,
        volume_mounts: Vec::new(),
        // What the program said last is in `kubectl describe pod`.
        termination_message_policy: "FallbackToLogsOnError",
    }
}

fn security_context(pod: PodView<'_>, uid: u32, capabilities: &'static [&'static str]) -> SecurityContext {
    const RUNTIME_DEFAULT: Profile = Profile { kind: "RuntimeDefault" };
    SecurityContext {
        privileged: false,
        allow_privilege_escalation: false,
        capabilities: Capabilities { drop: &["ALL"], add: capabilities },
        read_only_root_filesystem: true,
        run_as_non_root: true,
        run_as_user: uid,
        run_as_group: uid,
        seccomp_profile: RUNTIME_DEFAULT,
        // Servers before 1.30 do not know the field: it is there only where the Pod has it too.
        app_armor_profile: pod.is_confined_by_apparmor().then_some(RUNTIME_DEFAULT),
    }
}

fn emulator_env(
    settings: &Settings,
    wishes: &Wishes,
    grace_period: Seconds,
    session_name: String,
) -> Vec<EnvVar> {
    let token_file = format!("{}/{}", pod::TOKEN_MOUNT_PATH, pod::TOKEN_FILE_NAME);
    let mut env = vec![
        // A role's path may hold a reference's `$(`.
        EnvVar::new(environment::ROLE_ARN, literal(wishes.role.as_str())),
        EnvVar::new(environment::TOKEN_FILE, token_file),
    ];
    env.extend(wishes.region.as_ref().map(|region| EnvVar::new(environment::REGION, region.to_string())));
    // kubelet expands references to variables that stand before.
    let used = Variable::ALL.into_iter().filter(|variable| wishes.session_name.uses(*variable));
    env.extend(used.map(|variable| EnvVar::of_field(variable.environment(), variable.field_path())));
    env.push(EnvVar::new(environment::SESSION_NAME, session_name));
    env.push(EnvVar::new(environment::SESSION_DURATION, wishes.session_duration.to_string()));
    env.push(EnvVar::new(environment::HTTP_TOKENS, wishes.http_tokens.as_str()));
    if !wishes.role_chain.hops().is_empty() {
        env.push(EnvVar::new(environment::ASSUME_ROLE_ARNS, literal(&wishes.role_chain.to_string())));
    }
    if wishes.metadata == Metadata::Extended {
        env.extend(metadata_variables(settings));
    }
    if wishes.container_endpoint() {
        env.push(EnvVar::new(environment::AUTHORIZATION_FILE, authorization_file()));
    }
    if wishes.start == Start::WithCredentials {
        env.push(EnvVar::new(environment::START, wishes.start.as_str()));
    }
    env.push(EnvVar::new(environment::GRACE_PERIOD, grace_period.to_string()));
    if wishes.interception == Interception::Address {
        let (ipv4, ipv6, port) = (address::IMDS_IPV4, address::IMDS_IPV6, address::IMDS_PORT);
        env.push(EnvVar::new(environment::LISTEN, format!("{ipv4}:{port},[{ipv6}]:{port}")));
    }
    let by_operator = settings.emulator_env.iter();
    env.extend(by_operator.map(|(name, value)| EnvVar::new(name.to_owned(), literal(value))));
    env
}

/// What `metadata: extended` tells of the Pod. The operator's word on the zone counts more than the Pod's label, which only newer
/// clusters set; where there is none, kubelet hands on an empty text.
fn metadata_variables(settings: &Settings) -> impl Iterator<Item = EnvVar> {
    let zone = format!("metadata.labels['{}']", pod::ZONE_LABEL);
    let by_label = !settings.emulator_env.sets(environment::ZONE);
    let known = [
        EnvVar::new(environment::METADATA, Metadata::Extended.as_str()),
        EnvVar::of_field(environment::POD_UID, "metadata.uid"),
        EnvVar::of_field(environment::POD_IPS, "status.podIPs"),
    ];
    known.into_iter().chain(by_label.then(|| EnvVar::of_field(environment::ZONE, zone)))
}

/// A value that kubelet hands on as it is: `$$` stands for `$`, so that no `$(` is a reference.
/// Source: Kubernetes, `third_party/forked/golang/expansion`.
pub(crate) fn literal(value: &str) -> String {
    value.replace('$', "$$")
}

/// What keeps kubelet from starting the next container before the emulator has started (docs/adr/0021). The hook is faster by a
/// second. But kubelet does nothing else for the Pod while a hook runs, and keeps its output to itself: where the wait has no
/// end, a native sidecar has a probe.
fn gate(form: SidecarForm, start: Start) -> (Option<Lifecycle>, Option<Probe>) {
    match (form, start) {
        (SidecarForm::Native, Start::WithCredentials) => {
            let exec = Exec { command: [pod::EMULATOR_COMMAND, STARTUP_PROBE] };
            let timeout_seconds = STARTUP_PROBE_TIMEOUT;
            (None, Some(Probe { exec, period_seconds: 1, timeout_seconds, failure_threshold: NEVER }))
        }
        (SidecarForm::Native, Start::Always) | (SidecarForm::Classic, _) => {
            let exec = Exec { command: [pod::EMULATOR_COMMAND, "--wait"] };
            (Some(Lifecycle { post_start: Handler { exec } }), None)
        }
    }
}
