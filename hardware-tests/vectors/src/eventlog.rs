//! Event logs: replayed to the values that the manifest states, and, for IMA lists, by their entries.
//!
//! A log of a TPM goes through the whole verifier beside a quote of those values ([`crate::notary`]); one of a TD
//! is read against the values themselves.

use anyhow::{Context as _, Result};
use attest::crypto::{AwsLcRs, Hash};
use attest::eventlog::{Boot, EventLog, Layout};
use attest::ima::ImaLog;
use attest::{Claims, Part, Unverified, Verified};

use crate::entry::{Entry, Set};
use crate::notary::{self, Values};
use crate::policy;
use crate::verdict::{Answer, Expected};

/// Puts an event log to the verifier.
pub(crate) fn ask(set: &Set, entry: &Entry) -> Result<Answer> {
    let bytes = set.read(&entry.main_file().context("no file")?)?;
    let log = match EventLog::parse_all(&bytes).map(|mut logs| logs.pop()) {
        Ok(Some(log)) => log,
        Ok(None) => return Ok(Answer::Malformed { problem: "no log".to_owned() }),
        Err(problem) => return Ok(Answer::Malformed { problem: problem.to_string() }),
    };
    let layout = log.recognise();
    let Some((bank, values)) = values(entry, &log, layout)? else {
        return Ok(Answer::Malformed { problem: "it cannot be replayed".to_owned() });
    };
    if layout == Layout::Cc {
        let quoted: Vec<(u32, &[u8])> =
            values.iter().map(|(index, value)| (*index, value.as_slice())).collect();
        return Ok(match Boot::proved(&AwsLcRs, &log, layout, bank, &quoted) {
            Ok(_) => Answer::Verified { note: "" },
            Err(_) => Answer::Refused { ids: vec!["tdx.log.replay".to_owned()] },
        });
    }
    told(entry, notary::judged(bank, &values, &[(Part::EventLog, &bytes)], entry.verify_at()?)?)
}

/// Puts an IMA list to the verifier.
pub(crate) fn ask_ima(set: &Set, entry: &Entry) -> Result<Answer> {
    let bytes = set.read(&entry.main_file().context("no file")?)?;
    let list = match ImaLog::parse(&bytes) {
        Ok(list) => list,
        Err(problem) => return Ok(Answer::Malformed { problem: problem.to_string() }),
    };
    let values = vec![(10, list.replay(&AwsLcRs, Hash::Sha256).as_bytes().to_vec())];
    told(entry, notary::judged(Hash::Sha256, &values, &[(Part::ImaLog, &bytes)], entry.verify_at()?)?)
}

fn told(entry: &Entry, judged: Result<Verified<Claims>, Unverified>) -> Result<Answer> {
    let claims = match judged {
        Ok(claims) => claims,
        Err(unverified) => return Ok(unverified.into()),
    };
    if entry.expected() != Some(Expected::PolicyReject) {
        return Ok(Answer::Verified { note: "" });
    }
    let appraisal = policy::boot()?.inspect(&claims, entry.verify_at()?);
    Ok(Answer::policy_refuses(&appraisal, ""))
}

/// The registers of the strongest bank: as the manifest states them, else as the log replays.
fn values(entry: &Entry, log: &EventLog<'_>, layout: Layout) -> Result<Option<(Hash, Values)>> {
    let mut banks = log.banks();
    banks.sort_unstable();
    for bank in banks.iter().rev() {
        let keys = ["upstream_pcrs".to_owned(), format!("replayed_{bank}")];
        let stated = keys.iter().filter_map(|key| entry.table(key)).map(registers);
        for values in stated {
            let values = values?;
            if !values.is_empty() && values.iter().all(|(_, value)| value.len() == bank.length()) {
                return Ok(Some((*bank, values)));
            }
        }
    }
    let replay = banks.pop().and_then(|bank| Some((bank, log.replay(&AwsLcRs, layout, bank).ok()?)));
    Ok(replay.map(|(bank, replay)| {
        (bank, replay.touched().map(|(index, value)| (index, value.as_bytes().to_vec())).collect())
    }))
}

/// `{ pcr07 = "hex" }`.
fn registers(table: &toml::Table) -> Result<Values> {
    let register = |(name, value): (&String, &toml::Value)| {
        let digits = name.trim_start_matches(|letter: char| !letter.is_ascii_digit());
        let value = value.as_str().context("a register that is no text")?;
        Ok((digits.parse().with_context(|| format!("register {name:?}"))?, hex::decode(value)?))
    };
    table.iter().map(register).collect()
}
