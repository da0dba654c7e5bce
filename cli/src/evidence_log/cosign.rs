//! `cloudtaser evidence log cosign`: what a witness is asked, and what it answered.
//!
//! Without `--add`, the request to a witness is printed: how large the log was that it knows, the proof that this one grew
//! out of it, and the checkpoint (C2SP `tlog-witness`). With `--add`, the witness's answer goes into the directory's
//! checkpoint, if it holds. How the one gets there and the other back is the caller's business: no network is used.
//!
//! Trusted: the options. Untrusted: the directory, the answer.

use std::path::PathBuf;

use attest::crypto::AwsLcRs;
use attest::log::{BadCheckpoint, Checkpoint, Quorum, SignedCheckpoint, consistency, nodes};
use attest::{Answer as Outcome, Check, Malformed};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::EXIT_CODES;
use super::folder::Folder;
use super::incoming::Incoming;
use super::pins::Pins;
use crate::answer::{Answer, NotJudged, Verdict};
use crate::{input, layout};

/// Ask a witness to cosign the checkpoint of an exported log, or add what it answered
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
pub(crate) struct Args {
    /// The directory: checkpoint, tile/…
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    #[command(flatten)]
    pins: Pins,
    /// How many entries the log had that the witness knows: 0, or what it answers with status 409
    #[arg(long, value_name = "N", default_value_t = 0, conflicts_with = "add")]
    old: u64,
    /// Add the lines in this file to the checkpoint; - reads standard input
    #[arg(long, value_name = "FILE", requires = "witness")]
    add: Option<PathBuf>,
}

/// Asks, or adds.
pub(crate) fn run(args: &Args) -> Answer {
    let done = match &args.add {
        None => request(args).map(|request| Answer::text(Verdict::Accepted, request)),
        Some(path) => add(args, path),
    };
    done.unwrap_or_else(|why| Answer::complaint(&why))
}

/// The body of `add-checkpoint`.
fn request(args: &Args) -> Result<String, NotJudged> {
    let folder = Folder::new(&args.folder, None);
    let (signed, checkpoint) = opened(&folder, &args.pins)?;
    let proof = proof(&folder, args.old, &checkpoint)?;
    let proof: String = proof.into_iter().map(|hash| STANDARD.encode(hash) + "\n").collect();
    Ok(format!("old {}\n{proof}\n{}\n{}", args.old, signed.note().text(), signed.note().lines()))
}

fn proof(folder: &Folder, old: u64, checkpoint: &Checkpoint) -> Result<Vec<[u8; 32]>, NotJudged> {
    let size = checkpoint.head.size;
    let mut read = |tile| {
        let bytes = folder.tile(tile).map_err(Unread::from)?;
        bytes.ok_or_else(|| Unread(format!("expected {tile} in a log of {size} entries, found no such file")))
    };
    let mut lookup = nodes(&AwsLcRs, size, &mut read);
    let proof = consistency(&AwsLcRs, old, size, &mut *lookup);
    let proof = proof.map_err(|Unread(why)| NotJudged::new("log.cosign.tiles", why))?;
    let shorter = || {
        let message = format!(
            "expected a log of at least {old} entries, found {size}: the witness knows more than this directory"
        );
        NotJudged::new("log.cosign.old", message)
    };
    proof.map(|proof| proof.0.into_iter().map(|hash| hash.0).collect()).ok_or_else(shorter)
}

/// Adds an answer that holds.
fn add(args: &Args, path: &std::path::Path) -> Result<Answer, NotJudged> {
    let folder = Folder::new(&args.folder, None);
    let (signed, checkpoint) = opened(&folder, &args.pins)?;
    let answer = input::read(path, input::LIMIT)?;
    let malformed = |why: String| NotJudged::new("log.cosign.answer", format!("the witness's answer: {why}"));
    let lines = std::str::from_utf8(&answer).map_err(|_why| malformed("expected UTF-8".to_owned()))?;
    let file = signed.note().with(lines).map_err(|error| malformed(error.to_string()))?;
    // An answer speaks for the witness alone: the log's own signature must still be there, and hold.
    let merged = SignedCheckpoint::parse(&file).map_err(|error| malformed(error.to_string()))?;
    if args.pins.without_witnesses().believe(&merged)?.checkpoint.is_none() {
        return Err(malformed(
            "expected cosignatures, found what takes the place of the log's own signature".to_owned(),
        ));
    }
    let Some(quorum) = args.pins.quorum()? else { return Err(malformed("no witness was named".to_owned())) };
    // Each witness that was named has to be in the answer, whatever the directory held before.
    let alone = format!("{}\n{lines}", signed.note().text());
    let alone = SignedCheckpoint::parse(alone.as_bytes()).map_err(|error| malformed(error.to_string()))?;
    match alone.cosigned(&AwsLcRs, &quorum) {
        Ok(cosignatures) => {
            Incoming::new(&args.folder)?.replace_checkpoint(&file)?;
            let mut text = format!("ACCEPTED: {} entries of {}\n", checkpoint.head.size, checkpoint.origin);
            for one in cosignatures {
                layout::line(
                    &mut text,
                    &layout::printable(&format!("cosigned by {} at {}", one.witness, one.at)),
                );
            }
            Ok(Answer::text(Verdict::Accepted, text))
        }
        Err(why) => Ok(refused(&quorum, &why)),
    }
}

fn refused(quorum: &Quorum, why: &BadCheckpoint) -> Answer {
    let names: Vec<String> = quorum.witnesses().iter().map(|key| key.to_text(&AwsLcRs)).collect();
    let check = Check {
        id: "log.witnesses".to_owned(),
        verdict: Outcome::Fail,
        expected: format!("cosignatures by {}", names.join(", ")),
        found: why.to_string(),
    };
    let mut text = "REFUSED: the checkpoint stays as it was\n\n".to_owned();
    layout::checks(&mut text, &[check]);
    Answer::text(Verdict::Refused, text)
}

/// The directory's checkpoint, which a pinned key signed.
fn opened(folder: &Folder, pins: &Pins) -> Result<(SignedCheckpoint, Checkpoint), NotJudged> {
    let signed = folder.checkpoint()?;
    let believed = pins.without_witnesses().believe(&signed)?;
    let found = believed.checks.into_iter().next().map_or_else(String::new, |check| check.found);
    let checkpoint = believed.checkpoint.ok_or_else(|| NotJudged::new("log.checkpoint", found))?;
    Ok((signed, checkpoint))
}

/// A tile that cannot be had.
struct Unread(String);

impl From<Malformed> for Unread {
    fn from(why: Malformed) -> Self {
        Self(why.to_string())
    }
}

impl From<NotJudged> for Unread {
    fn from(why: NotJudged) -> Self {
        Self(why.message)
    }
}

const EXAMPLES: &str = "\
Examples:
  cloudtaser evidence log cosign log/ --key log.vkey --old 0 \\
    | curl --data-binary @- https://witness.example/add-checkpoint      (409: ask again with --old and that number)
  cloudtaser evidence log cosign log/ --key log.vkey --witness w1+… --add answer";
