//! Event logs and IMA lists in words: each event, and the registers that a replay gives.
//!
//! Nothing of it is proved: only a quote says which registers a machine had.

use attest::crypto::{AwsLcRs, Hash};
use attest::eventlog::{Event, EventLog, Layout, kind_name};
use attest::ima::ImaLog;

use crate::layout::Section;

/// The logs in a file, if it is one of logs.
pub(super) fn recognise(bytes: &[u8]) -> Option<Vec<Section>> {
    if let Some(list) = ImaLog::parse(bytes).ok().filter(|list| list.count() > 0) {
        return Some(ima(&list));
    }
    let logs = EventLog::parse_all(bytes).ok()?;
    let real = logs.iter().any(|log| log.count() > 0);
    real.then(|| logs.iter().flat_map(describe).collect())
}

/// Every event of a log, and what it replays to.
pub(super) fn describe(log: &EventLog<'_>) -> Vec<Section> {
    let layout = log.recognise();
    let banks = log.banks();
    let names: Vec<String> = banks.iter().map(ToString::to_string).collect();
    let mut events = Section::new(format!("event log: {} events of {}", log.count(), names.join(", ")));
    for event in log.events() {
        let kind = kind_name(event.kind).map_or(format!("{:#010x}", event.kind), str::to_owned);
        events.row(format!("{} {kind}", register(layout, event.register)), words(&event));
    }
    std::iter::once(events).chain(banks.into_iter().map(|bank| replayed(log, layout, bank))).collect()
}

/// Every file of a list, and what it replays to.
pub(super) fn ima(list: &ImaLog<'_>) -> Vec<Section> {
    let mut files = Section::new(format!("IMA list: {} entries", list.count()));
    for entry in list.entries() {
        let digest = if entry.is_violation() { "violation".to_owned() } else { entry.digest.to_string() };
        files.row(entry.path, format!("{} {digest}", entry.algorithm));
    }
    let mut registers = Section::new("replays to");
    for bank in [Hash::Sha1, Hash::Sha256] {
        registers.row(format!("{bank} PCR 10"), list.replay(&AwsLcRs, bank));
    }
    vec![files, registers]
}

fn replayed(log: &EventLog<'_>, layout: Layout, bank: Hash) -> Section {
    let mut section = Section::new(format!("replays to, in {bank}"));
    match log.replay(&AwsLcRs, layout, bank) {
        Ok(replay) => {
            for (index, value) in replay.touched() {
                section.row(register(layout, index), value);
            }
        }
        Err(problem) => section.row("nothing", problem),
    }
    section
}

fn register(layout: Layout, index: u32) -> String {
    match (layout, index.checked_sub(1)) {
        (Layout::Cc, Some(rtmr)) => format!("RTMR {rtmr}"),
        _ => format!("PCR {index}"),
    }
}

/// The digest of the strongest bank, and what the log says about it.
fn words(event: &Event<'_>) -> String {
    let banks = [Hash::Sha512, Hash::Sha384, Hash::Sha256, Hash::Sha1];
    let digest = banks.into_iter().find_map(|bank| event.digest(bank)).map(hex::encode);
    let digest = if event.is_extended() { digest.unwrap_or_default() } else { "not extended".to_owned() };
    // UTF-16 reads like ASCII without its zeros.
    let text: Vec<u8> = event.data.iter().copied().filter(|byte| *byte != 0).take(SHOWN).collect();
    let readable = text.iter().filter(|byte| byte.is_ascii_graphic() || **byte == b' ').count();
    let data = if readable.saturating_mul(4) >= text.len().saturating_mul(3) {
        String::from_utf8_lossy(&text).into_owned()
    } else {
        hex::encode(event.data.get(..SHOWN / 2).unwrap_or(event.data))
    };
    format!("{digest}  {} bytes: {data}", event.data.len())
}

/// How many bytes of an event's data are shown.
const SHOWN: usize = 160;
