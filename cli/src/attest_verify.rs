//! `cloudtaser attest verify`: is this evidence genuine, and does a policy allow it?
//!
//! Read the files, judge with the library that servers use, print. There is no challenge to redeem here, so
//! nothing is admitted; `--nonce` and `--report-data` compare what the hardware signed with what the caller
//! expects.
//!
//! Trusted: the options. Untrusted: evidence and endorsements.

mod binding;
mod chain;
mod output;

use std::path::PathBuf;

use attest::crypto::AwsLcRs;
use attest::{
    CannotJudge, Check, Claims, Endorsements, Evidence, Platform, Policy, Rejected, Revocation, TrustAnchors,
    UnixTime,
};
use attest::{Unverified, Verified, tpm};

use crate::answer::{Answer, NotJudged};
use crate::args::{self, CallerData, Format};
use crate::{collateral, input, trust};

use binding::Binding;
use output::{Judgement, Stage};

/// Judge evidence: genuine, fresh, allowed
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", args::EXIT_CODES))]
pub(crate) struct Args {
    /// The evidence; - reads standard input
    #[arg(value_name = "FILE")]
    evidence: PathBuf,
    /// More of --endorsements
    #[arg(value_name = "ENDORSEMENTS")]
    more: Vec<PathBuf>,
    /// Certificates and revocation lists (DER, PEM, certificate table), Intel's signed documents (JSON), or a
    /// directory of them; may be repeated. AMD's own intermediates are added where none is given
    #[arg(long, value_name = "DIR|FILE")]
    endorsements: Vec<PathBuf>,
    /// What kind of evidence it is (sev-snp, tdx, tpm2, nitro …); guessed unless given
    #[arg(long, value_name = "NAME", value_parser = args::platform)]
    platform: Option<Platform>,
    /// The policy that must allow the machine; without one only genuineness is judged
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// What the caller's bytes must begin with, zeros after it (SNP, TDX), or be (TPM), or the document's nonce
    /// (Nitro)
    #[arg(long, value_name = "HEX")]
    nonce: Option<CallerData>,
    /// What the caller's bytes must be: 64 bytes for SNP and TDX, extraData for a TPM, `user_data` for Nitro
    #[arg(long, value_name = "HEX")]
    report_data: Option<CallerData>,
    /// Judge as of this instant, for example 2026-11-21T18:00:00Z; now unless given
    #[arg(long, value_name = "RFC3339", value_parser = args::instant)]
    at: Option<UnixTime>,
    /// The name of a TPM attestation key that was enrolled; may be repeated
    #[arg(long, value_name = "NAME", value_parser = trust::attestation_key)]
    enrolled_ak: Vec<tpm::Name>,
    /// Trust this root certificate instead of the vendor's: a simulator's; may be repeated
    #[arg(long, value_name = "FILE")]
    insecure_trust_root: Vec<PathBuf>,
    /// Ask for no revocation list: old evidence, for which none was kept. Every policy refuses it
    #[arg(long)]
    insecure_no_revocation: bool,
    /// How to write the answer
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
}

/// Judges and prints.
pub(crate) fn run(args: &Args, now: UnixTime) -> Answer {
    let roots = trust::roots(&args.insecure_trust_root);
    output::answer(judge(args, args.at.unwrap_or(now)), roots, args.output)
}

fn judge(args: &Args, at: UnixTime) -> Result<Judgement, NotJudged> {
    let bytes = input::read(&args.evidence, input::EVIDENCE_LIMIT)?;
    let platform = input::platform(args.platform, &bytes)?;
    let (bytes, cut) = input::evidence(platform, &bytes);
    let evidence = attest::parse(platform, bytes)?;
    let binding = Binding::asked(args.nonce.as_ref(), args.report_data.as_ref(), platform)?;
    let policy = args.policy.as_deref().map(input::policy).transpose()?;
    let anchors = trust::anchors(&args.insecure_trust_root)?;
    let anchors = anchors.with_attestation_keys(args.enrolled_ak.iter().cloned());

    let endorsements = brought(args, platform, &anchors)?;
    let (mut checks, claims, undecided) = match verify(args, &evidence, &endorsements, &anchors, at) {
        Ok(outcome) => {
            let (checks, claims) = appraise(outcome, policy.as_ref(), at);
            (checks, claims, None)
        }
        Err(why) => {
            let found = chain::alone(&evidence, &endorsements, &anchors, policy.as_ref(), at);
            (found.ok_or_else(|| NotJudged::from(why.clone()))?, None, Some(NotJudged::from(why)))
        }
    };
    checks.extend(claims.iter().flat_map(|claims| binding.checks(claims)));

    let mut stages = vec![Stage::Genuineness];
    let undecided_yet = undecided.is_some();
    if has_lists(platform) && !args.insecure_no_revocation && !undecided_yet {
        stages.push(Stage::Revocation);
    }
    if binding.is_asked() && !undecided_yet {
        stages.push(Stage::Binding);
    }
    if policy.is_some() {
        stages.push(Stage::Policy);
    }
    let roots = anchors.roots();
    Ok(Judgement { platform, roots, at, stages, policy, checks, claims, undecided, note: cut })
}

/// What the caller brought, and what is public and pinned.
fn brought(args: &Args, platform: Platform, anchors: &TrustAnchors) -> Result<Endorsements, NotJudged> {
    let named = [args.endorsements.as_slice(), args.more.as_slice()].concat();
    let mut endorsements = collateral::read(&named)?;
    if matches!(platform, Platform::SevSnp | Platform::AzureSnp) {
        collateral::complete(&mut endorsements, anchors.roots());
    }
    Ok(endorsements)
}

/// Whether this platform's vendor revokes keys by list.
fn has_lists(platform: Platform) -> bool {
    matches!(platform, Platform::SevSnp | Platform::Tdx | Platform::AzureSnp | Platform::AzureTdx)
}

/// Genuine or rejected, and by which checks.
fn verify(
    args: &Args,
    evidence: &Evidence<'_>,
    endorsements: &Endorsements,
    anchors: &TrustAnchors,
    at: UnixTime,
) -> Result<Result<Verified<Claims>, Rejected>, CannotJudge> {
    let revocation =
        if args.insecure_no_revocation { Revocation::InsecureWaived } else { Revocation::Required };
    let prepared = endorsements.prepare(&AwsLcRs, evidence, anchors, revocation, at);
    match prepared.and_then(|prepared| evidence.verify(&AwsLcRs, &prepared, at)) {
        Ok(claims) => Ok(Ok(claims)),
        Err(Unverified::Rejected(rejected)) => Ok(Err(rejected)),
        Err(Unverified::CannotJudge(error)) => Err(error),
        Err(other) => Err(CannotJudge::MissingEndorsement(other.to_string())),
    }
}

/// All checks so far, and the claims if they are genuine.
fn appraise(
    outcome: Result<Verified<Claims>, Rejected>,
    policy: Option<&Policy>,
    at: UnixTime,
) -> (Vec<Check>, Option<Verified<Claims>>) {
    match (outcome, policy) {
        (Ok(claims), Some(policy)) => (policy.inspect(&claims, at).checks, Some(claims)),
        (Ok(claims), None) => (claims.checks().to_vec(), Some(claims)),
        (Err(rejected), Some(policy)) => (policy.refuse(&rejected, at).appraisal().checks.clone(), None),
        (Err(rejected), None) => (rejected.checks().to_vec(), None),
    }
}

const EXAMPLES: &str = "\
Examples:
  cloudtaser attest verify report.bin --endorsements certs/ --policy prod.toml
  cloudtaser attest verify report.bin --endorsements vcek.der crl.der --nonce 8a41…
  cloudtaser attest verify tdquote.bin --endorsements collateral/ --policy prod.toml
  cloudtaser attest verify quote.bin --enrolled-ak 000b5c0e… -o json
  cloudtaser attest verify old.bin --endorsements certs/ --at 2025-08-09T17:21:41Z";
