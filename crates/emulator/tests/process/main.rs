//! The real program as a process, beside a local STS: on its socket ([`imds`], [`container`], and [`recorded`] beside the real
//! service), with further roles ([`chain`]), refused ([`refusal`]), through its life ([`life`]) and in its memory ([`secrets`]).
#![expect(clippy::disallowed_methods, reason = "a test of a process measures real time")]

// `cfg(test)` tells clippy that helpers, too, may unwrap.
#[cfg(test)]
mod chain;
#[cfg(test)]
mod container;
#[cfg(test)]
mod imds;
#[cfg(test)]
mod life;
#[cfg(test)]
mod recorded;
#[cfg(test)]
mod refusal;
#[cfg(test)]
mod secrets;
#[cfg(test)]
mod support;
