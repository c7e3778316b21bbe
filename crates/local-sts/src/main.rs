//! The program `local-sts`: the library as a process, for tests and scripts.

mod options;

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;
use imds_local_sts::{Fault, LocalSts};
use tokio::signal::unix::{SignalKind, signal};

use crate::options::Options;

fn main() -> ExitCode {
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(error) => {
            // Nowhere to report a failure to. Help and version are errors to clap, but no wrong usage.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(64) } else { ExitCode::SUCCESS };
        }
    };
    imds_daemon::logging::to_stderr(log::LevelFilter::Info);
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "local-sts: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn run(options: &Options) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let state = &options.state;
    fs::create_dir_all(state).with_context(|| format!("can't create {}", state.display()))?;
    // What an earlier run has left must not look like this one's.
    for stale in ["url", "ca.pem"] {
        let _ = fs::remove_file(state.join(stale));
    }

    let sts = LocalSts::start(options.config()?).context("can't start")?;
    if options.fault != Fault::None {
        sts.set_fault(options.fault.clone());
    }
    if let Some(ca) = sts.ca_pem() {
        publish(&state.join("ca.pem"), &ca)?;
    }
    // Last: whoever waits for it finds the rest.
    publish(&state.join("url"), sts.url())?;
    writeln!(io::stdout(), "local-sts ready at {}, state in {}", sts.url(), state.display())?;

    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// Writes a file that appears whole or not at all.
fn publish(path: &Path, text: &str) -> anyhow::Result<()> {
    let new = path.with_extension("new");
    fs::write(&new, text)
        .and_then(|()| fs::rename(&new, path))
        .with_context(|| format!("can't write {}", path.display()))
}
