//! The whole program, top to bottom.

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, Write as _};
use std::process::ExitCode;

use crate::config::{Authority, Config, RawConfig};
use crate::errand::{Errand, Setback};
use crate::graft::Tracer;
use crate::isolate::Fetching;
use crate::line::Line;
use crate::signals::Signals;
use crate::stem::{self, Made, Order, Planted, Stem};
use crate::{harden, release, supervise};

/// The configuration is wrong, a protection is refused, or something else of ours stands in the way.
const OUR_TROUBLE: u8 = 125;
/// OpenBao judged the evidence, and said no.
const REFUSED: u8 = 1;

const HELP: &str = "\
cloudtaser-wrapper [--] PROGRAM [ARGUMENT ...]

Has secrets released on attestation by an OpenBao, and starts PROGRAM with them in its environment. A container starts it
as its first process; the node agent on the same machine gets it the evidence.

It is configured by environment variables (BAO_X wins over VAULT_X):
  VAULT_ADDR                      the OpenBao, such as https://bao.example:8200
  VAULT_AUTH_METHOD               attest
  VAULT_NAMESPACE, VAULT_CACERT   as OpenBao's own client reads them
  CLOUDTASER_SECRET_PATHS         the secrets: db,api
  CLOUDTASER_ENV_MAP              the variables that they fill: password=PGPASSWORD,user=PGUSER;token=API_TOKEN
  CLOUDTASER_KEY_MOUNT            the mount that releases (attest-keys)
  CLOUDTASER_AGENT_SOCKET         the node agent (/run/cloudtaser/agent.sock)
  CLOUDTASER_RELEASE_TIMEOUT      seconds to go on asking (60)
  CLOUDTASER_WORKLOAD_TOKEN_FILE  a token of this workload, to go with the evidence (none)

Exit codes: the program's own, 128 + n after signal n, 127 not found, 126 not executable,
1 refused by OpenBao, 125 not judged, or trouble of the wrapper's own.
";

/// Runs the wrapper; every outcome is an exit code, and has been told on standard error.
pub fn run(
    arguments: impl IntoIterator<Item = OsString>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    if arguments.first().is_some_and(|first| first == "--help" || first == "-h") {
        // Where standard output is closed there is nobody to tell.
        io::stdout().write_all(HELP.as_bytes()).unwrap_or_default();
        return ExitCode::SUCCESS;
    }
    let outcome = Config::try_from(RawConfig::new(environment, arguments))
        .map_err(trouble)
        .and_then(|config| start(&config));
    outcome.unwrap_or_else(|code| code).into()
}

fn start(config: &Config) -> Result<u8, u8> {
    harden::harden().map_err(trouble)?;
    if config.server.authority == Authority::InsecureNobody {
        say("INSECURE: VAULT_SKIP_VERIFY is set, any server can answer for OpenBao");
    }
    let signals = Signals::block().map_err(trouble)?;
    match stem::plant().map_err(trouble)? {
        Planted::Keeper(stem) => keep(config, &stem, &signals),
        Planted::Made(made) => become_ordered(config, made),
        Planted::Over => Ok(0),
    }
}

fn keep(config: &Config, stem: &Stem, signals: &Signals) -> Result<u8, u8> {
    let fetched = Fetching::begin(stem, &Errand::Fetch).and_then(|fetching| fetching.wait(config, signals));
    let secrets = fetched.map_err(|error| told(&error, error.exit_code()))?;
    supervise::run(stem, Tracer::new(secrets), signals).map_err(|error| told(&error, error.exit_code()))
}

/// In a process that the stem has made.
fn become_ordered(config: &Config, made: Made) -> Result<u8, u8> {
    match made.order {
        Order::Fetch => fetch(config, &made.line),
        Order::Program(start) => Ok(Made::exec(start, &config.command, &made.line)),
        Order::Hook(start) => {
            let words: Vec<OsString> = config.rotation.hook.iter().map(OsString::from).collect();
            Ok(Made::exec(start, &words, &made.line))
        }
    }
}

fn fetch(config: &Config, line: &Line) -> Result<u8, u8> {
    Errand::receive(line).map_err(trouble)?;
    let sent = match release::fetch(config) {
        Ok((list, memory)) => list.send(line, Some(memory)),
        Err(error) => {
            error.tell();
            let refused = error.refusal().is_some();
            let code = if refused { REFUSED } else { OUR_TROUBLE };
            Setback { transient: error.is_transient(), refused, code }.send(line)
        }
    };
    sent.map(|()| 0).map_err(trouble)
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
