//! The program: arguments in, one line out. Exit 0 when done, 64 for wrong settings, 1 for anything else.

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;

use imds_contract::environment::ProcessEnvironment;
use imds_redirect::config::{self, Command, HELP};

/// `EX_USAGE` of sysexits.h.
const USAGE: u8 = 64;

fn main() -> ExitCode {
    let command = match config::parse(std::env::args_os().skip(1), &ProcessEnvironment) {
        Ok(command) => command,
        Err(usage) => return complain(&usage, ExitCode::from(USAGE)),
    };
    match command {
        Command::Help => say(HELP),
        Command::Version => say(concat!("imds-redirect ", env!("CARGO_PKG_VERSION"))),
        Command::Run(config) => match imds_redirect::run(&config) {
            Ok(report) => say(&report.to_string()),
            Err(error) => complain(&error, ExitCode::FAILURE),
        },
    }
}

fn say(line: &str) -> ExitCode {
    // The work is done and verified by now: a closed stdout does not undo it.
    let _ = writeln!(std::io::stdout(), "{line}");
    ExitCode::SUCCESS
}

/// Prints the error and its causes as one chain.
fn complain(error: &dyn Error, code: ExitCode) -> ExitCode {
    let chain: Vec<String> =
        std::iter::successors(Some(error), |&error| error.source()).map(ToString::to_string).collect();
    let _ = writeln!(std::io::stderr(), "imds-redirect: {}", chain.join(": "));
    code
}
