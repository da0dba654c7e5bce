//! Attestation reports, with every field settable.
//!
//! A [`ReportBuilder`] starts as what a production guest gets; each method departs from it, and nothing is
//! checked. The signature covers the bytes as they are at the end.

use super::{Chip, Tcb};

/// Length of a report: AMD 56860, table `ATTESTATION_REPORT`.
pub const REPORT_LEN: usize = 1184;

/// The launch measurement unless told otherwise.
pub const DEFAULT_MEASUREMENT: [u8; 48] = [0x5a; 48];

/// A report about to be signed.
#[derive(Clone, Debug)]
pub struct ReportBuilder {
    chip: Chip,
    bytes: [u8; REPORT_LEN],
    /// Whether the report id was set; otherwise it follows from all that the report says but its caller's data.
    named: bool,
}

/// The key that a report says it is signed with (`KEY_INFO`, bits 2 to 4).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SigningKey {
    /// The chip's own key.
    Vcek,
    /// The cloud provider's key.
    Vlek,
    /// No key: the report is not signed.
    None,
    /// A reserved encoding; only the low three bits count.
    Reserved(u8),
}

impl ReportBuilder {
    pub(super) fn new(chip: Chip) -> Self {
        let (product, tcb, chip_id) = (chip.product, chip.tcb, chip.chip_id());
        let builder = Self { chip, bytes: [0; REPORT_LEN], named: false };
        let builder = builder.version(product.report_version()).sig_algo(1).cpuid(product.cpuid());
        let builder = builder.policy_raw(policy::DEFAULT).platform_info(platform::DEFAULT);
        let builder = builder.current_tcb(tcb).reported_tcb(tcb).committed_tcb(tcb).launch_tcb(tcb);
        let builder = builder.current_version([1, 55, 43]).committed_version([1, 55, 43]);
        let builder = builder.measurement(DEFAULT_MEASUREMENT).chip_id(&chip_id);
        builder.report_id_ma([0xff; 32])
    }

    /// Signs with the chip's VCEK.
    #[must_use]
    pub fn sign(&self) -> Vec<u8> {
        let report = self.clone().launched();
        report.clone().with_signature(&self.chip.vcek_key().sign(report.signed_range()))
    }

    /// Signs with the provider's VLEK, and says so: key info, and a chip id of zeros.
    #[must_use]
    pub fn sign_with_vlek(self) -> Vec<u8> {
        self.signing_key(SigningKey::Vlek).chip_id(&[0; 64]).sign_with_vlek_as_is()
    }

    /// Signs with the provider's VLEK, whatever the report says.
    #[must_use]
    pub fn sign_with_vlek_as_is(&self) -> Vec<u8> {
        let report = self.clone().launched();
        report.clone().with_signature(&self.chip.vlek_key().sign(report.signed_range()))
    }

    /// The report with a signature of zeros, as firmware writes it under `MASK_CHIP_KEY`.
    #[must_use]
    pub fn unsigned(&self) -> Vec<u8> {
        self.clone().launched().bytes.to_vec()
    }

    /// Sets the version, and clears what that version does not have.
    #[must_use]
    pub fn version(mut self, version: u32) -> Self {
        if version < 3 {
            self = self.cpuid([0; 3]);
        }
        if version < 5 {
            self = self.launch_mitigation_vector(0).current_mitigation_vector(0);
        }
        self.put(0x000, &version.to_le_bytes())
    }

    /// Sets the guest's security version.
    #[must_use]
    pub fn guest_svn(self, svn: u32) -> Self {
        self.put(0x004, &svn.to_le_bytes())
    }

    /// Sets the whole guest policy; see [`policy`].
    #[must_use]
    pub fn policy_raw(self, policy: u64) -> Self {
        self.put(0x008, &policy.to_le_bytes())
    }

    /// Sets bits of the guest policy.
    #[must_use]
    pub fn policy_set(self, bits: u64) -> Self {
        self.or(0x008, bits)
    }

    /// Clears bits of the guest policy.
    #[must_use]
    pub fn policy_clear(self, bits: u64) -> Self {
        self.and_not(0x008, bits)
    }

    /// Lets the host debug the guest.
    #[must_use]
    pub fn debug(self) -> Self {
        self.policy_set(policy::DEBUG)
    }

    /// Lets the guest have a migration agent.
    #[must_use]
    pub fn migrate_ma(self) -> Self {
        self.policy_set(policy::MIGRATE_MA)
    }

    /// Forbids simultaneous multithreading, in the policy and on the platform.
    #[must_use]
    pub fn no_smt(self) -> Self {
        self.policy_clear(policy::SMT).platform_clear(platform::SMT)
    }

    /// Asks for at least this firmware ABI.
    #[must_use]
    pub fn abi_minimum(self, major: u8, minor: u8) -> Self {
        self.put(0x008, &[minor, major])
    }

    /// Sets the family id.
    #[must_use]
    pub fn family_id(self, id: [u8; 16]) -> Self {
        self.put(0x010, &id)
    }

    /// Sets the image id.
    #[must_use]
    pub fn image_id(self, id: [u8; 16]) -> Self {
        self.put(0x020, &id)
    }

    /// Sets the privilege level that asked.
    #[must_use]
    pub fn vmpl(self, vmpl: u32) -> Self {
        self.put(0x030, &vmpl.to_le_bytes())
    }

    /// Sets the signature algorithm; 1 is ECDSA P-384 with SHA-384.
    #[must_use]
    pub fn sig_algo(self, algorithm: u32) -> Self {
        self.put(0x034, &algorithm.to_le_bytes())
    }

    /// Sets the TCB that runs.
    #[must_use]
    pub fn current_tcb(self, tcb: Tcb) -> Self {
        let bytes = tcb.encode(self.chip.product);
        self.put(0x038, &bytes)
    }

    /// Sets the whole platform info; see [`platform`].
    #[must_use]
    pub fn platform_info(self, info: u64) -> Self {
        self.put(0x040, &info.to_le_bytes())
    }

    /// Sets bits of the platform info.
    #[must_use]
    pub fn platform_set(self, bits: u64) -> Self {
        self.or(0x040, bits)
    }

    /// Clears bits of the platform info.
    #[must_use]
    pub fn platform_clear(self, bits: u64) -> Self {
        self.and_not(0x040, bits)
    }

    /// Sets the whole key info.
    #[must_use]
    pub fn key_info(self, info: u32) -> Self {
        self.put(0x048, &info.to_le_bytes())
    }

    /// Sets which key the report says it is signed with.
    #[must_use]
    pub fn signing_key(self, key: SigningKey) -> Self {
        let code = match key {
            SigningKey::Vcek => 0,
            SigningKey::Vlek => 1,
            SigningKey::None => 7,
            SigningKey::Reserved(code) => u64::from(code & 7),
        };
        self.and_not(0x048, 7 << 2_u32).or(0x048, code << 2_u32)
    }

    /// Says that the chip key is masked. Firmware then leaves the signature zero: use [`Self::unsigned`].
    #[must_use]
    pub fn mask_chip_key(self) -> Self {
        self.or(0x048, 1 << 1_u32)
    }

    /// Sets the caller's 64 bytes.
    #[must_use]
    pub fn report_data(self, data: [u8; 64]) -> Self {
        self.put(0x050, &data)
    }

    /// The same as [`Self::report_data`].
    #[must_use]
    pub fn nonce(self, data: [u8; 64]) -> Self {
        self.report_data(data)
    }

    /// Sets the launch measurement.
    #[must_use]
    pub fn measurement(self, measurement: [u8; 48]) -> Self {
        self.put(0x090, &measurement)
    }

    /// Sets the host's data.
    #[must_use]
    pub fn host_data(self, data: [u8; 32]) -> Self {
        self.put(0x0c0, &data)
    }

    /// Sets the digest of the key that signed the id block.
    #[must_use]
    pub fn id_key_digest(self, digest: [u8; 48]) -> Self {
        self.put(0x0e0, &digest)
    }

    /// Sets the digest of the key that certified the id key, and `AUTHOR_KEY_EN`.
    #[must_use]
    pub fn author_key_digest(self, digest: [u8; 48]) -> Self {
        self.put(0x110, &digest).or(0x048, 1)
    }

    /// Sets the report id. Without, a guest that differs in anything is another guest.
    #[must_use]
    pub fn report_id(mut self, id: [u8; 32]) -> Self {
        self.named = true;
        self.put(0x140, &id)
    }

    /// Sets the migration agent's report id; all ones where there is none.
    #[must_use]
    pub fn report_id_ma(self, id: [u8; 32]) -> Self {
        self.put(0x160, &id)
    }

    /// Sets the TCB that the report vouches for. The key that signs stays the chip's.
    #[must_use]
    pub fn reported_tcb(self, tcb: Tcb) -> Self {
        let bytes = tcb.encode(self.chip.product);
        self.put(0x180, &bytes)
    }

    /// Sets family (extended included), model and stepping.
    #[must_use]
    pub fn cpuid(self, cpuid: [u8; 3]) -> Self {
        self.put(0x188, &cpuid)
    }

    /// Sets the chip id, filled up with zeros.
    #[must_use]
    pub fn chip_id(self, id: &[u8]) -> Self {
        self.put(0x1a0, &[0; 64]).put(0x1a0, id.get(..64).unwrap_or(id))
    }

    /// Sets the TCB below which the firmware cannot go back.
    #[must_use]
    pub fn committed_tcb(self, tcb: Tcb) -> Self {
        let bytes = tcb.encode(self.chip.product);
        self.put(0x1e0, &bytes)
    }

    /// Sets the running firmware's version: major, minor, build.
    #[must_use]
    pub fn current_version(self, version: [u8; 3]) -> Self {
        let [major, minor, build] = version;
        self.put(0x1e8, &[build, minor, major])
    }

    /// Sets the committed firmware's version: major, minor, build.
    #[must_use]
    pub fn committed_version(self, version: [u8; 3]) -> Self {
        let [major, minor, build] = version;
        self.put(0x1ec, &[build, minor, major])
    }

    /// Sets the TCB at the guest's launch or import.
    #[must_use]
    pub fn launch_tcb(self, tcb: Tcb) -> Self {
        let bytes = tcb.encode(self.chip.product);
        self.put(0x1f0, &bytes)
    }

    /// Sets the mitigations that were verified at launch (version 5).
    #[must_use]
    pub fn launch_mitigation_vector(self, vector: u64) -> Self {
        self.put(0x1f8, &vector.to_le_bytes())
    }

    /// Sets the mitigations that are verified now (version 5).
    #[must_use]
    pub fn current_mitigation_vector(self, vector: u64) -> Self {
        self.put(0x200, &vector.to_le_bytes())
    }

    /// Sets any byte of the signed range, such as a reserved one. Beyond the report's end it does nothing.
    #[must_use]
    pub fn reserved(self, offset: usize, byte: u8) -> Self {
        self.put(offset, &[byte])
    }

    /// AMD 56860: the firmware draws a report id at each launch.
    fn launched(self) -> Self {
        if self.named {
            return self;
        }
        let guest = self.clone().report_data([0; 64]).put(0x140, &[0; 32]);
        let id = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, guest.signed_range());
        self.put(0x140, id.as_ref())
    }

    fn signed_range(&self) -> &[u8] {
        self.bytes.get(..SIGNATURE).unwrap_or_default()
    }

    /// AMD 56860, table of the ECDSA P-384 signature: `r` and `s` little endian, 72 bytes each.
    fn with_signature(self, big_endian: &[u8]) -> Vec<u8> {
        let (r, s) = big_endian.split_at_checked(48).unwrap_or_default();
        let reversed = |scalar: &[u8]| scalar.iter().rev().copied().collect::<Vec<u8>>();
        self.put(SIGNATURE, &reversed(r)).put(SIGNATURE_S, &reversed(s)).bytes.to_vec()
    }

    fn put(mut self, offset: usize, value: &[u8]) -> Self {
        for (byte, value) in self.bytes.iter_mut().skip(offset).zip(value) {
            *byte = *value;
        }
        self
    }

    fn or(mut self, offset: usize, bits: u64) -> Self {
        for (byte, bits) in self.bytes.iter_mut().skip(offset).zip(bits.to_le_bytes()) {
            *byte |= bits;
        }
        self
    }

    fn and_not(mut self, offset: usize, bits: u64) -> Self {
        for (byte, bits) in self.bytes.iter_mut().skip(offset).zip(bits.to_le_bytes()) {
            *byte &= !bits;
        }
        self
    }
}

const SIGNATURE: usize = 0x2a0;
const SIGNATURE_S: usize = 0x2e8;

/// Bits of the guest policy (AMD 56860, table `GUEST_POLICY`).
pub mod policy {
    /// The host may use simultaneous multithreading.
    pub const SMT: u64 = 1 << 16;
    /// Reserved, must be one.
    pub const RESERVED_ONE: u64 = 1 << 17;
    /// A migration agent may be associated.
    pub const MIGRATE_MA: u64 = 1 << 18;
    /// The host may debug the guest.
    pub const DEBUG: u64 = 1 << 19;
    /// The guest runs on one socket only.
    pub const SINGLE_SOCKET: u64 = 1 << 20;
    /// CXL devices and memory are allowed.
    pub const CXL_ALLOW: u64 = 1 << 21;
    /// AES-256-XTS memory encryption is required.
    pub const MEM_AES_256_XTS: u64 = 1 << 22;
    /// Power measurement (RAPL) must be off.
    pub const RAPL_DIS: u64 = 1 << 23;
    /// Ciphertext hiding must be on.
    pub const CIPHERTEXT_HIDING: u64 = 1 << 24;
    /// Page move and swap commands are off.
    pub const PAGE_SWAP_DISABLE: u64 = 1 << 25;
    /// What clouds launch ordinary guests with.
    pub const DEFAULT: u64 = SMT | RESERVED_ONE;
}

/// Bits of the platform info (AMD 56860, table `PLATFORM_INFO`).
pub mod platform {
    /// Simultaneous multithreading is on.
    pub const SMT: u64 = 1;
    /// Transparent memory encryption is on.
    pub const TSME: u64 = 1 << 1;
    /// Memory has error correction.
    pub const ECC: u64 = 1 << 2;
    /// Power measurement (RAPL) is off.
    pub const RAPL_DIS: u64 = 1 << 3;
    /// Ciphertext hiding is on.
    pub const CIPHERTEXT_HIDING: u64 = 1 << 4;
    /// Memory was checked for aliases since the last reset.
    pub const ALIAS_CHECK_COMPLETE: u64 = 1 << 5;
    /// Trusted I/O is on.
    pub const TIO: u64 = 1 << 7;
    /// What current firmware says on an ordinary host.
    pub const DEFAULT: u64 = SMT | ECC | ALIAS_CHECK_COMPLETE;
}
