//! The audit that every verb begins with: signatures, entries, tiles, records.

use std::collections::BTreeMap;

use attest::crypto::AwsLcRs;
use attest::log::{Audit, Entry, Fault, Head, Tampered};
use attest::{Answer as Outcome, Check, catalogue};

use super::folder::Folder;
use super::pins::{Believed, Pins};
use crate::answer::NotJudged;

/// What an audit found.
#[derive(Debug)]
pub(super) struct Audited {
    pub(super) believed: Believed,
    pub(super) checks: Vec<Check>,
    pub(super) origin: String,
    pub(super) head: Head,
    /// How many entries of each kind.
    pub(super) kinds: BTreeMap<&'static str, u64>,
    pub(super) records: Records,
}

/// How many record files there are.
#[derive(Clone, Copy, Debug, Default, serde::Serialize)]
pub(super) struct Records {
    pub(super) present: u64,
    pub(super) absent: u64,
}

/// Must every entry's record be there?
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Wanted {
    Present,
    All,
}

/// Reads and judges everything; `seen` is shown each entry, which holds only if the audit ends well.
pub(super) fn audit(
    folder: &Folder,
    pins: &Pins,
    wanted: Wanted,
    seen: &mut dyn FnMut(&Entry),
) -> Result<Audited, NotJudged> {
    let signed = folder.checkpoint()?;
    let believed = pins.believe(&signed)?;
    let peeked = signed.insecure_peek();
    let mut audited = Audited {
        checks: believed.checks.clone(),
        origin: peeked.origin.to_string(),
        head: peeked.head,
        kinds: BTreeMap::new(),
        records: Records::default(),
        believed,
    };
    if audited.believed.checkpoint.is_none() {
        return Ok(audited);
    }
    let (kinds, records) = (&mut audited.kinds, &mut audited.records);
    let run = Audit::whole(&audited.believed.earlier).run(
        &AwsLcRs,
        &audited.head,
        &mut |tile| folder.tile(tile),
        &mut |entry| {
            let of_kind: &mut u64 = kinds.entry(entry.event.kind.name()).or_default();
            *of_kind = of_kind.saturating_add(1);
            record(folder, entry, wanted, records)?;
            seen(entry);
            Ok(())
        },
    );
    match run {
        Ok(()) => audited.checks.extend(passed(&audited)),
        Err(Fault::Tampered(tampered)) => audited.checks.push(failed(&tampered)),
        Err(Fault::Unreadable(why)) => return Err(why),
    }
    Ok(audited)
}

fn record(
    folder: &Folder,
    entry: &Entry,
    wanted: Wanted,
    records: &mut Records,
) -> Result<(), Fault<NotJudged>> {
    let (index, decision, expected) = (entry.index, entry.event.decision, entry.event.record);
    match folder.record(decision).map_err(Fault::Unreadable)? {
        Some(found) if found == expected => records.present = records.present.saturating_add(1),
        Some(found) => return Err(Tampered::Record { index, expected, found }.into()),
        None if wanted == Wanted::All => return Err(Tampered::NoRecord { index, decision }.into()),
        None => records.absent = records.absent.saturating_add(1),
    }
    Ok(())
}

/// The checks of an audit that ended well. What nothing was brought for was not asked.
fn passed(audited: &Audited) -> Vec<Check> {
    let asked = Tampered::CHECKS.into_iter().filter(|id| match *id {
        "log.append_only" => !audited.believed.earlier.is_empty(),
        "log.records" => audited.records.present > 0,
        _ => true,
    });
    let check = |id: &str| Check {
        id: id.to_owned(),
        verdict: Outcome::Pass,
        expected: asks(id),
        found: "so it is".to_owned(),
    };
    asked.map(check).collect()
}

/// The check that failed.
pub(super) fn failed(tampered: &Tampered) -> Check {
    let id = tampered.check();
    Check { id: id.to_owned(), verdict: Outcome::Fail, expected: asks(id), found: tampered.to_string() }
}

fn asks(id: &str) -> String {
    catalogue::entry(id).map_or("", |entry| entry.asks).to_owned()
}
