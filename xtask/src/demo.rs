//! `cargo xtask demo`: the whole path of one secret, told as a story on this machine.
//!
//! The hardware is simulated and says so everywhere; OpenBao, the TPM, the kernel and our programs are real.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde_json::json;

use crate::house::House;
use crate::{child, tools};

use bao::{Bao, Kind, Plugin};
use narrate::{Story, chapter, note};
use stage::{Machine, Stage};
use theft::Victim;

mod audit;
mod bao;
mod narrate;
mod refusals;
mod stage;
mod theft;
mod tls;

pub(crate) fn run(house: &House) -> Result<()> {
    let tools = tools::ensure(house)?;
    eprintln!("xtask: building the programs");
    // With one example, so that the dependencies are built as for the tests, and serve both.
    let all = ["build", "--quiet", "--workspace", "--bins", "--example", "notes"];
    child::run(child::cargo(&house.root).args(all))?;
    let mut story = Story::begin("One secret, released on attestation");

    chapter("OpenBao, with the attestation plugin in it");
    let bao =
        story.step("A real OpenBao: raft storage, TLS, initialised, unsealed", || Bao::start(&tools.bao))?;
    note(&format!("{} (process {})", bao.address(), bao.pid()));
    let stage = Stage::set(bao, &house.target)?;
    let machine = story.step("A simulated SEV-SNP machine, and the unchanged node agent on it", || {
        stage.machine("good", &[])
    })?;
    let (silicon, agent) = machine.processes();
    note(&format!("silicon {silicon}, at /sys/kernel/config/tsm/report for agent {agent}"));
    story.step("The plugin, registered by its SHA-256, mounted at attest-keys/ and auth/attest/", || {
        plug(&stage, &machine)
    })?;
    story.step("A policy, and a secret that it guards", || furnish(&stage))?;

    released(&mut story, &stage, &machine)?;
    logged_in(&mut story, &stage, &machine)?;
    chapter("Refused, each for its reason");
    let program = stage.dir.path().join("program").display().to_string();
    refusals::machines(&mut story, &stage, &program)?;
    refusals::answers(&mut story, &stage, &machine)?;
    denied_chip(&mut story, &stage, &machine)?;
    sealed(&mut story, &stage, &machine)?;
    on_a_tpm(&mut story, &stage, &program)?;
    audited(&mut story, &stage, &machine)?;
    story.end();
    println!("The hardware was simulated: no vendor vouches for it, and every verdict above says so.");
    Ok(())
}

fn plug(stage: &Stage, machine: &Machine) -> Result<()> {
    let root = format!("--insecure-trust-root={}", machine.endorsement("ark").display());
    let binary = stage.binary("openbao-plugin-attest");
    for (kind, name, path) in
        [(Kind::Auth, "attest-auth", "attest"), (Kind::Secrets, "attest-secrets", "attest-keys")]
    {
        let face = if kind == Kind::Auth { "--kind=auth" } else { "--kind=secrets" };
        let args = [face, root.as_str()];
        stage.bao.plug(Plugin { kind, name, binary: &binary, args: &args, path, flags: &[] })?;
    }
    Ok(())
}

/// Stores the policy in this version, with this rule for chips.
fn store_policy(stage: &Stage, version: u32, chips: &str) -> Result<()> {
    let text = include_str!("demo/policy.toml")
        .replace("VERSION", &version.to_string())
        .replace("CHIPS", chips)
        .replace("BOOT", BOOT);
    let policy = format!("policy=@{}", stage.file("policy.toml", &text)?.display());
    stage.bao.call(&["write", "attest-keys/policy/demo", &policy]).map(drop)
}

fn furnish(stage: &Stage) -> Result<()> {
    store_policy(stage, 1, "\"any\"")?;
    let key = json!({ "policy": "demo", "data": { "username": "app", "password": SECRET } });
    stage.bao.feed(&["write", "attest-keys/keys/db", "-"], key.to_string().as_bytes()).map(drop)
}

/// The program gets its secret, and root gets nothing.
fn released(story: &mut Story, stage: &Stage, machine: &Machine) -> Result<()> {
    chapter("Released");
    let program = theft::compile(stage)?.display().to_string();
    let mut plain = Command::new(&program);
    let victim = Victim::start(plain.env("DB_USER", "app").env("DB_PASSWORD", SECRET))?;
    let expected = victim.said.clone();
    let loot = story
        .step("First without us: an ordinary program, its secret in its environment, and root", || {
            theft::steal(stage, victim.process()?, SECRET)
        })?;
    note(&loot.told.join("\n"));
    victim.end()?;
    if loot.found < 3 {
        bail!("expected the thief to find an unprotected secret in three ways, found {}", loot.found);
    }
    let victim = story
        .step("The same program under the wrapper: attested, recorded, sealed, opened", || {
            Victim::start(&mut stage.wrapped(machine, &[&program]))
        })?;
    note(&victim.said);
    if victim.said != expected {
        bail!("expected {expected:?}, found {:?}", victim.said);
    }
    let loot = story.step("Root looks for it, with the same four ways", || {
        theft::steal(stage, victim.process()?, SECRET)
    })?;
    note(&loot.told.join("\n"));
    if loot.found != 0 {
        bail!("expected nothing to be found, found the secret in {} ways", loot.found);
    }
    let code = story.step("The program ends, and the wrapper with its exit code", || victim.end())?;
    if code != 0 {
        bail!("expected exit code 0, found {code}");
    }
    Ok(())
}

/// The other face of the plugin: evidence for an ordinary token.
fn logged_in(story: &mut Story, stage: &Stage, machine: &Machine) -> Result<()> {
    let policy = format!("policy=@{}", stage.dir.path().join("policy.toml").display());
    stage.bao.call(&["write", "auth/attest/policy/demo", &policy])?;
    let role = json!({ "policy": "demo", "token_policies": ["app"], "token_ttl_seconds": 600 });
    stage.bao.feed(&["write", "auth/attest/role/node", "-"], role.to_string().as_bytes())?;
    let mut login = refusals::presentation(stage, machine, "auth/attest", "auth/attest/login/node")?;
    if let Some(body) = login.as_object_mut() {
        body.insert("role".to_owned(), json!("node"));
    }
    let answer =
        story.step("The same proof buys an ordinary OpenBao token, if a service wants one", || {
            let words = ["write", "-format=json", "auth/attest/login", "-"];
            let answer = stage.bao.feed(&words, login.to_string().as_bytes())?;
            Ok(serde_json::from_str::<serde_json::Value>(&answer)?)
        })?;
    for name in ["token_policies", "lease_duration", "metadata/platform", "metadata/measurement"] {
        let value = answer.pointer(&format!("/auth/{name}")).context("expected a token")?;
        note(&format!("{name}: {}", value.to_string().replace('"', "")));
    }
    Ok(())
}

/// A sealed OpenBao: an error that says so, and nothing released.
fn sealed(story: &mut Story, stage: &Stage, machine: &Machine) -> Result<()> {
    stage.bao.seal()?;
    let told = story.step("Not judged: OpenBao is sealed, and the program is not started", || {
        let mut wrapper = stage.wrapped(machine, &["true"]);
        let output = wrapper.env("CLOUDTASER_RELEASE_TIMEOUT", "2").output()?;
        if output.status.code() != Some(125) {
            bail!("expected exit code 125, found {}", output.status);
        }
        Ok(String::from_utf8_lossy(&output.stderr).into_owned())
    })?;
    note(&told);
    stage.bao.unseal()
}

/// An operator bars one chip: a new version of the policy.
fn denied_chip(story: &mut Story, stage: &Stage, machine: &Machine) -> Result<()> {
    let report = machine.dir.join("evidence.bin");
    let mut inspect = stage.program("cloudtaser");
    let told = child::read(inspect.args(["attest", "inspect"]).arg(report).args(["-o", "json"]))?;
    let chip = find_chip_id(&told).with_context(|| format!("no chip id in {told}"))?;
    store_policy(stage, 2, &format!("{{ none_of = [\"{chip}\"] }}"))?;
    refusals::asks(
        story,
        stage,
        machine,
        "A chip that an operator barred (policy version 2)",
        &["snp.chip"],
    )?;
    store_policy(stage, 3, "\"any\"")
}

fn find_chip_id(json: &str) -> Option<String> {
    let is_id = |word: &&str| word.len() == 128 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let (_, after) = json.split_once("\"chip id\"")?;
    after.split('"').find(is_id).map(str::to_owned)
}

/// The other platform of this house: an ordinary machine with a TPM.
fn on_a_tpm(story: &mut Story, stage: &Stage, program: &str) -> Result<()> {
    chapter("A machine with a TPM");
    let (machine, tcti) =
        story.step("A real TPM 2.0 in software, and an agent", || stage.tpm_machine("tpm"))?;
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

fn extend(tcti: &str, pcr: u8) -> Result<()> {
    let value = format!("{pcr}:sha256={}", "ab".repeat(32));
    child::read(Command::new("tpm2_pcrextend").arg("-T").arg(tcti).arg(value)).map(drop)
}

/// Nobody has to believe the verifier.
fn audited(story: &mut Story, stage: &Stage, machine: &Machine) -> Result<()> {
    chapter("Audited, offline");
    let files = story.step("Every decision was recorded before it took effect", || audit::collect(stage))?;
    let (key, root) = (audit::verifier_key(stage)?, machine.endorsement("ark"));
    let verdicts = story
        .step("Each record replays to the same bytes, with no server and no network", || {
            files.iter().map(|file| audit::verify(stage, file, &key, &root)).collect::<Result<Vec<_>>>()
        })?;
    let admitted = verdicts.iter().filter(|verdict| *verdict == "admitted").count();
    let refused = verdicts.len().saturating_sub(admitted);
    note(&format!("{admitted} admitted, {refused} refused"));
    if (admitted, refused) != (3, 10) {
        bail!("expected 3 admitted and 10 refused decisions, found {admitted} and {refused}");
    }
    let first: &PathBuf = files.first().context("no records")?;
    note(&story.step("One of them, as an auditor reads it", || audit::show(stage, first, &key, &root))?);
    story.step("One flipped bit in a record is noticed", || audit::tamper(stage, first, &key, &root))
}

const SECRET: &str = "correct-horse-battery-staple-4711";

/// SHA-256 of 32 zero bytes and 32 bytes ab: a PCR that was extended once with ab…ab.
const BOOT: &str = "debb3e7acfff6dd18d501042273629f0b79cb206bb8c24f59f62ddb80849403b";
