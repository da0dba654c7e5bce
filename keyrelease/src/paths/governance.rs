//! The paths by which more than one rules a mount, on both faces.

use super::FieldKind::{Base64, Number, Text, Texts};
use super::{Field, Path, Who, delete, list, optional, read, required, write};

pub(super) const ROWS: &[Path] = &[
    Path {
        pattern: "config/approvers",
        who: Who::Sudo,
        synopsis: "Who approves changes.",
        description: "Written once; from then on policies, roots, the trusted auth mount and the approvers themselves \
                      change by proposal only.",
        operations: &[
            read("read who approves, and how many have to"),
            write(
                "name the first approvers",
                &[&[
                    required("threshold", Number, "how many people have to approve"),
                    required("approvers", Texts, "objects with name and key (PEM, or Ed25519 in hex)"),
                    optional("reason", Text, "why"),
                ]],
            ),
        ],
    },
    Path {
        pattern: "config/roots",
        who: Who::Sudo,
        synopsis: "Additional trust roots.",
        description: "Authorities whose word about TPM keys is believed beside the pinned ones.",
        operations: &[
            read("read them"),
            write(
                "replace them, where nobody approves",
                &[&[required("certificates", Text, "PEM blocks, at most 16")]],
            ),
        ],
    },
    Path {
        pattern: "governance",
        who: Who::Token,
        synopsis: "The rule over this mount.",
        description: "Who approves, what is proposed, which emergencies hold.",
        operations: &[read("read it")],
    },
    Path {
        pattern: "in-force/{kind}",
        who: Who::Token,
        synopsis: "What was approved last.",
        description: "Kinds are approvers, roots, auth, seal and collateral-signers. Emergencies are left out.",
        operations: &[read("read content, digest and version")],
    },
    Path {
        pattern: "in-force/{kind}/{name}",
        who: Who::Token,
        synopsis: "What was approved last under a name.",
        description: "Kinds are policy, workload-issuer, guard, role, attestation-keys and tpm-manufacturer. Emergencies are left out.",
        operations: &[read("read content, digest and version")],
    },
    Path {
        pattern: "proposal",
        who: Who::Token,
        synopsis: "Propose a change.",
        description: "At most 32 are open. The id is the SHA-256 of the text that approvers sign.",
        operations: &[write(
            "propose",
            &[&[
                required(
                    "kind",
                    Text,
                    "policy, approvers, roots, auth, seal, collateral-signers, workload-issuer, guard, role, attestation-keys or tpm-manufacturer",
                ),
                optional("name", Text, "the name, where the mount has many of the kind"),
                required("content", Text, "the new content"),
                required(
                    "expires",
                    Text,
                    "until when it can be approved, at most 30 days, as RFC 3339 in UTC",
                ),
                required("reason", Text, "why"),
            ]],
        )],
    },
    Path {
        pattern: "proposal/",
        who: Who::Token,
        synopsis: "List the open proposals.",
        description: "By their ids.",
        operations: &[list("list the ids")],
    },
    Path {
        pattern: "proposal/{id}",
        who: Who::Token,
        synopsis: "One proposal.",
        description: "With its content and text, who approved, and how many have to.",
        operations: &[read("read it"), delete("withdraw it")],
    },
    Path {
        pattern: "proposal/{id}/approve",
        who: Who::Token,
        synopsis: "Approve a proposal.",
        description: "By a signature over the approval's text. The last one missing applies the change.",
        operations: &[write("approve", &[APPROVAL])],
    },
    Path {
        pattern: "emergency/{kind}",
        who: Who::Sudo,
        synopsis: "Change something at once, for a day at most.",
        description: "Kinds are roots, auth, seal and collateral-signers. One approver is enough; what was approved \
                      holds again by itself.",
        operations: &[read("read what holds"), write("declare", &[EMERGENCY, APPROVAL]), delete("end it")],
    },
    Path {
        pattern: "emergency/{kind}/{name}",
        who: Who::Sudo,
        synopsis: "Change a policy at once, for a day at most.",
        description: "Kinds are policy, workload-issuer and attestation-key. One approver is enough; what was approved holds again by itself.",
        operations: &[read("read what holds"), write("declare", &[EMERGENCY, APPROVAL]), delete("end it")],
    },
];

const APPROVAL: &[Field] = &[
    required("approver", Text, "the approver's name"),
    required("signature", Base64, "the signature, by one of their keys"),
];

const EMERGENCY: &[Field] = &[
    required("content", Text, "what holds meanwhile"),
    required("version", Number, "its version, above every one before"),
    required("until", Text, "when it ends, at most 24 hours from now, as RFC 3339 in UTC"),
    required("reason", Text, "why"),
    required("ticket", Text, "where the matter is dealt with"),
];
