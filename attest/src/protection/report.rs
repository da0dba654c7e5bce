//! The words of a report, and their one encoding.
//!
//! A report is deterministic CBOR: an array of version, program, attacker, attacks and measures, each of them an array in the order of its
//! fields. What does not encode to the very bytes that came has a second reading, and is refused; so is a check that
//! is named twice, or out of its order, or that only a verdict can give.
//!
//! Untrusted: all of it.

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use super::Check;
use crate::{Crypto, Digest};

/// What a wrapper found out about itself.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// The version of this form: [`Report::VERSION`].
    #[n(0)]
    pub version: u32,
    /// Which program measured: name and version.
    #[n(1)]
    pub program: String,
    /// As whom it attacked: user, and whether it may trace others.
    #[n(2)]
    pub attacker: String,
    /// What was tried, and how it ended.
    #[n(3)]
    pub attacks: Vec<Attack>,
    /// What follows: each check that a wrapper can measure, once, in the order of [`Check::ALL`].
    #[n(4)]
    pub measures: Vec<Measured>,
}

/// One attack.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attack {
    /// What was tried.
    #[n(0)]
    pub theft: Theft,
    /// How it ended.
    #[n(1)]
    pub outcome: Outcome,
    /// Who refused it.
    #[n(2)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<By>,
    /// The kernel's answer, the module's name, or why it does not apply.
    #[n(3)]
    pub found: String,
}

/// A way to take a secret out of another process.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cbor(index_only)]
pub enum Theft {
    /// `process_vm_readv(2)` of the secret page.
    #[n(0)]
    ProcessVmReadv,
    /// A read of `/proc/PID/mem` at the secret page.
    #[n(1)]
    ProcMem,
    /// `PTRACE_SEIZE` and `PTRACE_PEEKDATA` of the secret page.
    #[n(2)]
    PtracePeek,
    /// `pidfd_getfd(2)` of every descriptor that is open, and `mmap(2)` of what it gave.
    #[n(3)]
    PidfdGetfd,
    /// The same of a descriptor of secret memory that was left open on purpose.
    #[n(4)]
    PidfdGetfdLeftOpen,
    /// `open(2)` of every link in `/proc/PID/fd`, and of the one that was left open.
    #[n(5)]
    ProcFd,
    /// `open(2)` of the secret page's link in `/proc/PID/map_files`.
    #[n(6)]
    MapFiles,
    /// A read of `/proc/PID/environ`.
    #[n(7)]
    Environ,
    /// A crash: does it leave a core?
    #[n(8)]
    CoreDump,
    /// `PTRACE_SEIZE` of a program while it is traced for the graft.
    #[n(9)]
    PtraceDuringGraft,
    /// `PTRACE_SEIZE` of a program that was let go.
    #[n(10)]
    PtraceAfterGraft,
}

/// How an attack ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cbor(index_only)]
pub enum Outcome {
    /// It was refused.
    #[n(0)]
    Refused,
    /// It had what it wanted: the bytes themselves, or control.
    #[n(1)]
    Taken,
    /// It could not be tried.
    #[n(2)]
    NotApplicable,
}

/// Who refused an attack.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cbor(index_only)]
pub enum By {
    /// The kernel, whoever asks: secret memory has no other reader.
    #[n(0)]
    Kernel,
    /// Ordinary permissions: another user, a process that is not dumpable, a capability that is lacking.
    #[n(1)]
    Permissions,
    /// A seccomp filter.
    #[n(2)]
    Seccomp,
    /// A security module, yama included.
    #[n(3)]
    SecurityModule,
    /// CloudTaser's own enforcer.
    #[n(4)]
    Enforcer,
}

/// What was found about one check.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// The check.
    #[n(0)]
    pub check: Check,
    /// The answer.
    #[n(1)]
    pub state: State,
    /// What was found.
    #[n(2)]
    pub found: String,
}

/// The answer to one check.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cbor(index_only)]
pub enum State {
    /// The protection is there: it counts.
    #[n(0)]
    Reached,
    /// It is not.
    #[n(1)]
    Missed,
    /// There is nothing that it could protect: it counts neither way.
    #[n(2)]
    NotApplicable,
}

impl Report {
    /// The only form so far.
    pub const VERSION: u32 = 1;
    /// The longest encoding, in bytes.
    pub const MAX_BYTES: usize = 8 * 1024;
    /// The longest text in it, in bytes.
    pub const MAX_TEXT: usize = 160;
    /// The most attacks.
    pub const MAX_ATTACKS: usize = 32;

    /// Reads a report from its one encoding.
    pub fn parse(bytes: &[u8]) -> Result<Self, BadReport> {
        if bytes.len() > Self::MAX_BYTES {
            return Err(BadReport::TooLong(bytes.len()));
        }
        let report: Self = minicbor::decode(bytes).map_err(|_why| BadReport::Content)?;
        if report.to_cbor() != bytes {
            return Err(BadReport::Encoding);
        }
        report.in_form()?;
        Ok(report)
    }

    /// Its one encoding: what the hardware signs the SHA-256 of.
    #[must_use]
    pub fn to_cbor(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        // Writing to a Vec does not fail: its error type has no values.
        minicbor::encode(self, &mut bytes).unwrap_or_else(|error| match error.into_write() {
            Some(never) => match never {},
            None => bytes.clear(),
        });
        bytes
    }

    /// SHA-256 of its one encoding.
    #[must_use]
    pub fn digest(&self, crypto: &dyn Crypto) -> Digest<32> {
        crypto.sha256(&[&self.to_cbor()])
    }

    /// What was found about a check.
    #[must_use]
    pub fn measure(&self, check: Check) -> Option<&Measured> {
        self.measures.iter().find(|measured| measured.check == check)
    }

    fn in_form(&self) -> Result<(), BadReport> {
        if self.version != Self::VERSION {
            return Err(BadReport::Version(self.version));
        }
        let texts = self.measures.iter().map(|measured| &measured.found);
        let texts = texts.chain(self.attacks.iter().map(|attack| &attack.found));
        if !texts.chain([&self.program, &self.attacker]).all(|text| is_plain(text)) {
            return Err(BadReport::Text);
        }
        if self.attacks.len() > Self::MAX_ATTACKS {
            return Err(BadReport::Attacks(self.attacks.len()));
        }
        let named = self.measures.iter().map(|measured| measured.check);
        if named.eq(Check::ALL.into_iter().filter(|check| !check.is_attested())) {
            Ok(())
        } else {
            Err(BadReport::Measures)
        }
    }
}

/// Text that is safe for a terminal and a log line.
fn is_plain(text: &str) -> bool {
    text.len() <= Report::MAX_TEXT && text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
}

/// Why bytes are not a report.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BadReport {
    /// Longer than any report.
    #[error("expected at most {limit} bytes, found {0}", limit = Report::MAX_BYTES)]
    TooLong(usize),
    /// Not the CBOR of a report.
    #[error("expected the CBOR of a report of words that are known here, found other bytes")]
    Content,
    /// A second spelling.
    #[error("expected the one encoding of a report, found another")]
    Encoding,
    /// A form of another version.
    #[error("expected version {version}, found {0}", version = Report::VERSION)]
    Version(u32),
    /// Text that no terminal should show.
    #[error("expected texts of at most {limit} printable characters, found others", limit = Report::MAX_TEXT)]
    Text,
    /// More attacks than there are.
    #[error("expected at most {limit} attacks, found {0}", limit = Report::MAX_ATTACKS)]
    Attacks(usize),
    /// Not each check once.
    #[error("expected each check that a wrapper can measure once, in its order, found others")]
    Measures,
}
