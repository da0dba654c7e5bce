//! What lies before a judge: endorsements, each with its digest.
//!
//! The digest is computed once, or known from the store; records, caches and the store speak of objects by it.

use attest::collateral::Kind;
use attest::crypto::AwsLcRs;
use attest::{Crypto, Digest, Endorsements};

/// Endorsements with their names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bag {
    endorsements: Endorsements,
    certificates: Vec<Digest<32>>,
    lists: Vec<Digest<32>>,
    documents: Vec<Digest<32>>,
}

impl Bag {
    /// What a client brought, in its order.
    pub(crate) fn of(endorsements: Endorsements) -> Self {
        let names = |objects: &[Vec<u8>]| objects.iter().map(|object| AwsLcRs.sha256(&[object])).collect();
        Self {
            certificates: names(&endorsements.certificates),
            lists: names(&endorsements.revocation_lists),
            documents: names(&endorsements.documents),
            endorsements,
        }
    }

    /// Adds what is in store, unless it is here.
    pub(crate) fn add(&mut self, kind: Kind, name: Digest<32>, object: &[u8]) {
        let names = match kind {
            Kind::Crl | Kind::RootCrl | Kind::PckCrl => &mut self.lists,
            Kind::TcbInfo | Kind::QeIdentity => &mut self.documents,
            Kind::Vek | Kind::Issuer | _ => &mut self.certificates,
        };
        if !names.contains(&name) {
            names.push(name);
            kind.put(object.to_vec(), &mut self.endorsements);
        }
    }

    pub(crate) fn endorsements(&self) -> &Endorsements {
        &self.endorsements
    }

    /// The digests, in the order of [`attest::Bundle::objects`].
    pub(crate) fn names(&self) -> impl Iterator<Item = Digest<32>> {
        [&self.certificates, &self.lists, &self.documents].into_iter().flatten().copied()
    }

    /// The objects with their digests.
    pub(crate) fn named(&self) -> impl Iterator<Item = (Digest<32>, &[u8])> {
        let objects = self.endorsements.kinds().into_iter().flatten().map(Vec::as_slice);
        self.names().zip(objects)
    }
}
