//! The TPM's own clock and counters, which tell one boot from the next.

use std::collections::BTreeSet;

use attest::crypto::Hash;
use tss_esapi::handles::PersistentTpmHandle;
use tss_esapi::tcti_ldr::TctiNameConf;

use super::tpm::Tpm;
use super::{Error, Selection};

/// `TPMS_CLOCK_INFO` (TPM 2.0 Part 2, clause 10.11.1).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Clock {
    /// Time during which the TPM had power, in its life.
    pub milliseconds: u64,
    /// How often it was reset: boots.
    pub resets: u32,
    /// How often it was restarted or resumed since the last reset.
    pub restarts: u32,
    /// Whether the clock never showed this or a later time before.
    pub safe: bool,
}

/// What the clock says now, by the word of a quote: libtss2 has no command of its own in this version.
pub fn clock(tcti: &TctiNameConf, ak: PersistentTpmHandle) -> Result<Clock, Error> {
    let mut tpm = Tpm::connect(tcti)?;
    let key = tpm.key(ak)?;
    // A quote for nobody: no challenge is ever empty.
    let quoted = tpm.quote(&key, &[], &Selection::from([(Hash::Sha256, BTreeSet::new())]))?;
    let info = quoted.attest.clock_info();
    Ok(Clock {
        milliseconds: info.clock(),
        resets: info.reset_count(),
        restarts: info.restart_count(),
        safe: info.safe(),
    })
}
