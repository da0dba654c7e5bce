//! Checks of Azure confidential machines.

use super::Stage::{Genuineness, Policy};
use super::Table;

pub(super) const TABLE: Table = Table {
    rows: &[
        (
            "azure.binding.report_type",
            Genuineness,
            "the paravisor's report carries the hardware's of this platform",
        ),
        (
            "azure.binding.vmpl",
            Genuineness,
            "the paravisor asked for the hardware's report, and not the guest",
        ),
        (
            "azure.binding.td_report",
            Genuineness,
            "the TD quote has the report data of the paravisor's report",
        ),
        ("azure.binding.runtime_data", Genuineness, "the hardware signed the digest of the runtime data"),
        ("azure.runtime.readable", Genuineness, "the runtime data is JSON with keys and a configuration"),
        (
            "azure.binding.attestation_key",
            Genuineness,
            "the runtime data names the key that signed the TPM quote",
        ),
        ("azure.vm.secure_boot", Policy, "Secure Boot is as the policy wants it"),
        ("azure.vm.tpm_enabled", Policy, "the virtual TPM is as the policy wants it"),
        ("azure.vm.console_enabled", Policy, "the serial console is as the policy wants it"),
        ("azure.vm.tpm_persisted", Policy, "the virtual TPM's state is kept as the policy wants it"),
        ("azure.vm.id", Policy, "the policy allows this virtual machine"),
        ("azure.vm.root_cert", Policy, "the policy allows the certificate that the paravisor was given"),
    ],
    remedies: &[
        (
            "azure.binding",
            "Take every part anew from one machine: the report from the TPM's index 0x01400001, the quote by the key \
             at 0x81000003 and, on TDX, the TD quote of that very report. Parts of two machines never fit: treat a \
             machine that sends them again as hostile until you know.",
        ),
        (
            "azure.runtime",
            "Read the index 0x01400001 again, whole. If it fails again, the paravisor writes a form that this version \
             does not know: update the verifier.",
        ),
        (
            "azure.vm",
            "Compare the machine's settings in Azure with the policy's section [azure], and change the one that is \
             wrong. Secure Boot and the console are set when the machine is created.",
        ),
    ],
};
