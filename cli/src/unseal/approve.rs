//! `cloudtaser unseal approve`: look at a machine that waits, and give it a share if it is the right one.
//!
//! The custodian's own program draws a nonce, has the machine's hardware sign it together with the key that
//! the machine offers, and judges the answer here, with the custodian's own policy and roots. Only for an
//! admitted key is the share opened at all, and it leaves sealed to that key.
//!
//! Trusted: the custodian's files and clock. Untrusted: the machine, and whatever carries its words.

use std::path::PathBuf;

use attest::crypto::AwsLcRs;
use attest::{Admitted, Challenge, Context, Decision, Endorsements, Question, Refused, Roots, UnixTime};
use custody::share::{BadShare, SealedShare, seal_to_machine};
use custody::{Custodians, SetId};
use protocol::unseal::{Demand, Offer, Progress, Reply, Request, Share, VERSION, context};

use super::line::{Address, exchange};
use super::{private_key, random};
use crate::answer::{Answer, NotJudged, Verdict};
use crate::{args, collateral, input, layout, trust};

/// Verify a machine that waits to be unsealed, and send it your share
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", args::EXIT_CODES))]
pub(crate) struct Args {
    /// Where the machine waits: the path of a Unix socket, or HOST:PORT of what leads there
    #[arg(value_name = "ADDRESS")]
    address: Address,
    /// The policy that must allow the machine: the custodian's own copy
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    /// The document of the set: the custodian's own copy
    #[arg(long, value_name = "FILE")]
    custodians: PathBuf,
    /// The custodian's sealed share
    #[arg(long, value_name = "FILE")]
    share: PathBuf,
    /// The custodian's private key; - reads standard input
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Certificates and revocation lists beside those that the machine brings; may be repeated
    #[arg(long, value_name = "DIR|FILE")]
    endorsements: Vec<PathBuf>,
    /// Trust this root certificate instead of the vendor's: a simulator's; may be repeated
    #[arg(long, value_name = "FILE")]
    insecure_trust_root: Vec<PathBuf>,
}

/// Judges, and sends or not.
pub(crate) fn run(args: &Args, now: UnixTime) -> Answer {
    match approve(args, now) {
        Ok(Outcome::Sent(admitted, progress)) => Answer::text(Verdict::Accepted, sent(&admitted, progress)),
        Ok(Outcome::Refused(refused)) => Answer::text(Verdict::Refused, refusal(&refused)),
        Err(why) => Answer::complaint(&why),
    }
}

enum Outcome {
    Sent(Box<Admitted>, Progress),
    Refused(Box<Refused>),
}

fn approve(args: &Args, now: UnixTime) -> Result<Outcome, NotJudged> {
    let set = Custodians::parse(&input::read(&args.custodians, Custodians::MAX_BYTES)?)?;
    let share = sealed_share(args, &set)?;
    let mut nonce = [0; 32];
    random(&mut nonce)?;
    let offer = demand(args, nonce)?;
    if offer.set != set.id().0 {
        let (expected, found) = (set.id(), SetId(offer.set));
        let message = format!("expected a machine that waits for set {expected}, found one for {found}");
        return Err(NotJudged::new("custodians.other", message));
    }
    let admitted = match judge(args, &offer, nonce, now)? {
        Ok(admitted) => admitted,
        Err(refused) => return Ok(Outcome::Refused(Box::new(refused))),
    };
    let progress = send(args, &set, &share, &admitted)?;
    Ok(Outcome::Sent(Box::new(admitted), progress))
}

/// The share as it is kept: of this set, and not opened yet.
fn sealed_share(args: &Args, set: &Custodians) -> Result<SealedShare, NotJudged> {
    let bytes = input::read(&args.share, input::LIMIT)?;
    let share: SealedShare = serde_json::from_slice(&bytes).map_err(|error| {
        NotJudged::new(
            "share.malformed",
            format!("expected a share in {}, found {error}", args.share.display()),
        )
    })?;
    let found = share.set()?;
    if found != set.id() {
        let message = format!("expected a share of set {}, found one of {found}", set.id());
        return Err(NotJudged::new("custodians.other", message));
    }
    Ok(share)
}

fn demand(args: &Args, nonce: [u8; 32]) -> Result<Offer, NotJudged> {
    match exchange(&args.address, &Request::Evidence(Demand { version: VERSION, nonce }))? {
        Reply::Evidence(offer) => Ok(offer),
        other @ (Reply::Taken(_) | Reply::Failed(_)) => Err(unexpected(other)),
    }
}

/// As OpenBao's plugin judges a release, with the custodian in the verifier's place.
fn judge(args: &Args, offer: &Offer, nonce: [u8; 32], now: UnixTime) -> Result<Decision, NotJudged> {
    let policy = input::policy(&args.policy)?;
    let anchors = trust::anchors(&args.insecure_trust_root)?;
    let evidence = attest::parse(offer.evidence.platform, &offer.evidence.evidence)?;
    let mut endorsements = collateral::read(&args.endorsements)?;
    add(&mut endorsements, offer);
    collateral::complete(&mut endorsements, anchors.roots());
    let prepared = attest::prepare(&evidence, &endorsements, &AwsLcRs, &anchors, now);
    let context = offer.evidence.purpose(&context(&offer.set));
    let challenge = Challenge { nonce, context, expires: now.plus(PATIENCE), answered: false };
    let question = Question { evidence: &evidence, challenge, offered: offer.key.clone() };
    let believed = Context { crypto: &AwsLcRs, policy: &policy, standing: None };
    Ok(attest::decide(question, prepared.as_ref(), believed, now)?)
}

fn add(endorsements: &mut Endorsements, offer: &Offer) {
    let owned = |list: &[minicbor::bytes::ByteVec]| list.iter().map(|item| item.to_vec()).collect::<Vec<_>>();
    endorsements.certificates.extend(owned(&offer.evidence.certificates));
    endorsements.revocation_lists.extend(owned(&offer.evidence.revocation_lists));
    endorsements.documents.extend(owned(&offer.evidence.documents));
}

/// Opens the share and seals it to the key that was admitted, and to no other.
fn send(
    args: &Args,
    set: &Custodians,
    share: &SealedShare,
    admitted: &Admitted,
) -> Result<Progress, NotJudged> {
    let opened = share.open(&*private_key(&args.key)?)?;
    let (enc, ciphertext) = seal_to_machine(admitted.key(), set.id(), share.number, opened.as_slice())?;
    let share = Share { version: VERSION, custodian: share.number, enc, ciphertext };
    match exchange(&args.address, &Request::Share(share))? {
        Reply::Taken(progress) => Ok(progress),
        other @ (Reply::Evidence(_) | Reply::Failed(_)) => Err(unexpected(other)),
    }
}

fn unexpected(reply: Reply) -> NotJudged {
    let message = match reply {
        Reply::Failed(failure) => {
            format!("the machine says: {} ({})", failure.message, failure.code)
        }
        Reply::Evidence(_) | Reply::Taken(_) => "the machine answered another question".to_owned(),
    };
    NotJudged::new("machine.answer", layout::printable(&message))
}

fn sent(admitted: &Admitted, progress: Progress) -> String {
    let Progress { have, needed } = progress;
    let next = if have >= needed { "the machine can open" } else { "it waits for others" };
    let appraisal = admitted.appraisal();
    let (policy, version) = (layout::printable(&appraisal.policy), appraisal.policy_version);
    let roots = match appraisal.roots {
        Roots::Vendor => "",
        Roots::Simulated => ", under SIMULATED roots",
    };
    format!("admitted by policy {policy} version {version}{roots}\nshare taken: {have} of {needed}, {next}\n")
}

fn refusal(refused: &Refused) -> String {
    let mut text = "refused: no share was opened or sent\n".to_owned();
    for check in refused.appraisal().failing() {
        let [id, expected, found] =
            [&check.id, &check.expected, &check.found].map(|text| layout::printable(text));
        layout::line(&mut text, &format!("  {id}: expected {expected}, found {found}"));
    }
    text
}

impl From<BadShare> for NotJudged {
    fn from(error: BadShare) -> Self {
        Self::new("share.unusable", error.to_string())
    }
}

/// Seconds for the machine to answer; a TPM may take some.
const PATIENCE: u64 = 60;

const EXAMPLES: &str = "\
Examples:
  ssh -N -L ./prod.sock:/run/openbao/attestseal.sock admin@bao-1 &
  cloudtaser unseal approve ./prod.sock --policy prod.toml --custodians custodians.json --share anna.share \\
      --key anna.key";
