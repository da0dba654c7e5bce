//! `cargo xtask demo [--tee NAME]`: the whole path of one secret, told as a story on this machine.
//!
//! One story for every kind of hardware: what differs is a [`Tee`], a file of `demo/tee`. The hardware is simulated
//! and says so everywhere; OpenBao, the TPM, the kernel and our programs are real.

use anyhow::{Context as _, Result};
use serde_json::json;

use crate::house::House;
use crate::{child, tools};

use bao::{Bao, Kind, Plugin};
use narrate::{Story, chapter, note};
use stage::{Machine, Stage};
use tee::Tee;

mod audit;
mod bao;
mod chapters;
mod narrate;
mod refusals;
mod stage;
mod tee;
mod theft;
mod tls;

/// Plays the story of one kind of hardware; `snp` if nobody says.
pub(crate) fn run(house: &House, name: &str) -> Result<()> {
    let tee = tee::named(name)?;
    build(house)?;
    play(house, tee)
}

/// Plays each of them.
pub(crate) fn every(house: &House) -> Result<()> {
    build(house)?;
    tee::ALL.into_iter().try_for_each(|tee| play(house, tee).with_context(|| format!("--tee {}", tee.name)))
}

fn build(house: &House) -> Result<()> {
    eprintln!("xtask: building the programs");
    // With one example, so that the dependencies are built as for the tests, and serve both.
    let all = ["build", "--quiet", "--workspace", "--bins", "--example", "notes"];
    child::run(child::cargo(&house.root).args(all))
}

fn play(house: &House, tee: &'static Tee) -> Result<()> {
    let tools = tools::ensure(house)?;
    let mut story = Story::begin(&format!("One secret, released on attestation: {}", tee.title));

    chapter("OpenBao, with the attestation plugin in it");
    let bao =
        story.step("A real OpenBao: raft storage, TLS, initialised, unsealed", || Bao::start(&tools.bao))?;
    note(&format!("{} (process {})", bao.address(), bao.pid()));
    let stage = Stage::set(bao, &house.target, tee)?;
    let machine = story.step(tee.arrival, || stage.machine("good", &[]))?;
    let (silicon, agent) = machine.processes();
    note(&format!("silicon {silicon}, {} for agent {agent}", tee.interface));
    story.step("The plugin, registered by its SHA-256, mounted at attest-keys/ and auth/attest/", || {
        plug(&stage, &machine)
    })?;
    story.step("A policy, and a secret that it guards", || furnish(&stage))?;
    if let Some(before) = tee.before {
        before(&mut story, &stage, &machine)?;
    }

    let program = chapters::released(&mut story, &stage, &machine)?;
    chapters::logged_in(&mut story, &stage, &machine)?;
    chapter("Refused, each for its reason");
    refusals::machines(&mut story, &stage, &program)?;
    refusals::answers(&mut story, &stage, &machine)?;
    chapters::sealed(&mut story, &stage, &machine)?;
    (tee.more)(&mut story, &stage, &machine, &program)?;
    chapters::audited(&mut story, &stage, &machine)?;
    story.end();
    println!("The hardware was simulated: no vendor vouches for it, and every verdict above says so.");
    Ok(())
}

fn plug(stage: &Stage, machine: &Machine) -> Result<()> {
    let root = stage.tee.root.map(|root| machine.endorsement(root));
    let root = root.map(|root| format!("--insecure-trust-root={}", root.display()));
    let binary = stage.binary("openbao-plugin-attest");
    for (kind, name, path) in
        [(Kind::Auth, "attest-auth", "attest"), (Kind::Secrets, "attest-secrets", "attest-keys")]
    {
        let face = if kind == Kind::Auth { "--kind=auth" } else { "--kind=secrets" };
        let args: Vec<&str> = [face].into_iter().chain(root.as_deref()).collect();
        stage.bao.plug(Plugin { kind, name, binary: &binary, args: &args, path, flags: &[] })?;
    }
    Ok(())
}

fn furnish(stage: &Stage) -> Result<()> {
    stage.store_policy(1, &[])?;
    let key = json!({ "policy": "demo", "data": { "username": "app", "password": SECRET } });
    stage.bao.feed(&["write", "attest-keys/keys/db", "-"], key.to_string().as_bytes()).map(drop)
}

const SECRET: &str = "correct-horse-battery-staple-4711";
