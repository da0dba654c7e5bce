//! The OpenBao plugin that holds the key to a seal: everything is in the library.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use attestseal::AttestSeal;
use openbao_plugin::{SealPlugin, serve_seal};

fn main() -> ExitCode {
    let version = concat!("v", env!("CARGO_PKG_VERSION"));
    serve_seal(SealPlugin::new(version, |settings| AttestSeal::new(&settings)))
}
