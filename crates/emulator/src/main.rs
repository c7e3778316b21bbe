//! `imds-emulator`: see the library of the same name.

use std::alloc::System;
use std::io::Write as _;
use std::process::ExitCode;

use imds_contract::environment::ProcessEnvironment;
use imds_emulator::config::{Command, Config};
use zeroizing_alloc::ZeroAlloc;

/// Wipes whatever is freed: the HTTP and TLS libraries' buffers, too, have held credentials and tokens.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<System> = ZeroAlloc(System);

/// Wrong settings (`EX_USAGE` of BSD's sysexits).
const USAGE: u8 = 64;

fn main() -> ExitCode {
    let outcome = match imds_emulator::config::parse(std::env::args_os().skip(1), &ProcessEnvironment) {
        Ok(Command::Run(config)) => run(*config),
        Ok(Command::Wait(config)) => imds_emulator::wait::until_started(&config)
            .map_err(|error| format!("the emulator has not started: {error}")),
        Ok(Command::Print(text)) => {
            std::io::stdout().write_all(text.as_bytes()).map_err(|error| error.to_string())
        }
        Err(problems) => {
            say(&format!("wrong settings:\n{problems}"));
            return ExitCode::from(USAGE);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(config: Config) -> Result<(), String> {
    imds_daemon::logging::to_stderr(config.log_level);
    imds_emulator::hardening::apply();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(1).build();
    let runtime = runtime.map_err(|error| format!("can't start: {error}"))?;
    let outcome = runtime.block_on(imds_emulator::run(config)).map_err(|error| error.to_string());
    // A name that is still being resolved is not waited for.
    runtime.shutdown_background();
    outcome
}

fn say(message: &str) {
    let _ = writeln!(std::io::stderr(), "imds-emulator: {message}");
}
