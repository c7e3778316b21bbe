//! What needs namespaces: of the network for neighbours and name servers, of mounts for file systems, of time for clocks.

mod clocks;
mod files;
mod names;
mod neighbours;
