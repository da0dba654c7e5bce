//! Checks of event logs and IMA lists.

use super::Stage::{Genuineness, Policy};
use super::Table;

pub(super) const TABLE: Table = Table {
    rows: &[
        ("tpm.log.replay", Genuineness, "the event log that came with the quote gives the quoted PCRs"),
        ("tdx.log.replay", Genuineness, "the event log that came with the quote gives the quoted RTMRs"),
        ("tpm.ima.replay", Genuineness, "the IMA list that came with the quote gives the quoted PCR 10"),
        ("tpm.ima.boot_aggregate", Genuineness, "the IMA list is of the same boot as the other PCRs"),
        ("tpm.boot.bank", Policy, "the logs were read in a bank that the policy allows"),
        ("tpm.boot.log", Policy, "an event log came with the quote"),
        (
            "tpm.boot.secure_boot",
            Policy,
            "Secure Boot was on when the machine started, as the policy wants it",
        ),
        (
            "tpm.boot.exit_boot_services",
            Policy,
            "the log reaches the point where the operating system took over",
        ),
        ("tpm.boot.firmware_version", Policy, "the policy allows the version that the firmware measured"),
        ("tpm.boot.pk", Policy, "the platform key is a known one"),
        ("tpm.boot.kek", Policy, "the key exchange keys are known ones"),
        ("tpm.boot.db", Policy, "the list of allowed signers is a known one"),
        ("tpm.boot.dbx", Policy, "the list of revoked signers is a known one"),
        ("tpm.boot.authorities", Policy, "everything that vouched for a program is known"),
        ("tpm.boot.drivers", Policy, "every driver from outside the firmware is known"),
        ("tpm.boot.images", Policy, "every program that was loaded is known"),
        ("tpm.boot.owner_keys", Policy, "the machine owner's keys are known ones"),
        (
            "tpm.boot.kernel_cmdline",
            Policy,
            "every kernel command line is allowed, and measured by whom the policy says",
        ),
        ("tpm.boot.uki", Policy, "every section of the kernel image is known"),
        ("tpm.boot.files", Policy, "every file that boot loaders measured is known"),
        ("tpm.boot.phases", Policy, "the machine is in a phase that the policy allows"),
        ("tpm.boot.ima", Policy, "every file that was run or read is known"),
        ("tpm.boot.cluster", Policy, "the machine joined a cluster that the policy names, and no other"),
        (
            "tpm.boot.facts",
            Policy,
            "the system said of itself what the policy asks, each time that it was measured",
        ),
        ("tdx.boot.log", Policy, "an event log came with the quote"),
        (
            "tdx.boot.secure_boot",
            Policy,
            "Secure Boot was on when the machine started, as the policy wants it",
        ),
        (
            "tdx.boot.exit_boot_services",
            Policy,
            "the log reaches the point where the operating system took over",
        ),
        ("tdx.boot.firmware_version", Policy, "the policy allows the version that the firmware measured"),
        ("tdx.boot.pk", Policy, "the platform key is a known one"),
        ("tdx.boot.kek", Policy, "the key exchange keys are known ones"),
        ("tdx.boot.db", Policy, "the list of allowed signers is a known one"),
        ("tdx.boot.dbx", Policy, "the list of revoked signers is a known one"),
        ("tdx.boot.authorities", Policy, "everything that vouched for a program is known"),
        ("tdx.boot.drivers", Policy, "every driver from outside the firmware is known"),
        ("tdx.boot.images", Policy, "every program that was loaded is known"),
        ("tdx.boot.owner_keys", Policy, "the machine owner's keys are known ones"),
        (
            "tdx.boot.kernel_cmdline",
            Policy,
            "every kernel command line is allowed, and measured by whom the policy says",
        ),
        ("tdx.boot.uki", Policy, "every section of the kernel image is known"),
        ("tdx.boot.files", Policy, "every file that boot loaders measured is known"),
        ("tdx.boot.phases", Policy, "the machine is in a phase that the policy allows"),
        ("tdx.boot.ima", Policy, "every file that was run or read is known"),
        ("tdx.boot.cluster", Policy, "the machine joined a cluster that the policy names, and no other"),
        (
            "tdx.boot.facts",
            Policy,
            "the system said of itself what the policy asks, each time that it was measured",
        ),
    ],
    remedies: &[
        ("tpm.log", REPLAY),
        ("tdx.log", REPLAY),
        ("tpm.ima", REPLAY),
        ("tpm.boot", BOOT),
        ("tpm.boot.log", LOG),
        ("tpm.boot.secure_boot", SECURE_BOOT),
        ("tpm.boot.exit_boot_services", EXIT_BOOT_SERVICES),
        ("tpm.boot.firmware_version", FIRMWARE_VERSION),
        ("tpm.boot.kernel_cmdline", KERNEL_CMDLINE),
        ("tpm.boot.phases", PHASES),
        ("tpm.boot.cluster", CLUSTER),
        ("tpm.boot.facts", FACTS),
        ("tpm.boot.bank", BANK),
        ("tdx.boot", BOOT),
        ("tdx.boot.log", LOG),
        ("tdx.boot.secure_boot", SECURE_BOOT),
        ("tdx.boot.exit_boot_services", EXIT_BOOT_SERVICES),
        ("tdx.boot.firmware_version", FIRMWARE_VERSION),
        ("tdx.boot.kernel_cmdline", KERNEL_CMDLINE),
        ("tdx.boot.phases", PHASES),
        ("tdx.boot.cluster", CLUSTER),
        ("tdx.boot.facts", FACTS),
    ],
};

const REPLAY: &str = "Read the log anew and quote at the same time; a log that was cut, or that is of another boot, gives \
                      other values. If it still differs, somebody changed the log: treat the machine as hostile \
                      until you know.";
const BOOT: &str = "Look at the log with `cloudtaser attest inspect`: the message names the digests that the policy does not know. Add those that you can explain as reference values; for the others, find out who changed the machine.";
const LOG: &str = "Have the node send its event log with the quote: /sys/kernel/security/tpm0/binary_bios_measurements of a TPM, the data of the ACPI table CCEL of a TD.";
const SECURE_BOOT: &str = "Turn Secure Boot on in the machine's firmware, and reboot. If it is on, the log shows no proof of it: let the vendor of the firmware explain why.";
const EXIT_BOOT_SERVICES: &str = "The log ends before the operating system took over. Read it anew; if it still ends there, the firmware does not measure the end, and the policy has to say \"any\".";
const FIRMWARE_VERSION: &str = "Update the firmware, or add its version to the policy.";
const KERNEL_CMDLINE: &str = "Boot with a command line that the policy allows, or add the line to `any_of`. What is measured beside it and not known belongs among `files`.";
const PHASES: &str = "Quote in another phase of the boot, or add the phase to the policy.";
const CLUSTER: &str =
    "Join the machine to the cluster after a reboot: the register takes the name of one cluster, once.";
const FACTS: &str = "Have the node agent measure its facts when it starts (`[facts]` in its configuration), and look at them with `cloudtaser attest inspect`. What the policy does not allow is changed by booting the machine otherwise.";
const BANK: &str = "Quote the SHA-256 bank, and send logs that have its digests.";
