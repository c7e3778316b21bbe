//! Ctrl-C and its like: whatever happens, the session is taken down in order.

use std::future::Future;
use std::process::ExitCode;

use nix::sys::signal::Signal;
use tokio::signal::unix::{self, SignalKind, signal};

/// The signals that end the session, caught from the moment this is made.
#[derive(Debug)]
pub(crate) struct Interrupts {
    interrupt: unix::Signal,
    terminate: unix::Signal,
    hangup: unix::Signal,
}

/// The session was ended by a signal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Interrupted(pub(crate) Signal);

impl Interrupted {
    /// The shell's code for it.
    pub(crate) fn code(self) -> ExitCode {
        exit_code(128 + self.0 as i32)
    }
}

impl Interrupts {
    pub(crate) fn new() -> anyhow::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next signal.
    pub(crate) async fn next(&mut self) -> Interrupted {
        tokio::select! {
            _ = self.interrupt.recv() => Interrupted(Signal::SIGINT),
            _ = self.terminate.recv() => Interrupted(Signal::SIGTERM),
            _ = self.hangup.recv() => Interrupted(Signal::SIGHUP),
        }
    }

    /// Drops the work at a signal.
    pub(crate) async fn race<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Interrupted> {
        tokio::select! {
            done = work => Ok(done),
            interrupted = self.next() => Err(interrupted),
        }
    }
}

/// A process can only tell eight bits.
pub(crate) fn exit_code(code: i32) -> ExitCode {
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}
