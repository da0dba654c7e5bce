//! A look at how a server speaks TLS, before a token is sent to it.
//!
//! One handshake, verified as a client's would be, even where the settings say not to; nothing is sent over it.
//! A second, with the words of old clients, is in [`super::old_tls`].
//!
//! Trusted: the roots that the settings name. Untrusted: the server; it has a few seconds, in whatever steps.

use std::io::{self, Read, Write};
use std::net::{IpAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use attest::UnixTime;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use super::facts::{Certificate, OldTls, Tls};
use super::old_tls;
use crate::layout::printable;
use crate::openbao::{Address, Authority, Certificates, Settings, Unreachable};

/// Speaks TLS with the server, if the address has any.
pub(super) fn look(
    settings: &Settings,
    certificates: &Certificates,
    patience: Duration,
) -> Result<Tls, Unreachable> {
    let address = &settings.address;
    if !address.encrypted {
        return Ok(Tls::Plain);
    }
    let mut stream = Timed::connect(address, patience)?;
    let certificate = match spoken(settings, certificates, &mut stream) {
        Ok(certificate) => Ok(certificate),
        Err(Unspoken::Certificate(why)) => Err(why),
        Err(Unspoken::Nothing(why)) => return Err(Unreachable(format!("{address}: {why}"))),
    };
    let old = match Timed::connect(address, patience) {
        Ok(mut stream) => old_tls::offer(&mut stream, &address.host),
        Err(Unreachable(why)) => OldTls::Unclear(format!("with {why}")),
    };
    Ok(Tls::Encrypted { certificate, old })
}

/// Why there was no verified conversation.
enum Unspoken {
    /// It is TLS, and the certificate is not one to believe.
    Certificate(String),
    /// It is no TLS that we can speak.
    Nothing(String),
}

fn spoken(
    settings: &Settings,
    certificates: &Certificates,
    stream: &mut Timed,
) -> Result<Certificate, Unspoken> {
    let name = server_name(&settings.address.host).map_err(Unspoken::Nothing)?;
    let config = Arc::new(config(certificates).map_err(Unspoken::Certificate)?);
    let connection = ClientConnection::new(config, name);
    let mut connection = connection.map_err(|error| Unspoken::Nothing(error.to_string()))?;
    while connection.is_handshaking() {
        connection.complete_io(stream).map_err(|error| unspoken(&error))?;
    }
    let version =
        connection.protocol_version().map_or_else(|| "TLS".to_owned(), |version| format!("{version:?}"));
    let leaf = connection.peer_certificates().and_then(|chain| chain.first());
    let not_after = leaf.and_then(|leaf| not_after(leaf));
    let not_after =
        not_after.ok_or_else(|| Unspoken::Certificate("a certificate that cannot be read".to_owned()))?;
    let skipped = matches!(settings.authority, Authority::InsecureNobody(_));
    Ok(Certificate { not_after, version, skipped })
}

fn unspoken(error: &io::Error) -> Unspoken {
    let why = printable(&error.to_string());
    let rustls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    if !matches!(rustls, Some(rustls::Error::InvalidCertificate(_))) {
        return Unspoken::Nothing(why);
    }
    // webpki's own word, which names no remedy: Go's clients take such a certificate, ours do not.
    let own = "a certificate authority's own certificate, expected one that it issued for the server";
    Unspoken::Certificate(if why.contains("CaUsedAsEndEntity") { own.to_owned() } else { why })
}

fn config(certificates: &Certificates) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    let der = certificates.roots.iter().map(|root| CertificateDer::from(root.der().to_vec()));
    roots.add_parsable_certificates(der);
    if roots.is_empty() {
        return Err("not verified: no certificate authority is named".to_owned());
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|error| error.to_string())?.with_root_certificates(roots);
    let Some(client) = &certificates.client else { return Ok(config.with_no_client_auth()) };
    let chain = client.certs().iter().map(|one| CertificateDer::from(one.der().to_vec())).collect();
    let key = PrivateKeyDer::try_from(client.private_key().der().to_vec())?;
    config.with_client_auth_cert(chain, key).map_err(|error| error.to_string())
}

fn server_name(host: &str) -> Result<ServerName<'static>, String> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(ServerName::from(address));
    }
    ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())
}

fn not_after(der: &[u8]) -> Option<UnixTime> {
    let (_rest, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
    u64::try_from(certificate.validity().not_after.timestamp()).ok().map(UnixTime)
}

/// A connection that ends at an instant, however slowly the other side speaks.
#[derive(Debug)]
pub(super) struct Timed {
    stream: TcpStream,
    until: Instant,
}

impl Timed {
    fn connect(address: &Address, patience: Duration) -> Result<Self, Unreachable> {
        let unreachable = |error: io::Error| Unreachable(format!("{address}: {error}"));
        let until = Instant::now().checked_add(patience).ok_or_else(|| Unreachable("patience".to_owned()))?;
        let mut last = io::Error::other("no address of that name");
        for one in (address.host.as_str(), address.port).to_socket_addrs().map_err(unreachable)? {
            match TcpStream::connect_timeout(&one, patience) {
                Ok(stream) => return Ok(Self { stream, until }),
                Err(error) => last = error,
            }
        }
        Err(unreachable(last))
    }

    fn left(&self) -> io::Result<Option<Duration>> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::Error::from(io::ErrorKind::TimedOut)) } else { Ok(Some(left)) }
    }
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(self.left()?)?;
        self.stream.read(buffer)
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(self.left()?)?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
