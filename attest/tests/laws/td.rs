//! Cases from simulated TDs.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, OnceLock};

use attest::crypto::AwsLcRs;
use attest::tdx::{self, TcbStatus};
use attest::{Claims, Endorsements, Evidence, Platform, Revocation, TrustAnchors, Unverified};
use simulator::tdx::{Body, Collateral, Platform as Machine, QuoteBuilder, Vendor};

use crate::case::{Asked, Case};
use crate::document::Document;
use crate::silicon::NOW;

/// A quote of a TD on `machine`, changed by `change` before it is signed.
pub(crate) fn td_case(machine: &Machine, change: impl FnOnce(QuoteBuilder) -> QuoteBuilder) -> Case {
    let quote = change(machine.quote().report_data(caller_data()));
    Case {
        name: format!("simulated TD, {} signed bytes", quote.signed_part().len()),
        platform: Platform::Tdx,
        signed: 0..quote.signed_part().len(),
        evidence: quote.sign(),
        endorsements: endorsements(machine),
        strangers: (endorsements(&stranger()), anchors(Vendor::Simulated)),
        anchors: anchors(Vendor::Simulated),
        other_anchors: anchors(Vendor::Other),
        root: machine.root().der(),
        revocation: Revocation::Required,
        now: NOW,
        asked: Asked::usual(NOW),
        policy: Document::admitting_tds(),
    }
}

/// Quotes of every version and body, under either authority, of modules of either generation.
pub(crate) fn td_cases() -> Vec<Case> {
    let (machine, single) = (Machine::new(1), Machine::new(2).with_ca(simulator::tdx::Ca::Processor));
    vec![
        td_case(&machine, |quote| quote),
        td_case(&machine, |quote| quote.version(5)),
        td_case(&machine, |quote| quote.body(Body::Td15)),
        td_case(&machine, |quote| quote.body(Body::Td15Ex)),
        td_case(&single, |quote| {
            quote.tee_tcb_svn(OLD_MODULE).chain_without_nul(&single.chain()).qe_auth(&[])
        }),
    ]
}

/// The TCB of a TD under a TDX 1.0 module on the current platform.
pub(crate) const OLD_MODULE: [u8; 16] = [5, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// What a verifier is given: the quote brings PCK, authority and root itself. Kept, for the tests are many.
fn endorsements(machine: &Machine) -> Endorsements {
    static KEPT: LazyLock<Mutex<HashMap<String, Endorsements>>> = LazyLock::new(Mutex::default);
    let issue = || {
        let Collateral { tcb_signing, root_crl, pck_crl, tcb_info, qe_identity, .. } = machine.collateral();
        Endorsements {
            certificates: vec![tcb_signing],
            revocation_lists: vec![root_crl, pck_crl],
            documents: vec![tcb_info, qe_identity],
        }
    };
    KEPT.lock().unwrap().entry(format!("{machine:?}")).or_insert_with(issue).clone()
}

/// A platform of another kind.
fn stranger() -> Machine {
    Machine::new(77).with_fmspc([0x50, 0x80, 0x6f, 0, 0, 0])
}

/// The root of a simulated vendor.
pub(crate) fn anchors(vendor: Vendor) -> TrustAnchors {
    static SIMULATED: OnceLock<TrustAnchors> = OnceLock::new();
    static OTHER: OnceLock<TrustAnchors> = OnceLock::new();
    let root =
        || TrustAnchors::insecure_simulated(&[Machine::new(0).with_vendor(vendor).root().der()]).unwrap();
    match vendor {
        Vendor::Simulated => SIMULATED.get_or_init(root).clone(),
        Vendor::Other => OTHER.get_or_init(root).clone(),
    }
}

/// The usual answer's report data.
pub(crate) fn caller_data() -> [u8; 64] {
    Asked::usual(NOW).caller_data(Platform::Tdx).try_into().unwrap()
}

impl Case {
    /// Another TCB info in place of the genuine one.
    pub(crate) fn tcb_info(mut self, json: Vec<u8>) -> Self {
        self.endorsements.documents[0] = json;
        self
    }

    /// Another QE identity in place of the genuine one.
    pub(crate) fn qe_identity(mut self, json: Vec<u8>) -> Self {
        self.endorsements.documents[1] = json;
        self
    }

    /// Another signer of documents in place of the genuine one.
    pub(crate) fn signer(mut self, der: Vec<u8>) -> Self {
        self.endorsements.certificates[0] = der;
        self
    }

    /// Another list of the root's.
    pub(crate) fn root_list(mut self, der: Vec<u8>) -> Self {
        self.endorsements.revocation_lists[0] = der;
        self
    }

    /// Another list of the authority's for platforms.
    pub(crate) fn pck_list(mut self, der: Vec<u8>) -> Self {
        self.endorsements.revocation_lists[1] = der;
        self
    }

    /// What a genuine quote claims, whatever a policy thinks.
    pub(crate) fn td_claims(&self) -> Result<tdx::Claims, Unverified> {
        let evidence = Evidence::parse(self.platform, &self.evidence).unwrap();
        let prepared = self.prepare(&AwsLcRs, &evidence)?;
        let verified = evidence.verify(&AwsLcRs, &prepared, self.now)?;
        let Claims::Tdx(claims) = verified.claims() else { panic!("{}: not a TD", self.name) };
        Ok(*claims.clone())
    }

    /// Asserts that the quote is genuine, and gives its status.
    #[track_caller]
    pub(crate) fn status(&self) -> TcbStatus {
        let claims = self.td_claims();
        claims.unwrap_or_else(|error| panic!("{}: {error}", self.name)).platform.tcb.status
    }

    /// Asserts that the quote is genuine and has this status.
    #[track_caller]
    pub(crate) fn has_status(&self, status: TcbStatus) {
        assert_eq!(self.status(), status, "{}", self.name);
    }
}
