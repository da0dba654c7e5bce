//! The enforcer's socket: [`SOCKET`], sequenced packets, one JSON document each.
//!
//! A process that is going to hold secrets asks to be protected, executes itself anew, so that nothing opened before shows its
//! memory, and asks for confirmation; only then does it fetch. Who asks is known by the socket's own credentials, and by nothing
//! in the words. An operator asks for the matrix and for events.
//!
//! Untrusted: both sides, for each other. The socket belongs to root.

mod event;

use enforcer_abi::leak;
use serde::{Deserialize, Serialize};

pub use enforcer_abi::leak::Unfit;
pub use event::{Decision, Event, Moment, Object, Place, Severity, Subject, Syscall};

/// Where the enforcer listens.
pub const SOCKET: &str = "/run/cloudtaser/enforcer.sock";
/// Where it leaves its sign of life: a [`Heartbeat`].
pub const HEARTBEAT: &str = "/run/cloudtaser/enforcer.json";
/// Where the last signed statement lies by which it let go or took another policy since the machine started: a [`LetGo`].
pub const LET_GO: &str = "/run/cloudtaser/enforcer-let-go.json";
/// The longest packet.
pub const MAX_PACKET: usize = 64 * 1024;

/// What is asked of the enforcer.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Ask {
    /// Tag the caller's process as protected. Answered by [`Said::Tagged`]; then it executes itself anew.
    Protect {},
    /// Look whether the caller is protected, and alone. Answered by [`Said::Clear`], or [`Said::Unprotected`]. A line that was
    /// opened before the process was tagged is not good for it.
    Confirm {},
    /// What the caller's group shall not send. Answered by [`Said::Done`].
    Register {
        /// Fingerprints, under the key of [`Said::Clear`].
        needles: Vec<Needle>,
    },
    /// The caller hands secrets to others of its group: until it executes a program, what it and its children send is not
    /// looked at. Answered by [`Said::Done`].
    Keep {},
    /// Which vector is defended, how, and whether that was proved. Answered by [`Said::Matrix`].
    Matrix {},
    /// The node can be used while its guards refuse: the caller, root, is in a session that began after they did. Answered by
    /// [`Said::Done`].
    ConfirmGuards {},
    /// Events, as they come, until the caller goes. Answered by [`Said::Watching`]; then each is a [`Said::Event`].
    Watch {},
}

/// What the enforcer answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "said", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Said {
    /// The process is tagged. It shall execute itself anew, and ask for confirmation.
    Tagged {},
    /// The process is not protected, and may ask to be.
    Unprotected {},
    /// The process is protected, nothing traces it, and nobody holds a descriptor to it.
    Clear {
        /// The key of fingerprints, hexadecimal.
        key: String,
        /// What was looked at: `tag`, `threads`, `tracer`; where the kernel's own view is to be had `executed-anew`,
        /// `program`, `supervisor`, `descriptors`.
        looked: Vec<String>,
        /// The matrix as it stands.
        matrix: Matrix,
    },
    /// It was done.
    Done {},
    /// The matrix.
    Matrix(Matrix),
    /// Events follow.
    Watching {},
    /// An event.
    Event(Box<Event>),
    /// It was not done.
    Refused {
        /// What was expected and found.
        why: String,
    },
}

/// One form of a secret, to be recognised in what is sent without being known.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Needle {
    /// The strong keyed hash of its bytes.
    pub hash: u64,
    /// The quick keyed hash of its first twelve bytes, of 15 bits.
    pub spot: u32,
    /// How many bytes it has.
    pub length: u16,
    /// The number of the form.
    pub form: u16,
}

/// The most needles in one packet: each takes 84 bytes at most.
pub const MAX_NEEDLES: usize = 512;

/// The needles of one secret, under the key of [`Said::Clear`]: nine at most. The secret itself is copied nowhere.
pub fn needles(key: &[u8; 32], secret: &[u8]) -> Result<Vec<Needle>, Unfit> {
    let key = leak::Key::new(key);
    let needles = leak::needles(&key, secret)?;
    Ok(needles
        .map(|needle| Needle {
            hash: needle.hash,
            spot: needle.spot,
            length: needle.length,
            form: needle.form,
        })
        .collect())
}

/// The enforcer's sign of life, as it stands in [`HEARTBEAT`].
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Heartbeat {
    /// The enforcer's own.
    pub version: String,
    /// Its process, in the first name space.
    pub pid: u32,
    /// When it was written, for people.
    pub time: Moment,
    /// When it was written, in seconds since the machine started, sleep included: a clock that nobody sets.
    pub uptime: u64,
    /// The matrix as it stands.
    pub matrix: Matrix,
}

/// That an operator broke the glass: what stands in [`LET_GO`], and in the facts of the node's evidence.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LetGo {
    /// `detach` or `change`.
    pub action: String,
    /// SHA-256 of the statement as it was signed, hexadecimal.
    pub statement: String,
    /// When it was used (Unix time).
    pub time: u64,
    /// The operator's words.
    pub reason: String,
}

impl Heartbeat {
    /// Seconds between two.
    pub const INTERVAL: u64 = 5;
    /// One that is older than so many seconds is none.
    pub const STALE: u64 = 30;

    /// Whether it is a sign of life when the machine has been up for `uptime` seconds. One from the future is of another boot.
    #[must_use]
    pub const fn is_fresh(&self, uptime: u64) -> bool {
        self.uptime <= uptime && uptime.saturating_sub(self.uptime) <= Self::STALE
    }
}

/// Vector by vector: how it is defended now.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Matrix {
    /// `detect` or `enforce`.
    pub mode: String,
    /// The kernel's release.
    pub kernel: String,
    /// SHA-256 over the programs that are loaded, hexadecimal.
    pub programs: String,
    /// A line for each vector.
    pub vectors: Vec<Defence>,
}

/// How one vector is defended.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Defence {
    /// The vector's name in the catalogue.
    pub vector: String,
    /// The event that tells of it.
    pub event: String,
    /// `lsm`, `fmod_ret`, `override`, `kill`, `tracepoint`, `observe` or `none`.
    pub tier: String,
    /// `off`, `detect` or `enforce`.
    pub mode: String,
    /// Whether an attack on a decoy was refused.
    pub verified: Verified,
    /// Why it is not stronger.
    pub why: Option<String>,
}

/// What is known of a defence beyond its being attached.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verified {
    /// The canary's attack was refused.
    Yes,
    /// It went through.
    No,
    /// There is no attack that is harmless enough to be tried.
    Untried,
}

impl Verified {
    /// In a word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::Untried => "untried",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_holds_as_many_needles_as_are_allowed() {
        let needle = Needle { hash: u64::MAX, spot: u32::MAX, length: u16::MAX, form: u16::MAX };
        let ask = Ask::Register { needles: vec![needle; MAX_NEEDLES] };
        assert!(serde_json::to_vec(&ask).unwrap().len() <= MAX_PACKET);
    }

    #[test]
    fn a_secret_has_a_needle_for_each_form_and_what_is_unfit_has_none() {
        let needles = needles(&[7; 32], b"correct horse battery").unwrap();
        assert_eq!(needles.iter().map(|needle| needle.form).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5]);
        assert_eq!(super::needles(&[7; 32], b"short"), Err(Unfit::Short(5)));
    }
}
