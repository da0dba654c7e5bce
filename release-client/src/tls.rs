//! TLS with servers that are known by their authority.
//!
//! TLS 1.3 alone, X25519MLKEM768 before anything else: what earlier versions protect can be recorded today and read by
//! whoever has a quantum computer later. No tickets are kept, so that nothing of a connection outlives it.
//!
//! Trusted: the files of authority and identity. Untrusted: the server, until its certificate is vouched for.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

/// Who vouches for the server's certificate.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Authority {
    /// The certificates in a PEM file.
    File(PathBuf),
    /// Nobody: `VAULT_SKIP_VERIFY`. Secrets stay sealed to our key, but anyone can answer.
    InsecureNobody,
}

/// Who we are to a server that asks for certificates.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Identity {
    /// The PEM file of our certificate and those above it.
    pub certificate: PathBuf,
    /// The PEM file of its private key.
    pub key: PathBuf,
}

/// Settings of a client that believes those for whom `authority` vouches, and nobody else.
pub(crate) fn tls(authority: &Authority, identity: Option<&Identity>) -> Result<ClientConfig, BadAuthority> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| BadAuthority { path: PathBuf::new(), problem: error.to_string() })?;
    let builder = match authority {
        Authority::InsecureNobody => {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        }
        Authority::File(path) => builder.with_root_certificates(roots(path)?),
    };
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let bad = |problem: String| BadAuthority { path: identity.key.clone(), problem };
            let key = PrivateKeyDer::from_pem_file(&identity.key)
                .map_err(|_why| bad("no private key in it".to_owned()))?;
            let chain = certificates(&identity.certificate)?;
            builder.with_client_auth_cert(chain, key).map_err(|error| bad(error.to_string()))?
        }
    };
    config.resumption = Resumption::disabled();
    // Records are ours once the handshake is done: see `http::records`.
    config.enable_secret_extraction = true;
    Ok(config)
}

fn roots(path: &Path) -> Result<RootCertStore, BadAuthority> {
    let mut roots = RootCertStore::empty();
    let (added, _ignored) = roots.add_parsable_certificates(certificates(path)?);
    let problem = "no certificate in it that can vouch for others".to_owned();
    if added == 0 { Err(BadAuthority { path: path.to_owned(), problem }) } else { Ok(roots) }
}

/// The certificates in a PEM file: at least one.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, BadAuthority> {
    let bad = |problem: String| BadAuthority { path: path.to_owned(), problem };
    let pem = fs::read(path).map_err(|error| bad(error.to_string()))?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let certificates = certificates.map_err(|error| bad(error.to_string()))?;
    if certificates.is_empty() { Err(bad("no certificate in it".to_owned())) } else { Ok(certificates) }
}

/// Believes everybody who holds the key of the certificate that they show.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// A file of certificates or keys cannot be used.
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
        let error = tls(&Authority::File("/dev/null".into()), None).unwrap_err();
        assert_eq!(error.to_string(), "/dev/null: no certificate in it");
    }

    #[test]
    fn a_key_that_is_none_is_named_and_not_repeated() {
        let identity = Identity { certificate: "/dev/null".into(), key: "/dev/null".into() };
        let error = tls(&Authority::InsecureNobody, Some(&identity)).unwrap_err();
        assert_eq!(error.to_string(), "/dev/null: no private key in it");
    }

    #[test]
    fn the_key_exchange_that_outlives_quantum_computers_comes_first() {
        let config = tls(&Authority::InsecureNobody, None).unwrap();
        let first = config.crypto_provider().kx_groups.first().map(|group| group.name());
        assert_eq!(first, Some(rustls::NamedGroup::X25519MLKEM768));
    }
}
