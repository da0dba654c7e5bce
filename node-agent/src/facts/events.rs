//! Texts as events of a TCG log, appended to what firmware logged.
//!
//! PC Client Platform Firmware Profile 1.06, section 10.2: `TCG_PCR_EVENT2` with a digest in each bank that the log states, or
//! the old form with SHA-1 alone. The data is the text, and its hash the digest, so that a reader can check it.

use attest::crypto::{AwsLcRs, Hash};
use attest::eventlog::{EventLog, Measurement};

/// Whose registers a log speaks of, and which of them takes facts in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Layout {
    /// A TPM's: PCR 14.
    Tpm,
    /// The CC protocol's: RTMR 2, which it calls 3.
    Cc,
}

/// The log with these texts behind its last event. A log that cannot be read stays as it is: a verifier says why.
pub(super) fn append(log: Vec<u8>, layout: Layout, texts: &[Vec<u8>]) -> Vec<u8> {
    let Ok(parsed) = EventLog::parse(&log) else { return log };
    let (end, banks, agile) = (parsed.end(), parsed.banks(), parsed.is_agile());
    let events = texts.iter().flat_map(|text| event(layout, agile.then_some(banks.as_slice()), text));
    let events: Vec<u8> = events.collect();
    if events.is_empty() {
        return log;
    }
    log.into_iter().take(end).chain(events).collect()
}

fn event(layout: Layout, banks: Option<&[Hash]>, text: &[u8]) -> Vec<u8> {
    let register: u32 = match layout {
        Layout::Tpm => 14,
        Layout::Cc => 3,
    };
    let digests = match banks {
        None => digest(Hash::Sha1, text),
        Some(banks) => {
            let each =
                banks.iter().flat_map(|bank| [&bank.id().to_le_bytes()[..], &digest(*bank, text)].concat());
            length(banks.len()).into_iter().chain(each).collect()
        }
    };
    [&register.to_le_bytes()[..], &EVENT_TAG.to_le_bytes(), &digests, &length(text.len()), text].concat()
}

/// The hash of a text in a bank.
pub(super) fn digest(bank: Hash, text: &[u8]) -> Vec<u8> {
    Measurement::of(&AwsLcRs, bank, &[text]).as_bytes().to_vec()
}

fn length(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes()
}

/// `EV_EVENT_TAG` (section 10.4.1, table 14).
const EVENT_TAG: u32 = 6;
