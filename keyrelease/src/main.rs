//! The OpenBao plugin: an auth method or a secrets engine, by `--kind`.
#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use attest::UnixTime;
use keyrelease::config::{Config, Kind};
use keyrelease::{auth::AuthMethod, mount::Mount, secrets::SecretsEngine};
use openbao_plugin::{Plugin, serve};

fn main() -> ExitCode {
    let config = match Config::from_args(std::env::args_os().skip(1)) {
        Ok(config) => config,
        Err(problems) => return complain(&problems.to_string()),
    };
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let version = concat!("v", env!("CARGO_PKG_VERSION"));
    match config.kind {
        Kind::Auth => serve(
            Plugin::new(version, move |mount: openbao_plugin::Config| {
                Ok(AuthMethod::new(Mount::new(&config, now, mount.mount_uuid)?))
            })
            .help(keyrelease::auth::HELP, keyrelease::auth::openapi())
            .blocking(threads, 256),
        ),
        Kind::Secrets => serve(
            Plugin::new(version, move |mount: openbao_plugin::Config| {
                Ok(SecretsEngine::new(Mount::new(&config, now, mount.mount_uuid)?))
            })
            .help(keyrelease::secrets::HELP, keyrelease::secrets::openapi())
            .blocking(threads, 256),
        ),
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place of this program that reads the clock")]
fn now() -> UnixTime {
    UnixTime(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}

#[expect(clippy::print_stderr, reason = "OpenBao shows a plugin's last words to whoever mounts it")]
fn complain(problems: &str) -> ExitCode {
    eprintln!("{problems}");
    ExitCode::from(2)
}
