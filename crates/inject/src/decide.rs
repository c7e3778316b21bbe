//! The decision itself.

use std::fmt;
use std::path::Path;

use imds_contract::{
    Interception, RoleArn, RoleChain, address, annotation, environment, excerpt, is_object_name, pod,
};
use serde_json::{Value, json};

use crate::containers;
use crate::injected::{How, Injected};
use crate::integrity::{self, Examined};
use crate::patch::{self, Added, Misplaced, Misshapen, Operation, Patch, to_json};
use crate::pod::{
    ANNOTATIONS, CONTAINERS, INIT_CONTAINERS, PodView, SYSCTLS, UNPRIVILEGED_PORT_START, VOLUMES, is_named,
};
use crate::reason::{Reason, some};
use crate::server_version::ServerVersion;
use crate::settings::{Settings, SidecarForm};
use crate::warning::Warning;
use crate::wishes::Wishes;

/// Where `kubectl logs` and `exec` go when no container is named. Source: kubectl's documentation of the annotation.
const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

/// What the Pod's own document does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context<'a> {
    /// The namespace that the Pod is created in.
    pub namespace: &'a str,
    /// The API server's version, where it is known: see [`Sidecar::on`](crate::Sidecar::on).
    pub server: Option<ServerVersion>,
}

impl<'a> Context<'a> {
    /// For a server of unknown version.
    pub fn new(namespace: &'a str) -> Self {
        Self { namespace, server: None }
    }
}

/// What becomes of a Pod.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// The emulator is added.
    Inject(Injection),
    /// The Pod is left as it is.
    Skip(Reason),
    /// The Pod is not admitted.
    Refuse(Reason),
}

/// What is added to a Pod, and what that means.
#[derive(Debug, Clone, PartialEq)]
pub struct Injection {
    /// Whether the emulator is injected, or an earlier injection is completed.
    pub extent: Extent,
    /// The patch. Never empty.
    pub operations: Vec<Operation>,
    /// The role that the Pod's token is exchanged for: its trust policy has to allow `subject`.
    pub role: RoleArn,
    /// Further roles; the Pod gets the last one's credentials. None in most Pods.
    pub role_chain: RoleChain,
    /// How requests are intercepted.
    pub interception: Interception,
    /// How the emulator is put into the Pod.
    pub sidecar: SidecarForm,
    /// The subject of the Pod's token, which the first role's trust policy has to allow:
    /// `system:serviceaccount:NAMESPACE:NAME`.
    pub subject: String,
    /// What follows from this injection and its owner may not expect.
    pub warnings: Vec<Warning>,
}

/// How much of an injection is added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Extent {
    /// All of it.
    Whole,
    /// What an injected Pod lacks.
    Completion {
        /// What was injected before and is lost; empty where only containers that came later get what the others have.
        restored: Vec<String>,
    },
}

impl Injection {
    /// The role whose credentials the Pod gets.
    pub fn served_role(&self) -> &RoleArn {
        self.role_chain.last().unwrap_or(&self.role)
    }

    /// The Pod with the patch applied. The error means that the injection was decided for another Pod.
    pub fn apply_to(&self, pod: &Value) -> Result<Value, Misplaced> {
        let mut pod = pod.clone();
        patch::apply(&mut pod, &self.operations)?;
        Ok(pod)
    }
}

impl From<Reason> for Decision {
    fn from(reason: Reason) -> Self {
        if reason.is_refusal() { Self::Refuse(reason) } else { Self::Skip(reason) }
    }
}

impl fmt::Display for Injection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { extent, role, role_chain, interception, sidecar, .. } = self;
        if let Extent::Completion { restored } = extent
            && !restored.is_empty()
        {
            write!(f, "{}; ", some(restored, ", "))?;
        }
        write!(f, "role {role}")?;
        for hop in role_chain.hops() {
            write!(f, ", then {}", hop.role_arn)?;
        }
        write!(f, ", interception {interception}, {sidecar} sidecar")
    }
}

impl fmt::Display for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Whole => "injected",
            Self::Completion { .. } => "completed",
        })
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inject(injection) => write!(f, "{}: {injection}", injection.extent),
            Self::Skip(reason) => write!(f, "left as it is: {reason}"),
            Self::Refuse(reason) => write!(f, "refused: {reason}"),
        }
    }
}

impl Decision {
    /// The decision as it reads in a document that has the Pod at this JSON pointer.
    pub(crate) fn under(mut self, pod: &str) -> Self {
        let prefix = |path: &mut String| path.insert_str(0, pod);
        match &mut self {
            Self::Inject(injection) => {
                injection.operations.iter_mut().for_each(|operation| prefix(&mut operation.path));
            }
            Self::Skip(Reason::Malformed { path }) | Self::Refuse(Reason::Malformed { path }) => prefix(path),
            Self::Skip(_) | Self::Refuse(_) => {}
        }
        self
    }
}

/// Decides what becomes of the Pod, given as raw JSON.
pub fn decide(settings: &Settings, pod: &Value, context: &Context<'_>) -> Decision {
    match injection(settings, pod, context) {
        Ok(injection) => Decision::Inject(injection),
        Err(reason) => reason.into(),
    }
}

impl From<Misshapen> for Reason {
    fn from(Misshapen { path }: Misshapen) -> Self {
        Self::Malformed { path }
    }
}

fn injection(settings: &Settings, raw: &Value, context: &Context<'_>) -> Result<Injection, Reason> {
    let pod = PodView::new(raw);
    check_label(pod)?;
    check_shape(pod)?;
    if pod.is_mirror() {
        return Err(Reason::MirrorPod);
    }
    // Before the names: a Pod may have got these after it was injected.
    if pod.uses_host_network() {
        return Err(Reason::HostNetwork);
    }
    if pod.is_windows() {
        return Err(Reason::Windows);
    }
    if let Some(injected) = Injected::of(pod)? {
        return completion(&injected, settings, pod, context);
    }
    let wishes = Wishes::of(pod, settings)?;
    let form = settings.sidecar.on(context.server);
    check_server(form, context.server)?;
    let operations = operations(settings, &wishes, form, pod, context.namespace)?;
    let Wishes { role, role_chain, interception, .. } = wishes;
    let warnings = consequences(form, interception, pod);
    let subject = subject(pod, context);
    let (extent, sidecar) = (Extent::Whole, form);
    Ok(Injection { extent, operations, role, role_chain, interception, sidecar, subject, warnings })
}

/// Another webhook may have added a container after us, which is told where IMDS is, as the others were; or it may have dropped
/// what it does not know.
fn completion(
    injected: &Injected<'_>,
    settings: &Settings,
    pod: PodView<'_>,
    context: &Context<'_>,
) -> Result<Injection, Reason> {
    injected.check_annotations()?;
    let Examined { how, role, container_endpoint, mut operations, mut restored, warnings } =
        integrity::examine(injected, pod, settings, context.namespace)?;
    let How { interception, sidecar } = how;
    let mut patch = Patch::new(pod.raw);
    match interception {
        Interception::Endpoint => add_endpoint(&mut patch, pod, container_endpoint)?,
        Interception::Address => {
            allow_imds_port(&mut patch, pod)?;
            if !patch.is_empty() {
                restored.push(format!("the sysctl {UNPRIVILEGED_PORT_START}"));
            }
        }
        Interception::Redirect => {}
    }
    operations.extend(patch.into_operations());
    if operations.is_empty() {
        return Err(Reason::AlreadyInjected);
    }
    let (extent, role_chain) = (Extent::Completion { restored }, injected.role_chain());
    let subject = subject(pod, context);
    Ok(Injection { extent, operations, role, role_chain, interception, sidecar, subject, warnings })
}

/// What an injected Pod that needs no completion has beside what the injection writes, for its owner to look at.
pub fn injection_warnings(settings: &Settings, pod: &Value, namespace: &str) -> Vec<Warning> {
    let pod = PodView::new(pod);
    let Ok(Some(injected)) = Injected::of(pod) else { return Vec::new() };
    integrity::examine(&injected, pod, settings, namespace)
        .map_or_else(|_| Vec::new(), |found| found.warnings)
}

fn subject(pod: PodView<'_>, context: &Context<'_>) -> String {
    format!("system:serviceaccount:{}:{}", context.namespace, pod.service_account())
}

/// Who has more of these has understood.
const MOST_PORT_WARNINGS: usize = 8;

fn consequences(form: SidecarForm, interception: Interception, pod: PodView<'_>) -> Vec<Warning> {
    let never_completes = pod
        .ends()
        .filter(|_| form == SidecarForm::Classic)
        .map(|policy| Warning::NeverCompletes { restart_policy: policy.to_owned() });
    let ours = [containers::imds_port(interception), address::ADMIN_PORT];
    let taken = pod.container_ports().filter(|(_, port)| ours.contains(port)).take(MOST_PORT_WARNINGS);
    let taken = taken
        .map(|(container, port)| Warning::PortTaken { container: excerpt(container).into_owned(), port });
    never_completes.into_iter().chain(taken).collect()
}

/// An older server drops `restartPolicy` of an init container, and refuses what is left: only a sidecar may have probes.
fn check_server(form: SidecarForm, server: Option<ServerVersion>) -> Result<(), Reason> {
    match server {
        Some(server) if form == SidecarForm::Native && server < ServerVersion::FIRST_WITH_NATIVE_SIDECARS => {
            Err(Reason::NativeUnsupported { server })
        }
        _ => Ok(()),
    }
}

/// Far more than a node runs in one Pod.
const MOST_CONTAINERS: usize = 250;

/// A Pod has containers, and each item of its lists is an object.
fn check_shape(pod: PodView<'_>) -> Result<(), Reason> {
    if pod.containers.is_empty() {
        return Err(Reason::Malformed { path: CONTAINERS.to_owned() });
    }
    // What is added grows with the containers; before validation they can be as many as fit into a request.
    if pod.containers.len() + pod.items(INIT_CONTAINERS).len() > MOST_CONTAINERS {
        return Err(Reason::TooLarge);
    }
    for list in [CONTAINERS, INIT_CONTAINERS, VOLUMES] {
        if let Some(index) = pod.items(list).iter().position(|item| !item.is_object()) {
            return Err(Reason::Malformed { path: format!("{list}/{index}") });
        }
    }
    Ok(())
}

fn check_label(pod: PodView<'_>) -> Result<(), Reason> {
    match pod.enabled_label() {
        None | Some(Value::Null) => Err(Reason::NotLabelled),
        Some(Value::String(value)) if value == annotation::ENABLED_VALUE => Ok(()),
        Some(Value::String(value)) => Err(Reason::Disabled { value: value.clone() }),
        Some(other) => Err(Reason::Disabled { value: other.to_string() }),
    }
}

fn operations(
    settings: &Settings,
    wishes: &Wishes,
    form: SidecarForm,
    pod: PodView<'_>,
    namespace: &str,
) -> Result<Vec<Operation>, Reason> {
    let mut patch = Patch::new(pod.raw);
    // First, because it counts the user's containers as they stand.
    if wishes.interception == Interception::Endpoint {
        add_endpoint(&mut patch, pod, wishes.container_endpoint())?;
    }
    patch.append(VOLUMES, containers::token_volume(settings))?;
    if wishes.container_endpoint() {
        patch.append(VOLUMES, containers::authorization_volume())?;
    }
    let redirect = containers::redirect(settings, wishes, pod);
    let emulator = containers::emulator(settings, wishes, form, pod, namespace);
    match form {
        SidecarForm::Native => {
            let containers = redirect.into_iter().chain([emulator]);
            patch.prepend(INIT_CONTAINERS, containers.map(Added::from).collect())?;
        }
        SidecarForm::Classic => {
            if let Some(redirect) = redirect {
                patch.prepend(INIT_CONTAINERS, vec![redirect.into()])?;
            }
            patch.prepend(CONTAINERS, vec![emulator.into()])?;
            // `kubectl logs` and `exec` still mean the user's container.
            let first = pod.containers.first().and_then(|container| container.get("name"));
            if let Some(first) = first.filter(|name| name.as_str().is_some_and(is_object_name)) {
                patch.set_absent(ANNOTATIONS, DEFAULT_CONTAINER, first.clone())?;
            }
        }
    }
    if wishes.interception == Interception::Address {
        allow_imds_port(&mut patch, pod)?;
    }
    for secret in &settings.image_pull_secrets {
        let secrets = "/spec/imagePullSecrets";
        if !pod.items(secrets).iter().any(|item| is_named(item, secret)) {
            patch.append(secrets, json!({"name": secret}))?;
        }
    }
    let how = How { interception: wishes.interception, sidecar: form };
    patch.set_absent(ANNOTATIONS, annotation::STATUS, Value::from(how.to_string()))?;
    Ok(patch.into_operations())
}

/// Tells every container of the user where IMDS is, and the container credentials endpoint where there is one; unless it is
/// told of another already.
fn add_endpoint(patch: &mut Patch<'_>, pod: PodView<'_>, container_endpoint: bool) -> Result<(), Misshapen> {
    for array in [INIT_CONTAINERS, CONTAINERS] {
        let users = |(_, container): &(usize, &Value)| !is_named(container, pod::EMULATOR_CONTAINER);
        for (index, container) in pod.items(array).iter().enumerate().filter(users) {
            let (env, mounts) = (format!("{array}/{index}/env"), format!("{array}/{index}/volumeMounts"));
            let endpoint = to_json(&containers::endpoint_variable());
            let own = variable(container, environment::EC2_METADATA_SERVICE_ENDPOINT);
            if own.is_none() {
                patch.append(&env, endpoint.clone())?;
            }
            if container_endpoint
                && own.is_none_or(|own| *own == endpoint)
                && !CONTAINER_VARIABLES.iter().any(|name| variable(container, name).is_some())
                && !has_volume_over_authorization(pod, container)
            {
                for variable in containers::container_endpoint_variables() {
                    patch.append(&env, to_json(&variable))?;
                }
                patch.append(&mounts, to_json(&containers::authorization_mount(true)))?;
            }
        }
    }
    Ok(())
}

/// A container that has one of these gets container credentials from elsewhere, or from us already.
const CONTAINER_VARIABLES: [&str; 4] = [
    environment::CONTAINER_CREDENTIALS_FULL_URI,
    environment::CONTAINER_AUTHORIZATION_TOKEN_FILE,
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
];

/// Whether a volume of the container's own lies where the file that opens that endpoint would be, or over it: the runtime can make no
/// folder in a read-only one, and the container would not start. In most images `/var/run` leads to `/run`.
fn has_volume_over_authorization(pod: PodView<'_>, container: &Value) -> bool {
    let folder = Path::new(pod::AUTHORIZATION_MOUNT_PATH);
    let linked =
        folder.strip_prefix("/var").map_or_else(|_| folder.to_owned(), |rest| Path::new("/").join(rest));
    let is_over = |mount: &Value| {
        let path = mount.get("mountPath").and_then(Value::as_str).map(|path| Path::new("/").join(path));
        path.is_some_and(|path| {
            folder == path
                || !takes_mounts(pod, mount) && (folder.starts_with(&path) || linked.starts_with(&path))
        })
    };
    container.get("volumeMounts").and_then(Value::as_array).into_iter().flatten().any(is_over)
}

/// Whether in this mount's volume the folders are made that other volumes are mounted at: in some by kubelet (source: Kubernetes, whoever
/// calls `MakeNestedMountpoints`), in an `emptyDir` that can be written by the runtime.
fn takes_mounts(pod: PodView<'_>, mount: &Value) -> bool {
    const BY_KUBELET: [&str; 4] = ["configMap", "downwardAPI", "projected", "secret"];
    let is_read_only = mount.get("readOnly").and_then(Value::as_bool).unwrap_or_default();
    let volume = mount.get("name").and_then(Value::as_str).and_then(|name| pod.volume(name));
    volume.is_some_and(|volume| {
        let is = |kind: &str| volume.get(kind).is_some();
        BY_KUBELET.into_iter().any(is) || is("emptyDir") && !is_read_only
    })
}

fn variable<'a>(container: &'a Value, name: &str) -> Option<&'a Value> {
    container.get("env")?.as_array()?.iter().find(|variable| is_named(variable, name))
}

/// Lets the emulator, which has no capability, listen on port 80. 0 is what containerd 2 sets for every Pod: a higher
/// value could take a port from the user's containers.
fn allow_imds_port(patch: &mut Patch<'_>, pod: PodView<'_>) -> Result<(), Reason> {
    match pod.sysctl(UNPRIVILEGED_PORT_START) {
        None => Ok(patch.append(SYSCTLS, json!({"name": UNPRIVILEGED_PORT_START, "value": "0"}))?),
        Some(value) if value.parse().is_ok_and(|start: u16| start <= address::IMDS_PORT) => Ok(()),
        Some(value) => Err(Reason::PrivilegedPort { value: value.to_owned() }),
    }
}
