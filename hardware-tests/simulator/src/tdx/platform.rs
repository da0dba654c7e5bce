//! A platform: what it is, the certificates and lists issued for it, and the quotes it signs.
//!
//! Everything follows from a seed and a time, so that the same arguments give the same platform: the same
//! ids and the same keys. (Signatures differ: ECDSA is randomised.)

use super::authority::{Authority, Role, bytes_of, intel_name};
use super::{QuoteBuilder, SGX_EXTENSIONS, SgxExtensions, Vendor, levels};
use crate::ecdsa::{Curve, Key};
use crate::x509::{BasicConstraints, CertBuilder, CrlBuilder, Issuer};

pub use crate::snp::EPOCH;

/// One simulated machine with TDX, and the authorities that endorse it.
#[derive(Clone, Debug)]
pub struct Platform {
    pub(super) seed: u64,
    pub(super) fmspc: [u8; 6],
    vendor: Vendor,
    at: u64,
    ca: Ca,
    ppid: [u8; 16],
    instance: [u8; 16],
    components: [u8; 16],
    pce_svn: u16,
}

/// Which authority endorses a platform.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ca {
    /// That of multi-package platforms: their PCK certificates say platform instance and configuration.
    Platform,
    /// That of single-package platforms.
    Processor,
}

impl Platform {
    /// The platform of a seed, with current firmware, under the simulated vendor, at [`EPOCH`].
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let [current, ..] = levels();
        Self {
            seed,
            fmspc: [0xb0, 0xc0, 0x6f, 0, 0, 0],
            vendor: Vendor::Simulated,
            at: EPOCH,
            ca: Ca::Platform,
            ppid: bytes_of(&format!("PPID of {seed}")),
            instance: bytes_of(&format!("platform instance of {seed}")),
            components: current.sgx,
            pce_svn: current.pce_svn,
        }
    }

    /// Moves the validity of PCK certificate, lists and documents around `unix` (seconds since 1970).
    #[must_use]
    pub const fn at(mut self, unix: u64) -> Self {
        self.at = unix;
        self
    }

    /// Puts the platform under another vendor's keys; nothing else changes.
    #[must_use]
    pub const fn with_vendor(mut self, vendor: Vendor) -> Self {
        self.vendor = vendor;
        self
    }

    /// Has another authority endorse it.
    #[must_use]
    pub const fn with_ca(mut self, ca: Ca) -> Self {
        self.ca = ca;
        self
    }

    /// Makes it another kind of machine, for which other TCB info counts.
    #[must_use]
    pub const fn with_fmspc(mut self, fmspc: [u8; 6]) -> Self {
        self.fmspc = fmspc;
        self
    }

    /// Runs other firmware: the SGX components and the PCE that its PCK certificate is for.
    #[must_use]
    pub const fn with_tcb(mut self, components: [u8; 16], pce_svn: u16) -> Self {
        self.components = components;
        self.pce_svn = pce_svn;
        self
    }

    /// Its time.
    #[must_use]
    pub const fn now(&self) -> u64 {
        self.at
    }

    /// Family, model, stepping, platform and custom SKU.
    #[must_use]
    pub const fn fmspc(&self) -> [u8; 6] {
        self.fmspc
    }

    /// The platform provisioning id.
    #[must_use]
    pub const fn ppid(&self) -> [u8; 16] {
        self.ppid
    }

    /// The platform instance id; a PCK certificate of the Processor CA does not have it.
    #[must_use]
    pub const fn instance(&self) -> [u8; 16] {
        self.instance
    }

    /// One of the authorities above it.
    #[must_use]
    pub const fn authority(&self, role: Role) -> Authority {
        Authority { vendor: self.vendor, role }
    }

    /// The authority that issued its PCK certificate.
    #[must_use]
    pub const fn ca_role(&self) -> Role {
        match self.ca {
            Ca::Platform => Role::PlatformCa,
            Ca::Processor => Role::ProcessorCa,
        }
    }

    /// The root certificate, about to be issued.
    #[must_use]
    pub fn root(&self) -> CertBuilder {
        self.issue(Role::Root)
            .not_before(1_526_899_510)
            .not_after(2_524_607_999)
            .key_usage(CERT_SIGN_AND_CRL_SIGN)
            .basic_constraints(BasicConstraints::Authority(1))
    }

    /// The certificate of the authority for PCK certificates, about to be issued.
    #[must_use]
    pub fn ca(&self) -> CertBuilder {
        self.issue(self.ca_role())
            .not_before(1_526_899_810)
            .not_after(2_000_285_410)
            .key_usage(CERT_SIGN_AND_CRL_SIGN)
            .basic_constraints(BasicConstraints::Authority(0))
    }

    /// The certificate of the signer of TCB info and QE identity, about to be issued.
    #[must_use]
    pub fn tcb_signing(&self) -> CertBuilder {
        self.issue(Role::TcbSigning)
            .not_before(1_746_523_500)
            .not_after(1_967_448_300)
            .key_usage(SIGN)
            .basic_constraints(BasicConstraints::EndEntity)
    }

    /// The PCK certificate, about to be issued.
    #[must_use]
    pub fn pck(&self) -> CertBuilder {
        self.pck_with(|extensions| extensions)
    }

    /// The PCK certificate with other SGX extensions, about to be issued.
    #[must_use]
    pub fn pck_with(&self, change: impl FnOnce(SgxExtensions) -> SgxExtensions) -> CertBuilder {
        let (authority, key) = (self.authority(self.ca_role()).issuer(), self.pck_key());
        let subject = Issuer { name: intel_name("Intel SGX PCK Certificate"), key: key.clone() };
        let ca = match self.ca {
            Ca::Platform => "platform",
            Ca::Processor => "processor",
        };
        CertBuilder::new(&subject, &authority)
            .serial(&self.pck_serial())
            .not_before(self.at.saturating_sub(DAY.saturating_mul(30)))
            .not_after(self.at.saturating_add(DAY.saturating_mul(2_525)))
            .authority_key_id(&authority.key)
            .crl_distribution_point(&format!("{SERVICE}/sgx/certification/v4/pckcrl?ca={ca}&encoding=der"))
            .subject_key_id(&key)
            .key_usage(SIGN)
            .basic_constraints(BasicConstraints::EndEntity)
            .extension(SGX_EXTENSIONS, &change(self.sgx_extensions()).der())
    }

    /// The serial number of the PCK certificate.
    #[must_use]
    pub fn pck_serial(&self) -> [u8; 20] {
        // A first byte of 1 to 127 keeps the number positive and its encoding 20 bytes long.
        let [_, rest @ ..]: [u8; 20] = bytes_of(&format!("PCK serial of {}", self.seed));
        let mut serial = [0x3c; 20];
        for (byte, value) in serial.iter_mut().skip(1).zip(rest) {
            *byte = value;
        }
        serial
    }

    /// The key that the PCK certificate is for. As in hardware, it follows from the TCB.
    #[must_use]
    pub fn pck_key(&self) -> Key {
        let Self { vendor, seed, components, pce_svn, .. } = self;
        let label = format!("cloudtaser simulator: PCK of {vendor:?} {seed} at {components:?} {pce_svn}");
        Key::derive(Curve::P256, label.as_bytes())
    }

    /// The root's revocation list: nothing revoked, a month old, current for eleven months more.
    #[must_use]
    pub fn root_crl(&self) -> CrlBuilder {
        let (from, until) = (DAY.saturating_mul(30), DAY.saturating_mul(335));
        let root = self.authority(Role::Root).issuer();
        CrlBuilder::new(&root, self.at.saturating_sub(from), self.at.saturating_add(until))
    }

    /// The list of the authority for PCK certificates: nothing revoked, a day old, current for 29 days more.
    #[must_use]
    pub fn pck_crl(&self) -> CrlBuilder {
        let (from, until) = self.document_window();
        CrlBuilder::new(&self.authority(self.ca_role()).issuer(), from, until)
    }

    /// A quote of a TD on this platform.
    #[must_use]
    pub fn quote(&self) -> QuoteBuilder {
        QuoteBuilder::new(self)
    }

    pub(super) const fn document_window(&self) -> (u64, u64) {
        (self.at.saturating_sub(DAY), self.at.saturating_add(DAY.saturating_mul(29)))
    }

    fn sgx_extensions(&self) -> SgxExtensions {
        let extensions = SgxExtensions::new(&self.ppid, &self.fmspc, self.components, self.pce_svn);
        match self.ca {
            Ca::Platform => {
                extensions.sgx_type(1).platform_instance_id(&self.instance).configuration([true, true, true])
            }
            Ca::Processor => extensions,
        }
    }

    /// What all certificates under the root share.
    fn issue(&self, role: Role) -> CertBuilder {
        let (own, root) = (self.authority(role), self.authority(Role::Root).issuer());
        CertBuilder::new(&own.issuer(), &root)
            .serial(&own.serial())
            .authority_key_id(&root.key)
            .crl_distribution_point("https://certificates.trustedservices.intel.com/IntelSGXRootCA.der")
            .subject_key_id(&own.key())
    }
}

const SERVICE: &str = "https://api.trustedservices.intel.com";
const DAY: u64 = 86_400;
const SIGN: [u8; 2] = [6, 0xc0];
const CERT_SIGN_AND_CRL_SIGN: [u8; 2] = [1, 0x06];
