//! The walk: every entry, in the order of the manifest, and the tally.

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::entry::{Entry, Set};
use crate::verdict::{Agreement, Answer};
use crate::{azure, certificates, nitro, snp, tdx, tpm};

/// How many entries came out how.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Tally {
    pub(crate) agree: usize,
    pub(crate) differ: usize,
    pub(crate) unsupported: usize,
    /// Of those that differ, the ones that [`ARGUED`] gives a reason for.
    pub(crate) argued: usize,
}

/// Entries of the shared set where the manifest is mistaken, the check that refuses them, and why it stands. They still
/// count as different.
const ARGUED: [(&str, &str, &str); 1] = [(
    "tdx-v4-cctrusted",
    "tdx.chain.root",
    "its chain ends in another \"Intel SGX Root CA\" (2019-10-31, certificate digest e3f49e85…), which the quote itself brings, not in the one of 2018 that Intel publishes",
)];

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
        let argued = ARGUED.iter().find(|(id, check, _)| *id == entry.id() && answer.refused_by(check));
        if let (Agreement::Differ, Some((_, _, why))) = (agreement, argued) {
            tally.argued = tally.argued.saturating_add(1);
            writeln!(out, "    argued: {why}")?;
        }
    }
    let Tally { agree, differ, unsupported, .. } = tally;
    writeln!(out, "{agree} agree, {differ} differ, {unsupported} unsupported")?;
    Ok(tally)
}

/// Asks about one entry; a panic is an answer too, and never the right one.
fn answer(set: &Set, entry: &Entry) -> Answer {
    let ask = AssertUnwindSafe(|| match entry.tee() {
        "sev-snp" => snp::ask(set, entry),
        "tpm2" if certificates::are_in(entry) => certificates::ask(set, entry),
        "tpm2" => tpm::ask(set, entry),
        "tdx" => tdx::ask(set, entry),
        "sev-snp+vtpm" | "tdx+vtpm" => azure::ask(set, entry),
        "nitro" | "nitro-tpm" => nitro::ask(set, entry),
        other => Ok(Answer::Unsupported(format!("tee {other}"))),
    });
    match catch_unwind(ask) {
        Ok(Ok(answer)) => answer,
        // A table of certificates is input to the verifier too.
        Ok(Err(error)) if error.is::<attest::Malformed>() => Answer::Malformed { problem: error.to_string() },
        Ok(Err(error)) => Answer::Unreadable(format!("{error:#}")),
        Err(_) => Answer::Panicked,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walked(manifest: &str, files: &[(&str, &[u8])]) -> (Tally, Vec<String>) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("MANIFEST.toml"), manifest).unwrap();
        for (name, bytes) in files {
            std::fs::write(dir.path().join(name), bytes).unwrap();
        }
        let mut out = Vec::new();
        let tally = walk(dir.path(), &mut out).unwrap();
        (tally, String::from_utf8(out).unwrap().lines().map(str::to_owned).collect())
    }

    #[test]
    fn an_entry_that_nobody_knows_is_unsupported() {
        let odd = "[[vector]]\n[[vector]]\ntee = 'sev-snp'\nkind = 'poem'\nexpected = 'ok'\n[[vector]]\ntee = 'tpm2'\nkind = 'tpm-quote'\nexpected = 'ok'\n[[vector]]\ntee = 'sev-snp'\nkind = 'report'\nexpected = 'ok'";
        let (tally, lines) = walked(odd, &[]);
        assert_eq!(tally, Tally { unsupported: 4, ..Tally::default() });
        assert_eq!(lines[0], "(no id)  (nothing)  unsupported  (tee (no tee))");
        assert_eq!(lines[4], "0 agree, 0 differ, 4 unsupported");
    }

    #[test]
    fn a_set_that_lacks_a_file_or_says_nonsense_differs() {
        let missing = "[[vector]]\nid = 'a'\ntee = 'sev-snp'\nkind = 'report'\nexpected = 'reject'\nrole = { report = 'gone' }";
        let (tally, lines) = walked(missing, &[]);
        assert_eq!(tally, Tally { differ: 1, ..Tally::default() });
        assert!(lines[0].starts_with("DIFFERS  a  reject  unreadable  (gone"), "{lines:?}");
        let undated = "[[vector]]\ntee = 'sev-snp'\nkind = 'crl'\nexpected = 'reject'\nverify_at = 'soon'";
        assert_eq!(walked(undated, &[]).0.differ, 1);
    }

    #[test]
    fn the_answer_names_what_refused() {
        let entry = |expected: &str| {
            format!(
                "[[vector]]\nid = 'x'\ntee = 'sev-snp'\nkind = 'report'\nfile = 'r'\nexpected = '{expected}'"
            )
        };
        let mut report = [0; 1184];
        report[0] = 3;
        let (tally, lines) = walked(&entry("parse-only"), &[("r", &report)]);
        assert_eq!(tally.agree, 1);
        assert!(lines[0].starts_with("x  parse-only  not-judged  endorsement.missing"), "{lines:?}");
        for (expected, differ) in [("ok", 1), ("policy-reject", 1), ("reject", 0), ("no-panic", 0)] {
            assert_eq!(walked(&entry(expected), &[("r", &report)]).0.differ, differ, "{expected}");
            assert_eq!(walked(&entry(expected), &[("r", &report[1..])]).0.differ, differ, "{expected}");
        }
    }
}
