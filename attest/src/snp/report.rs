//! The SNP attestation report: 1184 bytes, read front to back, nothing interpreted.
//!
//! Layout: AMD 56860 r1.58, section 7.3, table 23 ("`ATTESTATION_REPORT` Structure"). Versions 2 to 5 have
//! the same length; later versions give meaning to bytes that were reserved. A version that is not known
//! is refused: its new fields may carry a check.
//!
//! Untrusted: everything here, until [`super::verify`] has checked the signature.

use crate::bytes::{Malformed, Reader};
use crate::{ChipId, Digest};

use super::TcbVersion;

/// A parsed report, borrowing the bytes that were signed.
#[derive(Clone, Debug)]
pub struct Report<'a> {
    bytes: &'a [u8],
    signed: &'a [u8],
    /// r ‖ s, 48 bytes each, big-endian; `None` if the encoding is not that of a P-384 signature.
    signature: Option<[u8; 96]>,
    fields: Fields,
}

/// The fields of a report, in the order of the structure.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Fields {
    /// Format version.
    pub version: u32,
    /// Guest SVN, from the ID block.
    pub guest_svn: u32,
    /// What the guest's owner demands of the platform and allows to the host.
    pub policy: GuestPolicy,
    /// Family id, from the ID block.
    pub family_id: Digest<16>,
    /// Image id, from the ID block.
    pub image_id: Digest<16>,
    /// The privilege level that asked for the report; 0 is the highest.
    pub vmpl: u32,
    /// 1 = ECDSA P-384 with SHA-384 (chapter 10).
    pub signature_algorithm: u32,
    /// The TCB that runs now.
    pub current_tcb: TcbVersion,
    /// What the platform has switched on.
    pub platform_info: PlatformInfo,
    /// Which key signed, and how chip and author keys are shown.
    pub key_info: KeyInfo,
    /// The caller's 64 bytes.
    pub report_data: Digest<64>,
    /// The launch measurement.
    pub measurement: Digest<48>,
    /// The host's 32 bytes, given at launch.
    pub host_data: Digest<32>,
    /// SHA-384 of the ID key.
    pub id_key_digest: Digest<48>,
    /// SHA-384 of the author key.
    pub author_key_digest: Digest<48>,
    /// This guest's id.
    pub report_id: Digest<32>,
    /// The migration agent's id; all ones if there is none.
    pub report_id_ma: Digest<32>,
    /// The TCB for which the signing key was derived.
    pub reported_tcb: TcbVersion,
    /// CPU family, model and stepping: version 3 and later.
    pub cpuid: Option<Cpuid>,
    /// The chip's id; zero under a VLEK or with `MASK_CHIP_ID`.
    pub chip_id: ChipId,
    /// The TCB below which the platform cannot go back.
    pub committed_tcb: TcbVersion,
    /// The firmware that runs: major, minor, build.
    pub current_firmware: Firmware,
    /// The committed firmware.
    pub committed_firmware: Firmware,
    /// The TCB when the guest was launched.
    pub launch_tcb: TcbVersion,
    /// Mitigations at launch and now: version 5.
    pub mitigations: Option<Mitigations>,
    /// Offsets of reserved bytes that are not zero.
    pub reserved_set: Vec<usize>,
}

impl<'a> Report<'a> {
    /// The length of every report.
    pub const LEN: usize = 1184;
    /// The signed part: all before the signature.
    pub const SIGNED_LEN: usize = 0x2a0;

    /// Checks length and version and takes the fields apart.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        if bytes.len() != Self::LEN {
            return Err(Malformed::Length { what: "SNP report", expected: Self::LEN, found: bytes.len() });
        }
        let mut reader = Reader::new(bytes);
        let signed = reader.take(Self::SIGNED_LEN)?;
        let (r, s): ([u8; 72], [u8; 72]) = (reader.array()?, reader.array()?);
        let mut fields = Fields::parse(signed)?;
        fields.reserved_set.extend(set_within(bytes, Self::SIGNED_LEN.saturating_add(144)..Self::LEN));
        Ok(Self { bytes, signed, signature: big_endian(&r, &s), fields })
    }

    /// The bytes as they were received.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// What the report claims.
    #[must_use]
    pub fn fields(&self) -> &Fields {
        &self.fields
    }

    /// The bytes that the signature covers.
    pub(crate) fn signed(&self) -> &'a [u8] {
        self.signed
    }

    pub(crate) fn signature(&self) -> Option<&[u8; 96]> {
        self.signature.as_ref()
    }

    /// Signing key, CPU, chip id and reported TCB: together they name one VCEK; without the chip id, one
    /// VLEK.
    pub(crate) fn endorsement_id(&self) -> Vec<u8> {
        let fields = &self.fields;
        let cpu = fields.cpuid.map_or([0; 2], |cpu| [cpu.family, cpu.model]);
        let parts: [&[u8]; 4] =
            [&fields.key_info.0.to_le_bytes(), &cpu, &fields.chip_id.0, &fields.reported_tcb.0];
        parts.concat()
    }
}

impl Fields {
    fn parse(signed: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(signed);
        let version = known_version(r.u32_le()?)?; // 0x000
        let guest_svn = r.u32_le()?; // 0x004
        let policy = GuestPolicy(r.u64_le()?); // 0x008
        let family_id = Digest(r.array()?); // 0x010
        let image_id = Digest(r.array()?); // 0x020
        let vmpl = r.u32_le()?; // 0x030
        let signature_algorithm = r.u32_le()?; // 0x034
        let current_tcb = TcbVersion(r.array()?); // 0x038
        let platform_info = PlatformInfo(r.u64_le()?); // 0x040
        let key_info = KeyInfo(r.u32_le()?); // 0x048
        r.take(4)?; // 0x04c reserved
        let report_data = Digest(r.array()?); // 0x050
        let measurement = Digest(r.array()?); // 0x090
        let host_data = Digest(r.array()?); // 0x0c0
        let id_key_digest = Digest(r.array()?); // 0x0e0
        let author_key_digest = Digest(r.array()?); // 0x110
        let report_id = Digest(r.array()?); // 0x140
        let report_id_ma = Digest(r.array()?); // 0x160
        let reported_tcb = TcbVersion(r.array()?); // 0x180
        let [family, model, stepping] = r.array()?; // 0x188, reserved before version 3
        r.take(21)?; // 0x18b reserved
        let chip_id = ChipId(r.array()?); // 0x1a0
        let committed_tcb = TcbVersion(r.array()?); // 0x1e0
        let current_firmware = Firmware::parse(&mut r)?; // 0x1e8
        let committed_firmware = Firmware::parse(&mut r)?; // 0x1ec
        let launch_tcb = TcbVersion(r.array()?); // 0x1f0
        let (launch, current) = (r.u64_le()?, r.u64_le()?); // 0x1f8, 0x200, reserved before version 5
        Ok(Self {
            version,
            guest_svn,
            policy,
            family_id,
            image_id,
            vmpl,
            signature_algorithm,
            current_tcb,
            platform_info,
            key_info,
            report_data,
            measurement,
            host_data,
            id_key_digest,
            author_key_digest,
            report_id,
            report_id_ma,
            reported_tcb,
            cpuid: (version >= 3).then_some(Cpuid { family, model, stepping }),
            chip_id,
            committed_tcb,
            current_firmware,
            committed_firmware,
            launch_tcb,
            mitigations: (version >= 5).then_some(Mitigations { launch, current }),
            reserved_set: reserved_set(signed, version),
        })
    }
}

fn known_version(version: u32) -> Result<u32, Malformed> {
    if (2..=5).contains(&version) {
        return Ok(version);
    }
    Err(Malformed::Value { what: "SNP report version", expected: "2 to 5", found: version.to_string() })
}

/// The offsets of reserved bytes in the signed part that are not zero.
fn reserved_set(signed: &[u8], version: u32) -> Vec<usize> {
    let ranges = [
        0x4c..0x50,
        if version >= 3 { 0x18b..0x1a0 } else { 0x188..0x1a0 },
        0x1eb..0x1ec,
        0x1ef..0x1f0,
        if version >= 5 { 0x208..0x2a0 } else { 0x1f8..0x2a0 },
    ];
    ranges.into_iter().flat_map(|range| set_within(signed, range)).collect()
}

fn set_within(bytes: &[u8], range: std::ops::Range<usize>) -> impl Iterator<Item = usize> {
    let reserved = range.clone().zip(bytes.get(range).unwrap_or(&[]));
    reserved.filter(|(_, byte)| **byte != 0).map(|(at, _)| at)
}

/// r and s are 72 bytes each, little-endian, of which a P-384 number fills 48 (AMD 56860, table 139).
fn big_endian(r: &[u8; 72], s: &[u8; 72]) -> Option<[u8; 96]> {
    let mut out = [0; 96];
    let (left, right) = out.split_at_mut(48);
    for (half, number) in [(left, r), (right, s)] {
        let (value, padding) = number.split_first_chunk::<48>()?;
        if padding.iter().any(|byte| *byte != 0) {
            return None;
        }
        for (to, from) in half.iter_mut().zip(value.iter().rev()) {
            *to = *from;
        }
    }
    Some(out)
}

/// A CPU's family, model (with the extended model) and stepping.
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Serialize)]
pub struct Cpuid {
    /// `CPUID_FAM_ID`.
    pub family: u8,
    /// `CPUID_MOD_ID`.
    pub model: u8,
    /// `CPUID_STEP`.
    pub stepping: u8,
}

/// A firmware version.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub struct Firmware {
    /// Major version.
    pub major: u8,
    /// Minor version.
    pub minor: u8,
    /// Build number.
    pub build: u8,
}

impl Firmware {
    fn parse(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let [build, minor, major, _reserved] = reader.array()?;
        Ok(Self { major, minor, build })
    }
}

impl serde::Serialize for Firmware {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}.{}.{}", self.major, self.minor, self.build))
    }
}

/// `LAUNCH_MIT_VECTOR` and `CURRENT_MIT_VECTOR`: which mitigations were and are in place.
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Serialize)]
pub struct Mitigations {
    /// When the guest was launched.
    pub launch: u64,
    /// When the report was made.
    pub current: u64,
}

/// The guest policy (AMD 56860 r1.58, section 4.3, table 10).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct GuestPolicy(pub u64);

impl GuestPolicy {
    /// The least ABI version that the guest demands: major, minor.
    #[must_use]
    pub fn abi(self) -> (u8, u8) {
        let [minor, major, ..] = self.0.to_le_bytes();
        (major, minor)
    }

    /// Whether this bit is set.
    #[must_use]
    pub fn bit(self, bit: u32) -> bool {
        self.0.checked_shr(bit).is_some_and(|shifted| shifted & 1 == 1)
    }
}

/// `PLATFORM_INFO` (AMD 56860 r1.58, section 7.3, table 24).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PlatformInfo(pub u64);

impl PlatformInfo {
    /// Whether this bit is set.
    #[must_use]
    pub fn bit(self, bit: u32) -> bool {
        self.0.checked_shr(bit).is_some_and(|shifted| shifted & 1 == 1)
    }
}

/// `KEY_INFO` (AMD 56860 r1.58, section 7.3, table 23, offset 48h).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct KeyInfo(pub u32);

impl KeyInfo {
    /// `AUTHOR_KEY_EN`: whether the author key's digest is shown.
    #[must_use]
    pub fn author_key_enabled(self) -> bool {
        self.0 & 1 != 0
    }

    /// `MASK_CHIP_KEY`: whether the report is left unsigned.
    #[must_use]
    pub fn mask_chip_key(self) -> bool {
        self.0 & 2 != 0
    }

    /// `SIGNING_KEY`: which key signed.
    #[must_use]
    pub fn signing_key(self) -> SigningKey {
        match (self.0 >> 2) & 7 {
            0 => SigningKey::Vcek,
            1 => SigningKey::Vlek,
            7 => SigningKey::None,
            _ => SigningKey::Unknown,
        }
    }

    /// The bits that have no meaning.
    #[must_use]
    pub fn reserved(self) -> u32 {
        self.0 >> 5
    }
}

/// The key that signed a report.
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum SigningKey {
    /// The chip's own key, for one TCB.
    Vcek,
    /// A cloud provider's key, loaded into its chips.
    Vlek,
    /// Nobody signed.
    None,
    /// A value without meaning.
    Unknown,
}

impl std::fmt::Display for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Vcek => "VCEK",
            Self::Vlek => "VLEK",
            Self::None => "none",
            Self::Unknown => "unknown",
        })
    }
}

impl serde::Serialize for GuestPolicy {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:#x}", self.0))
    }
}

impl serde::Serialize for PlatformInfo {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:#x}", self.0))
    }
}

impl serde::Serialize for KeyInfo {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:#x}", self.0))
    }
}
