//! `check`: a look at a cluster, or at one Pod, as a doctor would.
//!
//! What is asked is in [`crate::kubectl`], and changes nothing; what an answer tells, in [`crate::facts`]. What all of it comes to
//! is decided in [`cluster`] and [`pod`], which are pure: answers and a time in, [`finding`]s out. [`report`] tells them.

mod causes;
mod cluster;
mod finding;
mod findings;
mod pod;
mod report;

use std::process::ExitCode;

use anyhow::Context as _;

use crate::COULD_NOT_LOOK;
use crate::arguments::{CheckArguments, Format};
use crate::clock::now;
use crate::kubectl::{Kubectl, Question};
use crate::output::Output;
use report::Report;

/// Does it all; 0 where all is well, 1 where something is wrong, 2 where nothing is as far as could be looked at.
pub(crate) fn check(arguments: &CheckArguments, output: &Output) -> anyhow::Result<ExitCode> {
    let report = match look(arguments, output) {
        Ok(report) => report.in_cluster(&arguments.cluster),
        Err(error) => {
            output.failed(&error);
            return Ok(ExitCode::from(COULD_NOT_LOOK));
        }
    };
    match arguments.format {
        Format::Text => report.tell(output),
        Format::Json => output.lines(&report.json()),
    }
    .context("cannot write to stdout")?;
    Ok(report.exit_code())
}

fn look(arguments: &CheckArguments, output: &Output) -> anyhow::Result<Report> {
    let kubectl = Kubectl::new(&arguments.cluster);
    let namespace = arguments.cluster.namespace.as_deref();
    match &arguments.pod {
        None => {
            let answers = kubectl.ask(output, |answers| cluster::plan(namespace, answers))?;
            answers.require(&Question::Version)?;
            let findings = cluster::judge(namespace, &answers, now());
            Ok(Report { namespace: namespace.map(str::to_owned), pod: None, findings })
        }
        Some(name) => {
            let first = Question::pod(namespace, name);
            let answers = kubectl.ask(output, |answers| pod::plan(&first, answers))?;
            answers.require(&first)?;
            let pod = answers.value(&first).context("kubectl gave no Pod")?;
            Ok(pod::judge(&pod, &answers, now()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::cluster::finding::ClusterFinding;
    use super::finding::Level;
    use super::findings::Unseen;
    use super::pod::finding::PodFinding;

    /// The test `diagnosis` puts each fault into a cluster, and writes down what is said.
    #[test]
    fn the_documentation_shows_every_finding() {
        let page = include_str!("../../../../docs/check.md");
        let (of_cluster, of_pod) = page.split_once("<!-- faults of a Pod -->").unwrap();
        for (page, findings) in [
            (of_cluster, ClusterFinding::ALL),
            (of_pod, PodFinding::ALL),
            (of_cluster, Unseen::ALL),
            (of_pod, Unseen::ALL),
        ] {
            for (word, _) in findings.iter().filter(|(_, level)| *level != Level::Well) {
                assert!(page.contains(&format!("| `{word}` |")), "{word} is not in docs/check.md");
            }
        }
    }
}
