//! One genuine TD quote with all that it is judged by, the ways to judge it, and what they cost.

use std::hint::black_box;

use attest::crypto::AwsLcRs;
use attest::{
    Challenge, Claims, Context, Crypto, Endorsements, Evidence, Kem, OfferedKey, Platform, Policy, Prepared,
    Question, Revocation, Transcript, TrustAnchors, UnixTime, Verified, decide,
};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use dcap_qvl::QuoteCollateralV3;
use dcap_qvl::verify::QuoteVerifier;
use serde_json::value::RawValue;
use simulator::tdx::{Body, Collateral, EPOCH, pem};

use crate::{measure, row};

/// The rows of the table.
pub(crate) fn rows(rounds: usize, calls: u32) -> Vec<String> {
    let subject = Subject::new();
    let [floor, warm, whole, cold, peer, policy] = measure(
        [
            &|| subject.two_signatures(),
            &|| subject.warm(),
            &|| subject.decision(),
            &|| subject.cold(),
            &|| subject.by_dcap_qvl(),
            &|| subject.appraisal(),
        ],
        rounds,
        calls,
    );
    vec![
        row("two P-256 verifications and hashing", floor, None),
        row("TDX warm (floor: two P-256, hashing)", warm, Some(floor)),
        row("TDX decision, warm (floor: the same)", whole, Some(floor)),
        row("TDX warm (peer: dcap-qvl, whole)", warm, Some(peer)),
        row("TDX cold: collateral, quote (peer: dcap-qvl)", cold, Some(peer)),
        row("TDX policy appraisal (aim: 50 us)", policy, Some(50.0)),
    ]
}

struct Subject {
    quote: Vec<u8>,
    pck: Vec<u8>,
    endorsements: Endorsements,
    anchors: TrustAnchors,
    prepared: Prepared,
    claims: Verified<Claims>,
    policy: Policy,
    qvl: QuoteVerifier,
    collateral: QuoteCollateralV3,
}

impl Subject {
    fn new() -> Self {
        let platform = simulator::tdx::Platform::new(1);
        let transcript = Transcript { nonce: &NONCE, context: CONTEXT, key: &key() };
        let data = transcript.caller_data(&AwsLcRs, Platform::Tdx);
        let quote = platform.quote().body(Body::Td15).report_data(data.try_into().unwrap()).sign();
        let found = platform.collateral();
        let endorsements = Endorsements {
            certificates: vec![found.tcb_signing.clone()],
            revocation_lists: vec![found.root_crl.clone(), found.pck_crl.clone()],
            documents: vec![found.tcb_info.clone(), found.qe_identity.clone()],
        };
        let anchors = TrustAnchors::insecure_simulated(std::slice::from_ref(&found.root)).unwrap();
        let evidence = Evidence::parse(Platform::Tdx, &quote).unwrap();
        let prepared =
            endorsements.prepare(&AwsLcRs, &evidence, &anchors, Revocation::Required, NOW).unwrap();
        let claims = evidence.verify(&AwsLcRs, &prepared, NOW).unwrap();
        Self {
            pck: point(&found.pck),
            policy: Policy::parse(&AwsLcRs, include_str!("policy.toml")).unwrap(),
            qvl: QuoteVerifier::new(found.root.clone()),
            collateral: peers(&found),
            endorsements,
            anchors,
            prepared,
            claims,
            quote,
        }
    }

    /// What a verifier cannot leave out that keeps nothing but the collateral: the quote's signature, the
    /// quoting enclave's, and the hash that ties one to the other.
    fn two_signatures(&self) {
        let quote = black_box(self.quote.as_slice());
        let data = &quote[SIGNED + 4..];
        let (signature, attestation_key) = (&data[..64], &data[64..128]);
        let enclave = &data[134..];
        let attestation = [&[4], attestation_key].concat();
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &attestation);
        key.verify(&quote[..SIGNED], signature).unwrap();
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &self.pck);
        key.verify(&enclave[..384], &enclave[384..448]).unwrap();
        assert_eq!(AwsLcRs.sha256(&[attestation_key, &enclave[450..482]]).0, enclave[320..352]);
    }

    /// With the enclave, the platform and the collateral that were verified before.
    fn warm(&self) {
        black_box(self.parsed().verify(&AwsLcRs, &self.prepared, NOW).unwrap());
    }

    /// Everything: chain, lists, documents, enclave, quote.
    fn cold(&self) {
        let (evidence, required) = (self.parsed(), Revocation::Required);
        let prepared = self.endorsements.prepare(&AwsLcRs, &evidence, &self.anchors, required, NOW).unwrap();
        black_box(evidence.verify(&AwsLcRs, &prepared, NOW).unwrap());
    }

    /// Warm, with the challenge redeemed and the policy asked.
    fn decision(&self) {
        let evidence = self.parsed();
        let question = Question { evidence: &evidence, challenge: challenge(), offered: key() };
        let context = Context { crypto: &AwsLcRs, policy: &self.policy, standing: None };
        black_box(decide(question, Ok(&self.prepared), context, NOW).unwrap().unwrap());
    }

    /// The policy alone, on claims that were verified before.
    fn appraisal(&self) {
        let answer = challenge().redeem(&AwsLcRs, key(), &self.claims, NOW);
        black_box(self.policy.appraise(black_box(&self.claims), answer, NOW).unwrap());
    }

    /// Everything, on ring.
    fn by_dcap_qvl(&self) {
        black_box(self.qvl.verify(black_box(&self.quote), &self.collateral, NOW.0).unwrap());
    }

    fn parsed(&self) -> Evidence<'_> {
        Evidence::parse(Platform::Tdx, black_box(&self.quote)).unwrap()
    }
}

fn peers(found: &Collateral) -> QuoteCollateralV3 {
    let signers = pem(&found.tcb_signing) + &pem(&found.root);
    let (tcb_info, tcb_info_signature) = opened(&found.tcb_info, "tcbInfo");
    let (qe_identity, qe_identity_signature) = opened(&found.qe_identity, "enclaveIdentity");
    QuoteCollateralV3 {
        pck_crl_issuer_chain: pem(&found.ca) + &pem(&found.root),
        root_ca_crl: found.root_crl.clone(),
        pck_crl: found.pck_crl.clone(),
        tcb_info_issuer_chain: signers.clone(),
        tcb_info,
        tcb_info_signature,
        qe_identity_issuer_chain: signers,
        qe_identity,
        qe_identity_signature,
        pck_certificate_chain: None,
    }
}

/// The signed text and the signature of a response.
fn opened(response: &[u8], name: &str) -> (String, Vec<u8>) {
    let members: std::collections::BTreeMap<String, Box<RawValue>> =
        serde_json::from_slice(response).unwrap();
    let signature: String = serde_json::from_str(members["signature"].get()).unwrap();
    (members[name].get().to_owned(), hex::decode(signature).unwrap())
}

/// The public key in a certificate: the only uncompressed P-256 point with its header.
fn point(certificate: &[u8]) -> Vec<u8> {
    let header = [0x03, 0x42, 0x00, 0x04];
    let at = certificate.windows(4).position(|bytes| bytes == header).unwrap() + 3;
    certificate[at..at + 65].to_vec()
}

fn challenge() -> Challenge {
    Challenge { nonce: NONCE, context: CONTEXT.to_owned(), expires: NOW.plus(60), answered: false }
}

fn key() -> OfferedKey {
    OfferedKey { kem: Kem::X25519, public: vec![9; 32] }
}

const NONCE: [u8; 32] = [7; 32];
const CONTEXT: &str = "benchmark";
const NOW: UnixTime = UnixTime(EPOCH);
/// Bytes of a quote of version 5 with a report of TDX 1.5 that the signature covers.
const SIGNED: usize = 48 + 6 + 648;
