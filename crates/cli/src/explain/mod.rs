//! `explain`: why STS refuses, in a person's words, and the trust policy that it would take.
//!
//! [`said`] reads what STS said, [`whose`] tells other errors from STS's, [`cause`] is the table of what it means, [`case`] puts together what
//! is known; [`suspects`] and [`policy`] say what is wrong and what is right, [`report`] prints. All of them are pure. No token and no
//! signature is ever printed: of a token its claims are read.

mod case;
mod cause;
mod others;
mod policy;
mod report;
mod said;
mod suspects;
mod whose;

use std::fs::File;
use std::io::{self, IsTerminal as _, Read as _};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow, bail};
use imds_contract::pod::EMULATOR_CONTAINER;
use imds_sts::{Claims, TOKEN_LENGTH};
use serde_json::Value;

use crate::arguments::{ClusterArguments, ExplainArguments, PodName};
use crate::clock::now;
use crate::facts::emulator::{self, Credentials, Outcome, log, outcome};
use crate::facts::identity::Identity;
use crate::facts::injected;
use crate::facts::object::names;
use crate::facts::owner::Commands;
use crate::kubectl::{Answers, Kubectl, Question};
use crate::output::Output;
use crate::words::span;
use crate::{COULD_NOT_LOOK, USAGE};
use case::Case;
use said::Said;

/// Nobody pastes more.
const LONGEST_ERROR: u64 = 4 * 1024 * 1024;

/// Does it all.
pub(crate) fn explain(arguments: &ExplainArguments, output: &Output) -> anyhow::Result<ExitCode> {
    let ExplainArguments { pod, token_file, error, role_arn, cluster } = arguments;
    let mut case = Case::default();
    let mut heading = None;
    if let Some(pod) = pod {
        match of_pod(pod, cluster, output) {
            Ok(look) => {
                heading = Some(look.heading());
                case = look.case;
            }
            Err(error) => {
                output.failed(&error);
                return Ok(ExitCode::from(COULD_NOT_LOOK));
            }
        }
    }
    if let Some(file) = token_file {
        case.claims = Some(claims(file)?);
    }
    let text = match error {
        Some(text) => Some(text.clone()),
        None if pod.is_none() && token_file.is_none() => {
            if io::stdin().is_terminal() {
                output.error("name a POD, a --token-file or an --error; --help has examples");
                return Ok(ExitCode::from(USAGE));
            }
            Some(read(io::stdin(), LONGEST_ERROR).context("cannot read stdin")?)
        }
        None => None,
    };
    if let Some(text) = text {
        let unknown =
            || anyhow!("in this text there is no failure that is known here; docs/explain.md lists what is");
        case.said = Some(Said::read(&text).ok_or_else(unknown)?);
    }
    if role_arn.is_some() {
        case.identity.role.clone_from(role_arn);
    }
    let report = report::report(&case, heading.as_deref(), now()).in_cluster(cluster);
    report.tell(output).context("cannot write to stdout")?;
    Ok(ExitCode::SUCCESS)
}

/// What is known of a Pod.
struct Look {
    case: Case,
    name: String,
    outcome: Option<Outcome>,
}

impl Look {
    fn heading(&self) -> String {
        let Identity { subject, .. } = &self.case.identity;
        let first = format!("The Pod {} asks for {} as {subject}.", self.name, self.case.identity.roles());
        let then = match self.outcome.as_ref().map(|outcome| &outcome.credentials) {
            Some(Credentials::Valid { left }) => {
                format!("Its credentials are valid for {} more.", span(*left))
            }
            Some(Credentials::Expired) => "Its credentials have expired.".to_owned(),
            Some(Credentials::None) => "It has no credentials.".to_owned(),
            None => "How its credentials are is not known: its emulator could not be asked.".to_owned(),
        };
        format!("{first} {then}")
    }
}

fn of_pod(name: &PodName, cluster: &ClusterArguments, output: &Output) -> anyhow::Result<Look> {
    let first = Question::pod(cluster.namespace.as_deref(), name);
    let plan = |answers: &Answers| match answers.json(&first) {
        None => vec![first.clone()],
        Some(Ok(pod)) => emulator::questions(&pod).into_iter().chain([Question::Issuer]).collect(),
        Some(Err(_)) => answers.about_absent_pod(&first),
    };
    let answers = Kubectl::new(cluster).ask(output, plan)?;
    answers.require(&first)?;
    let pod = answers.value(&first).context("kubectl gave no Pod")?;
    let (namespace, name) = names(&pod);
    if injected::emulator(&pod).is_none() {
        let command = Commands::plugin("check", &pod);
        bail!("the Pod {namespace}/{name} has no emulator: {command} says why");
    }
    let issuer = answers.value(&Question::Issuer);
    let issuer = issuer.as_ref().and_then(|document| document.get("issuer")?.as_str()).map(str::to_owned);
    let outcome = outcome(&pod, &answers, now()).and_then(Result::ok);
    let failure = outcome.as_ref().and_then(|outcome| outcome.failure.as_deref());
    let said = match &outcome {
        // It was refused once, and is well now.
        Some(outcome) if outcome.failure.is_none() && outcome.credentials != Credentials::None => None,
        _ => logged(&pod, &answers, failure).or_else(|| failure.and_then(Said::read)),
    };
    let identity = Identity::of_pod(&pod);
    let case = Case { said, claims: None, identity, of_pod: true, cluster_issuer: issuer };
    Ok(Look { case, name: format!("{namespace}/{name}"), outcome })
}

/// The last failure in the emulator's log, which tells of the token too; only where it is the one that counts.
fn logged(pod: &Value, answers: &Answers, failure: Option<&str>) -> Option<Said> {
    let said = Said::read(answers.text(&log(pod, EMULATOR_CONTAINER))?)?;
    // A request's id differs from one try to the next.
    let without_id = |text: &str| text.split(" (request ").next().unwrap_or_default().to_owned();
    failure.is_none_or(|failure| without_id(failure) == without_id(&said.message)).then_some(said)
}

fn claims(file: &Path) -> anyhow::Result<Claims> {
    let is_stdin = file == Path::new("-");
    let name = if is_stdin { "stdin".to_owned() } else { file.display().to_string() };
    // One more shows that it is too long.
    let most = *TOKEN_LENGTH.end() as u64 + 1;
    let text =
        if is_stdin { read(io::stdin(), most) } else { File::open(file).and_then(|file| read(file, most)) };
    let text = text.with_context(|| format!("cannot read {name}"))?;
    // Nothing of what is there is repeated: it may be a part of a token.
    Claims::of(text.trim()).with_context(|| {
        let most = TOKEN_LENGTH.end();
        format!("{name} holds no token: one is HEADER.PAYLOAD.SIGNATURE, {most} characters at most")
    })
}

fn read(source: impl io::Read, most: u64) -> io::Result<String> {
    let mut bytes = Vec::new();
    source.take(most).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
