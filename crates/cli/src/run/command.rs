//! The user's command, in the Pod's place.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitCode;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::Command;

use super::interrupts::{Interrupts, exit_code};
use crate::output::Output;

/// The shell's codes for a command that is not there, and one that cannot be run.
const NOT_FOUND: i32 = 127;
const CANNOT_RUN: i32 = 126;

/// Runs the command; its code is ours.
pub(crate) async fn run(
    command: &[OsString],
    env: BTreeMap<OsString, OsString>,
    interrupts: &mut Interrupts,
    output: &Output,
) -> anyhow::Result<ExitCode> {
    let Some((program, arguments)) = command.split_first() else { return Ok(ExitCode::SUCCESS) };
    let spawned = Command::new(program).args(arguments).env_clear().envs(env).kill_on_drop(true).spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) => {
            output.error(&format!("cannot run {}: {error}", program.display()));
            let absent = error.kind() == io::ErrorKind::NotFound;
            return Ok(exit_code(if absent { NOT_FOUND } else { CANNOT_RUN }));
        }
    };
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
    let status = loop {
        tokio::select! {
            status = child.wait() => break status?,
            interrupted = interrupts.next() => {
                // The terminal sends Ctrl-C to the command itself, which may live on; the others are for us alone.
                if let (Some(pid), Signal::SIGTERM | Signal::SIGHUP) = (pid, interrupted.0) {
                    let _ = kill(pid, interrupted.0);
                }
            }
        }
    };
    Ok(exit_code(status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(1)))
}

/// The command's environment: the caller's without what would keep an AWS client from asking IMDS, then the container's.
pub(crate) fn environment(
    callers: impl IntoIterator<Item = (OsString, OsString)>,
    containers: Vec<(String, String)>,
) -> BTreeMap<OsString, OsString> {
    let mut env: BTreeMap<OsString, OsString> =
        callers.into_iter().filter(|(name, _)| !is_in_the_way(name)).collect();
    // A profile of the caller's comes before IMDS in every client's chain.
    for file in ["AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"] {
        env.insert(file.into(), "/dev/null".into());
    }
    env.extend(containers.into_iter().map(|(name, value)| (name.into(), value.into())));
    env
}

fn is_in_the_way(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    name.starts_with("AWS_") || name.to_ascii_lowercase().ends_with("_proxy")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_the_callers_comes_before_imds() {
        let callers = [
            ("PATH", "/bin"),
            ("AWS_ACCESS_KEY_ID", "mine"),
            ("AWS_PROFILE", "prod"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("http_proxy", "http://proxy"),
            ("HTTPS_PROXY", "http://proxy"),
            ("no_proxy", "*"),
        ]
        .map(|(name, value)| (name.into(), value.into()));
        let containers = vec![("AWS_REGION".to_owned(), "eu-central-1".to_owned())];
        let env = environment(callers, containers);
        let names: Vec<_> = env.keys().map(|name| name.to_str().unwrap()).collect();
        assert_eq!(names, ["AWS_CONFIG_FILE", "AWS_REGION", "AWS_SHARED_CREDENTIALS_FILE", "PATH"]);
    }

    #[test]
    fn the_container_has_the_last_word() {
        let containers = vec![("PATH".to_owned(), "/app".to_owned())];
        let env = environment([("PATH".into(), "/bin".into())], containers);
        assert_eq!(env.get(OsStr::new("PATH")).unwrap(), "/app");
    }
}
