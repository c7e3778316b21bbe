//! One cause, and what follows from it: what is mended with the cause stands under it, so that a person mends one thing.

use super::finding::{Finding, Level};

/// The words of causes, and of what follows from each where both were found. The first cause that was found takes what follows.
const CAUSES: &[(&[&str], &[&str])] = &[
    // Nobody answers for the webhook, and nobody writes caBundle.
    (
        &["replicas_none", "scaled_to_none", "deployment_absent"],
        &["no_endpoints", "call_failed", "webhook_timeout", "not_injected", "bundle_empty", "refused_lately"],
    ),
    (&["service_absent"], &["bundle_empty", "refused_lately"]),
    (&["no_endpoints", "call_failed", "webhook_timeout"], &["refused_lately"]),
    // What the API server trusts, and what it says of the certificate.
    (&["bundle_empty", "bundle_other"], &["authority_unknown", "not_injected", "refused_lately"]),
    (&["certificate_expired"], &["not_injected", "refused_lately"]),
    // What the API server does not ask about is not injected.
    (&["selector_misses", "rules_miss"], &["not_injected"]),
    (&["image_changed"], &["other_image"]),
    // In a Pod: without a token or an emulator there are no credentials.
    (
        &["token_absent", "image_changed", "emulator_ended", "container_waits", "waits"],
        &["no_credentials", "credentials_expired", "refresh_failing", "not_asked"],
    ),
];

/// Puts what follows under its cause. A cause is at least as bad as what follows from it.
pub(super) fn grouped(mut findings: Vec<Finding>) -> Vec<Finding> {
    for (causes, consequences) in CAUSES {
        let is_cause = |finding: &Finding| causes.contains(&finding.word);
        let Some(word) = findings.iter().find(|finding| is_cause(finding)).map(|cause| cause.word) else {
            continue;
        };
        let (following, mut rest): (Vec<_>, Vec<_>) =
            findings.into_iter().partition(|finding| follows(finding, consequences));
        if let Some(cause) = rest.iter_mut().find(|finding| finding.word == word) {
            if following.iter().any(|finding| finding.level == Level::Wrong) {
                cause.level = Level::Wrong;
            }
            // What followed from a consequence follows from the cause.
            for mut finding in following {
                let further = std::mem::take(&mut finding.consequences);
                cause.consequences.push(finding);
                cause.consequences.extend(further);
            }
        }
        findings = rest;
    }
    findings
}

/// An event tells of any refusal: those that the webhook's absence explains follow from it.
fn follows(finding: &Finding, consequences: &[&str]) -> bool {
    let is_explained =
        finding.word != "refused_lately" || finding.sentence.contains("failed calling webhook");
    consequences.contains(&finding.word) && is_explained
}

#[cfg(test)]
mod tests {
    use super::super::cluster::finding::ClusterFinding;
    use super::super::pod::finding::PodFinding;
    use super::*;

    fn finding(word: &'static str, level: Level) -> Finding {
        Finding { word, level, sentence: word.to_owned(), remedy: None, consequences: Vec::new() }
    }

    fn words(findings: &[Finding]) -> Vec<(&str, Vec<&str>)> {
        let under = |finding: &Finding| finding.consequences.iter().map(|finding| finding.word).collect();
        findings.iter().map(|finding| (finding.word, under(finding))).collect()
    }

    #[test]
    fn what_follows_stands_under_its_cause() {
        let found = ["server", "no_endpoints", "replicas_none", "bundle_empty", "pods", "refused_lately"];
        let mut found: Vec<Finding> = found.map(|word| finding(word, Level::Wrong)).into();
        found.push(Finding {
            sentence: "exceeded quota".to_owned(),
            ..finding("refused_lately", Level::Warning)
        });
        found[5].sentence = "failed calling webhook".to_owned();
        let grouped = grouped(found);
        assert_eq!(
            words(&grouped),
            [
                ("server", vec![]),
                ("replicas_none", vec!["no_endpoints", "bundle_empty", "refused_lately"]),
                ("pods", vec![]),
                ("refused_lately", vec![]),
            ]
        );
    }

    #[test]
    fn without_its_cause_a_finding_stands_alone_and_a_cause_is_as_bad_as_what_follows() {
        let alone =
            grouped(vec![finding("bundle_empty", Level::Wrong), finding("not_asked", Level::Warning)]);
        assert_eq!(words(&alone), [("bundle_empty", vec![]), ("not_asked", vec![])]);
        let raised = grouped(vec![
            finding("deployment_absent", Level::Warning),
            finding("no_endpoints", Level::Wrong),
        ]);
        assert_eq!(words(&raised), [("deployment_absent", vec!["no_endpoints"])]);
        assert_eq!(raised[0].level, Level::Wrong);
    }

    #[test]
    fn every_word_is_of_a_finding() {
        let known =
            |word: &str| ClusterFinding::ALL.iter().chain(PodFinding::ALL).any(|(known, _)| *known == word);
        for (causes, consequences) in CAUSES {
            for word in causes.iter().chain(*consequences) {
                assert!(known(word), "{word}");
            }
        }
    }
}
