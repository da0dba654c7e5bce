//! The TPM's non-volatile memory: what manufacturers, clouds and paravisors put there.
//!
//! Whether an index is there is asked of the list of handles, so that an absent one is an answer and no error.
//!
//! Untrusted: what is read.

use tss_esapi::constants::{CapabilityType, PropertyTag};
use tss_esapi::handles::{NvIndexHandle, NvIndexTpmHandle, TpmHandle};
use tss_esapi::interface_types::resource_handles::NvAuth;
use tss_esapi::structures::CapabilityData;

use super::Error;
use super::tpm::{Tpm, during};

impl Tpm {
    /// The whole content of an index; `None` if it is not defined.
    pub(crate) fn read_nv(&mut self, index: u32) -> Result<Option<Vec<u8>>, Error> {
        if self.next_handle(index)? != Some(index) {
            return Ok(None);
        }
        let handle = NvIndexTpmHandle::new(index).map_err(during("naming an NV index"))?;
        let opened = self.context.tr_from_tpm_public(TpmHandle::NvIndex(handle));
        let opened = NvIndexHandle::from(opened.map_err(during("finding an NV index"))?);
        let (public, _) = self.context.nv_read_public(opened).map_err(during("looking at an NV index"))?;
        // Whoever may read with the index's own, empty password needs no word of the owner's.
        let auth = if public.attributes().auth_read() { NvAuth::NvIndex(opened) } else { NvAuth::Owner };
        self.read_pieces(auth, opened, public.data_size()).map(Some)
    }

    fn read_pieces(&mut self, auth: NvAuth, index: NvIndexHandle, size: usize) -> Result<Vec<u8>, Error> {
        let most = self.context.get_tpm_property(PropertyTag::NvBufferMax);
        let most = most.map_err(during("asking how much can be read at once"))?;
        let piece = most.and_then(|most| u16::try_from(most).ok()).map_or(PIECE, |most| most.clamp(1, PIECE));
        let mut content = Vec::new();
        while content.len() < size {
            let left = size.saturating_sub(content.len());
            let length = u16::try_from(left).unwrap_or(u16::MAX).min(piece);
            // An index has at most 2^16 - 1 bytes (Part 2, clause 13.5).
            let offset = u16::try_from(content.len()).unwrap_or(u16::MAX);
            let read = self
                .context
                .execute_with_nullauth_session(|context| context.nv_read(auth, index, length, offset))
                .map_err(during("reading an NV index"))?;
            if read.is_empty() {
                break;
            }
            content.extend_from_slice(&read);
        }
        Ok(content)
    }

    /// The first handle in use at `from` or behind it.
    pub(super) fn next_handle(&mut self, from: u32) -> Result<Option<u32>, Error> {
        let listed = self.context.get_capability(CapabilityType::Handles, from, 1);
        match listed.map_err(during("listing handles"))? {
            (CapabilityData::Handles(handles), _) => Ok(handles.first().copied().map(u32::from)),
            _ => Ok(None),
        }
    }
}

/// What every TPM gives at once.
const PIECE: u16 = 1024;
