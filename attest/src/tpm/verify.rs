//! A quote against its attestation key: the signature, and everything that holds whatever the policy.
//!
//! Trusted: the key ([`Ak`]). Untrusted: the quote, until every check has passed.

use super::attested::{Fields, MAGIC, QUOTE};
use super::{Ak, AkOrigin, Claims, Name, Pcr, Quote, algorithm};
use crate::check::Checks;
use crate::crypto::{Crypto, Hash};
use crate::verified::Rejected;
use crate::{Claims as AnyClaims, Platform, UnixTime, Unverified, Verified};

/// Checks `quote` under `ak`. All checks run; one that fails refuses.
pub(crate) fn verify(
    quote: &Quote<'_>,
    crypto: &dyn Crypto,
    ak: &Ak,
    now: UnixTime,
) -> Result<Verified<AnyClaims>, Unverified> {
    let mut checks = Checks::default();
    checks.extend(&ak.checks);
    if let Some(certificate) = &ak.certificate {
        let window = certificate.window;
        checks.ask("tpm.ak.window", window.contains(now), format!("{now} inside"), window.to_string());
    }
    statement(quote, &mut checks);
    signature(quote, crypto, ak, &mut checks);
    let fields = quote.fields();
    signer(fields, &mut checks);
    if ak.origin != AkOrigin::Enrolled {
        named(fields, crypto, ak, &mut checks);
    }
    selection(fields, &quote.values, &mut checks);
    digest(fields, quote, crypto, &mut checks);
    let told = quote.logs.replay(crypto, &quote.values, &mut checks);
    let claims = fields.map(|fields| Claims::of(fields.clone(), quote, ak, told));
    match claims {
        Some(claims) if checks.hold() => {
            Ok(Verified::assertion(AnyClaims::Tpm(Box::new(claims)), checks.into_vec(), ak.roots))
        }
        _ => Err(Unverified::Rejected(Rejected::new(Platform::Tpm2, checks, ak.roots))),
    }
}

/// A TPM made this, and it is a quote. A restricted key never signs foreign bytes that begin with the magic.
fn statement(quote: &Quote<'_>, checks: &mut Checks) {
    let (magic, kind) = (quote.attested.magic, quote.attested.kind);
    checks.ask("tpm.quote.magic", magic == MAGIC, format!("{MAGIC:#010x}"), format!("{magic:#010x}"));
    let expected = format!("{QUOTE:#06x} (a quote)");
    checks.ask("tpm.quote.type", kind == QUOTE, expected, format!("{kind:#06x}"));
}

fn signature(quote: &Quote<'_>, crypto: &dyn Crypto, ak: &Ak, checks: &mut Checks) {
    let same = quote.area == ak.area;
    let found = if same { ak.name.to_string() } else { "another public area".to_owned() };
    checks.ask("tpm.quote.key", same, format!("the key that was checked, {}", ak.name), found);
    let signature = &quote.signature;
    let words = |(scheme, hash)| format!("{scheme} with {hash}");
    let expected = ak.scheme.map_or("the key's scheme".to_owned(), words);
    let used = (signature.scheme, signature.hash);
    checks.ask("tpm.quote.scheme", ak.scheme == Some(used), expected, words(used));
    let signed = signature.verifies(crypto, &ak.key, quote.signed);
    let found = if signed { "verifies" } else { "does not verify" };
    checks.ask(
        "tpm.quote.signature",
        signed,
        "a signature by the attestation key over the received bytes",
        found,
    );
}

fn signer(fields: Option<&Fields>, checks: &mut Checks) {
    let (good, found) = match fields {
        Some(fields) => {
            (Name::from_bytes(&fields.qualified_signer).is_ok(), hex::encode(&fields.qualified_signer))
        }
        None => (false, NO_QUOTE.to_owned()),
    };
    checks.ask("tpm.quote.qualified_signer", good, "the qualified name of a key", found);
}

/// The TPM holds the key under the very name that came with the quote. Whoever vouched for the key alone said
/// nothing of its attributes: here the TPM says them.
fn named(fields: Option<&Fields>, crypto: &dyn Crypto, ak: &Ak, checks: &mut Checks) {
    let found = fields.map_or_else(Vec::new, |fields| fields.qualified_signer.clone());
    let names = ak.name.in_a_hierarchy(crypto);
    let expected = format!("that of {} directly in a hierarchy", ak.name);
    checks.ask("tpm.ak.qualified_name", names.contains(&found), expected, hex::encode(&found));
}

/// The values are exactly the selected PCRs, in the selection's order: none more, none fewer, none twice.
fn selection(fields: Option<&Fields>, values: &[Pcr], checks: &mut Checks) {
    let id = "tpm.pcr.selection";
    let Some(fields) = fields else {
        checks.ask(id, false, "a selection", NO_QUOTE);
        return;
    };
    let selected: Vec<(Hash, u32)> = fields.selected().collect();
    let once =
        selected.iter().enumerate().all(|(at, pcr)| !selected.iter().take(at).any(|other| other == pcr));
    let given: Vec<(Hash, u32)> = values.iter().map(|pcr| (pcr.bank, pcr.index)).collect();
    let found = match (given.is_empty(), once) {
        (_, false) => format!("{}, one of them twice", listed(&selected)),
        (true, true) => "no values: no PCR is claimed".to_owned(),
        (false, true) => listed(&given),
    };
    let expected = format!("no values, or those of {}", listed(&selected));
    checks.ask(id, once && (given.is_empty() || given == selected), expected, found);
}

/// The values hash to the signed digest (Part 3, clause 18.4: with the hash of the signing scheme).
fn digest(fields: Option<&Fields>, quote: &Quote<'_>, crypto: &dyn Crypto, checks: &mut Checks) {
    let id = "tpm.pcr.digest";
    let Some(fields) = fields else {
        checks.ask(id, false, "a digest", NO_QUOTE);
        return;
    };
    let hash = quote.signature.hash;
    let quoted = hex::encode(&fields.pcr_digest);
    if quote.values.is_empty() {
        let right = fields.pcr_digest.len() == algorithm::hash_len(hash);
        checks.ask(id, right, format!("a {hash} digest"), quoted);
        return;
    }
    let parts: Vec<&[u8]> = quote.values.iter().map(|pcr| pcr.value.as_slice()).collect();
    let computed = algorithm::digest(crypto, hash, &parts);
    let expected = format!("the {hash} digest of the values, {}", hex::encode(&computed));
    checks.ask(id, computed == fields.pcr_digest, expected, quoted);
}

/// `sha1:0,1 sha256:7`.
fn listed(pcrs: &[(Hash, u32)]) -> String {
    let mut text = String::new();
    let mut last = None;
    for (bank, index) in pcrs {
        let lead = match last {
            Some(last) if last == bank => ",".to_owned(),
            Some(_) => format!(" {bank}:"),
            None => format!("{bank}:"),
        };
        text.push_str(&lead);
        text.push_str(&index.to_string());
        last = Some(bank);
    }
    if text.is_empty() { "no PCR".to_owned() } else { text }
}

const NO_QUOTE: &str = "none: the signed bytes are no quote";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selection_reads_like_the_tools_write_it() {
        let pcrs = [(Hash::Sha1, 0), (Hash::Sha1, 1), (Hash::Sha256, 7)];
        assert_eq!(listed(&pcrs), "sha1:0,1 sha256:7");
        assert_eq!(listed(&[]), "no PCR");
    }
}
