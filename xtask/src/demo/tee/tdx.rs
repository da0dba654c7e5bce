//! Intel TDX: a quote with its event log, and Intel's word on the platform.

use anyhow::Result;

use super::{Attack, Brings, OTHER, Tee};
use crate::demo::narrate::{Story, chapter};
use crate::demo::refusals;
use crate::demo::stage::{Machine, Stage};

pub(super) const TEE: Tee = Tee {
    name: "tdx",
    platform: "tdx",
    title: "Intel TDX",
    arrival: "A simulated TD with its event log, and the unchanged node agent in it",
    interface: "at /sys/kernel/config/tsm/report",
    policy: include_str!("tdx.toml"),
    variables: &[("COMMAND_LINE", "/vmlinuz ro quiet")],
    machine,
    root: Some("root.der"),
    brings: Brings {
        certificates: &["tcb-signing.der"],
        revocation_lists: &["root-crl.der", "pck-crl.der"],
        documents: &["tcb-info.json", "qe-identity.json"],
    },
    attacks: &[
        Attack {
            name: "debug",
            what: "A TD that its host may debug",
            hardware: &["--debug"],
            checks: &["tdx.attributes.debug"],
        },
        Attack {
            name: "image",
            what: "Other firmware than the one we measured",
            hardware: &["--mrtd", OTHER],
            checks: &["tdx.mrtd"],
        },
        Attack {
            name: "old",
            what: "A platform that Intel calls out of date",
            hardware: &["--tcb", "out-of-date"],
            checks: &["tdx.tcb.status"],
        },
        Attack {
            name: "withdrawn",
            what: "A platform whose certificate was revoked",
            hardware: &["--revoke", "pck"],
            checks: &["tdx.revoked.pck"],
        },
        Attack {
            name: "foreign",
            what: "A platform under somebody else's root, under the same names",
            hardware: &["--vendor", "other"],
            checks: &["tdx.chain.root", "tdx.chain.root_signature", "tdx.chain.authority_signature"],
        },
    ],
    before: None,
    more,
    decisions: (2, 10),
};

fn machine(stage: &Stage, name: &str, hardware: &[&str]) -> Result<Machine> {
    // The last one counts: an attack may bring its own.
    booted(stage, name, "/vmlinuz ro quiet", hardware)
}

fn booted(stage: &Stage, name: &str, command_line: &str, hardware: &[&str]) -> Result<Machine> {
    let log = stage.dir.path().join(format!("{name}.ccel"));
    let log = log.display().to_string();
    let boot = ["tdx", "--seed", "7", "--kernel-command-line", command_line, "--write-event-log", &log];
    stage.guest(name, &[&boot, hardware].concat(), |dir| {
        let names = ["tcb-signing.der", "root-crl.der", "pck-crl.der", "tcb-info.json", "qe-identity.json"];
        let files = names.map(|name| dir.join("endorsements").join(name).display().to_string());
        format!("endorsements = {files:?}\n[tdx]\nevent_log = {log:?}\n")
    })
}

/// What only the event log tells.
fn more(story: &mut Story, stage: &Stage, _: &Machine, _: &str) -> Result<()> {
    chapter("What the event log proves");
    let shell = booted(stage, "shell", "/vmlinuz ro quiet init=/bin/sh", &[])?;
    let what = "Refused: the same firmware and kernel, and a command line that starts a shell";
    refusals::asks(story, stage, &shell, what, &["tdx.boot.kernel_cmdline"])?;
    let silent = booted(stage, "silent", "/vmlinuz ro quiet", &[])?;
    std::fs::remove_file(stage.dir.path().join("silent.ccel"))?;
    let what = "Refused: the log was deleted, so that it tells nothing";
    let untold = ["tdx.boot.log", "tdx.boot.exit_boot_services", "tdx.boot.kernel_cmdline"];
    refusals::asks(story, stage, &silent, what, &untold)?;
    let forged = booted(stage, "forged", "/vmlinuz ro quiet init=/bin/sh", &[])?;
    std::fs::copy(stage.dir.path().join("good.ccel"), stage.dir.path().join("forged.ccel"))?;
    let what = "Refused: the log of an honest TD in the place of its own";
    refusals::asks(story, stage, &forged, what, &["tdx.log.replay"])
}
