//! The Merkle tree of RFC 6962, and its right edge.
//!
//! Leaves are hashed behind a zero byte, inner nodes behind a one, so that no node passes for a leaf. To append,
//! only the roots of the complete subtrees are needed: [`Frontier`] holds them, one for each bit of the size.
//!
//! Untrusted: an encoded frontier. That it has the right shape says nothing of its hashes.

use crate::{Crypto, Digest};

/// The hash of a leaf.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct LeafHash(pub Digest<32>);

/// The size and the root of a tree: all that a checkpoint says.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, serde::Serialize)]
pub struct Head {
    /// How many leaves it has.
    pub size: u64,
    /// The Merkle tree hash over them.
    pub root: Digest<32>,
}

/// The hash of an entry as a leaf (RFC 6962, section 2.1).
#[must_use]
pub fn leaf_hash(crypto: &dyn Crypto, entry: &[u8]) -> LeafHash {
    LeafHash(crypto.sha256(&[&[0], entry]))
}

/// The hash of an inner node (RFC 6962, section 2.1).
pub(super) fn node_hash(crypto: &dyn Crypto, left: &Digest<32>, right: &Digest<32>) -> Digest<32> {
    crypto.sha256(&[&[1], &left.0, &right.0])
}

/// The root over complete subtrees, largest first: nothing hashes like the empty text.
pub(super) fn root_over(
    crypto: &dyn Crypto,
    peaks: impl DoubleEndedIterator<Item = Digest<32>>,
) -> Digest<32> {
    peaks.rev().reduce(|right, left| node_hash(crypto, &left, &right)).unwrap_or_else(|| crypto.sha256(&[]))
}

/// The right edge of a tree: enough to append and to know the root.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Frontier {
    size: u64,
    /// The roots of the complete subtrees, largest first: one for each bit that is set in `size`.
    peaks: Vec<Digest<32>>,
}

impl Frontier {
    /// Appends a leaf.
    pub fn append(&mut self, crypto: &dyn Crypto, leaf: LeafHash) {
        let mut node = leaf.0;
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.peaks.pop() {
                node = node_hash(crypto, &left, &node);
            }
        }
        self.peaks.push(node);
        self.size = self.size.saturating_add(1);
    }

    /// How many leaves were appended.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Size and root.
    #[must_use]
    pub fn head(&self, crypto: &dyn Crypto) -> Head {
        Head { size: self.size, root: root_over(crypto, self.peaks.iter().copied()) }
    }

    /// The size, big-endian, and the hashes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let hashes = self.peaks.iter().flat_map(|peak| peak.0);
        self.size.to_be_bytes().into_iter().chain(hashes).collect()
    }

    /// Reads what [`Frontier::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BadFrontier> {
        let short = BadFrontier { expected: 8, found: bytes.len() };
        let (size, hashes) = bytes.split_first_chunk::<8>().ok_or(short)?;
        let size = u64::from_be_bytes(*size);
        let (peaks, rest) = hashes.as_chunks::<32>();
        let count = usize::try_from(size.count_ones()).unwrap_or(usize::MAX);
        if peaks.len() != count || !rest.is_empty() {
            let expected = count.saturating_mul(32).saturating_add(8);
            return Err(BadFrontier { expected, found: bytes.len() });
        }
        Ok(Self { size, peaks: peaks.iter().copied().map(Digest).collect() })
    }
}

/// Bytes of another length than the edge of a tree of that size.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("expected the {expected} bytes of a tree's right edge, found {found}")]
pub struct BadFrontier {
    expected: usize,
    found: usize,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::AwsLcRs;

    /// The leaves and roots of the test vectors that came with the first implementation of RFC 6962.
    const LEAVES: [&str; 8] =
        ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
    const ROOTS: [&str; 9] = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];

    #[test]
    fn the_published_trees_have_their_published_roots() {
        let mut frontier = Frontier::default();
        assert_eq!(frontier.head(&AwsLcRs).root.to_string(), ROOTS[0]);
        for (leaf, root) in LEAVES.iter().zip(&ROOTS[1..]) {
            frontier.append(&AwsLcRs, leaf_hash(&AwsLcRs, &hex::decode(leaf).unwrap()));
            assert_eq!(frontier.head(&AwsLcRs).root.to_string(), *root);
            assert_eq!(Frontier::from_bytes(&frontier.to_bytes()), Ok(frontier.clone()));
        }
    }

    #[test]
    fn an_edge_of_another_length_is_refused() {
        let mut frontier = Frontier::default();
        (0..3).for_each(|_| frontier.append(&AwsLcRs, leaf_hash(&AwsLcRs, b"")));
        let bytes = frontier.to_bytes();
        assert_eq!(Frontier::from_bytes(&bytes[..7]), Err(BadFrontier { expected: 8, found: 7 }));
        assert_eq!(Frontier::from_bytes(&bytes[..71]), Err(BadFrontier { expected: 72, found: 71 }));
        let long = [bytes.as_slice(), &[0]].concat();
        assert_eq!(Frontier::from_bytes(&long), Err(BadFrontier { expected: 72, found: 73 }));
    }
}
