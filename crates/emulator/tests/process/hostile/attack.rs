//! What hostile clients do. Each goes on until it is told to stop.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType};

use crate::support::DOCUMENT;

/// Threads of an attack.
const THREADS: usize = 2;

pub(super) struct Attack<'a> {
    pub(super) target: SocketAddr,
    pub(super) stop: &'a AtomicBool,
}

impl Attack<'_> {
    fn goes_on(&self) -> bool {
        !self.stop.load(SeqCst)
    }

    /// Opens so many connections as fast as can be, says this on each, and keeps them.
    pub(super) fn hold(&self, connections: usize, said: &[u8]) {
        raise_limit_of_files();
        in_threads(|thread| {
            let held: Vec<_> = (0..connections / THREADS).map(|_| self.open(thread, said)).collect();
            assert!(held.iter().flatten().count() > connections / THREADS * 9 / 10, "they were opened");
            while self.goes_on() {
                thread::sleep(Duration::from_millis(10));
            }
        });
    }

    /// Opens so many connections a second at most, says this on each, and keeps the last thousands.
    pub(super) fn storm(&self, a_second: usize, said: &[u8]) {
        raise_limit_of_files();
        in_threads(|thread| {
            let mut held = VecDeque::new();
            while self.goes_on() {
                held.extend((0..a_second / 1000 / THREADS).filter_map(|_| self.open(thread, said)));
                held.drain(..held.len().saturating_sub(4000));
                thread::sleep(Duration::from_millis(1));
            }
        });
    }

    /// Says each of these byte by byte on a thousand connections, made anew when closed.
    pub(super) fn trickle(&self, said: &[&[u8]]) {
        raise_limit_of_files();
        in_threads(|thread| {
            let mut slow: Vec<_> =
                (0..500).map(|number| (None::<TcpStream>, said[number % said.len()], 0)).collect();
            while self.goes_on() {
                for (stream, said, place) in &mut slow {
                    // A head that never ends, a body that never does.
                    let byte = said.get(*place).unwrap_or(&b'x');
                    let written = stream.as_mut().map(|stream| stream.write_all(&[*byte]));
                    match written {
                        Some(Ok(())) => *place += 1,
                        Some(Err(error)) if error.kind() == ErrorKind::WouldBlock => {}
                        _ => (*stream, *place) = (self.open(thread, b""), 0),
                    }
                }
                thread::sleep(Duration::from_millis(100));
            }
        });
    }

    /// One client loops on a kept connection, with so many requests in the pipeline, the other on new ones.
    pub(super) fn loops(&self, pipelined: usize) {
        in_threads(|thread| {
            let request = format!("GET {DOCUMENT} HTTP/1.1\r\nhost: x\r\n\r\n");
            let mut part = vec![0; 65_536];
            while self.goes_on() {
                let Ok(mut stream) = TcpStream::connect(self.target) else { continue };
                let requests = request.repeat(if thread == 0 { pipelined } else { 1 });
                while self.goes_on() {
                    if stream.write_all(requests.as_bytes()).is_err()
                        || !matches!(stream.read(&mut part), Ok(1..))
                        || thread == 1
                    {
                        break;
                    }
                }
            }
        });
    }

    /// So many clients ask as often as they are let, and read no answer; they come anew when they are closed.
    pub(super) fn never_read(&self, clients: usize) {
        let requests = format!("GET {DOCUMENT} HTTP/1.1\r\nhost: x\r\n\r\n").repeat(100);
        in_threads(|thread| {
            let mut deaf: Vec<_> = (0..clients / THREADS).map(|_| None::<TcpStream>).collect();
            while self.goes_on() {
                for stream in &mut deaf {
                    let written = stream.as_mut().map(|stream| stream.write(requests.as_bytes()));
                    match written {
                        Some(Ok(_)) => {}
                        Some(Err(error)) if error.kind() == ErrorKind::WouldBlock => {}
                        _ => *stream = self.open(thread, b""),
                    }
                }
                thread::sleep(Duration::from_millis(1));
            }
        });
    }

    /// Opens a connection without waiting for it, from an address of the thread's own, so that ports last; and says this.
    fn open(&self, thread: usize, said: &[u8]) -> Option<TcpStream> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None).ok()?;
        let source = SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, 2 + u8::try_from(thread).unwrap()), 0);
        rustix::net::bind(&socket, &source).ok()?;
        match rustix::net::connect(&socket, &self.target) {
            Ok(()) | Err(rustix::io::Errno::INPROGRESS) => {}
            Err(_) => return None,
        }
        let mut stream = TcpStream::from(socket);
        // On loopback the connection is made by now, where there is room for it.
        let _ = stream.write(said);
        Some(stream)
    }
}

fn in_threads(run: impl Fn(usize) + Sync) {
    thread::scope(|threads| {
        for number in 0..THREADS {
            let run = &run;
            threads.spawn(move || {
                // The tests' machine has two cores, which the attackers would have for themselves: what is measured is
                // what they do to the emulator.
                rustix::process::nice(19).unwrap();
                run(number);
            });
        }
    });
}

/// To what is allowed: the connections of an attack are this process's, too.
fn raise_limit_of_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
}
