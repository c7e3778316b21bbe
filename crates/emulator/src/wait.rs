//! `imds-emulator --wait`: returns once the emulator beside us has started. It is the `postStart` gate of the classic
//! (not native) sidecar: kubelet starts the next container only when it has ended, and an image FROM scratch has no shell
//! to write it in.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::clock::{Clock, SystemClock};
use crate::config::WaitConfig;

const PAUSE: Duration = Duration::from_millis(100);
const ANSWER_TIME: Duration = Duration::from_secs(2);

/// Asks `/startupz` until it says yes or the time is over; then the error is the last answer.
pub fn until_started(config: &WaitConfig) -> Result<(), io::Error> {
    let mut address = config.admin;
    if address.ip().is_unspecified() {
        // What listens on every address listens on loopback.
        address.set_ip(if address.is_ipv4() {
            [127, 0, 0, 1].into()
        } else {
            std::net::Ipv6Addr::LOCALHOST.into()
        });
    }
    let end = SystemClock.now().boot + config.timeout;
    loop {
        match ask(address) {
            Ok(answer) if answer.starts_with("HTTP/1.1 200") || answer.starts_with("HTTP/1.0 200") => {
                return Ok(());
            }
            outcome if SystemClock.now().boot >= end => {
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
    stream.write_all(b"GET /startupz HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(4096).read_to_string(&mut answer)?;
    Ok(answer)
}
