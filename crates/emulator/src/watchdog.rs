//! Ends the program when its event loop no longer runs, so that kubelet starts it anew. In place of a liveness probe: kubelet
//! would ask over the Pod network, where strangers can keep the answer from coming (docs/adr/0020).

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

/// How often the event loop shows that it runs.
const BEAT: Duration = Duration::from_secs(4);

/// So many looks in a row, one each [`BEAT`], at a loop that has not run since. Counted in looks and not in time: after a
/// suspension of the machine both have slept.
const MOST_MISSED: u32 = 3;

/// More than the thread needs; the least that the C library allows is less than a page more.
const STACK_BYTES: usize = 32 * 1024;

/// Starts to watch over the runtime that this is called in.
pub fn start() -> io::Result<()> {
    let beats = Arc::new(AtomicU32::new(0));
    let watched = Arc::clone(&beats);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(BEAT).await;
            beats.fetch_add(1, Relaxed);
        }
    });
    thread::Builder::new()
        .name("watchdog".to_owned())
        .stack_size(STACK_BYTES)
        .spawn(move || watch(&watched))?;
    Ok(())
}

fn watch(beats: &AtomicU32) {
    let (mut seen, mut missed) = (beats.load(Relaxed), 0);
    while missed < MOST_MISSED {
        thread::sleep(BEAT);
        let now = beats.load(Relaxed);
        missed = if now == seen { missed + 1 } else { 0 };
        seen = now;
    }
    log::error!(seconds = BEAT.as_secs() * u64::from(missed); "the event loop no longer runs: ending, to be started anew");
    std::process::abort();
}
