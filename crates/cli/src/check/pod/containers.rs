//! Our containers: where they stand, and what became of them.

use imds_contract::{Interception, annotation, pod};
use serde_json::Value;

use super::finding::PodFinding;
use super::reference::Reference;
use super::{Judge, Question, container_name, names};
use crate::facts::containers::{
    Container, End, State, all, find, has_ended, is_its_turn, is_restarted_with_pod, trouble,
};
use crate::facts::emulator::log;
use crate::facts::object::{list, text};
use crate::facts::{injected, owner};
use crate::words::names as listed;

/// Why kubelet does not start a container again at once.
const BACK_OFF: &str = "CrashLoopBackOff";

pub(super) fn judge(judge: &mut Judge<'_>) {
    order(judge);
    let redirect = find(judge.pod, pod::REDIRECT_CONTAINER);
    let emulator = find(judge.pod, pod::EMULATOR_CONTAINER);
    if redirect.is_none() && emulator.is_none() {
        return waits(judge);
    }
    if let Some(redirect) = &redirect {
        self::redirect(judge, redirect);
    }
    // The second of the two waits for the first.
    let has_turn = redirect
        .as_ref()
        .is_none_or(|redirect| matches!(&redirect.state, State::Ended(end) if end.code == 0));
    if let (Some(emulator), true) = (&emulator, has_turn) {
        self::emulator(judge, emulator);
    }
    users(judge);
}

/// The Pod's own containers that end again and again: injection takes ports from them, and nobody else says so.
fn users(judge: &mut Judge<'_>) {
    let ports = match injected::interception(judge.pod) {
        Interception::Address => "80 and 1339",
        Interception::Redirect | Interception::Endpoint => "1338 and 1339",
    };
    for container in all(judge.pod).into_iter().filter(|container| !injected::is_ours(container.name)) {
        let crashes = matches!(&container.state, State::Waiting { reason: BACK_OFF, .. });
        let Some(end) = container.last.filter(|end| crashes && end.code != 0) else { continue };
        judge.found(PodFinding::UserCrashes { container: container.name.to_owned(), code: end.code, ports });
    }
}

fn order(judge: &mut Judge<'_>) {
    let inits: Vec<&str> = judge.items("/spec/initContainers").iter().map(container_name).collect();
    let is_ours = |name: &&str| injected::is_ours(name);
    let native = inits.contains(&pod::EMULATOR_CONTAINER);
    let ours: Vec<&str> = inits.iter().copied().filter(|name| is_ours(name)).collect();
    // Everything up to the last of ours that is not ours.
    let last = inits.iter().rposition(is_ours).unwrap_or_default();
    let mut before: Vec<&str> = inits.iter().copied().take(last).filter(|name| !is_ours(name)).collect();
    if !native {
        let containers = judge.items("/spec/containers").iter().map(container_name);
        before.extend(containers.take_while(|name| *name != pod::EMULATOR_CONTAINER));
        let users: Vec<&str> = inits.iter().copied().filter(|name| !is_ours(name)).collect();
        if !users.is_empty() {
            judge.found(PodFinding::InitWithout { containers: listed(&users) });
        }
    }
    let mut all = ours;
    if !native {
        all.push(pod::EMULATOR_CONTAINER);
    }
    judge.found(if before.is_empty() {
        PodFinding::Order { containers: listed(&all) }
    } else {
        PodFinding::OrderWrong { before: listed(&before) }
    });
}

/// Nothing was started yet: why, in kubelet's or the scheduler's words.
fn waits(judge: &mut Judge<'_>) {
    let (namespace, pod) = names(judge.pod);
    let why = trouble(judge.pod).or_else(|| event(judge));
    match why {
        Some(why) => judge.found(PodFinding::Waits { why, pod, namespace }),
        None => judge.found(PodFinding::Starting { container: format!("the Pod {namespace}/{pod}") }),
    }
}

/// The last warning among its events.
fn event(judge: &Judge<'_>) -> Option<String> {
    let (namespace, pod) = names(judge.pod);
    let events = judge.answers.json(&Question::Events { namespace, pod })?.ok()?;
    let warnings = list(&events, "/items").iter().filter(|event| text(event, "/type") == Some("Warning"));
    let time = |event: &&Value| {
        let times = ["/lastTimestamp", "/eventTime"];
        times.into_iter().find_map(|time| text(event, time).map(str::to_owned)).unwrap_or_default()
    };
    let last = warnings.max_by_key(time)?;
    Some(format!("{}: {}", text(last, "/reason")?, text(last, "/message")?))
}

fn redirect(judge: &mut Judge<'_>, redirect: &Container<'_>) {
    match &redirect.state {
        State::Ended(End { code: 0, .. }) => {
            let question = log(judge.pod, pod::REDIRECT_CONTAINER);
            let said =
                judge.answers.text(&question).and_then(|log| log.lines().rev().find(|line| !line.is_empty()));
            // A log may be gone with its container; that it ended well is enough.
            let said = said.unwrap_or("put in place and verified").to_owned();
            judge.found(PodFinding::Redirect { said });
        }
        State::Ended(end) => judge.found(PodFinding::RedirectFailed { code: end.code, said: end.said() }),
        State::Waiting { reason, .. } if !is_its_turn(reason) => match &redirect.last {
            Some(end) if end.code != 0 => {
                judge.found(PodFinding::RedirectFailed { code: end.code, said: end.said() });
            }
            _ => container_waits(judge, redirect),
        },
        State::Running | State::Waiting { .. } | State::Unknown => not_yet(judge, redirect),
    }
}

fn emulator(judge: &mut Judge<'_>, emulator: &Container<'_>) {
    let (namespace, pod) = names(judge.pod);
    if let Some(said) = why_down(judge, emulator)
        && let Some((from, image)) = changed_image(judge, emulator)
    {
        let remedy = owner::recreate([judge.pod]);
        let said = if said.is_empty() { said } else { format!(": {said}") };
        return judge.found(PodFinding::ImageChanged { from, image, said, remedy });
    }
    match &emulator.state {
        State::Ended(end) if end.code != 0 || !has_ended(judge.pod) => {
            judge.found(PodFinding::EmulatorEnded { code: end.code, said: end.said(), pod, namespace });
        }
        State::Ended(_) => {}
        State::Waiting { reason, .. } if !is_its_turn(reason) => match &emulator.last {
            Some(end) if *reason == BACK_OFF => {
                judge.found(PodFinding::EmulatorEnded { code: end.code, said: end.said(), pod, namespace });
            }
            _ => container_waits(judge, emulator),
        },
        State::Waiting { .. } | State::Unknown => not_yet(judge, emulator),
        State::Running => match &emulator.last {
            Some(_) if is_restarted_with_pod(judge.pod, emulator) => {
                judge.found(PodFinding::RestartedWithPod {});
            }
            Some(end) if emulator.restarts > 0 && end.is_oom() => {
                let limit =
                    injected::emulator(judge.pod).and_then(|spec| text(spec, "/resources/limits/memory"));
                judge.found(PodFinding::EmulatorOom {
                    times: emulator.restarts,
                    limit: limit.unwrap_or("none").to_owned(),
                    annotation: annotation::MEMORY_LIMIT,
                });
            }
            Some(end) if emulator.restarts > 0 => {
                let said = end.said();
                judge.found(PodFinding::EmulatorRestarted { times: emulator.restarts, said, pod, namespace });
            }
            _ => {}
        },
    }
}

/// Why it does not run, though it should; empty where its end does not tell.
fn why_down(judge: &Judge<'_>, emulator: &Container<'_>) -> Option<String> {
    match (&emulator.state, &emulator.last) {
        (State::Ended(End { code: 0, .. }), _) => (!has_ended(judge.pod)).then(String::new),
        (State::Ended(end), _) | (State::Waiting { reason: BACK_OFF, .. }, Some(end)) => Some(end.said()),
        (State::Waiting { reason, message }, _) => {
            (!is_its_turn(reason)).then(|| format!("{reason}: {message}"))
        }
        (State::Running | State::Unknown, _) => None,
    }
}

/// The emulator's image before somebody changed it in the Pod, and the one that it has now. A container's status keeps the image that it
/// ran from, and the redirect container was injected with the same one.
fn changed_image(judge: &Judge<'_>, emulator: &Container<'_>) -> Option<(String, String)> {
    let image = text(injected::emulator(judge.pod)?, "/image")?;
    let (namespace, _) = names(judge.pod);
    let Reference { settings, is_seen } = Reference::of(judge, &namespace);
    if is_seen && settings.image == image {
        return None;
    }
    // The runtime writes the registry that stands for none.
    let is_same =
        |ran: &str| ran.strip_suffix(image).is_some_and(|rest| rest.is_empty() || rest.ends_with('/'));
    let redirect = find(judge.pod, pod::REDIRECT_CONTAINER);
    let ran = redirect.map(|redirect| redirect.image).into_iter().chain([emulator.image]);
    let by_status = ran.filter(|ran| is_tag(ran) && is_tag(image)).find(|ran| !is_same(ran));
    // The status of one that could not be started has the new image.
    let end = match &emulator.state {
        State::Ended(end) => Some(end),
        _ => emulator.last.as_ref(),
    };
    let of_new_pods = || (is_seen && end.is_some_and(End::was_not_started)).then_some(settings.image);
    let from = by_status.map(str::to_owned).or_else(of_new_pods)?;
    Some((from, image.to_owned()))
}

/// Whether it names an image by a tag: a digest may be written in several ways.
fn is_tag(image: &str) -> bool {
    let name = image.rsplit('/').next().unwrap_or_default();
    name.contains(':') && !image.contains('@') && !image.starts_with("sha256:")
}

fn container_waits(judge: &mut Judge<'_>, container: &Container<'_>) {
    let State::Waiting { reason, message } = &container.state else { return };
    let (namespace, pod) = names(judge.pod);
    let said = if message.is_empty() { String::new() } else { format!(": {message}") };
    let (container, reason) = (container.name.to_owned(), (*reason).to_owned());
    judge.found(PodFinding::ContainerWaits { container, reason, said, pod, namespace });
}

/// kubelet has not come to it: because of something that it tells of in events, or because it takes a moment.
fn not_yet(judge: &mut Judge<'_>, container: &Container<'_>) {
    let (namespace, pod) = names(judge.pod);
    match event(judge) {
        Some(why) => judge.found(PodFinding::Waits { why, pod, namespace }),
        None => judge.found(PodFinding::Starting { container: container.name.to_owned() }),
    }
}
