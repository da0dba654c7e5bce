//! How far one step of an export went, in words and for programs.

use std::path::{Path, PathBuf};

use attest::Check;
use attest::log::{Checkpoint, Head};
use serde::Serialize;

use crate::answer::{Answer, Verdict};
use crate::args::Format;
use crate::layout;

/// How far one step went.
#[derive(Debug, Serialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
pub(super) enum Step {
    /// Nothing was logged yet.
    Empty,
    /// The directory holds all of it.
    Kept {
        origin: String,
        /// How many entries it held before.
        before: u64,
        #[serde(flatten)]
        head: Head,
        /// How many of the new ones have no record any more.
        without_record: u64,
    },
    /// The server has less than the directory: the beginning of the same log.
    Behind { held: u64, found: u64 },
    /// What came is not what it should be.
    Refused { check: Check, kept: Option<PathBuf> },
}

/// Where words go.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Words {
    /// To standard output.
    Out,
    /// To standard error: standard output is for entries.
    Aside,
}

impl Step {
    pub(super) fn kept(checkpoint: &Checkpoint, old: &Head, without_record: u64) -> Self {
        let origin = checkpoint.origin.to_string();
        Self::Kept { origin, before: old.size, head: checkpoint.head, without_record }
    }

    pub(super) fn verdict(&self) -> Verdict {
        match self {
            Self::Empty | Self::Kept { .. } => Verdict::Accepted,
            Self::Behind { .. } | Self::Refused { .. } => Verdict::Refused,
        }
    }

    pub(super) fn words(&self, folder: &Path) -> String {
        let folder = folder.display();
        match self {
            Self::Empty => "ACCEPTED: nothing was logged yet\n".to_owned(),
            Self::Kept { origin, before, head, without_record } => {
                let (size, new) = (head.size, head.size.saturating_sub(*before));
                format!(
                    "ACCEPTED: {size} entries of {origin} in {folder}, {new} of them new, {without_record} of these without record\n"
                )
            }
            Self::Behind { held, found } => format!(
                "REFUSED: expected at least {held} entries, found {found}, the first of those in {folder}: a server that is \
                 behind, or a backup that was restored\n"
            ),
            Self::Refused { check, kept } => {
                let mut text = "REFUSED: the directory stays as it was\n\n".to_owned();
                layout::checks(&mut text, std::slice::from_ref(check));
                if let Some(kept) = kept {
                    layout::line(&mut text, &format!("\nwhat came is in {}: it is evidence", kept.display()));
                }
                text
            }
        }
    }

    /// What is written: as a document, or in words, which keep off standard output where entries go.
    pub(super) fn answer(self, folder: &Path, format: Format, words: Words) -> Answer {
        let verdict = self.verdict();
        match (format, words) {
            (Format::Json, _) => Answer::json(verdict, &Document { verdict, step: self }),
            (Format::Text, Words::Aside) => Answer::aside(verdict, self.words(folder)),
            (Format::Text, Words::Out) => Answer::text(verdict, self.words(folder)),
        }
    }
}

/// What programs read.
#[derive(Serialize)]
struct Document {
    verdict: Verdict,
    #[serde(flatten)]
    step: Step,
}
