//! The limit: `bare-epoll PORT ANSWER keep|close`. One thread, one epoll; a request is over at its blank line, the answer goes out as
//! it was recorded.

use std::collections::HashMap;
use std::fs;

use bench_servers::Failure;
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::fd::{AsRawFd as _, OwnedFd};
use rustix::io::{Errno, read, write};
use rustix::net::{AddressFamily, Ipv4Addr, SocketAddrV4, SocketFlags, SocketType, sockopt};

const LISTENER: u64 = u64::MAX;

fn main() -> Result<(), Failure> {
    let [_, port, answer, after] = &std::env::args().collect::<Vec<_>>()[..] else {
        return Err("usage: bare-epoll PORT ANSWER keep|close".into());
    };
    let (answer, close) = (fs::read(answer)?, after == "close");
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let listener = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    sockopt::set_socket_reuseaddr(&listener, true)?;
    rustix::net::bind(&listener, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port.parse()?))?;
    rustix::net::listen(&listener, 1024)?;

    let poll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&poll, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
    let mut connections = HashMap::<u64, OwnedFd>::new();
    let mut events = Vec::with_capacity(64);
    let mut request = [0; 4096];
    loop {
        epoll::wait(&poll, spare_capacity(&mut events), None)?;
        for event in events.drain(..) {
            let id = event.data.u64();
            if id == LISTENER {
                while let Ok(connection) = rustix::net::accept_with(&listener, flags) {
                    sockopt::set_tcp_nodelay(&connection, true)?;
                    let id = u64::try_from(connection.as_raw_fd())?;
                    epoll::add(&poll, &connection, EventData::new_u64(id), EventFlags::IN)?;
                    connections.insert(id, connection);
                }
            } else if let Some(connection) = connections.get(&id) {
                let ended = match read(connection, &mut request) {
                    Ok(0) => true,
                    Ok(length) if request.get(..length).is_some_and(|head| head.ends_with(b"\r\n\r\n")) => {
                        write(connection, &answer) != Ok(answer.len()) || close
                    }
                    // Half a head: its end is all that is looked at, so nothing is kept. (No client here breaks the blank line.)
                    Ok(_) | Err(Errno::AGAIN) => false,
                    Err(_) => true,
                };
                if ended {
                    connections.remove(&id);
                }
            }
        }
    }
}
