//! Why nothing could be loaded: the kernel loads nothing, or an enforcer before us guards itself and does not know us.
//!
//! The second is no misfortune: what was refused goes on being refused, and whoever is not known is kept out, as root is. Said
//! apart, because one has to be mended by another kernel or more rights, the other by starting the program that is known.
//!
//! Trusted: the kernel's answers. Untrusted: the sign of life, which serves for words alone.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use protocol::enforcer::Heartbeat;

use crate::canary::Proof;
use crate::config::Run;
use crate::events::{clock, heartbeat};
use crate::guards::trusted::{self, Whole};
use crate::load::pins;
use crate::matrix::{self, Known};
use crate::{kernel, procfs};

/// What there is to be seen of an enforcer before us.
#[derive(Clone, Debug, Default)]
pub(crate) struct Signs {
    /// A map that the kernel lists, and does not open for us: its number.
    pub(crate) closed: Option<u32>,
    /// Links of its that have names.
    pub(crate) links: usize,
    /// Its sign of life, while it is fresh: process and version.
    pub(crate) alive: Option<(u32, String)>,
    /// Who we are.
    pub(crate) found: Found,
}

/// The program that was started, as the enforcer before us would know it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Found {
    /// Its file and digest.
    pub(crate) file: String,
    /// What keeps it from being known, whichever file it is.
    pub(crate) flaws: Vec<&'static str>,
}

impl Signs {
    /// By the kernel, and by what lies about.
    pub(crate) fn look(config: &Run) -> Self {
        Self {
            closed: closed().unwrap_or_default(),
            links: pins::left(&config.pins),
            alive: alive(&config.outputs.heartbeat),
            found: Found::ourselves(),
        }
    }

    /// Whether somebody guards what is loaded.
    pub(crate) const fn are_there(&self) -> bool {
        self.closed.is_some() || self.links > 0
    }
}

impl fmt::Display for Signs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an enforcer before this one guards itself, and goes on refusing (")?;
        if let Some(number) = self.closed {
            write!(f, "map {number} is closed to us, ")?;
        }
        write!(f, "{} links are pinned, ", self.links)?;
        match &self.alive {
            Some((pid, version)) => write!(f, "process {pid} of version {version} serves)")?,
            None => write!(f, "its loader has ended)")?,
        }
        write!(
            f,
            "; this program is not known to it: expected the file that it was started from, static, neither traced nor \
             filtered, found {}",
            self.found.file
        )?;
        self.found.flaws.iter().try_for_each(|flaw| write!(f, ", {flaw}"))
    }
}

impl Found {
    fn ourselves() -> Self {
        let file = described().unwrap_or_else(|error| format!("a program that cannot be read: {error}"));
        let status = procfs::ours().and_then(|procfs| procfs.text("self/status")).unwrap_or_default();
        let mut flaws = flaws(&status);
        if trusted::ourselves().is_ok_and(|whole| whole == Whole::No) {
            flaws.push("which loads libraries");
        }
        Self { file, flaws }
    }
}

/// Writes a sign of life with a matrix in which nothing is proved, and why.
pub(crate) fn show(config: &Run, kernel: String, why: &str) -> io::Result<()> {
    let known = Known { hooks: Vec::new(), unasked: &[], missing: &[], programs: String::new(), kernel };
    let mut matrix = matrix::draw(&known, |vector| config.mode_of(vector), |_| Proof::Untried);
    for defence in &mut matrix.vectors {
        defence.why = Some(why.to_owned());
    }
    let beat = heartbeat::beat(&matrix, clock::now(), std::process::id(), env!("CARGO_PKG_VERSION"));
    fs::write(&config.outputs.heartbeat, beat)
}

/// What the kernel says of a process that keeps it from being known.
fn flaws(status: &str) -> Vec<&'static str> {
    // The first line is the name, in which a newline is written as `\n`.
    let is_zero = |name: &str| {
        let value = status.lines().skip(1).find_map(|line| line.strip_prefix(name));
        value.is_none_or(|value| value.trim() == "0")
    };
    let all = [("Seccomp:", "whose system calls are filtered"), ("TracerPid:", "which is traced")];
    all.into_iter().filter(|(name, _)| !is_zero(name)).map(|(_, flaw)| flaw).collect()
}

fn described() -> io::Result<String> {
    let path = procfs::ours()?.link("self/exe")?;
    let digest = trusted::digest(&mut procfs::ours()?.behind("self", "exe")?)?;
    Ok(format!("{} with SHA-256 {digest}", path.display()))
}

/// The first map that we are not given although it is there. Who may list maps may open them, as far as the kernel itself minds.
fn closed() -> io::Result<Option<u32>> {
    let mut number = 0;
    while let Some(next) = kernel::next_map(number)? {
        match kernel::open_map(next) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(Some(next)),
            // One that has gone meanwhile is nobody's.
            Ok(_) | Err(_) => number = next,
        }
    }
    Ok(None)
}

fn alive(heartbeat: &Path) -> Option<(u32, String)> {
    let beat: Heartbeat = serde_json::from_slice(&fs::read(heartbeat).ok()?).ok()?;
    let other = beat.pid != std::process::id() && beat.is_fresh(clock::now().boot / 1_000_000_000);
    other.then_some((beat.pid, beat.version))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found() -> Found {
        Found { file: "/bin/enforcer with SHA-256 00".into(), flaws: vec!["which is traced"] }
    }

    #[test]
    fn a_kernel_that_loads_nothing_is_not_taken_for_an_enforcer() {
        let alive = Some((7, "0.1.0".to_owned()));
        assert!(!Signs { alive, found: found(), ..Signs::default() }.are_there());
        assert!(Signs { closed: Some(3), ..Signs::default() }.are_there());
        assert!(Signs { links: 1, ..Signs::default() }.are_there());
    }

    #[test]
    fn who_is_kept_out_is_told_by_whom_and_what_was_expected() {
        let signs = Signs { closed: Some(12), links: 63, alive: Some((9, "0.1.0".into())), found: found() };
        assert_eq!(
            signs.to_string(),
            "an enforcer before this one guards itself, and goes on refusing (map 12 is closed to us, 63 links are pinned, \
             process 9 of version 0.1.0 serves); this program is not known to it: expected the file that it was started \
             from, static, neither traced nor filtered, found /bin/enforcer with SHA-256 00, which is traced"
        );
        let ended = Signs { closed: None, alive: None, ..signs };
        assert!(
            ended.to_string().contains("refusing (63 links are pinned, its loader has ended); this program")
        );
    }

    #[test]
    fn a_filter_and_a_tracer_are_seen_and_a_name_is_not_taken_for_either() {
        let status = "Name:\tSeccomp:\\n2\nTracerPid:\t0\nSeccomp:\t0\nSeccomp_filters:\t0\n";
        assert_eq!(flaws(status), [""; 0]);
        let status = "Name:\tx\nTracerPid:\t12\nSeccomp:\t2\nSeccomp_filters:\t1\n";
        assert_eq!(flaws(status), ["whose system calls are filtered", "which is traced"]);
    }
}
