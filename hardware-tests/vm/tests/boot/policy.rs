//! The owner's policy: what was built is what may boot. No value in it was read from a machine.

use std::path::Path;
use std::process::Command;

use attest::crypto::{AwsLcRs, Crypto as _};
use serde_json::Value;
use vm::{Image, Kit, Owner, Signed};

use crate::boots::COMMAND_LINE;
use crate::programs::program;

/// The policy, in TOML.
pub(crate) fn text(kit: &Kit, owner: &Owner, image: &Image, signed: &Signed) -> String {
    let hash = |bytes: &[u8]| hex::encode(AwsLcRs.sha256(&[bytes]).0);
    let variable = |name: &str| hash(&owner.variable(name).unwrap());
    let section = |name: &str| hash(&image.section(name, kit).unwrap());
    let references = [
        ("pk", variable("PK")),
        ("kek", variable("KEK")),
        ("db", variable("db")),
        ("authority", hash(&owner.authority().unwrap())),
        ("image", authenticode(signed.path())),
        ("osrel", section(".osrel")),
        ("cmdline", section(".cmdline")),
        ("initrd", section(".initrd")),
        ("linux", section(".linux")),
    ];
    let reference = |(id, value): (&str, String)| {
        format!(
            "[[reference]]\nid = {id:?}\nvalue = {value:?}\nprovenance = \"computed from what was built\"\n"
        )
    };
    let references: String = references.map(reference).concat();
    TEMPLATE.replace("REFERENCES", &references).replace("COMMAND_LINE", COMMAND_LINE)
}

/// The digest by which firmware knows an image.
fn authenticode(image: &Path) -> String {
    let output =
        Command::new(program("cloudtaser")).args(["measure", "uki", "-o", "json"]).arg(image).output();
    let report: Value = serde_json::from_slice(&output.unwrap().stdout).unwrap();
    let text = report.to_string();
    let digest = text.split("Authenticode SHA-256").nth(1).and_then(|rest| {
        rest.split('"').find(|word| word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit()))
    });
    digest.unwrap_or_else(|| panic!("{report:#}")).to_owned()
}

/// The rule about the cluster, and the one for evidence of before it was joined.
pub(crate) const JOINED: &str = r#"cluster = { any_of = ["prod"] }"#;
pub(crate) const NOT_JOINED: &str = r#"cluster = "any""#;
const TEMPLATE: &str = r#"
name = "own-machine"
version = 1
expires = "9999-01-01T00:00:00Z"

[freshness]
verdict_seconds = 300
collateral_days = 400

REFERENCES

[tpm]
ak = { any_of = ["enrolled"] }
attestation_keys = "any"
signature_hash = { any_of = ["sha256"] }
banks = { any_of = ["sha256"] }
required = [0, 4, 7, 9, 11]
# The event log says what they are made of.
pcrs = "any"
clock_safe = "set"
firmware_version = "any"

[tpm.boot]
secure_boot = "set"
exit_boot_services = "set"
# Debian's.
firmware_version = "any"
pk = { any_of = ["pk"] }
kek = { any_of = ["kek"] }
db = { any_of = ["db"] }
dbx = "any"
authorities = { any_of = ["authority"] }
drivers = { any_of = ["image"] }
images = { any_of = ["image"] }
owner_keys = { any_of = ["authority"] }
kernel_cmdline = { by = "uki", any_of = ["COMMAND_LINE"] }
uki = [
    { section = ".osrel", any_of = ["osrel"] },
    { section = ".cmdline", any_of = ["cmdline"] },
    { section = ".initrd", any_of = ["initrd"] },
    { section = ".linux", any_of = ["linux"] },
]
files = { any_of = ["initrd"] }
phases = "any"
ima = "any"
cluster = { any_of = ["prod"] }
facts = "any"
"#;
