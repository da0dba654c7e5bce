//! The OpenBao plugin: an auth method or a secrets engine, by `--kind`.
#![forbid(unsafe_code)]

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use attest::UnixTime;
use keyrelease::config::{Config, Kind};
use keyrelease::limits::Turns;
use keyrelease::paths::describe;
use keyrelease::{auth::AuthMethod, mount::Mount, secrets::SecretsEngine};
use openbao_plugin::{Plugin, serve};

fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|first| first == "--help" || first == "-h") {
        // Where standard output is closed there is nobody to tell.
        std::io::stdout().write_all(HELP.as_bytes()).unwrap_or_default();
        return ExitCode::SUCCESS;
    }
    let config = match Config::from_args(std::env::args_os().skip(1)) {
        Ok(config) => config,
        Err(problems) => return complain(&problems.to_string()),
    };
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let turns = Turns::new(threads.saturating_mul(2), MOST_WAITING);
    let version = concat!("v", env!("CARGO_PKG_VERSION"));
    match config.kind {
        Kind::Auth => serve(describe(
            Plugin::new(version, move |mount: openbao_plugin::Config| {
                Ok(AuthMethod::new(Mount::new(&config, now, mount.mount_uuid, Arc::clone(&turns))?))
            })
            .blocking(threads, 256),
            Kind::Auth,
        )),
        Kind::Secrets => serve(describe(
            Plugin::new(version, move |mount: openbao_plugin::Config| {
                Ok(SecretsEngine::new(Mount::new(&config, now, mount.mount_uuid, Arc::clone(&turns))?))
            })
            .blocking(threads, 256),
            Kind::Secrets,
        )),
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

const HELP: &str = "\
openbao-plugin-attest --kind=auth|secrets [--insecure-trust-root=FILE ...]

A plugin of OpenBao: an auth method (evidence becomes a token) or a secrets engine (evidence or a token becomes a secret,
sealed to the attested key). OpenBao starts it, with the arguments that stand in its plugin catalogue; nobody else does:
  bao plugin register -sha256=... -command=openbao-plugin-attest -args=--kind=secrets secret attest-secrets
  bao secrets enable -path=attest-keys attest-secrets
  bao plugin register -sha256=... -command=openbao-plugin-attest -args=--kind=auth auth attest-auth
  bao auth enable -path=attest attest-auth

Everything else is configured through the mounts: bao path-help attest-keys, bao path-help auth/attest.
--insecure-trust-root believes a simulator's root (DER) instead of the vendors'.
";

/// How many may wait for the processor, in all mounts of this process. Each holds what it brought: up to 400 KiB.
const MOST_WAITING: usize = 256;
