//! Whether the emulator is asked for, is in the Pod, and is what the annotations say.

use imds_contract::annotation::ENABLED_LABEL;
use imds_inject::{Context, Decision, Reason, Settings, decide, warnings};

use super::finding::PodFinding;
use super::{Judge, Question, names};
use crate::facts::identity::Identity;
use crate::facts::registration::{Registration, labels_of_name, namespace_labels};
use crate::facts::{injected, owner};

/// Whether there is an emulator to look at further.
pub(super) fn judge(judge: &mut Judge<'_>) -> bool {
    let pod = judge.pod;
    for warning in warnings(pod) {
        judge.found(PodFinding::Warned { sentence: warning.to_string() });
    }
    let (namespace, _) = names(pod);
    // No image stands in a decision.
    match decide(&Settings::new("image"), pod, &Context::new(&namespace)) {
        Decision::Skip(Reason::AlreadyInjected) => injected(judge),
        Decision::Refuse(reason @ Reason::InjectedOtherwise { .. }) => {
            injected(judge);
            judge.found(PodFinding::Changed { reason: reason.to_string(), remedy: owner::recreate([pod]) });
        }
        // A container that came later lacks the variable: told where the variables are.
        Decision::Inject(_) if injected::is_in(pod) => injected(judge),
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
