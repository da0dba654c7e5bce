//! Text form of a certificate (RFC 7468).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The PEM of a DER certificate.
#[must_use]
pub fn pem(der: &[u8]) -> String {
    // 48 bytes make a line of 64 characters.
    let lines = der.chunks(48).map(|line| STANDARD.encode(line) + "\n");
    format!("-----BEGIN CERTIFICATE-----\n{}-----END CERTIFICATE-----\n", lines.collect::<String>())
}
