//! The evidence as vectors, in the format that `cargo xtask vectors` walks: to be sent to us, and kept for ever.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Result;
use attest::{Platform, UnixTime};

use crate::agent::Asked;

/// Writes `vectors/MANIFEST.toml` and the files that it names.
pub(crate) fn write(out: &Path, asked: &Asked, now: UnixTime) -> Result<()> {
    let folder = out.join("vectors");
    fs::create_dir_all(&folder)?;
    let (tee, kind, role, file) = words(asked.reply.platform);
    fs::write(folder.join(file), &asked.reply.evidence)?;
    let mut roles = format!("{role} = {file:?}");
    let mut files = vec![file.to_owned()];
    let certificates = asked.reply.certificates.iter().map(|der| ("certificate", "der", der));
    let lists = asked.reply.revocation_lists.iter().map(|der| ("crl", "crl.der", der));
    let documents = asked.reply.documents.iter().map(|json| ("document", "json", json));
    for (number, (kind, ending, content)) in certificates.chain(lists).chain(documents).enumerate() {
        let name = format!("{number}-{kind}.{ending}");
        fs::write(folder.join(&name), &content[..])?;
        let _written = write!(roles, ", {kind}_{number} = {name:?}");
        files.push(name);
    }
    let nonce = hex::encode(asked.request.nonce);
    let key = hex::encode(&asked.request.key.public);
    let entry = format!(
        "[[vector]]\nid = \"{tee}-{now}\"\nfiles = {files:?}\nrole = {{ {roles} }}\ntee = \"{tee}\"\n\
         kind = \"{kind}\"\nverify_at = \"{now}\"\nexpected = \"ok\"\n\
         challenge_nonce = \"{nonce}\"\nchallenge_context = {:?}\nchallenge_key = \"{key}\"\n",
        asked.request.context
    );
    fs::write(folder.join("MANIFEST.toml"), entry)?;
    Ok(())
}

/// The words of the manifest: platform, kind, role and name of the evidence.
fn words(platform: Platform) -> (&'static str, &'static str, &'static str, &'static str) {
    match platform {
        Platform::SevSnp => ("sev-snp", "report", "report", "report.bin"),
        Platform::Tdx => ("tdx", "quote+collateral", "quote", "quote.bin"),
        Platform::Nitro | Platform::NitroTpm => {
            ("nitro", "attestation-document", "document", "document.cose.bin")
        }
        Platform::Tpm2 => ("tpm2", "parcel", "parcel", "parcel.bin"),
        Platform::AzureSnp => ("azure-snp", "parcel", "parcel", "parcel.bin"),
        Platform::AzureTdx | _ => ("azure-tdx", "parcel", "parcel", "parcel.bin"),
    }
}
