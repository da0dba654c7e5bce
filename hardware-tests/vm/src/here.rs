//! The attack suite on this very machine: what its kernel takes is what is proved.
//!
//! The enforcer minds nobody but those in one control group, and the attackers are in it; nothing is pinned, so that all of
//! it goes with it. A kernel may take little: what is not refused here is no failure where the matrix does not say that it is.
//! What the matrix claims and an attack disproves is one, and so is a runtime's need that is refused.
//!
//! Trusted: the suite's own words. Untrusted: the enforcer's, which are held against them.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, anyhow, bail};
use attacks::allowed::{self, Allowed};
use attacks::catalogue;
use attacks::report::{Line, Verdict};

use crate::process::{PATIENCE, wait};
use crate::suite::{Findings, Probed, Programs, heard, line};

/// What is to be tried.
#[derive(Clone, Debug)]
pub struct Here<'a> {
    /// The programs under test.
    pub programs: &'a Programs,
    /// How the ids of the probes begin that are wanted, with commas; all of them when empty.
    pub only: &'a str,
    /// The document with the known limits.
    pub limits: &'a str,
}

impl Here<'_> {
    /// Tries everything that leaves this machine as it is. Only root can.
    pub fn run(&self) -> Result<Findings> {
        let allowed = Allowed::parse(self.limits).map_err(|why| anyhow!(why))?.on(&allowed::kernel());
        // In this order: the group goes when nobody is in it any more.
        let group = Group::make()?;
        let scratch = tempfile::tempdir()?;
        let bare = self.ask(&group, scratch.path(), "--bare-only").context("without the enforcer")?;
        let (_enforcer, said) = self.start(&group, scratch.path())?;
        let protected = if is_ready(&said) {
            self.ask(&group, scratch.path(), "--protected-only").context("with the enforcer")?
        } else {
            Vec::new()
        };
        let wanted = catalogue().into_iter().filter(|probe| self.wants(probe.id));
        let lines = wanted.map(|probe| line(probe, &bare, &protected, &allowed)).collect();
        Ok(Findings { machine: "here".to_owned(), lines, enforcer: said })
    }

    fn wants(&self, id: &str) -> bool {
        self.only.split(',').any(|beginning| id.starts_with(beginning))
    }

    /// Starts the enforcer, and gives what it said until it listened, or said that nothing can be loaded.
    fn start(&self, group: &Group, scratch: &Path) -> Result<(Running, String)> {
        let log = scratch.join("enforcer.log");
        let mut enforcer = Command::new(&self.programs.enforcer);
        enforcer.args(["run", "--mode", "enforce", "--node-guards", "enforce", "--no-pins", "--scope"]);
        enforcer.arg(&group.0).arg("--object").arg(&self.programs.object);
        enforcer.arg("--socket").arg(scratch.join(SOCKET)).arg("--heartbeat").arg(scratch.join("heartbeat"));
        enforcer.arg("--trusted").arg(scratch.join("nobody"));
        let file = File::create(&log)?;
        enforcer.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let mut running = Running(enforcer.spawn().context("cloudtaser-enforcer")?);
        let said = wait("the enforcer", PATIENCE, || {
            let said = fs::read_to_string(&log)?;
            if is_ready(&said) || said.contains(NOTHING) {
                return Ok(Some(said));
            }
            match running.0.try_wait()? {
                Some(status) => bail!("the enforcer ended: {status}: {said}"),
                None => Ok(None),
            }
        })?;
        Ok((running, said))
    }

    fn ask(&self, group: &Group, scratch: &Path, run: &str) -> Result<Vec<Probed>> {
        // The shell is in the group before the suite is.
        let mut suite = Command::new("sh");
        suite.args(["-c", "echo $$ > \"$0/cgroup.procs\" && exec \"$@\""]).arg(&group.0);
        suite.arg(&self.programs.attacks).args(["run", run, "--output", "json", "--socket"]);
        suite.arg(scratch.join(SOCKET));
        if !self.only.is_empty() {
            suite.args(["--only", self.only]);
        }
        let said = suite.stdin(Stdio::null()).stderr(Stdio::inherit()).output().context("sh")?;
        heard(&said.stdout).with_context(|| format!("the suite ended with {}", said.status))
    }
}

fn is_ready(said: &str) -> bool {
    said.lines().any(|line| line == "cloudtaser-enforcer: ready")
}

/// What the enforcer says of a vector in the matrix that it prints.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Claim<'s> {
    tier: &'s str,
    mode: &'s str,
    verified: &'s str,
}

impl<'s> Claim<'s> {
    // `cloudtaser-enforcer: vector NAME tier TIER mode MODE verified VERIFIED: why`
    fn of(said: &'s str, vector: &str) -> Self {
        let beginning = format!("cloudtaser-enforcer: vector {vector} tier ");
        let line = said.lines().find_map(|line| line.strip_prefix(&beginning)).unwrap_or_default();
        let mut words = line.split([' ', ':']).step_by(2);
        let mut word = || words.next().filter(|word| !word.is_empty()).unwrap_or("none");
        Self { tier: word(), mode: word(), verified: word() }
    }

    /// Whether it says that it is refused.
    fn refuses(&self) -> bool {
        ["lsm", "fmod_ret", "override"].contains(&self.tier)
            && self.mode == "enforce"
            && self.verified != "No"
    }
}

/// What was claimed of each vector beside what came of the attacks, and under it what was disproved.
#[must_use]
pub fn honest(findings: &Findings) -> String {
    let mut text = format!("{:18}{:12}{:10}{:10}stopped\n", "vector", "tier", "mode", "verified");
    let mut vectors: Vec<&str> = Vec::new();
    for line in &findings.lines {
        if !vectors.contains(&line.vector) && line.vector != attacks::OPEN {
            vectors.push(line.vector);
        }
    }
    for vector in vectors {
        let Claim { tier, mode, verified } = Claim::of(&findings.enforcer, vector);
        let of = |wanted: fn(&Line) -> bool| {
            findings.lines.iter().filter(|line| line.vector == vector && wanted(line)).count()
        };
        let stopped = of(|line| matches!(line.verdict, Verdict::Denied | Verdict::Killed));
        let works = of(|line| matches!(line.bare, Some(attacks::Outcome::Got(_))));
        // Writing to a string does not fail.
        writeln!(text, "{vector:18}{tier:12}{mode:10}{verified:10}{stopped} of {works}").unwrap_or_default();
    }
    if let Some(why) = findings.enforcer.lines().find(|line| line.contains(NOTHING)) {
        text.push_str(why);
        text.push('\n');
    }
    for id in disproved(findings) {
        writeln!(text, "NOT AS THE MATRIX SAYS: {id}").unwrap_or_default();
    }
    text
}

/// The probes by which the enforcer was proved wrong.
#[must_use]
pub fn disproved(findings: &Findings) -> Vec<&'static str> {
    let is_wrong = |line: &&Line| match line.verdict {
        Verdict::StillPossible => Claim::of(&findings.enforcer, line.vector).refuses(),
        Verdict::Closed => true,
        Verdict::Denied
        | Verdict::Killed
        | Verdict::Known
        | Verdict::Unproved
        | Verdict::ImpossibleBare
        | Verdict::Open
        | Verdict::OneRun => false,
    };
    findings.lines.iter().filter(is_wrong).map(|line| line.id).collect()
}

/// A control group of our own. It goes when dropped.
#[derive(Debug)]
struct Group(PathBuf);

impl Group {
    fn make() -> Result<Self> {
        // Beside the groups of version 1 it is mounted at another place.
        let mounts = fs::read_to_string("/proc/self/mounts")?;
        let top = unified(&mounts).context("expected control groups of version 2, found none")?;
        let folder = top.join(format!("cloudtaser-attacks-{}", std::process::id()));
        fs::create_dir(&folder).with_context(|| folder.display().to_string())?;
        Ok(Self(folder))
    }
}

/// Where control groups of version 2 are.
fn unified(mounts: &str) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let mut words = line.split(' ').skip(1);
        let folder = words.next()?;
        (words.next()? == "cgroup2").then(|| folder.into())
    })
}

impl Drop for Group {
    fn drop(&mut self) {
        // It fails while somebody is in it, and then it does no harm.
        fs::remove_dir(&self.0).unwrap_or_default();
    }
}

/// The enforcer. It is told to end when dropped: what it loaded goes with it.
#[derive(Debug)]
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only if it has already ended.
        let _told = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ended = self.0.wait();
    }
}

const SOCKET: &str = "enforcer.sock";
const NOTHING: &str = "NOTHING IS REFUSED";

#[cfg(test)]
mod tests {
    use attacks::Outcome;

    use super::*;

    const SAID: &str = "cloudtaser-enforcer: vector ptrace tier observe mode enforce verified No: an attack on the decoy went through
cloudtaser-enforcer: vector proc-mem tier lsm mode enforce verified Yes
cloudtaser-enforcer: vector fanotify tier fmod_ret mode detect verified Untried
cloudtaser-enforcer: ready
";

    fn findings(lines: Vec<Line>) -> Findings {
        Findings { machine: "here".to_owned(), lines, enforcer: SAID.to_owned() }
    }

    fn probed(id: &'static str, vector: &'static str, verdict: Verdict) -> Line {
        let bare = Some(Outcome::got("it"));
        Line { id, vector, what: "", bare, protected: None, verdict }
    }

    #[test]
    fn groups_of_the_second_version_are_found_beside_those_of_the_first() {
        let mounts = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\ncgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        assert_eq!(unified(mounts), Some("/sys/fs/cgroup/unified".into()));
        assert_eq!(unified("cgroup /sys/fs/cgroup/cpu cgroup rw 0 0"), None);
    }

    #[test]
    fn what_is_only_observed_is_claimed_by_nobody() {
        let possible = Verdict::StillPossible;
        let all = vec![
            probed("ptrace/attach", "ptrace", possible),
            probed("fan/mark", "fanotify", possible),
            probed("map/a", "own-map", possible),
        ];
        assert_eq!(disproved(&findings(all)), [""; 0]);
    }

    #[test]
    fn what_is_said_to_be_refused_and_is_not_is_a_failure() {
        let all = vec![
            probed("proc/mem-read", "proc-mem", Verdict::StillPossible),
            probed("runtime/stat", attacks::OPEN, Verdict::Closed),
        ];
        assert_eq!(disproved(&findings(all)), ["proc/mem-read", "runtime/stat"]);
    }

    #[test]
    fn a_claim_stands_beside_what_came_of_the_attacks() {
        let all = vec![
            probed("proc/mem-read", "proc-mem", Verdict::StillPossible),
            probed("proc/mem-write", "proc-mem", Verdict::Denied),
            probed("map/a", "own-map", Verdict::StillPossible),
        ];
        let text = honest(&findings(all));
        let words: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(words[1], ["proc-mem", "lsm", "enforce", "Yes", "1", "of", "2"]);
        assert_eq!(words[2], ["own-map", "none", "none", "none", "0", "of", "1"]);
        assert_eq!(text.lines().last(), Some("NOT AS THE MATRIX SAYS: proc/mem-read"));
    }
}
