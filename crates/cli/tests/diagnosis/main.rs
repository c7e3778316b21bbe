//! `kubectl-imds check` and `explain` as a person has them: the program, its streams and its exit codes, with a kubectl that says
//! what a real one once said. Each fault is put into it, and what is said of it is in the documentation.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
#![allow(unreachable_pub, reason = "a test's modules have no other readers")]

mod check;
mod cluster_faults;
mod explain;
mod explain_faults;
mod hostile;
mod page;
mod pod_faults;
mod recording;
mod shell;
