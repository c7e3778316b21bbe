//! The refresh machine under thousands of random schedules of faults, in simulated time, with a checker of the promises at
//! every read (`docs/reliability.md`).
//!
//! Everything is the emulator's own but STS, the clocks and the token: [`world`] plays those, by a [`plan`] that is drawn
//! from a seed; [`checker`] knows the truth and looks at what is served. A schedule that breaks a promise prints its seed, its
//! plan and what was seen.
//!
//! `SIMULATION_SCHEDULES=1000000 cargo test --release -p imds-emulator --test simulation` runs more;
//! `SIMULATION_SEED=N` runs one.
#![expect(clippy::disallowed_methods, reason = "a test is told by its environment how long to run")]
#![expect(clippy::unchecked_time_subtraction, reason = "simulated time never goes back; a test may panic")]

#[cfg(test)]
mod checker;
#[cfg(test)]
mod plan;
#[cfg(test)]
mod run;
#[cfg(test)]
mod world;

/// Seeds whose schedules break a promise as soon as something that was once wrong is wrong again, and what that was. They are
/// run first. A seed stands for another schedule once [`plan`] draws otherwise: then they are found anew, by `tests/mutants.py`.
#[cfg(test)]
const REGRESSIONS: &[u64] = &[
    165,  // readers who found nothing did not wake the loop, which slept on until its next look at the clocks
    497,  // credentials of which less was left replaced those that were held
    653,  // a Date that lies in the past made a life longer than the one that was asked for
    8021, // the refresh was counted from the answer's arrival, so a slow answer was refreshed late
];

#[cfg(test)]
const SCHEDULES: u64 = 10_000;

#[test]
fn no_schedule_of_faults_breaks_a_promise() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect(name));
    if let Some(seed) = number("SIMULATION_SEED") {
        let summary = run::schedule(seed).unwrap_or_else(|broken| panic!("{broken}"));
        println!("seed {seed}: {summary:?}");
        return;
    }
    let last = number("SIMULATION_SCHEDULES").unwrap_or(SCHEDULES);
    let seeds: Vec<u64> = REGRESSIONS.iter().copied().chain(1..=last).collect();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let workers: Vec<_> = (0..threads)
        .map(|worker| {
            let seeds: Vec<u64> = seeds.iter().copied().skip(worker).step_by(threads).collect();
            std::thread::spawn(move || {
                let mut total = run::Summary::default();
                for seed in seeds {
                    total += run::schedule(seed)?;
                }
                Ok::<_, String>(total)
            })
        })
        .collect();
    let mut total = run::Summary::default();
    for worker in workers {
        total += worker.join().expect("a worker panicked").unwrap_or_else(|broken| panic!("{broken}"));
    }
    println!("{} schedules: {total:?}", seeds.len());
    total.expect_variety(seeds.len());
}
