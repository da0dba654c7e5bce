//! Boots the quick machine, runs one command in it as root, and prints what it said; its exit code is ours.
//!
//! `cargo run -p cloudtaser-vm --example guest -- [--kernel 5.15|6.1|6.12|6.18] [--lsm default|with-bpf|without-bpf] [--program PATH]...
//! [--file HOST=GUEST]... [--timeout SECONDS] [--console] -- COMMAND...`; the kit is `CLOUDTASER_VM`, else what
//! `cargo xtask tools` made.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it talks to the person who runs it")]
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use vm::{Boot, Guest, Kernel, Kit, Lsm, System};

fn main() -> Result<ExitCode> {
    let wanted = Wanted::read(std::env::args().skip(1))?;
    let kit = std::env::var_os("CLOUDTASER_VM").unwrap_or_else(|| KIT.into());
    let kit = Kit::open(Some(kit.into())).map_err(|why| anyhow!("{why}: `cargo xtask tools` makes it"))?;
    let mut system = System::plain(&kit)?;
    for program in &wanted.programs {
        system = system.program(program)?;
    }
    for (host, guest) in &wanted.files {
        let content = std::fs::read(host).with_context(|| host.clone())?;
        system = system.file(guest, &content);
    }
    let start = Instant::now();
    let mut guest = Guest::boot(&kit, wanted.boot, &system, wanted.patience)?;
    let up = start.elapsed();
    let said = guest.run(&wanted.command)?;
    print!("{}", String::from_utf8_lossy(&said.output));
    if wanted.console {
        eprintln!("{}", guest.console());
    }
    let (up, ran) = (up.as_secs_f64(), start.elapsed().saturating_sub(up).as_secs_f64());
    eprintln!(
        "guest {}: exit code {}; up after {up:.1} s (with waiting), command {ran:.1} s",
        wanted.boot, said.code
    );
    Ok(ExitCode::from(u8::try_from(said.code).unwrap_or(u8::MAX)))
}

struct Wanted {
    boot: Boot,
    programs: Vec<PathBuf>,
    files: Vec<(String, String)>,
    patience: Duration,
    console: bool,
    command: String,
}

impl Wanted {
    fn read(mut words: impl Iterator<Item = String>) -> Result<Self> {
        let mut wanted = Self {
            boot: Boot { kernel: Kernel::V6_12, lsm: Lsm::Default },
            programs: Vec::new(),
            files: Vec::new(),
            patience: Duration::from_mins(10),
            console: false,
            command: String::new(),
        };
        while let Some(word) = words.next() {
            let mut value = || words.next().with_context(|| format!("expected a value of {word}"));
            match word.as_str() {
                "--kernel" => wanted.boot.kernel = kernel(&value()?)?,
                "--lsm" => wanted.boot.lsm = lsm(&value()?)?,
                "--program" => wanted.programs.push(Path::new(&value()?).to_owned()),
                "--file" => {
                    let value = value()?;
                    let (host, guest) = value.split_once('=').context("expected --file HOST=GUEST")?;
                    wanted.files.push((host.to_owned(), guest.to_owned()));
                }
                "--timeout" => wanted.patience = Duration::from_secs(value()?.parse()?),
                "--console" => wanted.console = true,
                "--" => wanted.command = words.by_ref().collect::<Vec<_>>().join(" "),
                other => bail!("expected an option or --, found {other:?}"),
            }
        }
        Ok(wanted)
    }
}

fn kernel(text: &str) -> Result<Kernel> {
    match text {
        "5.15" => Ok(Kernel::V5_15),
        "6.1" => Ok(Kernel::V6_1),
        "6.12" => Ok(Kernel::V6_12),
        "6.18" => Ok(Kernel::V6_18),
        other => bail!("expected 5.15, 6.1, 6.12 or 6.18, found {other:?}"),
    }
}

fn lsm(text: &str) -> Result<Lsm> {
    match text {
        "default" => Ok(Lsm::Default),
        "with-bpf" => Ok(Lsm::WithBpf),
        "without-bpf" => Ok(Lsm::WithoutBpf),
        other => bail!("expected default, with-bpf or without-bpf, found {other:?}"),
    }
}

const KIT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/tools/vm");
