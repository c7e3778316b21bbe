//! The bodies of answers, and a bound on what they take of memory until their clients have read them.
//!
//! A connection has so many turns: a request is answered once it has one, and gives it back when its answer was handed on. Long
//! answers share so much room, and are refused where there is none. A client that does not read is closed (see `server`).

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Requests of a connection that are answered at once.
const TURNS: usize = 8;

/// What is handed on at a time: a client with a small window has as much in our memory.
const PART: usize = 4 * 1024;

/// An answer up to this size needs no room: that to a usual Pod is a third of it.
const SHORT: usize = 32 * 1024;

/// What longer answers take together, in units of [`SHORT`]: 8 MiB.
const ROOM: usize = 256;

/// The room of long answers.
#[derive(Debug)]
pub struct AnswerRoom(Arc<Semaphore>);

impl AnswerRoom {
    /// With all the room.
    pub fn new() -> Self {
        Self(Arc::new(Semaphore::new(ROOM)))
    }

    /// An answer of these bytes; `None` where other long answers were not read yet.
    pub fn answer(&self, bytes: Vec<u8>) -> Option<Answer> {
        let room = if bytes.len() <= SHORT {
            None
        } else {
            let units = u32::try_from(bytes.len() / SHORT + 1).ok()?;
            Some(Arc::clone(&self.0).try_acquire_many_owned(units).ok()?)
        };
        Some(Answer { left: bytes.into(), _room: room, _turn: None })
    }
}

impl Default for AnswerRoom {
    fn default() -> Self {
        Self::new()
    }
}

/// The turns of a connection.
#[derive(Debug)]
pub struct Turns {
    free: Arc<Semaphore>,
    ended: AtomicU64,
}

impl Turns {
    /// All of them.
    pub fn new() -> Arc<Self> {
        Arc::new(Self { free: Arc::new(Semaphore::new(TURNS)), ended: AtomicU64::new(0) })
    }

    /// A turn, once there is one.
    pub async fn take(self: &Arc<Self>) -> Turn {
        let permit = Arc::clone(&self.free).acquire_owned().await.ok();
        Turn { turns: Arc::clone(self), _permit: permit }
    }

    /// Whether any is taken, and how many have ended so far.
    pub fn look(&self) -> (bool, u64) {
        (self.free.available_permits() < TURNS, self.ended.load(Relaxed))
    }
}

/// A turn, until this is dropped.
#[derive(Debug)]
pub struct Turn {
    turns: Arc<Turns>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.turns.ended.fetch_add(1, Relaxed);
    }
}

/// The body of an answer. Its room and its turn are free once it is dropped, which is when all of it was handed on.
#[derive(Debug)]
pub struct Answer {
    left: Bytes,
    _room: Option<OwnedSemaphorePermit>,
    _turn: Option<Turn>,
}

impl Answer {
    /// A sentence of ours.
    pub fn sentence(text: String) -> Self {
        Self { left: text.into(), _room: None, _turn: None }
    }

    /// Keeps the turn until the answer was handed on.
    #[must_use]
    pub fn in_turn(self, turn: Turn) -> Self {
        Self { _turn: Some(turn), ..self }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left.is_empty() {
            return Poll::Ready(None);
        }
        let part = self.left.len().min(PART);
        Poll::Ready(Some(Ok(Frame::data(self.left.split_to(part)))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left.len() as u64)
    }
}
