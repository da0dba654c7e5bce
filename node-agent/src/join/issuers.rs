//! The certificates between a TPM's and its manufacturer's root.
//!
//! Few TPMs keep them; an operator who has them puts them among the endorsements, with all the others. Only those that lead
//! upwards from the TPM's go along, and no root: the server has its own.
//!
//! Untrusted: all of it. Names lead here, and names alone; the server verifies.

use x509_parser::certificate::X509Certificate;
use x509_parser::parse_x509_certificate;

/// `leaf`'s issuer, its issuer, and so on, as far as they are among `kept`.
pub(super) fn issuers(leaf: &[u8], kept: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut path: Vec<Vec<u8>> = Vec::new();
    while path.len() < LONGEST {
        let below = path.last().map_or(leaf, Vec::as_slice);
        let Some(above) = issuer(below, kept).filter(|above| !path.contains(above)) else { break };
        path.push(above.clone());
    }
    path
}

fn issuer<'k>(below: &[u8], kept: &'k [Vec<u8>]) -> Option<&'k Vec<u8>> {
    let below = parse(below)?;
    kept.iter().find(|der| {
        let above = parse(der);
        above.is_some_and(|above| above.subject() == below.issuer() && above.subject() != above.issuer())
    })
}

fn parse(der: &[u8]) -> Option<X509Certificate<'_>> {
    parse_x509_certificate(der).ok().map(|(_, certificate)| certificate)
}

/// Manufacturers have one or two.
const LONGEST: usize = 4;

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, CertifiedIssuer, DnType, KeyPair};

    use super::*;

    fn params(name: &str) -> CertificateParams {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params
    }

    #[test]
    fn only_those_that_lead_upwards_go_along_and_no_root() {
        let key = || KeyPair::generate().unwrap();
        let root = CertifiedIssuer::self_signed(params("root"), key()).unwrap();
        let middle = CertifiedIssuer::signed_by(params("middle"), key(), &root).unwrap();
        let other = CertifiedIssuer::signed_by(params("other"), key(), &root).unwrap();
        let leaf = params("tpm").signed_by(&key(), &middle).unwrap();
        let kept =
            [b"no certificate".to_vec(), root.der().to_vec(), other.der().to_vec(), middle.der().to_vec()];
        assert_eq!(issuers(leaf.der(), &kept), [middle.der().to_vec()]);
        assert_eq!(issuers(root.der(), &kept), Vec::<Vec<u8>>::new());
        assert_eq!(issuers(b"no certificate", &kept), Vec::<Vec<u8>>::new());
    }
}
