//! The attack suite in machines of our own, one after another, and the table of it: `cargo xtask attacks` starts this.
//!
//! `--attacks FILE --enforcer FILE --object FILE --costs FILE --limits FILE [--kernel 5.15|6.1|6.12|6.18] [--lsm default|with-bpf|without-bpf]
//! [--only PROBE] [--forbid KINDS] [--bench] [--here]`. 5.15 and 6.18 are tried only when they are asked for. Exit code 1 when a probe
//! went wrong that is not among the known limits; where kinds of hooks are forbidden (with commas, as the enforcer has them), or with
//! `--here`, when an attack works of which the enforcer's matrix says that it is refused.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it reports to the person who runs it")]
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result, anyhow, bail};
use vm::{Boot, Here, Kit, Programs, Suite, costs, disproved, failures, honest, ratios, table};

fn main() -> Result<ExitCode> {
    let wanted = Wanted::read(std::env::args().skip(1))?;
    let programs = wanted.programs()?;
    let limits = wanted.path("--limits")?;
    let limits = std::fs::read_to_string(&limits).with_context(|| limits.display().to_string())?;
    let only = wanted.words.get("--only").map_or("", String::as_str);
    if wanted.here {
        let findings = Here { programs: &programs, only, limits: &limits }.run()?;
        print!("{}\n{}", table(std::slice::from_ref(&findings)), honest(&findings));
        return Ok(if disproved(&findings).is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let kit = std::env::var_os("CLOUDTASER_VM").map(PathBuf::from);
    let kit = Kit::open(kit).map_err(|why| anyhow!("{why}"))?;
    let forbidden = wanted.words.get("--forbid").map_or("", String::as_str);
    let suite = Suite { kit: &kit, programs: &programs, only, forbidden, limits: &limits };
    let boots = wanted.boots();
    if wanted.bench {
        for boot in boots {
            println!("{}", ratios(boot, &costs(&suite, boot)?));
        }
        return Ok(ExitCode::SUCCESS);
    }
    let mut all = Vec::new();
    for boot in boots {
        let start = Instant::now();
        let findings = suite.run(boot).with_context(|| boot.to_string())?;
        eprintln!("{boot}: {:.1} s\n{}", start.elapsed().as_secs_f64(), findings.enforcer);
        all.push(findings);
    }
    print!("{}", table(&all));
    if !forbidden.is_empty() {
        for findings in &all {
            print!("\n{}: {}", findings.machine, honest(findings));
        }
        let wrong = all.iter().any(|findings| !disproved(findings).is_empty());
        return Ok(if wrong { ExitCode::FAILURE } else { ExitCode::SUCCESS });
    }
    Ok(if failures(&all).is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

struct Wanted {
    words: BTreeMap<String, String>,
    bench: bool,
    here: bool,
}

impl Wanted {
    fn read(mut words: impl Iterator<Item = String>) -> Result<Self> {
        let mut wanted = Self { words: BTreeMap::new(), bench: false, here: false };
        while let Some(word) = words.next() {
            match word.as_str() {
                "--bench" => wanted.bench = true,
                "--here" => wanted.here = true,
                "--attacks" | "--enforcer" | "--object" | "--costs" | "--limits" | "--kernel" | "--lsm"
                | "--only" | "--forbid" => {
                    let value = words.next().with_context(|| format!("expected a value of {word}"))?;
                    wanted.words.insert(word, value);
                }
                other => bail!("expected an option, found {other:?}"),
            }
        }
        if let Some(none) = wanted.nothing() {
            bail!(
                "expected a kernel of 5.15, 6.1, 6.12, 6.18 with a list of default, with-bpf, without-bpf that it is tried with; found {none}"
            );
        }
        Ok(wanted)
    }

    fn nothing(&self) -> Option<String> {
        self.boots()
            .is_empty()
            .then(|| format!("{:?} {:?}", self.words.get("--kernel"), self.words.get("--lsm")))
    }

    fn boots(&self) -> Vec<Boot> {
        let more = Boot::MORE.into_iter().filter(|_| self.words.contains_key("--kernel"));
        Boot::ALL.into_iter().chain(more).filter(|boot| self.means(*boot)).collect()
    }

    fn means(&self, boot: Boot) -> bool {
        let boot = boot.to_string();
        let (kernel, lsm) = boot.split_once(' ').unwrap_or_default();
        let is = |option: &str, value: &str| self.words.get(option).is_none_or(|wanted| wanted == value);
        is("--kernel", kernel) && is("--lsm", lsm)
    }

    fn path(&self, option: &str) -> Result<PathBuf> {
        self.words.get(option).map(PathBuf::from).with_context(|| format!("expected {option} FILE"))
    }

    fn programs(&self) -> Result<Programs> {
        Ok(Programs {
            attacks: self.path("--attacks")?,
            enforcer: self.path("--enforcer")?,
            object: self.path("--object")?,
            costs: self.path("--costs")?,
        })
    }
}
