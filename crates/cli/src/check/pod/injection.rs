//! Whether the emulator is asked for, is in the Pod, and is what the annotations say.

use imds_contract::annotation::ENABLED_LABEL;
use imds_contract::pod;
use imds_inject::{
    Context, Decision, Extent, Injection, Reason, Warning, decide, injection_warnings, warnings,
};

use super::finding::PodFinding;
use super::reference::Reference;
use super::{Judge, Question, names};
use crate::facts::identity::Identity;
use crate::facts::registration::{Registration, labels_of_name, namespace_labels};
use crate::facts::{injected, owner};
use crate::words::names as listed;

/// Whether there is an emulator to look at further.
pub(super) fn judge(judge: &mut Judge<'_>) -> bool {
    let pod = judge.pod;
    for warning in warnings(pod) {
        judge.found(PodFinding::Warned { sentence: warning.to_string() });
    }
    let (namespace, _) = names(pod);
    let reference = Reference::of(judge, &namespace);
    match decide(&reference.settings, pod, &Context::new(&namespace)) {
        Decision::Skip(Reason::AlreadyInjected) => {
            injected(judge);
            differs(judge, &reference, injection_warnings(&reference.settings, pod, &namespace));
        }
        Decision::Refuse(reason @ Reason::InjectionChanged { .. }) => {
            let remedy = owner::recreate([pod]);
            judge.found(PodFinding::InjectionChanged { reason: reason.to_string(), remedy });
        }
        Decision::Refuse(reason @ Reason::InjectedOtherwise { .. }) => {
            injected(judge);
            judge.found(PodFinding::Changed { reason: reason.to_string(), remedy: owner::recreate([pod]) });
        }
        Decision::Inject(Injection { extent: Extent::Completion { restored }, warnings, .. }) => {
            injected(judge);
            // A container that came later lacks the variable: told where the variables are.
            if !restored.is_empty() {
                let (what, remedy) = (listed(&restored), owner::recreate([pod]));
                judge.found(PodFinding::InjectionIncomplete { what, remedy });
            }
            differs(judge, &reference, warnings);
        }
        Decision::Inject(_) => not_injected(judge),
        Decision::Skip(reason) => {
            judge.found(PodFinding::NotEnabled { reason: reason.to_string(), label: ENABLED_LABEL });
            if injected::is_in(pod) {
                injected(judge);
            }
        }
        Decision::Refuse(reason) => judge.found(PodFinding::Refused { reason: reason.to_string() }),
    }
    injected::emulator(pod).is_some()
}

fn injected(judge: &mut Judge<'_>) {
    let identity = Identity::of_pod(judge.pod);
    judge.found(PodFinding::Injected {
        how: injected::status_in_words(injected::status(judge.pod).unwrap_or("injected")),
        role: identity.roles(),
        subject: identity.subject,
    });
}

/// What may be legitimate, and may not.
fn differs(judge: &mut Judge<'_>, reference: &Reference, warnings: Vec<Warning>) {
    for warning in warnings {
        match warning {
            Warning::OtherImage { container, image, expected } => {
                let of = if reference.is_seen {
                    "the image that new Pods get".to_owned()
                } else {
                    format!("the image of {}; what new Pods get is not known", pod::REDIRECT_CONTAINER)
                };
                judge.found(PodFinding::OtherImage { container, image, expected, of });
            }
            Warning::InjectionExtended { place, what } => {
                let unless = if reference.is_seen {
                    ""
                } else {
                    " (it may be the operator's: what new Pods get is not known)"
                };
                judge.found(PodFinding::InjectionExtended { place, what: listed(&what), unless });
            }
            other => judge.found(PodFinding::Warned { sentence: other.to_string() }),
        }
    }
}

fn not_injected(judge: &mut Judge<'_>) {
    let (namespace, _) = names(judge.pod);
    let configurations = Question::Configurations;
    let list = match judge.answers.json(&configurations) {
        Some(Ok(list)) => list,
        Some(Err(failure)) => {
            judge.unseen(&configurations, &failure);
            judge.found(PodFinding::Uninjected {
                why: "a Pod is injected when it is created, and this one was not".to_owned(),
                remedy: owner::recreate([judge.pod]),
            });
            return;
        }
        None => return,
    };
    let labels = judge.answers.value(&Question::Namespace(namespace.clone()));
    let labels = labels.as_ref().map(namespace_labels);
    let labels = labels.unwrap_or_else(|| labels_of_name(&namespace));
    let registration = Registration::all(&list).into_iter().next();
    let why = injected::why_not(judge.pod, registration.as_ref(), &labels);
    let remedy = if registration.is_none() {
        owner::Commands::fixed("kubectl imds check")
    } else {
        owner::recreate([judge.pod])
    };
    judge.found(PodFinding::Uninjected { why, remedy });
}
