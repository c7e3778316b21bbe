//! A word on stderr for whoever waits: after a second, and every few seconds from then on.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;

use super::Question;
use crate::output::Output;

const AFTER: Duration = Duration::from_secs(1);
const EVERY: Duration = Duration::from_secs(5);

/// Tells until it is dropped.
pub(super) struct Progress {
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    waiting: Vec<String>,
    answered: usize,
}

impl Progress {
    pub(super) fn start(output: &Output) -> Self {
        let state = Arc::<Mutex<State>>::default();
        let task = tokio::spawn({
            let (state, output) = (Arc::clone(&state), output.clone());
            async move {
                tokio::time::sleep(AFTER).await;
                loop {
                    let line = state.lock().unwrap_or_else(PoisonError::into_inner).line();
                    if let Some(line) = line {
                        output.progress(&line);
                    }
                    tokio::time::sleep(EVERY).await;
                }
            }
        });
        Self { state, task }
    }

    pub(super) fn asked(&self, questions: &[Question]) {
        self.change(|state| state.waiting.extend(questions.iter().map(Question::what)));
    }

    pub(super) fn answered(&self, question: &Question) {
        self.change(|state| {
            let what = question.what();
            state.answered += 1;
            if let Some(index) = state.waiting.iter().position(|waiting| *waiting == what) {
                state.waiting.remove(index);
            }
        });
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl State {
    fn line(&self) -> Option<String> {
        let first = self.waiting.first()?;
        let all = self.answered + self.waiting.len();
        Some(format!("… {} of {all} questions answered, waiting for {first}", self.answered))
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.task.abort();
    }
}
