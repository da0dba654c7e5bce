//! A security module: whose it is, the certificates above it, and what it says.
//!
//! Everything follows from a seed, a kind and a time, so that the same arguments give the same module: the same
//! ids and the same keys. (Signatures differ: ECDSA is randomised.) Keys follow from names, so they are public
//! test keys: whoever trusts one trusts everybody.

use aws_lc_rs::digest;

use super::{DocumentBuilder, EPOCH, Vendor};
use crate::der;
use crate::ecdsa::{Curve, Key};
use crate::x509::{BasicConstraints, CertBuilder, CrlBuilder, Issuer, attribute};

/// One simulated security module.
#[derive(Clone, Debug)]
pub struct Module {
    kind: Kind,
    vendor: Vendor,
    at: u64,
    region: String,
    instance: String,
    id: String,
}

/// What a module speaks about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// An enclave.
    Enclave,
    /// An EC2 instance with a `NitroTPM`.
    Tpm,
}

/// A place in the hierarchy.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// The root: self-signed, 30 years.
    Root,
    /// A region's authority, 20 days.
    Regional,
    /// A zone's authority, six days.
    Zonal,
    /// An instance's authority, a day.
    Instance,
    /// The module's own key, three hours. It signs documents.
    Leaf,
}

impl Module {
    /// The module of an enclave, under the simulated vendor, at [`EPOCH`].
    #[must_use]
    pub fn enclave(seed: u64) -> Self {
        Self::new(seed, Kind::Enclave)
    }

    /// The module of an instance's `NitroTPM`, under the simulated vendor, at [`EPOCH`].
    #[must_use]
    pub fn tpm(seed: u64) -> Self {
        Self::new(seed, Kind::Tpm)
    }

    fn new(seed: u64, kind: Kind) -> Self {
        let instance = format!("i-0{}", hex::encode(bytes_of::<8>(&format!("instance of {seed}"))));
        let id = match kind {
            Kind::Enclave => {
                format!("{instance}-enc{}", hex::encode(bytes_of::<8>(&format!("enclave of {seed}"))))
            }
            Kind::Tpm => format!("{instance}-tpm{}", "0".repeat(16)),
        };
        let region = "eu-central-1".to_owned();
        Self { kind, vendor: Vendor::Simulated, at: EPOCH, region, instance, id }
    }

    /// Moves the validity of the certificates, and the document's time, around `unix` (seconds since 1970).
    #[must_use]
    pub const fn at(mut self, unix: u64) -> Self {
        self.at = unix;
        self
    }

    /// Puts the module under another vendor's keys; nothing else changes.
    #[must_use]
    pub const fn with_vendor(mut self, vendor: Vendor) -> Self {
        self.vendor = vendor;
        self
    }

    /// Starts the enclave anew: the hypervisor names each by sixteen hex digits of its own.
    #[must_use]
    pub fn started_as(mut self, digits: &str) -> Self {
        self.id = format!("{}-enc{digits}", self.instance);
        self
    }

    /// Runs it in another region.
    #[must_use]
    pub fn in_region(mut self, region: &str) -> Self {
        region.clone_into(&mut self.region);
        self
    }

    /// What it speaks about.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Its time.
    #[must_use]
    pub const fn now(&self) -> u64 {
        self.at
    }

    /// The id of the EC2 instance.
    #[must_use]
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// The module's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The common name of a place in the hierarchy.
    #[must_use]
    pub fn common_name(&self, role: Role) -> String {
        let Self { region, instance, id, .. } = self;
        let number = |what: &str| hex::encode(bytes_of::<8>(&format!("{what} of {region}")));
        match role {
            Role::Root => "aws.nitro-enclaves".to_owned(),
            Role::Regional => format!("{}.{region}.aws.nitro-enclaves", number("authority")),
            Role::Zonal => format!("{}.zonal.{region}.aws.nitro-enclaves", number("zone")),
            Role::Instance => format!("{instance}.{region}.aws.nitro-enclaves"),
            Role::Leaf => format!("{id}.{region}.aws"),
        }
    }

    /// Name and key of a place in the hierarchy.
    #[must_use]
    pub fn issuer(&self, role: Role) -> Issuer {
        Issuer { name: aws_name(role, &self.common_name(role)), key: self.key(role) }
    }

    /// The key of a place in the hierarchy.
    #[must_use]
    pub fn key(&self, role: Role) -> Key {
        let Self { vendor, .. } = self;
        let label = format!("cloudtaser simulator: AWS {vendor:?} {}", self.common_name(role));
        Key::derive(Curve::P384, label.as_bytes())
    }

    /// A certificate of the hierarchy, about to be issued.
    #[must_use]
    pub fn certificate(&self, role: Role) -> CertBuilder {
        let above = self.issuer(role.above());
        let (before, after) = role.life();
        let certificate = CertBuilder::new(&self.issuer(role), &above)
            .serial(&self.serial(role))
            .not_before(self.at.saturating_sub(before))
            .not_after(self.at.saturating_add(after));
        match role {
            Role::Root => certificate
                .not_before(ROOT_FROM)
                .not_after(ROOT_UNTIL)
                .basic_constraints(BasicConstraints::Unlimited)
                .subject_key_id(&self.key(role))
                .key_usage(SIGN_ALL),
            Role::Regional | Role::Zonal => certificate
                .basic_constraints(BasicConstraints::Authority(role.limit()))
                .authority_key_id(&above.key)
                .subject_key_id(&self.key(role))
                .key_usage(SIGN_ALL)
                .crl_distribution_point("http://crl.example.com/nitro.crl"),
            Role::Instance => certificate
                .basic_constraints(BasicConstraints::Authority(role.limit()))
                .key_usage(CERT_SIGN)
                .subject_key_id(&self.key(role))
                .authority_key_id(&above.key),
            Role::Leaf => {
                certificate.basic_constraints(BasicConstraints::EndEntity).key_usage(DIGITAL_SIGNATURE)
            }
        }
    }

    /// A list of what an authority revoked: nothing yet, a day old, current for a week.
    #[must_use]
    pub fn revocation_list(&self, role: Role) -> CrlBuilder {
        let until = self.at.saturating_add(7 * DAY);
        CrlBuilder::new(&self.issuer(role), self.at.saturating_sub(DAY), until)
    }

    /// The serial number of a certificate of the hierarchy.
    #[must_use]
    pub fn serial(&self, role: Role) -> Vec<u8> {
        bytes_of::<15>(&format!("serial of {}", self.common_name(role))).to_vec()
    }

    /// The certificates above the leaf, root first, DER.
    #[must_use]
    pub fn bundle(&self) -> Vec<Vec<u8>> {
        let roles = [Role::Root, Role::Regional, Role::Zonal, Role::Instance];
        roles.map(|role| self.certificate(role).der()).into()
    }

    /// A document as production firmware writes it.
    #[must_use]
    pub fn document(&self) -> DocumentBuilder {
        DocumentBuilder::new(self)
    }
}

impl Role {
    const fn above(self) -> Self {
        match self {
            Self::Root | Self::Regional => Self::Root,
            Self::Zonal => Self::Regional,
            Self::Instance => Self::Zonal,
            Self::Leaf => Self::Instance,
        }
    }

    /// How many authorities may follow below.
    const fn limit(self) -> u64 {
        match self {
            Self::Root | Self::Regional => 2,
            Self::Zonal => 1,
            Self::Instance | Self::Leaf => 0,
        }
    }

    /// Seconds of validity before and after the module's time.
    const fn life(self) -> (u64, u64) {
        match self {
            Self::Root => (0, 0),
            Self::Regional => (6 * DAY, 14 * DAY),
            Self::Zonal => (2 * DAY, 4 * DAY),
            Self::Instance => (DAY / 4, DAY / 4 * 3),
            Self::Leaf => (120, 3 * 3_600 - 120),
        }
    }
}

/// A name in the order and the string types that AWS uses at this place of the hierarchy.
#[must_use]
pub fn aws_name(role: Role, common_name: &str) -> Vec<u8> {
    let country = attribute(6, der::printable_string("US"));
    let organisation = attribute(10, der::utf8_string("Amazon"));
    let unit = attribute(11, der::utf8_string("AWS"));
    let common = attribute(3, der::utf8_string(common_name));
    let seattle = attribute(7, der::utf8_string("Seattle"));
    let state = |name: &str| attribute(8, der::utf8_string(name));
    let parts = match role {
        Role::Root | Role::Regional => vec![country, organisation, unit, common],
        Role::Zonal => vec![common, unit, organisation, country, state("WA"), seattle],
        Role::Instance | Role::Leaf => {
            vec![country, state("Washington"), seattle, organisation, unit, common]
        }
    };
    der::sequence(&parts)
}

/// The first bytes of a hash of `label`, never with a zero in front.
pub(super) fn bytes_of<const N: usize>(label: &str) -> [u8; N] {
    let hash = digest::digest(&digest::SHA512, format!("cloudtaser simulator: Nitro {label}").as_bytes());
    let mut out = [0; N];
    for (to, from) in out.iter_mut().zip(hash.as_ref()) {
        *to = *from;
    }
    if let Some(first) = out.first_mut() {
        *first = (*first & 0x7f) | 0x40;
    }
    out
}

/// 2019-10-28T13:28:05Z to 2049-10-28T14:28:05Z.
const ROOT_FROM: u64 = 1_572_269_285;
const ROOT_UNTIL: u64 = 2_519_044_085;
const DAY: u64 = 86_400;
/// digitalSignature, keyCertSign, cRLSign.
const SIGN_ALL: [u8; 2] = [1, 0x86];
const CERT_SIGN: [u8; 2] = [2, 0x04];
/// digitalSignature and nonRepudiation.
const DIGITAL_SIGNATURE: [u8; 2] = [6, 0xc0];
