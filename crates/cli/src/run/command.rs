//! The user's command, in the Pod's place.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::PathBuf;
use std::process::{self, ExitCode};

use anyhow::Context as _;
use nix::sys::signal::kill;
use nix::unistd::{AccessFlags, Pid, access};
use tokio::process::Command;

use super::container::end_with;
use super::interrupts::{Interrupted, Interrupts, exit_code, let_through};
use crate::arguments::CommandArguments;
use crate::output::Output;

/// The shell's codes for a command that is not there, and one that cannot be run.
const NOT_FOUND: i32 = 127;
const CANNOT_RUN: i32 = 126;

/// Runs the command; its code is ours.
pub(crate) async fn run(
    command: &[OsString],
    env: BTreeMap<OsString, OsString>,
    interrupts: &mut Interrupts,
) -> anyhow::Result<ExitCode> {
    let Some((program, arguments)) = command.split_first() else { return Ok(ExitCode::SUCCESS) };
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut child = Command::new("/proc/self/exe")
        .args(["__command", "--parent", &std::process::id().to_string(), "--"])
        .arg(find(program, &path).unwrap_or_else(|| program.into()))
        .args(arguments)
        .env_clear()
        .envs(env)
        .kill_on_drop(true)
        .spawn()
        .context("cannot start the command")?;
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
    let status = loop {
        tokio::select! {
            status = child.wait() => break status?,
            Interrupted { signal, typed } = interrupts.next() => {
                // What was typed has reached the command itself, which may live on; the others are for us alone.
                if let (Some(pid), false) = (pid, typed) {
                    let _ = kill(pid, signal);
                }
            }
        }
    };
    Ok(exit_code(status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(1)))
}

/// In a process of its own: becomes the command. Returns only to tell, as a shell does, that it cannot.
pub(crate) fn become_it(arguments: &CommandArguments, output: &Output) -> anyhow::Result<ExitCode> {
    let CommandArguments { parent, command } = arguments;
    let (program, arguments) = command.split_first().context("no command")?;
    let_through()?;
    end_with(*parent)?;
    let error = process::Command::new(program).args(arguments).exec();
    output.error(format_args!("cannot run {}: {error}", program.display()));
    Ok(exit_code(if error.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { CANNOT_RUN }))
}

/// Finds a program in the caller's `PATH`: the container's, which the command gets, is about another root file system.
fn find(program: &OsStr, path: &OsStr) -> Option<PathBuf> {
    if program.as_bytes().contains(&b'/') {
        return None;
    }
    let mut files = std::env::split_paths(path).map(|folder| folder.join(program));
    files.find(|file| file.is_file() && access(file, AccessFlags::X_OK).is_ok())
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
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

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
    #[test]
    fn a_program_is_found_as_the_callers_shell_would() {
        let folder = tempfile::tempdir().unwrap();
        let [first, second] = ["first", "second"].map(|name| folder.path().join(name));
        for (folder, mode) in [(&first, 0o644), (&second, 0o755)] {
            fs::create_dir(folder).unwrap();
            fs::write(folder.join("tool"), "").unwrap();
            fs::set_permissions(folder.join("tool"), fs::Permissions::from_mode(mode)).unwrap();
        }
        let path = std::env::join_paths([&first, &second]).unwrap();
        assert_eq!(find(OsStr::new("tool"), &path), Some(second.join("tool")), "the first cannot be run");
        assert_eq!(find(OsStr::new("other"), &path), None);
        assert_eq!(find(OsStr::new("./tool"), &path), None, "a path is no name");
    }
}
