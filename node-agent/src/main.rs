//! The node agent: serves evidence, or makes the TPM's attestation key.

#![forbid(unsafe_code)]

mod command;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let result = command::Arguments::try_parse().map_err(command::Failure::Usage);
    match result.and_then(command::run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.tell();
            failure.code()
        }
    }
}
