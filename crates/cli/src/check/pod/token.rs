//! The volume with the token that STS is shown.

use imds_contract::pod;
use serde_json::Value;

use super::finding::PodFinding;
use super::{Judge, container_name};
use crate::facts::injected;
use crate::facts::object::{list, text};
use crate::words::names as listed;

pub(super) fn judge(judge: &mut Judge<'_>) {
    let volume =
        judge.items("/spec/volumes").iter().find(|volume| text(volume, "/name") == Some(pod::TOKEN_VOLUME));
    let audience = volume.and_then(audience);
    let mounts = |container: &Value| {
        list(container, "/volumeMounts").iter().any(|mount| text(mount, "/name") == Some(pod::TOKEN_VOLUME))
    };
    let by_emulator = injected::emulator(judge.pod).is_some_and(mounts);
    let others: Vec<&str> = judge.users().filter(|container| mounts(container)).map(container_name).collect();
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

/// The API server's own audience where none is set.
fn audience(volume: &Value) -> Option<String> {
    let sources = volume.pointer("/projected/sources")?.as_array()?;
    let token = sources.iter().find_map(|source| source.get("serviceAccountToken"))?;
    Some(text(token, "/audience").unwrap_or("the API server's own").to_owned())
}
