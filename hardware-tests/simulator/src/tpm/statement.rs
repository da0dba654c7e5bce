//! What a TPM would say: `TPMS_ATTEST` of a quote, with every field settable.

use aws_lc_rs::digest;

/// A PCR: identifier of the bank's hash, index, value.
pub type Value = (u16, u32, Vec<u8>);

/// A quote about to be signed.
#[derive(Clone, Debug)]
pub struct Statement {
    magic: u32,
    kind: u16,
    signer: Option<Vec<u8>>,
    extra_data: Vec<u8>,
    safe: u8,
    resets: u32,
    values: Vec<Value>,
}

impl Statement {
    /// A quote of PCR 0, 4 and 7 of the SHA-256 bank, measured.
    #[must_use]
    pub fn quote(extra_data: &[u8]) -> Self {
        let value = |index: u8| (SHA256, u32::from(index), vec![index | 0x10; 32]);
        Self {
            magic: 0xff54_4347,
            kind: 0x8018,
            signer: None,
            extra_data: extra_data.to_vec(),
            safe: 1,
            resets: 5,
            values: [0, 4, 7].map(value).to_vec(),
        }
    }

    /// Sets the PCR values, in runs of one bank each, ascending.
    #[must_use]
    pub fn values(mut self, values: &[Value]) -> Self {
        self.values = values.to_vec();
        self
    }

    /// Sets the qualified name of the signer.
    #[must_use]
    pub fn signer(mut self, qualified_name: &[u8]) -> Self {
        self.signer = Some(qualified_name.to_vec());
        self
    }

    /// Sets magic and type.
    #[must_use]
    pub fn kind(mut self, magic: u32, kind: u16) -> Self {
        (self.magic, self.kind) = (magic, kind);
        self
    }

    /// Sets how often the TPM was reset.
    #[must_use]
    pub fn resets(mut self, resets: u32) -> Self {
        self.resets = resets;
        self
    }

    /// The bytes to sign.
    #[must_use]
    pub fn marshal(&self, signer: &[u8]) -> Vec<u8> {
        let mut bytes = self.magic.to_be_bytes().to_vec();
        bytes.extend(self.kind.to_be_bytes());
        bytes.extend(sized(self.signer.as_deref().unwrap_or(signer)));
        bytes.extend(sized(&self.extra_data));
        bytes.extend(0x1234_u64.to_be_bytes());
        bytes.extend(self.resets.to_be_bytes());
        bytes.extend(6_u32.to_be_bytes());
        bytes.push(self.safe);
        bytes.extend(0x2020_0312_0012_0003_u64.to_be_bytes());
        bytes.extend(self.selections());
        let values: Vec<u8> = self.values.iter().flat_map(|(_, _, value)| value.clone()).collect();
        bytes.extend(sized(digest::digest(&digest::SHA256, &values).as_ref()));
        bytes
    }

    /// The values beside the quote.
    #[must_use]
    pub fn beside(&self) -> Vec<u8> {
        let mut bytes = count(self.values.len()).to_vec();
        for (bank, index, value) in &self.values {
            bytes.extend(bank.to_be_bytes());
            bytes.extend(index.to_be_bytes());
            bytes.extend(sized(value));
        }
        bytes
    }

    fn selections(&self) -> Vec<u8> {
        let runs: Vec<&[Value]> = self.values.chunk_by(|a, b| a.0 == b.0).collect();
        let mut bytes = count(runs.len()).to_vec();
        for run in runs {
            let mut bitmap = [0_u8; 3];
            for (_, index, _) in run {
                let byte = usize::try_from(index / 8).unwrap_or(usize::MAX);
                if let Some(byte) = bitmap.get_mut(byte) {
                    *byte |= 1_u8.rotate_left(index % 8);
                }
            }
            bytes.extend(run.first().map_or(0, |(bank, _, _)| *bank).to_be_bytes());
            bytes.push(3);
            bytes.extend(bitmap);
        }
        bytes
    }
}

fn count(number: usize) -> [u8; 4] {
    u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes()
}

/// A `TPM2B`.
pub(super) fn sized(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes(), bytes].concat()
}

/// `TPM_ALG_SHA256`.
const SHA256: u16 = 0x000b;
