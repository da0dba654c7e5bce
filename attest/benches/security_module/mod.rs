//! One genuine document of an enclave, and the ways to judge it.

use std::hint::black_box;

use attest::crypto::AwsLcRs;
use attest::{
    Crypto, Endorsements, Evidence, Platform, Prepared, Revocation, Transcript, TrustAnchors, UnixTime,
};
use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED, UnparsedPublicKey};
use simulator::nitro::{EPOCH, Module, Role};

use crate::subject::{CONTEXT, NONCE, key};

pub(crate) struct Enclave {
    document: Vec<u8>,
    signed: Vec<u8>,
    point: Vec<u8>,
    anchors: TrustAnchors,
    prepared: Prepared,
}

impl Enclave {
    pub(crate) fn new() -> Self {
        let module = Module::enclave(1);
        let transcript = Transcript { nonce: &NONCE, context: CONTEXT, key: &key() };
        let data = transcript.caller_data(&AwsLcRs, Platform::Nitro);
        let builder = module.document().nonce(&NONCE).user_data(&data);
        let document = builder.sign();
        let root = module.certificate(Role::Root).der();
        let anchors = TrustAnchors::insecure_simulated(&[root]).unwrap();
        let evidence = Evidence::parse(Platform::Nitro, &document).unwrap();
        let prepared = prepare(&AwsLcRs, &evidence, &anchors);
        evidence.verify(&AwsLcRs, &prepared, NOW).unwrap();
        Self {
            signed: [b"\x84\x6aSignature1\x44\xa1\x01\x38\x22\x40", &document[7..document.len() - 98]]
                .concat(),
            point: module.key(Role::Leaf).point().to_vec(),
            anchors,
            prepared,
            document,
        }
    }

    /// What no verifier can leave out.
    pub(crate) fn bare_signature(&self) {
        let key = UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, &self.point);
        key.verify(black_box(&self.signed), &self.document[self.document.len() - 96..]).unwrap();
    }

    /// With the leaf that was verified before.
    pub(crate) fn warm(&self, crypto: &dyn Crypto) {
        black_box(self.parsed().verify(crypto, &self.prepared, NOW).unwrap());
    }

    /// Everything: four certificates and the document.
    pub(crate) fn cold(&self, crypto: &dyn Crypto) {
        let evidence = self.parsed();
        let prepared = prepare(crypto, &evidence, &self.anchors);
        black_box(evidence.verify(crypto, &prepared, NOW).unwrap());
    }

    fn parsed(&self) -> Evidence<'_> {
        Evidence::parse(Platform::Nitro, black_box(&self.document)).unwrap()
    }
}

fn prepare(crypto: &dyn Crypto, evidence: &Evidence<'_>, anchors: &TrustAnchors) -> Prepared {
    let bag = Endorsements::default();
    bag.prepare(crypto, evidence, anchors, Revocation::Required, NOW).unwrap()
}

const NOW: UnixTime = UnixTime(EPOCH);
