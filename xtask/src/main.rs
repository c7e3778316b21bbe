//! Commands of the repository that need more than one program built.
//!
//! `cargo demo [ARGUMENTS]` builds the programs and becomes
//! `kubectl-imds run ARGUMENTS`.

use std::env;
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};

/// Each is a package with a program of the same name.
const PROGRAMS: [&str; 3] = ["imds-emulator", "imds-redirect", "kubectl-imds"];

const USAGE: &str = "usage: cargo demo [ARGUMENTS of kubectl-imds run]";

fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1);
    let outcome = match arguments.next() {
        Some(command) if command == "demo" => demo(without_separator(arguments.collect())),
        _ => Err(io::Error::other(USAGE)),
    };
    let Err(error) = outcome;
    let _ = writeln!(io::stderr(), "xtask: {error}");
    ExitCode::FAILURE
}

/// `cargo demo -- --help` is what one writes who thinks of `cargo run`; the separator is for us then, not for `run`.
fn without_separator(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let for_us =
        |first: &OsString, second: &OsString| first == "--" && second.as_encoded_bytes().starts_with(b"-");
    if let [first, second, ..] = arguments.as_slice()
        && for_us(first, second)
    {
        arguments.remove(0);
    }
    arguments
}

/// Returns only to say what went wrong.
fn demo(arguments: Vec<OsString>) -> io::Result<std::convert::Infallible> {
    let own = env::current_exe()?;
    let folder = own.parent().unwrap_or(Path::new("."));
    // Cargo tells a program that it runs which cargo it is.
    let mut build = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    build.arg("build");
    // The first time takes a while: then cargo shows what it does.
    if PROGRAMS.iter().all(|program| folder.join(program).exists()) {
        build.arg("--quiet");
    }
    for program in PROGRAMS {
        build.args(["--package", program]);
    }
    if !build.status()?.success() {
        return Err(io::Error::other("the programs do not build"));
    }
    Err(Command::new(folder.join("kubectl-imds")).arg("run").args(arguments).exec())
}
