//! A chip: what it is, the certificates issued for it, and the reports it signs.
//!
//! Everything follows from a seed, a product and a time, so that the same arguments give the same chip: the
//! same hardware id and the same keys. (Signatures differ: RSASSA-PSS and ECDSA are randomised.)

use aws_lc_rs::digest;

use super::cert::BasicConstraints;
use super::keys::EndorsementKey;
use super::{
    Authority, CertBuilder, CertTable, CrlBuilder, Product, ReportBuilder, Role, Tcb, Trailer, Vendor, guid,
    oid,
};
use crate::der;

/// The time that a chip takes as the present unless told otherwise: 2026-11-21T00:00:00Z.
pub const EPOCH: u64 = 1_795_219_200;

/// One simulated processor, with the authorities that endorse it.
#[derive(Clone, Debug)]
pub struct Chip {
    pub(super) product: Product,
    pub(super) tcb: Tcb,
    pub(super) hwid: Vec<u8>,
    vendor: Vendor,
    seed: u64,
    at: u64,
    csp_id: String,
}

/// The certificates of a chip, DER.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Chain {
    /// AMD root key.
    pub ark: Vec<u8>,
    /// AMD SEV key, which issues the VCEK.
    pub ask: Vec<u8>,
    /// AMD SEV VLEK key, which issues the VLEK.
    pub asvk: Vec<u8>,
    /// The chip's own endorsement key.
    pub vcek: Vec<u8>,
    /// The endorsement key that a cloud provider loaded.
    pub vlek: Vec<u8>,
}

impl Chip {
    /// The chip of a seed, with current firmware, under the simulated vendor, at [`EPOCH`].
    #[must_use]
    pub fn new(seed: u64, product: Product) -> Self {
        let label = format!("cloudtaser simulator: hardware id of {} {seed}", product.name());
        let hash = digest::digest(&digest::SHA512, label.as_bytes());
        Self {
            product,
            tcb: product.current_tcb(),
            hwid: hash.as_ref().iter().copied().take(product.hwid_len()).collect(),
            vendor: Vendor::Simulated,
            seed,
            at: EPOCH,
            csp_id: "CN=cc-simulated.example.com".to_owned(),
        }
    }

    /// Moves the validity of VCEK, VLEK and revocation list around `unix` (seconds since 1970).
    #[must_use]
    pub const fn at(mut self, unix: u64) -> Self {
        self.at = unix;
        self
    }

    /// Puts the chip under another vendor's keys; nothing else changes.
    #[must_use]
    pub const fn with_vendor(mut self, vendor: Vendor) -> Self {
        self.vendor = vendor;
        self
    }

    /// Runs other firmware. As in hardware, the VCEK of another TCB is another key.
    #[must_use]
    pub const fn with_tcb(mut self, tcb: Tcb) -> Self {
        self.tcb = tcb;
        self
    }

    /// Gives the chip another hardware id (64 bytes, on Turin 8).
    #[must_use]
    pub fn with_hwid(mut self, hwid: &[u8]) -> Self {
        hwid.clone_into(&mut self.hwid);
        self
    }

    /// Rents the chip out through another cloud provider.
    #[must_use]
    pub fn with_csp_id(mut self, csp_id: &str) -> Self {
        csp_id.clone_into(&mut self.csp_id);
        self
    }

    /// The product line.
    #[must_use]
    pub const fn product(&self) -> Product {
        self.product
    }

    /// The firmware's TCB.
    #[must_use]
    pub const fn tcb(&self) -> Tcb {
        self.tcb
    }

    /// The hardware id, as its VCEK states it.
    #[must_use]
    pub fn hwid(&self) -> &[u8] {
        &self.hwid
    }

    /// The chip id of a report: the hardware id, then zeros.
    #[must_use]
    pub fn chip_id(&self) -> [u8; 64] {
        let mut id = [0; 64];
        for (byte, value) in id.iter_mut().zip(&self.hwid) {
            *byte = *value;
        }
        id
    }

    /// The cloud provider's id, as its VLEK states it.
    #[must_use]
    pub fn csp_id(&self) -> &str {
        &self.csp_id
    }

    /// An authority above this chip.
    #[must_use]
    pub const fn authority(&self, role: Role) -> Authority {
        Authority { vendor: self.vendor, product: self.product, role }
    }

    /// The serial number of an authority's certificate, by AMD's numbering.
    #[must_use]
    pub const fn serial(&self, role: Role) -> u64 {
        let last = match (role, self.product) {
            (Role::Ark, _) => 0,
            // Genoa's first ASK was withdrawn; the one in use has the next serial.
            (Role::Ask, Product::Genoa) => 2,
            (Role::Ask, Product::Milan | Product::Turin) => 1,
            (Role::Asvk, _) => 0x101,
        };
        self.product.serial_prefix() | last
    }

    /// All certificates as they should be.
    #[must_use]
    pub fn chain(&self) -> Chain {
        Chain {
            ark: self.ark().der(),
            ask: self.ask().der(),
            asvk: self.asvk().der(),
            vcek: self.vcek().der(),
            vlek: self.vlek().der(),
        }
    }

    /// The root certificate, about to be issued.
    #[must_use]
    pub fn ark(&self) -> CertBuilder {
        let ark = self.authority(Role::Ark);
        CertBuilder::new(ark.common_name(), ark.spki(), ark)
            .serial(self.serial(Role::Ark))
            .not_before(AUTHORITY_FROM)
            .not_after(AUTHORITY_UNTIL)
            .trailer(Trailer::Explicit)
            .key_usage(CERT_SIGN_AND_CRL_SIGN)
            .subject_key_id(ark)
            .basic_constraints(BasicConstraints::Root)
            .crl_distribution_point(ark)
    }

    /// The certificate of the authority for VCEKs, about to be issued.
    #[must_use]
    pub fn ask(&self) -> CertBuilder {
        self.intermediate(Role::Ask)
    }

    /// The certificate of the authority for VLEKs, about to be issued.
    #[must_use]
    pub fn asvk(&self) -> CertBuilder {
        self.intermediate(Role::Asvk)
    }

    /// The VCEK certificate, about to be issued.
    #[must_use]
    pub fn vcek(&self) -> CertBuilder {
        let cert = CertBuilder::new("SEV-VCEK".to_owned(), self.vcek_key().spki(), self.authority(Role::Ask))
            .not_before(self.at.saturating_sub(DAY.saturating_mul(30)))
            .not_after(self.at.saturating_add(DAY.saturating_mul(2_557)))
            .struct_version(self.struct_version())
            .product_name(self.product.vcek_product_name());
        self.levels(cert).hwid(&self.hwid)
    }

    /// The VLEK certificate, about to be issued.
    #[must_use]
    pub fn vlek(&self) -> CertBuilder {
        let cert =
            CertBuilder::new("SEV-VLEK".to_owned(), self.vlek_key().spki(), self.authority(Role::Asvk))
                .not_before(self.at.saturating_sub(DAY.saturating_mul(30)))
                .not_after(self.at.saturating_add(DAY.saturating_mul(335)))
                .struct_version(self.struct_version())
                .product_name(self.product.name());
        self.levels(cert).csp_id(&self.csp_id)
    }

    /// The revocation list of this chip's root: nothing revoked, a day old, current for 30 days more.
    #[must_use]
    pub fn crl(&self) -> CrlBuilder {
        let until = self.at.saturating_add(DAY.saturating_mul(30));
        CrlBuilder::new(self.authority(Role::Ark), self.at.saturating_sub(DAY), until)
    }

    /// A report by this chip, as production firmware writes it.
    #[must_use]
    pub fn report(&self) -> ReportBuilder {
        ReportBuilder::new(self.clone())
    }

    /// The certificate table that the host hands to the guest: VCEK, ASK, ARK.
    #[must_use]
    pub fn cert_table(&self) -> CertTable {
        let Chain { ark, ask, asvk: _, vcek, vlek: _ } = self.chain();
        CertTable::default().with(guid::VCEK, &vcek).with(guid::ASK, &ask).with(guid::ARK, &ark)
    }

    /// The certificate table of a host that signs with a VLEK: VLEK, ASVK, ARK.
    ///
    /// The ASVK has the ASK's place: the table knows no other row for the intermediate.
    #[must_use]
    pub fn vlek_cert_table(&self) -> CertTable {
        let Chain { ark, ask: _, asvk, vcek: _, vlek } = self.chain();
        CertTable::default().with(guid::VLEK, &vlek).with(guid::ASK, &asvk).with(guid::ARK, &ark)
    }

    pub(super) fn vcek_key(&self) -> EndorsementKey {
        self.endorsement_key("VCEK")
    }

    pub(super) fn vlek_key(&self) -> EndorsementKey {
        self.endorsement_key("VLEK")
    }

    fn endorsement_key(&self, kind: &str) -> EndorsementKey {
        let Self { product, tcb, vendor, seed, .. } = self;
        EndorsementKey::derive(
            format!("cloudtaser simulator: {kind} of {vendor:?} {product:?} {seed} at {tcb:?}").as_bytes(),
        )
    }

    fn intermediate(&self, role: Role) -> CertBuilder {
        let (own, ark) = (self.authority(role), self.authority(Role::Ark));
        CertBuilder::new(own.common_name(), own.spki(), ark)
            .serial(self.serial(role))
            .not_before(AUTHORITY_FROM)
            .not_after(AUTHORITY_UNTIL)
            .trailer(Trailer::Explicit)
            .subject_key_id(own)
            .authority_key_id(ark)
            .basic_constraints(BasicConstraints::Intermediate)
            .key_usage(CERT_SIGN)
            .crl_distribution_point(own)
    }

    /// Patch levels, then the reserved ones, which AMD writes too.
    fn levels(&self, cert: CertBuilder) -> CertBuilder {
        let reserved: &[_] = match self.product {
            Product::Milan | Product::Genoa => &[oid::SPL_4, oid::SPL_5, oid::SPL_6, oid::SPL_7],
            Product::Turin => &[oid::SPL_5, oid::SPL_6, oid::SPL_7],
        };
        let cert = cert.tcb(self.product, self.tcb);
        reserved.iter().fold(cert, |cert, oid| cert.extension(oid, &der::unsigned(0)))
    }

    const fn struct_version(&self) -> u64 {
        match self.product {
            Product::Milan | Product::Genoa => 0,
            Product::Turin => 1,
        }
    }
}

/// AMD's authorities live for 25 years: 2023-01-01 to 2048-01-01.
const AUTHORITY_FROM: u64 = 1_672_531_200;
const AUTHORITY_UNTIL: u64 = 2_461_449_600;
const DAY: u64 = 86_400;
const CERT_SIGN: [u8; 2] = [2, 0x04];
const CERT_SIGN_AND_CRL_SIGN: [u8; 2] = [1, 0x06];
