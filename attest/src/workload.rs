//! Workload: who asks on an admitted machine, by a token of somebody whom the verifier believes.
//!
//! Evidence says what a machine is, not which of its workloads asks. A workload brings a token of its own platform: a
//! projected service-account token, a JWT-SVID. The hardware signs the token's SHA-256 within the [`Purpose`], so that
//! token and key belong together. The caller verifies the token's signature, and is believed in that as it is in which keys
//! are enrolled; the token itself, which is a credential, is in no record. What it says is [`Workload`].
//!
//! A token can be stolen from its pod. On a node whose agent knows its callers, the agent writes the pod that asks into the
//! purpose before the hardware signs it: a stamp ([`PodUid`]). Unless an issuer is configured otherwise ([`Pods`]), a token
//! that names a pod is worth something from that pod alone.
//!
//! Trusted: what the caller found in the token. Untrusted: nothing is read here that was not verified before.

use std::fmt;
use std::str::FromStr;

use minicbor::{Decode, Decoder, Encode, Encoder};

use crate::check::Checks;
use crate::{Digest, UnixTime};

/// Whom a verified token names.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode, serde::Serialize)]
pub struct Workload {
    /// Who says so: the token's issuer, or the trust domain of a SPIFFE id.
    #[n(0)]
    pub issuer: String,
    /// The token's subject.
    #[n(1)]
    pub subject: String,
    /// The Kubernetes namespace.
    #[n(2)]
    pub namespace: Option<String>,
    /// The Kubernetes service account.
    #[n(3)]
    pub service_account: Option<String>,
    /// The unique id of the pod.
    #[n(4)]
    pub pod: Option<String>,
    /// The Kubernetes node that the pod is bound to.
    #[n(5)]
    pub node: Option<String>,
    /// The container image, `sha256:` and 64 hex digits.
    #[n(6)]
    pub image_digest: Option<String>,
    /// The SPIFFE id.
    #[n(7)]
    pub spiffe_id: Option<String>,
    /// The first second at which the token holds.
    #[n(8)]
    pub from: UnixTime,
    /// The first second at which it no longer does.
    #[n(9)]
    pub until: UnixTime,
}

/// A token that came with evidence.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode)]
pub struct Presented {
    /// SHA-256 of the token.
    #[n(0)]
    pub token: Digest<32>,
    /// What it was found to be.
    #[n(1)]
    pub found: Found,
    /// What its issuer's tokens need to be believed about their pod. `None`: in a record of before that was asked.
    #[n(2)]
    pub pods: Option<Pods>,
}

/// What a token needs to be believed about the pod that it names.
#[derive(
    Clone, Copy, Debug, Default, Eq, PartialEq, Encode, Decode, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
#[cbor(index_only)]
pub enum Pods {
    /// The stamp of the node's agent: the pod that asks is the one that the token names.
    #[default]
    #[n(0)]
    Attested,
    /// Nothing more than the token, where no agent can know: in enclaves, and where a node's agent does not stamp.
    #[n(1)]
    Claimed,
}

/// The unique id of a pod, as a node's agent stamps it into a purpose.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String")]
pub struct PodUid(String);

impl PodUid {
    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PodUid {
    type Err = NotPodUid;

    fn from_str(text: &str) -> Result<Self, NotPodUid> {
        if is_pod_uid(text) { Ok(Self(text.to_owned())) } else { Err(NotPodUid(text.len())) }
    }
}

impl TryFrom<String> for PodUid {
    type Error = NotPodUid;

    fn try_from(text: String) -> Result<Self, NotPodUid> {
        text.parse()
    }
}

impl fmt::Display for PodUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<C> Encode<C> for PodUid {
    fn encode<W: minicbor::encode::Write>(
        &self,
        encoder: &mut Encoder<W>,
        _context: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        encoder.str(&self.0)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for PodUid {
    fn decode(decoder: &mut Decoder<'b>, _context: &mut C) -> Result<Self, minicbor::decode::Error> {
        decoder.str()?.parse().map_err(|error: NotPodUid| minicbor::decode::Error::message(error.to_string()))
    }
}

/// A text that is no pod's unique id.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("pod: expected 1 to 64 lower-case letters, digits and hyphens, found others among {0} bytes")]
pub struct NotPodUid(usize);

fn is_pod_uid(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=64).contains(&text.len()) && text.bytes().all(plain)
}

/// What a token was found to be.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode)]
pub enum Found {
    /// Genuine, of a known issuer, and meant for this verifier.
    #[n(0)]
    Genuine(#[n(0)] Box<Workload>),
    /// Not that, and why.
    #[n(1)]
    Refused(#[n(0)] String),
}

/// What an answer is for: a path, what goes with it, and the pod that asks, where there are such:
/// `PATH[#workload=HEX][#protection=HEX][#pod=UID]`, in this order, digits in lower case.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Purpose<'a> {
    /// The path, for example `attest-keys/release/db`.
    pub path: &'a str,
    /// SHA-256 of the workload's token.
    pub token: Option<Digest<32>>,
    /// SHA-256 of the protection report ([`crate::protection`]).
    pub protection: Option<Digest<32>>,
    /// The pod that the node's agent stamped: a [`PodUid`].
    pub pod: Option<&'a str>,
}

impl<'a> Purpose<'a> {
    /// Reads a challenge's context. There is one spelling: [`fmt::Display`]'s.
    #[must_use]
    pub fn parse(context: &'a str) -> Self {
        let stamped = context.rsplit_once(STAMP).filter(|(_, uid)| is_pod_uid(uid));
        let (rest, pod) = stamped.map_or((context, None), |(rest, uid)| (rest, Some(uid)));
        let (rest, protection) = parted(rest, REPORT);
        let (path, token) = parted(rest, MARK);
        Self { path, token, protection, pod }
    }
}

/// What stands before a mark, and the digest behind it; all of it, where no digest is.
fn parted<'t>(text: &'t str, mark: &str) -> (&'t str, Option<Digest<32>>) {
    let digest =
        |digits: &str| digits.parse().ok().filter(|digest: &Digest<32>| digest.to_string() == digits);
    let found = text.rsplit_once(mark).and_then(|(before, digits)| Some((before, digest(digits)?)));
    found.map_or((text, None), |(before, digest)| (before, Some(digest)))
}

impl fmt::Display for Purpose<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.path)?;
        self.token.iter().try_for_each(|token| write!(f, "{MARK}{token}"))?;
        self.protection.iter().try_for_each(|report| write!(f, "{REPORT}{report}"))?;
        self.pod.iter().try_for_each(|pod| write!(f, "{STAMP}{pod}"))
    }
}

/// Whether a purpose has a stamp in it, or what could pass for one: an agent stamps, and nobody who asks it.
#[must_use]
pub fn is_stamped(context: &str) -> bool {
    context.contains(STAMP)
}

/// Asks about the token that came and the one that the hardware signed; the workload, if it is to be believed. An unbound
/// answer (no `purpose`) proves no purpose: the token alone is asked about.
pub(crate) fn ask<'w>(
    purpose: Option<Purpose<'_>>,
    presented: Option<&'w Presented>,
    now: UnixTime,
    checks: &mut Checks,
) -> Option<&'w Workload> {
    let bound = purpose.is_none_or(|purpose| binds(purpose.token, presented, checks));
    let presented = presented?;
    let workload = genuine(presented, checks)?;
    let at_home = purpose.is_none_or(|purpose| is_at_home(purpose.pod, presented.pods, workload, checks));
    let expected = format!("a token that holds at {now}");
    let found = format!("from {} until {}", workload.from, workload.until);
    let current = workload.from <= now.plus(SKEW) && now < workload.until;
    checks.ask("workload.current", current, expected, found);
    (bound && at_home && current && purpose.is_some()).then_some(workload)
}

fn binds(signed: Option<Digest<32>>, presented: Option<&Presented>, checks: &mut Checks) -> bool {
    let came = presented.map(|presented| presented.token);
    let (expected, found) = match (signed, came) {
        (None, None) => return true,
        (None, Some(came)) => ("a token that the hardware signed".to_owned(), format!("{came}, unsigned")),
        (Some(signed), None) => (format!("token {signed}, which the hardware signed"), "no token".to_owned()),
        (Some(signed), Some(came)) => {
            (format!("token {signed}, which the hardware signed"), format!("token {came}"))
        }
    };
    checks.ask("workload.bound", signed == came, expected, found)
}

/// Whether the pod that asks is the one that the token names. Two that differ are one lie, whatever an issuer's tokens need.
fn is_at_home(stamped: Option<&str>, pods: Option<Pods>, workload: &Workload, checks: &mut Checks) -> bool {
    let Some(named) = workload.pod.as_deref() else { return true };
    match (pods, stamped) {
        (None, _) | (Some(Pods::Claimed), None) => return true,
        (Some(Pods::Attested | Pods::Claimed), _) => {}
    }
    let found = stamped.map_or("no pod that an agent stamped".to_owned(), |pod| format!("pod {pod}"));
    let expected = format!("pod {named}, whose token it is, in the purpose");
    checks.ask("workload.pod", stamped == Some(named), expected, found)
}

fn genuine<'w>(presented: &'w Presented, checks: &mut Checks) -> Option<&'w Workload> {
    let expected = "a genuine token of a known issuer, for this verifier";
    match &presented.found {
        Found::Genuine(workload) => {
            checks.ask("workload.token", true, expected, workload.to_string());
            Some(workload)
        }
        Found::Refused(why) => {
            checks.ask("workload.token", false, expected, why.as_str());
            None
        }
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.subject, self.issuer)?;
        for (name, value) in [
            ("namespace", &self.namespace),
            ("service account", &self.service_account),
            ("pod", &self.pod),
            ("node", &self.node),
            ("image", &self.image_digest),
            ("SPIFFE id", &self.spiffe_id),
        ] {
            value.iter().try_for_each(|value| write!(f, ", {name} {value}"))?;
        }
        Ok(())
    }
}

/// Parts the path of a purpose from the token. No name of a key or a role has a `#`.
const MARK: &str = "#workload=";
/// Parts what is before it from the protection report.
const REPORT: &str = "#protection=";
/// Parts the pod from what was asked for.
const STAMP: &str = "#pod=";
/// How far, in seconds, a verifier's clock may be behind the issuer's.
const SKEW: u64 = 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_purpose_with_a_token_has_one_spelling() {
        let token = Digest([0xab; 32]);
        let purpose =
            Purpose { path: "attest-keys/release/db", token: Some(token), protection: None, pod: None };
        let text = purpose.to_string();
        assert_eq!(text, format!("attest-keys/release/db#workload={}", "ab".repeat(32)));
        assert_eq!(Purpose::parse(&text), purpose);
        for other in [text.to_uppercase(), text.replace("ab", "AB"), format!("{text}0"), text[1..80].into()] {
            let bare = Purpose { path: &other, token: None, protection: None, pod: None };
            assert_eq!(Purpose::parse(&other), bare, "{other}");
        }
    }

    #[test]
    fn a_report_stands_behind_the_token_and_before_the_pod() {
        let (path, report) = ("attest-keys/release/db", Some(Digest([0xcd; 32])));
        for (token, pod) in [(None, None), (Some(Digest([0xab; 32])), None), (None, Some("7f1c"))] {
            let purpose = Purpose { path, token, protection: report, pod };
            assert_eq!(Purpose::parse(&purpose.to_string()), purpose);
        }
        let whole = Purpose { path, token: Some(Digest([0xab; 32])), protection: report, pod: Some("7f1c") };
        let (token, digits) = ("ab".repeat(32), "cd".repeat(32));
        assert_eq!(whole.to_string(), format!("{path}#workload={token}#protection={digits}#pod=7f1c"));
        // In another order it is no spelling of ours: what stands last is read, and the rest is path.
        let swapped = format!("{path}#protection={digits}#workload={token}");
        let read = Purpose::parse(&swapped);
        assert_eq!((read.path, read.protection), (&*format!("{path}#protection={digits}"), None));
        let upper = format!("{path}#protection={}", digits.to_uppercase());
        assert_eq!(Purpose::parse(&upper).path, upper);
    }

    #[test]
    fn a_stamp_stands_at_the_end_and_has_one_spelling() {
        let uid = "0f6d8f3a-2c1e-4b7a-9d55-3e1f0a9b8c7d";
        for token in [None, Some(Digest([0xab; 32]))] {
            let purpose = Purpose { path: "attest-keys/release/db", token, protection: None, pod: Some(uid) };
            let text = purpose.to_string();
            assert!(text.ends_with(&format!("#pod={uid}")) && is_stamped(&text), "{text}");
            assert_eq!(Purpose::parse(&text), purpose);
        }
        // Whatever a caller puts before a stamp is no stamp.
        let twice = format!("attest-keys/release/db#pod=theirs#pod={uid}");
        let read = Purpose::parse(&twice);
        assert_eq!((read.path, read.pod), ("attest-keys/release/db#pod=theirs", Some(uid)));
        for odd in ["", "A", "a b", "a#b", "a/b", &"a".repeat(65)] {
            assert_eq!(odd.parse::<PodUid>(), Err(NotPodUid(odd.len())), "{odd}");
            let text = format!("release/db#pod={odd}");
            let read = Purpose::parse(&text);
            assert_eq!(read.pod, None, "{odd}");
        }
    }
}
