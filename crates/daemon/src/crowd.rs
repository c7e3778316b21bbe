//! The connections of a server, and what makes room for one more when there are as many as there may be.
//!
//! First, those that idle between two requests are closed, and those that are being answered are closed after it, in the
//! way of HTTP: their clients come again. Who has asked nothing yet is waited for. Where that is not enough within
//! [`HONEST_TIME`], the oldest are broken off: an honest one has its answer by then.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use crate::shutdown::Shutdown;

/// What a crowd of honest clients is given to ask and to be answered, before any is broken off. Nobody is accepted meanwhile:
/// more would fill the backlog of a flood, and who finds that full comes again a second later only.
const HONEST_TIME: Duration = Duration::from_millis(40);

/// At the cap, this share of it is made free at once: a flood costs less by the dozen.
const ROOM_SHARE: usize = 16;

/// The connections that are open.
#[derive(Debug)]
pub(crate) struct Crowd {
    most: usize,
    tasks: JoinSet<()>,
    /// The oldest first. Some have ended.
    by_age: VecDeque<(Instant, AbortHandle)>,
    /// Tells those to finish that have not been told yet.
    finish: (watch::Sender<bool>, Shutdown),
    /// Since when there has been no room; over once half of it is free.
    crowded_since: Option<Instant>,
}

impl Crowd {
    /// No connection yet, and at most so many.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            most,
            tasks: JoinSet::new(),
            by_age: VecDeque::new(),
            finish: Shutdown::channel(),
            crowded_since: None,
        }
    }

    /// One more. The `Shutdown` tells it to finish what is being answered, and to end.
    pub(crate) fn add<F>(&mut self, connection: impl FnOnce(Shutdown) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let task = self.tasks.spawn(connection(self.finish.1.clone()));
        self.by_age.push_back((Instant::now(), task));
    }

    /// Returns once there is room for one more.
    pub(crate) async fn make_room(&mut self) {
        if !self.is_full() {
            if self.tasks.len() <= self.most / 2 {
                self.crowded_since = None;
            }
            return;
        }
        self.finish = Shutdown::channel();
        // Those that idle end now, and what has been asked already is answered.
        tokio::task::yield_now().await;
        if !self.is_full() {
            return;
        }
        // The crowd as a whole is given its time, and not each of it: a flood would keep others waiting for ever.
        let now = Instant::now();
        let crowded_since = *self.crowded_since.get_or_insert(now);
        let oldest = self.by_age.front().map_or(now, |(accepted, _)| *accepted);
        let patience = crowded_since.min(oldest) + HONEST_TIME;
        if tokio::time::timeout_at(patience, self.tasks.join_next()).await.is_err() {
            for (_, connection) in self.by_age.drain(..self.dozen().min(self.by_age.len())) {
                connection.abort();
            }
        }
    }

    fn is_full(&mut self) -> bool {
        while self.tasks.try_join_next().is_some() {}
        while self.by_age.pop_front_if(|(_, connection)| connection.is_finished()).is_some() {}
        if self.by_age.len() > self.tasks.len() + self.dozen() {
            self.by_age.retain(|(_, connection)| !connection.is_finished());
        }
        self.tasks.len() >= self.most
    }

    fn dozen(&self) -> usize {
        self.most.div_ceil(ROOM_SHARE)
    }

    /// Tells all to finish, and waits for it.
    pub(crate) async fn finish(mut self) {
        drop(self.finish);
        while self.tasks.join_next().await.is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    /// Adds so many connections of which each ends when it is told to, or never; counts those that are there.
    fn add(crowd: &mut Crowd, number: usize, is_idle: bool, there: &Arc<AtomicUsize>) {
        for _ in 0..number {
            let there = Arc::clone(there);
            crowd.add(|mut finish| async move {
                there.fetch_add(1, Relaxed);
                let _gone = OnDrop(there);
                if is_idle { finish.started().await } else { std::future::pending().await }
            });
        }
    }

    struct OnDrop(Arc<AtomicUsize>);

    impl Drop for OnDrop {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Relaxed);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn below_the_cap_nobody_ends() {
        let (mut crowd, there) = (Crowd::new(32), Arc::default());
        add(&mut crowd, 31, true, &there);
        crowd.make_room().await;
        tokio::task::yield_now().await;
        assert_eq!(there.load(Relaxed), 31);
    }

    #[tokio::test(start_paused = true)]
    async fn idle_ones_make_room_at_once_and_those_that_do_not_end_stay() {
        let (mut crowd, there) = (Crowd::new(32), Arc::default());
        add(&mut crowd, 20, false, &there);
        add(&mut crowd, 12, true, &there);
        tokio::task::yield_now().await;
        let begun = Instant::now();
        crowd.make_room().await;
        assert_eq!((there.load(Relaxed), begun.elapsed()), (20, Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn those_that_do_not_end_have_their_time_then_the_oldest_go_a_dozen_at_once() {
        let (mut crowd, there) = (Crowd::new(32), Arc::default());
        add(&mut crowd, 32, false, &there);
        let begun = Instant::now();
        crowd.make_room().await;
        assert_eq!(begun.elapsed().as_millis(), HONEST_TIME.as_millis());
        tokio::task::yield_now().await;
        assert_eq!(there.load(Relaxed), 30, "a sixteenth of 32");

        // A flood: the time is the crowd's, not each one's.
        for _ in 0..200 {
            crowd.make_room().await;
            add(&mut crowd, 1, false, &there);
        }
        assert!(begun.elapsed() <= HONEST_TIME + Duration::from_millis(5), "{:?}", begun.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn at_the_end_all_are_told_and_waited_for() {
        let (mut crowd, there) = (Crowd::new(4), Arc::default());
        add(&mut crowd, 3, true, &there);
        tokio::task::yield_now().await;
        crowd.finish().await;
        assert_eq!(there.load(Relaxed), 0);
    }
}
