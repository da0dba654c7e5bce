//! AWS Nitro: the document of an enclave, and of the EC2 instance's own TPM.

use std::process::Command;

use anyhow::{Context as _, Result};

use super::{Attack, Brings, Tee};
use crate::child;
use crate::demo::narrate::{Story, chapter};
use crate::demo::refusals;
use crate::demo::stage::{Machine, Stage};
use crate::demo::theft::Victim;

pub(super) const TEE: Tee = Tee {
    name: "nitro",
    platform: "nitro",
    title: "AWS Nitro",
    arrival: "The security module of a simulated enclave, and the unchanged node agent",
    interface: "by a socket in the place of /dev/nsm",
    policy: include_str!("nitro.toml"),
    variables: &[],
    machine,
    root: Some("root.der"),
    // A document carries its certificates, and AWS publishes no list.
    brings: Brings { certificates: &[], revocation_lists: &[], documents: &[] },
    // Each on an instance of its own: a machine that failed once stays refused until somebody looked at it.
    attacks: &[
        Attack {
            name: "debug",
            what: "An enclave in debug mode, whose console its parent reads",
            hardware: &["--seed", "8", "--debug"],
            checks: &[
                "nitro.pcr0.nonzero",
                "nitro.pcr1.nonzero",
                "nitro.pcr2.nonzero",
                "nitro.pcr.0",
                "nitro.pcr.1",
                "nitro.pcr.2",
            ],
        },
        Attack {
            name: "image",
            what: "Another image than the one we measured",
            hardware: &["--seed", "9", "--pcr", OTHER_IMAGE],
            checks: &["nitro.pcr.0"],
        },
        Attack {
            name: "account",
            what: "This very image, started by somebody else's role",
            hardware: &["--seed", "10", "--role", "arn:aws:iam::999999999999:role/thief"],
            checks: &["nitro.role"],
        },
        Attack {
            name: "region",
            what: "This very image, in a region that the policy does not name",
            hardware: &["--seed", "11", "--region", "us-east-1"],
            checks: &["nitro.region"],
        },
        Attack {
            name: "foreign",
            what: "A module under somebody else's root, under the same names",
            hardware: &["--seed", "12", "--vendor", "other"],
            checks: &["nitro.chain.root", "nitro.chain.signatures"],
        },
    ],
    before: None,
    more,
    decisions: (3, 8),
};

fn machine(stage: &Stage, name: &str, hardware: &[&str]) -> Result<Machine> {
    let boot = ["nitro", "--seed", "7", "--listen", "STATE", "--write-endorsements", "ENDORSEMENTS"];
    let image = IMAGE.into_iter().flat_map(|register| ["--pcr", register]);
    let silicon: Vec<&str> =
        boot.into_iter().chain(["--role", ROLE]).chain(image).chain(hardware.iter().copied()).collect();
    stage.machine_on(name, &silicon, |ready| Ok(format!("[nitro]\npath = {:?}\n", said(ready)?)))
}

/// The EC2 instance, which is a machine too: what Kubernetes' nodes on AWS have.
fn more(story: &mut Story, stage: &Stage, _: &Machine, program: &str) -> Result<()> {
    chapter("An EC2 instance with a NitroTPM");
    let mut tcti = String::new();
    let silicon = ["nitro-tpm", "--seed", "13", "--state", "STATE", "--write-endorsements", "ENDORSEMENTS"];
    let machine =
        story.step("A real TPM 2.0 in software, AWS' command in front of it, and an agent", || {
            stage.machine_on("instance", &silicon, |ready| {
                said(ready)?.clone_into(&mut tcti);
                Ok(format!("[nitro-tpm]\ntcti = {tcti:?}\n"))
            })
        })?;
    story.step("Its boot is measured: loader, Secure Boot, command line", || {
        [4, 7, 12].iter().try_for_each(|pcr| extend(&tcti, *pcr))
    })?;
    story.step("The program has its secret: AWS vouches for the instance, nobody enrolled a key", || {
        Victim::start(&mut stage.wrapped(&machine, &[program]))?.end().map(drop)
    })?;
    extend(&tcti, 12)?;
    let what = "Refused: something was added to the command line after the measured boot";
    refusals::asks(story, stage, &machine, what, &["nitro-tpm.pcr.12"])
}

/// Where the simulator says that the hardware is.
fn said(ready: &str) -> Result<&str> {
    let said = ready.trim_end().strip_prefix("ready ");
    said.with_context(|| format!("expected `ready` and a place, found {ready:?}"))
}

fn extend(tcti: &str, pcr: u8) -> Result<()> {
    let value = format!("{pcr}:sha384={}", "ab".repeat(48));
    child::read(Command::new("tpm2_pcrextend").arg("-T").arg(tcti).arg(value)).map(drop)
}

const ROLE: &str = "arn:aws:iam::123456789012:role/payments";
/// The image, its kernel and its applications, as the builder tells their registers.
const IMAGE: [&str; 3] = [
    "0=a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0",
    "1=a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1",
    "2=a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2",
];
const OTHER_IMAGE: &str =
    "0=010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101010101";
