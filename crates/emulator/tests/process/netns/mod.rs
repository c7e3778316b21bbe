//! What needs namespaces: of the network for name servers of its own, of mounts for file systems, of time for clocks.

mod clocks;
mod files;
mod names;
