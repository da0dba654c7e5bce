//! `cargo xtask bench`: runs the rooms' benchmarks and puts their figures beside each other.
//!
//! A benchmark writes `$CLOUDTASER_BENCH_DIR/<name>.json`: `{"name", "unit", "rows": [{"what", "value",
//! "floor", "ratio"}]}`. A figure without a floor or a peer says little, so the ratio is what the table shows.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

use crate::house::{House, Target};
use crate::tools;
use crate::{bpf, child};

/// How long to measure.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Length {
    /// Optimised builds, enough rounds for figures that mean something.
    Full,
    /// Only that every benchmark runs: ordinary builds, a few rounds.
    Smoke,
}

/// What one benchmark wrote.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Figures {
    name: String,
    unit: String,
    rows: Vec<Row>,
}

/// One measurement beside what it is held against.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Row {
    what: String,
    value: f64,
    /// The cost that cannot be avoided, or the peer's, in the same run.
    floor: Option<f64>,
    ratio: Option<f64>,
}

pub(crate) fn run(house: &House, length: Length) -> Result<()> {
    let tools = tools::ensure(house)?;
    let dir = house.target.join("bench");
    if dir.exists() {
        std::fs::remove_dir_all(&dir)?;
    }
    std::fs::create_dir_all(&dir)?;
    let costs = if length == Length::Full { Some(bpf::with_costs(house)?) } else { None };
    for target in benches(house) {
        let mut cargo = child::cargo(&house.root);
        // The whole workspace, so that its dependencies are those that the tests were built with.
        cargo.args(["bench", "--quiet", "--workspace", "--bench", &target.name]);
        if length == Length::Smoke {
            cargo.args(["--profile", "dev"]);
        }
        let word = if length == Length::Smoke { "smoke" } else { "full" };
        tools.tell(&mut cargo).env("CLOUDTASER_BENCH_DIR", &dir).env("CLOUDTASER_BENCH", word);
        if let Some(object) = &costs {
            cargo.env("CLOUDTASER_BPF_COST", object);
        }
        child::run(&mut cargo)?;
    }
    let all = gather(&dir)?;
    std::fs::write(dir.join("summary.json"), serde_json::to_vec_pretty(&all)?)?;
    print!("{}", table(&all));
    Ok(())
}

fn benches(house: &House) -> impl Iterator<Item = &Target> {
    house.rooms.iter().flat_map(|room| &room.targets).filter(|target| target.is("bench"))
}

fn gather(dir: &Path) -> Result<Vec<Figures>> {
    let mut files: Vec<_> = std::fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|end| end == "json"));
    files.sort();
    files.iter().map(|file| figures(file)).collect()
}

fn figures(file: &Path) -> Result<Figures> {
    let figures: Figures =
        serde_json::from_slice(&std::fs::read(file)?).with_context(|| file.display().to_string())?;
    if figures.rows.is_empty() {
        bail!("{}: expected rows, found none", file.display());
    }
    Ok(figures)
}

fn table(all: &[Figures]) -> String {
    let mut text = format!("{:<16}{:<44}{:>14}{:>14}{:>8}\n", "bench", "what", "value", "floor", "ratio");
    for figures in all {
        for row in &figures.rows {
            let number = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.2}"));
            let value = format!("{:.2} {}", row.value, figures.unit);
            let (floor, ratio) = (number(row.floor), number(row.ratio));
            // Writing to a String cannot fail.
            writeln!(text, "{:<16}{:<44}{value:>14}{floor:>14}{ratio:>8}", figures.name, row.what)
                .unwrap_or_default();
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_become_a_table_with_their_ratio() {
        let dir = tempfile::tempdir().unwrap();
        let text = r#"{"name":"snp","unit":"us","rows":[{"what":"warm","value":210.5,"floor":200.0,"ratio":1.0525},{"what":"cold","value":900,"floor":null,"ratio":null}]}"#;
        std::fs::write(dir.path().join("snp.json"), text).unwrap();
        let table = table(&gather(dir.path()).unwrap());
        let words: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(words[1], ["snp", "warm", "210.50", "us", "200.00", "1.05"]);
        assert_eq!(words[2], ["snp", "cold", "900.00", "us", "-", "-"]);
    }

    #[test]
    fn figures_that_are_not_ours_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("odd.json");
        std::fs::write(&file, "{}").unwrap();
        assert!(gather(dir.path()).unwrap_err().to_string().contains("odd.json"));
        std::fs::write(&file, r#"{"name":"odd","unit":"s","rows":[]}"#).unwrap();
        assert!(gather(dir.path()).unwrap_err().to_string().ends_with("expected rows, found none"));
    }
}
