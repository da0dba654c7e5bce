//! The walk: every entry, in the order of the manifest, and the tally.

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::entry::{Entry, Set};
use crate::verdict::{Agreement, Answer};
use crate::{snp, tpm};

/// How many entries came out how.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Tally {
    pub(crate) agree: usize,
    pub(crate) differ: usize,
    pub(crate) unsupported: usize,
}

/// Walks the set in `dir` and writes a line per entry.
pub(crate) fn walk(dir: &Path, out: &mut impl Write) -> Result<Tally> {
    let set = Set::open(dir).with_context(|| format!("reading {}", dir.join("MANIFEST.toml").display()))?;
    let mut tally = Tally::default();
    for entry in set.entries() {
        let answer = answer(&set, entry);
        let agreement = answer.agrees_with(entry.expected());
        match agreement {
            Agreement::Agree => tally.agree = tally.agree.saturating_add(1),
            Agreement::Differ => tally.differ = tally.differ.saturating_add(1),
            Agreement::Unsupported => tally.unsupported = tally.unsupported.saturating_add(1),
        }
        let mark = if agreement == Agreement::Differ { "DIFFERS  " } else { "" };
        writeln!(out, "{mark}{}  {}  {answer}", entry.id(), entry.expected_word())?;
    }
    let Tally { agree, differ, unsupported } = tally;
    writeln!(out, "{agree} agree, {differ} differ, {unsupported} unsupported")?;
    Ok(tally)
}

/// Asks about one entry; a panic is an answer too, and never the right one.
fn answer(set: &Set, entry: &Entry) -> Answer {
    let ask = AssertUnwindSafe(|| match entry.tee() {
        "sev-snp" => snp::ask(set, entry),
        "tpm2" => tpm::ask(set, entry),
        other => Ok(Answer::Unsupported(format!("tee {other}"))),
    });
    match catch_unwind(ask) {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => Answer::Unsupported(format!("{error:#}")),
        Err(_) => Answer::Panicked,
    }
}
