//! The webhook's serving certificate, and whether the API server trusts it. Of the Secret the authority alone is read.

use std::time::{Duration, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::finding::ClusterFinding;
use super::{Judge, Question, replicas};
use crate::facts::object::{list, text};
use crate::facts::registration::{Registration, Target};
use crate::facts::samples::Samples;
use crate::kubectl::Answers;
use crate::words::{left, span};

/// Long after the webhook (at two thirds of a life of 90 days) and cert-manager have renewed.
const SOON: Duration = Duration::from_hours(10 * 24);

const END: &str = "imds_webhook_certificate_expiration_timestamp_seconds";
const PEM_END: &str = "-----END CERTIFICATE-----";

pub(super) fn questions(registration: &Registration, answers: &Answers) -> Vec<Question> {
    secret(registration, answers).into_iter().collect()
}

/// The Secret that the Deployment names: with `--secret`, or as a volume.
fn secret(registration: &Registration, answers: &Answers) -> Option<Question> {
    let Target::Service { namespace, .. } = registration.target()? else { return None };
    let deployments = answers.json(&Question::Deployments { namespace: namespace.clone() })?.ok()?;
    let deployments = list(&deployments, "/items").iter();
    let mut specs = deployments.filter_map(|item| item.pointer("/spec/template/spec"));
    let secret = specs.find_map(|spec| {
        let args = spec.pointer("/containers/0/args")?.as_array()?;
        let ours = |arg: &&str| arg.starts_with("--webhook-configuration=") || arg.starts_with("--tls-cert");
        let mut args = args.iter().filter_map(Value::as_str).peekable();
        args.clone().find(ours)?;
        let named = args.find_map(|arg| arg.strip_prefix("--secret="));
        let mounted = || list(spec, "/volumes").iter().find_map(|volume| text(volume, "/secret/secretName"));
        named.or_else(mounted).map(str::to_owned)
    })?;
    Some(Question::Authority { namespace, secret })
}

pub(super) fn judge(judge: &mut Judge<'_>) {
    let view = judge.view;
    let Some(registration) = &view.registration else { return };
    let Some(Target::Service { namespace, .. }) = registration.target() else { return };
    life(judge, registration, &namespace);
    trust(judge, registration, namespace);
}

fn life(judge: &mut Judge<'_>, registration: &Registration, namespace: &str) {
    let mut ends = Vec::new();
    for replica in replicas::behind(registration, judge.answers) {
        let question = replica.page("/metrics");
        let page = judge.text(&question);
        let end = page.and_then(|page| Samples::read(&page).sum(END, &[]));
        // Not after the year 9999.
        ends.extend(end.filter(|end| (0.0..253e9).contains(end)).map(Duration::from_secs_f64));
    }
    let Some(end) = ends.into_iter().min() else { return };
    let time = left(UNIX_EPOCH + end, judge.now);
    let (namespace, name, in_words) = (namespace.to_owned(), registration.name(), span(time));
    judge.found(match time {
        Duration::ZERO => ClusterFinding::CertificateExpired { namespace, name },
        time if time < SOON => ClusterFinding::CertificateEnds { left: in_words, namespace, name },
        _ => ClusterFinding::Certificate { left: in_words },
    });
}

fn trust(judge: &mut Judge<'_>, registration: &Registration, namespace: String) {
    let (configuration, name) = (registration.configuration.clone(), registration.name());
    let bundle = registration.bundle();
    if !bundle.contains(PEM_END) {
        return judge.found(ClusterFinding::BundleEmpty { configuration, namespace, name });
    }
    let Some(question @ Question::Authority { secret, .. }) = &secret(registration, judge.answers) else {
        return;
    };
    let Some(encoded) = judge.text(question) else { return };
    let authority = STANDARD.decode(encoded.trim()).unwrap_or_default();
    let authorities = blocks(&String::from_utf8_lossy(&authority));
    // A Secret of the user's own may hold no authority: then the dry run alone tells.
    if authorities.is_empty() {
        return;
    }
    let trusted = blocks(&bundle);
    let secret = secret.clone();
    judge.found(if authorities.iter().any(|authority| trusted.contains(authority)) {
        ClusterFinding::Authority { secret }
    } else {
        ClusterFinding::BundleOther { configuration, secret, namespace, name }
    });
}

/// The certificates of a PEM text, without what lies between their letters.
fn blocks(pem: &str) -> Vec<String> {
    let certificate = |block: &str| {
        let (_, letters) = block.split_once("-----BEGIN CERTIFICATE-----")?;
        Some(letters.split_whitespace().collect())
    };
    pem.split(PEM_END).filter_map(certificate).collect()
}
