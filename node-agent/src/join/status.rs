//! What the member says of itself, in a file beside the socket.
//!
//! It is for people and for the next agent: a refusal that an agent left behind stands. The file is replaced whole, and
//! holds no secret. What it says holds as long as an agent is there to take it back: who reads it asks that first
//! ([`Status::worth`]).
//!
//! Trusted: whoever may write into the socket's directory.

use std::fmt;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use attest::UnixTime;
use release_client::pace::Uptime;
use serde::{Deserialize, Serialize};

use super::machine::{Left, Refusal};
use crate::socket::beside;

/// How a member stands.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Status {
    /// The node's name.
    pub node: String,
    /// The role that it logs in as.
    pub role: String,
    /// The cluster that its registers name.
    pub cluster_id: Option<String>,
    /// Whether OpenBao admits it.
    pub attested: bool,
    /// Why, in one word.
    pub reason: String,
    /// Why, for people.
    pub message: String,
    /// Since when it is so.
    pub since: UnixTime,
    /// When the verdict ends.
    pub until: Option<UnixTime>,
    /// When the next evidence is due; nothing while some is on its way.
    pub next_try: Option<UnixTime>,
    /// The latest refusal, if it was not taken back.
    pub refusal: Option<Refused>,
    /// The same on a clock that nobody sets.
    pub uptime: Times,
}

/// A refusal that was not taken back.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Refused {
    /// The decision, under which the record can be read.
    pub decision: String,
    /// The failing checks.
    pub checks: Vec<String>,
}

/// Milliseconds since a boot.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Times {
    /// The kernel's name for the boot.
    pub boot: String,
    /// Since when it is so.
    pub since: u64,
    /// When the verdict ends.
    pub until: Option<u64>,
    /// When the next evidence is due.
    pub next_try: Option<u64>,
}

/// What a status file is worth.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Worth {
    /// An agent is there to take it back.
    Current,
    /// Nobody listens at the socket: this is what the last agent left.
    Orphaned,
    /// The machine has rebooted since.
    OtherBoot,
    /// The verdict has ended.
    Ended,
}

impl Status {
    /// Where the file is for an agent that listens at `socket`.
    #[must_use]
    pub fn path(socket: &Path) -> PathBuf {
        beside(socket, ".status")
    }

    /// Reads the file.
    pub fn read(path: &Path) -> io::Result<Self> {
        serde_json::from_str(&fs::read_to_string(path)?).map_err(io::Error::other)
    }

    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        replace(path, &serde_json::to_string_pretty(self).map_err(io::Error::other)?)
    }

    /// What it is worth now, on this machine.
    pub fn worth(&self, socket: &Path) -> io::Result<Worth> {
        let is_ended = || self.uptime.until.is_some_and(|until| until <= super::clock::uptime().0);
        Ok(match std::os::unix::net::UnixStream::connect(socket) {
            _ if self.uptime.boot != super::clock::boot()? => Worth::OtherBoot,
            Err(error) if is_absence(&error) => Worth::Orphaned,
            _ if self.attested && is_ended() => Worth::Ended,
            _ => Worth::Current,
        })
    }

    /// What an agent of this boot left behind, to be asked about no later than `latest`.
    pub(super) fn left(&self, boot: &str, latest: Uptime) -> Option<Left> {
        let Refused { decision, checks } = self.refusal.clone().filter(|_| self.uptime.boot == boot)?;
        let next_try = self.uptime.next_try.map_or(latest, Uptime).min(latest);
        Some(Left { refusal: Refusal { decision, checks }, since: Uptime(self.uptime.since), next_try })
    }
}

fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "node       {} (role {})", self.node, self.role)?;
        if let Some(cluster) = &self.cluster_id {
            writeln!(f, "cluster    {cluster}")?;
        }
        writeln!(f, "attested   {}", if self.attested { "yes" } else { "no" })?;
        writeln!(f, "reason     {}: {}", self.reason, self.message)?;
        writeln!(f, "since      {}", self.since)?;
        if let Some(until) = self.until {
            writeln!(f, "until      {until}")?;
        }
        for check in self.refusal.iter().flat_map(|refused| &refused.checks) {
            writeln!(f, "failing    {check}")?;
        }
        match self.next_try {
            Some(next) => write!(f, "next try   {next}"),
            None => write!(f, "next try   none is due, or it is on its way"),
        }
    }
}

impl fmt::Display for Worth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Current => "the agent is running",
            Self::Orphaned => "no agent is running: this is what the last one left",
            Self::OtherBoot => "the machine has rebooted since: this is what the last agent left",
            Self::Ended => "the verdict has ended",
        })
    }
}

/// Puts a file in place of another: whoever reads finds the old one or the new one.
pub(super) fn replace(path: &Path, text: &str) -> io::Result<()> {
    let draft = beside(path, ".new");
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = fs::File::options().write(true).create_new(true).mode(0o644).open(&draft)?;
    file.write_all(text.as_bytes())?;
    drop(file);
    fs::rename(&draft, path)
}
