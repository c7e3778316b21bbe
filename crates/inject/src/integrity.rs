//! Whether what bears our names in an injected Pod is still what the injection writes.
//!
//! Names and the status annotation prove nothing: another webhook with an old client library drops fields that it does not
//! know, and whoever creates the Pod may write any container under our name. So the containers are rendered again, from what
//! the Pod says of its injection, and compared field by field:
//!
//! - A field that is missing is added again.
//! - A field that decides what runs, with which rights, and who can read the token must be as a release of this project writes
//!   it. Else the Pod is refused.
//! - Another image, and environment variables, mounts and other fields that were added, are legitimate (a registry mirror, an
//!   older release, a mesh). They are reported as warnings.
//!
//! Amounts of resources are not compared: autoscalers and `LimitRange`s change them. Defaults that the API server fills in are
//! not differences.

use imds_contract::{
    HttpTokens, Interception, RoleArn, Start, address, annotation, environment, excerpt, pod,
};
use serde_json::{Value, json};

use crate::containers;
use crate::injected::{How, Injected};
use crate::patch::{Misshapen, Operation, Patch, to_json};
use crate::pod::{CONTAINERS, INIT_CONTAINERS, PodView, VOLUMES, is_named};
use crate::reason::Reason;
use crate::session_name::Variable;
use crate::settings::{Settings, SidecarForm};
use crate::warning::Warning;
use crate::wishes::Wishes;

/// The API server's admission plugin `ServiceAccount` mounts the Pod's own token there, in every container.
/// Source: Kubernetes, `plugin/pkg/admission/serviceaccount`, `DefaultAPITokenMountPath`.
const SERVICE_ACCOUNT_MOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Fields whose value is the operator's, the API server's or an autoscaler's choice.
const FREE_FIELDS: [&str; 7] = [
    "name",
    "image",
    "imagePullPolicy",
    "resources",
    "resizePolicy",
    "terminationMessagePath",
    "terminationMessagePolicy",
];

/// Fields that have a check of their own below.
const CHECKED_FIELDS: [&str; 9] = [
    "command",
    "args",
    "env",
    "lifecycle",
    "livenessProbe",
    "restartPolicy",
    "securityContext",
    "startupProbe",
    "volumeMounts",
];

/// Fields that the injection never writes, and that change what runs or with which rights.
const FORBIDDEN_FIELDS: [&str; 2] = ["restartPolicyRules", "volumeDevices"];

/// The kinds of a probe. Source: k8s.io/api, `core/v1`, `ProbeHandler`.
const PROBE_HANDLERS: [&str; 4] = ["exec", "grpc", "httpGet", "tcpSocket"];

/// A startup probe that gives up sooner than the emulator has kubelet restart it for ever. In seconds, at a period of one.
const LEAST_FAILURES: u64 = 30;

/// Variables that the injection writes; their values are the Pod's options, or are compared below.
const OPTIONS: [&str; 9] = [
    environment::ROLE_ARN,
    environment::REGION,
    environment::SESSION_NAME,
    environment::SESSION_DURATION,
    environment::HTTP_TOKENS,
    environment::ASSUME_ROLE_ARNS,
    environment::METADATA,
    environment::GRACE_PERIOD,
    environment::START,
];

/// What the examination of an injected Pod found; nothing of it is a reason to refuse the Pod.
pub(crate) struct Examined {
    pub(crate) how: How,
    pub(crate) role: RoleArn,
    /// Whether the Pod has the container credentials endpoint.
    pub(crate) container_endpoint: bool,
    /// What adds again what was lost.
    pub(crate) operations: Vec<Operation>,
    /// What was lost, in words.
    pub(crate) restored: Vec<String>,
    pub(crate) warnings: Vec<Warning>,
}

/// Compares what bears our names with what the injection writes.
pub(crate) fn examine(
    injected: &Injected<'_>,
    pod: PodView<'_>,
    settings: &Settings,
    namespace: &str,
) -> Result<Examined, Reason> {
    let mut examiner = Examiner {
        settings,
        patch: Patch::new(pod.raw),
        restored: Vec::new(),
        changed: Vec::new(),
        warnings: Vec::new(),
    };
    let how = injected.how();
    let role = injected.role();
    let container_endpoint = how.is_some_and(|how| has_container_endpoint(pod, how));
    if let (Some(how), Some(role)) = (how, &role) {
        examiner.pod(injected, pod, how, role, container_endpoint, namespace)?;
    }
    if role.is_none() {
        let what = format!("{} of {} is not there", environment::ROLE_ARN, pod::EMULATOR_CONTAINER);
        examiner.changed.push(what);
    }
    if how.is_none() {
        examiner.changed.push(format!("the annotation {} does not fit the containers", annotation::STATUS));
    }
    let Examiner { patch, restored, changed, warnings, .. } = examiner;
    match (how, role) {
        (Some(how), Some(role)) if changed.is_empty() => {
            let operations = patch.into_operations();
            Ok(Examined { how, role, container_endpoint, operations, restored, warnings })
        }
        _ => Err(Reason::InjectionChanged { what: changed }),
    }
}

struct Examiner<'a> {
    settings: &'a Settings,
    patch: Patch<'a>,
    restored: Vec<String>,
    changed: Vec<String>,
    warnings: Vec<Warning>,
}

/// A container of ours: where it is, and as what.
struct Place<'a> {
    name: &'static str,
    list: &'static str,
    path: String,
    actual: &'a Value,
}

impl<'a> Place<'a> {
    fn of(pod: PodView<'a>, name: &'static str) -> Option<Self> {
        [INIT_CONTAINERS, CONTAINERS].into_iter().find_map(|list| {
            let index = pod.items(list).iter().position(|item| is_named(item, name))?;
            let actual = pod.items(list).get(index)?;
            Some(Self { name, list, path: format!("{list}/{index}"), actual })
        })
    }

    fn get(&self, key: &str) -> Option<&'a Value> {
        present(self.actual, key)
    }

    fn items(&self, key: &str) -> &'a [Value] {
        self.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// The last of a name counts, as for kubelet.
    fn variable(&self, name: &str) -> Option<&'a Value> {
        self.items("env").iter().rev().find(|variable| is_named(variable, name))
    }
}

/// A field that says something: `null`, `false` and what is empty are as good as absent.
fn present<'a>(object: &'a Value, key: &str) -> Option<&'a Value> {
    object.get(key).filter(|value| match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        Value::Bool(true) | Value::Number(_) => true,
    })
}

/// The keys of an object that say something.
fn keys(object: &Value) -> impl Iterator<Item = &str> {
    let fields = object.as_object().into_iter().flatten();
    fields.map(|(key, _)| key.as_str()).filter(|key| present(object, key).is_some())
}

impl Examiner<'_> {
    fn pod(
        &mut self,
        injected: &Injected<'_>,
        pod: PodView<'_>,
        how: How,
        role: &RoleArn,
        authorized: bool,
        namespace: &str,
    ) -> Result<(), Reason> {
        let emulator = Place::of(pod, pod::EMULATOR_CONTAINER);
        let redirect = Place::of(pod, pod::REDIRECT_CONTAINER);
        let http_tokens = if authorized { HttpTokens::Optional } else { HttpTokens::Required };
        // A lost startup probe is added again with its own patience.
        let start = injected
            .variable(environment::START)
            .and_then(|start| start.parse().ok())
            .unwrap_or(self.settings.start);
        let options = json!({
            annotation::ROLE_ARN: role.as_str(),
            annotation::INTERCEPTION: how.interception.as_str(),
            annotation::HTTP_TOKENS: http_tokens.as_str(),
            annotation::START: Start::as_str(start),
        });
        let options = json!({"metadata": {"annotations": options}});
        let wishes = Wishes::of(PodView::new(&options), self.settings)?;
        let expected = to_json(&containers::emulator(self.settings, &wishes, how.sidecar, pod, namespace));
        if let Some(place) = &emulator {
            let list = match how.sidecar {
                SidecarForm::Native => INIT_CONTAINERS,
                SidecarForm::Classic => CONTAINERS,
            };
            self.container(place, list, &expected)?;
            self.probes(place, &expected)?;
            self.emulator_env(place, how, authorized, injected);
        }
        match (redirect, containers::redirect(self.settings, &wishes, pod)) {
            (Some(place), Some(expected)) => {
                self.container(&place, INIT_CONTAINERS, &to_json(&expected))?;
                for probe in ["startupProbe", "livenessProbe"] {
                    self.absent(&place, probe);
                }
                self.additional_env(&place, &[environment::POD_IPS, environment::HOST_IP]);
            }
            (Some(place), None) => {
                self.changed.push(format!(
                    "the container {}, which interception {} does not have",
                    place.name, how.interception
                ));
            }
            // A Pod without the container is not taken for an injected one.
            (None, _) => {}
        }
        self.token_volume(pod)?;
        if authorized {
            self.authorization_volume(pod)?;
        }
        Ok(())
    }

    fn container(&mut self, place: &Place<'_>, list: &str, expected: &Value) -> Result<(), Misshapen> {
        let Place { name, path, actual, .. } = place;
        if place.list != list {
            self.changed.push(format!("{name} is among {}, not among {}", field(place.list), field(list)));
        }
        self.image(place, expected);
        for key in ["command", "args", "restartPolicy"] {
            match expected.get(key) {
                Some(expected) => self.same(name, path, key, expected, actual)?,
                None => self.absent(place, key),
            }
        }
        match expected.get("lifecycle") {
            Some(expected) => self.object(name, path, "lifecycle", expected, actual, &[])?,
            None => self.absent(place, "lifecycle"),
        }
        self.security_context(place, expected)?;
        self.variables(place, expected)?;
        self.mounts(place, expected)?;
        for key in FORBIDDEN_FIELDS {
            self.absent(place, key);
        }
        let known = [&FREE_FIELDS[..], &CHECKED_FIELDS, &FORBIDDEN_FIELDS].concat();
        let added: Vec<_> = keys(actual).filter(|key| !known.contains(key)).map(ToOwned::to_owned).collect();
        self.added(name, "", &added);
        Ok(())
    }

    fn image(&mut self, place: &Place<'_>, expected: &Value) {
        let text = |of: &Value| of.get("image").and_then(Value::as_str).unwrap_or_default().to_owned();
        let (image, expected) = (text(place.actual), text(expected));
        if image != expected {
            self.warnings.push(Warning::OtherImage { container: place.name, image, expected });
        }
    }

    /// What the injection does not write.
    fn absent(&mut self, place: &Place<'_>, key: &str) {
        if let Some(value) = place.get(key) {
            self.changed.push(format!(
                "{key} of {} is {}, which is not written by the injection",
                place.name,
                shown(value)
            ));
        }
    }

    /// A value, as one.
    fn same(
        &mut self,
        name: &str,
        path: &str,
        key: &str,
        expected: &Value,
        object: &Value,
    ) -> Result<(), Misshapen> {
        match object.get(key).filter(|value| !value.is_null()) {
            None => {
                self.patch.set_absent(path, key, expected.clone())?;
                self.restored.push(format!("{} of {name}", dotted(path, key)));
            }
            Some(Value::Array(items)) if items.is_empty() => {
                for item in expected.as_array().into_iter().flatten() {
                    self.patch.append(&format!("{path}/{key}"), item.clone())?;
                }
                self.restored.push(format!("{} of {name}", dotted(path, key)));
            }
            Some(actual) if actual == expected => {}
            Some(actual) => {
                let key = dotted(path, key);
                self.changed.push(format!("{key} of {name} is {}, not {}", shown(actual), shown(expected)));
            }
        }
        Ok(())
    }

    /// An object with these fields, and no others but defaults of the API server.
    fn object(
        &mut self,
        name: &str,
        path: &str,
        key: &str,
        expected: &Value,
        parent: &Value,
        defaults: &[(&str, &str)],
    ) -> Result<(), Misshapen> {
        let Some(actual) = parent.get(key).filter(|value| !value.is_null()) else {
            return self.same(name, path, key, expected, parent);
        };
        let path = format!("{path}/{key}");
        for (field, expected) in expected.as_object().into_iter().flatten() {
            if expected.is_object() {
                self.object(name, &path, field, expected, actual, &[])?;
            } else {
                self.same(name, &path, field, expected, actual)?;
            }
        }
        for field in keys(actual).filter(|field| expected.get(field).is_none()) {
            let value = actual.get(field).unwrap_or(&Value::Null);
            let is_default =
                |(name, default): &(&str, &str)| *name == field && value.as_str() == Some(default);
            if !defaults.iter().any(is_default) {
                self.changed.push(format!(
                    "{} of {name} is {}, which is not written by the injection",
                    dotted(&path, field),
                    shown(value)
                ));
            }
        }
        Ok(())
    }

    /// Every field but `drop`, where more is less, and `seLinuxOptions`, which a platform assigns.
    fn security_context(&mut self, place: &Place<'_>, expected: &Value) -> Result<(), Misshapen> {
        const KEY: &str = "securityContext";
        let Place { name, path, actual: container, .. } = place;
        let expected = expected.get(KEY).unwrap_or(&Value::Null);
        let Some(actual) = container.get(KEY).filter(|value| !value.is_null()) else {
            return self.same(name, path, KEY, expected, container);
        };
        let path = format!("{path}/{KEY}");
        for (field, expected) in expected.as_object().into_iter().flatten() {
            match (field.as_str(), actual.get(field)) {
                ("capabilities", Some(capabilities)) if capabilities.is_object() => {
                    self.capabilities(name, &path, expected, capabilities)?;
                }
                _ if expected.is_object() => self.object(name, &path, field, expected, actual, &[])?,
                _ => self.same(name, &path, field, expected, actual)?,
            }
        }
        for field in keys(actual).filter(|field| expected.get(field).is_none()) {
            let value = actual.get(field).unwrap_or(&Value::Null);
            match field {
                "procMount" if value == "Default" => {}
                "appArmorProfile" if *value == json!({"type": "RuntimeDefault"}) => {}
                "seLinuxOptions" if keys(value).all(|option| option == "level") => {
                    self.added(name, "securityContext.", &[field.to_owned()]);
                }
                _ => self.changed.push(format!(
                    "{KEY}.{field} of {name} is {}, which is not written by the injection",
                    shown(value)
                )),
            }
        }
        Ok(())
    }

    fn capabilities(
        &mut self,
        name: &str,
        path: &str,
        expected: &Value,
        actual: &Value,
    ) -> Result<(), Misshapen> {
        let path = format!("{path}/capabilities");
        let dropped = actual.get("drop").and_then(Value::as_array);
        if !dropped.is_some_and(|dropped| dropped.iter().any(|capability| capability == "ALL")) {
            self.same(name, &path, "drop", &expected["drop"], actual)?;
        }
        match (expected.get("add"), present(actual, "add")) {
            (Some(expected), _) => self.same(name, &path, "add", expected, actual)?,
            (None, Some(added)) => self.changed.push(format!(
                "securityContext.capabilities.add of {name} is {}, which is not written by the injection",
                shown(added)
            )),
            (None, None) => {}
        }
        Ok(())
    }

    /// The gate, and the liveness probe of older releases.
    fn probes(&mut self, place: &Place<'_>, expected: &Value) -> Result<(), Misshapen> {
        let Place { name, path, .. } = place;
        match (place.get("startupProbe"), expected.get("startupProbe")) {
            (Some(probe), _) if !is_startup_probe(probe) => {
                self.changed.push(format!(
                    "startupProbe of {name} is {}, which is no probe of the injection",
                    shown(probe)
                ));
            }
            (None, Some(expected)) => {
                self.patch.set_absent(path, "startupProbe", expected.clone())?;
                self.restored.push(format!("startupProbe of {name}"));
            }
            (Some(_), _) | (None, None) => {}
        }
        if let Some(probe) = place.get("livenessProbe").filter(|probe| !is_http(probe, "/livez")) {
            let probe = shown(probe);
            self.changed
                .push(format!("livenessProbe of {name} is {probe}, which is no probe of the injection"));
        }
        Ok(())
    }

    /// Variables without which the programs do not work, or work otherwise.
    fn variables(&mut self, place: &Place<'_>, expected: &Value) -> Result<(), Misshapen> {
        const NEEDED: [&str; 5] = [
            environment::TOKEN_FILE,
            environment::LISTEN,
            environment::AUTHORIZATION_FILE,
            environment::POD_IPS,
            environment::HOST_IP,
        ];
        let expected = expected.get("env").and_then(Value::as_array).into_iter().flatten();
        for expected in expected {
            let Some(name) =
                expected.get("name").and_then(Value::as_str).filter(|name| NEEDED.contains(name))
            else {
                continue;
            };
            match place.variable(name) {
                None => {
                    self.patch.append(&format!("{}/env", place.path), expected.clone())?;
                    self.restored.push(format!("the variable {name} of {}", place.name));
                }
                Some(actual) if says_the_same(actual, expected) => {}
                Some(actual) => {
                    self.changed.push(format!(
                        "the variable {name} of {} is {}, not {}",
                        place.name,
                        value_of(actual),
                        value_of(expected)
                    ));
                }
            }
        }
        Ok(())
    }

    fn emulator_env(&mut self, place: &Place<'_>, how: How, authorized: bool, injected: &Injected<'_>) {
        let name = place.name;
        // The annotation is compared with a value, which no other source may stand for.
        if injected.variable(environment::ROLE_ARN).is_none() {
            self.changed.push(format!("the variable {} of {name} has no value", environment::ROLE_ARN));
        }
        let session_name = injected.variable(environment::SESSION_NAME).unwrap_or_default();
        let of_pod = Variable::ALL.map(|variable| (variable.environment(), variable.field_path()));
        let further = [(environment::POD_UID, "metadata.uid"), (environment::POD_IPS, "status.podIPs")];
        for (variable, field_path) in of_pod.into_iter().chain(further) {
            match place.variable(variable) {
                Some(actual) if field_of(actual) != Some(field_path) => {
                    self.changed.push(format!(
                        "the variable {variable} of {name} is {}, not the Pod's {field_path}",
                        value_of(actual)
                    ));
                }
                // It would have to stand before what refers to it: it can't be appended.
                None if session_name.contains(&format!("$({variable})")) => {
                    self.changed.push(format!("the variable {variable} of {name} is not there"));
                }
                _ => {}
            }
        }
        let mut known = OPTIONS.to_vec();
        known.extend([
            environment::TOKEN_FILE,
            environment::POD_UID,
            environment::POD_IPS,
            environment::ZONE,
        ]);
        known.extend(of_pod.map(|(variable, _)| variable));
        known.extend(Some(environment::LISTEN).filter(|_| how.interception == Interception::Address));
        known.extend(Some(environment::AUTHORIZATION_FILE).filter(|_| authorized));
        self.additional_env(place, &known);
    }

    fn additional_env(&mut self, place: &Place<'_>, known: &[&str]) {
        let by_operator = |variable: &Value, name: &str| {
            place.name == pod::EMULATOR_CONTAINER
                && self.settings.emulator_env.iter().any(|(own, value)| {
                    own == name
                        && variable.get("value").and_then(Value::as_str).unwrap_or_default()
                            == containers::literal(value)
                })
        };
        let mut added: Vec<String> = Vec::new();
        for variable in place.items("env") {
            let name = variable.get("name").and_then(Value::as_str).unwrap_or_default();
            if !known.contains(&name) && !by_operator(variable, name) && !added.iter().any(|own| own == name)
            {
                added.push(name.to_owned());
            }
        }
        self.added(place.name, "the variable ", &added);
    }

    fn mounts(&mut self, place: &Place<'_>, expected: &Value) -> Result<(), Misshapen> {
        let Place { name, path, .. } = place;
        let expected = expected.get("volumeMounts").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let actual = place.items("volumeMounts");
        let volume = |mount: &Value| mount.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        for expected in expected {
            let Some(index) = actual.iter().position(|mount| is_named(mount, &volume(expected))) else {
                self.patch.append(&format!("{path}/volumeMounts"), expected.clone())?;
                self.restored.push(format!("the mount of the volume {} of {name}", volume(expected)));
                continue;
            };
            let Some(mount) = actual.get(index) else { continue };
            let what = format!("the mount of the volume {} of {name}", volume(expected));
            self.same(
                &what,
                &format!("{path}/volumeMounts/{index}"),
                "mountPath",
                field_value(expected, "mountPath"),
                mount,
            )?;
            // The API server leaves out `readOnly: false`.
            if present(expected, "readOnly").is_some() {
                self.same(&what, &format!("{path}/volumeMounts/{index}"), "readOnly", &true.into(), mount)?;
            } else if present(mount, "readOnly").is_some() {
                self.changed.push(format!("readOnly of {what} is true, not false"));
            }
            for key in ["subPath", "subPathExpr"] {
                if let Some(value) = present(mount, key) {
                    self.changed.push(format!(
                        "{key} of {what} is {}, which is not written by the injection",
                        shown(value)
                    ));
                }
            }
        }
        let mut added = Vec::new();
        let mut seen = Vec::new();
        for mount in actual {
            let (volume, mount_path) = (volume(mount), text(mount, "mountPath"));
            let ours = expected.iter().any(|expected| is_named(expected, &volume)) && !seen.contains(&volume);
            seen.push(volume.clone());
            if ours || mount_path == SERVICE_ACCOUNT_MOUNT {
                continue;
            }
            if hides_ours(mount_path) {
                self.changed.push(format!(
                    "{name} mounts the volume {:?} at {:?}, over what the injection puts there",
                    excerpt(&volume),
                    excerpt(mount_path)
                ));
            } else {
                added.push(mount_path.to_owned());
            }
        }
        self.added(name, "a mount at ", &added);
        Ok(())
    }

    fn token_volume(&mut self, pod: PodView<'_>) -> Result<(), Misshapen> {
        let Some((path, volume)) = volume(pod, pod::TOKEN_VOLUME) else { return Ok(()) };
        let what = format!("the volume {}", pod::TOKEN_VOLUME);
        let expected = containers::token_volume(self.settings);
        let at = "/projected/sources/0/serviceAccountToken";
        let sources = volume.pointer("/projected/sources").and_then(Value::as_array);
        let single = sources.filter(|sources| sources.len() == 1).and_then(|sources| sources.first());
        let token = volume.pointer(at).filter(|_| {
            single.is_some_and(|source| keys(source).eq(["serviceAccountToken"]))
                && keys(volume).all(|key| matches!(key, "name" | "projected"))
        });
        let (Some(token), Some(expected)) = (token, expected.pointer(at)) else {
            self.changed.push(format!("{what} does not hold the token alone"));
            return Ok(());
        };
        let path = format!("{path}{at}");
        for key in ["audience", "path"] {
            self.same(&what, &path, key, field_value(expected, key), token)?;
        }
        match token.get("expirationSeconds").filter(|seconds| !seconds.is_null()) {
            Some(seconds) if Some(seconds) != expected.get("expirationSeconds") => {
                self.added(&what, "", &[format!("expirationSeconds {seconds}")]);
            }
            Some(_) => {}
            None => {
                self.same(
                    &what,
                    &path,
                    "expirationSeconds",
                    field_value(expected, "expirationSeconds"),
                    token,
                )?;
            }
        }
        Ok(())
    }

    fn authorization_volume(&mut self, pod: PodView<'_>) -> Result<(), Misshapen> {
        let expected = containers::authorization_volume();
        let what = format!("the volume {}", pod::AUTHORIZATION_VOLUME);
        let Some((path, volume)) = volume(pod, pod::AUTHORIZATION_VOLUME) else {
            self.patch.append(VOLUMES, expected)?;
            self.restored.push(what);
            return Ok(());
        };
        if keys(volume).any(|key| !matches!(key, "name" | "emptyDir")) {
            self.changed.push(format!("{what} is no emptyDir"));
            return Ok(());
        }
        self.object(&what, &path, "emptyDir", field_value(&expected, "emptyDir"), volume, &[])
    }

    /// Reports what was added to a container or volume of ours.
    fn added(&mut self, place: &str, kind: &str, what: &[String]) {
        if !what.is_empty() {
            let what = what.iter().map(|what| format!("{kind}{}", excerpt(what))).collect();
            self.warnings.push(Warning::InjectionExtended { place: place.to_owned(), what });
        }
    }
}

/// A Pod without `http-tokens: required` has all of it; a part of it means all of it.
fn has_container_endpoint(pod: PodView<'_>, how: How) -> bool {
    how.interception == Interception::Endpoint
        && (pod.has_volume(pod::AUTHORIZATION_VOLUME)
            || Place::of(pod, pod::EMULATOR_CONTAINER).is_some_and(|emulator| {
                let mounts = emulator.items("volumeMounts");
                emulator.variable(environment::AUTHORIZATION_FILE).is_some()
                    || mounts.iter().any(|mount| is_named(mount, pod::AUTHORIZATION_VOLUME))
            }))
}

/// A field of a container, as its place in the container: `capabilities.add` of what is under `securityContext`.
fn dotted(path: &str, key: &str) -> String {
    // `/spec/containers/0/securityContext`: the first three steps lead to the container or volume.
    let steps =
        path.split('/').skip(4).filter(|step| step.parse::<usize>().is_err() && *step != "volumeMounts");
    steps.chain([key]).collect::<Vec<_>>().join(".")
}

/// A value in a sentence.
fn shown(value: &Value) -> String {
    excerpt(&value.to_string()).to_string()
}

/// What a variable is set to, in a sentence.
fn value_of(variable: &Value) -> String {
    match variable.get("valueFrom") {
        Some(from) => shown(from),
        None => shown(variable.get("value").unwrap_or(&Value::Null)),
    }
}

fn field(list: &str) -> &str {
    list.rsplit('/').next().unwrap_or(list)
}

fn field_value<'a>(object: &'a Value, key: &str) -> &'a Value {
    object.get(key).unwrap_or(&Value::Null)
}

fn text<'a>(object: &'a Value, key: &str) -> &'a str {
    object.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn volume<'a>(pod: PodView<'a>, name: &str) -> Option<(String, &'a Value)> {
    let index = pod.items(VOLUMES).iter().position(|volume| is_named(volume, name))?;
    Some((format!("{VOLUMES}/{index}"), pod.items(VOLUMES).get(index)?))
}

/// Whether a mount there takes the place of a program or of the token.
fn hides_ours(mount_path: &str) -> bool {
    let path = mount_path.trim_end_matches('/');
    let within = |own: &str| path == own || path.strip_prefix(own).is_some_and(|rest| rest.starts_with('/'));
    path.is_empty()
        || path.split('/').any(|part| matches!(part, "." | ".."))
        || path.contains("//")
        || [
            pod::EMULATOR_COMMAND,
            pod::REDIRECT_COMMAND,
            pod::TOKEN_MOUNT_PATH,
            pod::AUTHORIZATION_MOUNT_PATH,
        ]
        .into_iter()
        .any(within)
}

/// The path of the field that a variable has its value from, where it has no other.
fn field_of(variable: &Value) -> Option<&str> {
    let from = variable.get("valueFrom").filter(|from| keys(from).eq(["fieldRef"]))?;
    from.pointer("/fieldRef/fieldPath")?.as_str().filter(|_| present(variable, "value").is_none())
}

/// The API server fills in `apiVersion` of a `fieldRef`.
fn says_the_same(actual: &Value, expected: &Value) -> bool {
    match expected.get("value") {
        Some(value) => actual.get("value") == Some(value) && present(actual, "valueFrom").is_none(),
        None => field_of(actual).is_some_and(|path| Some(path) == field_of(expected)),
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
