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
        if let Some(namespace) = self.namespace_of(first)
            && let Some(Err(Failure::NotFound { .. })) = self.said(&Question::Namespace(namespace.clone()))
        {
            bail!(
                "there is no namespace {namespace} in this cluster: kubectl get namespaces lists those that there are"
            );
        }
        match self.said(first) {
            // The version is no secret, but some clusters keep it to themselves: the rest may be open.
            Some(Err(Failure::Forbidden { .. })) if *first == Question::Version => Ok(()),
            Some(Err(failure)) => bail!("{}: {failure}", first.what()),
            _ => Ok(()),
        }
    }

    /// Where a Pod is not there: whether its namespace is. The context's, where the question names none.
    pub(crate) fn about_absent_pod(&self, pod: &Question) -> Vec<Question> {
        let Some(Err(Failure::NotFound { .. })) = self.said(pod) else { return Vec::new() };
        match self.namespace_of(pod) {
            Some(namespace) => vec![Question::Namespace(namespace)],
            None => vec![Question::Config],
        }
    }

    fn namespace_of(&self, pod: &Question) -> Option<String> {
        let Question::Pod { namespace, .. } = pod else { return None };
        let of_context = || {
            let config = self.value(&Question::Config)?;
            Some(config.pointer("/contexts/0/context/namespace")?.as_str()?.to_owned())
        };
        namespace.clone().or_else(of_context)
    }

    /// The first answer that stands in the way of all others.
    pub(crate) fn end(&self) -> Option<&Failure> {
        self.0.values().filter_map(|answer| answer.as_ref().err()).find(|failure| failure.ends_all())
    }
}
