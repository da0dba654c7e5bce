//! The attack suite in a quick machine: each probe before the enforcer came and after, and what is said of the two.
//!
//! [`Suite::run`] boots once and tries twice: while there is no enforcer, and while it enforces. [`table`] puts several
//! machines side by side. [`Enforcer`] is how it is started.
//!
//! Trusted: the suite's own words. Untrusted: the enforcer's, which are kept for people to read.

use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use attacks::allowed::Allowed;
use attacks::report::{Line, Verdict};
use attacks::{Outcome, Probe, catalogue};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::guest::{Boot, Clock, Guest};
use crate::kit::Kit;
use crate::system::System;

/// What is put into the machine.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The attack suite.
    pub attacks: PathBuf,
    /// The enforcer.
    pub enforcer: PathBuf,
    /// Its BPF object.
    pub object: PathBuf,
    /// The program that measures what everyday work costs.
    pub costs: PathBuf,
}

impl Programs {
    /// A system with all of them.
    pub fn system(&self, kit: &Kit) -> Result<System> {
        let object = fs::read(&self.object).with_context(|| self.object.display().to_string())?;
        let system = System::plain(kit)?.program(&self.attacks)?.program(&self.enforcer)?;
        let system = system.program(&self.costs)?.file(OBJECT, &object);
        // The shell's own file is everybody's.
        let busybox = fs::read(kit.busybox())?;
        Ok(system.file(TRUSTED, &busybox).file(LIST, list(&busybox).as_bytes()))
    }
}

/// What is to be tried.
#[derive(Clone, Debug)]
pub struct Suite<'a> {
    /// Of what the machine is made.
    pub kit: &'a Kit,
    /// The programs under test.
    pub programs: &'a Programs,
    /// How the ids of the probes begin that are wanted, with commas; all of them when empty.
    pub only: &'a str,
    /// Kinds of hooks that the enforcer shall not use, with commas. What is tried then leaves the machine, and the enforcer, as they
    /// are.
    pub forbidden: &'a str,
    /// The document with the known limits.
    pub limits: &'a str,
}

/// What came of it in one machine.
#[derive(Clone, Debug)]
pub struct Findings {
    /// Which machine.
    pub machine: String,
    /// Each probe.
    pub lines: Vec<Line>,
    /// What the enforcer said at its start: its matrix too.
    pub enforcer: String,
}

impl Suite<'_> {
    /// Boots a machine with the programs.
    pub fn boot(&self, clock: Clock, boot: Boot) -> Result<Guest> {
        Guest::with_clock(clock, self.kit, boot, &self.programs.system(self.kit)?, PATIENCE)
    }

    /// Tries everything in one machine.
    pub fn run(&self, boot: Boot) -> Result<Findings> {
        let allowed = Allowed::parse(self.limits).map_err(|why| anyhow!(why))?.on(&boot.kernel.to_string());
        let (mut guest, bare) = self.bare(boot).or_else(|error| {
            // Nothing of ours is in this kernel yet: the emulator has lost it, as it does once in a hundred boots.
            ensure!(is_crash(&error), error);
            writeln!(io::stderr(), "{boot}: once more, for the bare kernel crashed").unwrap_or_default();
            self.bare(boot)
        })?;
        let mut words = format!("--trusted {LIST}");
        if !self.forbidden.is_empty() {
            words.push_str(" --forbid ");
            words.push_str(self.forbidden);
        }
        let enforcer = Enforcer { words: &words, ..Enforcer::default() }.start(&mut guest)?;
        let protected = self.ask(&mut guest, "--protected-only").context("with the enforcer")?;
        let wants = |id: &str| self.only.split(',').any(|beginning| id.starts_with(beginning));
        let wanted = catalogue().into_iter().filter(|probe| wants(probe.id));
        let lines = wanted.map(|probe| line(probe, &bare, &protected, &allowed)).collect();
        Ok(Findings { machine: boot.to_string(), lines, enforcer })
    }

    /// A machine in which everything was tried, and no enforcer is yet.
    fn bare(&self, boot: Boot) -> Result<(Guest, Vec<Probed>)> {
        let mut guest = self.boot(Clock::Host, boot)?;
        let bare = self.ask(&mut guest, "--bare-only").context("without the enforcer")?;
        Ok((guest, bare))
    }

    fn ask(&self, guest: &mut Guest, words: &str) -> Result<Vec<Probed>> {
        let only = if self.only.is_empty() { String::new() } else { format!("--only {}", self.only) };
        let invasive = if self.forbidden.is_empty() { "--invasive" } else { "" };
        let extras = format!(
            "{invasive} --module /lib/spare/dummy.ko --kernel /lib/spare/vmlinuz --trusted {TRUSTED} \
             --flood 640"
        );
        // Said to the console too, so that an error tells how far it came.
        let said = guest.run(&format!(
            "timeout 400 cloudtaser-attacks run {words} {only} {extras} -v -o json 2>/dev/console >/run/attacks.json; code=$?
             [ -s /run/attacks.json ] && cat /run/attacks.json; exit $code"
        ))?;
        heard(&said.output)
            .with_context(|| format!("the suite ended with {}: {}", said.code, guest.console()))
    }
}

/// What the suite says.
#[derive(Deserialize)]
struct Heard {
    probes: Vec<Probed>,
}

#[derive(Deserialize)]
pub(crate) struct Probed {
    id: String,
    bare: Option<Outcome>,
    protected: Option<Outcome>,
}

/// The probes in the suite's answer.
pub(crate) fn heard(answer: &[u8]) -> Result<Vec<Probed>> {
    let heard: Heard = serde_json::from_slice(answer)?;
    Ok(heard.probes)
}

/// Whether the kernel is to blame, by what it said on the console.
fn is_crash(error: &anyhow::Error) -> bool {
    let said = format!("{error:#}");
    ["Oops: ", "Kernel panic"].iter().any(|words| said.contains(words))
}

/// What is said of a probe after both runs.
pub(crate) fn line(probe: &'static Probe, bare: &[Probed], protected: &[Probed], allowed: &Allowed) -> Line {
    let bare = bare.iter().find(|probed| probed.id == probe.id).and_then(|probed| probed.bare.clone());
    let protected =
        protected.iter().find(|probed| probed.id == probe.id).and_then(|probed| probed.protected.clone());
    let verdict = Verdict::of(probe, bare.as_ref(), protected.as_ref(), allowed);
    Line { id: probe.id, vector: probe.vector, what: probe.what, bare, protected, verdict }
}

/// How the enforcer is started.
#[derive(Clone, Debug)]
pub struct Enforcer<'a> {
    /// The program, and what comes before `run`.
    pub program: &'a str,
    /// The mode of everything.
    pub mode: &'a str,
    /// Further words of its command line.
    pub words: &'a str,
}

impl Default for Enforcer<'_> {
    fn default() -> Self {
        Self { program: "cloudtaser-enforcer", mode: "enforce", words: "" }
    }
}

impl Enforcer<'_> {
    /// Starts it, and gives what it said until it listened; what it says is in `/run/enforcer.log`.
    pub fn start(&self, guest: &mut Guest) -> Result<String> {
        let Self { program, mode, words } = self;
        let said = guest.run(&format!(
            "rm -f {SOCKET}
             mkdir -p {GROUP}-$$
             (echo 0 > {GROUP}-$$/cgroup.procs && exec setsid {program} run --object {OBJECT} --mode {mode} --node-guards {mode} --vector secret-leak={mode} --stale-files --tasks-per-group 256 {words}) \
               </dev/null >/run/enforcer.log 2>&1 &
             enforcer=$! times=0
             until [ -S {SOCKET} ] && grep -q ': ready' /run/enforcer.log; do
               sleep 0.5; times=$((times+1))
               [ $times -lt 240 ] && [ -e /proc/$enforcer ] || {{ cat /run/enforcer.log; exit 1; }}
             done
             cat /run/enforcer.log"
        ))?;
        ensure!(said.code == 0, "the enforcer did not come up: {}", said.text());
        Ok(said.text())
    }
}

/// Several machines side by side, and under it each probe that went wrong.
#[must_use]
pub fn table(all: &[Findings]) -> String {
    let mut text = String::new();
    let head: Vec<String> = all.iter().map(|findings| format!("{:18}", findings.machine)).collect();
    push(&mut text, &format!("{:34}{:18}{}", "probe", "vector", head.join("")));
    let Some(first) = all.first() else { return text };
    for line in &first.lines {
        let cell = |findings: &Findings| {
            let same = findings.lines.iter().find(|other| other.id == line.id);
            format!("{:18}", same.map(|line| word(line.verdict)).unwrap_or_default())
        };
        let cells: String = all.iter().map(cell).collect();
        push(&mut text, &format!("{:34}{:18}{cells}", line.id, line.vector));
    }
    for findings in all {
        let of = attacks::report::summary(&findings.lines);
        push(&mut text, &format!("\n{}: {of}", findings.machine));
        for line in findings.lines.iter().filter(|line| is_failure(line)) {
            push(&mut text, &format!("  {}: {:?}, {:?}", line.id, line.bare, line.protected));
        }
    }
    text
}

/// The probes that went wrong, as `MACHINE: PROBE`.
#[must_use]
pub fn failures(all: &[Findings]) -> Vec<String> {
    let of = |findings: &Findings| {
        let wrong = findings.lines.iter().filter(|line| is_failure(line));
        wrong.map(|line| format!("{}: {}", findings.machine, line.id)).collect::<Vec<_>>()
    };
    all.iter().flat_map(of).collect()
}

/// A probe that was not tried twice has not been proved either.
fn is_failure(line: &Line) -> bool {
    line.verdict.is_failure() || line.verdict == Verdict::OneRun
}

fn word(verdict: Verdict) -> String {
    serde_json::to_value(verdict).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
}

fn push(text: &mut String, line: &str) {
    text.push_str(line.trim_end());
    text.push('\n');
}

/// The operator's list: one program, as container runtimes are, and what it executes.
fn list(program: &[u8]) -> String {
    let digest = hex::encode(Sha256::digest(program));
    format!(
        "[[trusted]]\npath = \"{TRUSTED}\"\nsha256 = \"{digest}\"\ncgroup = \"/sys/fs/cgroup\"\nchildren = true\n"
    )
}

/// A program that is trusted, under a name by which it knows itself.
pub const TRUSTED: &str = "/lib/spare/busybox";
/// The list that says so.
pub const LIST: &str = "/lib/spare/enforcer.toml";
/// Where the enforcer looks for its object, inside.
const OBJECT: &str = "/lib/cloudtaser/enforcer.o";
/// How the enforcer's control group begins: one of its own, as in a pod, and not at the top. The next one may not join it.
const GROUP: &str = "/sys/fs/cgroup/node/enforcer";
const SOCKET: &str = "/run/cloudtaser/enforcer.sock";
/// How long the suite may take on a host that has other things to do.
const PATIENCE: Duration = Duration::from_mins(8);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_that_crashed_is_told_from_a_suite_that_failed() {
        let ended = anyhow!("the suite ended with 2").context("without the enforcer");
        assert!(!is_crash(&ended));
        assert!(is_crash(&anyhow!("the shell is silent").context("[ 41.2] Oops: int3: 0000 [#1]")));
    }
}
