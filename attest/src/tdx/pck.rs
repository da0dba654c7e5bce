//! The provisioning certification key's certificate: what Intel's SGX extension says of a platform.
//!
//! Structure: Intel SGX PCK Certificate and CRL Profile Specification 1.5, section 1.3.5. The key is a
//! platform's, for one TCB; the certificate names the platform (PPID), its model (FMSPC) and the security
//! versions for which the key was derived.
//!
//! Untrusted: everything, until the certificate's chain was checked.

use crate::bytes::{Malformed, Reader};
use crate::x509::{Certificate, der};
use crate::{CannotJudge, Digest};

use super::report::Svns;

/// What a PCK certificate says of its platform.
#[derive(Clone, Debug, Eq, PartialEq, serde::Serialize)]
pub struct PckClaims {
    /// The platform, as Intel knows it: the same for all its TCBs.
    pub ppid: Digest<16>,
    /// The platform's model: family, model, stepping, platform type, custom SKU.
    pub fmspc: Digest<6>,
    /// Which provisioning certification enclave it has.
    pub pce_id: Digest<2>,
    /// The TCB for which the key was derived.
    pub tcb: PckTcb,
    /// 0: standard, 1: scalable, 2: scalable with integrity.
    pub sgx_type: u8,
    /// The platform's instance: platforms with several packages have one.
    pub platform_instance_id: Option<Digest<16>>,
    /// How the platform is set up, where the certificate says it.
    pub configuration: Option<Configuration>,
}

/// A TCB in a PCK certificate.
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Serialize)]
pub struct PckTcb {
    /// The sixteen components, as Intel's TCB info counts them.
    pub components: Svns,
    /// The security version of the provisioning certification enclave.
    pub pce_svn: u16,
    /// The processor's raw security versions.
    pub cpu_svn: Svns,
}

/// How a platform is set up.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, serde::Serialize)]
pub struct Configuration {
    /// Packages may be added.
    pub dynamic_platform: Option<bool>,
    /// Keys are cached at Intel's registration service.
    pub cached_keys: Option<bool>,
    /// Simultaneous multithreading is on.
    pub smt_enabled: Option<bool>,
}

impl PckClaims {
    /// Reads the SGX extension of a certificate, DER, whoever issued it: for looking at it.
    pub fn unverified(der: &[u8]) -> Result<Self, CannotJudge> {
        Self::read(&Certificate::parse(der)?)
    }

    /// Reads the SGX extension.
    pub(super) fn read(certificate: &Certificate<'_>) -> Result<Self, CannotJudge> {
        let what = "PCK certificate";
        let missing = || CannotJudge::Endorsement { what, problem: "no SGX extension".to_owned() };
        let extension = certificate.extension("1.2.840.113741.1.13.1").ok_or_else(missing)?;
        let malformed = |problem: Malformed| CannotJudge::Endorsement { what, problem: problem.to_string() };
        Self::parse(extension).map_err(malformed)
    }

    fn parse(extension: &[u8]) -> Result<Self, Malformed> {
        let fields = Fields::parse(SGX, der::content(der::SEQUENCE, extension)?)?;
        let instance = fields.value(6).map(octets).transpose()?;
        let configuration = fields.value(7).map(Configuration::parse).transpose()?;
        Ok(Self {
            ppid: octets(fields.wanted(1)?)?,
            tcb: PckTcb::parse(fields.wanted(2)?)?,
            pce_id: octets(fields.wanted(3)?)?,
            fmspc: octets(fields.wanted(4)?)?,
            sgx_type: enumerated(fields.wanted(5)?)?,
            platform_instance_id: instance,
            configuration,
        })
    }
}

impl PckTcb {
    fn parse(value: &[u8]) -> Result<Self, Malformed> {
        let fields = Fields::parse(TCB, der::content(der::SEQUENCE, value)?)?;
        let mut components = [0; 16];
        for (component, arc) in components.iter_mut().zip(1..) {
            *component = der::small_integer(fields.wanted(arc)?)?;
        }
        let cpu_svn: Digest<16> = octets(fields.wanted(18)?)?;
        let pce_svn = short_integer(fields.wanted(17)?)?;
        Ok(Self { components: Svns(components), pce_svn, cpu_svn: Svns(cpu_svn.0) })
    }
}

impl Configuration {
    fn parse(value: &[u8]) -> Result<Self, Malformed> {
        let fields = Fields::parse(CONFIGURATION, der::content(der::SEQUENCE, value)?)?;
        let flag = |arc| fields.value(arc).map(boolean).transpose();
        Ok(Self { dynamic_platform: flag(1)?, cached_keys: flag(2)?, smt_enabled: flag(3)? })
    }
}

/// SEQUENCE OF SEQUENCE { OID, value }, by the last arc of the OID.
struct Fields<'a>(Vec<(u8, &'a [u8])>);

impl<'a> Fields<'a> {
    fn parse(prefix: &[u8], content: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(content);
        let mut fields: Vec<(u8, &[u8])> = Vec::new();
        while !reader.is_empty() {
            let mut field = Reader::new(der::expect(der::SEQUENCE, &mut reader)?);
            let oid = der::expect(der::OID, &mut field)?;
            let arc = match oid.strip_prefix(prefix) {
                Some([arc]) if !fields.iter().any(|(known, _)| known == arc) => *arc,
                _ => return Err(unexpected("one of Intel's object identifiers, once", oid)),
            };
            fields.push((arc, field.rest()));
        }
        Ok(Self(fields))
    }

    fn value(&self, arc: u8) -> Option<&'a [u8]> {
        self.0.iter().find(|(found, _)| *found == arc).map(|(_, value)| *value)
    }

    fn wanted(&self, arc: u8) -> Result<&'a [u8], Malformed> {
        self.value(arc).ok_or_else(|| unexpected("all fields", &[arc]))
    }
}

fn octets<const N: usize>(value: &[u8]) -> Result<Digest<N>, Malformed> {
    let bytes = der::content(der::OCTET_STRING, value)?;
    let wrong = |_| Malformed::Length { what: "field of the SGX extension", expected: N, found: bytes.len() };
    bytes.try_into().map(Digest).map_err(wrong)
}

/// A non-negative INTEGER below 65536.
fn short_integer(value: &[u8]) -> Result<u16, Malformed> {
    match der::content(der::INTEGER, value)? {
        [low @ 0..=0x7f] | [0, low @ 0x80..=0xff] => Ok(u16::from(*low)),
        [high @ 1..=0x7f, low] | [0, high @ 0x80..=0xff, low] => Ok(u16::from_be_bytes([*high, *low])),
        other => Err(unexpected("a number of at most 16 bits", other)),
    }
}

fn enumerated(value: &[u8]) -> Result<u8, Malformed> {
    match der::content(ENUMERATED, value)? {
        [small @ 0..=0x7f] => Ok(*small),
        other => Err(unexpected("a number below 128", other)),
    }
}

/// DER has one byte for true.
fn boolean(value: &[u8]) -> Result<bool, Malformed> {
    match der::content(BOOLEAN, value)? {
        [0] => Ok(false),
        [0xff] => Ok(true),
        other => Err(unexpected("TRUE or FALSE", other)),
    }
}

fn unexpected(expected: &'static str, found: &[u8]) -> Malformed {
    let found = hex::encode(found.iter().take(32).copied().collect::<Vec<u8>>());
    Malformed::Value { what: "SGX extension", expected, found }
}

/// 1.2.840.113741.1.13.1, without tag and length; the arcs of its fields follow.
const SGX: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf8, 0x4d, 0x01, 0x0d, 0x01];
const TCB: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf8, 0x4d, 0x01, 0x0d, 0x01, 0x02];
const CONFIGURATION: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf8, 0x4d, 0x01, 0x0d, 0x01, 0x07];
const BOOLEAN: u8 = 0x01;
const ENUMERATED: u8 = 0x0a;
