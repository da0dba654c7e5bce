//! What a genuine document says, and who signed it.

use std::borrow::Cow;

use super::{Fields, Pcr, Signer};
use crate::{Digest, Platform, Transcript, Window};

/// The claims of a document.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Claims {
    #[serde(skip)]
    pub(super) platform: Platform,
    /// The document's fields.
    #[serde(flatten)]
    pub document: Fields,
    /// The leaf behind it.
    pub signer: Signer,
}

impl Claims {
    /// The value of a register, if the document has it.
    #[must_use]
    pub fn pcr(&self, index: u8) -> Option<Digest<48>> {
        let found = self.document.pcrs.iter().find(|pcr| pcr.index == index);
        found.map(|Pcr { value, .. }| *value)
    }

    /// The EC2 instance in the module's id, such as `i-0f1cd77d37fd8bcc9`.
    #[must_use]
    pub fn instance(&self) -> Option<&str> {
        let kind = if self.platform == Platform::NitroTpm { "-tpm" } else { "-enc" };
        let (instance, _) = self.document.module_id.split_once(kind)?;
        instance.starts_with("i-").then_some(instance)
    }

    pub(crate) fn platform(&self) -> Platform {
        self.platform
    }

    pub(crate) fn caller_data(&self) -> &[u8] {
        self.document.user_data.bytes()
    }

    /// Whether the document's own fields fit the transcript, beyond [`Claims::caller_data`]: the nonce is the
    /// challenge's, and the key is the offered one or none.
    pub(crate) fn fits(&self, transcript: &Transcript<'_>) -> bool {
        use super::Attached::{Absent, Bytes, Null};
        let nonce = self.document.nonce.bytes() == transcript.nonce;
        let key = match &self.document.public_key {
            Absent | Null => true,
            Bytes(bytes) => *bytes == transcript.key.public,
        };
        nonce && key
    }

    pub(crate) fn hardware_id(&self) -> Option<Cow<'_, [u8]>> {
        self.instance().map(|instance| instance.as_bytes().into())
    }

    /// The image: PCR 0 of an enclave, PCR 4 (what the firmware started) of an instance.
    pub(crate) fn measurement(&self) -> String {
        let image = if self.platform == Platform::NitroTpm { 4 } else { 0 };
        self.pcr(image).map_or(String::new(), |value| value.to_string())
    }

    pub(crate) fn window(&self) -> Window {
        self.signer.window
    }
}
