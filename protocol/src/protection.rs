//! A wrapper's report of its own protection, and the score.
//!
//! The words are those of the verifier, who counts the score again in every replay. A [`Report`] travels in its one encoding
//! ([`Report::to_cbor`]) as [`crate::release::Presentation::protection`]; on the local socket it is JSON of the same fields.
//!
//! Untrusted: a report is worth what the program is worth that wrote it, and is proof of nothing where that program was not
//! measured. Only a verdict gives the checks of [`Check::is_attested`].

pub use attest::protection::{
    Attack, BadReport, By, Check, Demand, Measured, NotACheck, Outcome, Report, Score, State, Theft,
};
