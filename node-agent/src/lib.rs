//! Which evidence does this machine have?
//!
//! A process on this machine brings a nonce, a purpose and a public key over a Unix socket; the agent has
//! the hardware sign the hash of the three ([`attest::Transcript`]) and answers with the evidence and the
//! endorsements at hand. Nobody can have bytes of their own choice signed: a caller who could would answer
//! other people's challenges. The agent holds no secret and never judges evidence.
//!
//! Trusted: the kernel's word on who is calling, and the configuration. Untrusted: callers, and all that
//! host and hardware say; a verifier judges that elsewhere.

#![deny(unsafe_code)]

pub mod answer;
pub mod azure;
pub mod caller;
pub mod config;
mod crew;
pub mod detect;
pub mod device;
pub mod endorsements;
pub mod facts;
pub mod join;
mod journal;
pub mod kubernetes;
pub mod logs;
pub mod nitro;
mod places;
mod queue;
pub mod rates;
pub mod registers;
pub mod serve;
mod slots;
mod socket;
mod spare;
pub mod tsm;
pub mod vtpm;
