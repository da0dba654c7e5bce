//! One genuine report with all that it is judged by, and the ways to judge it.

use std::hint::black_box;

use attest::crypto::AwsLcRs;
use attest::{
    Challenge, Claims, Context, Crypto, Endorsements, Evidence, Kem, OfferedKey, Platform, Policy, Prepared,
    Question, Revocation, Transcript, TrustAnchors, UnixTime, Verified, decide,
};
use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED, UnparsedPublicKey};
use sev::certs::snp::{Chain, Verifiable};
use sev::firmware::guest::AttestationReport;
use sev::parser::ByteParser;
use simulator::snp::{Chip, EPOCH, Product};

pub(crate) struct Subject {
    report: Vec<u8>,
    point: Vec<u8>,
    signature: Vec<u8>,
    endorsements: Endorsements,
    anchors: TrustAnchors,
    prepared: Prepared,
    claims: Verified<Claims>,
    policy: Policy,
    sev: Chain,
}

impl Subject {
    pub(crate) fn new() -> Self {
        let chip = Chip::new(1, Product::Genoa);
        let chain = chip.chain();
        let transcript = Transcript { nonce: &NONCE, context: CONTEXT, key: &key() };
        let data = transcript.caller_data(&AwsLcRs, Platform::SevSnp);
        let report = chip.report().report_data(data.try_into().unwrap()).sign();
        let endorsements = Endorsements {
            certificates: vec![chain.vcek.clone(), chain.ask.clone()],
            revocation_lists: vec![chip.crl().der()],
            ..Endorsements::default()
        };
        let anchors = TrustAnchors::insecure_simulated(std::slice::from_ref(&chain.ark)).unwrap();
        let evidence = Evidence::parse(Platform::SevSnp, &report).unwrap();
        let prepared =
            endorsements.prepare(&AwsLcRs, &evidence, &anchors, Revocation::Required, NOW).unwrap();
        let claims = evidence.verify(&AwsLcRs, &prepared, NOW).unwrap();
        let number = |at: usize| report[at..at + 48].iter().rev().copied().collect::<Vec<u8>>();
        Self {
            signature: [number(0x2a0), number(0x2e8)].concat(),
            point: point(&chain.vcek),
            policy: Policy::parse(&AwsLcRs, include_str!("policy.toml")).unwrap(),
            sev: Chain::from_der(&chain.ark, &chain.ask, &chain.vcek).unwrap(),
            endorsements,
            anchors,
            prepared,
            claims,
            report,
        }
    }

    /// What no verifier can leave out.
    pub(crate) fn bare_signature(&self) {
        let key = UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, &self.point);
        key.verify(black_box(&self.report[..SIGNED]), &self.signature).unwrap();
    }

    /// With the VCEK that was verified before.
    pub(crate) fn warm(&self, crypto: &dyn Crypto) {
        black_box(self.parsed().verify(crypto, &self.prepared, NOW).unwrap());
    }

    /// Everything: chain, dates, revocation list, report.
    pub(crate) fn cold(&self, crypto: &dyn Crypto) {
        let (evidence, required) = (self.parsed(), Revocation::Required);
        let prepared = self.endorsements.prepare(crypto, &evidence, &self.anchors, required, NOW).unwrap();
        black_box(evidence.verify(crypto, &prepared, NOW).unwrap());
    }

    /// Warm, with the challenge redeemed and the policy asked.
    pub(crate) fn decision(&self) {
        let evidence = self.parsed();
        let question = Question { evidence: &evidence, challenge: challenge(), offered: key() };
        let context = Context { crypto: &AwsLcRs, policy: &self.policy, standing: None };
        black_box(decide(question, Ok(&self.prepared), context, NOW).unwrap().unwrap());
    }

    /// The policy alone, on claims that were verified before.
    pub(crate) fn appraisal(&self) {
        let answer = challenge().redeem(&AwsLcRs, key(), &self.claims, NOW);
        black_box(self.policy.appraise(black_box(&self.claims), answer, NOW).unwrap());
    }

    /// Three signatures, the TCB and the chip id; no dates and no revocation list.
    pub(crate) fn by_sev(&self) {
        let report = AttestationReport::from_bytes(black_box(&self.report)).unwrap();
        (&self.sev, &report).verify().unwrap();
    }

    fn parsed(&self) -> Evidence<'_> {
        Evidence::parse(Platform::SevSnp, black_box(&self.report)).unwrap()
    }
}

/// The public key in a VCEK: the only uncompressed P-384 point with its header.
fn point(vcek: &[u8]) -> Vec<u8> {
    let header = [0x03, 0x62, 0x00, 0x04];
    let at = vcek.windows(4).position(|bytes| bytes == header).unwrap() + 3;
    vcek[at..at + 97].to_vec()
}

fn challenge() -> Challenge {
    Challenge { nonce: NONCE, context: CONTEXT.to_owned(), expires: NOW.plus(60), answered: false }
}

pub(crate) fn key() -> OfferedKey {
    OfferedKey { kem: Kem::X25519, public: vec![9; 32] }
}

pub(crate) const NONCE: [u8; 32] = [7; 32];
pub(crate) const CONTEXT: &str = "benchmark";
const NOW: UnixTime = UnixTime(EPOCH);
/// Bytes of a report that the signature covers.
const SIGNED: usize = 0x2a0;
