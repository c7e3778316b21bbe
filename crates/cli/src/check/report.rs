//! What was found, as text and as JSON.

use std::io;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::finding::{Finding, Level};
use crate::COULD_NOT_LOOK;
use crate::arguments::ClusterArguments;
use crate::output::{Mark, Output};

/// What was looked at, and what was found.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) namespace: Option<String>,
    pub(super) pod: Option<String>,
    pub(super) findings: Vec<Finding>,
}

impl Report {
    /// The commands in it are for the cluster that was looked at.
    pub(super) fn in_cluster(mut self, arguments: &ClusterArguments) -> Self {
        in_cluster(&mut self.findings, arguments);
        self
    }

    pub(super) fn exit_code(&self) -> ExitCode {
        match self.outcome() {
            Level::Wrong => ExitCode::FAILURE,
            Level::Unseen => ExitCode::from(COULD_NOT_LOOK),
            Level::Well | Level::Warning => ExitCode::SUCCESS,
        }
    }

    /// The worst, as far as the exit code tells.
    fn outcome(&self) -> Level {
        let levels = [Level::Wrong, Level::Unseen, Level::Warning];
        levels.into_iter().find(|level| self.number(*level) > 0).unwrap_or(Level::Well)
    }

    fn number(&self, level: Level) -> usize {
        self.findings.iter().filter(|finding| finding.level == level).count()
    }

    pub(super) fn tell(&self, output: &Output) -> io::Result<()> {
        for Finding { word, level, sentence, remedy, consequences } in &self.findings {
            let (mark, word) = match level {
                Level::Well => (Mark::Tick, None),
                Level::Warning | Level::Unseen => (Mark::Exclamation, Some(*word)),
                Level::Wrong => (Mark::Cross, Some(*word)),
            };
            output.finding(mark, sentence, word, remedy.as_deref())?;
            for Finding { word, sentence, .. } in consequences {
                output.consequence(sentence, word)?;
            }
        }
        let levels = [
            (Level::Wrong, "wrong"),
            (Level::Warning, "to look into"),
            (Level::Unseen, "not looked at"),
            (Level::Well, "well"),
        ];
        let counted = levels.into_iter().filter(|(level, _)| self.number(*level) > 0);
        let counted = counted.map(|(level, words)| format!("{} {words}", self.number(level)));
        output.answer(&counted.collect::<Vec<_>>().join(", "))
    }

    pub(super) fn json(&self) -> String {
        let report = json!({
            "namespace": self.namespace,
            "pod": self.pod,
            "outcome": self.outcome().word(),
            "findings": as_json(&self.findings),
        });
        format!("{report:#}")
    }
}

fn in_cluster(findings: &mut [Finding], arguments: &ClusterArguments) {
    for Finding { remedy, consequences, .. } in findings {
        if let Some(remedy) = remedy {
            *remedy = arguments.in_commands(remedy);
        }
        in_cluster(consequences, arguments);
    }
}

fn as_json(findings: &[Finding]) -> Vec<Value> {
    let finding = |finding: &Finding| {
        let Finding { word, level, sentence, remedy, consequences } = finding;
        json!({
            "finding": word,
            "level": level.word(),
            "message": sentence,
            "remedy": remedy,
            "consequences": as_json(consequences),
        })
    };
    findings.iter().map(finding).collect()
}
