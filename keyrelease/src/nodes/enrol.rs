//! `enrol`: a TPM's attestation key, proven to be in the TPM that a manufacturer certified.
//!
//! The answer is a secret that only that TPM opens, and what this mount has to remember of it, which the caller keeps: bytes
//! under a MAC, as a challenge is, so that nothing is stored and any node of the cluster finishes what another began. A
//! login brings both back ([`Enrolments::finish`]). It may be brought again until it expires: it says which key is in which TPM,
//! and that does not change.
//!
//! Trusted: the manufacturers, the mount's key. Untrusted: certificates, public areas, the bytes that come back.

use std::sync::Arc;

use attest::crypto::AwsLcRs;
use attest::node::Endorsed;
use attest::tpm::{Credential, Draw, Ek, Enrolment, NoCredential, NotOffered, Offer, ek_template};
use attest::{Answer, Digest, Roots, UnixTime, Unverified, tpm};
use aws_lc_rs::hmac;
use minicbor::{Decode, Encode};
use openbao_plugin::{Error, Host};
use protocol::enrol::{EnrolAnswer, EnrolReply, EnrolRequest};
use protocol::release::Base64;

use super::manufacturers::{NotVouched, Vouched};
use super::stored::KnownKey;
use crate::challenge::Challenges;
use crate::limits::Source;
use crate::mount::Mount;
use crate::reply::bad_request;
use crate::state::{State, random};

/// Seals what is to come back.
#[derive(Debug)]
pub(crate) struct Enrolments {
    key: hmac::Key,
}

/// A key that waits for its TPM's answer.
#[derive(Debug, Encode, Decode)]
struct Pending {
    #[n(0)]
    enrolment: Enrolment,
    #[n(1)]
    root: Digest<32>,
    #[n(2)]
    until: UnixTime,
    #[n(3)]
    expires: UnixTime,
}

/// An attestation key, and the TPM that proved to hold it.
#[derive(Clone, Debug)]
pub(crate) struct Proof {
    pub(super) ak: tpm::Name,
    ek: Digest<32>,
    root: Digest<32>,
    until: UnixTime,
}

impl Proof {
    pub(super) fn enrolled(&self) -> (KnownKey, Endorsed) {
        let ak = self.ak.as_bytes().to_vec().into();
        (KnownKey { ak, root: self.root, until: self.until }, Endorsed::new(&self.ak, self.ek))
    }
}

impl Enrolments {
    /// With this mount's key.
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, key) }
    }

    fn sealed(&self, pending: &Pending) -> Result<Vec<u8>, Error> {
        let mut bytes =
            minicbor::to_vec(pending).map_err(|why| Error::Internal(format!("enrolment: {why}")))?;
        let tag = hmac::sign(&self.key, &transcript(&bytes));
        bytes.extend_from_slice(tag.as_ref());
        Ok(bytes)
    }

    /// Takes what came back, if the TPM opened the secret in time.
    pub(crate) fn finish(&self, brought: &EnrolAnswer, now: UnixTime) -> Result<Proof, NotProven> {
        let token = &brought.token.0;
        let at = token.len().checked_sub(TAG).ok_or(NotProven::Foreign)?;
        let (body, tag) = token.split_at_checked(at).ok_or(NotProven::Foreign)?;
        hmac::verify(&self.key, &transcript(body), tag).map_err(|_why| NotProven::Foreign)?;
        let pending: Pending = minicbor::decode(body).map_err(|_why| NotProven::Foreign)?;
        // A clock far ahead would make one that lasts.
        if pending.expires > now.plus(Challenges::LIFETIME).plus(Challenges::SKEW) {
            return Err(NotProven::Ahead { expires: pending.expires, now });
        }
        let enrolled = pending.enrolment.finish(&AwsLcRs, &brought.answer.0, now)?;
        let (ak, ek) = (enrolled.name().clone(), enrolled.ek());
        Ok(Proof { ak, ek, root: pending.root, until: pending.until })
    }
}

/// Another beginning than that of a challenge: neither is taken for the other.
fn transcript(body: &[u8]) -> Vec<u8> {
    [b"cloudtaser/enrolment/v1".as_slice(), body].concat()
}

/// Why what came back proves nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum NotProven {
    /// Not begun by this mount.
    #[error("enrolment: expected one that this mount began, found another")]
    Foreign,
    /// Begun by a node whose clock is ahead of this one's.
    #[error("enrolment expires at {expires}, it is {now}: the clocks of two nodes are too far apart")]
    Ahead {
        /// The expiry.
        expires: UnixTime,
        /// This node's clock.
        now: UnixTime,
    },
    /// Too late, or not what was sealed.
    #[error(transparent)]
    NotEnrolled(#[from] tpm::NotEnrolled),
}

/// Answers `enrol`. Nothing is stored.
pub(crate) async fn begin(
    mount: &Mount,
    host: &Host,
    request: EnrolRequest,
    source: Source,
) -> Result<EnrolReply, Error> {
    let found = [&request.ek_certificate, &request.ak_public].into_iter().chain(&request.chain);
    let found = found.chain(&request.ek_public).map(|part| part.0.len()).fold(0, usize::saturating_add);
    if request.chain.len() > MOST_CHAIN || found > MOST_BYTES {
        let expected = format!("at most {MOST_CHAIN} certificates above it and {MOST_BYTES} bytes in all");
        return Err(Error::BadRequest(format!("enrol: expected {expected}")));
    }
    let (state, now, whose) = (mount.state(host).await?, mount.now(), mount.anchors().roots());
    let turn = mount.turn(source).await?;
    let answer = host.blocking(move |_| offer(&state, &request, whose, now)).await;
    drop(turn);
    answer?
}

/// Verifies the endorsement key and seals a fresh secret to it; only work for the processor.
fn offer(
    state: &Arc<State>,
    request: &EnrolRequest,
    whose: Roots,
    now: UnixTime,
) -> Result<EnrolReply, Error> {
    let certificate = &request.ek_certificate.0;
    let area = match &request.ek_public {
        Some(area) => area.0.clone(),
        None => ek_template(certificate).map_err(bad_request)?,
    };
    let above = request.chain.iter().map(|one| one.0.clone());
    let certificates: Vec<Vec<u8>> = std::iter::once(certificate.clone()).chain(above).collect();
    let vouched = state.manufacturers.verify(&area, &certificates, whose, now);
    let Vouched { ek, root } = vouched.map_err(|why| not_vouched(&why))?;
    let expires = now.plus(Challenges::LIFETIME);
    let (enrolment, credential) = sealed(&ek, &request.ak_public.0, expires)?;
    let until = ek.certificate().window.until;
    let pending = Pending { enrolment, root, until, expires };
    Ok(EnrolReply {
        enrolment: Base64(state.enrolments.sealed(&pending)?),
        id_object: Base64(credential.id_object),
        encrypted_secret: Base64(credential.encrypted_secret),
        expires,
    })
}

fn sealed(ek: &Ek, ak_area: &[u8], expires: UnixTime) -> Result<(Enrolment, Credential), Error> {
    for _ in 0..DRAWS {
        let draw = Draw { seed: random()?, padding: random()? };
        let offer = Offer { secret: &random()?, draw: &draw, expires };
        match Enrolment::begin(&AwsLcRs, ek, ak_area, &offer) {
            Ok(begun) => return Ok(begun),
            Err(NotOffered::Credential(NoCredential::DrawAgain)) => {}
            Err(NotOffered::Key(why)) => return Err(not_vouched(&why.into())),
            Err(why) => return Err(bad_request(format!("enrol: {why}"))),
        }
    }
    Err(Error::Internal("enrol: nothing that was drawn is a key of the curve".to_owned()))
}

/// A key that is not genuine is a "no", with every failing check; what cannot be judged is the caller's fault.
fn not_vouched(why: &NotVouched) -> Error {
    let NotVouched::Unverified(Unverified::Rejected(rejected)) = why else {
        return bad_request(format!("enrol: {why}"));
    };
    let failing = rejected.checks().iter().filter(|check| check.verdict == Answer::Fail);
    let failing =
        failing.map(|check| format!("{}: expected {}, found {}", check.id, check.expected, check.found));
    let message = format!("refused: {}", failing.collect::<Vec<_>>().join("; "));
    Error::Coded { status: 403, message }
}

/// A MAC's length.
const TAG: usize = 32;
/// A P-256 draw fails once in 2^32.
const DRAWS: u32 = 3;
/// Above the certificate of a key, below the root.
const MOST_CHAIN: usize = 4;
const MOST_BYTES: usize = 32 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use attest::Crypto;
    use attest::tpm::NotEnrolled;
    use minicbor::bytes::ByteVec;

    const NOW: UnixTime = UnixTime(1000);
    const SECRET: [u8; 32] = [7; 32];

    /// As the mount's own begins: a key's name, its TPM, the digest of the secret, the expiry.
    fn begun(expires: UnixTime) -> Pending {
        let name = ByteVec::from([&[0, 0x0b][..], &[0x5a; 32]].concat());
        let fields = (name, Digest([1; 32]), AwsLcRs.sha256(&[&SECRET]), expires);
        let enrolment = minicbor::decode(&minicbor::to_vec(fields).unwrap()).unwrap();
        Pending { enrolment, root: Digest([2; 32]), until: UnixTime(9000), expires }
    }

    fn brought(key: u8, expires: UnixTime, answer: &[u8]) -> EnrolAnswer {
        let token = Enrolments::new(&[key; 32]).sealed(&begun(expires)).unwrap();
        EnrolAnswer { token: Base64(token), answer: Base64(answer.to_vec()) }
    }

    fn finish(brought: &EnrolAnswer) -> Result<Proof, NotProven> {
        Enrolments::new(&[1; 32]).finish(brought, NOW)
    }

    #[test]
    fn any_node_with_the_mounts_key_finishes_what_another_began_until_it_expires() {
        let proof = finish(&brought(1, UnixTime(1001), &SECRET)).unwrap();
        assert_eq!((proof.ek, proof.root, proof.until), (Digest([1; 32]), Digest([2; 32]), UnixTime(9000)));
        let late = NotProven::NotEnrolled(NotEnrolled::Expired { expires: NOW, now: NOW });
        assert_eq!(finish(&brought(1, NOW, &SECRET)).unwrap_err(), late);
        let far = NOW.plus(Challenges::LIFETIME).plus(Challenges::SKEW).plus(1);
        let ahead = NotProven::Ahead { expires: far, now: NOW };
        assert_eq!(finish(&brought(1, far, &SECRET)).unwrap_err(), ahead);
    }

    #[test]
    fn what_another_mount_began_and_what_the_tpm_did_not_open_prove_nothing() {
        let good = brought(1, UnixTime(1100), &SECRET);
        assert_eq!(finish(&brought(2, UnixTime(1100), &SECRET)).unwrap_err(), NotProven::Foreign);
        let wrong = NotProven::NotEnrolled(NotEnrolled::WrongAnswer);
        for answer in [&[][..], &[8; 32], &[7; 31]] {
            assert_eq!(finish(&brought(1, UnixTime(1100), answer)).unwrap_err(), wrong);
        }
        for bit in 0..good.token.0.len() * 8 {
            let mut forged = good.clone();
            forged.token.0[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(finish(&forged).unwrap_err(), NotProven::Foreign, "bit {bit}");
        }
        for cut in 0..good.token.0.len() {
            let mut short = good.clone();
            short.token.0.truncate(cut);
            assert_eq!(finish(&short).unwrap_err(), NotProven::Foreign, "{cut}");
        }
    }

    /// An attack: a challenge, which anybody may draw, is passed off as an enrolment.
    #[test]
    fn a_challenge_is_no_enrolment() {
        let (bytes, _) = Challenges::new(&[1; 32]).issue([7; 32], NOW);
        let brought = EnrolAnswer { token: Base64(bytes), answer: Base64(SECRET.to_vec()) };
        assert_eq!(finish(&brought).unwrap_err(), NotProven::Foreign);
    }
}
