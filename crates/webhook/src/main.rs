//! `imds-webhook`: see the library of the same name.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use imds_webhook::config::Arguments;

/// Wrong settings (`EX_USAGE` of BSD's sysexits).
const USAGE: u8 = 64;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are errors to clap, but no wrong usage.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    imds_daemon::logging::to_stderr(arguments.log_level);
    let settings = match arguments.settings() {
        Ok(settings) => settings,
        Err(error) => {
            say(&error);
            return ExitCode::from(USAGE);
        }
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            say(&error.into());
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(imds_webhook::run(arguments, settings));
    // A name that is still being resolved is not waited for.
    runtime.shutdown_background();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&error);
            ExitCode::FAILURE
        }
    }
}

fn say(error: &anyhow::Error) {
    let _ = writeln!(std::io::stderr(), "imds-webhook: {error:#}");
}
