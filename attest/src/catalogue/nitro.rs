//! Checks of AWS Nitro documents.

use super::Stage::{Genuineness, Invariant, Policy};
use super::Table;

pub(super) const TABLE: Table = Table {
    rows: &[
        ("nitro.chain.signatures", Genuineness, "a path of signatures leads from the root to the leaf"),
        ("nitro.chain.root", Genuineness, "the path begins at AWS's pinned root"),
        ("nitro.chain.root_signature", Genuineness, "the root signed itself"),
        (
            "nitro.chain.critical_extensions",
            Genuineness,
            "no certificate has a critical extension that is unknown",
        ),
        ("nitro.chain.encoding", Genuineness, "no certificate spells out a default"),
        ("nitro.chain.dates", Genuineness, "every certificate is valid at this instant"),
        ("nitro.chain.authorities", Genuineness, "every certificate above the leaf is an authority"),
        ("nitro.chain.path_length", Genuineness, "the path is no longer than its certificates allow"),
        ("nitro.chain.revocation", Genuineness, "no list that was brought revokes a certificate of the path"),
        ("nitro.leaf.usage", Genuineness, "the leaf signs documents, and no certificates"),
        ("nitro.leaf.module", Genuineness, "the leaf was issued to the module that the document names"),
        (
            "nitro.cose.algorithm",
            Genuineness,
            "the document is signed by ES384, and says nothing else in its header",
        ),
        ("nitro.document.digest", Genuineness, "the registers are SHA-384 digests"),
        ("nitro.document.module_id", Genuineness, "the document names its module"),
        ("nitro.document.timestamp", Genuineness, "the document was made while its certificates were valid"),
        ("nitro.document.future", Genuineness, "the document was not made in the future"),
        ("nitro.document.nonce", Genuineness, "the nonce has a size that the module allows"),
        ("nitro.document.user_data", Genuineness, "the user data has a size that the module allows"),
        ("nitro.document.public_key", Genuineness, "the public key has a size that the module allows"),
        ("nitro.endorsement.window", Genuineness, "the certificates hold at this instant"),
        ("nitro.endorsement.key", Genuineness, "the document comes with the certificates that were verified"),
        ("nitro.signature", Genuineness, "the leaf's key signed the bytes that were received"),
        ("nitro.pcr0.nonzero", Invariant, "the image was measured: the enclave is not in debug mode"),
        ("nitro.pcr1.nonzero", Invariant, "the kernel was measured: the enclave is not in debug mode"),
        ("nitro.pcr2.nonzero", Invariant, "the applications were measured: the enclave is not in debug mode"),
        ("nitro.pcr.image", Policy, "the policy has a rule for the image or for its signer"),
        ("nitro.pcr.values", Policy, "the policy has rules for register values"),
        ("nitro.pcr.{index}", Policy, "the register has a known good value"),
        ("nitro.role", Policy, "the policy allows the IAM role of the parent instance"),
        ("nitro.instance", Policy, "the policy allows the instance"),
        ("nitro.region", Policy, "the policy allows the region"),
        ("nitro.nonce", Policy, "the document answers somebody's nonce"),
        ("nitro.user_data", Policy, "the document carries what the challenge asks for"),
        ("nitro.public_key", Policy, "the policy allows a public key in the document"),
        ("nitro.document.age", Policy, "the document is not older than the policy allows"),
        ("nitro-tpm.pcr4.nonzero", Invariant, "what the firmware started was measured"),
        ("nitro-tpm.pcr7.nonzero", Invariant, "the Secure Boot policy was measured"),
        ("nitro-tpm.pcr.together", Policy, "the policy has rules for PCRs 4, 7 and 12 together"),
        ("nitro-tpm.pcr.values", Policy, "the policy has rules for register values"),
        ("nitro-tpm.pcr.{index}", Policy, "the register has a known good value"),
    ],
    remedies: &[
        (
            "nitro.chain",
            "Have the module make a new document: it carries its whole path. If the root differs from the pinned one, \
             the document is not AWS's (the root of GovCloud and China is another).",
        ),
        (
            "nitro.chain.dates",
            "Have the module make a new document: leaves live three hours. Then look at the verifier's clock.",
        ),
        (
            "nitro.chain.revocation",
            "A list revokes a certificate of the path: have the module make a new document, and find out why.",
        ),
        (
            "nitro.leaf",
            "Have the module make a new document. If it fails again, treat the machine as hostile.",
        ),
        ("nitro.cose", "Send the document as the module made it: an untouched COSE_Sign1."),
        (
            "nitro.document",
            "Have the module make a new document, and send it untouched. If the instant is wrong, look at the \
             verifier's clock.",
        ),
        (
            "nitro.document.age",
            "Have the module make a new document for each challenge, or raise `max_age_seconds`.",
        ),
        ("nitro.endorsement", "Have the module make a new document: its certificates live for hours."),
        (
            "nitro.signature",
            "Have the module make a new document. If it fails again, something changes documents on the way, or makes \
             them: treat the machine as hostile until you know.",
        ),
        (
            "nitro.pcr",
            "Build the image again and compare (`cloudtaser measure nitro`): PCR 0 is the image, 1 the kernel, 2 the \
             applications, 8 the signer. If the change is yours, add the value as a `[[reference]]`; if not, another \
             image was started.",
        ),
        (
            "nitro.pcr0",
            "Start the enclave without --debug-mode: with it the parent reads the enclave's console.",
        ),
        (
            "nitro.pcr1",
            "Start the enclave without --debug-mode: with it the parent reads the enclave's console.",
        ),
        (
            "nitro.pcr2",
            "Start the enclave without --debug-mode: with it the parent reads the enclave's console.",
        ),
        (
            "nitro.pcr.values",
            "Add a `[[nitro.pcrs]]` rule for each register that matters, PCR 0 or 8 among them.",
        ),
        (
            "nitro.role",
            "Start the parent instance with the role that the policy names, or add its ARN to `role`; `none` is an \
             instance without a role.",
        ),
        ("nitro.instance", "If this is an instance of yours, add its id to `instances`."),
        ("nitro.region", "Run it in a region that the policy names, or add the region to `regions`."),
        ("nitro.nonce", "Pass the challenge's nonce to the module: a document without one can be replayed."),
        ("nitro.user_data", "Pass the transcript's hash to the module as user data."),
        (
            "nitro.public_key",
            "Leave `public_key` out of the request to the module, or set the rule to `any`: an enclave that was written \
             for AWS KMS needs it.",
        ),
        (
            "nitro-tpm",
            "Compare with what the instance was meant to boot (`cloudtaser measure uki`). If the change is yours, add \
             the value as a `[[reference]]`; if not, something else was booted.",
        ),
        (
            "nitro-tpm.pcr.together",
            "Add rules for PCR 4 (what was started), 7 (who may sign it) and 12 (its command line): one alone proves \
             little.",
        ),
        ("nitro-tpm.pcr4", "Boot through firmware that measures: the register is as after a reset."),
        ("nitro-tpm.pcr7", "Boot through firmware that measures: the register is as after a reset."),
    ],
};
