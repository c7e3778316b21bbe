//! One case: the exchanges of every Pod, in the order in which STS sees them.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use fastrand::Rng;

use crate::measures::{Held, Measures};
use crate::schedules::Schedule;
use crate::sts::{Sts, Terms};

/// What happens to how many Pods.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) pods: u32,
    /// The Pods start in the course of this time, evenly.
    pub(crate) births: Duration,
    pub(crate) terms: Terms,
    /// How long it is looked at.
    pub(crate) lasts: Duration,
}

/// Plays the case with every Pod going by a schedule of its own. The same every time.
pub(crate) fn play<S: Schedule>(case: &Case, new: impl Fn() -> S) -> Measures {
    let mut rng = Rng::with_seed(1);
    let mut sts = Sts::new(case.terms.clone());
    let mut measures = Measures::new(case.lasts);
    let mut exchanges = BinaryHeap::new();
    let mut pods = Vec::new();
    for number in 0..case.pods {
        let birth = case.births.mul_f64(rng.f64());
        exchanges.push(Reverse((birth, number)));
        pods.push((new(), Held::nothing_since(birth)));
    }
    while let Some(Reverse((begun, number))) = exchanges.pop()
        && begun < case.lasts
        && let Some((schedule, held)) = pods.get_mut(number as usize)
    {
        let (outcome, took) = sts.ask(begun, &mut rng);
        measures.asked(begun, outcome.is_ok());
        let now = begun + took;
        match outcome {
            Ok(()) => {
                let end = schedule.succeeded(begun, now, rng.f64());
                measures.obtained(held, now, end);
            }
            Err(refusal) => schedule.failed(refusal, now, rng.f64()),
        }
        exchanges.push(Reverse((schedule.next(now), number)));
    }
    for (_, held) in pods {
        measures.ended(held);
    }
    measures
}
