//! The record of one decision: what a verifier signs and keeps.
//!
//! Certificates, lists, documents and the policy stand in it by their SHA-256. A record is read back only from its one
//! encoding, and becomes a [`Bundle`] only with the very objects that it names.
//!
//! Untrusted: all of it; who signed it is asked before.

use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};

use super::{BadBundle, Bundle, other};
use crate::{Appraisal, Challenge, Crypto, Digest, Endorsements, OfferedKey, Platform, Standing, tpm};

#[derive(Debug, Encode, Decode)]
pub(super) struct Record {
    #[n(0)]
    format: String,
    #[n(1)]
    request: String,
    #[n(2)]
    verifier: String,
    #[n(3)]
    platform: Platform,
    #[cbor(n(4), with = "minicbor::bytes")]
    evidence: Vec<u8>,
    #[n(5)]
    certificates: Vec<Digest<32>>,
    #[n(6)]
    revocation_lists: Vec<Digest<32>>,
    #[n(7)]
    documents: Vec<Digest<32>>,
    #[n(8)]
    attestation_keys: Vec<ByteVec>,
    #[n(9)]
    challenge: Challenge,
    #[n(10)]
    offered: OfferedKey,
    #[n(11)]
    policy: Digest<32>,
    #[n(12)]
    standing: Option<Standing>,
    #[n(13)]
    appraisal: Appraisal,
}

impl Record {
    pub(super) fn of(bundle: &Bundle, crypto: &dyn Crypto) -> Self {
        let names = |objects: &[Vec<u8>]| objects.iter().map(|object| crypto.sha256(&[object])).collect();
        Self {
            format: Bundle::FORMAT.to_owned(),
            request: bundle.request.clone(),
            verifier: bundle.verifier.clone(),
            platform: bundle.platform,
            evidence: bundle.evidence.clone(),
            certificates: names(&bundle.endorsements.certificates),
            revocation_lists: names(&bundle.endorsements.revocation_lists),
            documents: names(&bundle.endorsements.documents),
            attestation_keys: bundle
                .attestation_keys
                .iter()
                .map(|key| key.as_bytes().to_vec().into())
                .collect(),
            challenge: bundle.challenge.again(),
            offered: bundle.offered.clone(),
            policy: crypto.sha256(&[bundle.policy.as_bytes()]),
            standing: bundle.standing.clone(),
            appraisal: bundle.appraisal.clone(),
        }
    }

    pub(super) fn to_cbor(&self) -> Result<Vec<u8>, BadBundle> {
        minicbor::to_vec(self).map_err(|error| BadBundle::Content(error.to_string()))
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self, BadBundle> {
        if let Some(what) = other::what(bytes) {
            return Err(BadBundle::NoDecision(what));
        }
        let mut decoder = minicbor::Decoder::new(bytes);
        let record: Self = decoder.decode().map_err(|error| BadBundle::Content(error.to_string()))?;
        if record.format != Bundle::FORMAT {
            return Err(BadBundle::Format(record.format));
        }
        // What does not encode to the same bytes has a second reading, or something after its end.
        if record.to_cbor()? != bytes {
            return Err(BadBundle::Content("not the deterministic encoding".to_owned()));
        }
        Ok(record)
    }

    /// The digests of all objects, in the order of [`Bundle::objects`].
    pub(super) fn references(&self) -> Vec<Digest<32>> {
        let kinds = [&self.certificates, &self.revocation_lists, &self.documents];
        kinds.into_iter().flatten().copied().chain([self.policy]).collect()
    }

    /// The whole bundle, if these are the objects that the record names, in its order.
    pub(super) fn with(self, objects: &[ByteVec], crypto: &dyn Crypto) -> Result<Bundle, BadBundle> {
        let expected = self.references();
        let found: Vec<Digest<32>> = objects.iter().map(|object| crypto.sha256(&[object])).collect();
        if let Some(missing) = expected.iter().find(|name| !found.contains(name)) {
            return Err(BadBundle::Missing(*missing));
        }
        if expected != found {
            return Err(BadBundle::Objects { expected: expected.len(), found: found.len() });
        }
        let mut objects = objects.iter().map(|object| object.to_vec());
        let mut take = |names: &[Digest<32>]| objects.by_ref().take(names.len()).collect();
        let endorsements = Endorsements {
            certificates: take(&self.certificates),
            revocation_lists: take(&self.revocation_lists),
            documents: take(&self.documents),
        };
        let policy = String::from_utf8(objects.next().unwrap_or_default());
        let keys = self.attestation_keys.iter().map(|name| tpm::Name::from_bytes(name));
        Ok(Bundle {
            request: self.request,
            verifier: self.verifier,
            platform: self.platform,
            evidence: self.evidence,
            endorsements,
            attestation_keys: keys.collect::<Result<_, _>>()?,
            challenge: self.challenge,
            offered: self.offered,
            policy: policy.map_err(|error| BadBundle::Content(format!("policy: {error}")))?,
            standing: self.standing,
            appraisal: self.appraisal,
        })
    }
}
