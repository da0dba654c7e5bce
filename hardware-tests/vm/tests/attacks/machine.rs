//! What the machines are made of, put together once for all tests.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::time::Duration;

use vm::{Boot, Clock, Guest, Here, Kit, Programs, Suite, System};

use crate::programs::{program, skip};

/// All that a machine needs.
pub(crate) struct Ready {
    kit: Kit,
    programs: Programs,
    limits: String,
}

/// It, or nothing on a machine that proves to lack something.
pub(crate) fn ready() -> Option<&'static Ready> {
    static READY: LazyLock<Result<Ready, String>> = LazyLock::new(Ready::open);
    READY.as_ref().map_err(|why| skip("attacks", why)).ok()
}

impl Ready {
    fn open() -> Result<Self, String> {
        let kit = Kit::open(std::env::var_os("CLOUDTASER_VM").map(PathBuf::from))?;
        let object = std::env::var_os("CLOUDTASER_BPF_OBJECT").map(PathBuf::from);
        let object = object.ok_or("CLOUDTASER_BPF_OBJECT names no object of the enforcer")?;
        if !object.is_file() {
            return Err(format!("{} is absent", object.display()));
        }
        let programs = Programs {
            attacks: program("cloudtaser-attacks"),
            enforcer: enforcer(),
            object,
            costs: env!("CARGO_BIN_EXE_cloudtaser-costs").into(),
        };
        let limits = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/known-limits.md");
        Ok(Self { kit, programs, limits: std::fs::read_to_string(limits).unwrap() })
    }

    /// All probes.
    pub(crate) fn suite(&self) -> Suite<'_> {
        Suite { kit: &self.kit, programs: &self.programs, only: "", forbidden: "", limits: &self.limits }
    }

    /// On this very machine.
    pub(crate) fn here<'a>(&'a self, only: &'a str) -> Here<'a> {
        Here { programs: &self.programs, only, limits: &self.limits }
    }

    /// A machine in which nothing runs yet.
    pub(crate) fn boot(&self, boot: Boot) -> Guest {
        self.suite().boot(Clock::Host, boot).unwrap()
    }

    /// What such a machine is made of, for more to be added.
    pub(crate) fn system(&self) -> System {
        self.programs.system(&self.kit).unwrap()
    }

    /// Likewise, of this.
    pub(crate) fn boot_with(&self, boot: Boot, system: &System) -> Guest {
        Guest::boot(&self.kit, boot, system, PATIENCE).unwrap()
    }
}

/// The enforcer as it is shipped: static. Built anew where it has changed since.
fn enforcer() -> PathBuf {
    const TARGET: &str = "x86_64-unknown-linux-musl";
    let tests = std::env::current_exe().unwrap();
    // Tests are in TARGET/debug/deps.
    let target = tests.ancestors().nth(3).unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--package", "cloudtaser-enforcer", "--bin", "cloudtaser-enforcer"]);
    cargo.args(["--target", TARGET, "--target-dir"]).arg(target);
    assert!(cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap().success(), "cloudtaser-enforcer");
    target.join(TARGET).join("debug/cloudtaser-enforcer")
}

/// How long a command may take on a host that has other things to do.
const PATIENCE: Duration = Duration::from_mins(8);

/// What the enforcer says of a vector in the matrix that it prints at its start: tier, mode, verified.
pub(crate) fn said_of<'s>(enforcer: &'s str, vector: &str) -> Vec<&'s str> {
    // `cloudtaser-enforcer: vector NAME tier TIER mode MODE verified VERIFIED: why`
    let beginning = format!("cloudtaser-enforcer: vector {vector} ");
    let line = enforcer.lines().find_map(|line| line.strip_prefix(&beginning)).unwrap_or_default();
    let words = line.split(' ').skip(1).step_by(2).take(3);
    words.map(|word| word.trim_end_matches(':')).collect()
}
