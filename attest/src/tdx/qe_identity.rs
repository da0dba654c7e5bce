//! QE identity: which quoting enclave is Intel's, and the enclave's own report that is held against it.
//!
//! Structure: Intel PCS API v4, "Get TDX QE Identity", version 2. The report is an SGX report
//! (`sgx_report_body_t`, 384 bytes) that the platform's certified key signed; its report data is the hash of
//! the attestation key. Masks are applied to the bytes in memory order.
//!
//! Untrusted: the report until its signature was checked; the identity until [`super::documents`] has.

use serde::Deserialize;

use crate::bytes::{Malformed, Reader};
use crate::check::Checks;
use crate::{Crypto, Digest, UnixTime, Window};

use super::quote::QeEvidence;
use super::report::Svns;
use super::tcb_info::{Judgement, SvnLevel};

/// What Intel says of its quoting enclave for TDs.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct QeIdentity {
    issue_date: UnixTime,
    next_update: UnixTime,
    pub(super) tcb_evaluation_data_number: u32,
    miscselect: Digest<4>,
    miscselect_mask: Digest<4>,
    attributes: Digest<16>,
    attributes_mask: Digest<16>,
    mrsigner: Digest<32>,
    isvprodid: u16,
    tcb_levels: Vec<SvnLevel>,
}

/// What the quoting enclave's report says of it.
#[derive(Clone, Debug, Eq, PartialEq, serde::Serialize)]
pub struct QeReport {
    /// The processor's security versions.
    pub cpu_svn: Svns,
    /// Extended SSA features.
    pub miscselect: Digest<4>,
    /// SGX attributes: flags and XFRM.
    pub attributes: Digest<16>,
    /// The enclave's code.
    pub mrenclave: Digest<32>,
    /// Who signed the enclave.
    pub mrsigner: Digest<32>,
    /// Which product of the signer it is.
    pub isvprodid: u16,
    /// The enclave's security version.
    pub isvsvn: u16,
    /// SHA-256 of attestation key and authentication data, then zeros.
    #[serde(skip)]
    pub(super) report_data: Digest<64>,
}

impl QeReport {
    /// Takes the report apart.
    pub(super) fn parse(bytes: &[u8; 384]) -> Result<Self, Malformed> {
        let mut r = Reader::new(bytes);
        let (cpu_svn, miscselect) = (Svns(r.array()?), Digest(r.array()?)); // 0, 16
        r.take(28)?; // reserved, with the extended product id
        let (attributes, mrenclave) = (Digest(r.array()?), Digest(r.array()?)); // 48, 64
        r.take(32)?;
        let mrsigner = Digest(r.array()?); // 128
        r.take(96)?; // reserved, with the configuration id
        let (isvprodid, isvsvn) = (r.u16_le()?, r.u16_le()?); // 256, 258
        r.take(60)?;
        let report_data = Digest(r.array()?); // 320
        r.finish()?;
        Ok(Self { cpu_svn, miscselect, attributes, mrenclave, mrsigner, isvprodid, isvsvn, report_data })
    }

    /// Whether the attestation key is the one that this enclave made.
    pub(super) fn binds_key(&self, evidence: &QeEvidence<'_>, crypto: &dyn Crypto, checks: &mut Checks) {
        let digest = crypto.sha256(&[evidence.attestation_key, evidence.auth_data]);
        let mut expected = [0; 64];
        let (hash, _zeros) = expected.split_at_mut(32);
        hash.copy_from_slice(&digest.0);
        let expected = Digest(expected);
        let bound = self.report_data == expected;
        checks.ask("tdx.qe.key", bound, expected.to_string(), self.report_data.to_string());
    }
}

impl QeIdentity {
    /// From issueDate to nextUpdate.
    pub(super) fn window(&self) -> Window {
        Window { from: self.issue_date, until: self.next_update }
    }

    /// Puts the levels in the order in which they are tried.
    pub(super) fn ordered(mut self) -> Self {
        SvnLevel::order(&mut self.tcb_levels);
        self
    }

    /// Holds a report against this identity, and gives Intel's word for its version.
    pub(super) fn judge(&self, report: &QeReport, checks: &mut Checks) -> Option<Judgement> {
        let (signer, found) = (self.mrsigner, report.mrsigner);
        checks.ask("tdx.qe.mrsigner", signer == found, signer.to_string(), found.to_string());
        let (product, found) = (self.isvprodid, report.isvprodid);
        checks.ask("tdx.qe.isvprodid", product == found, product.to_string(), found.to_string());
        masked("tdx.qe.attributes", report.attributes, self.attributes_mask, self.attributes, checks);
        masked("tdx.qe.miscselect", report.miscselect, self.miscselect_mask, self.miscselect, checks);
        let level = SvnLevel::met(&self.tcb_levels, report.isvsvn);
        let found = match &level {
            Some(level) => format!("version {}: {level}", report.isvsvn),
            None => format!("version {} is below all levels", report.isvsvn),
        };
        checks.ask("tdx.qe.level", level.is_some(), "a level that the enclave meets", found);
        level
    }
}

fn masked<const N: usize>(
    id: &str,
    found: Digest<N>,
    mask: Digest<N>,
    expected: Digest<N>,
    checks: &mut Checks,
) {
    let mut seen = found;
    for (byte, mask) in seen.0.iter_mut().zip(mask.0) {
        *byte &= mask;
    }
    checks.ask(id, seen == expected, format!("{expected} under mask {mask}"), found.to_string());
}
