//! `cloudtaser-wrapper [--] PROGRAM [ARGUMENT ...]`: everything is in the library.

#![forbid(unsafe_code)]

use std::env;
use std::process::ExitCode;

fn main() -> ExitCode {
    wrapper::run(env::args_os().skip(1), env::vars_os)
}
