//! The laws: what holds of all evidence, whatever signed it.
//!
//! Pure: a law gets what was asked and answered, and a verifier. Changes that must be refused are tried all where the
//! evidence is short, and evenly spread over it where it is long.

use attest::{
    Challenge, Claims, Endorsements, Evidence, OfferedKey, Revocation, Stale, TrustAnchors, UnixTime,
    Verified,
};
use serde::Serialize;

use crate::CRYPTO;
use crate::agent::Asked;

/// A law, and how it went.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Law {
    /// What must hold.
    pub text: &'static str,
    /// Whether it does.
    pub holds: bool,
    /// What was seen.
    pub seen: String,
}

/// Judges evidence under one set of roots, at one instant.
#[derive(Debug)]
pub(crate) struct Verifier {
    revocation: Revocation,
    anchors: TrustAnchors,
    now: UnixTime,
}

impl Verifier {
    pub(crate) fn new(revocation: Revocation, anchors: TrustAnchors, now: UnixTime) -> Self {
        Self { revocation, anchors, now }
    }

    /// The claims, or why there are none.
    pub(crate) fn claims(&self, asked: &Asked) -> Result<Verified<Claims>, String> {
        self.judge(asked, &asked.reply.evidence)
    }

    fn judge(&self, asked: &Asked, bytes: &[u8]) -> Result<Verified<Claims>, String> {
        let evidence = Evidence::parse(asked.reply.platform, bytes).map_err(|error| error.to_string())?;
        let endorsements = endorsements(asked);
        let prepared = endorsements.prepare(CRYPTO, &evidence, &self.anchors, self.revocation, self.now);
        let verified = prepared.and_then(|prepared| evidence.verify(CRYPTO, &prepared, self.now));
        verified.map_err(|error| error.to_string())
    }

    /// Whether the evidence answers this nonce, for this key.
    fn redeem(
        &self,
        claims: &Verified<Claims>,
        asked: &Asked,
        nonce: [u8; 32],
        key: OfferedKey,
    ) -> Result<(), Stale> {
        let expires = self.now.plus(60);
        let context = asked.request.context.clone();
        let challenge = Challenge { nonce, context, expires, answered: false };
        challenge.redeem(CRYPTO, key, claims, self.now).map(drop)
    }
}

/// The laws of one answer.
pub(crate) fn of_one(verifier: &Verifier, asked: &Asked) -> Vec<Law> {
    vec![
        bound(verifier, asked),
        another_nonce(verifier, asked),
        another_key(verifier, asked),
        truncations(verifier, asked),
        flips(verifier, asked),
        trailing(verifier, asked),
    ]
}

fn bound(verifier: &Verifier, asked: &Asked) -> Law {
    let seen = verifier.claims(asked).and_then(|claims| {
        let (nonce, key) = (asked.request.nonce, asked.request.key.clone());
        verifier.redeem(&claims, asked, nonce, key).map_err(|stale| stale.to_string())
    });
    Law {
        text: "evidence verifies, and is bound to nonce and key",
        holds: seen.is_ok(),
        seen: seen.err().unwrap_or_else(|| "it does".to_owned()),
    }
}

fn another_nonce(verifier: &Verifier, asked: &Asked) -> Law {
    let nonce = asked.request.nonce.map(|byte| byte ^ 1);
    stale(verifier, asked, "evidence answers no other nonce", nonce, asked.request.key.clone())
}

fn another_key(verifier: &Verifier, asked: &Asked) -> Law {
    let OfferedKey { kem, public } = asked.request.key.clone();
    let public = public.into_iter().map(|byte| byte ^ 1).collect();
    stale(
        verifier,
        asked,
        "evidence vouches for no other key",
        asked.request.nonce,
        OfferedKey { kem, public },
    )
}

fn stale(verifier: &Verifier, asked: &Asked, law: &'static str, nonce: [u8; 32], key: OfferedKey) -> Law {
    let seen = match verifier.claims(asked) {
        Ok(claims) => verifier.redeem(&claims, asked, nonce, key),
        Err(seen) => return Law { text: law, holds: false, seen },
    };
    let text = seen.as_ref().map_or_else(ToString::to_string, |()| "redeemed".to_owned());
    Law { text: law, holds: seen == Err(Stale::NotBound), seen: text }
}

fn truncations(verifier: &Verifier, asked: &Asked) -> Law {
    let whole = &asked.reply.evidence;
    let cuts = spread(whole.len(), TRIES);
    let accepted = cuts
        .iter()
        .filter(|length| whole.get(..**length).is_some_and(|part| verifier.judge(asked, part).is_ok()));
    refused("every truncation is refused", cuts.len(), accepted.count())
}

/// A flip that the verifier still accepts must leave what it says unchanged: some formats have bytes that nobody
/// signs, such as the values of registers in another order, or unused fields of a signature.
fn flips(verifier: &Verifier, asked: &Asked) -> Law {
    let whole = &asked.reply.evidence;
    let places = spread(whole.len(), TRIES);
    let claims = verifier.claims(asked).map(|claims| format!("{:?}", claims.claims()));
    let accepted = places.iter().filter(|place| {
        let mut changed = whole.clone();
        if let Some(byte) = changed.get_mut(**place) {
            *byte ^= 0x10;
        }
        let found = verifier.judge(asked, &changed).map(|found| format!("{:?}", found.claims()));
        found.is_ok() && found != claims
    });
    refused("no flipped bit changes what is proved", places.len(), accepted.count())
}

fn trailing(verifier: &Verifier, asked: &Asked) -> Law {
    let longer = [&asked.reply.evidence[..], &[0]].concat();
    refused("a trailing byte is refused", 1, usize::from(verifier.judge(asked, &longer).is_ok()))
}

fn refused(law: &'static str, tried: usize, accepted: usize) -> Law {
    Law { text: law, holds: accepted == 0, seen: format!("{tried} tried, {accepted} accepted") }
}

/// Two requests get two answers.
pub(crate) fn two_differ(one: &Asked, other: &Asked) -> Law {
    let holds = one.reply.evidence != other.reply.evidence;
    let seen = if holds { "they do" } else { "the same bytes twice" };
    Law { text: "the evidence of two requests differs", holds, seen: seen.to_owned() }
}

/// Callers at the same time each get evidence that is bound to their own nonce and key.
pub(crate) fn of_many(verifier: &Verifier, all: &[anyhow::Result<Asked>]) -> Law {
    let problem = all.iter().find_map(|asked| match asked {
        Ok(asked) => Some(bound(verifier, asked)).filter(|law| !law.holds).map(|law| law.seen),
        Err(error) => Some(format!("{error:#}")),
    });
    let holds = problem.is_none();
    let seen = problem.unwrap_or_else(|| format!("{} at once", all.len()));
    Law { text: "callers at the same time each get their own", holds, seen }
}

/// What came with the evidence, and what AMD publishes.
pub(crate) fn endorsements(asked: &Asked) -> Endorsements {
    let mut certificates: Vec<Vec<u8>> = asked.reply.certificates.iter().map(|der| der.to_vec()).collect();
    certificates.extend(attest::snp::vendor_intermediates());
    Endorsements {
        certificates,
        revocation_lists: asked.reply.revocation_lists.iter().map(|der| der.to_vec()).collect(),
        documents: asked.reply.documents.iter().map(|json| json.to_vec()).collect(),
    }
}

/// Places in so many bytes, at most so many, evenly spread, the first and the last among them.
fn spread(length: usize, tries: usize) -> Vec<usize> {
    let step = length.div_ceil(tries).max(1);
    let mut places: Vec<usize> = (0..length).step_by(step).collect();
    places.extend(length.checked_sub(1).filter(|last| !places.contains(last)));
    places
}

/// How many changes are tried: each is verified in under a millisecond.
const TRIES: usize = 2000;
