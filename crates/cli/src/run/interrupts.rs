//! Ctrl-C and its like: whatever happens, the session is taken down in order.

use std::future::{Future, pending};
use std::process::ExitCode;
use std::thread;

use anyhow::Context as _;
use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// The signals that end the session, caught from the moment this is made; to be made before there is a second thread,
/// which would not hold them back.
#[derive(Debug)]
pub(crate) struct Interrupts(UnboundedReceiver<Interrupted>);

/// The session was ended by a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Interrupted {
    pub(crate) signal: Signal,
    /// Typed: the terminal sends it to every program in the foreground.
    pub(crate) typed: bool,
}

impl Interrupted {
    /// `number` and `code` as in `signalfd(2)`.
    fn new(number: u32, code: i32) -> Option<Self> {
        let signal = Signal::try_from(i32::try_from(number).ok()?).ok()?;
        // sigaction(2): SI_KERNEL is the kernel's own doing, and kill(2) has others.
        Some(Self { signal, typed: signal == Signal::SIGINT && code == libc::SI_KERNEL })
    }

    /// The shell's code for it.
    pub(crate) fn code(self) -> ExitCode {
        exit_code(128 + self.signal as i32)
    }
}

impl Interrupts {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let context = "cannot wait for signals";
        let signals = signals();
        // Inherited by every program that is started: see `let_through`.
        signals.thread_block().context(context)?;
        // A descriptor tells where a signal comes from, as no handler in safe code does.
        let descriptor = SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC).context(context)?;
        let (sender, receiver) = unbounded_channel();
        thread::Builder::new().spawn(move || pass_on(&descriptor, &sender)).context(context)?;
        Ok(Self(receiver))
    }

    /// Waits for the next signal.
    pub(crate) async fn next(&mut self) -> Interrupted {
        match self.0.recv().await {
            Some(interrupted) => interrupted,
            // The descriptor gave up: nothing comes any more.
            None => pending().await,
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

fn signals() -> SigSet {
    SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP])
}

/// In a process that was started meanwhile: gives the signals their usual effect back.
pub(crate) fn let_through() -> anyhow::Result<()> {
    signals().thread_unblock().context("cannot let signals through")
}

fn pass_on(descriptor: &SignalFd, sender: &UnboundedSender<Interrupted>) {
    loop {
        match descriptor.read_signal() {
            Ok(info) => {
                let interrupted = info.and_then(|info| Interrupted::new(info.ssi_signo, info.ssi_code));
                if interrupted.is_some_and(|interrupted| sender.send(interrupted).is_err()) {
                    return;
                }
            }
            Err(Errno::EINTR) => {}
            Err(_) => return,
        }
    }
}

/// A process can only tell eight bits.
pub(crate) fn exit_code(code: i32) -> ExitCode {
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ctrl_c_is_typed() {
        let typed = |signal, code| Interrupted::new(signal as u32, code).unwrap().typed;
        assert!(typed(Signal::SIGINT, libc::SI_KERNEL));
        assert!(!typed(Signal::SIGINT, libc::SI_USER));
        // A terminal that closes tells its first program alone.
        assert!(!typed(Signal::SIGHUP, libc::SI_KERNEL));
    }
}
