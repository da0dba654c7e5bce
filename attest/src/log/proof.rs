//! Proofs: that a leaf is in a tree, and that a tree grew out of an older one.
//!
//! A [`Proof`] is a list of hashes as in RFC 6962, section 2.1. It is made out of the hashes of complete
//! subtrees, which [`Nodes`] looks up (in tiles, usually), and checked by the algorithms of RFC 9162,
//! sections 2.1.3.2 and 2.1.4.2.
//!
//! Trusted: the heads that a proof is checked against, as far as the caller trusts them. Untrusted: proofs.

use super::tree::{Head, LeafHash, node_hash, root_over};
use crate::{Crypto, Digest};

/// The hashes that prove something about a tree, from the leaves upwards.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Proof(pub Vec<Digest<32>>);

/// Where the root of a complete subtree is looked up: its height, and its place among those of that height.
/// One of height `h` and place `i` covers the leaves from `i << h`, 2 to the power of `h` of them.
pub type Nodes<'n, E> = dyn FnMut(u8, u64) -> Result<Digest<32>, E> + 'n;

/// Proves that the leaf at `index` is in the tree of this size. `None` if it cannot be.
pub fn inclusion<E>(
    crypto: &dyn Crypto,
    index: u64,
    size: u64,
    nodes: &mut Nodes<'_, E>,
) -> Result<Option<Proof>, E> {
    if index >= size {
        return Ok(None);
    }
    let mut range = Range { start: 0, end: size };
    let mut hashes = Vec::new();
    while let Some((left, right)) = range.halves() {
        let (inside, beside) = if index < left.end { (left, right) } else { (right, left) };
        hashes.push(beside.hash(crypto, nodes)?);
        range = inside;
    }
    hashes.reverse();
    Ok(Some(Proof(hashes)))
}

/// Proves that the tree of size `new` grew out of the one of size `old`. `None` if it is smaller.
pub fn consistency<E>(
    crypto: &dyn Crypto,
    old: u64,
    new: u64,
    nodes: &mut Nodes<'_, E>,
) -> Result<Option<Proof>, E> {
    if old > new {
        return Ok(None);
    }
    let mut hashes = Vec::new();
    let mut range = Range { start: 0, end: new };
    let mut is_old_root = true;
    // Nothing grows into everything, and a tree into itself, without proof.
    while old != 0 && range.end != old {
        let Some((left, right)) = range.halves() else { break };
        if old <= left.end {
            hashes.push(right.hash(crypto, nodes)?);
            range = left;
        } else {
            hashes.push(left.hash(crypto, nodes)?);
            range = right;
            is_old_root = false;
        }
    }
    if !is_old_root {
        hashes.push(range.hash(crypto, nodes)?);
    }
    hashes.reverse();
    Ok(Some(Proof(hashes)))
}

/// Leaves in a row that are a subtree of some tree: `start` is a multiple of the largest power of two in it.
#[derive(Clone, Copy, Debug)]
struct Range {
    start: u64,
    end: u64,
}

impl Range {
    fn len(self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// The largest power of two smaller than the length goes left, the rest right (RFC 6962, section 2.1).
    fn halves(self) -> Option<(Self, Self)> {
        let below = self.len().checked_sub(1)?;
        let height = below.checked_ilog2()?;
        let middle = self.start.saturating_add(1_u64.checked_shl(height)?);
        Some((Self { start: self.start, end: middle }, Self { start: middle, end: self.end }))
    }

    /// The Merkle tree hash over these leaves.
    fn hash<E>(self, crypto: &dyn Crypto, nodes: &mut Nodes<'_, E>) -> Result<Digest<32>, E> {
        let mut peaks = Vec::new();
        let mut start = self.start;
        while let Some(height) = self.end.saturating_sub(start).checked_ilog2() {
            // An ilog2 is at most 63.
            let place = start.checked_shr(height).unwrap_or(0);
            peaks.push(nodes(u8::try_from(height).unwrap_or(u8::MAX), place)?);
            start = start.saturating_add(1_u64.checked_shl(height).unwrap_or(u64::MAX));
        }
        Ok(root_over(crypto, peaks.into_iter()))
    }
}

impl Proof {
    /// Checks that `leaf` is at `index` in the tree of this head (RFC 9162, section 2.1.3.2).
    pub fn includes(
        &self,
        crypto: &dyn Crypto,
        leaf: LeafHash,
        index: u64,
        head: &Head,
    ) -> Result<(), BadProof> {
        let Some(mut last) = head.size.checked_sub(1).filter(|last| index <= *last) else {
            return Err(BadProof::Outside { index, size: head.size });
        };
        let mut first = index;
        let mut root = leaf.0;
        for hash in &self.0 {
            if last == 0 {
                return Err(BadProof::Long { found: self.0.len() });
            }
            if is_odd(first) || first == last {
                root = node_hash(crypto, hash, &root);
                (first, last) = lift_to_left_child(first, last);
            } else {
                root = node_hash(crypto, &root, hash);
            }
            (first, last) = (first >> 1, last >> 1);
        }
        if last != 0 {
            return Err(BadProof::Short { found: self.0.len() });
        }
        same_root(head.root, root)
    }

    /// Checks that the tree of head `new` grew out of the one of head `old` (RFC 9162, section 2.1.4.2).
    pub fn extends(&self, crypto: &dyn Crypto, old: &Head, new: &Head) -> Result<(), BadProof> {
        if old.size > new.size {
            return Err(BadProof::Shrunken { old: old.size, new: new.size });
        }
        if old.size == new.size || old.size == 0 {
            if !self.0.is_empty() {
                return Err(BadProof::Long { found: self.0.len() });
            }
            let expected = if old.size == 0 { crypto.sha256(&[]) } else { new.root };
            return if expected == old.root { Ok(()) } else { Err(fork(old, expected)) };
        }
        let (from_old, from_new) = self.both_roots(crypto, old, new)?;
        if from_old != old.root {
            return Err(fork(old, from_old));
        }
        same_root(new.root, from_new)
    }

    /// The roots of the older and the newer tree that follow from this proof.
    fn both_roots(
        &self,
        crypto: &dyn Crypto,
        old: &Head,
        new: &Head,
    ) -> Result<(Digest<32>, Digest<32>), BadProof> {
        let short = BadProof::Short { found: self.0.len() };
        // A complete subtree is its own first hash and need not be sent.
        let (seed, hashes) = if old.size.is_power_of_two() {
            (&old.root, self.0.as_slice())
        } else {
            self.0.split_first().ok_or_else(|| short.clone())?
        };
        let (mut first, mut last) = (old.size.saturating_sub(1), new.size.saturating_sub(1));
        let skipped = first.trailing_ones();
        (first, last) = (first >> skipped, last >> skipped);
        let (mut old_root, mut new_root) = (*seed, *seed);
        for hash in hashes {
            if last == 0 {
                return Err(BadProof::Long { found: self.0.len() });
            }
            if is_odd(first) || first == last {
                old_root = node_hash(crypto, hash, &old_root);
                new_root = node_hash(crypto, hash, &new_root);
                (first, last) = lift_to_left_child(first, last);
            } else {
                new_root = node_hash(crypto, &new_root, hash);
            }
            (first, last) = (first >> 1, last >> 1);
        }
        if last == 0 { Ok((old_root, new_root)) } else { Err(short) }
    }
}

fn is_odd(number: u64) -> bool {
    number & 1 == 1
}

/// Goes up until `first` is a left child's parent's place: a node without a right sibling is its own parent.
fn lift_to_left_child(first: u64, last: u64) -> (u64, u64) {
    if first == 0 || is_odd(first) {
        return (first, last);
    }
    let up = first.trailing_zeros();
    (first >> up, last >> up)
}

fn fork(old: &Head, found: Digest<32>) -> BadProof {
    BadProof::Fork { size: old.size, expected: old.root, found }
}

fn same_root(expected: Digest<32>, found: Digest<32>) -> Result<(), BadProof> {
    if expected == found { Ok(()) } else { Err(BadProof::Root { expected, found }) }
}

/// Why a proof proves nothing.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BadProof {
    /// No tree of that size has such a leaf.
    #[error("expected a leaf of a tree of size {size}, found index {index}")]
    Outside {
        /// The index.
        index: u64,
        /// The size.
        size: u64,
    },
    /// Hashes are missing.
    #[error("the proof ends before the root: {found} hashes are too few")]
    Short {
        /// How many there are.
        found: usize,
    },
    /// Hashes are left over.
    #[error("the proof goes on behind the root: {found} hashes are too many")]
    Long {
        /// How many there are.
        found: usize,
    },
    /// The hashes lead to another root.
    #[error("the proof leads to another root: expected {expected}, found {found}")]
    Root {
        /// The root of the head.
        expected: Digest<32>,
        /// The root that follows.
        found: Digest<32>,
    },
    /// The newer tree is smaller.
    #[error("the tree shrank: expected at least {old} leaves, found {new}")]
    Shrunken {
        /// The size of the older one.
        old: u64,
        /// The size of the newer one.
        new: u64,
    },
    /// The newer tree does not contain the older one.
    #[error("the tree of size {size} was another one: expected root {expected}, found {found}")]
    Fork {
        /// The size of the older one.
        size: u64,
        /// Its root.
        expected: Digest<32>,
        /// The root that the newer one has there.
        found: Digest<32>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::AwsLcRs;
    use crate::log::tree::{Frontier, leaf_hash};
    use std::convert::Infallible;

    const LARGEST: u64 = 300;

    fn leaf(index: u64) -> LeafHash {
        leaf_hash(&AwsLcRs, &index.to_be_bytes())
    }

    /// Every hash of every complete subtree, the slow way.
    struct Tree(Vec<Vec<Digest<32>>>);

    impl Tree {
        fn new(size: u64) -> Self {
            let mut levels = vec![(0..size).map(|index| leaf(index).0).collect::<Vec<_>>()];
            while levels.last().unwrap().len() > 1 {
                let below = levels.last().unwrap();
                let above = below.as_chunks::<2>().0.iter().map(|[l, r]| node_hash(&AwsLcRs, l, r)).collect();
                levels.push(above);
            }
            Self(levels)
        }

        fn node(&self, height: u8, place: u64) -> Digest<32> {
            self.0[usize::from(height)][usize::try_from(place).unwrap()]
        }
    }

    fn heads() -> Vec<Head> {
        let mut frontier = Frontier::default();
        let mut heads = vec![frontier.head(&AwsLcRs)];
        for index in 0..LARGEST {
            frontier.append(&AwsLcRs, leaf(index));
            heads.push(frontier.head(&AwsLcRs));
        }
        heads
    }

    fn flipped(proof: &Proof, at: usize) -> Proof {
        let mut other = proof.clone();
        other.0[at].0[at % 32] ^= 1;
        other
    }

    #[test]
    fn every_leaf_of_every_tree_is_proved_and_no_other() {
        let tree = Tree::new(LARGEST);
        for head in heads() {
            for index in 0..head.size {
                let proof =
                    inclusion::<Infallible>(&AwsLcRs, index, head.size, &mut |h, i| Ok(tree.node(h, i)));
                let proof = proof.unwrap().unwrap();
                assert_eq!(proof.includes(&AwsLcRs, leaf(index), index, &head), Ok(()));
                let other = proof.includes(&AwsLcRs, leaf(index + 1), index, &head);
                assert!(matches!(other, Err(BadProof::Root { .. })), "{index} of {}", head.size);
                if index % 37 == 0 {
                    forged_inclusion(&proof, index, &head);
                }
            }
            let none =
                inclusion::<Infallible>(&AwsLcRs, head.size, head.size, &mut |h, i| Ok(tree.node(h, i)));
            assert_eq!(none, Ok(None));
        }
    }

    fn forged_inclusion(proof: &Proof, index: u64, head: &Head) {
        for at in 0..proof.0.len() {
            let forged = flipped(proof, at).includes(&AwsLcRs, leaf(index), index, head);
            assert!(matches!(forged, Err(BadProof::Root { .. })));
        }
        let mut long = proof.clone();
        long.0.push(head.root);
        let found = long.0.len();
        assert_eq!(long.includes(&AwsLcRs, leaf(index), index, head), Err(BadProof::Long { found }));
        let mut short = proof.clone();
        if short.0.pop().is_some() {
            let found = short.0.len();
            assert_eq!(short.includes(&AwsLcRs, leaf(index), index, head), Err(BadProof::Short { found }));
        }
        let (outside, size) = (head.size, head.size);
        let outside = proof.includes(&AwsLcRs, leaf(index), outside, head);
        assert_eq!(outside, Err(BadProof::Outside { index: size, size }));
    }

    #[test]
    fn every_tree_is_proved_to_grow_out_of_every_smaller_one() {
        let tree = Tree::new(LARGEST);
        let heads = heads();
        for new in &heads {
            for old in &heads {
                let proof =
                    consistency::<Infallible>(&AwsLcRs, old.size, new.size, &mut |h, i| Ok(tree.node(h, i)));
                let proof = proof.unwrap();
                let Some(proof) = proof else {
                    let shrunken = BadProof::Shrunken { old: old.size, new: new.size };
                    assert_eq!(Proof::default().extends(&AwsLcRs, old, new), Err(shrunken));
                    continue;
                };
                assert_eq!(proof.extends(&AwsLcRs, old, new), Ok(()), "{} to {}", old.size, new.size);
                if (old.size + new.size) % 23 == 0 {
                    forged_consistency(&proof, old, new);
                }
            }
        }
    }

    fn forged_consistency(proof: &Proof, old: &Head, new: &Head) {
        for at in 0..proof.0.len() {
            let forged = flipped(proof, at).extends(&AwsLcRs, old, new);
            assert!(matches!(forged, Err(BadProof::Fork { .. } | BadProof::Root { .. })), "{forged:?}");
        }
        let other = Head { root: AwsLcRs.sha256(&[b"another"]), ..*old };
        let forged = proof.extends(&AwsLcRs, &other, new);
        assert!(matches!(forged, Err(BadProof::Fork { .. } | BadProof::Root { .. })), "{forged:?}");
        let mut long = proof.clone();
        long.0.push(new.root);
        let found = long.0.len();
        assert_eq!(long.extends(&AwsLcRs, old, new), Err(BadProof::Long { found }));
        let mut short = proof.clone();
        if short.0.pop().is_some() {
            let found = short.0.len();
            assert_eq!(short.extends(&AwsLcRs, old, new), Err(BadProof::Short { found }));
        }
    }

    /// RFC 6962, section 2.1.3: the tree of seven leaves.
    #[test]
    fn the_proofs_of_the_specification_have_its_hashes() {
        let tree = Tree::new(7);
        let node = |height, place| tree.node(height, place);
        let proved = |index| {
            inclusion::<Infallible>(&AwsLcRs, index, 7, &mut |h, i| Ok(node(h, i))).unwrap().unwrap().0
        };
        let leaves = |place| node(0, place);
        let (left, right) = (node(2, 0), node_hash(&AwsLcRs, &node(1, 2), &leaves(6)));
        assert_eq!(proved(0), [leaves(1), node(1, 1), right]);
        assert_eq!(proved(3), [leaves(2), node(1, 0), right]);
        assert_eq!(proved(4), [leaves(5), leaves(6), left]);
        assert_eq!(proved(6), [node(1, 2), left]);
        let grew =
            |old| consistency::<Infallible>(&AwsLcRs, old, 7, &mut |h, i| Ok(node(h, i))).unwrap().unwrap().0;
        assert_eq!(grew(3), [leaves(2), leaves(3), node(1, 0), right]);
        assert_eq!(grew(4), [right]);
        assert_eq!(grew(6), [node(1, 2), leaves(6), left]);
    }

    #[test]
    fn the_largest_tree_needs_no_more_than_sixty_four_hashes() {
        let constant = Digest([7; 32]);
        let proof = inclusion::<Infallible>(&AwsLcRs, u64::MAX - 1, u64::MAX, &mut |_, _| Ok(constant));
        assert_eq!(proof.unwrap().unwrap().0.len(), 63);
        let proof = consistency::<Infallible>(&AwsLcRs, 1, u64::MAX, &mut |_, _| Ok(constant));
        assert_eq!(proof.unwrap().unwrap().0.len(), 64);
    }
}
