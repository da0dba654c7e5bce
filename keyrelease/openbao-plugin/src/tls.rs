//! Mutual TLS between the host and this process, with certificates that live as long as it does.
//!
//! Each side shows a self-signed certificate and knows the other's byte for byte: the host's came
//! in the environment, ours goes out in the handshake line. So there is no chain to build, and
//! none is built: the host's certificate says CA:TRUE, which webpki refuses in a leaf.
//! Its key is P-521, which is why the provider is aws-lc-rs.
//!
//! Trusted: the certificate given at start. Untrusted: whoever connects, until the handshake ends.

use std::sync::Arc;

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::version::TLS13;
use rustls::{ClientConfig, DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};

/// Our certificate and both directions' settings.
#[derive(Debug)]
pub(crate) struct Identity {
    /// What goes into the handshake line.
    pub(crate) certificate: CertificateDer<'static>,
    /// For the host's connections to us.
    pub(crate) server: Arc<ServerConfig>,
    /// For our connections to the host.
    pub(crate) client: Arc<ClientConfig>,
}

impl Identity {
    /// Draws a key and pins the host's certificate.
    pub(crate) fn draw(host: CertificateDer<'static>) -> Result<Self, TlsError> {
        let key = KeyPair::generate()?;
        let certificate = parameters()?.self_signed(&key)?.der().clone();
        let private = || PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let provider = Arc::new(aws_lc_rs::default_provider());
        let pinned = Arc::new(Pinned { host, provider: Arc::clone(&provider) });
        let mut server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(Arc::<Pinned>::clone(&pinned))
            .with_single_cert(vec![certificate.clone()], private())?;
        // The host connects once: a ticket would be for nothing.
        server.send_tls13_tickets = 0;
        server.alpn_protocols = vec![b"h2".to_vec()];
        let mut client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(pinned)
            .with_client_auth_cert(vec![certificate.clone()], private())?;
        client.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Self { certificate, server: Arc::new(server), client: Arc::new(client) })
    }
}

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum TlsError {
    /// The certificate could not be made.
    #[error("certificate of this process: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The settings do not fit together.
    #[error("tls settings: {0}")]
    Settings(#[from] rustls::Error),
}

fn parameters() -> Result<CertificateParams, rcgen::Error> {
    let mut parameters = CertificateParams::new(["localhost".to_owned()])?;
    parameters.distinguished_name.push(DnType::CommonName, "localhost");
    // Both: the host dials us, and we dial the host.
    parameters.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    Ok(parameters)
}

/// Accepts one certificate.
#[derive(Debug)]
struct Pinned {
    host: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl Pinned {
    fn compare(&self, found: &CertificateDer<'_>) -> Result<(), rustls::Error> {
        // Both are public, so an ordinary comparison gives nothing away.
        if found.as_ref() == self.host.as_ref() {
            return Ok(());
        }
        Err(rustls::Error::InvalidCertificate(rustls::CertificateError::ApplicationVerificationFailure))
    }

    fn signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// TLS 1.2 is not offered, so its signatures are refused where the trait asks for them.
fn no_tls12() -> Result<HandshakeSignatureValid, rustls::Error> {
    Err(rustls::PeerIncompatible::Tls12NotOffered.into())
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.compare(end_entity).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        no_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes()
    }
}

impl ClientCertVerifier for Pinned {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.compare(end_entity).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        no_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, IsCa, PKCS_ECDSA_P521_SHA512};
    use rustls::sign::{CertifiedKey, SingleCertAndKey};
    use tokio_rustls::{TlsAcceptor, TlsConnector};

    /// A certificate as go-plugin makes them: P-521, and CA:TRUE although it is a leaf.
    fn host() -> (CertificateDer<'static>, KeyPair) {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P521_SHA512).unwrap();
        let mut parameters = parameters().unwrap();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        (parameters.self_signed(&key).unwrap().der().clone(), key)
    }

    /// What the server says when a peer with this certificate and key dials it.
    async fn dialled(
        server: &Identity,
        shown: Option<(CertificateDer<'static>, &KeyPair)>,
    ) -> std::io::Result<()> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let pinned = Pinned { host: server.certificate.clone(), provider: Arc::clone(&provider) };
        let client = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(pinned));
        let client = match shown {
            None => client.with_no_client_auth(),
            Some((certificate, key)) => {
                let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
                let key = provider.key_provider.load_private_key(key).unwrap();
                // Unlike the builder, this takes a certificate with a key that is not its own.
                let both = CertifiedKey::new(vec![certificate], key);
                client.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(both)))
            }
        };
        let (near, far) = tokio::io::duplex(1 << 16);
        let name = ServerName::try_from("localhost").unwrap();
        let (accepted, _) = tokio::join!(
            TlsAcceptor::from(Arc::clone(&server.server)).accept(near),
            TlsConnector::from(Arc::new(client)).connect(name, far),
        );
        accepted.map(drop)
    }

    #[tokio::test]
    async fn the_hosts_p521_ca_certificate_is_accepted_as_a_leaf() {
        let (certificate, key) = host();
        let server = Identity::draw(certificate.clone()).unwrap();
        dialled(&server, Some((certificate, &key))).await.unwrap();
    }

    #[tokio::test]
    async fn another_certificate_with_the_same_names_is_refused() {
        let (stranger, key) = host();
        let server = Identity::draw(host().0).unwrap();
        let error = dialled(&server, Some((stranger, &key))).await.unwrap_err();
        assert!(error.to_string().contains("ApplicationVerificationFailure"), "{error}");
    }

    #[tokio::test]
    async fn the_hosts_certificate_without_its_key_is_refused() {
        let (certificate, _) = host();
        let server = Identity::draw(certificate.clone()).unwrap();
        let error = dialled(&server, Some((certificate, &host().1))).await.unwrap_err();
        assert!(error.to_string().contains("BadSignature"), "{error}");
    }

    #[tokio::test]
    async fn a_peer_without_a_certificate_is_refused() {
        let server = Identity::draw(host().0).unwrap();
        let error = dialled(&server, None).await.unwrap_err();
        assert!(error.to_string().contains("no certificates"), "{error}");
    }
}
