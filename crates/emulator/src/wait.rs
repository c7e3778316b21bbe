//! `imds-emulator --wait`: returns once the emulator beside us has started. It is the gate that holds the Pod's other
//! containers back: a `postStart` hook, or with `start: with-credentials` the `exec` startup probe of a native sidecar, whose
//! output kubelet writes into the Pod's events (docs/adr/0021). An image FROM scratch has no shell to write it in.
//!
//! It asks where IMDS is served, which nobody outside the Pod reaches: strangers can keep the admin listener from answering.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::admin::STARTED;
use crate::clock::{Clock, SystemClock};
use crate::config::WaitConfig;

const PAUSE: Duration = Duration::from_millis(100);
const ANSWER_TIME: Duration = Duration::from_secs(2);

/// Asks whether the emulator has started until it says yes or the time is over; then the error is the last answer.
pub fn until_started(config: &WaitConfig) -> Result<(), io::Error> {
    let end = config.timeout.map(|timeout| SystemClock.now().boot + timeout);
    loop {
        match ask(config.imds) {
            Ok(answer) if answer.starts_with("HTTP/1.1 200") || answer.starts_with("HTTP/1.0 200") => {
                return Ok(());
            }
            outcome if end.is_some_and(|end| SystemClock.now().boot >= end) => {
                let body =
                    |answer: String| answer.rsplit("\r\n\r\n").next().unwrap_or_default().trim().to_owned();
                return Err(outcome.map_or_else(|error| error, |answer| io::Error::other(body(answer))));
            }
            _ => std::thread::sleep(PAUSE),
        }
    }
}

fn ask(address: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, ANSWER_TIME)?;
    stream.set_read_timeout(Some(ANSWER_TIME))?;
    write!(stream, "GET {STARTED} HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(4096).read_to_string(&mut answer)?;
    Ok(answer)
}
