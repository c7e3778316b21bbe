//! `kubectl-imds`: see the library of the same name.

use std::process::ExitCode;

fn main() -> ExitCode {
    kubectl_imds::main(std::env::args_os())
}
