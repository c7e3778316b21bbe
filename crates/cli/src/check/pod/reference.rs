//! What the injection in this Pod is compared with: what a new Pod in its namespace gets, by a dry run. What a Pod was injected
//! with, its settings apart, is not known otherwise.

use std::collections::BTreeMap;

use imds_contract::pod;
use imds_inject::{EmulatorEnv, Settings};
use serde_json::Value;

use super::{Judge, Question};
use crate::facts::injected;
use crate::facts::object::{list, text};

/// See the module.
pub(super) struct Reference {
    pub(super) settings: Settings,
    /// Whether a dry run showed it; else the image is the redirect container's.
    pub(super) is_seen: bool,
}

pub(super) fn question(namespace: &str) -> Question {
    super::super::cluster::dry_run(namespace)
}

impl Reference {
    /// From the dry run; where there is none, from the Pod itself as far as one part of it tells of another.
    pub(super) fn of(judge: &Judge<'_>, namespace: &str) -> Self {
        let new = judge.answers.value(&question(namespace)).filter(injected::is_in);
        let is_seen = new.is_some();
        let of = new.as_ref().unwrap_or(judge.pod);
        let redirect = list(judge.pod, "/spec/initContainers")
            .iter()
            .find(|container| text(container, "/name") == Some(pod::REDIRECT_CONTAINER));
        let image =
            if is_seen { injected::emulator(of) } else { redirect.or_else(|| injected::emulator(of)) };
        let mut settings = Settings::new(image.and_then(|of| text(of, "/image")).unwrap_or_default());
        if let Some(audience) = super::token::volume(of).and_then(super::token::audience) {
            settings.token_audience = audience;
        }
        if let Some(emulator) = new.as_ref().and_then(injected::emulator) {
            settings.emulator_env = emulator_env(emulator);
        }
        Self { settings, is_seen }
    }
}

/// The operator's variables: those that the injection does not set itself.
fn emulator_env(emulator: &Value) -> EmulatorEnv {
    let one = |variable: &Value| {
        // kubelet reads `$$` as `$`.
        let (name, value) =
            (text(variable, "/name")?.to_owned(), text(variable, "/value")?.replace("$$", "$"));
        EmulatorEnv::try_from(BTreeMap::from([(name.clone(), value.clone())])).ok().map(|_| (name, value))
    };
    let variables: BTreeMap<_, _> = list(emulator, "/env").iter().filter_map(one).collect();
    EmulatorEnv::try_from(variables).unwrap_or_default()
}
