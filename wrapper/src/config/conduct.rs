//! How values are handed over, what becomes of them later, and how the program is looked after.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::time::Duration;

use super::reader::Reader;

/// Seconds between two looks at values that have no lease, as `bao agent` has it for templates.
const REFRESH: u64 = 300;
const YEAR: u64 = 365 * 24 * 3600;

/// How values may reach the program.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Delivery {
    /// The ways that are allowed, in the order in which they are tried.
    pub ways: Vec<Way>,
    /// Whether ordinary locked memory will do where the kernel has no `memfd_secret(2)`.
    pub memory: Memory,
}

/// One way into a program's environment.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Way {
    /// By `ptrace(2)` at `execve(2)`: reaches every program.
    Graft,
    /// By a library that rewrites `environ` before `main`: reaches programs that are linked dynamically.
    Constructor,
    /// By a library that answers `getenv(3)`: reaches those that ask it.
    Getenv,
    /// In clear, as everybody else does it.
    Environ,
}

/// Which memory values may lie in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Memory {
    /// `memfd_secret(2)`, or nothing.
    Secret,
    /// Locked memory that is left out of core dumps, where there is no better.
    Locked,
}

/// How the program is looked after.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Supervision {
    /// Who is left once the program runs.
    pub mode: Mode,
    /// Whether signals go to the program's whole process group.
    pub signals: Audience,
    /// How long after SIGTERM the group is killed; none: when a second SIGTERM comes.
    pub kill_after: Option<Duration>,
}

/// Who is left once the program runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mode {
    /// We, as its parent.
    Supervise,
    /// The program alone, in our place and with our process id.
    InPlace,
}

/// Who is told of a signal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Audience {
    /// The program.
    Program,
    /// Its process group.
    Group,
}

/// What becomes of values later.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rotation {
    /// How the program learns of a new value.
    pub strategy: Strategy,
    /// What is run for [`Strategy::Exec`].
    pub hook: Vec<String>,
    /// How often values without a lease are looked at again; none: never.
    pub refresh: Option<Duration>,
    /// How long past the end of a lease the program goes on while OpenBao cannot be reached.
    pub grace: Duration,
    /// How old values may become without OpenBao's word for them; none: of any age.
    pub max_stale: Option<Duration>,
    /// What happens to the program when a value is withdrawn from it.
    pub withdrawal: Withdrawal,
}

/// How the program learns of a new value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Strategy {
    /// It is ended and started anew.
    Restart,
    /// The pages are rewritten, and it gets SIGHUP.
    Sighup,
    /// The pages are rewritten, and a command is run.
    Exec,
    /// The pages are rewritten; where the program does not look at them again, it is restarted.
    Live,
    /// Not at all; leases are renewed.
    None,
}

/// What happens to the program when a value is withdrawn, or too old.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Withdrawal {
    /// It is ended.
    Kill,
    /// It is stopped where it stands.
    Freeze,
}

/// Where we answer on this machine.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Local {
    /// The socket for the program and its children: a path, or `@NAME` in the abstract namespace.
    pub socket: Option<String>,
    /// The address for metrics.
    pub metrics: Option<SocketAddr>,
}

/// Whether the enforcer is asked to protect us.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Enforcement {
    /// Without one that protects us, and has proved that it does, nothing is fetched.
    Required,
    /// Where there is one.
    Auto,
    /// It is not asked.
    Off,
}

impl Enforcement {
    const WORDS: [(&str, Self); 3] = [("required", Self::Required), ("auto", Self::Auto), ("off", Self::Off)];

    /// What a word says, before there is a configuration; none where it is no word of ours.
    #[must_use]
    pub fn from_word(word: Option<&OsStr>) -> Option<Self> {
        let Some(word) = word.filter(|word| !word.is_empty()) else { return Some(Self::Auto) };
        Self::WORDS.into_iter().find(|(known, _)| word == *known).map(|(_, meaning)| meaning)
    }
}

/// Which system calls the program may make.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Calls {
    /// None by which memory goes where no hook of the kernel looks: [`crate::harden::program`].
    Hooked,
    /// All of them.
    All,
}

impl Reader<'_> {
    pub(super) fn enforcement(&mut self) -> Enforcement {
        // Where the socket is was read before there was a configuration; a path that is not there is told there.
        let path = self.text("CLOUDTASER_ENFORCER_SOCKET");
        if path.is_some_and(|path| !path.starts_with('/')) {
            self.problem("CLOUDTASER_ENFORCER_SOCKET: expected a path from the root");
        }
        self.choice("CLOUDTASER_ENFORCER", &Enforcement::WORDS).unwrap_or(Enforcement::Auto)
    }

    pub(super) fn calls(&mut self) -> Calls {
        if self.flag("CLOUDTASER_PROGRAM_FILTER", true) { Calls::Hooked } else { Calls::All }
    }

    pub(super) fn delivery(&mut self) -> Delivery {
        let ways = [
            ("graft", Way::Graft),
            ("constructor", Way::Constructor),
            ("getenv", Way::Getenv),
            ("environ", Way::Environ),
        ];
        let ways = self.choices("CLOUDTASER_DELIVERY", &ways);
        let memory = [("secret", Memory::Secret), ("locked", Memory::Locked)];
        Delivery {
            ways: ways.unwrap_or_else(|| vec![Way::Graft, Way::Constructor, Way::Getenv]),
            memory: self.choice("CLOUDTASER_MEMORY", &memory).unwrap_or(Memory::Secret),
        }
    }

    pub(super) fn supervision(&mut self) -> Supervision {
        let supervised = self.flag("CLOUDTASER_SUPERVISE", true);
        let group = self.flag("CLOUDTASER_SIGNAL_GROUP", false);
        Supervision {
            mode: if supervised { Mode::Supervise } else { Mode::InPlace },
            signals: if group { Audience::Group } else { Audience::Program },
            kill_after: self.seconds("CLOUDTASER_KILL_AFTER", 1..=3600),
        }
    }

    pub(super) fn rotation(&mut self, mode: Mode) -> Rotation {
        let strategies = [
            ("restart", Strategy::Restart),
            ("sighup", Strategy::Sighup),
            ("exec", Strategy::Exec),
            ("live", Strategy::Live),
            ("none", Strategy::None),
        ];
        let default = if mode == Mode::InPlace { Strategy::None } else { Strategy::Restart };
        let strategy = self.choice("CLOUDTASER_ROTATION_STRATEGY", &strategies).unwrap_or(default);
        let hook = self.text("CLOUDTASER_ROTATION_HOOK").unwrap_or_default();
        let hook: Vec<String> = hook.split_whitespace().map(str::to_owned).collect();
        if (strategy == Strategy::Exec) == hook.is_empty() {
            self.problem("CLOUDTASER_ROTATION_HOOK: expected a command with CLOUDTASER_ROTATION_STRATEGY exec, and none without it");
        }
        let withdrawals = [("kill", Withdrawal::Kill), ("freeze", Withdrawal::Freeze)];
        let refresh = self.seconds("CLOUDTASER_REFRESH", 0..=YEAR).unwrap_or(Duration::from_secs(REFRESH));
        let rotation = Rotation {
            strategy,
            hook,
            refresh: Some(refresh).filter(|refresh| !refresh.is_zero()),
            grace: self.seconds("CLOUDTASER_OFFLINE_GRACE", 0..=YEAR).unwrap_or_default(),
            max_stale: self.seconds("CLOUDTASER_MAX_STALE", 1..=YEAR),
            withdrawal: self.choice("CLOUDTASER_ON_WITHDRAWAL", &withdrawals).unwrap_or(Withdrawal::Kill),
        };
        if mode == Mode::InPlace && (strategy != Strategy::None || rotation.max_stale.is_some()) {
            self.problem("CLOUDTASER_SUPERVISE: false leaves nobody who could rotate; expected CLOUDTASER_ROTATION_STRATEGY none and no CLOUDTASER_MAX_STALE");
        }
        rotation
    }

    pub(super) fn local(&mut self, mode: Mode) -> Local {
        let socket = self.text("CLOUDTASER_SOCKET");
        let fits = |text: &String| text.len() < 100 && (text.starts_with('/') || text.starts_with('@'));
        if socket.as_ref().is_some_and(|text| !fits(text)) {
            self.problem(
                "CLOUDTASER_SOCKET: expected a path from the root, or @NAME, shorter than 100 bytes",
            );
        }
        let metrics = self.text("CLOUDTASER_METRICS_ADDR");
        let parsed = metrics.as_ref().and_then(|text| text.parse().ok());
        if metrics.is_some() && parsed.is_none() {
            self.problem("CLOUDTASER_METRICS_ADDR: expected IP:PORT");
        }
        if mode == Mode::InPlace && (socket.is_some() || metrics.is_some()) {
            self.problem("CLOUDTASER_SUPERVISE: false leaves nobody who could answer; expected neither CLOUDTASER_SOCKET nor CLOUDTASER_METRICS_ADDR");
        }
        Local { socket, metrics: parsed }
    }
}
