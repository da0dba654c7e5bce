//! An ordinary machine with a TPM 2.0: what it booted, in the words of its event log.

use std::fs;

use anyhow::{Context as _, Result};

use super::{Attack, Brings, Tee};
use crate::child;
use crate::demo::narrate::{Story, chapter, note};
use crate::demo::refusals;
use crate::demo::stage::{Machine, Stage};

pub(super) const TEE: Tee = Tee {
    name: "vtpm",
    platform: "tpm2",
    title: "TPM 2.0",
    arrival: "A TPM with a manufacturer's certificate, a measured boot, and the unchanged node agent",
    interface: "through libtss2",
    policy: include_str!("vtpm.toml"),
    variables: &[("COMMAND_LINE", "/vmlinuz ro quiet")],
    machine,
    // The attestation key is enrolled by its name: nobody else vouches for it.
    root: None,
    brings: Brings { certificates: &[], revocation_lists: &[], documents: &[] },
    attacks: &[Attack {
        name: "stranger",
        what: "A machine that booted the same, and whose key nobody enrolled",
        hardware: &[],
        checks: &["tpm.ak.enrolled"],
    }],
    before: Some(enrol),
    more,
    decisions: (2, 7),
};

fn machine(stage: &Stage, name: &str, hardware: &[&str]) -> Result<Machine> {
    booted(stage, name, "/vmlinuz ro quiet", hardware)
}

fn booted(stage: &Stage, name: &str, command_line: &str, hardware: &[&str]) -> Result<Machine> {
    let log = stage.dir.path().join(format!("{name}.log")).display().to_string();
    let boot = ["vtpm", "--state", "STATE", "--kernel-command-line", command_line, "--write-event-log", &log];
    // A TPM that is there already is not manufactured again.
    let memory = stage.dir.path().join(name).join("state");
    let new: &[&str] = if memory.exists() { &[] } else { &["--manufacture"] };
    stage.machine_on(name, &[&boot, new, hardware].concat(), |ready| {
        let tcti = ready.split_whitespace().find(|word| word.starts_with("swtpm:"));
        let tcti = tcti.with_context(|| format!("expected a TCTI in {ready:?}"))?;
        Ok(format!("[tpm]\ntcti = {tcti:?}\ncreate_ak = true\nevent_log = {log:?}\n"))
    })
}

/// The agent made its key at the first request; an operator enrols it by the name that the TPM itself tells.
fn enrol(story: &mut Story, stage: &Stage, machine: &Machine) -> Result<()> {
    chapter("Enrolled");
    refusals::asks(story, stage, machine, "Refused: nobody enrolled this key", &["tpm.ak.enrolled"])?;
    let config = fs::read_to_string(machine.dir.join("agent.toml"))?;
    let tcti = config.split('"').find(|word| word.starts_with("swtpm:")).context("no TCTI")?;
    let name =
        story.step("An operator asks the machine's TPM for the name of its key, and enrols it", || {
            let name =
                child::read(stage.program("cloudtaser-node-agent").args(["ak", "name", "--tcti", tcti]))?;
            let value = format!("value={}", name.trim());
            for mount in ["attest-keys", "auth/attest"] {
                stage.bao.call(&["write", &format!("{mount}/collateral/attestation-key/node"), &value])?;
            }
            Ok(name.trim().to_owned())
        })?;
    note(&name);
    Ok(())
}

/// The same TPM, and so the same key; what it booted is another matter.
fn more(story: &mut Story, stage: &Stage, _: &Machine, _: &str) -> Result<()> {
    chapter("What the event log proves");
    let shell = twin(stage, "shell", "/vmlinuz ro quiet init=/bin/sh")?;
    let what = "Refused: the same TPM, after a boot with a command line that starts a shell";
    refusals::asks(story, stage, &shell, what, &["tpm.boot.kernel_cmdline"])?;
    let silent = twin(stage, "silent", "/vmlinuz ro quiet")?;
    fs::remove_file(stage.dir.path().join("silent.log"))?;
    let what = "Refused: the log was deleted";
    refusals::asks(story, stage, &silent, what, &["tpm.boot.log", "tpm.boot.kernel_cmdline"])?;
    let forged = twin(stage, "forged", "/vmlinuz ro quiet init=/bin/sh")?;
    fs::copy(stage.dir.path().join("good.log"), stage.dir.path().join("forged.log"))?;
    let what = "Refused: the log of an honest boot in the place of its own";
    refusals::asks(story, stage, &forged, what, &["tpm.log.replay"])
}

/// The state of the good machine's TPM in another one, which boots this.
fn twin(stage: &Stage, name: &str, command_line: &str) -> Result<Machine> {
    let (from, to) = (stage.dir.path().join("good/state"), stage.dir.path().join(name).join("state"));
    fs::create_dir_all(&to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        // The TPM's memory; not the files by which it was made, nor the lock of the one that runs.
        if entry.file_name().to_string_lossy().ends_with(".permall") {
            fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    booted(stage, name, command_line, &[])
}
