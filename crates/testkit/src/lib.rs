//! Helpers of the tests; no program links it.
//!
//! A test that needs what the machine may withhold asks for it through [`privilege`], so that a skipped test never looks
//! passed. [`netns`] gives a test a network of its own, [`cgroup`] a process a memory limit.

pub mod cgroup;
pub mod netns;
pub mod privilege;
pub mod tool;
