//! The listening socket, which can be really closed and opened again at the same address.
//!
//! While the door is shut, a socket that is bound but doesn't listen holds the port: connecting is refused, and the kernel
//! doesn't give the port to somebody who asks for any free one. Shutting and opening take effect before they return,
//! whatever the runtime is doing.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Handle;

/// Connections that the kernel keeps until they are accepted.
const BACKLOG: u32 = 1024;

pub(crate) struct Door {
    address: SocketAddr,
    runtime: Handle,
    state: Mutex<State>,
}

struct State {
    listener: Option<TcpListener>,
    /// Holds the port while there is no listener.
    placeholder: Option<TcpSocket>,
    /// Who waits in [`Door::accept`].
    waiting: Option<Waker>,
}

impl Door {
    /// Listens; port 0 takes any free one. Sockets belong to this runtime.
    pub(crate) fn open_at(address: SocketAddr, runtime: &Handle) -> io::Result<Self> {
        let _inside = runtime.enter();
        let listener = bind(address)?.listen(BACKLOG)?;
        let address = listener.local_addr()?;
        let state = State { listener: Some(listener), placeholder: None, waiting: None };
        Ok(Self { address, runtime: runtime.clone(), state: Mutex::new(state) })
    }

    /// The address, with its true port.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The runtime that the sockets belong to.
    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Takes the next connection; waits while the door is shut. For one task.
    pub(crate) async fn accept(&self) -> io::Result<TcpStream> {
        poll_fn(|context| self.poll_accept(context)).await
    }

    /// From now on, connecting is refused.
    pub(crate) fn shut(&self) {
        let mut state = self.state();
        if state.listener.take().is_some() {
            state.placeholder = bind(self.address)
                .inspect_err(|error| log::warn!(error:% = error; "can't keep the port for later"))
                .ok();
        }
    }

    /// Gives up the port, for good.
    pub(crate) fn abandon(&self) {
        let mut state = self.state();
        state.listener = None;
        state.placeholder = None;
    }

    /// Listens again.
    pub(crate) fn open(&self) {
        let _inside = self.runtime.enter();
        let mut state = self.state();
        if state.listener.is_some() {
            return;
        }
        let socket = state.placeholder.take().map_or_else(|| bind(self.address), Ok);
        match socket.and_then(|socket| socket.listen(BACKLOG)) {
            Ok(listener) => state.listener = Some(listener),
            Err(error) => log::error!(error:% = error; "can't listen again"),
        }
        if let Some(waiting) = state.waiting.take() {
            waiting.wake();
        }
    }

    fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<TcpStream>> {
        let mut state = self.state();
        state.waiting = Some(context.waker().clone());
        match &state.listener {
            Some(listener) => listener.poll_accept(context).map_ok(|(stream, _)| stream),
            None => Poll::Pending,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn refuses_while_shut_and_recovers() {
        let door = Door::open_at("127.0.0.1:0".parse().unwrap(), &Handle::current()).unwrap();
        let connect = || TcpStream::connect(door.address());
        let _client = connect().await.unwrap();
        let _accepted = door.accept().await.unwrap();

        door.shut();
        door.shut();
        assert_eq!(connect().await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);

        // Opened under one who already waits.
        let waiting = tokio::time::timeout(Duration::from_secs(5), door.accept());
        let opening = async {
            tokio::task::yield_now().await;
            door.open();
            door.open();
            connect().await
        };
        let (accepted, connected) = tokio::join!(waiting, opening);
        accepted.expect("the waiting task is woken").unwrap();
        connected.unwrap();
    }

    /// No connection has been made here: one that is left over would keep the port, too.
    #[tokio::test]
    async fn keeps_its_port_while_shut_and_gives_it_up_when_abandoned() {
        let door = Door::open_at("127.0.0.1:0".parse().unwrap(), &Handle::current()).unwrap();
        let take = || TcpSocket::new_v4().unwrap().bind(door.address());
        door.shut();
        assert_eq!(take().unwrap_err().kind(), io::ErrorKind::AddrInUse);
        door.abandon();
        take().expect("the port is free");
    }
}
