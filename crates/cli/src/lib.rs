//! `kubectl-imds`, also `kubectl imds`: the command line.
//!
//! `inject` does to files what the webhook does to Pods, with the same library.
//!
//! `run` injects a Pod with the same library as the webhook and then does by hand what a cluster would do with the
//! result, on this machine: an STS, a projected token, a network namespace, the init container, the sidecar; and a client
//! that only knows `http://169.254.169.254`.
//!
//! `check` looks at a cluster or a Pod, `explain` at what STS said; both ask the cluster by running kubectl (the module `kubectl`), read the
//! answers alike (the module `facts`), and change nothing.

mod arguments;
mod check;
mod clock;
mod explain;
mod facts;
mod inject;
mod kubectl;
mod output;
mod pod_file;
mod run;
mod shell;
mod shell_words;
mod words;
mod yaml;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser as _;
use imds_contract::visible;

use arguments::{Arguments, Command};
use output::Output;

/// The cluster could not be looked at, or not at all of it.
const COULD_NOT_LOOK: u8 = 2;

/// Wrong usage (`EX_USAGE` of BSD's sysexits).
const USAGE: u8 = 64;

/// The whole program: reads the command line, does what it says, and says what went wrong.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let words: Vec<OsString> = arguments.into_iter().collect();
    let arguments = match Arguments::try_parse_from(&words) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Also how `--help` and `--version` come back: those are no error.
            let code = if error.use_stderr() { USAGE } else { 0 };
            let _ = with_visible_words(&error, &words).print();
            return ExitCode::from(code);
        }
    };
    let output = Output::new();
    let outcome = match arguments.command {
        Command::Inject(arguments) => inject::inject(&arguments, &output),
        Command::Run(arguments) => run::run(&arguments, &output),
        Command::Check(arguments) => check::check(&arguments, &output),
        Command::Explain(arguments) => explain::explain(&arguments, &output),
        Command::Completion(arguments) => shell::completion(&arguments, &output),
        Command::Man(arguments) => shell::man(&arguments),
        Command::Container(container) => run::container::become_it(&container).map(|never| match never {}),
        Command::Become(command) => run::command::become_it(&command, &output),
        Command::Probe => run::probe::answer().map(|()| ExitCode::SUCCESS),
    };
    outcome.unwrap_or_else(|error| {
        output.failed(&error);
        ExitCode::FAILURE
    })
}

/// The same error of the command line, which repeats the words that are wrong, without what a terminal obeys in them.
fn with_visible_words(error: &clap::Error, words: &[OsString]) -> clap::Error {
    let shown: Vec<String> = words.iter().map(|word| visible(&word.to_string_lossy()).into_owned()).collect();
    match Arguments::try_parse_from(shown) {
        Err(shown) if shown.kind() == error.kind() => shown,
        // Made visible, the words are no error any more, or another one.
        _ => clap::Error::raw(
            error.kind(),
            format!("{}\n", visible(error.to_string().trim_start_matches("error: "))),
        ),
    }
}
