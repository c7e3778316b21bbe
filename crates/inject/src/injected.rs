//! A Pod that is injected already: how, and whether its annotations still say so.

use std::fmt;

use imds_contract::{
    Interception, Metadata, RoleArn, RoleChain, SessionDuration, Start, annotation, environment, pod,
};
use serde_json::Value;

use crate::containers::literal;
use crate::pod::{INIT_CONTAINERS, PodView, is_named};
use crate::reason::Reason;
use crate::settings::SidecarForm;

/// How a Pod was injected: what the status annotation says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct How {
    pub(crate) interception: Interception,
    pub(crate) sidecar: SidecarForm,
}

impl How {
    fn read(status: &str) -> Option<Self> {
        let forms = Interception::ALL.iter().flat_map(|interception| {
            SidecarForm::ALL.map(|sidecar| Self { interception: *interception, sidecar })
        });
        forms.into_iter().find(|how| how.to_string() == status)
    }
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { interception, sidecar } = self;
        write!(f, "injected; interception={interception}; sidecar={sidecar}")
    }
}

/// See the module.
pub(crate) struct Injected<'a> {
    pod: PodView<'a>,
    emulator: &'a Value,
    how: Option<How>,
}

impl<'a> Injected<'a> {
    /// Ours is what came with the status annotation and is whole; only then is the Pod injected already. The error is for a
    /// Pod with a part of it.
    pub(crate) fn of(pod: PodView<'a>) -> Result<Option<Self>, Reason> {
        let status = pod.annotation(annotation::STATUS);
        let emulator = pod.container(pod::EMULATOR_CONTAINER);
        let redirect = pod.container(pod::REDIRECT_CONTAINER);
        let volume = pod.has_volume(pod::TOKEN_VOLUME);
        let how = status.and_then(Value::as_str).and_then(How::read);
        let needs_no_redirect = how.is_some_and(|how| how.interception == Interception::Endpoint);
        if let (Some(_), Some(emulator)) = (status, emulator)
            && volume
            && (redirect.is_some() || needs_no_redirect)
        {
            return Ok(Some(Self { pod, emulator, how }));
        }
        if emulator.is_some() {
            return Err(Reason::container_taken(pod::EMULATOR_CONTAINER));
        }
        if redirect.is_some() {
            return Err(Reason::container_taken(pod::REDIRECT_CONTAINER));
        }
        for name in [pod::TOKEN_VOLUME, pod::AUTHORIZATION_VOLUME] {
            if pod.has_volume(name) {
                return Err(Reason::volume_taken(name));
            }
        }
        if status.is_some() {
            return Err(Reason::status_taken());
        }
        Ok(None)
    }

    /// As the status says; for a status of another form, as the containers are. `None` where they are as no release writes them.
    pub(crate) fn how(&self) -> Option<How> {
        self.how.or_else(|| {
            let natively =
                self.pod.items(INIT_CONTAINERS).iter().any(|item| is_named(item, pod::EMULATOR_CONTAINER));
            let sidecar = if natively { SidecarForm::Native } else { SidecarForm::Classic };
            let mode = self.pod.container(pod::REDIRECT_CONTAINER)?.get("args")?.get(1)?.as_str()?;
            Some(How { interception: mode.parse().ok()?, sidecar })
        })
    }

    /// The role that the annotation names, which is the emulator's ([`Injected::check_annotations`]); without it, the emulator's.
    pub(crate) fn role(&self) -> Option<RoleArn> {
        self.asked(annotation::ROLE_ARN).or_else(|| self.variable(environment::ROLE_ARN))?.parse().ok()
    }

    /// The further roles that the emulator assumes.
    pub(crate) fn role_chain(&self) -> RoleChain {
        let chain = self.variable(environment::ASSUME_ROLE_ARNS).map(|chain| chain.replace("$$", "$"));
        chain.and_then(|chain| chain.parse().ok()).unwrap_or_default()
    }

    /// Whether the annotations still say what was injected: a Pod must not run with another role than the one that is to be
    /// read on it. An annotation that is not there says nothing.
    pub(crate) fn check_annotations(&self) -> Result<(), Reason> {
        let interception = self.how.map(|how| how.interception.as_str());
        self.check(annotation::INTERCEPTION, interception)?;
        // An emulator without a role is not as we make it: nothing is known of the rest.
        let Some(role) = self.variable(environment::ROLE_ARN) else { return Ok(()) };
        self.check(annotation::ROLE_ARN, Some(role))?;
        for (annotation, variable) in [
            (annotation::REGION, environment::REGION),
            (annotation::HTTP_TOKENS, environment::HTTP_TOKENS),
            (annotation::SESSION_DURATION, environment::SESSION_DURATION),
            (annotation::ASSUME_ROLE_ARNS, environment::ASSUME_ROLE_ARNS),
        ] {
            self.check(annotation, self.variable(variable).or(Some("")))?;
        }
        let metadata = self.variable(environment::METADATA).unwrap_or(Metadata::Credentials.as_str());
        self.check(annotation::METADATA, Some(metadata))?;
        let start = self.variable(environment::START).unwrap_or(Start::Always.as_str());
        self.check(annotation::START, Some(start))
    }

    fn check(&self, annotation: &'static str, injected: Option<&str>) -> Result<(), Reason> {
        let Some((asked, injected)) = self.asked(annotation).zip(injected) else { return Ok(()) };
        // `03600` was injected as `3600`, and a list of roles in one line.
        let canonical = match annotation {
            annotation::SESSION_DURATION => {
                asked.parse::<SessionDuration>().ok().map(|asked| asked.to_string())
            }
            annotation::ASSUME_ROLE_ARNS => asked.parse::<RoleChain>().ok().map(|asked| asked.to_string()),
            _ => None,
        };
        if injected == literal(canonical.as_deref().unwrap_or(asked)) {
            return Ok(());
        }
        let (injected, asked) = (injected.to_owned(), asked.to_owned());
        Err(Reason::InjectedOtherwise { annotation, injected, asked })
    }

    fn asked(&self, annotation: &str) -> Option<&'a str> {
        self.pod.annotation(annotation)?.as_str()
    }

    /// As it stands in the emulator's environment; the last of a name counts, as for kubelet.
    pub(crate) fn variable(&self, name: &str) -> Option<&'a str> {
        let env = self.emulator.get("env")?.as_array()?;
        env.iter().rev().find(|variable| is_named(variable, name))?.get("value")?.as_str()
    }
}
