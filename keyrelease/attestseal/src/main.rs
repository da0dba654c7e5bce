//! The OpenBao plugin that holds the key to a seal: everything is in the library.
#![forbid(unsafe_code)]

use std::io::Write as _;
use std::process::ExitCode;

use attestseal::AttestSeal;
use openbao_plugin::{SealPlugin, serve_seal};

fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|first| first == "--help" || first == "-h") {
        // Where standard output is closed there is nobody to tell.
        std::io::stdout().write_all(HELP.as_bytes()).unwrap_or_default();
        return ExitCode::SUCCESS;
    }
    let version = concat!("v", env!("CARGO_PKG_VERSION"));
    serve_seal(SealPlugin::new(version, |settings| AttestSeal::new(&settings)))
}

const HELP: &str = "\
openbao-plugin-attestseal

A plugin of OpenBao that holds the key to its seal: the key is released on attestation by another OpenBao, or comes from
people who looked at this machine. OpenBao starts it; nobody else does. It takes no arguments: it is configured by the two
stanzas plugin \"kms\" \"attestseal\" and seal \"attestseal\" of the server's configuration (docs/attested-unseal.md).
";
