//! A TCP proxy before STS that does to connections what networks do to them.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What becomes of the connections that are made from now on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Does {
    Pass,
    /// Closes them at once.
    Close,
    /// Resets them at once.
    Reset,
    /// Takes what comes and lets nothing through.
    Swallow,
    /// Each part waits so long, there and back.
    Delay(Duration),
    /// One byte of STS's words, then a pause.
    Trickle(Duration),
    /// Lets so many bytes of STS's through, then closes.
    CutAfter(usize),
    /// The same, then resets.
    ResetAfter(usize),
}

pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    target: SocketAddr,
    does: Mutex<Does>,
    open: AtomicUsize,
    most_open: AtomicUsize,
    /// Of the connection before: how much STS said.
    answered: AtomicUsize,
    ended: AtomicBool,
}

impl Proxy {
    pub(crate) fn to(url: &str) -> Self {
        let target = url.trim_start_matches("https://").parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            target,
            does: Mutex::new(Does::Pass),
            open: AtomicUsize::new(0),
            most_open: AtomicUsize::new(0),
            answered: AtomicUsize::new(0),
            ended: AtomicBool::new(false),
        });
        let proxy = Self { address, shared: Arc::clone(&shared) };
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if shared.ended.load(SeqCst) {
                    return;
                }
                let shared = Arc::clone(&shared);
                thread::spawn(move || shared.connection(client));
            }
        });
        proxy
    }

    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    pub(crate) fn set(&self, does: Does) {
        *self.shared.does.lock().unwrap() = does;
    }

    /// The most connections that were open at once.
    pub(crate) fn most_open(&self) -> usize {
        self.shared.most_open.load(SeqCst)
    }

    /// How many bytes STS said on the connection before.
    pub(crate) fn answered(&self) -> usize {
        self.shared.answered.load(SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, SeqCst);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn connection(&self, client: TcpStream) {
        self.most_open.fetch_max(self.open.fetch_add(1, SeqCst) + 1, SeqCst);
        let does = *self.does.lock().unwrap();
        match does {
            Does::Close => drop(client),
            Does::Reset => reset(&client),
            Does::Swallow => drop(std::io::copy(&mut &client, &mut std::io::sink())),
            _ => self.pass(&client, does),
        }
        self.open.fetch_sub(1, SeqCst);
    }

    fn pass(&self, client: &TcpStream, does: Does) {
        let Ok(server) = TcpStream::connect(self.target) else { return };
        client.set_nodelay(true).unwrap();
        server.set_nodelay(true).unwrap();
        thread::scope(|threads| {
            threads.spawn(|| {
                let delay = if let Does::Delay(time) = does { time } else { Duration::ZERO };
                pump(client, &server, usize::MAX, 65_536, delay);
                let _ = server.shutdown(Shutdown::Write);
            });
            let answered = match does {
                Does::Trickle(pause) => pump(&server, client, usize::MAX, 1, pause),
                Does::Delay(pause) => pump(&server, client, usize::MAX, 65_536, pause),
                Does::CutAfter(bytes) | Does::ResetAfter(bytes) => {
                    pump(&server, client, bytes, 65_536, Duration::ZERO)
                }
                _ => pump(&server, client, usize::MAX, 65_536, Duration::ZERO),
            };
            self.answered.store(answered, SeqCst);
            // The other direction ends, too, whatever it is doing.
            let _ = server.shutdown(Shutdown::Both);
            let _ = match does {
                Does::ResetAfter(_) => {
                    reset(client);
                    client.shutdown(Shutdown::Read)
                }
                _ => client.shutdown(Shutdown::Both),
            };
        });
    }
}

/// Copies at most so many bytes, so many at a time, until one side ends; how many it were.
fn pump(mut from: &TcpStream, mut to: &TcpStream, most: usize, part: usize, pause: Duration) -> usize {
    let mut buffer = vec![0; part];
    let mut copied = 0;
    while copied < most {
        let room = part.min(most - copied);
        let Ok(length @ 1..) = from.read(&mut buffer[..room]) else { break };
        thread::sleep(pause);
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
        copied += length;
    }
    copied
}

/// The connection ends with RST when it is closed.
fn reset(stream: &TcpStream) {
    rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO)).unwrap();
}
