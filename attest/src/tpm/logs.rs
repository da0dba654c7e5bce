//! The logs beside a quote: believed as far as their replay gives the quoted PCRs, and not one event further.
//!
//! A log that does not replay is refused, whatever the policy: somebody wants it believed. Every bank that the log
//! and the quote share must agree; the claims are read from the strongest.
//!
//! Trusted: the PCR values, if the quote's digest covers them, which [`super::verify`] asks. Untrusted: the logs.

use super::Pcr;
use crate::bytes::Malformed;
use crate::check::Checks;
use crate::crypto::{Crypto, Hash};
use crate::eventlog::{Boot, EventLog, Layout, State, Unproved};
use crate::ima::{Aggregate, Files, ImaLog, Unlisted};

/// What came with a quote.
#[derive(Clone, Debug, Default)]
pub(super) struct Logs<'a> {
    /// Several where firmware kept one for each resume.
    pub(super) events: Vec<EventLog<'a>>,
    pub(super) files: Option<ImaLog<'a>>,
}

/// What the logs prove.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) boot: Option<Boot>,
    pub(super) files: Option<Files>,
}

impl<'a> Logs<'a> {
    pub(super) fn parse(events: Option<&'a [u8]>, files: Option<&'a [u8]>) -> Result<Self, Malformed> {
        let events = events.map(EventLog::parse_all).transpose()?.unwrap_or_default();
        Ok(Self { events, files: files.map(ImaLog::parse).transpose()? })
    }

    /// Replays what there is.
    pub(super) fn replay(&self, crypto: &dyn Crypto, values: &[Pcr], checks: &mut Checks) -> Told {
        let boot = if self.events.is_empty() { None } else { self.boot(crypto, values, checks) };
        let files = self.files.as_ref().and_then(|list| files(list, crypto, values, checks));
        Told { boot, files }
    }

    /// The last log that replays: after a resume the earlier ones are history.
    fn boot(&self, crypto: &dyn Crypto, values: &[Pcr], checks: &mut Checks) -> Option<Boot> {
        let mut results = self.events.iter().rev().map(|log| boot(log, crypto, values));
        let last = results.next()?;
        let result = if last.is_err() { results.find(Result::is_ok).unwrap_or(last) } else { last };
        let found = match &result {
            Ok(boot) => replayed(boot),
            Err(problem) => problem.clone(),
        };
        checks.ask("tpm.log.replay", result.is_ok(), "a log whose replay gives the quoted PCRs", found);
        result.ok()
    }
}

/// The boot that a log proves, in every bank that it shares with the quote.
fn boot(log: &EventLog<'_>, crypto: &dyn Crypto, values: &[Pcr]) -> Result<Boot, String> {
    let mut strongest = None;
    for bank in banks(values).into_iter().filter(|bank| log.banks().contains(bank)) {
        let quoted: Vec<(u32, &[u8])> = values
            .iter()
            .filter(|pcr| pcr.bank == bank)
            .map(|pcr| (pcr.index, pcr.value.as_slice()))
            .collect();
        let boot = Boot::proved(crypto, log, Layout::Tpm, bank, &quoted);
        strongest = Some(boot.map_err(|problem| format!("{bank}: {}", words(&problem)))?);
    }
    strongest
        .ok_or_else(|| format!("digests of {}, values of {}", listed(&log.banks()), listed(&banks(values))))
}

/// The quoted banks, weakest first.
fn banks(values: &[Pcr]) -> Vec<Hash> {
    let mut banks: Vec<Hash> = values.iter().map(|pcr| pcr.bank).collect();
    banks.sort_unstable();
    banks.dedup();
    banks
}

fn words(problem: &Unproved) -> String {
    let Unproved::Differs(registers) = problem else { return problem.to_string() };
    let difference = registers.iter().filter_map(|register| match &register.state {
        State::Differs(replayed) => Some(format!("PCR {} replays to {replayed}", register.index)),
        State::Matches | State::MatchesWith(_) | State::Silent => None,
    });
    difference.collect::<Vec<_>>().join(", ")
}

fn replayed(boot: &Boot) -> String {
    let count = |wanted: fn(&State) -> bool| boot.registers.iter().filter(|pcr| wanted(&pcr.state)).count();
    let told = count(|state| matches!(state, State::Matches | State::MatchesWith(_)));
    let silent = count(|state| *state == State::Silent);
    format!("{} events give {told} {} PCRs; of {silent} the log tells nothing", boot.events, boot.bank)
}

/// The files that a list proves, in every bank in which PCR 10 was quoted.
fn files(list: &ImaLog<'_>, crypto: &dyn Crypto, values: &[Pcr], checks: &mut Checks) -> Option<Files> {
    let quoted = |bank: Hash, index: u32| {
        let pcr = values.iter().find(|pcr| pcr.bank == bank && pcr.index == index);
        pcr.map(|pcr| pcr.value.clone())
    };
    let with_pcr_10 = banks(values).into_iter().filter(|bank| quoted(*bank, 10).is_some());
    let results = with_pcr_10.map(|bank| Files::proved(crypto, list, bank, &quoted));
    let result = results.collect::<Result<Vec<Files>, Unlisted>>();
    let found = match &result {
        Ok(files) if files.is_empty() => "PCR 10 not quoted with its value".to_owned(),
        Ok(_) => "replayed".to_owned(),
        Err(problem) => problem.to_string(),
    };
    let strongest = result.ok().and_then(|mut files| files.pop());
    let expected = "a list of which a beginning gives the quoted PCR 10";
    checks.ask("tpm.ima.replay", strongest.is_some(), expected, found);
    let files = strongest?;
    let (same, found) = match files.boot_aggregate {
        Aggregate::Matches => (true, "theirs"),
        Aggregate::NotQuoted => (true, "not all of them quoted in its bank"),
        Aggregate::Absent => (true, "no such entry"),
        Aggregate::Differs => (false, "of other PCRs"),
    };
    checks.ask("tpm.ima.boot_aggregate", same, "the digest of the quoted PCRs 0 to 9", found);
    Some(files)
}

fn listed(banks: &[Hash]) -> String {
    let texts: Vec<String> = banks.iter().map(ToString::to_string).collect();
    if texts.is_empty() { "no bank".to_owned() } else { texts.join(", ") }
}
