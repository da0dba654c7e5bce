//! `cloudtaser policy approve`: shows what a proposal would change, and signs it.
//!
//! The id is computed again from what was fetched, the content is hashed here, and what would change is put in words
//! against the content that the proposal replaces. What cannot be shown is not signed.
//!
//! Trusted: the key. Untrusted: the server.

use attest::Digest;
use serde_json::json;

use crate::answer::{Answer, NotJudged};
use crate::layout;
use crate::ruled::server::{Server, Shown, Where};
use crate::ruled::signing::Hand;
use crate::ruled::words;
use crate::ruled::{EXIT_CODES, Stopped, told};

/// Show what a proposal would change, and approve it by a signature
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
pub(crate) struct Args {
    /// The proposal's id
    #[arg(value_name = "ID")]
    id: Digest<32>,
    #[command(flatten)]
    hand: Hand,
    #[command(flatten)]
    place: Where,
}

/// Shows; with a key or a program to sign with, approves.
pub(crate) fn run(args: &Args) -> Answer {
    told(approve(args))
}

fn approve(args: &Args) -> Result<String, Stopped> {
    let server = Server::new(&args.place)?;
    let shown = server.proposal(args.id)?;
    if let Some(at) = shown.applied {
        let message = format!("proposal {} was applied at {at}", args.id);
        return Err(NotJudged::new("proposal.applied", message).into());
    }
    let change = &shown.proposal.change;
    let in_force = server.in_force(&change.item)?;
    if in_force.digest() != change.replaces {
        let message =
            "the proposal replaces another content than the one in force: it has to be proposed anew";
        return Err(NotJudged::new("proposal.base", message).into());
    }
    let mut said = String::new();
    for line in shown.proposal.text().lines() {
        layout::line(&mut said, &layout::printable(line));
    }
    layout::line(&mut said, "");
    said.push_str(&words::difference(&change.item, in_force.text(), &shown.content)?);
    let signed = args.hand.sign(|name| shown.proposal.to_be_signed(name))?;
    let Some((name, signature)) = signed else {
        layout::line(&mut said, "\nnothing was signed: name yourself (--as) and a --key or a --signer");
        return Ok(said);
    };
    let body = json!({ "approver": name, "signature": base64(&signature) });
    let after = server.approve(args.id, &body)?;
    layout::line(&mut said, &format!("\n{}", standing(&after)));
    Ok(said)
}

/// Who approved, and what is missing.
pub(crate) fn standing(shown: &Shown) -> String {
    if let Some(at) = shown.applied {
        return format!("applied at {at}, approved by {}", layout::printable(&shown.approved_by.join(", ")));
    }
    let counted = shown.counted.clone().unwrap_or_default();
    let missing = shown.threshold.unwrap_or_default().saturating_sub(counted.len());
    let by = if counted.is_empty() { "nobody".to_owned() } else { layout::printable(&counted.join(", ")) };
    format!("approved by {by}; {missing} more needed until {}", shown.proposal.expires)
}

/// The standard alphabet, as OpenBao takes bytes.
pub(crate) fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

const EXAMPLES: &str = "\
Examples:
  cloudtaser policy approve ID
  cloudtaser policy approve ID --as alice --key alice.pem
  cloudtaser policy approve ID --as alice --signer 'openssl dgst -sha256 -sign alice-p256.pem'
  cloudtaser policy approve ID --as alice \\
    --signer 'pkcs11-tool --module /usr/lib/opensc-pkcs11.so --sign --mechanism SHA256-RSA-PKCS --id 02'

Without --key and --signer it only shows. The program behind --signer reads the text from its standard input
and writes the signature: Ed25519, ECDSA P-256 with SHA-256, P-384 with SHA-384, RSA with SHA-256.";
