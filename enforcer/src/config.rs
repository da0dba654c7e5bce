//! What the program was told: words in, values out, all problems at once.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use ed25519_dalek::VerifyingKey;

/// Where the list of trusted programs is, unless it is said.
pub const TRUSTED: &str = "/etc/cloudtaser/enforcer.toml";

/// Keeps even root out of processes that hold secrets.
#[derive(Debug, Parser)]
#[command(name = "cloudtaser-enforcer", version)]
pub struct Command {
    /// What is to be done.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Load the programs, and look after them until told to end. What they refuse stays refused afterwards.
    Run(Box<Run>),
    /// Copy this program to where it lasts, have the enforcer before it let it in, and run it.
    Start(crate::succession::start::Start),
    /// Let go of everything, by a signed statement.
    Detach(crate::succession::release::Detach),
    /// Write the statement that is to be signed, for this node as it is now.
    Challenge(crate::succession::challenge::Challenge),
    /// Say the digests by which a list of successors names this program, its object, and words of `run` with their list.
    Digests {
        /// `run`, and its words.
        #[arg(
            trailing_var_arg = true,
            allow_hyphen_values = true,
            required = true,
            value_name = "run WORDS"
        )]
        words: Vec<OsString>,
    },
    /// Let another program in, by a signed list: for `start`.
    #[command(hide = true)]
    Admit(crate::succession::admit::Admit),
    /// Say what would become of each entry of a list of trusted programs.
    CheckList {
        /// The list.
        #[arg(default_value = TRUSTED)]
        file: PathBuf,
    },
    /// Confirm that the node can be used while its guards refuse: from a session that began after they did.
    ConfirmGuards {
        /// The enforcer's socket.
        #[arg(long, default_value = protocol::enforcer::SOCKET)]
        socket: PathBuf,
    },
    /// Attack the enforcer's own decoy, or be it.
    #[command(hide = true)]
    Canary {
        /// The decoy; without it, the process itself.
        #[arg(long)]
        target: Option<u32>,
        /// The enforcer.
        #[arg(long)]
        enforcer: Option<u32>,
        /// Start such children for the enforcer, whenever it asks on standard input.
        #[arg(long)]
        nursery: bool,
    },
}

/// How it runs.
#[derive(Args, Debug)]
pub struct Run {
    /// The programs.
    #[arg(long, default_value = "/usr/lib/cloudtaser/enforcer.bpf.o")]
    pub object: PathBuf,
    /// Whether what the policy is against is refused, or only told.
    #[arg(long, value_enum, default_value_t = Mode::Enforce)]
    pub mode: Mode,
    /// The mode of the guards on the node as a whole.
    #[arg(long, value_enum, default_value_t = Mode::Detect)]
    pub node_guards: Mode,
    /// How many minutes the node's guards may refuse until an administrator confirms them (`confirm-guards`); then they only tell.
    /// 0: without a trial.
    #[arg(long, value_name = "MINUTES", default_value_t = 15, value_parser = clap::value_parser!(u64).range(0..=1_440))]
    pub trial: u64,
    /// Where a confirmation outlives the machine's restart.
    #[arg(long, value_name = "FILE", default_value = "/var/lib/cloudtaser/enforcer/node-guards-confirmed")]
    pub confirmed: PathBuf,
    /// The mode of one vector, as NAME=off, NAME=detect or NAME=enforce; again for more.
    #[arg(long = "vector", value_name = "NAME=MODE", value_parser = vector)]
    pub vectors: Vec<(enforcer_abi::Vector, Mode)>,
    /// The one control group whose members are subject to the guards; without it, everybody is. For tests.
    #[arg(long, value_name = "FOLDER")]
    pub scope: Option<PathBuf>,
    /// A kind of hook that is not to be used though the kernel has it; with commas, or again, for more. For tests of what is left
    /// then.
    #[arg(long, value_enum, value_name = "KIND", value_delimiter = ',')]
    pub forbid: Vec<Kind>,
    /// How many bytes of records may wait to be read: a power of two, of pages. What does not fit is lost, and counted.
    #[arg(long, value_name = "BYTES", default_value_t = 4 << 20)]
    pub ring: u32,
    /// How many processes and threads a protected program may have, with all that it starts; more are refused. The tables are
    /// for all of the node.
    #[arg(long, value_name = "NUMBER", default_value_t = enforcer_abi::share::TASKS, value_parser = clap::value_parser!(u32).range(128..=32_768))]
    pub tasks_per_group: u32,
    /// Where maps and links have their names, under which they outlive this program.
    #[arg(long, value_name = "FOLDER", default_value = "/sys/fs/bpf/cloudtaser")]
    pub pins: PathBuf,
    /// Give nothing a name: enforcement ends with this program. For tests.
    #[arg(long)]
    pub no_pins: bool,
    /// What is told, and where.
    #[command(flatten)]
    pub outputs: crate::events::feed::Outputs,
    /// What is done about bytes to be sent that cannot be looked at, where secret-leak is enforced: a page is not in memory, or
    /// they are another file's.
    #[arg(long, value_enum, value_name = "WHAT", default_value_t = Unread::Count)]
    pub unread: Unread,
    /// Look at every read and write for files of a process that were opened before it was protected.
    #[arg(long)]
    pub stale_files: bool,
    /// Where a hook cannot refuse, kill who does what the policy is against; without it, it is only told.
    #[arg(long)]
    pub reactive_kill: bool,
    /// The list of trusted programs; without the file, nobody is.
    #[arg(long, value_name = "FILE", default_value = TRUSTED)]
    pub trusted: PathBuf,
    /// Where the files that it names lie: the machine's topmost folder, as a container sees it.
    #[arg(long, value_name = "FOLDER", default_value = "/")]
    pub trusted_root: PathBuf,
    /// What this node is called in statements of break-glass; without it, by the machine's own name.
    #[arg(long, value_name = "NAME")]
    pub node: Option<String>,
    /// The Ed25519 key by which what is enforced may be changed or let go, hexadecimal.
    #[arg(long, value_name = "KEY", value_parser = key)]
    pub break_glass_key: Option<[u8; 32]>,
    /// A signed statement that another policy than the one in force may be taken.
    #[arg(long, value_name = "FILE")]
    pub break_glass: Option<PathBuf>,
    /// The Ed25519 key of lists of programs that may take over, hexadecimal.
    #[arg(long, value_name = "KEY", value_parser = key)]
    pub upgrade_key: Option<[u8; 32]>,
    /// A signed list of programs that may take over.
    #[arg(long, value_name = "FILE")]
    pub successors: Option<PathBuf>,
    /// What to do when another has taken over: a container that ended would be started again.
    #[arg(long, value_enum, default_value_t = Then::End)]
    pub when_replaced: Then,
    /// Where processes ask to be protected.
    #[arg(long, default_value = protocol::enforcer::SOCKET)]
    pub socket: PathBuf,
}

/// A kind of hook.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Kind {
    /// BPF LSM.
    Lsm,
    /// The return values of `security_*`.
    FmodRet,
    /// The entries of functions.
    Kprobe,
    /// The entry of all system calls.
    SysEnter,
}

/// What is done about bytes that cannot be looked at.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Unread {
    /// They are counted, and go.
    Count,
    /// The first call of two is sent back, to be made again (EAGAIN).
    Retry,
    /// They are refused.
    Refuse,
}

impl From<Unread> for enforcer_abi::leak::Unread {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::Count => Self::Count,
            Unread::Retry => Self::Retry,
            Unread::Refuse => Self::Refuse,
        }
    }
}

/// What is done when another enforcer is in our place.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Then {
    /// End.
    End,
    /// Wait to be told to end, by whoever started us.
    StandBy,
}

/// What is done about an access that the policy is against.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Mode {
    /// Nothing.
    Off,
    /// It is told.
    Detect,
    /// It is told and refused.
    Enforce,
}

impl From<Mode> for enforcer_abi::Mode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Off => Self::Off,
            Mode::Detect => Self::Detect,
            Mode::Enforce => Self::Enforce,
        }
    }
}

fn key(word: &str) -> Result<[u8; 32], String> {
    let bytes = hex::decode(word).map_err(|error| error.to_string())?;
    let bytes =
        <[u8; 32]>::try_from(bytes).map_err(|bytes| format!("expected 32 bytes, found {}", bytes.len()))?;
    // Zeros are a point by chance, and mean that there is no key.
    let is_key = VerifyingKey::from_bytes(&bytes).is_ok_and(|key| !key.is_weak());
    if is_key {
        Ok(bytes)
    } else {
        Err("expected an Ed25519 public key, found 32 bytes that are none".to_owned())
    }
}

fn vector(word: &str) -> Result<(enforcer_abi::Vector, Mode), String> {
    let (name, mode) = word.split_once('=').ok_or_else(|| format!("expected NAME=MODE, found {word}"))?;
    let vector = enforcer_abi::Vector::named(name).ok_or_else(|| format!("no vector has the name {name}: docs/enforcer-vectors.md names them, and `cloudtaser enforcer matrix`"))?;
    Ok((
        vector,
        Mode::from_str(mode, false)
            .map_err(|_unknown| format!("expected off, detect or enforce, found {mode}"))?,
    ))
}

impl Run {
    /// The mode of a vector.
    #[must_use]
    pub fn mode_of(&self, vector: enforcer_abi::Vector) -> enforcer_abi::Mode {
        let named = self.vectors.iter().rev().find(|(named, _)| *named == vector).map(|(_, mode)| *mode);
        let general = match vector.guard() {
            enforcer_abi::Guard::Node => self.node_guards,
            enforcer_abi::Guard::Process | enforcer_abi::Guard::Own | enforcer_abi::Guard::Inside => {
                self.mode
            }
        };
        // What looks like a secret's way out may be its errand, to the database it is for: an operator decides.
        let careful = vector == enforcer_abi::Vector::SecretLeak && general == Mode::Enforce;
        named.unwrap_or(if careful { Mode::Detect } else { general }).into()
    }
}
