//! Talking to the kernel: one socket per exchange, so that no answer of an earlier one can be taken for a later one's.
//! Source: netlink(7), Documentation/userspace-api/netlink/intro.rst of the kernel.

pub mod message;
pub mod nftables;
pub mod route;

use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::io::{Errno, retry_on_intr};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, netlink as kernel, recv, send,
    socket_with,
};

use message::{Answer, Message, answers};

/// `NLM_F_*` of linux/netlink.h.
mod flag {
    pub(super) const REQUEST: u16 = 0x1;
    pub(super) const ACK: u16 = 0x4;
    pub(super) const DUMP_INTERRUPTED: u16 = 0x10;
    pub(super) const DUMP: u16 = 0x300;
    pub(super) const CREATE: u16 = 0x400;
    pub(super) const APPEND: u16 = 0x800;
}

/// `NLMSG_ERROR`: an errno, 0 for an acknowledgement.
const ERROR: u16 = 2;
/// `NLMSG_DONE`: the end of a dump.
const DONE: u16 = 3;
/// The largest datagram that the kernel sends (it caps a dump's at 32 KiB).
const DATAGRAM: usize = 64 * 1024;
/// The kernel answers before `send` returns; this only keeps a Pod from hanging where something else plays the kernel.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often a dump is repeated that another process's change made inconsistent.
const DUMP_ATTEMPTS: usize = 5;

/// Which part of the kernel is talked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subsystem {
    /// Interfaces, addresses and routes.
    Route,
    /// `nf_tables`.
    Netfilter,
}

/// A transaction that was refused, and so left everything as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// The index of the message at fault; `None` where it is the transaction as a whole.
    pub message: Option<usize>,
    /// The kernel's reason.
    pub errno: Errno,
}

/// Sends a change and waits for its acknowledgement.
pub fn change(subsystem: Subsystem, message: &Message) -> Result<(), Errno> {
    let socket = Socket::open(subsystem)?;
    socket.send(message, flag::ACK)?;
    match socket.receive()?.first() {
        Some(answer) if answer.kind == ERROR => outcome(answer),
        _ => Err(Errno::BADMSG),
    }
}

/// Asks for one object.
pub fn get(subsystem: Subsystem, message: &Message) -> Result<Answer, Errno> {
    let socket = Socket::open(subsystem)?;
    socket.send(message, 0)?;
    let answer = socket.receive()?.into_iter().next().ok_or(Errno::BADMSG)?;
    if answer.kind == ERROR { outcome(&answer).and(Err(Errno::BADMSG)) } else { Ok(answer) }
}

/// Asks for all objects of a kind.
pub fn dump(subsystem: Subsystem, message: &Message) -> Result<Vec<Answer>, Errno> {
    for _ in 0..DUMP_ATTEMPTS {
        if let Some(found) = dump_once(subsystem, message)? {
            return Ok(found);
        }
    }
    Err(Errno::INTR)
}

/// Sends `messages` to `nf_tables` as one transaction: all of them take effect at one instant, or none does.
pub fn transaction(messages: &[Message]) -> Result<(), Refusal> {
    let whole = |errno| Refusal { message: None, errno };
    let socket = Socket::open(Subsystem::Netfilter).map_err(whole)?;
    // Sequence 0 begins the batch, message i is i + 1, the last number ends it.
    let mut batch = Vec::new();
    let mut sequence = 0;
    nftables::batch_begin().encode(flag::REQUEST, sequence, &mut batch);
    for message in messages {
        sequence += 1;
        message.encode(flag::REQUEST | flag::ACK, sequence, &mut batch);
    }
    nftables::batch_end().encode(flag::REQUEST, sequence + 1, &mut batch);
    socket.send_bytes(&batch).map_err(whole)?;

    let mut acknowledged = 0;
    while acknowledged < messages.len() {
        for answer in socket.receive().map_err(whole)? {
            let message = usize::try_from(answer.sequence).ok().and_then(|sequence| sequence.checked_sub(1));
            outcome(&answer).map_err(|errno| Refusal { message, errno })?;
            acknowledged += 1;
        }
    }
    Ok(())
}

/// `None` where a change came between two parts of the dump.
fn dump_once(subsystem: Subsystem, message: &Message) -> Result<Option<Vec<Answer>>, Errno> {
    let socket = Socket::open(subsystem)?;
    socket.send(message, flag::DUMP)?;
    let mut found = Vec::new();
    let mut consistent = true;
    loop {
        for answer in socket.receive()? {
            consistent &= answer.flags & flag::DUMP_INTERRUPTED == 0;
            match answer.kind {
                // Both carry an errno; the end of a dump that failed half-way too.
                ERROR | DONE => return outcome(&answer).map(|()| consistent.then_some(found)),
                _ => found.push(answer),
            }
        }
    }
}

/// The errno that an [`ERROR`] or a [`DONE`] begins with, negative in the message.
fn outcome(answer: &Answer) -> Result<(), Errno> {
    let (code, _) = answer.split::<4>().ok_or(Errno::BADMSG)?;
    match i32::from_ne_bytes(*code) {
        0 => Ok(()),
        code => Err(Errno::from_raw_os_error(code.saturating_neg())),
    }
}

struct Socket(OwnedFd);

impl Socket {
    fn open(subsystem: Subsystem) -> Result<Self, Errno> {
        let protocol: Option<Protocol> = match subsystem {
            // NETLINK_ROUTE is 0.
            Subsystem::Route => None,
            Subsystem::Netfilter => Some(kernel::NETFILTER),
        };
        let fd = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)?;
        set_socket_timeout(&fd, Timeout::Recv, Some(PATIENCE))?;
        Ok(Self(fd))
    }

    fn send(&self, message: &Message, flags: u16) -> Result<(), Errno> {
        let mut bytes = Vec::new();
        message.encode(flag::REQUEST | flags, 1, &mut bytes);
        self.send_bytes(&bytes)
    }

    /// Without a destination, netlink(7) sends to the kernel.
    fn send_bytes(&self, bytes: &[u8]) -> Result<(), Errno> {
        retry_on_intr(|| send(&self.0, bytes, SendFlags::empty())).map(|_| ())
    }

    fn receive(&self) -> Result<Vec<Answer>, Errno> {
        let mut buffer = vec![0; DATAGRAM];
        let (_, length) = retry_on_intr(|| recv(&self.0, buffer.as_mut_slice(), RecvFlags::TRUNC))?;
        buffer.get(..length).and_then(answers).filter(|found| !found.is_empty()).ok_or(Errno::BADMSG)
    }
}
