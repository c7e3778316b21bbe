//! The cluster, by way of the program `kubectl`: whoever has this plugin has it, and it brings kubeconfig, contexts, logins,
//! proxies and impersonation as its user knows them.
//!
//! Nothing here changes anything in the cluster. [`question`] says what there is to ask and in which words, [`failure`] what it
//! means when there is no answer, [`answers`] holds what was said; here the program is run. Every call has a time limit.

mod answers;
mod failure;
mod progress;
mod question;

pub(crate) use answers::Answers;
pub(crate) use failure::Failure;
pub(crate) use question::{Kind, Question, Scope};

use std::ffi::{OsStr, OsString};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::arguments::ClusterArguments;
use crate::output::Output;
use progress::Progress;

/// How many kubectls run at once: each takes a core for a moment.
const AT_ONCE: usize = 4;

/// What kubectl said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// What it said, or why it said nothing.
pub(crate) type Answer = Result<Said, Failure>;

/// How kubectl is run.
#[derive(Debug, Clone)]
pub(crate) struct Kubectl {
    program: OsString,
    flags: Vec<OsString>,
    patience: Duration,
}

impl Kubectl {
    /// As the command line says.
    pub(crate) fn new(arguments: &ClusterArguments) -> Self {
        let ClusterArguments { namespace: _, context, kubeconfig, r#as, as_group, kubectl, timeout } =
            arguments;
        let flag = |name: &str, value: &OsStr| {
            let mut flag = OsString::from(format!("--{name}="));
            flag.push(value);
            flag
        };
        let mut flags = Vec::new();
        flags.extend(kubeconfig.iter().map(|file| flag("kubeconfig", file.as_os_str())));
        flags.extend(context.iter().map(|context| flag("context", context.as_ref())));
        flags.extend(r#as.iter().map(|user| flag("as", user.as_ref())));
        flags.extend(as_group.iter().map(|group| flag("as-group", group.as_ref())));
        Self { program: kubectl.into(), flags, patience: Duration::from_secs((*timeout).into()) }
    }

    /// Asks all of it, and goes on as long as `next`, which sees all answers so far, has more to ask. The first question is
    /// asked alone: it is where a person may have to log in.
    pub(crate) fn ask(
        &self,
        output: &Output,
        next: impl Fn(&Answers) -> Vec<Question>,
    ) -> anyhow::Result<Answers> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        Ok(runtime.context("cannot start")?.block_on(self.ask_all(output, next)))
    }

    async fn ask_all(&self, output: &Output, next: impl Fn(&Answers) -> Vec<Question>) -> Answers {
        let progress = Progress::start(output);
        let mut answers = Answers::default();
        loop {
            let mut questions = next(&answers);
            questions.retain(|question| !answers.have(question));
            if questions.is_empty() {
                return answers;
            }
            progress.asked(&questions);
            let slots = Arc::new(Semaphore::new(AT_ONCE));
            let mut running = JoinSet::new();
            for question in questions {
                let (kubectl, slots) = (self.clone(), Arc::clone(&slots));
                running.spawn(async move {
                    let _slot = slots.acquire().await;
                    let answer = kubectl.run(&question).await;
                    (question, answer)
                });
            }
            while let Some(Ok((question, answer))) = running.join_next().await {
                progress.answered(&question);
                answers.insert(question, answer);
            }
        }
    }

    async fn run(&self, question: &Question) -> Answer {
        let mut command = Command::new(&self.program);
        command.args(&self.flags).args(question.words());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| Failure::cannot_run(&self.program, &error))?;
        let stdin = child.stdin.take();
        let text = question.stdin();
        let exchange = async {
            if let (Some(mut stdin), Some(text)) = (stdin, text) {
                // Whether it was all read shows in the outcome.
                let _ = stdin.write_all(text.as_bytes()).await;
            }
            child.wait_with_output().await
        };
        let output = timeout(self.patience, exchange)
            .await
            .map_err(|_| Failure::TimedOut { after: self.patience })?
            .map_err(|error| Failure::cannot_run(&self.program, &error))?;
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        let said = Said { stdout: text(&output.stdout), stderr: text(&output.stderr) };
        if output.status.success() { Ok(said) } else { Err(Failure::said(&said.stderr)) }
    }
}
