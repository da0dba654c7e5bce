//! The chapters that are the same for every kind of hardware.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::narrate::{Story, chapter, note};
use super::stage::{Machine, Stage};
use super::theft::{self, Victim};
use super::{SECRET, audit, refusals};

/// The program gets its secret, and root gets nothing. Returns the program's path.
pub(crate) fn released(story: &mut Story, stage: &Stage, machine: &Machine) -> Result<String> {
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
    Ok(program)
}

/// The other face of the plugin: evidence for an ordinary token.
pub(crate) fn logged_in(story: &mut Story, stage: &Stage, machine: &Machine) -> Result<()> {
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
            Ok(serde_json::from_str::<Value>(&answer)?)
        })?;
    for name in ["token_policies", "lease_duration", "metadata/platform", "metadata/measurement"] {
        let value = answer.pointer(&format!("/auth/{name}")).context("expected a token")?;
        note(&format!("{name}: {}", value.to_string().replace('"', "")));
    }
    Ok(())
}

/// A sealed OpenBao: an error that says so, and nothing released.
pub(crate) fn sealed(story: &mut Story, stage: &Stage, machine: &Machine) -> Result<()> {
    stage.bao.seal()?;
    let told = story.step("Not judged: OpenBao is sealed, and the program is not started", || {
        let mut wrapper = stage.wrapped(machine, &["true"]);
        let output = wrapper.env("CLOUDTASER_RELEASE_TIMEOUT", "2").output()?;
        if output.status.code() != Some(121) {
            bail!("expected exit code 121, found {}", output.status);
        }
        Ok(String::from_utf8_lossy(&output.stderr).into_owned())
    })?;
    note(&told);
    stage.bao.unseal()
}

/// Nobody has to believe the verifier.
pub(crate) fn audited(story: &mut Story, stage: &Stage, machine: &Machine) -> Result<()> {
    chapter("Audited, offline");
    let files = story.step("Every decision was recorded before it took effect", || audit::collect(stage))?;
    let key = audit::verifier_key(stage)?;
    let root = stage.tee.root.map(|root| machine.endorsement(root));
    let root = root.as_deref();
    let verdicts = story
        .step("Each record replays to the same bytes, with no server and no network", || {
            files.iter().map(|file| audit::verify(stage, file, &key, root)).collect::<Result<Vec<_>>>()
        })?;
    let admitted = verdicts.iter().filter(|verdict| *verdict == "admitted").count();
    let refused = verdicts.len().saturating_sub(admitted);
    note(&format!("{admitted} admitted, {refused} refused"));
    let expected = stage.tee.decisions;
    if (admitted, refused) != expected {
        bail!("expected {expected:?} admitted and refused decisions, found {:?}", (admitted, refused));
    }
    let first: &PathBuf = files.first().context("no records")?;
    note(&story.step("One of them, as an auditor reads it", || audit::show(stage, first, &key, root))?);
    story.step("One flipped bit in a record is noticed", || audit::tamper(stage, first, &key, root))
}
