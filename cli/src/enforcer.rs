//! The verbs of `cloudtaser enforcer`: how things stand, and what happens, by the word of the enforcer on this machine.
//!
//! It listens on a socket of sequenced packets, and answers root alone. Untrusted: what it says, which is read with bounds and shown
//! escaped; where root has put something else in its place, it is that which speaks. `matrix` says what a canary proved, and even
//! that is the enforcer's word; a verifier goes by evidence.

mod line;
pub(crate) mod matrix;
mod row;
pub(crate) mod watch;
