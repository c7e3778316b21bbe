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

mod gate;
mod rights;
mod variables;
mod volumes;

use imds_contract::{HttpTokens, Interception, RoleArn, Start, annotation, environment, excerpt, pod};
use serde_json::{Value, json};

use crate::containers;
use crate::injected::{How, Injected};
use crate::patch::{Misshapen, Operation, Patch, to_json};
use crate::pod::{CONTAINERS, INIT_CONTAINERS, PodView, is_named};
use crate::reason::Reason;
use crate::settings::{Settings, SidecarForm};
use crate::warning::Warning;
use crate::wishes::Wishes;

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
        // A lost gate is added again in its own form.
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
            self.gate(place, &expected)?;
            self.emulator_env(place, how, authorized, injected);
        }
        match (redirect, containers::redirect(self.settings, &wishes, pod)) {
            (Some(place), Some(expected)) => {
                self.container(&place, INIT_CONTAINERS, &to_json(&expected))?;
                for key in ["lifecycle", "startupProbe", "livenessProbe"] {
                    self.absent(&place, key);
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

fn field(list: &str) -> &str {
    list.rsplit('/').next().unwrap_or(list)
}

fn field_value<'a>(object: &'a Value, key: &str) -> &'a Value {
    object.get(key).unwrap_or(&Value::Null)
}

fn text<'a>(object: &'a Value, key: &str) -> &'a str {
    object.get(key).and_then(Value::as_str).unwrap_or_default()
}
