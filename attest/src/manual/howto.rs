//! How to: from evidence in a file to an answer, and from an answer to a record.
//!
//! The examples run on the samples of the repository (`examples/samples/`): simulated silicon, so that everybody can
//! run them. With evidence from hardware leave the simulated root out and take
//! [`TrustAnchors::vendor`](crate::TrustAnchors::vendor).
//!
//! # Verify a report
//!
//! Without a program: `cloudtaser attest verify report.bin --endorsements DIR`. With one, four steps, each a type:
//!
//! ```
//! use attest::crypto::AwsLcRs;
//! use attest::{Claims, Endorsements, Platform, Revocation, TrustAnchors, UnixTime};
//!
//! # macro_rules! sample { ($name:literal) => {
//! #     include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/samples/snp/", $name)).to_vec()
//! # } }
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let report: Vec<u8> = sample!("report.bin");
//! let endorsements = Endorsements {
//!     certificates: vec![sample!("vcek.der"), sample!("ask.der")],
//!     revocation_lists: vec![sample!("ark.crl")],
//!     ..Endorsements::default()
//! };
//! let anchors = TrustAnchors::insecure_simulated(&[sample!("ark.root")])?; // hardware: TrustAnchors::vendor()
//! let now = UnixTime::parse("2026-11-21T18:00:00Z")?; // your clock; the library has none
//!
//! let evidence = attest::parse(Platform::SevSnp, &report)?;
//! let prepared = endorsements.prepare(&AwsLcRs, &evidence, &anchors, Revocation::Required, now)?;
//! let verified = evidence.verify(&AwsLcRs, &prepared, now)?;
//! let Claims::Snp(claims) = verified.claims() else { return Err("expected an SNP guest".into()) };
//! assert_eq!(claims.measurement.to_string(), "5a".repeat(48));
//! # Ok(())
//! # }
//! ```
//!
//! `prepare` is the slow half (chain, lists, dates) and serves every report of that key within its
//! [`window`](crate::Prepared::window): keep it, and only one signature is left per report.
//!
//! # Ask for an answer of now, to you
//!
//! A genuine report may be old. Draw 32 random bytes, say what the answer is for, and have the machine's hardware sign
//! the [`Transcript`](crate::Transcript) of both with the key that it wants secrets sealed to:
//!
//! ```
//! use attest::crypto::AwsLcRs;
//! use attest::{Kem, OfferedKey, Platform, Transcript};
//!
//! let key = OfferedKey { kem: Kem::X25519, public: vec![9; 32] };
//! let transcript = Transcript { nonce: &[7; 32], context: "release/db", key: &key };
//! let report_data = transcript.caller_data(&AwsLcRs, Platform::SevSnp);
//! assert_eq!(report_data.len(), 64); // SHA-512 for SNP, TDX and Nitro, SHA-256 for TPMs
//! ```
//!
//! [`decide`](crate::decide()) does the rest in one call: it verifies, redeems the [`Challenge`](crate::Challenge),
//! appraises, and gives [`Admitted`](crate::Admitted) (with the key that may be sealed to) or
//! [`Refused`](crate::Refused) (with every check). Whoever only wants to know calls
//! [`Policy::inspect`](crate::Policy::inspect), which admits nobody.
//!
//! # Bring collateral
//!
//! [`Endorsements`](crate::Endorsements) is a bag: order, file names and duplicates do not matter, and nothing in it is
//! believed. What has to be in it, and who serves it:
//!
//! | platform | certificates | lists | documents |
//! |---|---|---|---|
//! | SEV-SNP | VCEK (AMD's KDS, by chip id and reported TCB) or VLEK (the provider), ASK or ASVK ([`snp::vendor_intermediates`](crate::snp::vendor_intermediates)) | the line's CRL (KDS, `vcek/v1/{line}/crl`) | – |
//! | TDX | PCK chain: in the quote; signer of the documents: in the HTTP header beside them | root CRL; PCK CRL (`pckcrl?ca=platform&encoding=der`) | TCB info for the FMSPC; QE identity for TDX, both as served, byte for byte |
//! | Nitro, `NitroTPM` | in the document | – | – |
//! | TPM | none for an enrolled key; the key's certificate and its issuers for a certified one | its issuers' lists, if the policy wants them | – |
//! | Azure | VCEK chain (in the host's metadata service), the key's certificate | the line's CRL | as TDX |
//!
//! A host's SNP certificate table is taken apart by [`snp::certificates`](crate::snp::certificates). Several files from
//! one machine travel as one [`Parcel`](crate::Parcel). `prepare` says what is missing
//! ([`CannotJudge::MissingEndorsement`](crate::CannotJudge)); an archive without lists can be looked at with
//! `Revocation::InsecureWaived`, which no policy accepts.
//!
//! # Write a policy
//!
//! A policy is TOML with a name, a version, an end, and a section for each platform that it admits. What a section does
//! not set is refused *by name*, so the quickest way to a policy is an empty section: its refusal lists what to think
//! about.
//!
//! ```
//! use attest::Policy;
//! use attest::crypto::AwsLcRs;
//!
//! let policy = Policy::parse(&AwsLcRs, r#"
//!     name = "payments"
//!     version = 3
//!     expires = "2027-06-30T00:00:00Z"
//!     freshness = { verdict_seconds = 300, collateral_days = 30 }
//!
//!     [[reference]]
//!     id = "image-14"
//!     value = "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a"
//!     provenance = "cloudtaser measure snp, build 14, two people"
//!
//!     [snp]
//!     products = { any_of = ["genoa", "turin"] }
//!     measurement = { any_of = ["image-14"] }
//!     vmpl = { any_of = [0] }
//!     guest_policy = { debug = "clear", migrate_ma = "clear", smt = "any" }
//!     tcb.genoa.committed = { bl = 10, tee = 0, snp = 25, ucode = 84 }
//!     tcb.genoa.reported = { bl = 10, tee = 0, snp = 25, ucode = 84 }
//!     tcb.genoa.current = { bl = 10, tee = 0, snp = 25, ucode = 84 }
//!     tcb.genoa.launch = { bl = 10, tee = 0, snp = 25, ucode = 84 }
//! "#)?;
//! assert_eq!((policy.name(), policy.version()), ("payments", 3));
//! # Ok::<(), attest::BadPolicy>(())
//! ```
//!
//! Reference values come from artifacts, never from the machine under judgement: `cloudtaser measure` computes them.
//! [`catalogue`](crate::catalogue) has the remedy for every check that fails. Complete policies are in
//! `policies/measured/`.
//!
//! # Keep a record, and replay it
//!
//! A [`Bundle`](crate::Bundle) holds a decision with all that it was made from. Whoever doubts it runs the same function
//! on the same bytes, at the same instant, and compares:
//!
//! ```no_run
//! use attest::crypto::RustCrypto;
//! use attest::{Bundle, TrustAnchors, VerifierKey};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let pinned: [u8; 32] = [0; 32];
//! let file = std::fs::read("decision.bundle")?;
//! let bundle = Bundle::open(&file, &[VerifierKey(pinned)], &RustCrypto)?; // who signed it
//! let replay = bundle.replay(&RustCrypto, &TrustAnchors::vendor())?; // does it come out again?
//! assert!(replay.identical);
//! # Ok(())
//! # }
//! ```
//!
//! `replay_at` says what would be answered at another instant. On the command line: `cloudtaser evidence verify`.
//!
//! # Choose a provider
//!
//! Cryptography is an argument, so that a second opinion is a second argument. `AwsLcRs` (feature `aws-lc-rs`) verifies
//! P-384 several times faster and needs a C compiler; `RustCrypto` (feature `rustcrypto`) is Rust alone. Both are on by
//! default, no feature changes a verdict, and a test holds their answers against each other. With neither feature
//! you bring your own [`Crypto`](crate::Crypto): five functions.
//!
//! # WebAssembly
//!
//! ```toml
//! [dependencies]
//! cloudtaser-attest = { version = "0.1", default-features = false, features = ["rustcrypto"] }
//! ```
//!
//! builds for `wasm32-unknown-unknown`, and the module imports nothing: no clock, no random source, no file. Take the
//! instant from your host and pass it in. `attest/wasm` in the repository is such a module; `cargo xtask wasm` builds it
//! and runs it.
