//! Quotes by a TPM 2.0, through libtss2.
//!
//! The key that signs ([`create`]) lies at a persistent handle and is restricted: the TPM itself makes what
//! it signs. A quote carries only a digest of the PCRs, so their values are read beside it, and both are
//! taken again until they fit.
//!
//! Each request opens the device anew, so that the TPM is free in between and a failed transport heals.
//!
//! Untrusted: the TPM's answers, for the verifier; the agent only puts them together.

mod clock;
mod endorsement;
mod enrol;
mod error;
mod nv;
mod register;
mod tpm;

use std::collections::{BTreeMap, BTreeSet};

use attest::crypto::{AwsLcRs, Hash};
use attest::{Platform, Transcript};
use tss_esapi::handles::PersistentTpmHandle;
use tss_esapi::structures::{Attest, AttestInfo};
use tss_esapi::tcti_ldr::TctiNameConf;
use tss_esapi::traits::Marshall as _;

use crate::device::{Collected, Device, Fault};
use crate::facts::{self, Place};
use crate::logs;
pub use clock::{Clock, clock};
pub use endorsement::{EkKind, Endorsement, activate, endorsement};
pub use enrol::{ak_public, create, ensure, name};
pub use error::Error;
pub use register::{Pcr, pcr};
use tpm::{Quoted, bank, digest, index};
pub(crate) use tpm::{Tpm, device};

/// The kernel's resource manager: other programs may use the TPM at the same time.
pub const DEVICE: &str = "device:/dev/tpmrm0";

/// Which PCRs of which banks.
pub type Selection = BTreeMap<Hash, BTreeSet<u32>>;

/// Values by bank and index.
type Values = BTreeMap<(Hash, u32), Vec<u8>>;
/// Bank, index and value, in the order of a quote.
type Ordered = Vec<(Hash, u32, Vec<u8>)>;

/// What the configuration says about the TPM.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The way to the TPM.
    pub tcti: TctiNameConf,
    /// Where the attestation key is.
    pub ak: PersistentTpmHandle,
    /// Whether to make the key, if nothing is at its handle.
    pub create_ak: bool,
    /// What is quoted.
    pub pcrs: Selection,
    /// The key's certificate and template in the TPM's memory, where a cloud put them.
    pub certified: Certified,
    /// What goes with the quote.
    pub logs: logs::Settings,
}

impl Settings {
    /// PCR 14, and what it took in, if facts are measured.
    #[must_use]
    pub fn facts(&self) -> Option<Place> {
        Some((self.logs.measured.clone()?, Box::new(pcr(&self.tcti, FACTS_PCR))))
    }
}

/// NV indices by which a cloud vouches for an attestation key of its own.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Certified {
    /// Of the certificate, which then goes with every quote.
    pub certificate: Option<u32>,
    /// Of the template (`TPMT_PUBLIC`) by which the key is made, under the endorsement hierarchy.
    pub template: Option<u32>,
}

/// A TPM with an attestation key.
#[derive(Clone, Debug)]
pub struct Vtpm {
    settings: Settings,
}

impl Vtpm {
    /// Touches nothing yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings }
    }

    /// A quote and the values that it covers.
    pub(crate) fn quote(&self, caller_data: &[u8]) -> Result<Vec<u8>, Error> {
        let mut tpm = Tpm::connect(&self.settings.tcti)?;
        if self.settings.create_ak {
            enrol::make_if_absent(&mut tpm, self.settings.ak, self.settings.certified.template)?;
        }
        let ak = tpm.key(self.settings.ak)?;
        for _ in 0..ATTEMPTS {
            let values = tpm.read_pcrs(&self.settings.pcrs)?;
            let quoted = tpm.quote(&ak, caller_data, &self.settings.pcrs)?;
            if let Some(values) = fitting(&quoted.attest, values)? {
                return assemble(&quoted, &ak.public, &values);
            }
        }
        Err(Error::Moving { attempts: ATTEMPTS })
    }
}

impl Vtpm {
    /// The certificate of the attestation key, if the TPM is to have one.
    fn certificate(&self) -> Result<Vec<Vec<u8>>, Error> {
        let Some(index) = self.settings.certified.certificate else { return Ok(Vec::new()) };
        let content = Tpm::connect(&self.settings.tcti)?.read_nv(index)?;
        let absent = Error::Memory { index, expected: "a certificate, DER", found: "nothing".to_owned() };
        Ok(vec![endorsement::first_certificate(index, &content.ok_or(absent)?)?.to_vec()])
    }
}

impl Device for Vtpm {
    fn platform(&self) -> Platform {
        Platform::Tpm2
    }

    fn sign(&self, transcript: &Transcript<'_>) -> Result<Collected, Fault> {
        let _still = facts::still();
        let quote = self.quote(&transcript.caller_data(&AwsLcRs, self.platform()))?;
        let (evidence, mut remarks) = self.settings.logs.collect(&self.settings.pcrs).with(quote);
        // A verifier may know the key by its name: without the certificate there is still evidence.
        let certificates = self.certificate().unwrap_or_else(|error| {
            remarks.push(error.to_string());
            Vec::new()
        });
        let remark = (!remarks.is_empty()).then(|| remarks.join("; "));
        Ok(Collected { evidence, certificates, remark })
    }
}

/// The values in the order of the quote's own selection, if their digest is the quoted one.
fn fitting(attest: &Attest, mut values: Values) -> Result<Option<Ordered>, Error> {
    let AttestInfo::Quote { info } = attest.attested() else {
        return Err(Error::NotAQuote);
    };
    let mut ordered = Ordered::new();
    for selection in info.pcr_selection().get_selections() {
        let bank = bank(selection.hashing_algorithm())?;
        for index in selection.selected().into_iter().map(index) {
            let value = values.remove(&(bank, index)).ok_or(Error::Unasked { bank, index })?;
            ordered.push((bank, index, value));
        }
    }
    if let Some(((bank, index), _)) = values.pop_first() {
        return Err(Error::Unquoted { bank, index });
    }
    let quoted = info.pcr_digest().value();
    let parts: Vec<&[u8]> = ordered.iter().map(|(_, _, value)| value.as_slice()).collect();
    Ok((digest(quoted.len(), &parts).as_deref() == Some(quoted)).then_some(ordered))
}

fn assemble(
    quoted: &Quoted,
    public: &tss_esapi::structures::Public,
    values: &[(Hash, u32, Vec<u8>)],
) -> Result<Vec<u8>, Error> {
    let call = "marshalling the quote";
    let marshalled = |source| Error::Call { call, source };
    let attest = quoted.attest.marshall().map_err(marshalled)?;
    let signature = quoted.signature.marshall().map_err(marshalled)?;
    let public = public.marshall().map_err(marshalled)?;
    Ok(attest::tpm::assemble(&attest, &signature, &public, values))
}

/// Shim measures the machine owner's keys there, and nobody anything later.
pub const FACTS_PCR: u32 = 14;
/// PCRs change at boot and, where IMA measures, when programs start: twice in a row is rare already.
const ATTEMPTS: u32 = 5;

#[cfg(test)]
mod tests {
    use attest::crypto::Crypto as _;
    use tss_esapi::traits::UnMarshall as _;

    use super::*;

    /// A quote over PCR 0 and 7 of the SHA-256 bank, with this digest (TPM 2.0 Part 2, clause 10.12.12).
    fn quote(digest: [u8; 32]) -> Attest {
        let mut bytes = Vec::new();
        for part in [
            &b"\xffTCG\x80\x18"[..],               // magic, TPM_ST_ATTEST_QUOTE
            &[0, 0],                               // qualifiedSigner
            &[0, 1, 9],                            // extraData
            &[0; 16],                              // clock, resetCount, restartCount
            &[1],                                  // safe
            &[0; 8],                               // firmwareVersion
            &[0, 0, 0, 1, 0, 0x0b, 3, 0x81, 0, 0], // TPML_PCR_SELECTION
            &[0, 32],
            &digest,
        ] {
            bytes.extend_from_slice(part);
        }
        Attest::unmarshall(&bytes).unwrap()
    }

    fn values(indices: &[u8]) -> Values {
        indices.iter().map(|index| ((Hash::Sha256, u32::from(*index)), vec![*index; 32])).collect()
    }

    #[test]
    fn values_fit_only_if_they_hash_to_what_was_quoted() {
        let digest = AwsLcRs.sha256(&[&[0; 32], &[7; 32]]).0;
        let expected = vec![(Hash::Sha256, 0, vec![0; 32]), (Hash::Sha256, 7, vec![7; 32])];
        assert_eq!(fitting(&quote(digest), values(&[0, 7])).unwrap(), Some(expected));
        let mut moved = values(&[0, 7]);
        moved.insert((Hash::Sha256, 7), vec![8; 32]);
        assert_eq!(fitting(&quote(digest), moved).unwrap(), None);
    }

    /// Lesson L6: a list that is one too short or too long is not matched up to where it goes.
    #[test]
    fn l06_one_value_too_few_or_too_many_is_named() {
        let few = fitting(&quote([0; 32]), values(&[0])).unwrap_err();
        assert!(matches!(few, Error::Unasked { bank: Hash::Sha256, index: 7 }), "{few}");
        let many = fitting(&quote([0; 32]), values(&[0, 7, 8])).unwrap_err();
        assert!(matches!(many, Error::Unquoted { bank: Hash::Sha256, index: 8 }), "{many}");
    }
}
