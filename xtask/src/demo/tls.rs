//! Certificates for one run: a CA of our own and a server certificate under it, made by openssl.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::child;

/// Where the files are.
#[derive(Debug)]
pub(crate) struct Tls {
    /// What clients trust.
    pub(crate) ca: PathBuf,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Tls {
    /// Makes both in `dir`; the server is `localhost` and `127.0.0.1`.
    pub(crate) fn make(dir: &Path) -> Result<Self> {
        let (ca, ca_key) = (dir.join("ca.pem"), dir.join("ca.key"));
        let tls = Self { ca, certificate: dir.join("server.pem"), key: dir.join("server.key") };
        let mut own = certificate("/CN=CloudTaser demo CA", &tls.ca, &ca_key);
        child::read(extended(
            &mut own,
            &["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign"],
        ))?;
        let mut server = certificate("/CN=localhost", &tls.certificate, &tls.key);
        server.arg("-CA").arg(&tls.ca).arg("-CAkey").arg(&ca_key);
        let names = "subjectAltName=DNS:localhost,IP:127.0.0.1";
        child::read(extended(
            &mut server,
            &["basicConstraints=critical,CA:FALSE", "extendedKeyUsage=serverAuth", names],
        ))?;
        Ok(tls)
    }
}

fn certificate(subject: &str, to: &Path, key: &Path) -> Command {
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc"]);
    openssl.args(["-days", "2", "-subj", subject, "-out"]).arg(to).arg("-keyout").arg(key);
    openssl
}

fn extended<'c>(openssl: &'c mut Command, extensions: &[&str]) -> &'c mut Command {
    extensions.iter().fold(openssl, |openssl, extension| openssl.args(["-addext", extension]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_is_vouched_for_by_the_ca() {
        let dir = tempfile::tempdir().unwrap();
        let tls = Tls::make(dir.path()).unwrap();
        let mut verify = Command::new("openssl");
        verify.args(["verify", "-purpose", "sslserver", "-verify_ip", "127.0.0.1", "-CAfile"]).arg(&tls.ca);
        assert!(child::read(verify.arg(&tls.certificate)).unwrap().trim().ends_with(": OK"));
    }
}
