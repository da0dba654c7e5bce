//! AMD SEV-SNP; and an ordinary machine with a TPM under the same policy.

use std::process::Command;

use anyhow::{Context as _, Result};

use super::{Attack, Brings, OTHER, Tee};
use crate::child;
use crate::demo::narrate::{Story, chapter, note};
use crate::demo::refusals;
use crate::demo::stage::{Machine, Stage};
use crate::demo::theft::Victim;

pub(super) const TEE: Tee = Tee {
    name: "snp",
    platform: "sev-snp",
    title: "AMD SEV-SNP",
    arrival: "A simulated SEV-SNP machine, and the unchanged node agent on it",
    interface: "at /sys/kernel/config/tsm/report",
    policy: include_str!("snp.toml"),
    variables: &[("CHIPS", "\"any\""), ("BOOT", BOOT)],
    machine,
    root: Some("ark.der"),
    brings: Brings { certificates: &["vcek.der", "ask.der"], revocation_lists: &["crl.der"], documents: &[] },
    attacks: &[
        Attack {
            name: "debug",
            what: "A guest that its host may debug",
            hardware: &["--debug"],
            checks: &["snp.policy.debug"],
        },
        Attack {
            name: "image",
            what: "Another image than the one we measured",
            hardware: &["--measurement", OTHER],
            checks: &["snp.measurement"],
        },
        Attack {
            name: "old",
            what: "Old firmware with new microcode",
            hardware: &["--tcb", "bootloader=9,microcode=255"],
            checks: &["snp.tcb.reported", "snp.tcb.current", "snp.tcb.committed", "snp.tcb.launch"],
        },
        Attack {
            name: "withdrawn",
            what: "A chip whose authority was revoked",
            hardware: &["--revoke", "ask"],
            checks: &["snp.crl.intermediate"],
        },
        Attack {
            name: "foreign",
            what: "A chip under somebody else's root, under the same names",
            hardware: &["--vendor", "other"],
            // The chip's true certificates are in store by now, and stand beside what this machine brings.
            checks: &["snp.chain.root"],
        },
    ],
    before: None,
    more,
    decisions: (3, 10),
};

fn machine(stage: &Stage, name: &str, hardware: &[&str]) -> Result<Machine> {
    let silicon = [&["snp", "--product", "genoa", "--seed", "7"], hardware].concat();
    stage.guest(name, &silicon, |dir| {
        format!("endorsements = [{:?}]\n[snp]\n", dir.join("endorsements/crl.der").display().to_string())
    })
}

fn more(story: &mut Story, stage: &Stage, machine: &Machine, program: &str) -> Result<()> {
    denied_chip(story, stage, machine)?;
    on_a_tpm(story, stage, program)
}

/// An operator bars one chip: a new version of the policy.
fn denied_chip(story: &mut Story, stage: &Stage, machine: &Machine) -> Result<()> {
    let report = machine.dir.join("evidence.bin");
    let mut inspect = stage.program("cloudtaser");
    let told = child::read(inspect.args(["attest", "inspect"]).arg(report).args(["-o", "json"]))?;
    let chip = find_chip_id(&told).with_context(|| format!("no chip id in {told}"))?;
    stage.store_policy(2, &[("CHIPS", &format!("{{ none_of = [\"{chip}\"] }}"))])?;
    let what = "A chip that an operator barred (policy version 2)";
    refusals::asks(story, stage, machine, what, &["snp.chip"])?;
    stage.store_policy(3, &[])
}

fn find_chip_id(json: &str) -> Option<String> {
    let is_id = |word: &&str| word.len() == 128 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let (_, after) = json.split_once("\"chip id\"")?;
    after.split('"').find(is_id).map(str::to_owned)
}

/// The other platform of this house: an ordinary machine with a TPM.
fn on_a_tpm(story: &mut Story, stage: &Stage, program: &str) -> Result<()> {
    chapter("A machine with a TPM");
    let mut tcti = String::new();
    let machine = story.step("A real TPM 2.0 in software, and an agent", || {
        stage.machine_on("tpm", &["vtpm", "--state", "STATE"], |ready| {
            tcti = tcti_in(ready)?;
            Ok(format!("[tpm]\ntcti = {tcti:?}\nak_handle = 0x81010002\n[tpm.pcrs]\nsha256 = [0, 4, 7]\n"))
        })
    })?;
    let name = story.step("Its attestation key is made, and its boot is measured", || {
        let mut ak = stage.program("cloudtaser-node-agent");
        let name = child::read(ak.args(["ak", "create", "--tcti", &tcti, "--handle", "0x81010002"]))?;
        [0, 4, 7].iter().try_for_each(|pcr| extend(&tcti, *pcr))?;
        Ok(name.split_whitespace().last().context("no name")?.to_owned())
    })?;
    note(&name);
    refusals::asks(story, stage, &machine, "Refused: nobody enrolled this key", &["tpm.ak.enrolled"])?;
    let value = format!("value={name}");
    let enrol = ["write", "attest-keys/collateral/attestation-key/tpm-node", &value];
    story.step("An operator enrols it; the program has its secret", || {
        stage.bao.call(&enrol)?;
        Victim::start(&mut stage.wrapped(&machine, &[program]))?.end().map(drop)
    })?;
    extend(&tcti, 4)?;
    let what = "Refused: something else was loaded after the measured boot";
    refusals::asks(story, stage, &machine, what, &["tpm.pcr.sha256.4"])
}

fn tcti_in(ready: &str) -> Result<String> {
    let tcti = ready.split_whitespace().find(|word| word.starts_with("swtpm:"));
    Ok(tcti.with_context(|| format!("expected a TCTI in {ready:?}"))?.to_owned())
}

fn extend(tcti: &str, pcr: u8) -> Result<()> {
    let value = format!("{pcr}:sha256={}", "ab".repeat(32));
    child::read(Command::new("tpm2_pcrextend").arg("-T").arg(tcti).arg(value)).map(drop)
}

/// SHA-256 of 32 zero bytes and 32 bytes ab: a PCR that was extended once with ab…ab.
const BOOT: &str = "debb3e7acfff6dd18d501042273629f0b79cb206bb8c24f59f62ddb80849403b";
