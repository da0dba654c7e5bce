//! The event log beside a TD quote: believed as far as its replay gives the quoted RTMRs.
//!
//! Trusted: the RTMRs, if the quote's signature covers them, which [`super::verify`] asks. Untrusted: the log.

use crate::check::Checks;
use crate::crypto::{Crypto, Hash};
use crate::eventlog::{Boot, Layout, State, Unproved};

use super::Quote;

/// Replays the log, if one came. One that does not replay is refused: somebody wants it believed.
pub(super) fn replay(quote: &Quote<'_>, crypto: &dyn Crypto, checks: &mut Checks) -> Option<Boot> {
    let log = quote.event_log()?;
    let rtmrs = quote.report().rtmrs.each_ref();
    let quoted: Vec<(u32, &[u8])> =
        (1..).zip(rtmrs).map(|(index, rtmr)| (index, rtmr.0.as_slice())).collect();
    let boot = Boot::proved(crypto, log, Layout::Cc, Hash::Sha384, &quoted);
    let found = match &boot {
        Ok(boot) => format!("{} events", boot.events),
        Err(Unproved::Differs(registers)) => {
            let differing = registers.iter().filter_map(|register| match &register.state {
                State::Differs(value) => {
                    Some(format!("RTMR {} replays to {value}", register.index.saturating_sub(1)))
                }
                State::Matches | State::MatchesWith(_) | State::Silent => None,
            });
            differing.collect::<Vec<_>>().join(", ")
        }
        Err(problem) => problem.to_string(),
    };
    checks.ask("tdx.log.replay", boot.is_ok(), "a log whose replay gives the quoted RTMRs", found);
    boot.ok()
}
