//! The verifier: trust anchors and a memory of verified endorsements.
//!
//! Verifying a chain costs four RSA signatures; the verified key is kept, so that a second request of the
//! same machine costs one ECDSA signature. A kept key is used only within its window and only for the very
//! bytes that were verified.
//!
//! Trusted: the anchors. Untrusted: evidence and endorsements.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::sync::{Arc, Mutex, PoisonError};

use attest::crypto::AwsLcRs;
use attest::{CannotJudge, Context, Crypto, Decision, Digest, Evidence, Known, OfferedKey};
use attest::{Challenge, Policy, Prepared, Question, TrustAnchors, UnixTime, Unverified, decide, prepare};

use crate::collateral::Bag;
use crate::config::Config;

/// Judges evidence.
#[derive(Debug)]
pub(crate) struct Verifier {
    anchors: TrustAnchors,
    /// What the roots are named by.
    roots: HashSet<Digest<32>>,
    kept: Mutex<HashMap<Digest<32>, Arc<Prepared>>>,
}

/// What there is to judge.
#[derive(Debug)]
pub(crate) struct Case<'a> {
    pub(crate) evidence: &'a Evidence<'a>,
    pub(crate) bag: &'a Bag,
    pub(crate) anchors: &'a TrustAnchors,
    /// Those of the anchors that the mount added: what was verified under others is not used.
    pub(crate) authorities: &'a [Vec<u8>],
    pub(crate) challenge: Challenge,
    pub(crate) offered: OfferedKey,
    pub(crate) policy: &'a Policy,
    pub(crate) known: &'a dyn Known,
}

impl Verifier {
    pub(crate) fn new(config: &Config) -> Result<Self, String> {
        if config.insecure_trust_roots.is_empty() {
            return Ok(Self::under(TrustAnchors::vendor()));
        }
        let mut roots = Vec::new();
        for path in &config.insecure_trust_roots {
            let root = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
            roots.push(root);
        }
        let anchors = TrustAnchors::insecure_simulated(&roots).map_err(|error| error.to_string())?;
        Ok(Self::under(anchors))
    }

    fn under(anchors: TrustAnchors) -> Self {
        let roots = anchors.certificates().map(|root| AwsLcRs.sha256(&[root])).collect();
        Self { anchors, roots, kept: Mutex::default() }
    }

    /// Whether this names a pinned root: a host hands those out beside what is needed, and nobody has to bring them.
    pub(crate) fn is_root(&self, name: &Digest<32>) -> bool {
        self.roots.contains(name)
    }

    pub(crate) fn anchors(&self) -> &TrustAnchors {
        &self.anchors
    }

    /// The whole judgement; only work for the processor.
    pub(crate) fn judge(&self, case: Case<'_>, now: UnixTime) -> Result<Decision, CannotJudge> {
        let prepared = self.prepare(&case, now);
        let question = Question { evidence: case.evidence, challenge: case.challenge, offered: case.offered };
        let context = Context { crypto: &AwsLcRs, policy: case.policy, standing: Some(case.known) };
        decide(question, prepared.as_deref(), context, now)
    }

    fn prepare(&self, case: &Case<'_>, now: UnixTime) -> Result<Arc<Prepared>, Unverified> {
        let Case { evidence, bag, anchors, authorities, .. } = *case;
        // Enrolled attestation keys change; checking one costs nothing. Only chains are kept.
        if matches!(evidence, Evidence::Tpm(_)) {
            return prepare(evidence, bag.endorsements(), &AwsLcRs, anchors, now).map(Arc::new);
        }
        let name = name_of(evidence, bag, authorities);
        if let Some(kept) = self.kept(&name).filter(|kept| kept.window().contains(now)) {
            return Ok(kept);
        }
        let prepared = Arc::new(prepare(evidence, bag.endorsements(), &AwsLcRs, anchors, now)?);
        self.keep(name, &prepared);
        Ok(prepared)
    }

    fn kept(&self, name: &Digest<32>) -> Option<Arc<Prepared>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    fn keep(&self, name: Digest<32>, prepared: &Arc<Prepared>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MOST_KEPT {
            kept.clear();
        }
        kept.insert(name, Arc::clone(prepared));
    }
}

/// SHA-256 over what the evidence asks for, the digest of every endorsement, of each kind by itself, and every added
/// authority.
fn name_of(evidence: &Evidence<'_>, bag: &Bag, authorities: &[Vec<u8>]) -> Digest<32> {
    let wanted = evidence.endorsement_id();
    let length = u64::try_from(wanted.len()).unwrap_or(u64::MAX).to_be_bytes();
    let counts = bag.endorsements().kinds();
    let counts = counts.map(|kind| u64::try_from(kind.len()).unwrap_or(u64::MAX).to_be_bytes());
    let names: Vec<Digest<32>> = bag.names().collect();
    let platform = [evidence.platform().number()];
    let head: [&[u8]; 3] = [&platform, &length, &wanted];
    let counts = counts.iter().map(<[u8; 8]>::as_slice);
    let added: Vec<Digest<32>> = authorities.iter().map(|root| AwsLcRs.sha256(&[root])).collect();
    // Counts before, so that a name is of one kind only; what is left at the end is of authorities.
    let names = names.iter().chain(&added).map(|name| name.0.as_slice());
    let parts: Vec<&[u8]> = head.into_iter().chain(counts).chain(names).collect();
    AwsLcRs.sha256(&parts)
}

/// A verified key takes about 4 KiB.
const MOST_KEPT: usize = 4096;
