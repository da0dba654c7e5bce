//! The whole program, top to bottom.

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, Write as _};
use std::process::{Command, ExitCode};

use crate::config::{Authority, Config, RawConfig, TOKENS};
use crate::graft::Tracer;
use crate::isolate::{self, Half, Line};
use crate::signals::Signals;
use crate::{harden, release, supervise};

/// The configuration is wrong, a protection is refused, or something else of ours stands in the way.
const OUR_TROUBLE: u8 = 125;
/// OpenBao judged the evidence, and said no.
const REFUSED: u8 = 1;

/// Runs the wrapper; every outcome is an exit code, and has been told on standard error.
pub fn run(
    arguments: impl IntoIterator<Item = OsString>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> ExitCode {
    let outcome = Config::try_from(RawConfig::new(environment, arguments)).map_err(trouble).and_then(start);
    outcome.unwrap_or_else(|code| code).into()
}

fn start(config: Config) -> Result<u8, u8> {
    harden::harden().map_err(trouble)?;
    if config.server.authority == Authority::InsecureNobody {
        say("INSECURE: VAULT_SKIP_VERIFY is set, any server can answer for OpenBao");
    }
    let signals = Signals::block().map_err(trouble)?;
    match isolate::split().map_err(trouble)? {
        Half::Fetcher(line) => fetch(&config, &line),
        Half::Keeper(fetching) => {
            let secrets = fetching.wait(&signals).map_err(|error| told(&error, error.exit_code()))?;
            let tracer = Tracer::new(secrets);
            supervise::run(command(config)?, tracer, &signals)
                .map_err(|error| told(&error, error.exit_code()))
        }
    }
}

fn fetch(config: &Config, line: &Line) -> Result<u8, u8> {
    let released = release::fetch(config).map_err(|error| {
        error.tell();
        if error.refusal().is_some() { REFUSED } else { OUR_TROUBLE }
    })?;
    line.give(released).map(|()| 0).map_err(trouble)
}

/// The program with the environment we were given, without what only we needed.
fn command(config: Config) -> Result<Command, u8> {
    let mut words = config.command.into_iter();
    // The configuration has at least one word; without it nothing would be started.
    let mut command = Command::new(words.next().ok_or(OUR_TROUBLE)?);
    command.args(words);
    for token in TOKENS {
        command.env_remove(token);
    }
    Ok(command)
}

fn trouble(error: impl Display) -> u8 {
    told(&error, OUR_TROUBLE)
}

fn told(error: &impl Display, code: u8) -> u8 {
    say(error);
    code
}

/// One line for the operator. Where standard error is closed there is nobody to tell.
pub(crate) fn say(text: impl Display) {
    writeln!(io::stderr(), "cloudtaser-wrapper: {text}").unwrap_or_default();
}
