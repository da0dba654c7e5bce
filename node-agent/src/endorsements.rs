//! Certificates and revocation lists that the operator keeps beside the agent.
//!
//! They are read when the agent starts, when all must be well, and again when a file changed, because a
//! revocation list lives for weeks only. If the new ones cannot be read, the old ones stay in use.
//!
//! Trusted: nothing; the verifier checks each signature. What is checked here is that a file is what the
//! operator believes, so that a mistake shows at the start and not at the first refusal.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use attest::Endorsements;
use protocol::agent::MAX_REPLY;
use x509_parser::pem::Pem;

/// The files, and what was last read from them.
#[derive(Debug)]
pub struct Shelf {
    sources: Vec<PathBuf>,
    content: Mutex<Content>,
}

#[derive(Debug)]
struct Content {
    stamp: Vec<Stamp>,
    endorsements: Endorsements,
}

/// By which a changed file is told.
type Stamp = (PathBuf, u64, Option<SystemTime>);

impl Shelf {
    /// Reads all of them.
    pub fn open(sources: Vec<PathBuf>) -> Result<Self, Unreadable> {
        let content = Content::read(&sources)?;
        Ok(Self { sources, content: Mutex::new(content) })
    }

    /// What the files hold now. With the old content comes the reason why the new is not used.
    pub fn current(&self) -> (Endorsements, Option<Unreadable>) {
        let mut content = self.content.lock().unwrap_or_else(PoisonError::into_inner);
        match content.refresh(&self.sources) {
            Ok(()) => (content.endorsements.clone(), None),
            Err(unreadable) => (content.endorsements.clone(), Some(unreadable)),
        }
    }
}

impl Content {
    fn read(sources: &[PathBuf]) -> Result<Self, Unreadable> {
        let stamp = stamps(sources)?;
        let mut endorsements = Endorsements::default();
        for (path, _, _) in &stamp {
            take(path, &mut endorsements)?;
        }
        within_budget(&endorsements)?;
        Ok(Self { stamp, endorsements })
    }

    fn refresh(&mut self, sources: &[PathBuf]) -> Result<(), Unreadable> {
        if stamps(sources)? != self.stamp {
            *self = Self::read(sources)?;
        }
        Ok(())
    }
}

/// Adds what came with the evidence to what the operator keeps, without doubles, as far as a verifier
/// looks and a reply has room beside `evidence` bytes: the host, which makes the rest, cannot crowd out the
/// operator's.
pub(crate) fn join(kept: Endorsements, certificates: Vec<Vec<u8>>, evidence: usize) -> Endorsements {
    let mut joined = kept;
    let room = MAX_JOINED.saturating_sub(evidence);
    for certificate in certificates {
        let fits = items(&joined) < Endorsements::MAX_ITEMS
            && certificate.len() <= Endorsements::MAX_ITEM_BYTES
            && bytes(&joined).saturating_add(certificate.len()) <= room;
        if fits && !joined.certificates.contains(&certificate) {
            joined.certificates.push(certificate);
        }
    }
    joined
}

/// The files: those named, and in directories those whose names do not begin with a dot.
fn stamps(sources: &[PathBuf]) -> Result<Vec<Stamp>, Unreadable> {
    let mut stamps = Vec::new();
    for source in sources {
        let called = |error| Unreadable::Call { path: source.clone(), source: error };
        if fs::metadata(source).map_err(called)?.is_dir() {
            for entry in fs::read_dir(source).map_err(called)? {
                let path = entry.map_err(called)?.path();
                let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
                stamps.extend((!hidden).then(|| stamp(path)).transpose()?);
            }
        } else {
            stamps.push(stamp(source.clone())?);
        }
    }
    stamps.sort();
    Ok(stamps)
}

fn stamp(path: PathBuf) -> Result<Stamp, Unreadable> {
    match fs::metadata(&path) {
        Ok(metadata) => Ok((path, metadata.len(), metadata.modified().ok())),
        Err(source) => Err(Unreadable::Call { path, source }),
    }
}

fn take(path: &Path, endorsements: &mut Endorsements) -> Result<(), Unreadable> {
    let content = fs::read(path).map_err(|source| Unreadable::Call { path: path.to_owned(), source })?;
    if content.starts_with(b"{") {
        endorsements.documents.push(content);
        return Ok(());
    }
    let blocks = if content.starts_with(&[SEQUENCE]) { Ok(vec![content]) } else { unarmour(&content) };
    for der in blocks.map_err(|found| unknown(path, found))? {
        if let Ok(([], _)) = x509_parser::parse_x509_certificate(&der) {
            endorsements.certificates.push(der);
        } else if let Ok(([], _)) = x509_parser::parse_x509_crl(&der) {
            endorsements.revocation_lists.push(der);
        } else {
            return Err(unknown(path, "other content".to_owned()));
        }
    }
    Ok(())
}

fn unarmour(pem: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let blocks: Result<Vec<Vec<u8>>, _> =
        Pem::iter_from_buffer(pem).map(|block| block.map(|block| block.contents)).collect();
    let blocks = blocks.map_err(|error| error.to_string())?;
    if blocks.is_empty() { Err("neither DER nor PEM".to_owned()) } else { Ok(blocks) }
}

fn unknown(path: &Path, found: String) -> Unreadable {
    Unreadable::Content { path: path.to_owned(), found }
}

fn within_budget(kept: &Endorsements) -> Result<(), Unreadable> {
    let longest = kinds(kept).into_iter().flatten().map(Vec::len).max().unwrap_or(0);
    let limits = [
        ("items", MAX_KEPT_ITEMS, items(kept)),
        ("bytes", MAX_KEPT, bytes(kept)),
        ("bytes in one item", Endorsements::MAX_ITEM_BYTES, longest),
    ];
    match limits.into_iter().find(|(_, limit, found)| found > limit) {
        Some((what, limit, found)) => Err(Unreadable::TooMuch { what, limit, found }),
        None => Ok(()),
    }
}

fn kinds(endorsements: &Endorsements) -> [&Vec<Vec<u8>>; 3] {
    [&endorsements.certificates, &endorsements.revocation_lists, &endorsements.documents]
}

fn items(endorsements: &Endorsements) -> usize {
    kinds(endorsements).map(Vec::len).into_iter().fold(0, usize::saturating_add)
}

fn bytes(endorsements: &Endorsements) -> usize {
    kinds(endorsements).into_iter().flatten().map(Vec::len).sum()
}

/// Why the endorsements cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unreadable {
    /// A file or directory cannot be read.
    #[error("endorsements: {path}: {source}")]
    Call {
        /// The file or directory.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// Neither a certificate nor a revocation list.
    #[error("endorsements: {path}: expected X.509 certificates or revocation lists, found {found}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is there.
        found: String,
    },
    /// More than a verifier looks at.
    #[error("endorsements: expected at most {limit} {what}, found {found}")]
    TooMuch {
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        limit: usize,
        /// How much there is.
        found: usize,
    },
}

/// The first byte of DER; PEM begins with text.
const SEQUENCE: u8 = 0x30;
/// Leaves a verifier's limit room for the host's table.
const MAX_KEPT_ITEMS: usize = 24;
const MAX_KEPT: usize = 256 * 1024;
/// Of [`protocol::agent::MAX_REPLY`], what evidence and endorsements share; the rest is for what encloses them.
const MAX_JOINED: usize = MAX_REPLY - 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use simulator::snp::{Chip, Product};

    #[test]
    fn certificates_and_lists_are_told_apart_in_der_and_pem() {
        let chip = Chip::new(1, Product::Genoa);
        let (chain, crl) = (chip.chain(), chip.crl().der());
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("ark.crt"), &chain.ark).unwrap();
        fs::write(folder.path().join("crl"), &crl).unwrap();
        fs::write(folder.path().join("bundle.pem"), armour(&[&chain.ask, &chain.vcek])).unwrap();
        fs::write(folder.path().join(".hidden"), "not looked at").unwrap();
        let shelf = Shelf::open(vec![folder.path().to_owned()]).unwrap();
        let (endorsements, problem) = shelf.current();
        assert!(problem.is_none());
        assert_eq!(endorsements.certificates, [chain.ark, chain.ask, chain.vcek]);
        assert_eq!(endorsements.revocation_lists, [crl]);
    }

    #[test]
    fn a_new_list_is_used_without_a_restart_and_a_broken_one_is_not() {
        let chip = Chip::new(1, Product::Genoa);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("crl.der");
        let (old, new) = (chip.crl().der(), chip.crl().revoke(9).der());
        fs::write(&file, &old).unwrap();
        let shelf = Shelf::open(vec![file.clone()]).unwrap();
        fs::write(&file, &new).unwrap();
        assert_eq!(shelf.current().0.revocation_lists, std::slice::from_ref(&new));
        fs::write(&file, "<html>").unwrap();
        let (endorsements, problem) = shelf.current();
        assert_eq!(endorsements.revocation_lists, [new]);
        assert!(matches!(problem, Some(Unreadable::Content { .. })), "{problem:?}");
    }

    #[test]
    fn a_file_of_something_else_stops_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key.pem");
        fs::write(&file, armour(&[b"\x30\x03\x02\x01\x01"])).unwrap();
        let error = Shelf::open(vec![file.clone()]).unwrap_err();
        let expected = format!(
            "endorsements: {}: expected X.509 certificates or revocation lists, found other content",
            file.display()
        );
        assert_eq!(error.to_string(), expected);
        fs::write(&file, "").unwrap();
        assert!(Shelf::open(vec![file]).unwrap_err().to_string().ends_with("found neither DER nor PEM"));
    }

    #[test]
    fn the_host_cannot_crowd_out_what_the_operator_keeps() {
        let kept = Endorsements {
            certificates: vec![vec![1]],
            revocation_lists: vec![vec![2]],
            ..Endorsements::default()
        };
        let joined = join(kept, (0..200).map(|byte| vec![0x30, byte]).chain([vec![1]]).collect(), 0);
        assert_eq!(items(&joined), Endorsements::MAX_ITEMS);
        assert_eq!((&joined.certificates[0], &joined.revocation_lists[0]), (&vec![1], &vec![2]));
        let joined = join(Endorsements::default(), (0..20).map(|byte| vec![byte; 60_000]).collect(), 100_000);
        assert_eq!(joined.certificates.len(), (MAX_JOINED - 100_000) / 60_000);
    }

    fn armour(blocks: &[&[u8]]) -> String {
        use base64::Engine as _;
        let text = |der: &&[u8]| base64::engine::general_purpose::STANDARD.encode(der);
        let armoured =
            |der| format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", text(der));
        blocks.iter().map(armoured).collect()
    }
}
