//! `cloudtaser evidence verify`: was this decision made so, by that verifier, and rightly?
//!
//! The signature is checked under a key that the auditor pins, the decision is made again at the recorded
//! instant and compared byte for byte. What would be said today is told apart: a list that has run out
//! since does not make a decision of then wrong.
//!
//! Trusted: the options. Untrusted: the bundle; once its signature holds, its signer is believed for the
//! instant and the enrolled attestation keys, and for nothing else.

mod output;
mod today;

use std::path::PathBuf;

use attest::crypto::AwsLcRs;
use attest::log::NoteKey;
use attest::{Answer as Outcome, Appraisal, BadBundle, Bundle, Check, Digest, File, Replay, TrustAnchors};
use attest::{Roots, UnixTime, VerifierKey};

use crate::answer::{Answer, NotJudged};
use crate::args::{self, Format};
use crate::{input, trust};

use output::{Audit, Difference};

/// Audit a recorded decision: signed by whom, reproducible, still good today?
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
pub(crate) struct Args {
    /// The bundle; - reads standard input
    #[arg(value_name = "BUNDLE")]
    bundle: PathBuf,
    /// A verifier's Ed25519 public key that may have signed it: 64 hex digits, or a file (raw, hex, DER,
    /// PEM); may be repeated
    #[arg(long, value_name = "HEX|FILE")]
    verifier_key: Vec<String>,
    /// The verifier key of the verifier's release log, `name+hash+base64`, or a file with it: the record has to be in
    /// that log
    #[arg(long, value_name = "KEY|FILE")]
    log_key: Option<String>,
    /// Look at the decision although nobody's signature is checked: anybody may have written it
    #[arg(long, conflicts_with = "verifier_key")]
    insecure_any_verifier: bool,
    /// Trust this root certificate instead of the vendor's: a simulator's; may be repeated
    #[arg(long, value_name = "FILE")]
    insecure_trust_root: Vec<PathBuf>,
    /// The instant that counts as today, for example 2026-11-21T18:00:00Z; now unless given
    #[arg(long, value_name = "RFC3339", value_parser = args::instant)]
    at: Option<UnixTime>,
    /// Newer revocation lists, or a directory of them, for what is said of today; may be repeated
    #[arg(long, value_name = "DIR|FILE")]
    endorsements: Vec<PathBuf>,
    /// How to write the answer
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
}

/// Audits and prints.
pub(crate) fn run(args: &Args, now: UnixTime) -> Answer {
    let roots = trust::roots(&args.insecure_trust_root);
    output::answer(audit(args, args.at.unwrap_or(now)), roots, args.output)
}

fn audit(args: &Args, today: UnixTime) -> Result<Audit, NotJudged> {
    let file = input::read(&args.bundle, Bundle::MAX_BYTES)?;
    let signer = input::bundle_signer(&file)?;
    let anchors = trust::anchors(&args.insecure_trust_root)?;
    let (signature, bundle) = open(args, &file, signer)?;
    let mut audit = Audit {
        signer,
        authenticated: signature.verdict == Outcome::Pass,
        roots: anchors.roots(),
        checks: vec![signature],
        differences: Vec::new(),
        bundle: None,
        today: None,
    };
    if let Some(key) = &args.log_key {
        audit.checks.push(logged(&file, &log_key(key)?)?);
    }
    if let Some(mut bundle) = bundle {
        let hint = hint(bundle.appraisal.roots, &anchors);
        let replay = bundle.replay(&AwsLcRs, &anchors).map_err(|error| {
            let NotJudged { code, message } = error.into();
            NotJudged::new(code, message + &hint)
        })?;
        audit.checks.push(reproduced(&replay, &anchors, &hint));
        audit.differences = differences(&bundle.appraisal, &replay.appraisal);
        audit.today = Some(today::look(&mut bundle, &anchors, &args.endorsements, today)?);
        audit.bundle = Some(bundle);
    }
    Ok(audit)
}

/// Checks who signed. A bundle that the wrong one signed is refused, and not read any further.
fn open(args: &Args, file: &[u8], signer: Digest<32>) -> Result<(Check, Option<Bundle>), NotJudged> {
    if args.insecure_any_verifier {
        let bundle = Bundle::insecure_peek(file, &AwsLcRs)?;
        let found = format!("verifier key {signer}, which nobody vouches for");
        return Ok((
            check("bundle.signature", Outcome::Waived, "a pinned verifier's signature", found),
            Some(bundle),
        ));
    }
    let keys = args.verifier_key.iter().map(|text| trust::verifier_key(text));
    let keys = keys.collect::<Result<Vec<VerifierKey>, _>>()?;
    if keys.is_empty() {
        return Err(NotJudged::new(
            "verifier.unpinned",
            format!("bundle names verifier key {signer}, {HOW_TO_PIN}"),
        ));
    }
    let pinned: Vec<String> = keys.iter().map(|key| trust::key_id(key).to_string()).collect();
    let expected = format!("a signature by verifier key {}", pinned.join(" or "));
    match Bundle::open(file, &keys, &AwsLcRs) {
        Ok(bundle) => {
            Ok((check("bundle.signature", Outcome::Pass, &expected, format!("by {signer}")), Some(bundle)))
        }
        Err(BadBundle::UnknownSigner(other)) => {
            Ok((check("bundle.signature", Outcome::Fail, &expected, format!("one that names {other}")), None))
        }
        Err(BadBundle::Signature(_)) => {
            Ok((check("bundle.signature", Outcome::Fail, &expected, "does not verify".to_owned()), None))
        }
        Err(other) => Err(other.into()),
    }
}

/// Whether the verifier's log has the record.
fn logged(file: &[u8], key: &NoteKey) -> Result<Check, NotJudged> {
    let file = File::parse(file)?;
    let expected = format!("an entry of the record in the log {}", key.name.as_str());
    let (verdict, found) = match file.position.map(|position| position.holds(&AwsLcRs, &file.record, key)) {
        Some(Ok(entry)) => (Outcome::Pass, format!("entry {}", entry.index)),
        Some(Err(why)) => (Outcome::Fail, why.to_string()),
        None => (Outcome::Fail, "a file that names no place in a log".to_owned()),
    };
    Ok(check("bundle.logged", verdict, &expected, found))
}

fn log_key(text: &str) -> Result<NoteKey, NotJudged> {
    let text = if text.contains('+') {
        text.to_owned()
    } else {
        let bytes = input::read(std::path::Path::new(text), MOST_KEY_BYTES)?;
        String::from_utf8_lossy(&bytes).into_owned()
    };
    NoteKey::parse(&AwsLcRs, text.trim()).map_err(|why| NotJudged::new("log-key", why.to_string()))
}

const MOST_KEY_BYTES: usize = 4096;

fn reproduced(replay: &Replay, anchors: &TrustAnchors, hint: &str) -> Check {
    let verdict = if replay.identical { Outcome::Pass } else { Outcome::Fail };
    let found = if replay.identical { "the same bytes" } else { "another appraisal" };
    let found = format!("{found} under {} roots{hint}", anchors.roots());
    check("bundle.replay", verdict, "the recorded appraisal", found)
}

/// What helps where the record was made under other roots than those that were given.
fn hint(recorded: Roots, anchors: &TrustAnchors) -> String {
    match (recorded, anchors.roots()) {
        (Roots::Simulated, Roots::Vendor) => {
            "; the record says simulated roots: name the simulator's with --insecure-trust-root".to_owned()
        }
        (Roots::Vendor, Roots::Simulated) => {
            "; the record says vendor roots: leave --insecure-trust-root away".to_owned()
        }
        (Roots::Simulated, Roots::Simulated) | (Roots::Vendor, Roots::Vendor) => String::new(),
    }
}

/// Where two appraisals differ.
fn differences(recorded: &Appraisal, replayed: &Appraisal) -> Vec<Difference> {
    let fields = |of: &Appraisal| {
        [
            ("platform", of.platform.to_string()),
            ("roots", of.roots.to_string()),
            ("policy", format!("{} version {}", of.policy, of.policy_version)),
            ("policy digest", of.policy_digest.to_string()),
            ("at", of.at.to_string()),
            ("valid until", of.valid_until.to_string()),
        ]
    };
    let pairs = fields(recorded).into_iter().zip(fields(replayed));
    let mut found: Vec<Difference> = pairs
        .filter(|(then, now)| then != now)
        .map(|((what, recorded), (_, replayed))| Difference { what: what.to_owned(), recorded, replayed })
        .collect();
    let lost = recorded.checks.iter().filter(|check| !replayed.checks.contains(check));
    found.extend(lost.map(|check| Difference::of(check, Some(check), same_id(replayed, check))));
    let gained = replayed.checks.iter().filter(|check| same_id(recorded, check).is_none());
    found.extend(gained.map(|check| Difference::of(check, None, Some(check))));
    found
}

fn same_id<'a>(appraisal: &'a Appraisal, check: &Check) -> Option<&'a Check> {
    appraisal.checks.iter().find(|other| other.id == check.id)
}

fn check(id: &str, verdict: Outcome, expected: &str, found: String) -> Check {
    Check { id: id.to_owned(), verdict, expected: expected.to_owned(), found }
}

const HOW_TO_PIN: &str = "and none was pinned: ask the verifier's operator for the key, then pass it with \
                          --verifier-key (or look without knowing who signed: --insecure-any-verifier)";

const EXAMPLES: &str = "\
Examples:
  cloudtaser evidence verify decision.bundle --verifier-key verifier.pem
  cloudtaser evidence verify decision.bundle --verifier-key verifier.pem --endorsements crls/ -o json
  cloudtaser evidence verify decision.bundle --verifier-key verifier.pem --log-key openbao/7f…+5e0c…+Aa…
  cloudtaser evidence verify decision.bundle --verifier-key verifier.pem --at 2031-01-01T00:00:00Z";

const EXIT_CODES: &str = "\
Exit codes:
  0  authentic, and the recorded decision (admitted or refused) is reproduced
  1  the signature is not a pinned verifier's, the log has no such record, or the decision comes out differently
  2  not judged: something is missing, malformed or misspelt
What is said of today does not change the exit code.
A bundle is the record of a login or a release. Records of seals, revocations, reinstatements, imports and of the rule
by several are none: `evidence log verify` holds them against the log.";
