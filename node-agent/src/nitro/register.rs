//! A register of the enclave's own: PCR 16 to 31.
//!
//! The module signs locked registers alone, and a locked one takes nothing more in. So what is put into a register here
//! is locked with it, and each register is for one thing: one for the cluster, another for what the kernel says of
//! itself.
//!
//! Untrusted: the value read back. A verifier reads it from the document.

use std::collections::BTreeMap;

use attest::crypto::{AwsLcRs, Crypto as _, Hash};

use super::{Error, Nsm, Refusal, Request, Response};
use crate::device::Fault;
use crate::registers::Register;

/// A register of an enclave that holds one thing.
#[derive(Clone, Debug)]
pub struct Pcr {
    nsm: Nsm,
    index: u16,
}

impl Pcr {
    /// Touches nothing yet.
    #[must_use]
    pub fn new(nsm: Nsm, index: u16) -> Self {
        Self { nsm, index }
    }

    fn value(&self) -> Result<Vec<u8>, Error> {
        let request = Request::DescribePcr(self.index);
        let response = self.nsm.ask(&request)?;
        let (expected, found) = (request.name(), response.name());
        let Response::DescribePcr { value, .. } = response else {
            return Err(Error::Other { expected, found });
        };
        Ok(value)
    }
}

impl Register for Pcr {
    fn name(&self) -> String {
        format!("PCR {}", self.index)
    }

    fn values(&self) -> Result<BTreeMap<Hash, Vec<u8>>, Fault> {
        Ok(BTreeMap::from([(Hash::Sha384, self.value()?)]))
    }

    fn extend(&self, content: &[u8]) -> Result<(), Fault> {
        let data = AwsLcRs.sha384(&[content]).0;
        match self.nsm.ask(&Request::ExtendPcr { index: self.index, data: &data }) {
            Err(Error::Refused(Refusal::Locked)) => return Err(Error::Taken { index: self.index }.into()),
            other => drop(other?),
        }
        self.nsm.ask(&Request::LockPcr(self.index))?;
        Ok(())
    }
}
