//! The injected programs as child processes. None outlives this process, however it ends.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::kubelet::Process;
use super::users::Users;
use crate::output::{Output, ProgramFailed};

/// From one SIGTERM to the next: the first asks the emulator to drain, the second to stop now.
const BETWEEN_SIGNALS: Duration = Duration::from_millis(50);
const SIGNALS: u32 = 40;

/// How many of a program's last lines are kept to show them if something fails.
const KEPT_LINES: usize = 200;

/// Finds a program of ours: beside this one, else in `PATH`.
fn find(name: &str) -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("cannot tell where this program is")?;
    let beside = own.parent().unwrap_or(Path::new("/"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut candidates = std::iter::once(beside.to_owned())
        .chain(std::env::split_paths(&path))
        .map(|folder| folder.join(name));
    candidates.find(|file| file.is_file()).with_context(|| {
        format!("{name} is neither in {} nor in PATH: install it beside kubectl-imds", beside.display())
    })
}

/// The local file of a container's program.
pub(crate) fn of(process: &Process) -> anyhow::Result<PathBuf> {
    let command = process.command.first().context("a container without a command")?;
    find(&Path::new(command).file_name().unwrap_or_default().to_string_lossy())
}

/// A running program.
#[derive(Debug)]
pub(crate) struct Program {
    name: String,
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    readers: Vec<JoinHandle<()>>,
}

impl Program {
    /// Starts a container's process: `file` in place of its program, the rest as the spec has it.
    pub(crate) fn start(
        file: &Path,
        process: &Process,
        users: Users,
        echo: Option<&Output>,
    ) -> anyhow::Result<Self> {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut command = Command::new("/proc/self/exe");
        command.arg("__container").arg("--parent").arg(std::process::id().to_string());
        if let (Users::AsInSpec, Some(user)) = (users, process.user) {
            command.arg("--user").arg(user.to_string());
            command.arg("--group").arg(process.group.unwrap_or(user).to_string());
        }
        for capability in &process.capabilities {
            command.arg("--capability").arg(capability);
        }
        command.arg("--").arg(file).args(process.command.iter().skip(1));
        command.env_clear().envs(process.env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Ctrl-C is for the user's command: the programs end when it has.
        command.process_group(0).kill_on_drop(true);
        let mut child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        let lines = Arc::default();
        let mut readers = Vec::new();
        readers.extend(child.stdout.take().map(|stream| read(stream, &name, &lines, echo)));
        readers.extend(child.stderr.take().map(|stream| read(stream, &name, &lines, echo)));
        Ok(Self { name, child, lines, readers })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// What it said last.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The error that it has ended, with what it said.
    pub(crate) fn failed(&self, what: impl Display) -> ProgramFailed {
        ProgramFailed::new(format_args!("{} {what}; it said:", self.name), self.lines())
    }

    /// Waits for its end, and for all that it said.
    pub(crate) async fn ended(&mut self) -> anyhow::Result<ExitStatus> {
        let status = self.child.wait().await.with_context(|| format!("cannot wait for {}", self.name))?;
        for reader in self.readers.drain(..) {
            let _ = reader.await;
        }
        Ok(status)
    }

    /// Waits for its end, which has to be a success; what it said.
    pub(crate) async fn succeeded(mut self) -> anyhow::Result<Vec<String>> {
        let status = self.ended().await?;
        let lines = self.lines();
        if !status.success() {
            bail!(ProgramFailed::new(format_args!("{} ended with {status}; it said:", self.name), lines));
        }
        Ok(lines)
    }

    /// Ends it: by SIGTERM, then without asking.
    pub(crate) async fn stop(mut self) {
        for _ in 0..SIGNALS {
            let Some(pid) = self.child.id().and_then(|id| i32::try_from(id).ok()) else { return };
            // An error says that it has ended in between.
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
            if timeout(BETWEEN_SIGNALS, self.child.wait()).await.is_ok() {
                return;
            }
        }
        let _ = self.child.kill().await;
    }
}

fn read(
    stream: impl AsyncRead + Unpin + Send + 'static,
    name: &str,
    lines: &Arc<Mutex<Vec<String>>>,
    echo: Option<&Output>,
) -> JoinHandle<()> {
    let (name, lines, echo) = (name.to_owned(), Arc::clone(lines), echo.cloned());
    tokio::spawn(async move {
        let mut stream = BufReader::new(stream).lines();
        while let Ok(Some(line)) = stream.next_line().await {
            if let Some(output) = &echo {
                output.log(&name, &line);
            }
            let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
            if lines.len() == KEPT_LINES {
                lines.remove(0);
            }
            lines.push(line);
        }
    })
}
