//! `cloudtaser policy sign`: puts an author's name under a policy.
//!
//! The one verb that writes a file, where the caller says, and never over one that is there. What is not a policy
//! is not signed. Trusted: the key file. It is read, used and dropped; nothing of it is printed.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use attest::crypto::AwsLcRs;
use attest::policy::{PolicySigner, SignedPolicy};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use x509_parser::pem::Pem;

use crate::answer::{Answer, NotJudged, Verdict};
use crate::{input, layout};

/// Sign a policy with an Ed25519 key
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The policy, TOML
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The author's Ed25519 private key: PKCS#8 (PEM or DER)
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Where to write the signed policy; a file that exists is not overwritten
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Signs and says what was signed.
pub(crate) fn run(args: &Args) -> Answer {
    match sign(args) {
        Ok(said) => Answer::text(Verdict::Accepted, said),
        Err(why) => Answer::complaint(&why),
    }
}

fn sign(args: &Args) -> Result<String, NotJudged> {
    let (policy, text) = input::policy_text(&args.file)?;
    let key = key_pair(&args.key)?;
    let public = key.public_key().as_ref().try_into();
    let public = PolicySigner(public.map_err(|_why| unusable(&args.key))?);
    let signature = key.sign(&SignedPolicy::to_be_signed(&text, &public, &AwsLcRs));
    let file = SignedPolicy::signed(&text, &public, &AwsLcRs, signature.as_ref().to_vec())?;
    write(&args.out, &file)?;
    let (name, version) = (layout::printable(policy.name()), policy.version());
    let (digest, signer) = (policy.digest(), hex::encode(public.0));
    Ok(format!(
        "signed policy {name} version {version}\ndigest  {digest}\nsigner  {signer}\nkey id  {}\nfile    {}\n",
        public.id(&AwsLcRs),
        args.out.display()
    ))
}

pub(crate) fn key_pair(path: &Path) -> Result<Ed25519KeyPair, NotJudged> {
    let bytes = input::read(path, input::LIMIT)?;
    let is_pem = std::str::from_utf8(&bytes).is_ok_and(|text| text.contains("-----BEGIN "));
    let der = if is_pem {
        let block = Pem::iter_from_buffer(&bytes).next().and_then(Result::ok);
        let block = block.filter(|block| block.label == "PRIVATE KEY");
        block.ok_or_else(|| unusable(path))?.contents
    } else {
        bytes
    };
    // openssl writes PKCS#8 without the public key, others write it along.
    let pair =
        Ed25519KeyPair::from_pkcs8(&der).or_else(|_why| Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der));
    pair.map_err(|_why| unusable(path))
}

fn unusable(path: &Path) -> NotJudged {
    let message = format!("expected an Ed25519 private key in PKCS#8 (PEM or DER) in {}", path.display());
    NotJudged::new("signer.key", message)
}

pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), NotJudged> {
    let made = OpenOptions::new().write(true).create_new(true).open(path);
    made.and_then(|mut file| file.write_all(bytes)).map_err(|error| {
        NotJudged::new("output.unwritable", format!("expected to write {}, found: {error}", path.display()))
    })
}

const EXAMPLES: &str = "\
Examples:
  openssl genpkey -algorithm ed25519 -out author.pem
  cloudtaser policy sign mine.toml --key author.pem --out mine.policy
  cloudtaser policy verify mine.policy --signer $(openssl pkey -in author.pem -pubout -outform DER | tail -c 32 | xxd -p -c 32)";
