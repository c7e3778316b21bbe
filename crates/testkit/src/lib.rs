//! Helpers of the tests; no program links it.
//!
//! A test that needs what the machine may withhold asks for it through [`privilege`], so that a skipped test never looks
//! passed. [`netns`] gives a test a network of its own, [`cgroup`] a process a memory limit. [`metrics`] reads a metrics page, and
//! what `docs/metrics.md` says of it.

pub mod cgroup;
pub mod metrics;
pub mod netns;
pub mod privilege;
pub mod tool;
