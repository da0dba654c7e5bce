//! Evidence and endorsements in words, field by field.
//!
//! Untrusted: all of it. Nothing here was checked; whoever prints it says so.

mod azure;
mod bundle;
mod certificate;
mod eventlog;
mod nitro;
mod snp;
mod tdx;
mod tpm;

use attest::Evidence;

use crate::answer::NotJudged;
use crate::layout::Section;

pub(crate) use bundle::decision;
pub(crate) use certificate::describe as certificates;
pub(crate) use snp::tcb;

/// The event logs or the IMA list in a file that has nothing else.
pub(crate) fn logs(bytes: &[u8]) -> Option<Vec<Section>> {
    eventlog::recognise(bytes)
}

/// Every field of the evidence.
pub(crate) fn evidence(evidence: &Evidence<'_>) -> Result<Vec<Section>, NotJudged> {
    match evidence {
        Evidence::Snp(report) => Ok(snp::describe(report)),
        Evidence::Tpm(quote) => Ok(tpm::describe(quote)),
        Evidence::Tdx(quote) => Ok(tdx::describe(quote)),
        Evidence::Nitro(document) => Ok(nitro::describe(evidence.platform(), document)),
        Evidence::Azure(composite) => azure::describe(composite),
        unknown => {
            let message = format!(
                "expected evidence of a platform that this version describes, found {}",
                unknown.platform()
            );
            Err(NotJudged::new("evidence.unrecognised", message))
        }
    }
}
