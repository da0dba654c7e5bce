//! A machine joins a cluster once, and goes on proving itself.
//!
//! [`machine`] decides what comes next, and [`schedule`] when; neither touches the world. `watch` hears what happens to
//! the machine, `clerk` claims it for its cluster, enrols it and logs in, `life` stands between them, and [`status`] says how it
//! stands.
//!
//! Trusted: the configuration, and OpenBao's verdicts. Untrusted: everything else, the machine itself included: what it
//! says of itself counts for nothing here, only what OpenBao says of its evidence.

mod claim;
mod clerk;
mod clock;
mod issuers;
mod life;
pub mod machine;
pub mod schedule;
pub mod status;
mod watch;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use release_client::Server;

use crate::answer::Answerer;
use crate::config::{Config, Hardware};
use crate::kubernetes::{self, Board, Node};
use crate::socket::beside;
use claim::Claim;
use clerk::{Clerk, Means};
use life::Life;
pub use life::Membership;
use machine::{Member, Terms};
use status::Status;
pub use watch::Unwatched;
use watch::Watch;

/// What the operator wants of a member: `[openbao]` and `[join]`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settings {
    /// The OpenBao that judges.
    pub server: Server,
    /// The auth method's mount, like `auth/attest`.
    pub mount: String,
    /// The node's name.
    pub node: String,
    /// The role to log in as.
    pub role: String,
    /// The cluster whose name the registers take in.
    pub cluster: Option<String>,
    /// Whether the TPM proves whose it is before the first login.
    pub enrols: bool,
    /// How long after a verdict the machine proves itself again, at the latest.
    pub interval: Duration,
    /// Files whose coming, going and replacement is a reason to do so at once.
    pub watch: Vec<PathBuf>,
}

/// Starts a member in the background, if the configuration has one. Its status file lies beside the socket.
pub fn start(config: &Config, answerer: &Arc<Answerer>) -> Result<Option<Membership>, Unjoined> {
    let Some(settings) = config.join.clone() else { return Ok(None) };
    let boot = clock::boot().map_err(Unjoined::Boot)?;
    let file = Status::path(&config.socket);
    let terms = settings.terms();
    let latest = clock::uptime().plus(terms.interval);
    // A file that cannot be read is none: OpenBao knows whom it refused.
    let left = Status::read(&file).ok().and_then(|status| status.left(&boot, latest));
    let clerk = clerk(&settings, config, answerer);
    let watch = Watch::start(&settings.watch)?;
    let board = config.kubernetes.as_ref().map(board).transpose()?;
    let life = Life { settings, member: Member::new(terms, left), watch, file, boot, written: None, board };
    life.start(clerk).map(Some)
}

/// One login, at once and for its own sake: says what a member would be told. The token is not kept.
pub fn once(config: &Config, answerer: &Arc<Answerer>) -> Result<String, NotAdmitted> {
    let settings = config
        .join
        .as_ref()
        .ok_or_else(|| NotAdmitted("the configuration has no section [join]".to_owned()))?;
    let mut clerk = clerk(settings, config, answerer);
    clerk.claim().map_err(|why| NotAdmitted(why.to_string()))?;
    if settings.enrols {
        clerk.enrol().map_err(|why| NotAdmitted(why.to_string()))?;
    }
    let admitted = clerk.attest().map_err(|why| NotAdmitted(why.whole()))?;
    clerk.revoke();
    Ok(format!("admitted for {} s, decision {}", admitted.lasts.as_secs(), admitted.decision))
}

impl Settings {
    fn terms(&self) -> Terms {
        Terms { interval: self.interval, claims: self.cluster.is_some(), enrols: self.enrols }
    }
}

fn board(settings: &kubernetes::Settings) -> Result<Board, Unjoined> {
    Board::start(Node::open(settings)?).map_err(Unjoined::Thread)
}

fn clerk(settings: &Settings, config: &Config, answerer: &Arc<Answerer>) -> Clerk {
    let claim = settings.cluster.clone().map(|cluster| Claim {
        cluster,
        registers: config.hardware.values().filter_map(Hardware::cluster_register).collect(),
        memory: beside(&config.socket, ".cluster"),
    });
    let tpm = config.hardware.values().find_map(Hardware::tpm).cloned();
    Clerk::new(settings.clone(), Arc::clone(answerer), Means { claim, tpm })
}

/// Why a machine is not admitted, for a person.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct NotAdmitted(String);

/// Why there is no member.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unjoined {
    /// The kernel does not say which boot this is.
    #[error("asking which boot this is: {0}")]
    Boot(io::Error),
    /// Something cannot be watched.
    #[error(transparent)]
    Unwatched(#[from] Unwatched),
    /// There is nothing to say it to the machine's Node with.
    #[error("kubernetes: {0}")]
    Kubernetes(#[from] kubernetes::Error),
    /// There is no way to wake it.
    #[error("making an event descriptor: {0}")]
    Bell(io::Error),
    /// There is no thread for it.
    #[error("starting a thread: {0}")]
    Thread(io::Error),
}
