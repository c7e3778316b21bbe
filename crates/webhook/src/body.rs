//! The bodies of requests, within a bound on the memory that all of them take together.
//!
//! A review that has come whole by the time it is looked at, as an API server sends nearly all, waits for nobody. A longer or
//! slower one needs room, of which there is so much: whoever reaches the port can keep that from long reviews, but not from
//! the others (docs/adr/0018).

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout, timeout_at};

/// The longest body. The API server takes objects of up to 3 MiB, and a review may hold more than one.
const MOST: usize = 4 * 1024 * 1024;

/// What is read of a body without room, and for how long.
const SHORT: usize = 64 * 1024;
const SHORT_TIME: Duration = Duration::from_millis(100);

/// What all longer bodies may take together, in units of [`SHORT`]: 16 MiB, four of the longest at once.
const ROOM: usize = 256;

/// How long a longer body waits for room, and how many may wait: each holds what was read of it already.
const ROOM_TIME: Duration = Duration::from_secs(2);
const MOST_WAITING: usize = 64;

/// From the first byte to the last. Well below the API server's own limit, 10 s by default.
const TIME: Duration = Duration::from_secs(4);

/// Reads bodies.
#[derive(Debug)]
pub struct Bodies {
    room: Semaphore,
    waiting: AtomicUsize,
}

/// A body, and the room that it takes.
#[derive(Debug)]
pub struct Body<'a> {
    /// All of it.
    pub bytes: Bytes,
    _room: Option<SemaphorePermit<'a>>,
}

/// Why a body was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unread {
    /// It is longer than 4 MiB.
    TooLong,
    /// It was broken off, or did not come within 4 seconds.
    Unfinished,
    /// Other long bodies take all the room.
    NoRoom,
}

impl Bodies {
    /// With all the room.
    pub fn new() -> Self {
        Self { room: Semaphore::new(ROOM), waiting: AtomicUsize::new(0) }
    }

    /// Reads a body.
    pub async fn read(&self, mut body: Incoming) -> Result<Body<'_>, Unread> {
        let end = Instant::now() + TIME;
        let announced = body.size_hint();
        let least = usize::try_from(announced.lower()).unwrap_or(MOST);
        let mut bytes = BytesMut::with_capacity(least.min(SHORT));
        if let Ok(read) = timeout(SHORT_TIME, append(&mut body, &mut bytes, SHORT)).await
            && read? == Read::All
        {
            return Ok(Body { bytes: bytes.freeze(), _room: None });
        }
        let most = announced.upper().and_then(|upper| usize::try_from(upper).ok()).unwrap_or(MOST).min(MOST);
        let room = self.take_room(most, end).await?;
        // Growing would take twice as much, and more while it is copied.
        bytes.reserve(most.saturating_sub(bytes.len()));
        match timeout_at(end, append(&mut body, &mut bytes, MOST)).await {
            Ok(Ok(Read::All)) => Ok(Body { bytes: bytes.freeze(), _room: Some(room) }),
            Ok(Ok(Read::More)) => Err(Unread::TooLong),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(Unread::Unfinished),
        }
    }

    async fn take_room(&self, bytes: usize, end: Instant) -> Result<SemaphorePermit<'_>, Unread> {
        let _waiting = Waiting::start(&self.waiting).ok_or(Unread::NoRoom)?;
        let units = u32::try_from(bytes / SHORT + 1).unwrap_or(u32::MAX);
        match timeout_at(end.min(Instant::now() + ROOM_TIME), self.room.acquire_many(units)).await {
            Ok(Ok(room)) => Ok(room),
            _ => Err(Unread::NoRoom),
        }
    }
}

impl Default for Bodies {
    fn default() -> Self {
        Self::new()
    }
}

/// One of those that wait for room, until this is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    /// `None` where as many wait as may.
    fn start(waiting: &'a AtomicUsize) -> Option<Self> {
        let started = Self(waiting);
        (waiting.fetch_add(1, Relaxed) < MOST_WAITING).then_some(started)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Read {
    /// The body has ended.
    All,
    /// There is more, beyond so many bytes.
    More,
}

/// Appends what comes of the body, until there are more than `most` bytes.
async fn append(body: &mut Incoming, bytes: &mut BytesMut, most: usize) -> Result<Read, Unread> {
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(|_| Unread::Unfinished)?.into_data() {
            if bytes.len() + data.len() > MOST {
                return Err(Unread::TooLong);
            }
            bytes.extend_from_slice(&data);
            if bytes.len() > most {
                return Ok(Read::More);
            }
        }
    }
    Ok(Read::All)
}
