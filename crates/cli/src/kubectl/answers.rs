//! What was asked and what was said. Judging is done over this alone, so it is tested with what a cluster once said.

use std::collections::BTreeMap;

use anyhow::bail;
use serde_json::Value;

use super::{Answer, Failure, Question, Said};

/// See the module.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answers(BTreeMap<Question, Answer>);

impl Answers {
    pub(super) fn insert(&mut self, question: Question, answer: Answer) {
        self.0.insert(question, answer);
    }

    pub(crate) fn have(&self, question: &Question) -> bool {
        self.0.contains_key(question)
    }

    /// What was said; none where it was not asked.
    pub(crate) fn said(&self, question: &Question) -> Option<Result<&Said, Failure>> {
        Some(self.0.get(question)?.as_ref().map_err(Clone::clone))
    }

    /// The text on stdout; none where it was not asked, or there was no answer.
    pub(crate) fn text(&self, question: &Question) -> Option<&str> {
        Some(self.said(question)?.ok()?.stdout.as_str())
    }

    /// The answer as JSON.
    pub(crate) fn json(&self, question: &Question) -> Option<Result<Value, Failure>> {
        let garbled = || Failure::Other { said: "kubectl's answer is no JSON".to_owned() };
        Some(self.said(question)?.and_then(|said| serde_json::from_str(&said.stdout).map_err(|_| garbled())))
    }

    /// The answer as JSON; nothing where it was not asked, or there was no answer.
    pub(crate) fn value(&self, question: &Question) -> Option<Value> {
        self.json(question)?.ok()
    }

    /// An error where nothing was learnt: without this answer, and whatever stands in the way of all.
    pub(crate) fn require(&self, first: &Question) -> anyhow::Result<()> {
        if let Some(failure) = self.end() {
            bail!("{failure}");
        }
        match self.said(first) {
            // The version is no secret, but some clusters keep it to themselves: the rest may be open.
            Some(Err(Failure::Forbidden { .. })) if *first == Question::Version => Ok(()),
            Some(Err(failure)) => bail!("{}: {failure}", first.what()),
            _ => Ok(()),
        }
    }

    /// The first answer that stands in the way of all others.
    pub(crate) fn end(&self) -> Option<&Failure> {
        self.0.values().filter_map(|answer| answer.as_ref().err()).find(|failure| failure.ends_all())
    }
}
