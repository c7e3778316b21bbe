//! The explanation, printed.

use std::io;
use std::time::SystemTime;

use serde_json::Value;

use super::case::Case;
use super::cause::{Cause, Sense};
use super::policy::{self, ANY_ACCOUNT, ANY_AUDIENCE, ANY_ISSUER, ANY_ROLE, ANY_SUBJECT};
use super::suspects::{Suspect, Verdict, suspects};
use crate::arguments::ClusterArguments;
use crate::output::{Mark, Output};

/// What is printed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Report {
    pub(super) heading: Option<String>,
    /// What STS said, and the cause's word.
    pub(super) said: Option<(String, &'static str)>,
    pub(super) sense: Option<Sense>,
    pub(super) suspects: Vec<Suspect>,
    /// Each with what it is and the file that the commands name.
    pub(super) policies: Vec<(String, Value)>,
    pub(super) commands: Vec<String>,
    /// What to mind, and what would have made it better.
    pub(super) notes: Vec<String>,
}

const PUBLISH_FIRST: &str = "AWS can't read the issuer, so no trust policy is printed: it would name an issuer of which no provider can be \
                             made. Publish the issuer first: docs/install.md, \"Publish the issuer\".";

pub(super) fn report(case: &Case, heading: Option<&str>, now: SystemTime) -> Report {
    let (why, hop) = (case.cause(), case.hop());
    let mut policies = Vec::new();
    if let Some(trusted) = case.trusted().filter(|_| why.is_none_or(Cause::is_about_trust)) {
        let role = hop.as_ref().map(|(_, hop)| &hop.role_arn).or(case.role());
        let name = role.map_or(ANY_ROLE, |role| role.as_str());
        let statement = policy::statement(role, &trusted);
        let is_tagged = why == Some(Cause::TagSession);
        policies.push((
            format!("The statement that the trust policy of {name} has to have (statement.json)"),
            if is_tagged { policy::with_tags(statement) } else { statement },
        ));
    }
    if let Some((before, hop)) = hop.filter(|_| why.is_some_and(Cause::is_about_permission)) {
        policies.push((format!("The permission of {before} (permission.json)"), policy::permission(&hop)));
    }
    let commands = policy::commands(case);
    let shown = || policies.iter().map(|(_, policy)| policy.to_string()).chain(commands.iter().cloned());
    let missing: Vec<&str> = [ANY_ACCOUNT, ANY_ROLE, ANY_ISSUER, ANY_SUBJECT, ANY_AUDIENCE]
        .into_iter()
        .filter(|placeholder| shown().any(|text| text.contains(placeholder.trim_start_matches("https://"))))
        .collect();
    let mut notes = Vec::new();
    if case.issuer_is_private() {
        notes.push(PUBLISH_FIRST.to_owned());
    } else if policies.is_empty() && why.is_none_or(Cause::is_about_trust) {
        notes.push(
            "With a POD or a --token-file the statement for the trust policy is printed, too.".to_owned(),
        );
    }
    if case.is_by_text_alone() && !policies.is_empty() {
        notes.push(format!(
            "Whom the statement trusts is known from this text alone, and whatever runs in the Pod can write such a line. Compare it with \
             {} and with the Pod's service account and role before you use it.",
            policy::ISSUER_OF_CLUSTER
        ));
    }
    if !policies.is_empty() && missing.contains(&ANY_ISSUER) {
        notes.push(
            "Put in what stands in capitals; a POD or a --token-file tells the issuer, --role-arn the role."
                .to_owned(),
        );
    } else if !missing.is_empty() && (!policies.is_empty() || notes.is_empty()) {
        notes.push("Put in what stands in capitals, or give --role-arn.".to_owned());
    }
    Report {
        heading: heading.map(str::to_owned),
        said: case.said.as_ref().map(|said| (said.message.clone(), said.cause.word())),
        sense: case.cause().map(|cause| {
            if case.issuer_is_private() { cause.sense_for_private_issuer() } else { cause.sense() }
        }),
        suspects: suspects(case, now),
        policies,
        commands,
        notes,
    }
}

impl Report {
    /// The commands in it are for the cluster that was asked.
    pub(super) fn in_cluster(mut self, arguments: &ClusterArguments) -> Self {
        for command in &mut self.commands {
            *command = arguments.in_commands(command);
        }
        self
    }

    pub(super) fn tell(&self, output: &Output) -> io::Result<()> {
        let Self { heading, said, sense, suspects, policies, commands, notes } = self;
        if let Some(heading) = heading {
            output.answer(heading)?;
        }
        if let Some((said, word)) = said {
            output.finding(Mark::Cross, said, Some(word), None)?;
        }
        if let Some(Sense { means, because, mend, look, meanwhile }) = sense {
            output.heading("What it means")?;
            for (name, line) in [
                ("means", means),
                ("because", because),
                ("mend", mend),
                ("look", look),
                ("meanwhile", meanwhile),
            ] {
                output.entry(name, line)?;
            }
        }
        if !suspects.is_empty() {
            output.heading("Part by part")?;
        }
        for Suspect { part, verdict, text } in suspects {
            let mark = match verdict {
                Verdict::Right => Mark::Tick,
                Verdict::Suspect => Mark::Exclamation,
                Verdict::Wrong => Mark::Cross,
            };
            output.finding(mark, &format!("{:<16} {text}", part.name()), None, None)?;
        }
        for (name, policy) in policies {
            output.heading(name)?;
            output.lines(&format!("{policy:#}"))?;
        }
        if !commands.is_empty() {
            output.heading("Commands")?;
        }
        for command in commands {
            output.answer(command)?;
        }
        for note in notes {
            output.answer("")?;
            output.answer(note)?;
        }
        Ok(())
    }
}
