//! The judges' sheet: what was found, and what could not be looked at.

use super::causes::grouped;
use super::finding::{Finding, findings};
use crate::kubectl::{Failure, Question};

findings! {
    /// What could not be looked at.
    Unseen
    Forbidden { what: String, said: String } = Unseen "forbidden"
        "not looked at, because you may not: {what} ({said})"
        mend "ask for the rights of the ClusterRole in docs/check.md";
    NotAnswered { what: String, said: String } = Unseen "not_answered"
        "{what}: not looked at: {said}";
}

/// In the order in which they are told, none twice.
#[derive(Debug, Default)]
pub(super) struct Findings {
    all: Vec<Finding>,
    /// What may not be looked at.
    forbidden: Vec<String>,
    /// The first refusal of that.
    said: Option<String>,
}

impl Findings {
    pub(super) fn add(&mut self, finding: impl Into<Finding>) {
        let finding = finding.into();
        if !self.all.contains(&finding) {
            self.all.push(finding);
        }
    }

    pub(super) fn unseen(&mut self, question: &Question, failure: &Failure) {
        let (what, said) = (question.what(), failure.to_string());
        match failure {
            Failure::Forbidden { .. } => {
                if !self.forbidden.contains(&what) {
                    self.forbidden.push(what);
                }
                self.said.get_or_insert(said);
            }
            _ => self.add(Unseen::NotAnswered { what, said }),
        }
    }

    /// Whether this is among them.
    pub(super) fn have(&self, word: &str) -> bool {
        self.all.iter().any(|finding| finding.word == word)
    }

    pub(super) fn number(&self) -> usize {
        self.all.len()
    }

    /// All of it; what is forbidden in one, and what follows from a finding under it.
    pub(super) fn done(mut self) -> Vec<Finding> {
        if let Some(said) = self.said.take() {
            let what = self.forbidden.join(", ");
            self.add(Unseen::Forbidden { what, said });
        }
        grouped(self.all)
    }
}
