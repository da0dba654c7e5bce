//! PCRs as registers: read and extended in every active bank.
//!
//! A bank that is left out would be one that somebody else could still fill. Banks of algorithms that evidence has
//! no word for are left alone: no verifier reads them.

use std::collections::BTreeMap;
use std::iter;

use attest::crypto::Hash;
use tss_esapi::constants::CapabilityType;
use tss_esapi::handles::{ObjectHandle, PcrHandle};
use tss_esapi::structures::{CapabilityData, Digest, DigestValues};
use tss_esapi::tcti_ldr::TctiNameConf;

use super::tpm::{Tpm, algorithm, during, known_bank, measured};
use super::{Error, Selection};
use crate::device::Fault;
use crate::registers::Register;

/// A register of a TPM.
#[derive(Clone, Debug)]
pub struct Pcr {
    tcti: TctiNameConf,
    index: u32,
}

/// The register with this number. Touches nothing yet.
#[must_use]
pub fn pcr(tcti: &TctiNameConf, index: u32) -> Pcr {
    Pcr { tcti: tcti.clone(), index }
}

impl Register for Pcr {
    fn name(&self) -> String {
        format!("PCR {}", self.index)
    }

    fn values(&self) -> Result<BTreeMap<Hash, Vec<u8>>, Fault> {
        let mut tpm = self.connect()?;
        let banks = tpm.active_banks(self.index)?;
        let selection: Selection =
            banks.into_iter().map(|bank| (bank, iter::once(self.index).collect())).collect();
        let values = tpm.read_pcrs(&selection)?;
        Ok(values.into_iter().map(|((bank, _), value)| (bank, value)).collect())
    }

    fn extend(&self, content: &[u8]) -> Result<(), Fault> {
        let mut tpm = self.connect()?;
        let mut digests = DigestValues::new();
        for bank in tpm.active_banks(self.index)? {
            let digest = Digest::try_from(measured(bank, content)?).map_err(during("making a digest"))?;
            digests.set(algorithm(bank)?, digest);
        }
        let handle = PcrHandle::try_from(ObjectHandle::from(self.index)).map_err(during("naming a PCR"))?;
        let extended =
            tpm.context.execute_with_nullauth_session(|context| context.pcr_extend(handle, digests));
        Ok(extended.map_err(during("extending a PCR"))?)
    }
}

impl Pcr {
    fn connect(&self) -> Result<Tpm, Error> {
        if self.index > 23 {
            return Err(Error::NoSuchPcr(self.index));
        }
        Tpm::connect(&self.tcti)
    }
}

impl Tpm {
    /// The banks in which a PCR is allocated, weakest first.
    fn active_banks(&mut self, index: u32) -> Result<Vec<Hash>, Error> {
        let listed = self.context.get_capability(CapabilityType::AssignedPcr, 0, 1);
        let (CapabilityData::AssignedPcr(selections), _) = listed.map_err(during("listing the PCR banks"))?
        else {
            return Err(Error::NoBank { index });
        };
        let allocated = selections
            .get_selections()
            .iter()
            .filter(|bank| bank.selected().into_iter().any(|slot| super::tpm::index(slot) == index));
        let mut banks: Vec<Hash> =
            allocated.filter_map(|selection| known_bank(selection.hashing_algorithm())).collect();
        banks.sort_unstable();
        if banks.is_empty() { Err(Error::NoBank { index }) } else { Ok(banks) }
    }
}
