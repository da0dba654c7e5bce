//! `detect`: what this machine can prove, and what it says of itself, for a person or as JSON.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use node_agent::config::{Config, Hardware, Problems};
use node_agent::detect::{Finding, detect};
use node_agent::facts::{Settings, gather};
use serde_json::json;

use super::Failure;

#[derive(Debug, clap::Args)]
pub(crate) struct Detect {
    /// A configuration file; without one, the kernel's usual places are looked at.
    #[arg(long)]
    config: Option<PathBuf>,
    /// For people, or for programs.
    #[arg(short, long, default_value = "text")]
    output: Format,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Format {
    Text,
    Json,
}

pub(super) fn run(asked: &Detect) -> Result<(), Failure> {
    let config = configuration(asked).map_err(Failure::Config)?;
    let mut nonce = [0; 32];
    let drawn = File::open(RANDOM).and_then(|mut source| source.read_exact(&mut nonce));
    drawn.context(RANDOM).map_err(Failure::Other)?;
    let devices: Vec<_> = config.hardware.values().map(Hardware::open).collect();
    let findings = detect(&devices, &nonce);
    let usual = || Settings { decoy: std::env::current_exe().ok(), ..Settings::usual() };
    let settings = config.facts.unwrap_or_else(usual);
    let (facts, remarks) = gather(Path::new("/"), &settings);
    let told = match asked.output {
        Format::Text => text(&findings, facts.iter(), &remarks),
        Format::Json => json!({ "platforms": findings, "facts": facts, "remarks": remarks }).to_string(),
    };
    writeln!(io::stdout(), "{told}").map_err(Failure::other)?;
    if findings.iter().any(|finding| finding.found) {
        Ok(())
    } else {
        Err(Failure::Other(anyhow!("none of {} kinds of hardware gave evidence", findings.len())))
    }
}

fn configuration(asked: &Detect) -> Result<Config, Problems> {
    if let Some(path) = &asked.config {
        return Config::read(path);
    }
    let mut config = Config::parse(USUAL)?;
    config.hardware.extend(Config::parse(ALSO)?.hardware);
    Ok(config)
}

fn text<'f>(
    findings: &[Finding],
    facts: impl Iterator<Item = (&'f str, &'f str)>,
    remarks: &[String],
) -> String {
    let found = findings.iter().map(ToString::to_string);
    let said = facts.map(|(name, value)| format!("{name} = {value}"));
    let why = remarks.iter().map(|remark| format!("unknown: {remark}"));
    let lines: Vec<String> = found.chain([String::new()]).chain(said).chain(why).collect();
    lines.join("\n")
}

const RANDOM: &str = "/dev/urandom";
/// Every kind of hardware, where the kernel usually has it. No key is made: `ak_handle` is where one would be.
const USUAL: &str = r#"
allowed_uids = [0]
[snp]
[tdx]
[tpm]
ak_handle = 0x81010002
[nitro]
[nitro-tpm]
[azure]
kind = "snp"
"#;
/// The other kind of the one section that is either.
const ALSO: &str = r#"
allowed_uids = [0]
[azure]
kind = "tdx"
"#;
