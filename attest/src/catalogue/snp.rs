//! Checks of AMD SEV-SNP reports.

use super::Stage::{Genuineness, Invariant, Policy};
use super::Table;

pub(super) const TABLE: Table = Table {
    rows: &[
        ("snp.report.reserved", Genuineness, "reserved bytes are zero"),
        ("snp.report.signature_algorithm", Genuineness, "the report names ECDSA P-384 with SHA-384"),
        ("snp.report.signing_key", Genuineness, "the report was signed by a VCEK or a VLEK"),
        ("snp.report.mask_chip_key", Genuineness, "the report is signed: MASK_CHIP_KEY is clear"),
        ("snp.report.chip_id", Genuineness, "the chip id has the length of its line"),
        ("snp.policy.reserved_one", Genuineness, "bit 17 of the guest policy is set"),
        ("snp.product.cpuid", Genuineness, "the report's CPU is of the certificate's line"),
        ("snp.endorsement.window", Genuineness, "certificates and lists hold at this instant"),
        ("snp.chain.root", Genuineness, "a pinned root of AMD stands above the key"),
        ("snp.chain.root_signature", Genuineness, "the root among the endorsements is the pinned one"),
        ("snp.chain.intermediate", Genuineness, "the certificate above the key is an authority"),
        (
            "snp.chain.intermediate_name",
            Genuineness,
            "the authority is the one for this kind of key and line",
        ),
        ("snp.chain.intermediate_signature", Genuineness, "the pinned root signed the authority"),
        ("snp.chain.vek_signature", Genuineness, "the authority signed the chip's key"),
        (
            "snp.chain.critical_extensions",
            Genuineness,
            "no certificate has a critical extension that is unknown",
        ),
        ("snp.chain.dates", Genuineness, "every certificate is valid at this instant"),
        ("snp.crl.signature", Genuineness, "the root signed the revocation list"),
        ("snp.crl.critical_extensions", Genuineness, "the list has no critical extension that is unknown"),
        ("snp.crl.current", Genuineness, "the list is current at this instant"),
        ("snp.crl.intermediate", Genuineness, "the list does not revoke the authority"),
        ("snp.crl.vek", Genuineness, "the list does not revoke the chip's key"),
        ("snp.vek.product_name", Genuineness, "the key's certificate names a product of its line"),
        ("snp.vek.kind", Genuineness, "the certificate is for the kind of key that signed"),
        ("snp.vek.tcb", Genuineness, "the certificate is for the TCB that the report states"),
        ("snp.vek.hwid", Genuineness, "the certificate is for the chip that the report names"),
        ("snp.vek.csp_id", Genuineness, "a provider's key names its provider"),
        ("snp.tcb.reported_at_most_current", Genuineness, "the report states no more than the firmware runs"),
        ("snp.tcb.committed_at_most_current", Genuineness, "the firmware commits to no more than it runs"),
        ("snp.signature", Genuineness, "the chip's key signed the bytes that were received"),
        ("snp.product", Policy, "the policy allows the product line"),
        ("snp.product.denied", Policy, "the line's key seed is secret: not Milan"),
        ("snp.report.version", Policy, "the report's version is high enough"),
        ("snp.signing_key", Policy, "the policy allows this kind of key"),
        ("snp.provider", Policy, "the policy allows the provider whose key signed"),
        ("snp.chip", Policy, "the policy allows this chip"),
        ("snp.vmpl", Policy, "the policy allows the privilege level that asked"),
        ("snp.tcb.reported", Policy, "no part of the reported TCB is below the floor"),
        ("snp.tcb.current", Policy, "no part of the current TCB is below the floor"),
        ("snp.tcb.committed", Policy, "no part of the committed TCB is below the floor"),
        ("snp.tcb.launch", Policy, "no part of the TCB at launch is below the floor"),
        ("snp.measurement", Policy, "the launch measurement is a known good one"),
        ("snp.host_data", Policy, "the policy allows the host's data"),
        ("snp.family_id", Policy, "the policy allows the guest's family"),
        ("snp.image_id", Policy, "the policy allows the guest's image"),
        ("snp.guest_svn", Policy, "the guest's security version is high enough"),
        ("snp.id_key_digest", Policy, "the policy allows the key that signed the ID block"),
        ("snp.author_key_digest", Policy, "the policy allows the author's key"),
        ("snp.report_id_ma", Policy, "the policy allows the migration agent, or that there is none"),
        ("snp.policy.abi", Policy, "the guest demands a firmware ABI that is new enough"),
        ("snp.policy.smt", Policy, "the guest policy's SMT bit is as the policy wants it"),
        ("snp.policy.migrate_ma", Policy, "the guest policy's migration bit is as the policy wants it"),
        ("snp.policy.debug", Policy, "the guest policy's debug bit is as the policy wants it"),
        (
            "snp.policy.single_socket",
            Policy,
            "the guest policy's single-socket bit is as the policy wants it",
        ),
        ("snp.policy.cxl", Policy, "the guest policy's CXL bit is as the policy wants it"),
        (
            "snp.policy.mem_aes_256_xts",
            Policy,
            "the guest policy's AES-256-XTS bit is as the policy wants it",
        ),
        ("snp.policy.rapl_dis", Policy, "the guest policy's RAPL bit is as the policy wants it"),
        (
            "snp.policy.ciphertext_hiding",
            Policy,
            "the guest policy's ciphertext-hiding bit is as the policy wants it",
        ),
        (
            "snp.policy.page_swap_disable",
            Policy,
            "the guest policy's page-swap bit is as the policy wants it",
        ),
        ("snp.policy.unknown_bits", Policy, "no bit of the guest policy is set that has no name"),
        ("snp.platform.smt", Policy, "the host's SMT is as the policy wants it"),
        ("snp.platform.tsme", Policy, "the host's TSME is as the policy wants it"),
        ("snp.platform.ecc", Policy, "the host's ECC memory is as the policy wants it"),
        ("snp.platform.rapl_dis", Policy, "the host's RAPL is as the policy wants it"),
        ("snp.platform.ciphertext_hiding", Policy, "the host's ciphertext hiding is as the policy wants it"),
        (
            "snp.platform.alias_check_complete",
            Policy,
            "the host looked for memory aliases, as the policy wants it",
        ),
        ("snp.platform.tio", Policy, "the host's trusted I/O is as the policy wants it"),
        (
            "snp.platform.unnamed_bits",
            Policy,
            "no bit of the platform info is set that the policy does not know",
        ),
        ("snp.mitigations", Policy, "a report that says which mitigations are on, if the policy asks"),
        ("snp.mitigations.launch", Policy, "the mitigations at launch are what the policy asks"),
        ("snp.mitigations.current", Policy, "the mitigations now are what the policy asks"),
        ("snp.crl.present", Invariant, "a revocation list was used"),
        ("snp.crl.age", Invariant, "the revocation list is not older than the policy allows"),
    ],
    remedies: &[
        (
            "snp.report",
            "Take a new report from the machine. If it fails again, the firmware makes reports that this version \
             does not know, or something changes them on the way.",
        ),
        (
            "snp.report.mask_chip_key",
            "The host masks the chip's key, so that reports carry no signature: ask the provider for hosts without \
             MASK_CHIP_KEY.",
        ),
        (
            "snp.report.version",
            "Update the machine's SEV firmware (newer firmware writes newer reports), or lower `report_version` and \
             state which CPU it is by `products`.",
        ),
        (
            "snp.product.cpuid",
            "The certificate belongs to another product line: fetch the one for the report's chip.",
        ),
        (
            "snp.product",
            "Add the line to `products` if your fleet has such machines. Otherwise find out why this machine speaks \
             under your policy's name.",
        ),
        (
            "snp.product.denied",
            "Move to Genoa or Turin. Milan's key seed was extracted by software in 2026; whoever must use it writes \
             `insecure-allow-milan = true`, and every appraisal shows it.",
        ),
        (
            "snp.endorsement",
            "Bring endorsements that are valid now: fetch the certificates and the list again, and look at the \
             verifier's clock.",
        ),
        (
            "snp.chain",
            "Bring the chip's certificate as AMD issued it, and AMD's authority of its line (ASK for a VCEK, ASVK \
             for a VLEK): the node agent fetches both. If the root differs from the pinned one, the certificates \
             are not AMD's.",
        ),
        (
            "snp.chain.dates",
            "Fetch the certificate again: AMD and the providers renew them. Then look at the verifier's clock.",
        ),
        (
            "snp.crl",
            "Fetch AMD's revocation list for the line and store it with the verifier, and again before its next \
             update. `freshness.crl_days`, else `collateral_days`, says how old it may be.",
        ),
        (
            "snp.crl.intermediate",
            "AMD withdrew this authority: fetch the chip's certificate under the current one.",
        ),
        (
            "snp.crl.vek",
            "AMD revoked this chip's key. Take the machine out of service, and treat the secrets that it received as \
             disclosed.",
        ),
        (
            "snp.vek",
            "Fetch the certificate for the report's own chip and reported TCB: after a firmware update the chip has a \
             new key.",
        ),
        (
            "snp.signature",
            "Take a new report. If it fails again, something changes reports on the way, or makes them: treat the \
             machine as hostile until you know.",
        ),
        (
            "snp.signing_key",
            "Use machines that sign with the kind of key that the policy names, or add the kind to `signing_key`.",
        ),
        (
            "snp.provider",
            "Add the provider's name, as `attest inspect` shows it, to `provider`, if it is one that you rent from.",
        ),
        (
            "snp.chip",
            "If this is a machine of yours, add its chip id to `chips` (`any_of`) or take it off the denied ones.",
        ),
        (
            "snp.vmpl",
            "Have the report made at the level that the policy names: 0 without a paravisor; EC2 guests may sit at 1.",
        ),
        (
            "snp.tcb",
            "Update the machine's microcode and SEV firmware, reboot, and commit the new version (SNP_COMMIT). \
             `launch` rises only when the guest starts anew. To admit it as it is, lower the part that is named \
             under `[snp.tcb]`, knowing which of AMD's bulletins that leaves open.",
        ),
        ("snp.tcb.reported_at_most_current", "No genuine firmware says so: treat the machine as hostile."),
        ("snp.tcb.committed_at_most_current", "No genuine firmware says so: treat the machine as hostile."),
        (
            "snp.measurement",
            "Compute the measurement of the image that you meant to start (`cloudtaser measure snp`), and compare: if \
             they agree, add it as a `[[reference]]`; if not, another image, another vCPU count or another firmware \
             was started.",
        ),
        (
            "snp.host_data",
            "Start the guest with the host data that the policy lists, or list what your launcher passes.",
        ),
        ("snp.family_id", "Launch with the ID block that the policy expects, or list its family id."),
        ("snp.image_id", "Launch with the ID block that the policy expects, or list its image id."),
        ("snp.guest_svn", "Launch the newer image: the security version stands in its ID block."),
        ("snp.id_key_digest", "Launch with an ID block signed by a key that the policy lists."),
        ("snp.author_key_digest", "Launch with an author key that the policy lists."),
        (
            "snp.report_id_ma",
            "Launch without a migration agent, or list the agent's report id under `report_id_ma`.",
        ),
        (
            "snp.policy",
            "Launch the guest with another guest policy (for QEMU: `-object sev-snp-guest,policy=…`): it is fixed at \
             launch and cannot be changed afterwards.",
        ),
        (
            "snp.policy.debug",
            "Launch the guest without DEBUG: with it the host reads all of the guest's memory.",
        ),
        (
            "snp.policy.reserved_one",
            "No genuine firmware launches a guest without bit 17: treat the report as forged.",
        ),
        (
            "snp.platform",
            "Change the host's firmware settings, or ask the provider to; a guest cannot. If the setting does not \
             matter for this workload, write `\"any\"` with the reason beside it.",
        ),
        (
            "snp.platform.alias_check_complete",
            "Update the host's firmware to one that looks for memory aliases at boot (AMD-SB-3015).",
        ),
        (
            "snp.platform.unnamed_bits",
            "Find out in AMD's specification what the bit means, then allow it under `platform_info.unnamed`.",
        ),
        (
            "snp.mitigations",
            "Update the machine's firmware, reboot, and start the guest anew; AMD's bulletins say which bit stands for \
             what.",
        ),
    ],
};
