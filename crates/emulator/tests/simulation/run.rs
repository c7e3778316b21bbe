//! One schedule: the refresh loop, the world, and somebody who reads.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use fastrand::Rng;
use http::Method;
use imds_contract::HttpTokens;
use imds_emulator::clock::Clock as _;
use imds_emulator::imds::{Imds, Request};
use imds_emulator::metrics::Metrics;
use imds_emulator::refresh::{self, View};
use imds_emulator::token::TokenKey;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use crate::checker::Checker;
use crate::plan::{Event, Plan};
use crate::world::{ASKED, SimulatedSts, World};

const DOCUMENT: &str = "/latest/meta-data/iam/security-credentials/my-role";
/// How close to an end somebody reads.
const HAIR: Duration = Duration::from_millis(1);

static IMDS: LazyLock<Imds> = LazyLock::new(|| {
    let role = "arn:aws:iam::123456789012:role/my-role".parse().unwrap();
    Imds::new(role, HttpTokens::Optional, TokenKey::generate().unwrap())
});

/// What the schedules held, so that nobody is content with schedules in which nothing happens.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Summary {
    served: u64,
    unavailable: u64,
    excused: u64,
    exchanges: u64,
    restarts: u64,
}

impl std::ops::AddAssign for Summary {
    fn add_assign(&mut self, other: Self) {
        self.served += other.served;
        self.unavailable += other.unavailable;
        self.excused += other.excused;
        self.exchanges += other.exchanges;
        self.restarts += other.restarts;
    }
}

impl Summary {
    pub(crate) fn expect_variety(&self, schedules: usize) {
        let enough = schedules as u64 / 2;
        let Self { served, unavailable, excused, exchanges, restarts } = *self;
        for (what, number) in [
            ("documents", served),
            ("answers without one", unavailable),
            ("documents that were excused", excused),
            ("exchanges", exchanges),
            ("restarts", restarts),
        ] {
            assert!(number > enough, "only {number} {what} in {schedules} schedules");
        }
    }
}

/// Runs the schedule of a seed; the error is a broken promise.
pub(crate) fn schedule(seed: u64) -> Result<Summary, String> {
    let mut rng = Rng::with_seed(seed);
    let plan = Plan::draw(&mut rng);
    // The jitter of the schedule under test.
    fastrand::seed(rng.u64(..));
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(play(&plan)).map_err(|broken| {
        let events: Vec<_> =
            plan.events.iter().map(|(at, event)| format!("  {at:>12.3?} {event:?}")).collect();
        format!("seed {seed}: {broken}\n{}", events.join("\n"))
    })
}

async fn play(plan: &Plan) -> Result<Summary, String> {
    let begin = Instant::now();
    let world = World::new();
    let mut checker = Checker::new(world.clone(), plan);
    let mut process = Process::start(&world);
    let mut restarts = 0;
    let mut events = plan.events.iter().peekable();
    let mut reads = plan.reads.iter().copied().peekable();
    loop {
        let now = begin.elapsed();
        // Whenever an end comes, somebody reads just before and just after.
        let ends = {
            let world = world.lock();
            let around = |end| [world.when(end).saturating_sub(HAIR), world.when(end) + HAIR];
            let ends = world.issued.values().flat_map(|issued| around(issued.end));
            ends.filter(|at| *at > now).min()
        };
        let read = reads.peek().copied();
        let event = events.peek().map(|(at, _)| *at);
        let next = [ends, read, event].into_iter().flatten().min().unwrap_or(plan.end).min(plan.end);
        sleep_until(begin + next).await;
        let at = |broken: String| format!("at {:.3?} {broken}", begin.elapsed());
        process.read(&world, &mut checker).map_err(at)?;
        if read == Some(next) {
            reads.next();
        }
        while let Some((_, event)) = events.next_if(|(at, _)| *at <= next) {
            world.happen(*event);
            if *event == Event::Restart {
                process = Process::start(&world);
                restarts += 1;
            }
            process.read(&world, &mut checker).map_err(at)?;
        }
        if next >= plan.end {
            break;
        }
    }
    let exchanges = world.lock().exchanges;
    let Checker { served, unavailable, excused, .. } = checker;
    Ok(Summary { served, unavailable, excused, exchanges, restarts })
}

/// One life of the process.
struct Process {
    view: View,
    refreshing: JoinHandle<()>,
}

impl Process {
    fn start(world: &World) -> Self {
        let (publisher, view) = refresh::channel();
        let metrics = Arc::new(Metrics::new(world.now().wall));
        let refreshing =
            tokio::spawn(refresh::run(SimulatedSts(world.clone()), ASKED, world.clone(), metrics, publisher));
        Self { view, refreshing }
    }

    fn read(&self, world: &World, checker: &mut Checker) -> Result<(), String> {
        let now = world.now();
        let credentials = self.view.credentials(now);
        let (_, answer) = IMDS.respond(&Request::new(&Method::GET, DOCUMENT), credentials.as_deref(), now);
        checker.check(&answer)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.refreshing.abort();
    }
}
