//! Checkpoints: what the log says it holds, signed by the log and by witnesses.
//!
//! The text has three lines (C2SP's `tlog-checkpoint`): the origin, which names the log, the size of the tree and
//! its root; further lines are extensions, which nobody here makes or believes. A witness signs that it saw this
//! checkpoint and none that contradicts it (`tlog-cosignature`); a [`Quorum`] says how many of which are enough.
//!
//! Trusted: origin, keys and quorum, which the caller brings. Untrusted: the file, until [`SignedCheckpoint::open`].

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::note::{BadNote, KeyName, NoteKey, SignatureKind, SignedNote};
use super::tree::Head;
use crate::{Crypto, Digest, UnixTime};

/// What a log says of itself at one time.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Checkpoint {
    /// Which log.
    pub origin: Origin,
    /// Its size and root.
    pub head: Head,
}

impl Checkpoint {
    /// The text that the log's key signs, with [`SignatureKind::Ed25519`].
    #[must_use]
    pub fn to_text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.head.size, STANDARD.encode(self.head.root.0))
    }

    /// The message that a witness signs, with [`SignatureKind::CosignatureV1`].
    #[must_use]
    pub fn to_be_cosigned(text: &str, at: UnixTime) -> String {
        format!("cosignature/v1\ntime {}\n{text}", at.0)
    }

    fn parse(text: &str) -> Result<Self, BadCheckpoint> {
        let mut lines =
            text.strip_suffix('\n').ok_or(BadCheckpoint::Form("a newline at the end"))?.split('\n');
        let mut line = || lines.next().ok_or(BadCheckpoint::Form("three lines"));
        let origin = Origin::new(line()?)?;
        let digits = line()?;
        let size: u64 = digits.parse().map_err(|_why| BadCheckpoint::Form("a size in decimal"))?;
        if size.to_string() != digits {
            return Err(BadCheckpoint::Form("a size without sign or zeros in front"));
        }
        let root = STANDARD.decode(line()?).ok().and_then(|root| root.try_into().ok());
        let root = Digest(root.ok_or(BadCheckpoint::Form("a root of 32 bytes in base64"))?);
        if lines.any(str::is_empty) {
            return Err(BadCheckpoint::Form("no empty line"));
        }
        Ok(Self { origin, head: Head { size, root } })
    }
}

/// The name of a log.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Origin(String);

impl Origin {
    /// This name, if it fits on a line of at most 255 bytes.
    pub fn new(name: &str) -> Result<Self, BadCheckpoint> {
        if name.is_empty() || name.len() > 255 || name.chars().any(char::is_control) {
            return Err(BadCheckpoint::Form("an origin of 1 to 255 bytes on one line"));
        }
        Ok(Self(name.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A checkpoint with its signatures. Nothing of it is believed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SignedCheckpoint {
    note: SignedNote,
    checkpoint: Checkpoint,
}

impl SignedCheckpoint {
    /// Takes a file apart.
    pub fn parse(file: &[u8]) -> Result<Self, BadCheckpoint> {
        let note = SignedNote::parse(file)?;
        let checkpoint = Checkpoint::parse(note.text())?;
        Ok(Self { note, checkpoint })
    }

    /// The checkpoint, if it is this log's and one of `keys` signed it.
    pub fn open(
        &self,
        crypto: &dyn Crypto,
        origin: &Origin,
        keys: &[NoteKey],
    ) -> Result<Checkpoint, BadCheckpoint> {
        if self.checkpoint.origin != *origin {
            let (expected, found) = (origin.to_string(), self.checkpoint.origin.to_string());
            return Err(BadCheckpoint::Origin { expected, found });
        }
        let mut signed = false;
        for key in keys.iter().filter(|key| key.kind == SignatureKind::Ed25519) {
            signed |= self.note.is_signed_by(crypto, key)?;
        }
        if !signed {
            let expected: Vec<String> =
                keys.iter().map(|key| format!("{}+{}", key.name, key.id(crypto))).collect();
            return Err(BadCheckpoint::Unsigned {
                expected: expected.join(" or "),
                found: self.note.names().join(", "),
            });
        }
        Ok(self.checkpoint.clone())
    }

    /// The checkpoint, whoever signed it: for somebody who only looks.
    #[must_use]
    pub fn insecure_peek(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The note.
    #[must_use]
    pub fn note(&self) -> &SignedNote {
        &self.note
    }

    /// Which witnesses of the quorum cosigned, if they are enough. For each its latest cosignature.
    pub fn cosigned(&self, crypto: &dyn Crypto, quorum: &Quorum) -> Result<Vec<Cosignature>, BadCheckpoint> {
        let mut found = Vec::new();
        for witness in &quorum.witnesses {
            let mut latest = None;
            for signature in self.note.by(crypto, witness) {
                let at = self.cosignature(crypto, witness, &signature.bytes)?;
                latest = latest.max(Some(at));
            }
            found.extend(latest.map(|at| Cosignature { witness: witness.name.clone(), at }));
        }
        if found.len() >= quorum.threshold {
            return Ok(found);
        }
        let names: Vec<&str> = found.iter().map(|cosignature| cosignature.witness.as_str()).collect();
        let (expected, of) = (quorum.threshold, quorum.witnesses.len());
        Err(BadCheckpoint::TooFew { expected, of, found: found.len(), names: names.join(", ") })
    }

    /// Checks one: an instant of 64 bits, big-endian, then the signature.
    fn cosignature(
        &self,
        crypto: &dyn Crypto,
        witness: &NoteKey,
        bytes: &[u8],
    ) -> Result<UnixTime, BadCheckpoint> {
        let spoilt = || BadNote::Spoilt(format!("{}+{}", witness.name, witness.id(crypto)));
        let (at, signature) = bytes.split_first_chunk::<8>().ok_or_else(spoilt)?;
        let at = UnixTime(u64::from_be_bytes(*at));
        if i64::try_from(at.0).is_err() {
            return Err(spoilt().into());
        }
        let message = Checkpoint::to_be_cosigned(self.note.text(), at);
        witness.verify(crypto, message.as_bytes(), signature)?;
        Ok(at)
    }
}

/// A witness's word that it saw a checkpoint.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Cosignature {
    /// Who.
    pub witness: KeyName,
    /// When, by its own clock.
    pub at: UnixTime,
}

/// At least so many of these witnesses.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Quorum {
    witnesses: Vec<NoteKey>,
    threshold: usize,
}

impl Quorum {
    /// Who is in it.
    #[must_use]
    pub fn witnesses(&self) -> &[NoteKey] {
        &self.witnesses
    }

    /// At least `threshold` of `witnesses`, no two of whom have one key.
    pub fn new(witnesses: Vec<NoteKey>, threshold: usize) -> Result<Self, BadQuorum> {
        if threshold == 0 || threshold > witnesses.len() {
            return Err(BadQuorum::Threshold { threshold, witnesses: witnesses.len() });
        }
        if let Some(other) = witnesses.iter().find(|witness| witness.kind != SignatureKind::CosignatureV1) {
            return Err(BadQuorum::Kind(other.name.to_string()));
        }
        // One who signs under two names is still one.
        let mut keys: Vec<_> = witnesses.iter().map(|witness| witness.key).collect();
        keys.sort_unstable();
        keys.dedup();
        if keys.len() != witnesses.len() {
            return Err(BadQuorum::Twice { expected: witnesses.len(), found: keys.len() });
        }
        Ok(Self { witnesses, threshold })
    }
}

/// Why a quorum is none.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BadQuorum {
    /// None, or more than there are.
    #[error("expected a threshold of 1 to {witnesses} witnesses, found {threshold}")]
    Threshold {
        /// How many are asked for.
        threshold: usize,
        /// How many there are.
        witnesses: usize,
    },
    /// A log's key, which signs no instants.
    #[error("expected a witness key (type 4, Ed25519 cosignatures), found another type for {0}")]
    Kind(String),
    /// One key under several names.
    #[error("expected {expected} witnesses with keys of their own, found {found} keys")]
    Twice {
        /// How many witnesses.
        expected: usize,
        /// How many keys.
        found: usize,
    },
}

/// Why a file is not a checkpoint, or is not to be believed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BadCheckpoint {
    /// Not a note, or a spoilt one.
    #[error(transparent)]
    Note(#[from] BadNote),
    /// A note with another text.
    #[error("not a checkpoint: expected {0}")]
    Form(&'static str),
    /// Another log's.
    #[error("checkpoint of another log: expected origin {expected:?}, found {found:?}")]
    Origin {
        /// The log that was asked about.
        expected: String,
        /// The log that speaks.
        found: String,
    },
    /// None of the keys signed it.
    #[error("expected a signature by {expected}, found {found}")]
    Unsigned {
        /// The keys that would do.
        expected: String,
        /// Who signed, as the note has it.
        found: String,
    },
    /// Not enough witnesses.
    #[error("expected cosignatures of {expected} of {of} witnesses, found {found} ({names})")]
    TooFew {
        /// How many are asked for.
        expected: usize,
        /// Of how many.
        of: usize,
        /// How many there are.
        found: usize,
        /// Whose they are.
        names: String,
    },
}
