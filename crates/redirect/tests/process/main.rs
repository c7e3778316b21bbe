//! The program, run as a Pod would run it: each test in a network namespace of its own, judged by `nft`, `ip` and real
//! connections. Needs root (or `unshare --user --map-root-user --net`), `nft`, `ip`, `curl`, `setpriv`, `capsh`, `setcap`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
#![allow(
    clippy::unused_self,
    reason = "what is asked of a Pod happens in the network namespace of the test's thread"
)]

/// A module of its own, so that `./test` can tell by their names which tests make network namespaces.
mod netns {
    mod address;
    mod pod;
    mod privileges;
    mod redirect;
    mod refusal;
}
