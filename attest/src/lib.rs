//! Attestation evidence to verdict, offline.
//!
//! Bytes come in, a verdict with every check comes out, and each stage of trust is a type that the next
//! step asks for:
//!
//! | type | made only by | lets you |
//! |---|---|---|
//! | `&[u8]` | the wire | parse |
//! | [`Evidence`] | [`Evidence::parse`] | see what is claimed, and which endorsements are needed |
//! | [`Prepared`] | [`Endorsements::prepare`] | verify any evidence of that chip or key |
//! | [`Verified<Claims>`](Verified) | [`Evidence::verify`] | believe the claims |
//! | [`AttestedKey`] | [`Challenge::redeem`], which uses the challenge up | be appraised |
//! | [`Admitted`] or [`Refused`] | [`Policy::appraise`] | seal to the key; read every check |
//!
//! The crate has no I/O, no clock, no random source and no `unsafe`. Cryptography is an argument
//! ([`Crypto`]) with two providers. Platforms: AMD SEV-SNP ([`snp`]), Intel TDX ([`tdx`]), AWS Nitro
//! ([`nitro`]), TPM 2.0 quotes ([`tpm`]) and Azure's composites ([`azure`]).
//!
//! How to use it, what an answer is worth, and how verifiers were fooled before: the [`manual`].
#![forbid(unsafe_code)]

mod anchors;
mod appraisal;
pub mod azure;
mod bundle;
mod bytes;
pub mod catalogue;
mod challenge;
mod check;
pub mod collateral;
pub mod crypto;
mod decide;
mod digest;
mod endorsement;
mod envelope;
mod error;
pub mod eventlog;
mod evidence;
pub mod governance;
pub mod ima;
pub mod log;
pub mod manual;
pub mod nitro;
pub mod node;
pub mod oaep;
pub mod parcel;
pub mod policy;
pub mod protection;
pub mod snp;
mod standing;
pub mod tdx;
mod time;
pub mod tpm;
mod verified;
pub mod workload;
mod x509;

pub use anchors::{Roots, TrustAnchors};
pub use appraisal::{Admitted, Appraisal, Machine, Refused};
pub use bundle::{BadBundle, Bundle, File, Replay, VerifierKey};
pub use bytes::Malformed;
pub use challenge::{AttestedKey, Challenge, Kem, KeyLength, OfferedKey, Stale, Transcript};
pub use check::{Answer, Check};
pub use crypto::Crypto;
pub use decide::{Context, Decision, Question, decide, parse, prepare};
pub use digest::{ChipId, Digest, NotHex};
pub use endorsement::{Endorsements, Prepared, Revocation};
pub use error::CannotJudge;
pub use evidence::{Evidence, Platform};
pub use node::Node;
pub use parcel::{Parcel, Part};
pub use policy::{BadPolicy, Policy, cluster_register};
pub use standing::{Bar, Cause, Known, Standing};
pub use time::{NotATime, UnixTime, Window};
pub use verified::{Claims, Rejected, Unverified, Verified};
pub use workload::{PodUid, Workload};
