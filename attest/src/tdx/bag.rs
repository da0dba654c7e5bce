//! The bag: certificates, lists and documents from anywhere, sorted by what they say they are.
//!
//! A quote brings its own chain; a cache or a file brings the rest. Where something stands says nothing. What
//! is not Intel's is passed over: a composite's bag also serves its other parts.
//!
//! Untrusted: everything but the roots.

use crate::x509::{self, Certificate, RevocationList};
use crate::{CannotJudge, Endorsements, Roots, TrustAnchors};

use super::Quote;
use super::documents::{Document, DocumentKind};
use super::root::Root;

/// The endorsements of a TD, none of them believed.
pub(super) struct Bag<'a> {
    pub(super) pcks: Vec<Certificate<'a>>,
    pub(super) authorities: Vec<Certificate<'a>>,
    pub(super) signers: Vec<Certificate<'a>>,
    pub(super) brought_roots: Vec<Certificate<'a>>,
    pub(super) lists: Vec<RevocationList<'a>>,
    pub(super) documents: Vec<Document<'a>>,
    /// How many of the first PCKs and authorities came with the quote, and how many of its certificates are
    /// neither these nor roots.
    pub(super) of_quote: Counts,
    pub(super) roots: Vec<Root<'a>>,
    pub(super) anchored: Roots,
}

impl<'a> Bag<'a> {
    /// Sorts the certificates that came with a quote and those of the endorsements.
    pub(super) fn sort(
        of_quote: &'a [Vec<u8>],
        endorsements: &'a Endorsements,
        anchors: &'a TrustAnchors,
    ) -> Result<Self, CannotJudge> {
        let roots = anchors.intel.iter().map(|der| Root::open(der)).collect::<Result<_, _>>()?;
        let lists = endorsements.revocation_lists.iter().map(|der| RevocationList::parse(der));
        let mut bag = Self {
            pcks: Vec::new(),
            authorities: Vec::new(),
            signers: Vec::new(),
            brought_roots: Vec::new(),
            lists: lists.collect::<Result<_, _>>()?,
            documents: Document::all(endorsements)?,
            of_quote: Counts::default(),
            roots,
            anchored: anchors.roots(),
        };
        for der in of_quote {
            bag.add(Certificate::parse(der)?);
        }
        let (pcks, authorities) = (bag.pcks.len(), bag.authorities.len());
        let known = pcks.saturating_add(authorities).saturating_add(bag.brought_roots.len());
        bag.of_quote = Counts { pcks, authorities, strangers: of_quote.len().saturating_sub(known) };
        for der in &endorsements.certificates {
            bag.add(Certificate::parse(der)?);
        }
        Ok(bag)
    }

    fn add(&mut self, certificate: Certificate<'a>) {
        let into = match certificate.common_name() {
            PCK => &mut self.pcks,
            PLATFORM_CA | PROCESSOR_CA => &mut self.authorities,
            SIGNER => &mut self.signers,
            ROOT => &mut self.brought_roots,
            _ => return,
        };
        into.push(certificate);
    }

    /// The documents of one kind.
    pub(super) fn documents(&self, kind: DocumentKind) -> impl Iterator<Item = &Document<'a>> {
        self.documents.iter().filter(move |document| document.kind() == kind)
    }

    pub(super) fn lists_of<'n>(&'n self, issuer: &'n [u8]) -> impl Iterator<Item = &'n RevocationList<'a>> {
        self.lists.iter().filter(move |list| list.issuer() == issuer)
    }
}

/// See [`Bag::of_quote`].
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) pcks: usize,
    pub(super) authorities: usize,
    pub(super) strangers: usize,
}

/// The certificates that a quote brings, DER.
pub(super) fn of_quote(quote: &Quote<'_>) -> Result<Vec<Vec<u8>>, CannotJudge> {
    // 4: the PCK's certificate, 5: its chain (A.3.9). Other kinds only name the certificate.
    if ![4, 5].contains(&quote.certification_type()) {
        return Ok(Vec::new());
    }
    let what = "certificate chain of the quote";
    let malformed = |problem: String| CannotJudge::Endorsement { what, problem };
    let text = quote.certification_data();
    blocks_only(text).map_err(malformed)?;
    let chain = x509::pem(text).map_err(|error| malformed(error.to_string()))?;
    if chain.len() > MAX_CHAIN {
        return Err(CannotJudge::TooMuch {
            what: "certificates in a quote",
            limit: MAX_CHAIN,
            found: chain.len(),
        });
    }
    Ok(chain)
}

/// Whether a text is blocks of certificates and nothing else; most hosts end it with a NUL. The text is not
/// signed: what stands between its certificates, or makes a block end where another reader goes on, has no
/// business there.
fn blocks_only(text: &[u8]) -> Result<(), String> {
    let mut inside = false;
    for line in text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end) {
        match (line, inside) {
            (b"-----BEGIN CERTIFICATE-----", false) => inside = true,
            (b"-----END CERTIFICATE-----", true) => inside = false,
            (b"" | [0], false) => {}
            (line, true) if !line.starts_with(b"-") => {}
            (line, _) => {
                return Err(format!(
                    "expected certificates in PEM, found {:?}",
                    String::from_utf8_lossy(line)
                ));
            }
        }
    }
    if inside { Err("a certificate without end".to_owned()) } else { Ok(()) }
}

/// The name of a platform's certificate.
pub(super) const PCK: &str = "Intel SGX PCK Certificate";
/// Who certifies platforms with several packages.
pub(super) const PLATFORM_CA: &str = "Intel SGX PCK Platform CA";
/// Who certifies platforms with one package.
pub(super) const PROCESSOR_CA: &str = "Intel SGX PCK Processor CA";
/// Who signs TCB info and QE identity.
pub(crate) const SIGNER: &str = "Intel SGX TCB Signing";
/// The root.
pub(crate) const ROOT: &str = "Intel SGX Root CA";

/// A leaf, an authority and a root: three. Hosts repeat some.
const MAX_CHAIN: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_is_certificates_and_nothing_else() {
        let block = "-----BEGIN CERTIFICATE-----\nAAEC\n-----END CERTIFICATE-----\n";
        for good in [
            block.to_owned(),
            block.repeat(3),
            format!("{block}\0"),
            block.replace('\n', "\r\n"),
            String::new(),
        ] {
            assert_eq!(blocks_only(good.as_bytes()), Ok(()), "{good:?}");
        }
        for bad in [
            block.replace("END CERTIFICATE-", "END CERTIFICATE2"),
            block.replace("-----END CERTIFICATE-----", ""),
            block.replace("CERTIFICATE", "CRL"),
            format!("a word\n{block}"),
            format!("{block}a word"),
            format!("{block}\0\0"),
            block.replace("AAEC", "-----BEGIN CERTIFICATE-----\nAAEC"),
        ] {
            assert!(blocks_only(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }
}
