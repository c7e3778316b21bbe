//! What makes the program at home in a shell: completions and man pages, both made of the command line's definition.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::CommandFactory as _;

use crate::arguments::{Arguments, CompletionArguments, ManArguments};
use crate::output::Output;

/// What is typed, and what the files are for.
const NAME: &str = env!("CARGO_PKG_NAME");

/// Prints the completions.
pub(crate) fn completion(arguments: &CompletionArguments, output: &Output) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    let whole = Arguments::command();
    // Hidden commands would be offered, too.
    let shown = whole.get_subcommands().filter(|command| !command.is_hide_set()).cloned();
    let mut command = clap::Command::new(NAME).subcommands(shown);
    clap_complete::generate(arguments.shell, &mut command, NAME, &mut script);
    output.data(&script).context("cannot write to stdout")?;
    Ok(ExitCode::SUCCESS)
}

/// Writes the pages.
pub(crate) fn man(arguments: &ManArguments) -> anyhow::Result<ExitCode> {
    let folder = &arguments.folder;
    clap_mangen::generate_to(Arguments::command(), folder)
        .with_context(|| format!("cannot write into {}", folder.display()))?;
    Ok(ExitCode::SUCCESS)
}
