//! The auditor: every decision again, offline, from the records alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::stage::Stage;

/// Fetches all records as files.
pub(crate) fn collect(stage: &Stage) -> Result<Vec<PathBuf>> {
    let ids = stage.bao.json("list", &["attest-keys/record"])?;
    let ids = ids.as_array().context("expected a list of decisions")?;
    let dir = stage.dir.path().join("records");
    fs::create_dir_all(&dir)?;
    let mut files = Vec::new();
    for id in ids.iter().filter_map(Value::as_str) {
        let bundle = stage.bao.call(&["read", "-field=bundle", &format!("attest-keys/record/{id}")])?;
        let (text, file) = (dir.join("text"), dir.join(format!("{id}.bundle")));
        fs::write(&text, bundle.trim())?;
        let decoded = Command::new("base64").arg("--decode").arg(&text).output()?;
        fs::write(&file, decoded.stdout)?;
        files.push(file);
    }
    Ok(files)
}

/// The key that signed them, as an auditor would have been told it.
pub(crate) fn verifier_key(stage: &Stage) -> Result<String> {
    let key = stage.bao.json("read", &["attest-keys/config/verifier-key"])?;
    let key = key.pointer("/data/public_key").and_then(Value::as_str);
    key.map(str::to_owned).context("no verifier key")
}

/// Verifies one record with no server and no network; returns `admitted` or `refused`.
pub(crate) fn verify(stage: &Stage, file: &Path, key: &str, root: Option<&Path>) -> Result<String> {
    let mut command = auditor(stage, file, key, root);
    let output = command.args(["-o", "json"]).output()?;
    let told = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        bail!("{}: {}: {told}", file.display(), output.status);
    }
    let told: Value = serde_json::from_str(&told)?;
    let verdict = told.pointer("/decision/verdict").and_then(Value::as_str);
    verdict.map(str::to_owned).with_context(|| format!("no verdict in {told}"))
}

/// What the auditor's tool says of one record, in its own words.
pub(crate) fn show(stage: &Stage, file: &Path, key: &str, root: Option<&Path>) -> Result<String> {
    let told = crate::child::read(&mut auditor(stage, file, key, root))?;
    Ok(told.lines().take(14).collect::<Vec<_>>().join("\n"))
}

/// One flipped bit in a record must be noticed.
pub(crate) fn tamper(stage: &Stage, file: &Path, key: &str, root: Option<&Path>) -> Result<()> {
    let mut bytes = fs::read(file)?;
    // The signed record is the first half or more of the file; the objects that it names come behind.
    let inside = bytes.len() / 4;
    if let Some(byte) = bytes.get_mut(inside) {
        *byte ^= 1;
    }
    let forged = stage.dir.path().join("forged.bundle");
    fs::write(&forged, bytes)?;
    let output = auditor(stage, &forged, key, root).output()?;
    if output.status.code() != Some(1) {
        bail!("expected exit code 1 for a forged record, found {}", output.status);
    }
    Ok(())
}

// `unshare --net` gives it a network without a single interface that works.
fn auditor(stage: &Stage, file: &Path, key: &str, root: Option<&Path>) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--net"]).arg(stage.binary("cloudtaser"));
    command.args(["evidence", "verify"]).arg(file).args(["--verifier-key", key]);
    if let Some(root) = root {
        command.arg("--insecure-trust-root").arg(root);
    }
    command
}
