//! The certificate table of an extended report, which configfs-tsm shows as `auxblob`.
//!
//! AMD 56421 (GHCB), extended guest request: rows of GUID, offset and length, a row of zeros, then the
//! certificates.

/// A row's GUID in the order of its text form, as hosts write it.
pub type Guid = [u8; 16];

/// A certificate table about to be encoded.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct CertTable {
    rows: Vec<(Guid, Vec<u8>)>,
}

impl CertTable {
    /// Adds a row, even if one of that kind is there.
    #[must_use]
    pub fn with(mut self, guid: Guid, certificate: &[u8]) -> Self {
        self.rows.push((guid, certificate.to_vec()));
        self
    }

    /// Leaves out all rows of a kind.
    #[must_use]
    pub fn without(mut self, guid: Guid) -> Self {
        self.rows.retain(|row| row.0 != guid);
        self
    }

    /// The bytes that the host provides: headers, a zero row, bodies.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let headers = self.rows.len().saturating_add(1).saturating_mul(ROW_LEN);
        let (mut table, mut bodies) = (Vec::new(), Vec::<u8>::new());
        for (guid, certificate) in &self.rows {
            table.extend(guid);
            table.extend(word(headers.saturating_add(bodies.len())));
            table.extend(word(certificate.len()));
            bodies.extend(certificate);
        }
        table.extend([0; ROW_LEN]);
        table.extend(bodies);
        table
    }
}

fn word(value: usize) -> [u8; 4] {
    u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes()
}

/// GUID, offset, length.
const ROW_LEN: usize = 24;

/// The kinds of rows.
pub mod guid {
    use super::Guid;

    /// `63da758d-e664-4564-adc5-f4b93be8accd`
    pub const VCEK: Guid = 0x63da_758d_e664_4564_adc5_f4b9_3be8_accd_u128.to_be_bytes();
    /// `a8074bc2-a25a-483e-aae6-39c045a0b8a1`
    pub const VLEK: Guid = 0xa807_4bc2_a25a_483e_aae6_39c0_45a0_b8a1_u128.to_be_bytes();
    /// `4ab7b379-bbac-4fe4-a02f-05aef327c782`
    pub const ASK: Guid = 0x4ab7_b379_bbac_4fe4_a02f_05ae_f327_c782_u128.to_be_bytes();
    /// `c0b406a4-a803-4952-9743-3fb6014cd0ae`
    pub const ARK: Guid = 0xc0b4_06a4_a803_4952_9743_3fb6_014c_d0ae_u128.to_be_bytes();
    /// `92f81bc3-5811-4d3d-97ff-d19f88dc67ea`
    pub const CRL: Guid = 0x92f8_1bc3_5811_4d3d_97ff_d19f_88dc_67ea_u128.to_be_bytes();
}
