//! Well-behaved clients: one that connects anew for each request, as curl and the shell do, and one that keeps its
//! connection and makes a new one when the server has closed it, as HTTP libraries do.

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{DOCUMENT, Response};

/// What an SDK waits for an answer.
const PATIENCE: Duration = Duration::from_secs(1);

const PAUSE: Duration = Duration::from_millis(2);

/// How long each answer took, from before the connection was made.
pub(super) struct Latencies {
    sorted: Vec<Duration>,
    pub(super) failures: Vec<String>,
    reconnections: usize,
    /// Requests that were answered at the second try only, as every SDK makes one: a kernel whose queue of connections is
    /// full leaves a client waiting for a second.
    pub(super) second_tries: usize,
}

impl Latencies {
    fn measure(stop: &AtomicBool, mut ask: impl FnMut() -> io::Result<bool>) -> Self {
        let mut all = Self { sorted: Vec::new(), failures: Vec::new(), reconnections: 0, second_tries: 0 };
        while !stop.load(SeqCst) {
            let begun = Instant::now();
            let answered = ask().or_else(|_| {
                all.second_tries += 1;
                ask()
            });
            match answered {
                Ok(again) => all.reconnections += usize::from(again),
                Err(error) => all.failures.push(format!("after {:?}: {error}", begun.elapsed())),
            }
            all.sorted.push(begun.elapsed());
            thread::sleep(PAUSE);
        }
        all.sorted.sort_unstable();
        all
    }

    /// All but one in so many took no longer.
    pub(super) fn all_but_one_in(&self, number: usize) -> Duration {
        let slower = self.sorted.len() / number;
        self.sorted[self.sorted.len() - 1 - slower]
    }
}

impl fmt::Display for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sorted, failures, reconnections, second_tries } = self;
        write!(
            f,
            "{} requests, {} failed, {second_tries} at the second try, {reconnections} after a reconnection",
            sorted.len(),
            failures.len()
        )?;
        for (name, number) in [("median", 2), ("p99", 100), ("p99.9", 1000), ("longest", usize::MAX)] {
            write!(f, ", {name} {:.1} ms", self.all_but_one_in(number).as_secs_f64() * 1000.0)?;
        }
        Ok(())
    }
}

pub(super) fn on_new_connections(target: SocketAddr, stop: &AtomicBool) -> Latencies {
    let request = request("connection: close\r\n");
    Latencies::measure(stop, || {
        let mut answer = Vec::new();
        connect(target, &request)?.read_to_end(&mut answer)?;
        check(&answer).map(|()| false)
    })
}

pub(super) fn on_a_kept_connection(target: SocketAddr, stop: &AtomicBool) -> Latencies {
    let request = request("");
    let mut kept: Option<TcpStream> = None;
    Latencies::measure(stop, || {
        if let Some(mut stream) = kept.take()
            // What the server has closed is found out here at the latest: nothing was answered, so it is asked anew.
            && stream.write_all(&request).is_ok()
            && let Ok(answer) = read_answer(&mut stream)
        {
            kept = Some(stream);
            return check(&answer).map(|()| false);
        }
        let mut stream = connect(target, &request)?;
        let answer = read_answer(&mut stream)?;
        kept = Some(stream);
        check(&answer).map(|()| true)
    })
}

fn request(more: &str) -> Vec<u8> {
    format!("GET {DOCUMENT} HTTP/1.1\r\nhost: 169.254.169.254\r\n{more}\r\n").into_bytes()
}

fn connect(target: SocketAddr, request: &[u8]) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect_timeout(&target, PATIENCE)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(request)?;
    Ok(stream)
}

/// One answer; the document ends with a brace.
fn read_answer(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut answer = Vec::new();
    let mut part = [0; 4096];
    while !answer.ends_with(b"}") {
        match stream.read(&mut part)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            length => answer.extend_from_slice(&part[..length]),
        }
    }
    Ok(answer)
}

fn check(answer: &[u8]) -> io::Result<()> {
    let text = String::from_utf8_lossy(answer);
    let parsed =
        Response::parse(&text).filter(|answer| answer.status == 200 && answer.body.ends_with("\"\n}"));
    parsed.map(|_| ()).ok_or_else(|| io::Error::other(format!("no document: {text:?}")))
}
