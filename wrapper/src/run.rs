//! The whole program, top to bottom.

use std::env::VarsOs;
use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, Write as _};
use std::mem::ManuallyDrop;
use std::os::fd::AsFd as _;
use std::process::ExitCode;

use release_client::{OpenBaoError, Token};
use secretmem::{Kind, Parcel};

use crate::config::{self, Authority, Calls, Config, Enforcement, Form, Method, Mode, RawConfig, Strategy};
use crate::enforcer::{self, Enforcer, Watch};
use crate::errand::{Commissioned, Errand};
use crate::files::Files;
use crate::interpose::Ways;
use crate::keeper::{self, Keeper, Memory};
use crate::line::Line;
use crate::local::Local;
use crate::rotate::Rotation;
use crate::selftest::Protection;
use crate::signals::Signals;
use crate::stem::{self, Made, Order, Planted, Stem};
use crate::{fetch, harden, in_place, selftest};

const HELP: &str = "\
cloudtaser-wrapper [--] PROGRAM [ARGUMENT ...]

Has secrets released on attestation by an OpenBao, or reads them with a token, and starts PROGRAM with them in its
environment. A container starts it as its first process; the node agent on the same machine gets it the evidence.

It is configured by environment variables (BAO_X wins over VAULT_X):
  VAULT_ADDR                      the OpenBao, such as https://bao.example:8200
  VAULT_AUTH_METHOD               attest, kubernetes, or token (kubernetes)
  VAULT_AUTH_ROLE                 the role to log in as; attest needs it for paths of the API alone
  VAULT_AUTH_MOUNT_PATH           where to log in (auth/METHOD)
  VAULT_TOKEN                     the token of the method token; taken out of our memory, and out of PROGRAM's environment
  VAULT_NAMESPACE, VAULT_CACERT, VAULT_TLS_SERVER_NAME, VAULT_CLIENT_CERT, VAULT_CLIENT_KEY
                                  as OpenBao's own client reads them
  VAULT_SKIP_VERIFY               true: believe any server; insecure (false)
  CLOUDTASER_KUBERNETES_TOKEN_FILE
                                  the token to log in with (the pod's own)
  CLOUDTASER_SECRET_PATHS         the secrets: names that are released, or paths of the API, with parameters where they
                                  take some: db,secret/data/app,pki/issue/web?common_name=app.example
  CLOUDTASER_ENV_MAP              the variables that they fill: password=PGPASSWORD,user=PGUSER;token=API_TOKEN
                                  (FIELD=@NAME: with the path of a file that has the value)
  CLOUDTASER_KEY_MOUNT            the mount that releases (attest-keys)
  CLOUDTASER_AGENT_SOCKET         the node agent (/run/cloudtaser/agent.sock)
  CLOUDTASER_RELEASE_TIMEOUT      seconds to go on asking (60)
  CLOUDTASER_MEMORY               locked: ordinary memory will do where there is no secret memory (secret)
  CLOUDTASER_SUPERVISE            false: the program takes our place, and nobody looks after it (true)
  CLOUDTASER_DELIVERY             the ways into the program that are allowed, in the order of trial
                                  (graft,constructor,getenv); environ: in clear, never taken unless it is named
  CLOUDTASER_SIGNAL_GROUP         true: signals go to the program's whole process group (false)
  CLOUDTASER_KILL_AFTER           seconds from SIGTERM until the group is killed (when a second SIGTERM comes)
  CLOUDTASER_ROTATION_STRATEGY    when a value has changed: restart, sighup, exec, live, or none (restart)
  CLOUDTASER_ROTATION_HOOK        the command that exec runs
  CLOUDTASER_REFRESH              seconds between two looks at values without a lease; 0: never (300)
  CLOUDTASER_OFFLINE_GRACE        seconds past a lease's end that PROGRAM may go on while OpenBao is away (0)
  CLOUDTASER_MAX_STALE            seconds that values may go without OpenBao's word for them (any)
  CLOUDTASER_ON_WITHDRAWAL        kill or freeze PROGRAM when a value is withdrawn (kill)
  CLOUDTASER_ENFORCER             required: nothing is fetched without an enforcer that protects us, and has proved it;
                                  auto: where there is one; off: it is not asked (auto)
  CLOUDTASER_ENFORCER_SOCKET      the enforcer (/run/cloudtaser/enforcer.sock)
  CLOUDTASER_PROGRAM_FILTER       false: PROGRAM may make the system calls that no enforcer sees, too (true)
  CLOUDTASER_WORKLOAD_TOKEN_FILE  a token of this workload, to go with the evidence (none)
  CLOUDTASER_SOCKET               where values and status are served: a path, or @NAME (nowhere)
  CLOUDTASER_METRICS_ADDR         IP:PORT for metrics (none)

Exit codes: the program's own, 128 + n after signal n, 127 not found, 126 not executable, and of the wrapper:
    1  refused by OpenBao
  120  the configuration is wrong
  121  OpenBao or the node agent was not reached in time
  122  a secret or a field is missing, or cannot be handed over
  123  a protection is not available here: secret memory, tracing, the enforcer
  124  a value was withdrawn, or is older than allowed
  125  other trouble of the wrapper's own
";

/// Runs the wrapper; every outcome is an exit code, and has been told on standard error.
pub fn run(arguments: impl IntoIterator<Item = OsString>, environment: impl FnOnce() -> VarsOs) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    if arguments.first().is_some_and(|first| first == "--help" || first == "-h") {
        // Where standard output is closed there is nobody to tell.
        io::stdout().write_all(HELP.as_bytes()).unwrap_or_default();
        return ExitCode::SUCCESS;
    }
    // What was set before this life is over ends here, where there is an enforcer: the next one begins at the top.
    let enforcer = enforcer::begin();
    // Before anything reads the environment, and copies what it finds. Who is forked from us has none of it.
    let token = ManuallyDrop::new(fetch::take_token());
    let config = Config::try_from(RawConfig::new(environment(), arguments));
    let config = config.map_err(|problems| told(&problems, keeper::BAD_CONFIGURATION));
    let outcome = config.and_then(|config| start(&config, token, enforcer));
    outcome.unwrap_or_else(|code| code).into()
}

/// A token of the environment's, where it brought one. Only the keeper may touch it, or drop it.
type Given = ManuallyDrop<Result<Option<Token>, OpenBaoError>>;

fn start(config: &Config, token: Given, enforcer: Enforcer) -> Result<u8, u8> {
    demand(config, &enforcer)?;
    // The program that takes our place is traced by our hand, which a protected process may not allow any more.
    let is_offered = config.supervision.mode == Mode::InPlace && matches!(enforcer, Enforcer::Bound(_));
    let hardened = if is_offered { harden::harden_shown() } else { harden::harden() };
    hardened.map_err(trouble)?;
    if config.server.authority == Authority::InsecureNobody {
        say("INSECURE: VAULT_SKIP_VERIFY is set, any server can answer for OpenBao");
    }
    let signals = Signals::block().map_err(trouble)?;
    if config.supervision.mode == Mode::InPlace {
        let token = token_of(config, ManuallyDrop::into_inner(token))?;
        return in_place::run(config, signals, token, enforcer);
    }
    match stem::plant().map_err(trouble)? {
        Planted::Keeper(stem) => keep(config, &stem, &signals, (token, enforcer)),
        Planted::Made(made) => {
            drop((signals, enforcer));
            become_ordered(config, made)
        }
        Planted::Over => Ok(0),
    }
}

/// What was demanded of an enforcer and is not there; where nothing was, and one is there that does not protect us, it is
/// told.
fn demand(config: &Config, enforcer: &Enforcer) -> Result<(), u8> {
    match (config.enforcement, enforcer.shortfall(), enforcer) {
        (Enforcement::Required, Some(shortfall), _) => Err(told(&shortfall, keeper::UNPROTECTED)),
        (_, _, Enforcer::Absent(why)) if why != enforcer::NOBODY => {
            say(format_args!("not protected by an enforcer: {why}"));
            Ok(())
        }
        _ => Ok(()),
    }
}

fn keep(
    config: &Config,
    stem: &Stem,
    signals: &Signals,
    (token, enforcer): (Given, Enforcer),
) -> Result<u8, u8> {
    let (files, local) = answers(config)?;
    let protection = Protection::measure(stem, config, &enforcer);
    say(protection.told());
    let mut kept = vec![stem.as_fd(), signals.as_fd()];
    kept.extend(local.iter().flat_map(Local::doors));
    kept.extend(enforcer.promised().ok().map(|bond| bond.as_fd()));
    // It closes every other descriptor: what else has one is made afterwards.
    let restrict = if files.is_some() { harden::keeper_of_files } else { harden::keeper };
    restrict(&kept).map_err(trouble)?;
    let token = token_of(config, ManuallyDrop::into_inner(token))?;
    // Values that are rewritten where they lie need a mapping of them here.
    let memory = match config.rotation.strategy {
        Strategy::Sighup | Strategy::Exec | Strategy::Live => Memory::Shared,
        Strategy::Restart | Strategy::None => Memory::Given,
    };
    let keeper = Keeper::new(stem, signals, &config.supervision, &config.secrets, memory);
    let keeper = keeper.reporting(protection);
    let is_bound = matches!(enforcer, Enforcer::Bound(_));
    let keeper = keeper.enforced_by(enforcer);
    let keeper = keeper.with(Rotation::new(config).map_err(trouble)?);
    let mut keeper = keeper.by(Ways::new(&config.delivery.ways, &config.command));
    if is_bound {
        keeper = keeper.with(Watch::new(config.enforcement));
    }
    if let Some(files) = files {
        keeper = keeper.with(files);
    }
    if let Some(local) = local {
        keeper = keeper.with(local);
    }
    keeper.with_token(token).run().map_err(|error| told(&error, error.exit_code()))
}

/// What answers on this machine: doors are opened while we may still open any.
fn answers(config: &Config) -> Result<(Option<Files>, Option<Local>), u8> {
    let mut targets = config.secrets.iter().flat_map(|wanted| &wanted.targets);
    let files = targets.any(|target| target.form == Form::File).then(Files::new).transpose();
    let files = files.map_err(|error| told(&error, keeper::UNPROTECTED))?;
    let asked = config.local != config::Local::default();
    let local = asked.then(|| Local::open(&config.local, config.rotation.strategy)).transpose();
    Ok((files, local.map_err(trouble)?))
}

/// In a process that the stem has made.
pub(crate) fn become_ordered(config: &Config, made: Made) -> Result<u8, u8> {
    match made.order {
        Order::Fetch => bring(config, &made.line),
        Order::Attack => selftest::attack(&made.line).map(|()| 0).map_err(trouble),
        Order::Program(start) => {
            restrict_program(config)?;
            Ok(Made::exec(start, &config.command, &made.line))
        }
        Order::Hook(start) => {
            restrict_program(config)?;
            let words: Vec<OsString> = config.rotation.hook.iter().map(OsString::from).collect();
            Ok(Made::exec(start, &words, &made.line))
        }
    }
}

/// What the program, and all that it starts, gives up.
pub(crate) fn restrict_program(config: &Config) -> Result<(), u8> {
    match config.calls {
        Calls::Hooked => harden::program().map_err(trouble),
        Calls::All => Ok(()),
    }
}

/// The token to send along; one that nobody asked for is forgotten.
fn token_of(config: &Config, given: Result<Option<Token>, OpenBaoError>) -> Result<Option<Parcel>, u8> {
    if config.login.method != Method::Token {
        return Ok(None);
    }
    let Some(token) = given.map_err(|error| told(&error, keeper::BAD_CONFIGURATION))? else {
        return Ok(None);
    };
    let unprotected = |error: secretmem::Error| told(&error, keeper::UNPROTECTED);
    let mut parcel = Parcel::create(token.bytes().len()).map_err(unprotected)?;
    parcel.bytes_mut().map_err(unprotected)?.copy_from_slice(token.bytes());
    Ok(Some(parcel))
}

fn bring(config: &Config, line: &Line) -> Result<u8, u8> {
    let Commissioned { errand, token, report } = Errand::receive(line).map_err(trouble)?;
    let enforced = harden::fetcher(config, &[line.as_fd()]).map_err(trouble)?;
    if enforced != harden::Enforced::Fully {
        say(
            "landlock is not whole on this kernel: files and ports are not all closed to the process that fetches",
        );
    }
    let outcome = fetch::run(config, &errand, token, report);
    tell_of_memory();
    let sent = match outcome {
        Ok((list, memory)) => list.send(line, memory),
        Err(error) => {
            error.tell();
            error.setback().send(line)
        }
    };
    sent.map(|()| 0).map_err(trouble)
}

/// Where `CLOUDTASER_MEMORY` allowed ordinary memory, and it was needed.
fn tell_of_memory() {
    match secretmem::kind() {
        Kind::Secret => {}
        Kind::Locked => say("INSECURE: there was no secret memory, values lie in memory that root can read"),
        Kind::Unlocked => {
            say(
                "INSECURE: there was no secret memory, values lie in memory that root can read and that may be swapped out",
            );
        }
    }
}

pub(crate) fn trouble(error: impl Display) -> u8 {
    told(&error, keeper::OUR_TROUBLE)
}

pub(crate) fn told(error: &impl Display, code: u8) -> u8 {
    say(error);
    code
}

/// One line for the operator. Where standard error is closed there is nobody to tell.
pub(crate) fn say(text: impl Display) {
    writeln!(io::stderr(), "cloudtaser-wrapper: {text}").unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use super::HELP;

    /// Every word that the configuration asks for: in the help, and in the manual.
    #[test]
    fn the_help_and_the_manual_name_every_word() {
        let sources = [
            include_str!("config/mod.rs"),
            include_str!("config/server.rs"),
            include_str!("config/secrets.rs"),
            include_str!("config/conduct.rs"),
        ];
        let code = sources.map(|text| text.split("#[cfg(test)]").next().unwrap_or_default());
        let words = code.iter().flat_map(|text| text.split('"'));
        let is_word = |text: &&str| {
            let named = text.starts_with("VAULT_") || text.starts_with("CLOUDTASER_");
            named && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
        };
        // Asked for to be refused.
        let is_refused = |word: &&str| ["VAULT_CAPATH", "VAULT_CACERT_BYTES"].contains(word);
        let words: Vec<&str> = words.filter(is_word).filter(|word| !is_refused(word)).collect();
        assert!(words.len() > 25, "{words:?}");
        for word in words {
            assert!(HELP.contains(word), "{word}");
            assert!(include_str!("../../docs/wrapper.md").contains(&format!("`{word}`")), "{word}");
        }
    }
}
