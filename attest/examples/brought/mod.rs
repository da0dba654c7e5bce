//! What a person brings to an example: an instant, evidence, and files that are known by how their names end.
//!
//! `.der` a certificate, `.crl` a revocation list, `.json` a signed document, `.name` the name of an enrolled
//! attestation key, `.toml` a policy, `.root` the root of simulated silicon.
//!
//! Trusted: the names, the policy, the roots. Untrusted: all else.

use std::error::Error;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use attest::crypto::AwsLcRs;
use attest::{Claims, Endorsements, Policy, TrustAnchors, UnixTime, Verified, tpm};

/// The files of one judgement, and its instant: the library has neither files nor a clock.
pub(crate) struct Brought {
    pub(crate) at: UnixTime,
    pub(crate) evidence: Vec<u8>,
    pub(crate) endorsements: Endorsements,
    pub(crate) anchors: TrustAnchors,
    pub(crate) policy: Option<Policy>,
}

impl Brought {
    /// Reads `AT EVIDENCE FILE…`, where AT is an instant like `2026-11-21T18:00:00Z`, or `now`.
    pub(crate) fn read(words: &[String]) -> Result<Self, Box<dyn Error>> {
        let [at, evidence, files @ ..] = words else { return Err("expected AT EVIDENCE FILE…".into()) };
        let evidence = std::fs::read(evidence)?;
        let (mut endorsements, mut policy) = (Endorsements::default(), None);
        let (mut roots, mut names) = (Vec::new(), Vec::new());
        for file in files {
            let bytes = std::fs::read(file)?;
            match Path::new(file).extension().and_then(|end| end.to_str()) {
                Some("der") => endorsements.certificates.push(bytes),
                Some("crl") => endorsements.revocation_lists.push(bytes),
                Some("json") => endorsements.documents.push(bytes),
                Some("root") => roots.push(bytes),
                Some("name") => names.push(str::from_utf8(&bytes)?.trim().parse::<tpm::Name>()?),
                Some("toml") => policy = Some(Policy::parse(&AwsLcRs, str::from_utf8(&bytes)?)?),
                _ => return Err(format!("{file}: expected .der, .crl, .json, .name, .toml or .root").into()),
            }
        }
        let anchors = match roots.as_slice() {
            [] => TrustAnchors::vendor(),
            roots => TrustAnchors::insecure_simulated(roots)?,
        };
        let anchors = anchors.with_attestation_keys(names);
        Ok(Self { at: instant(at)?, evidence, endorsements, anchors, policy })
    }

    /// Says what the policy thinks, if one was brought: every failing check.
    pub(crate) fn appraise(&self, verified: &Verified<Claims>, words: &mut Vec<String>) {
        let Some(policy) = &self.policy else { return };
        let appraisal = policy.inspect(verified, self.at);
        words.push(format!("policy       {} version {}", policy.name(), policy.version()));
        let failing = appraisal.failing().map(|check| format!("refused      {}: {}", check.id, check.found));
        words.extend(failing);
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the edge of the program: what it reads is an argument from here on"
)]
fn instant(word: &str) -> Result<UnixTime, Box<dyn Error>> {
    if word == "now" {
        return Ok(UnixTime(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs()));
    }
    Ok(UnixTime::parse(word)?)
}
