//! Endorsements from files: DER, PEM, certificate tables, whole directories.
//!
//! Everything lands in one bag; which certificate is which is decided by the verifier, from what they say.
//! A file that is none of these is an error that names it: a certificate that was silently passed over
//! would come back as a refusal that nobody understands.
//!
//! Untrusted: every file.

use std::path::{Path, PathBuf};

use attest::{Endorsements, Roots, snp};
use x509_parser::pem::Pem;
use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate};

use crate::answer::NotJudged;
use crate::input;

/// Reads all endorsements that the caller names. A directory stands for the files in it, in the order of
/// their names, without its subdirectories.
pub(crate) fn read(paths: &[PathBuf]) -> Result<Endorsements, NotJudged> {
    let mut endorsements = Endorsements::default();
    let mut problems = Vec::new();
    for path in files(paths)? {
        let bytes = input::read(&path, input::LIMIT)?;
        match sort(&bytes, &mut endorsements) {
            Ok(()) => {}
            Err(problem) => problems.push(format!("{}: {problem}", path.display())),
        }
    }
    if problems.is_empty() {
        return Ok(endorsements);
    }
    let expected = "expected certificates and revocation lists (DER, PEM or a certificate table), and signed documents (JSON)";
    let message = format!("{expected}, found {}", problems.join("; "));
    Err(NotJudged::new("endorsement.unrecognised", message))
}

/// Adds the vendor's own intermediates, which are public and pinned, where the caller brought none.
pub(crate) fn complete(endorsements: &mut Endorsements, roots: Roots) {
    let brought = endorsements.certificates.iter().any(|der| is_intermediate(der));
    if roots == Roots::Vendor && !brought {
        endorsements.certificates.extend(snp::vendor_intermediates());
    }
}

/// Takes the certificates and lists out of a file, whichever form it has.
pub(crate) fn sort(bytes: &[u8], into: &mut Endorsements) -> Result<(), String> {
    if bytes.is_empty() {
        return Err("an empty file".to_owned());
    }
    if bytes.first() == Some(&SEQUENCE) {
        return der(bytes, into);
    }
    if bytes.first() == Some(&b'{') {
        into.documents.push(bytes.to_vec());
        return Ok(());
    }
    if std::str::from_utf8(bytes).is_ok_and(|text| text.contains("-----BEGIN ")) {
        return pem(bytes, into);
    }
    // A table has zeros in it, and DER, which is no text.
    if std::str::from_utf8(bytes).is_ok_and(|text| !text.contains('\0')) {
        return Err("text that is neither PEM nor DER, nor a JSON document".to_owned());
    }
    let table =
        snp::certificates(bytes).map_err(|error| format!("neither DER nor PEM, nor a table: {error}"))?;
    if table.certificates.is_empty() {
        return Err("a certificate table without certificates".to_owned());
    }
    into.certificates.extend(table.certificates);
    Ok(())
}

fn der(bytes: &[u8], into: &mut Endorsements) -> Result<(), String> {
    if let Ok((rest, _)) = X509Certificate::from_der(bytes) {
        whole(rest, "certificate")?;
        into.certificates.push(bytes.to_vec());
        return Ok(());
    }
    match CertificateRevocationList::from_der(bytes) {
        Ok((rest, _)) => {
            whole(rest, "revocation list")?;
            into.revocation_lists.push(bytes.to_vec());
            Ok(())
        }
        Err(_) => Err("DER that is neither a certificate nor a revocation list".to_owned()),
    }
}

fn whole(rest: &[u8], what: &str) -> Result<(), String> {
    if rest.is_empty() { Ok(()) } else { Err(format!("{} bytes after a {what}", rest.len())) }
}

fn pem(bytes: &[u8], into: &mut Endorsements) -> Result<(), String> {
    let before = into.certificates.len().saturating_add(into.revocation_lists.len());
    for block in Pem::iter_from_buffer(bytes) {
        let block = block.map_err(|error| format!("malformed PEM: {error}"))?;
        if !["CERTIFICATE", "X509 CRL"].contains(&block.label.as_str()) {
            return Err(format!("PEM of {:?}", block.label));
        }
        der(&block.contents, into)?;
    }
    let after = into.certificates.len().saturating_add(into.revocation_lists.len());
    if after == before { Err("PEM without a whole block".to_owned()) } else { Ok(()) }
}

/// The files that these paths stand for.
fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, NotJudged> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            files.extend(entries(path)?);
        } else {
            files.push(path.clone());
        }
    }
    if files.len() > Endorsements::MAX_ITEMS {
        let message =
            format!("expected at most {} endorsement files, found {}", Endorsements::MAX_ITEMS, files.len());
        return Err(NotJudged::new("input.too_much", message));
    }
    Ok(files)
}

fn entries(directory: &Path) -> Result<Vec<PathBuf>, NotJudged> {
    let unreadable = |error: std::io::Error| {
        let message = format!("expected to read {}, found: {error}", directory.display());
        NotJudged::new("input.unreadable", message)
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if !path.is_dir() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Whether this is an authority below a root: neither a chip's key nor its own issuer.
fn is_intermediate(der: &[u8]) -> bool {
    X509Certificate::from_der(der).is_ok_and(|(_, certificate)| {
        let name = certificate.subject().iter_common_name().next().and_then(|name| name.as_str().ok());
        let is_vek = name.is_some_and(|name| ["SEV-VCEK", "SEV-VLEK"].contains(&name));
        !is_vek && certificate.subject().as_raw() != certificate.issuer().as_raw()
    })
}

/// The first byte of every certificate and list in DER. No certificate table begins with it: its first row
/// is the GUID of a VCEK, VLEK, ASK, ARK or the like, or zeros.
const SEQUENCE: u8 = 0x30;
