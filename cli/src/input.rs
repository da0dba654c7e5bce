//! Files that the caller names, read whole and never past a limit.
//!
//! Untrusted: what is in them.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use attest::crypto::AwsLcRs;
use attest::governance::Deed;
use attest::policy::SignedPolicy;
use attest::{BadBundle, Bundle, Digest, Platform, Policy, tdx};

use crate::answer::NotJudged;

/// The longest evidence that is read, in bytes: a parcel with its logs.
pub(crate) const EVIDENCE_LIMIT: usize = attest::Parcel::MAX_BYTES;

/// The longest certificate or key file that is read, in bytes.
pub(crate) const LIMIT: usize = 1024 * 1024;

/// Reads a file, or standard input for `-`.
pub(crate) fn read(path: &Path, limit: usize) -> Result<Vec<u8>, NotJudged> {
    let unreadable = |error: std::io::Error| {
        NotJudged::new("input.unreadable", format!("expected to read {}, found: {error}", path.display()))
    };
    if path == Path::new("-") {
        return capped(std::io::stdin().lock(), limit, path);
    }
    if path.is_dir() {
        let message = format!("expected a file, found the directory {}", path.display());
        return Err(NotJudged::new("input.unreadable", message));
    }
    capped(File::open(path).map_err(unreadable)?, limit, path)
}

fn capped(source: impl Read, limit: usize, path: &Path) -> Result<Vec<u8>, NotJudged> {
    let mut bytes = Vec::new();
    let one_more = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    source.take(one_more).read_to_end(&mut bytes).map_err(|error| {
        NotJudged::new("input.unreadable", format!("expected to read {}, found: {error}", path.display()))
    })?;
    if bytes.len() > limit {
        let message = format!("expected at most {limit} bytes in {}, found more", path.display());
        return Err(NotJudged::new("input.too_long", message));
    }
    Ok(bytes)
}

/// The key id that a bundle names. A deed is signed like one, and is told from it.
pub(crate) fn bundle_signer(file: &[u8]) -> Result<Digest<32>, NotJudged> {
    let is_deed = || attest::File::parse(file).is_ok_and(|file| Deed::signer(&file.record).is_ok());
    Bundle::signer(file).map_err(|error| {
        let error = if is_deed() { BadBundle::NoDecision("a step of the rule by several") } else { error };
        error.into()
    })
}

/// Reads and parses a policy.
pub(crate) fn policy(path: &Path) -> Result<Policy, NotJudged> {
    policy_text(path).map(|(policy, _)| policy)
}

/// The same, with its text. A signed one is read whoever signed it: that is asked elsewhere.
pub(crate) fn policy_text(path: &Path) -> Result<(Policy, String), NotJudged> {
    let bytes = read(path, SignedPolicy::MAX_BYTES)?;
    let text = if SignedPolicy::looks_signed(&bytes) {
        SignedPolicy::insecure_peek(&bytes)?
    } else {
        String::from_utf8(bytes).map_err(|error| {
            let message = format!("policy does not parse: expected UTF-8, found {}", error.utf8_error());
            NotJudged::new("policy.malformed", message)
        })?
    };
    Ok((Policy::parse(&AwsLcRs, &text)?, text))
}

/// The evidence itself and what was cut off: hosts hand out TD quotes in buffers that are longer than the
/// quote. Only somebody who looks at a file cuts; a server refuses what comes after a quote.
pub(crate) fn evidence(platform: Platform, bytes: &[u8]) -> (&[u8], Option<String>) {
    let length = (platform == Platform::Tdx).then(|| tdx::Quote::length(bytes).ok()).flatten();
    match length.and_then(|length| bytes.split_at_checked(length)) {
        Some((quote, rest)) if !rest.is_empty() => {
            let note =
                format!("cut: {} bytes after the quote were left out; a server refuses them", rest.len());
            (quote, Some(note))
        }
        _ => (bytes, None),
    }
}

/// The platform that was named, else the one whose evidence this looks like.
pub(crate) fn platform(named: Option<Platform>, bytes: &[u8]) -> Result<Platform, NotJudged> {
    named.or_else(|| Platform::recognise(bytes)).ok_or_else(|| {
        let start = hex::encode(bytes.get(..8).unwrap_or(bytes));
        let found = if bytes.is_empty() { "none".to_owned() } else { format!("beginning {start}") };
        let message = format!(
            "expected an SNP report (1184 bytes), a TD quote, TPM evidence (TPM2B_ATTEST, signature, key, PCR \
             values) or a Nitro document (COSE_Sign1), found {} bytes, {found}",
            bytes.len()
        );
        NotJudged::new("evidence.unrecognised", message)
    })
}

#[cfg(test)]
mod tests {
    use attest::governance::Act;
    use attest::{File, UnixTime, VerifierKey};

    use super::*;

    #[test]
    fn a_deed_is_told_from_a_bundle_that_is_malformed() {
        let deed = Deed::of(Act::Founded, UnixTime(0), attest::log::Text::default(), Digest([0; 32]));
        let signed = Deed::signed(deed.to_cbor().unwrap(), &VerifierKey([7; 32]), &AwsLcRs, vec![0; 64]);
        let file = |record: Vec<u8>| {
            File { record: record.into(), objects: Vec::new(), position: None }.to_cbor().unwrap()
        };
        let error = bundle_signer(&file(signed.unwrap())).unwrap_err();
        assert_eq!(error.code, "bundle.other");
        assert!(error.message.starts_with("a record of a step of the rule by several, not "), "{error}");
        assert_eq!(bundle_signer(&file(vec![0x80])).unwrap_err().code, "bundle.malformed");
    }
}
