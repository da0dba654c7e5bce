//! Machines that are not what they should be, and answers that are not meant for the question.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::narrate::{Story, note};
use super::stage::{Machine, Stage};

/// Each machine asks through agent and wrapper, and is refused by exactly its checks.
pub(crate) fn machines(story: &mut Story, stage: &Stage, program: &str) -> Result<()> {
    for attack in stage.tee.attacks {
        let machine = stage.machine(attack.name, attack.hardware)?;
        let told = story.step(attack.what, || refused(&mut stage.wrapped(&machine, &[program])))?;
        expect(&told, attack.checks)?;
    }
    Ok(())
}

/// One more machine asks and is refused by these checks.
pub(crate) fn asks(
    story: &mut Story,
    stage: &Stage,
    machine: &Machine,
    what: &str,
    checks: &[&str],
) -> Result<()> {
    let told = story.step(what, || refused(&mut stage.wrapped(machine, &["true"])))?;
    expect(&told, checks)
}

/// An answer used twice, and an answer with another key in it.
pub(crate) fn answers(story: &mut Story, stage: &Stage, machine: &Machine) -> Result<()> {
    let body = presentation(stage, machine, "attest-keys", OPEN)?;
    let told = story.step("A challenge that was answered before", || {
        if let Err(refusal) = send(stage, &body)? {
            bail!("expected the first answer to be honoured, found {refusal}");
        }
        send(stage, &body)?.err().context("expected a refusal of the second")
    })?;
    expect(&told, &["challenge.unused"])?;
    let mut body = presentation(stage, machine, "attest-keys", OPEN)?;
    if let Some(key) = body.get_mut("public_key") {
        *key = Value::String(base64(&stage.file("other.key", "another key of 32 bytes, not his")?)?);
    }
    let told = story.step("A thief's key put in the place of the one that was signed", || {
        send(stage, &body)?.err().context("expected a refusal")
    })?;
    expect(&told, &["challenge.bound"])
}

/// What a client sends: a fresh challenge of a mount, answered by the machine for one purpose.
pub(crate) fn presentation(stage: &Stage, machine: &Machine, mount: &str, context: &str) -> Result<Value> {
    let challenge = stage.bao.json("write", &["-force", &format!("{mount}/challenge")])?;
    let field = |name: &str| {
        let value = challenge.pointer(&format!("/data/{name}")).and_then(Value::as_str);
        value.map(str::to_owned).context("no challenge")
    };
    let key = stage.file("public.key", "a key of exactly 32 bytes, his  ")?;
    let evidence = stage.evidence(machine, &field("nonce")?, context, &key)?;
    let files = |names: &[&str]| -> Result<Vec<String>> {
        names.iter().map(|name| base64(&machine.endorsement(name))).collect()
    };
    let brings = &stage.tee.brings;
    Ok(json!({
        "challenge": field("challenge")?,
        "platform": stage.tee.platform,
        "evidence": base64(&evidence)?,
        "certificates": files(brings.certificates)?,
        "revocation_lists": files(brings.revocation_lists)?,
        "documents": files(brings.documents)?,
        "kem": "x25519",
        "public_key": base64(&key)?,
    }))
}

/// OpenBao's answer, or its refusal in words.
fn send(stage: &Stage, body: &Value) -> Result<Result<String, String>> {
    let words = ["write", "-format=json", "attest-keys/release/db/open", "-"];
    match stage.bao.feed(&words, body.to_string().as_bytes()) {
        Ok(answer) => Ok(Ok(answer)),
        Err(error) if error.to_string().contains("refused") => Ok(Err(error.to_string())),
        Err(error) => Err(error),
    }
}

/// Runs the wrapper; it must end with exit code 1 and say which checks failed.
fn refused(command: &mut Command) -> Result<String> {
    let output = command.output()?;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.code() != Some(1) {
        bail!("expected a refusal (exit code 1), found {}: {told}", output.status);
    }
    Ok(told)
}

/// Shows the failing checks, and insists that they are the expected ones and no others.
fn expect(told: &str, checks: &[&str]) -> Result<()> {
    let mut found = Vec::new();
    for line in told.split(['\n', ';']) {
        if let Some(id) = failing(line) {
            note(line.get(line.find(id).unwrap_or(0)..).unwrap_or(line));
            found.push(id);
        }
    }
    if found != checks {
        bail!("expected refusals by {checks:?}, found {found:?}: {told}");
    }
    Ok(())
}

/// The check that a line like `… snp.policy.debug: expected clear, found set` names.
fn failing(line: &str) -> Option<&str> {
    let (before, _) = line.split_once(": expected ")?;
    before.split_whitespace().next_back()
}

pub(crate) fn base64(file: &Path) -> Result<String> {
    let text = crate::child::read(Command::new("base64").arg("--wrap=0").arg(file))?;
    Ok(text.trim().to_owned())
}

/// What the hardware signs for a release of `db`.
const OPEN: &str = "attest-keys/release/db";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_reason_too_few_or_too_many_is_not_what_was_expected() {
        let told = "refused: a.b: expected x, found y; c.d: expected 1, found 2";
        assert!(expect(told, &["a.b", "c.d"]).is_ok());
        assert!(expect(told, &["a.b"]).is_err());
        assert!(expect(told, &["a.b", "c.d", "e.f"]).is_err());
        assert!(expect("the agent is not there", &["a.b"]).is_err());
    }
}
