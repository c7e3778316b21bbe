//! The volume with the token that STS is shown.

use imds_contract::pod;
use serde_json::Value;

use super::finding::PodFinding;
use super::{Judge, container_name};
use crate::facts::injected;
use crate::facts::object::{list, text};
use crate::words::names as listed;

pub(super) fn judge(judge: &mut Judge<'_>) {
    let audience = volume(judge.pod).and_then(audience);
    let mounts = |container: &Value| mounts(container, pod::TOKEN_VOLUME);
    let by_emulator = injected::emulator(judge.pod).is_some_and(mounts);
    let others: Vec<&str> = judge
        .users()
        .chain(judge.ephemeral())
        .filter(|container| mounts(container))
        .map(container_name)
        .collect();
    ephemeral(judge);
    match audience {
        None => judge.found(PodFinding::TokenAbsent {
            what: "the volume with the token is not there, or is another one",
        }),
        Some(_) if !by_emulator => {
            judge.found(PodFinding::TokenAbsent {
                what: "the emulator does not mount the volume with the token",
            });
        }
        Some(audience) if others.is_empty() => judge.found(PodFinding::Token { audience }),
        Some(_) => {
            judge.found(PodFinding::TokenShared { containers: listed(&others), volume: pod::TOKEN_VOLUME });
        }
    }
}

/// Whoever may change `pods/ephemeralcontainers` adds a container to a running Pod, and no webhook of ours is asked.
fn ephemeral(judge: &mut Judge<'_>) {
    let reads = |container: &&Value| mounts(container, pod::AUTHORIZATION_VOLUME);
    let readers: Vec<&str> = judge.ephemeral().iter().filter(reads).map(container_name).collect();
    if !readers.is_empty() {
        let (containers, volume) = (listed(&readers), pod::AUTHORIZATION_VOLUME);
        judge.found(PodFinding::AuthorizationShared { containers, volume });
    }
    let ours = [pod::EMULATOR_CONTAINER, pod::REDIRECT_CONTAINER];
    for added in judge.ephemeral() {
        let container = container_name(added).to_owned();
        if let Some(target) = text(added, "/targetContainerName").filter(|target| ours.contains(target)) {
            let (container, target) = (container.clone(), target.to_owned());
            judge.found(PodFinding::EphemeralTarget { container, target });
        }
        if container.starts_with(pod::EMULATOR_CONTAINER) {
            judge.found(PodFinding::EphemeralNamed { container });
        }
    }
}

fn mounts(container: &Value, volume: &str) -> bool {
    list(container, "/volumeMounts").iter().any(|mount| text(mount, "/name") == Some(volume))
}

pub(super) fn volume(pod: &Value) -> Option<&Value> {
    list(pod, "/spec/volumes").iter().find(|volume| text(volume, "/name") == Some(pod::TOKEN_VOLUME))
}

/// The API server's own audience where none is set.
pub(super) fn audience(volume: &Value) -> Option<String> {
    let sources = volume.pointer("/projected/sources")?.as_array()?;
    let token = sources.iter().find_map(|source| source.get("serviceAccountToken"))?;
    Some(text(token, "/audience").unwrap_or("the API server's own").to_owned())
}
