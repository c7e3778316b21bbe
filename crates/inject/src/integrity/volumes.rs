//! What our containers mount, and the volumes that the injection adds.

use std::collections::BTreeSet;

use imds_contract::{excerpt, pod};
use serde_json::Value;

use super::{Examiner, Place, field_value, keys, present, shown, text};
use crate::containers;
use crate::patch::Misshapen;
use crate::pod::{PodView, VOLUMES, is_named};

/// The API server's admission plugin `ServiceAccount` mounts the Pod's own token there, in every container.
/// Source: Kubernetes, `plugin/pkg/admission/serviceaccount`, `DefaultAPITokenMountPath`.
const SERVICE_ACCOUNT_MOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

impl Examiner<'_> {
    pub(super) fn mounts(&mut self, place: &Place<'_>, expected: &Value) -> Result<(), Misshapen> {
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
        let mut seen = BTreeSet::new();
        for mount in actual {
            let (volume, mount_path) = (volume(mount), text(mount, "mountPath"));
            let ours =
                seen.insert(volume.clone()) && expected.iter().any(|expected| is_named(expected, &volume));
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

    pub(super) fn token_volume(&mut self, pod: PodView<'_>) -> Result<(), Misshapen> {
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

    pub(super) fn authorization_volume(&mut self, pod: PodView<'_>) -> Result<(), Misshapen> {
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
