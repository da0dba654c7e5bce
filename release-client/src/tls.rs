//! TLS with servers that are known by their authority.
//!
//! Prefers X25519MLKEM768. Trusted: the authority's file.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

/// Who vouches for the server's certificate.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Authority {
    /// The certificates in a PEM file.
    File(PathBuf),
    /// Nobody: `VAULT_SKIP_VERIFY`. Secrets stay sealed to our key, but anyone can answer.
    InsecureNobody,
}

/// Settings of a client that believes those for whom `authority` vouches, and nobody else.
pub fn tls(authority: &Authority) -> Result<TlsConfig, BadAuthority> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = TlsConfig::builder().unversioned_rustls_crypto_provider(provider);
    match authority {
        Authority::InsecureNobody => Ok(tls.disable_verification(true).build()),
        Authority::File(path) => {
            let bad = |problem| BadAuthority { path: path.clone(), problem };
            let certificates = RootCerts::Specific(Arc::new(certificates(path).map_err(bad)?));
            Ok(tls.root_certs(certificates).build())
        }
    }
}

fn certificates(path: &Path) -> Result<Vec<ureq::tls::Certificate<'static>>, String> {
    let pem = fs::read(path).map_err(|error| error.to_string())?;
    let mut certificates = Vec::new();
    for item in parse_pem(&pem) {
        if let PemItem::Certificate(certificate) = item.map_err(|error| error.to_string())? {
            certificates.push(certificate);
        }
    }
    if certificates.is_empty() { Err("no certificate in it".to_owned()) } else { Ok(certificates) }
}

/// The certificates that should vouch for a server cannot be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{}: {problem}", path.display())]
pub struct BadAuthority {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_certificates_is_named() {
        let error = tls(&Authority::File("/dev/null".into())).unwrap_err();
        assert_eq!(error.to_string(), "/dev/null: no certificate in it");
    }
}
