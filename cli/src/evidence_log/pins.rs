//! Whom to believe: the log's name and key, its witnesses, the checkpoints that were kept.
//!
//! Trusted: these words and files, because the caller named them for that purpose.

use std::path::PathBuf;

use attest::crypto::AwsLcRs;
use attest::log::{
    BadCheckpoint, Checkpoint, Head, KeyName, NoteKey, Origin, Quorum, SignatureKind, SignedCheckpoint,
};
use attest::{Answer as Outcome, Check};

use super::folder;
use crate::answer::NotJudged;
use crate::{input, trust};

/// The words that say whom to believe.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Pins {
    /// The log's key: a verifier key `name+hash+base64`, 64 hex digits, or a file with either (or raw, DER, PEM); may
    /// be repeated
    #[arg(long, value_name = "KEY|FILE")]
    key: Vec<String>,
    /// The log's name, as its checkpoint has it; that of the verifier key unless given
    #[arg(long, value_name = "NAME")]
    origin: Option<String>,
    /// Check no signature of the log: anybody may have written it
    #[arg(long, conflicts_with = "key")]
    insecure_any_key: bool,
    /// A witness's verifier key (type 4); may be repeated
    #[arg(long, value_name = "KEY")]
    witness: Vec<String>,
    /// How many of the witnesses must have cosigned; all unless given
    #[arg(long, value_name = "K", requires = "witness")]
    witness_threshold: Option<usize>,
    /// A checkpoint of this log that was kept: nothing in it may have changed since; may be repeated
    #[arg(long, value_name = "CHECKPOINT")]
    since: Vec<PathBuf>,
}

/// What the pins mean for one checkpoint.
#[derive(Clone, Debug)]
pub(super) struct Believed {
    /// The checkpoint, if it is to be believed.
    pub(super) checkpoint: Option<Checkpoint>,
    /// Whether a pinned key signed it.
    pub(super) authenticated: bool,
    /// Heads that the log once had.
    pub(super) earlier: Vec<Head>,
    /// What was asked so far.
    pub(super) checks: Vec<Check>,
    /// Who cosigned, and when.
    pub(super) witnesses: Vec<String>,
}

impl Pins {
    /// Whether nothing is pinned and nobody said that this is so.
    pub(super) fn are_missing(&self) -> bool {
        self.key.is_empty() && !self.insecure_any_key
    }

    /// The same, with no key asked for.
    pub(super) fn insecurely(&self) -> Self {
        Self { insecure_any_key: true, ..self.clone() }
    }

    /// The same, with no witness and no earlier checkpoint: for a file that was held against them when it came.
    pub(super) fn without_witnesses(&self) -> Self {
        Self { witness: Vec::new(), witness_threshold: None, since: Vec::new(), ..self.clone() }
    }

    /// Asks everything that can be asked of a checkpoint alone.
    pub(super) fn believe(&self, signed: &SignedCheckpoint) -> Result<Believed, NotJudged> {
        let keys = self.keys()?;
        if self.are_missing() {
            return Err(unpinned(signed));
        }
        let origin = self.origin(&keys)?;
        let quorum = self.quorum()?;
        let opened = self.open(signed, origin.as_ref(), &keys);
        let mut believed = Believed {
            authenticated: !self.insecure_any_key && opened.is_ok(),
            earlier: Vec::new(),
            checks: vec![self.said(signed, origin.as_ref(), &keys, opened.as_ref().err())],
            witnesses: Vec::new(),
            checkpoint: None,
        };
        let Ok(checkpoint) = opened else { return Ok(believed) };
        for path in &self.since {
            let old = folder::checkpoint(path)?;
            let old = self.open(&old, Some(&checkpoint.origin), &keys).map_err(|error| {
                NotJudged::new("log.since.unsigned", format!("{}: {error}", path.display()))
            })?;
            believed.earlier.push(old.head);
        }
        let met = quorum.as_ref().map(|quorum| signed.cosigned(&AwsLcRs, quorum)).transpose();
        let (check, names) = self.cosigned(met);
        believed.checks.extend(check);
        let met = believed.checks.iter().all(|check| check.verdict != Outcome::Fail);
        believed.checkpoint = met.then_some(checkpoint);
        believed.witnesses = names;
        Ok(believed)
    }

    fn open(
        &self,
        signed: &SignedCheckpoint,
        origin: Option<&Origin>,
        keys: &[NoteKey],
    ) -> Result<Checkpoint, BadCheckpoint> {
        let peeked = signed.insecure_peek();
        let origin = origin.unwrap_or(&peeked.origin);
        if !self.insecure_any_key {
            return signed.open(&AwsLcRs, origin, keys);
        }
        if peeked.origin == *origin {
            return Ok(peeked.clone());
        }
        let (expected, found) = (origin.to_string(), peeked.origin.to_string());
        Err(BadCheckpoint::Origin { expected, found })
    }

    fn said(
        &self,
        signed: &SignedCheckpoint,
        origin: Option<&Origin>,
        keys: &[NoteKey],
        problem: Option<&BadCheckpoint>,
    ) -> Check {
        let id = "log.checkpoint".to_owned();
        let named: Vec<String> = keys.iter().map(|key| key.to_text(&AwsLcRs)).collect();
        let origin = origin.map_or_else(|| "any log".to_owned(), ToString::to_string);
        let (verdict, expected, found) = match problem {
            Some(problem) => (Outcome::Fail, named.join(" or "), problem.to_string()),
            None if self.insecure_any_key => {
                let found = format!("{}, which nobody vouches for", signed.note().names().join(", "));
                (Outcome::Waived, "a pinned key".to_owned(), found)
            }
            None => (Outcome::Pass, named.join(" or "), "its signature".to_owned()),
        };
        Check { id, verdict, expected: format!("a checkpoint of {origin}, signed by {expected}"), found }
    }

    fn cosigned(
        &self,
        met: Result<Option<Vec<attest::log::Cosignature>>, BadCheckpoint>,
    ) -> (Option<Check>, Vec<String>) {
        let id = "log.witnesses".to_owned();
        let expected = format!("{} of {} witnesses", self.threshold(), self.witness.len());
        match met {
            Ok(None) => (None, Vec::new()),
            Ok(Some(cosignatures)) => {
                let names: Vec<String> =
                    cosignatures.iter().map(|one| format!("{} at {}", one.witness, one.at)).collect();
                let found = format!("{} of them", names.len());
                (Some(Check { id, verdict: Outcome::Pass, expected, found }), names)
            }
            Err(problem) => {
                let found = problem.to_string();
                (Some(Check { id, verdict: Outcome::Fail, expected, found }), Vec::new())
            }
        }
    }

    fn threshold(&self) -> usize {
        self.witness_threshold.unwrap_or(self.witness.len())
    }

    /// The witnesses that were named, if any were.
    pub(super) fn quorum(&self) -> Result<Option<Quorum>, NotJudged> {
        if self.witness.is_empty() {
            return Ok(None);
        }
        let bad = |why: String| NotJudged::new("log.witness.key", why);
        let keys = self.witness.iter().map(|text| NoteKey::parse(&AwsLcRs, text));
        let keys = keys.collect::<Result<Vec<_>, _>>().map_err(|error| bad(error.to_string()))?;
        Quorum::new(keys, self.threshold()).map(Some).map_err(|error| bad(error.to_string()))
    }

    /// The origin that was named, or the one name that all keys have.
    fn origin(&self, keys: &[NoteKey]) -> Result<Option<Origin>, NotJudged> {
        let name = self.origin.as_deref().or_else(|| keys.first().map(|key| key.name.as_str()));
        let origin = name.map(Origin::new).transpose();
        origin.map_err(|error| NotJudged::new("log.origin", error.to_string()))
    }

    fn keys(&self) -> Result<Vec<NoteKey>, NotJudged> {
        self.key.iter().map(|text| self.one_key(text)).collect()
    }

    fn one_key(&self, text: &str) -> Result<NoteKey, NotJudged> {
        let bad = |why: String| NotJudged::new("log.key", why);
        let written = if text.contains('+') { Some(text.to_owned()) } else { verifier_key_in(text)? };
        if let Some(written) = written {
            let key = NoteKey::parse(&AwsLcRs, &written).map_err(|error| bad(error.to_string()))?;
            return if key.kind == SignatureKind::Ed25519 {
                Ok(key)
            } else {
                Err(bad(format!("expected the log's key (type 1), found a witness's: {}", key.name)))
            };
        }
        let key = trust::verifier_key(text)?.0;
        let Some(origin) = &self.origin else {
            return Err(bad("expected --origin with a key that has no name in it, found none".to_owned()));
        };
        let name = KeyName::new(origin).map_err(|error| bad(error.to_string()))?;
        Ok(NoteKey { name, kind: SignatureKind::Ed25519, key })
    }
}

/// The verifier key that a file holds as its only line, if it holds one.
fn verifier_key_in(path: &str) -> Result<Option<String>, NotJudged> {
    let path = std::path::Path::new(path);
    if !path.is_file() {
        return Ok(None);
    }
    let bytes = input::read(path, input::LIMIT)?;
    let text = std::str::from_utf8(&bytes).map(str::trim).unwrap_or_default();
    let is_one = text.lines().count() == 1 && text.split('+').count() >= 3;
    Ok(is_one.then(|| text.to_owned()))
}

fn unpinned(signed: &SignedCheckpoint) -> NotJudged {
    let message = format!(
        "checkpoint of {} names {}, and no key was pinned: ask the log's operator for its verifier key, then pass it \
         with --key (or look without knowing who signed: --insecure-any-key)",
        signed.insecure_peek().origin,
        signed.note().names().join(", ")
    );
    NotJudged::new("log.unpinned", message)
}
