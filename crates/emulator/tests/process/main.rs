//! The real program as a process, beside a local STS: on its socket ([`imds`], [`container`], and [`recorded`] beside the real
//! service), with further roles ([`chain`]), refused ([`refusal`]), through its life ([`life`], [`signals`], [`crashes`]), while
//! what it needs fails ([`outages`], [`cuts`], [`scarce`], [`streams`], [`netns`]), beside hostile clients ([`hostile`]) and in
//! its memory ([`secrets`]).
#![expect(clippy::disallowed_methods, reason = "a test of a process measures real time")]

// `cfg(test)` tells clippy that helpers, too, may unwrap.
#[cfg(test)]
mod chain;
#[cfg(test)]
mod container;
#[cfg(test)]
mod crashes;
#[cfg(test)]
mod cuts;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod imds;
#[cfg(test)]
mod life;
#[cfg(test)]
mod netns;
#[cfg(test)]
mod outages;
#[cfg(test)]
mod proxy;
#[cfg(test)]
mod recorded;
#[cfg(test)]
mod refusal;
#[cfg(test)]
mod scarce;
#[cfg(test)]
mod secrets;
#[cfg(test)]
mod signals;
#[cfg(test)]
mod streams;
#[cfg(test)]
mod support;
#[cfg(test)]
mod watch;
