//! How a long-running program ends: the first SIGTERM or SIGINT starts the grace period, in which it goes on serving; the
//! second, or the period's end, makes it drain.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// Tells every part of a program that it is time to drain. Cloned to each.
#[derive(Debug, Clone)]
pub struct Shutdown(watch::Receiver<bool>);

impl Shutdown {
    /// A shutdown and the sender that starts it: by sending `true`, or by being dropped.
    pub fn channel() -> (watch::Sender<bool>, Self) {
        let (sender, receiver) = watch::channel(false);
        (sender, Self(receiver))
    }

    /// Returns once it is time to drain.
    pub async fn started(&mut self) {
        // An error means that the sender is gone, which is the end as well.
        let _ = self.0.wait_for(|started| *started).await;
    }
}

/// The signals that end the program, caught from the moment this is made.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Starts to catch SIGTERM and SIGINT.
    pub fn new() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for the first signal.
    pub async fn told(&mut self, grace: Duration) {
        self.next().await;
        log::info!(grace_seconds = grace.as_secs(); "told to stop: serving until the grace period ends or a second signal");
    }

    /// After the first signal: waits for `grace`, or for a second signal.
    pub async fn grace(&mut self, grace: Duration) {
        tokio::select! {
            () = tokio::time::sleep(grace) => {}
            () = self.next() => {}
        }
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
