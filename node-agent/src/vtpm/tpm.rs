//! The TPM's commands that a quote needs, in this crate's words.

use std::ffi::CString;
use std::fs::OpenOptions;
use std::path::PathBuf;

use attest::crypto::{AwsLcRs, Crypto as _, Hash};
use tss_esapi::Context;
use tss_esapi::constants::Tss2ResponseCodeKind;
use tss_esapi::handles::{KeyHandle, PersistentTpmHandle, TpmHandle};
use tss_esapi::interface_types::algorithm::HashingAlgorithm;
use tss_esapi::structures::{
    Attest, Data, Name, PcrSelectSize, PcrSelection, PcrSelectionList, PcrSlot, Public, Signature,
    SignatureScheme,
};
use tss_esapi::tcti_ldr::TctiNameConf;
use tss_esapi::tss2_esys::TPML_PCR_SELECTION;

use super::{Error, Selection, Values, error};

/// An open TPM.
#[derive(Debug)]
pub(crate) struct Tpm {
    pub(super) context: Context,
}

/// A loaded key.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) handle: KeyHandle,
    pub(super) public: Public,
    pub(super) name: Name,
}

/// What the TPM signed, and its signature.
#[derive(Debug)]
pub(super) struct Quoted {
    pub(super) attest: Attest,
    pub(super) signature: Signature,
}

impl Tpm {
    pub(crate) fn connect(tcti: &TctiNameConf) -> Result<Self, Error> {
        match Context::new(tcti.clone()) {
            Ok(context) => Ok(Self { context }),
            Err(source) => Err(unopened(tcti, source)),
        }
    }

    /// The key at a persistent handle.
    pub(super) fn key(&mut self, handle: PersistentTpmHandle) -> Result<Key, Error> {
        let number = u32::from(handle);
        let missing = |source| match error::kind(source) {
            Some(Tss2ResponseCodeKind::Handle) => Error::NoKey { handle: number, source },
            _ => Error::Call { call: "finding the key", source },
        };
        let object = self.context.tr_from_tpm_public(TpmHandle::Persistent(handle)).map_err(missing)?;
        let handle = KeyHandle::from(object);
        let (public, name, _) = self.context.read_public(handle).map_err(during("reading the key"))?;
        Ok(Key { handle, public, name })
    }

    /// Quotes under the scheme of the key.
    pub(super) fn quote(&mut self, key: &Key, caller_data: &[u8], pcrs: &Selection) -> Result<Quoted, Error> {
        let data = Data::try_from(caller_data.to_vec()).map_err(during("taking the caller's data"))?;
        let list = list(pcrs, &Values::new())?;
        let (attest, signature) = self
            .context
            .execute_with_nullauth_session(|context| {
                context.quote(key.handle, data, SignatureScheme::Null, list)
            })
            .map_err(during("quoting"))?;
        Ok(Quoted { attest, signature })
    }

    /// Reads until all are there: the TPM answers with at most eight at a time.
    pub(super) fn read_pcrs(&mut self, pcrs: &Selection) -> Result<Values, Error> {
        let mut values = Values::new();
        while let Some((bank, index)) = first_missing(pcrs, &values) {
            let wanted = list(pcrs, &values)?;
            let before = values.len();
            let (_, read, digests) = self.context.pcr_read(wanted).map_err(during("reading PCRs"))?;
            let mut digests = digests.value().iter();
            for selection in read.get_selections() {
                let bank = self::bank(selection.hashing_algorithm())?;
                for (slot, digest) in selection.selected().into_iter().zip(&mut digests) {
                    values.insert((bank, self::index(slot)), digest.value().to_vec());
                }
            }
            // An inactive bank answers with nothing, again and again.
            if values.len() == before {
                return Err(Error::Inactive { bank, index });
            }
        }
        Ok(values)
    }
}

/// Why a device was not opened: the library has one code for all reasons, the kernel has not.
fn unopened(tcti: &TctiNameConf, source: tss_esapi::Error) -> Error {
    if let Some(path) = device(tcti)
        && let Err(source) = OpenOptions::new().read(true).write(true).open(&path)
    {
        return Error::Device { path, source };
    }
    Error::Call { call: "opening the device", source }
}

/// The device node behind a name, if it is one.
pub(crate) fn device(tcti: &TctiNameConf) -> Option<PathBuf> {
    // tss-esapi gives the path away only in the words that it makes for libtss2.
    let name = CString::try_from(tcti.clone()).ok()?.into_string().ok()?;
    name.strip_prefix("device:").map(PathBuf::from)
}

/// Says what was tried when it failed.
pub(super) fn during(call: &'static str) -> impl Fn(tss_esapi::Error) -> Error {
    move |source| Error::Call { call, source }
}

/// What is left of a selection when these values are there, for the TPM.
///
/// Not with `PcrSelectionListBuilder`, which puts the banks in another order each time.
fn list(pcrs: &Selection, values: &Values) -> Result<PcrSelectionList, Error> {
    let mut selections = Vec::new();
    for (bank, indices) in pcrs {
        let left = indices.iter().filter(|index| !values.contains_key(&(*bank, **index)));
        let slots = left.map(|index| PcrSlot::try_from(1_u32.wrapping_shl(*index)));
        let slots: Vec<PcrSlot> = slots.collect::<Result<_, _>>().map_err(during("selecting PCRs"))?;
        if !slots.is_empty() {
            // TCG PC Client Platform TPM Profile: bitmaps of three bytes, 24 PCRs.
            let selection = PcrSelection::create(algorithm(*bank)?, PcrSelectSize::ThreeOctets, &slots);
            selections.push(selection.map_err(during("selecting PCRs"))?);
        }
    }
    let mut list = TPML_PCR_SELECTION::default();
    for (place, selection) in list.pcrSelections.iter_mut().zip(selections) {
        *place = selection.into();
        list.count = list.count.saturating_add(1);
    }
    PcrSelectionList::try_from(list).map_err(during("selecting PCRs"))
}

fn first_missing(pcrs: &Selection, values: &Values) -> Option<(Hash, u32)> {
    let all = pcrs.iter().flat_map(|(bank, indices)| indices.iter().map(|index| (*bank, *index)));
    all.into_iter().find(|place| !values.contains_key(place))
}

/// The number of a PCR; tss-esapi's slots are bits.
pub(super) fn index(slot: PcrSlot) -> u32 {
    u32::from(slot).trailing_zeros()
}

pub(super) fn bank(algorithm: HashingAlgorithm) -> Result<Hash, Error> {
    known_bank(algorithm).ok_or_else(|| Error::UnknownBank(format!("{algorithm:?}")))
}

/// The bank, if evidence has a word for it.
pub(super) fn known_bank(algorithm: HashingAlgorithm) -> Option<Hash> {
    BANKS.into_iter().find(|(_, known)| *known == algorithm).map(|(bank, _)| bank)
}

pub(super) fn algorithm(bank: Hash) -> Result<HashingAlgorithm, Error> {
    let known = BANKS.into_iter().find(|(known, _)| *known == bank);
    known.map(|(_, algorithm)| algorithm).ok_or_else(|| Error::UnknownBank(bank.to_string()))
}

/// What a bank takes in of `content`.
pub(super) fn measured(bank: Hash, content: &[u8]) -> Result<Vec<u8>, Error> {
    let length = LENGTHS.into_iter().find(|(known, _)| *known == bank).map(|(_, length)| length);
    let digest = length.and_then(|length| digest(length, &[content]));
    digest.ok_or_else(|| Error::UnknownBank(bank.to_string()))
}

/// The digest of the parts by the hash function of this output length. The quote's own is that of its
/// signature scheme (TPM 2.0 Part 3, clause 18.4).
pub(super) fn digest(length: usize, parts: &[&[u8]]) -> Option<Vec<u8>> {
    match length {
        20 => Some(AwsLcRs.sha1(parts).0.to_vec()),
        32 => Some(AwsLcRs.sha256(parts).0.to_vec()),
        48 => Some(AwsLcRs.sha384(parts).0.to_vec()),
        64 => Some(AwsLcRs.sha512(parts).0.to_vec()),
        _ => None,
    }
}

const BANKS: [(Hash, HashingAlgorithm); 4] = [
    (Hash::Sha1, HashingAlgorithm::Sha1),
    (Hash::Sha256, HashingAlgorithm::Sha256),
    (Hash::Sha384, HashingAlgorithm::Sha384),
    (Hash::Sha512, HashingAlgorithm::Sha512),
];

const LENGTHS: [(Hash, usize); 4] =
    [(Hash::Sha1, 20), (Hash::Sha256, 32), (Hash::Sha384, 48), (Hash::Sha512, 64)];
