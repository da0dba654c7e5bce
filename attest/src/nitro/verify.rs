//! A document against its verified leaf: the signature, and everything that holds whatever the policy.
//!
//! Trusted: the leaf ([`Chain`]). Untrusted: the document, until every check has passed.

use super::cose::ES384;
use super::document::{Attached, Fields};
use super::{Chain, Claims, Document};
use crate::check::Checks;
use crate::crypto::{Crypto, Scheme};
use crate::verified::Rejected;
use crate::{Claims as AnyClaims, UnixTime, Unverified, Verified};

/// Checks `document` under `chain`. All checks run; one that fails refuses.
pub(crate) fn verify(
    document: &Document<'_>,
    crypto: &dyn Crypto,
    chain: &Chain,
    now: UnixTime,
) -> Result<Verified<AnyClaims>, Unverified> {
    let fields = &document.fields;
    let mut checks = Checks::default();
    checks.extend(&chain.checks);
    envelope(document, &mut checks);
    module(fields, chain, &mut checks);
    time(fields, chain, now, &mut checks);
    sizes(fields, &mut checks);
    signature(document, crypto, chain, &mut checks);
    let platform = document.platform();
    if !checks.hold() {
        return Err(Unverified::Rejected(Rejected::new(platform, checks, chain.roots)));
    }
    let claims = Claims { platform, document: fields.clone(), signer: chain.signer.clone() };
    Ok(Verified::assertion(AnyClaims::Nitro(Box::new(claims)), checks.into_vec(), chain.roots))
}

/// ES384 and nothing beside it, and SHA-384 registers.
fn envelope(document: &Document<'_>, checks: &mut Checks) {
    let protected = document.envelope.protected;
    let found = hex::encode(protected.get(..64).unwrap_or(protected));
    checks.ask("nitro.cose.algorithm", protected == ES384, "a1013822 (ES384, and no other header)", found);
    let digest = document.fields.digest.as_str();
    let found = digest.chars().take(40).collect::<String>();
    checks.ask("nitro.document.digest", digest == "SHA384", "SHA384", found);
}

/// The module speaks for itself: its id is the name that its certificate was issued to.
fn module(fields: &Fields, chain: &Chain, checks: &mut Checks) {
    let id = fields.module_id.as_str();
    let named = (1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
    let shown = format!("{:?}", id.chars().take(80).collect::<String>());
    checks.ask("nitro.document.module_id", named, "1 to 128 printable characters", shown.clone());
    let rest = chain.signer.name.strip_prefix(id);
    let same = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    let expected = format!("the module that the leaf {:?} was issued to", chain.signer.name);
    checks.ask("nitro.leaf.module", same, expected, shown);
}

/// The leaf holds now and held when the document was made, and that was not in the future.
fn time(fields: &Fields, chain: &Chain, now: UnixTime, checks: &mut Checks) {
    let window = chain.window();
    checks.ask("nitro.endorsement.window", window.contains(now), format!("{now} inside"), window.to_string());
    let made = fields.made();
    let good = fields.timestamp > 0 && window.contains(made);
    let expected = format!("an instant inside {window}");
    checks.ask("nitro.document.timestamp", good, expected, made.to_string());
    let latest = now.plus(SKEW);
    let expected = format!("at most {SKEW} seconds after {now}");
    checks.ask("nitro.document.future", made <= latest, expected, made.to_string());
}

/// AWS' sizes. Its text allows 512 bytes of data and nonce in one place and 1024 in another; machines give 1024.
fn sizes(fields: &Fields, checks: &mut Checks) {
    let given = |attached: &Attached| match attached {
        Attached::Absent | Attached::Null => attached.to_string(),
        Attached::Bytes(bytes) if bytes.len() > 512 => format!("{} bytes, more than 512", bytes.len()),
        Attached::Bytes(bytes) => format!("{} bytes", bytes.len()),
    };
    for (id, attached, least, expected) in [
        ("nitro.document.public_key", &fields.public_key, 1, "absent, null or 1 to 1024 bytes"),
        ("nitro.document.user_data", &fields.user_data, 0, "absent, null or at most 1024 bytes"),
        ("nitro.document.nonce", &fields.nonce, 0, "absent, null or at most 1024 bytes"),
    ] {
        let good = match attached {
            Attached::Absent | Attached::Null => true,
            Attached::Bytes(bytes) => (least..=1024).contains(&bytes.len()),
        };
        checks.ask(id, good, expected, given(attached));
    }
}

fn signature(document: &Document<'_>, crypto: &dyn Crypto, chain: &Chain, checks: &mut Checks) {
    let same = document.endorsement_id() == chain.id;
    let found = if same { "these" } else { "others" };
    checks.ask("nitro.endorsement.key", same, "the certificates that were verified", found);
    let message = document.envelope.to_be_signed();
    let verified = crypto.verify(Scheme::EcdsaP384Sha384, &chain.key, &message, document.envelope.signature);
    let found = if verified.is_ok() { "verifies" } else { "does not verify" };
    checks.ask("nitro.signature", verified.is_ok(), "a signature by the leaf over the received bytes", found);
}

impl Fields {
    /// When the document was made, to the second.
    #[must_use]
    pub fn made(&self) -> UnixTime {
        UnixTime(self.timestamp / 1000)
    }
}

/// How far, in seconds, a verifier's clock may be behind the hypervisor's.
const SKEW: u64 = 300;
