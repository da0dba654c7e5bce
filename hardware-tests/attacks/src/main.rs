//! Root's ways to a secret in another process, each tried: `cloudtaser-attacks run`.
//!
//! Exit codes: 0 all attacks that work bare are stopped, or known; 1 some are not; 2 the suite itself failed; 3 no enforcer
//! listens, so that there was nothing to be tested.
#![forbid(unsafe_code)]

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use attacks::allowed::{self, Allowed};
use attacks::bounded::Bounded;
use attacks::inject::Inject;
use attacks::leftover::Settings;
use attacks::report::{Line, Verdict, summary, table};
use attacks::steady::Steady;
use attacks::victim::Life;
use attacks::{Extras, Outcome, Probe, Run, Stage, catalogue, run::attempt};
use clap::{Args, Parser, Subcommand, ValueEnum};

#[derive(Parser)]
#[command(name = "cloudtaser-attacks", about = "Tries root's ways to a secret in another process")]
struct Words {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Try all probes, while the victim is bare and while it is protected.
    Run(Wanted),
    /// List them.
    List,
    /// Keep a core: the kernel starts this at the end of a pipe.
    #[command(hide = true)]
    Collect {
        /// Where.
        path: PathBuf,
    },
    /// Attack one protected victim again and again, to see whether it is guarded all the time.
    Steady(Steady),
    /// Become another program, with some of root's rights.
    Bounded(Bounded),
    /// Have another process make calls, and say which of them it is refused.
    Inject(Inject),
    /// Be attacked.
    #[command(hide = true)]
    Victim(Life),
}

#[derive(Args)]
struct Wanted {
    #[command(flatten)]
    runs: Runs,
    /// Where the enforcer listens.
    #[arg(long, default_value = protocol::enforcer::SOCKET)]
    socket: PathBuf,
    /// Only these probes, or themes: ids, or how they begin, with commas.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Not these.
    #[arg(long, value_delimiter = ',')]
    skip: Vec<String>,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t = Form::Table)]
    output: Form,
    /// The document whose section "Attacks that still work" lists the known ones.
    #[arg(long)]
    allowed: Option<PathBuf>,
    /// Also probes that change the node as a whole. Not on a machine that others need.
    #[arg(long)]
    invasive: bool,
    /// A kernel module that is harmless to load.
    #[arg(long)]
    module: Option<PathBuf>,
    /// An image of a kernel.
    #[arg(long)]
    kernel: Option<PathBuf>,
    /// A program of many names, such as busybox, that the operator trusts.
    #[arg(long)]
    trusted: Option<PathBuf>,
    /// How many processes a protected group tries to have: more than the enforcer was told to allow it.
    #[arg(long, value_name = "NUMBER")]
    flood: Option<u32>,
    /// Say each probe's outcome at once.
    #[arg(short, long)]
    verbose: bool,
}

#[derive(Args)]
struct Runs {
    /// Only while the victim is bare.
    #[arg(long, conflicts_with = "protected_only")]
    bare_only: bool,
    /// Only while it is protected.
    #[arg(long)]
    protected_only: bool,
}

#[derive(Clone, Copy, Eq, PartialEq, ValueEnum)]
enum Form {
    Table,
    Json,
}

fn main() -> ExitCode {
    match act(Words::parse().verb) {
        Ok(code) => code,
        Err(error) => {
            // Nobody to tell when this fails.
            drop(writeln!(std::io::stderr(), "cloudtaser-attacks: {error:#}"));
            ExitCode::from(2)
        }
    }
}

fn act(verb: Verb) -> anyhow::Result<ExitCode> {
    match verb {
        Verb::Victim(life) => {
            life.live(attacks::victim::environment()).context("the victim")?;
            Ok(ExitCode::SUCCESS)
        }
        Verb::Collect { path } => {
            attacks::collect(&path)?;
            Ok(ExitCode::SUCCESS)
        }
        Verb::List => {
            let mut out = std::io::stdout().lock();
            for probe in catalogue() {
                let mark = if probe.invasive { " (invasive)" } else { "" };
                writeln!(out, "{:32} {:16} {}{mark}", probe.id, probe.vector, probe.what)?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Verb::Steady(steady) => {
            let mut out = std::io::stdout().lock();
            let count = steady.run(&mut out).map_err(anyhow::Error::msg)?;
            writeln!(out, "{}", serde_json::to_string(&count)?)?;
            Ok(ExitCode::from(u8::from(count.got > 0)))
        }
        Verb::Bounded(bounded) => Err(bounded.run()).context("becoming another program"),
        Verb::Inject(inject) => {
            inject.run(&mut std::io::stdout().lock())?;
            Ok(ExitCode::SUCCESS)
        }
        Verb::Run(wanted) => wanted.run(),
    }
}

impl Wanted {
    fn run(&self) -> anyhow::Result<ExitCode> {
        let probes = self.probes()?;
        let allowed = self.read_allowed()?;
        let remarks = self.remarks();
        for remark in &remarks {
            writeln!(std::io::stderr(), "{remark}")?;
        }
        let listens = self.listens();
        if self.runs.protected_only && !listens {
            return Ok(ExitCode::from(3));
        }
        let scratch = Scratch::new()?;
        let bare =
            if self.runs.protected_only { None } else { Some(self.all(&probes, Run::Bare, &scratch)?) };
        let protected = if self.runs.bare_only || !listens {
            None
        } else {
            Some(self.all(&probes, Run::Protected(self.socket.clone()), &scratch)?)
        };
        let lines = lines(&probes, bare, protected, &allowed);
        self.print(&lines, &remarks)?;
        let failed = lines.iter().any(|line| line.verdict.is_failure());
        let nothing = !self.runs.bare_only && !listens;
        Ok(ExitCode::from(if failed {
            1
        } else if nothing {
            3
        } else {
            0
        }))
    }

    fn probes(&self) -> anyhow::Result<Vec<&'static Probe>> {
        let named =
            |probe: &Probe, names: &[String]| names.iter().any(|name| probe.id.starts_with(name.as_str()));
        let mut probes = catalogue();
        probes
            .retain(|probe| (self.only.is_empty() || named(probe, &self.only)) && !named(probe, &self.skip));
        if probes.is_empty() {
            bail!("no probe is meant by {:?} without {:?}", self.only, self.skip);
        }
        Ok(probes)
    }

    fn read_allowed(&self) -> anyhow::Result<Allowed> {
        let Some(path) = &self.allowed else { return Ok(Allowed::default()) };
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let allowed =
            Allowed::parse(&text).map_err(anyhow::Error::msg).with_context(|| path.display().to_string())?;
        let ids: Vec<&str> = catalogue().iter().map(|probe| probe.id).collect();
        if let Some(row) = allowed.idle(&ids) {
            bail!("{}: there is no probe {row}", path.display());
        }
        Ok(allowed.on(&allowed::kernel()))
    }

    fn listens(&self) -> bool {
        attacks::handshake::Enforcer::at(&self.socket).is_ok()
    }

    fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        if !rustix::process::geteuid().is_root() {
            remarks.push("not root: what is refused here may be refused to you alone".to_owned());
        }
        if !self.runs.bare_only
            && let Err(why) = attacks::handshake::Enforcer::at(&self.socket)
        {
            remarks.push(format!("no enforcer listens: {why}"));
        }
        if !self.runs.protected_only && self.listens() {
            remarks.push(
                "an enforcer listens in the bare run too: what it guards of its own and of the node may be refused in both"
                    .to_owned(),
            );
        }
        remarks
    }

    fn all(&self, probes: &[&Probe], run: Run, scratch: &Scratch) -> anyhow::Result<Vec<Outcome>> {
        let name = if run == Run::Bare { "bare" } else { "protected" };
        let extras = Extras {
            module: self.module.clone(),
            kernel: self.kernel.clone(),
            trusted: self.trusted.clone(),
            flood: self.flood,
            invasive: self.invasive,
        };
        let mut stage =
            Stage::set(run, extras, scratch.0.clone()).map_err(anyhow::Error::msg).context(name)?;
        let settings = Settings::remember();
        let mut outcomes = Vec::new();
        for probe in probes {
            if self.verbose {
                write!(std::io::stderr(), "{name} {} ... ", probe.id)?;
            }
            let outcome = attempt(probe, &mut stage, &settings).map_err(anyhow::Error::msg).context(name)?;
            if self.verbose {
                writeln!(std::io::stderr(), "{outcome:?}")?;
            }
            outcomes.push(outcome);
        }
        Ok(outcomes)
    }

    fn print(&self, lines: &[Line], remarks: &[String]) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        if self.output == Form::Json {
            let document =
                serde_json::json!({ "remarks": remarks, "probes": lines, "summary": summary(lines) });
            writeln!(out, "{document:#}")?;
        } else {
            writeln!(out, "{}\n{}", table(lines), summary(lines))?;
        }
        Ok(())
    }
}

fn lines(
    probes: &[&'static Probe],
    bare: Option<Vec<Outcome>>,
    protected: Option<Vec<Outcome>>,
    allowed: &Allowed,
) -> Vec<Line> {
    let mut bare = bare.map(Vec::into_iter);
    let mut protected = protected.map(Vec::into_iter);
    let mut lines = Vec::new();
    for probe in probes {
        let bare = bare.as_mut().and_then(Iterator::next);
        let protected = protected.as_mut().and_then(Iterator::next);
        let verdict = Verdict::of(probe, bare.as_ref(), protected.as_ref(), allowed);
        lines.push(Line { id: probe.id, vector: probe.vector, what: probe.what, bare, protected, verdict });
    }
    lines
}

/// A directory of the run's own; victims may leave cores there.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("cloudtaser-attacks-{}", std::process::id()));
        std::fs::create_dir_all(&path).with_context(|| path.display().to_string())?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A directory that stays behind does no harm.
        drop(std::fs::remove_dir_all(&self.0));
    }
}
