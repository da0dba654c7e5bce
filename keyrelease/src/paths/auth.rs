//! The paths of the auth method.

use super::FieldKind::{Base64, Number, Object, Text, Texts};
use super::{Path, Table, Who, delete, governance, list, optional, read, required, shared, write};

/// `auth/attest`.
pub(crate) const AUTH: Table = Table {
    purpose: "Logs machines in that prove what they run.",
    rows: &[shared::ROWS, governance::ROWS, ROWS],
};

const ROWS: &[Path] = &[
    Path {
        pattern: "login",
        who: Who::Anybody,
        synopsis: "Present evidence for a role, receive a token.",
        description: "A batch token that lives no longer than the verdict. A machine that the role's policy does not admit \
                      gets 403 with every failing check. Either way the decision is on record.",
        operations: &[write(
            "present evidence",
            &[
                &[
                    required("role", Text, "the role to log in as"),
                    optional("refusal", Text, "how a refusal is told: json, or text for workflows"),
                    optional("node", Text, "the node's name, which the hardware signed with the purpose"),
                    optional(
                        "enrolment",
                        Object,
                        "token and answer: what enrol gave, and what the TPM opened",
                    ),
                ],
                shared::PRESENTATION,
            ],
        )],
    },
    Path {
        pattern: "enrol",
        who: Who::Anybody,
        synopsis: "Begin the enrolment of a TPM's attestation key.",
        description: "Answers with a secret that only the TPM of the endorsement key opens, for a login with a role whose \
                      enrol is manufacturer. It is good for 120 s, on any node of the cluster; nothing is stored.",
        operations: &[write(
            "begin an enrolment",
            &[&[
                required("ek_certificate", Base64, "the endorsement key's certificate, DER"),
                optional("chain", Texts, "the certificates above it in base64, at most 4, without the root"),
                optional("ek_public", Base64, "its TPMT_PUBLIC, where it is not the default template's"),
                required("ak_public", Base64, "the attestation key's TPMT_PUBLIC"),
            ]],
        )],
    },
    Path {
        pattern: "node/",
        who: Who::Token,
        synopsis: "List the nodes of the register.",
        description: "Names only.",
        operations: &[list("list the names")],
    },
    Path {
        pattern: "node/{name}",
        who: Who::Token,
        synopsis: "Which machine has this name.",
        description: "A machine that logs in in the name of a node proves every id that stands here. What else it proves is \
                      bound with it. To forget a node lets another machine take its name; copies of one machine are \
                      told by node.boot.",
        operations: &[
            read("read its ids, its latest start and its latest admission"),
            write(
                "expect a machine, instead of what was bound before",
                &[&[
                    optional("platform", Text, "the kind of its evidence, such as sev-snp or tpm2"),
                    optional("chip_id", Text, "SNP's chip id or TDX's PPID, hex"),
                    optional("platform_instance_id", Text, "of a TDX platform with several packages, hex"),
                    optional("ek", Text, "SHA-256 of the certified public key of its TPM, hex"),
                    optional(
                        "ak",
                        Text,
                        "the name of its attestation key, or the digest of a certified one, hex",
                    ),
                    optional("instance_id", Text, "the provider's number of the instance"),
                ]],
            ),
            delete("forget it"),
        ],
    },
    Path {
        pattern: "role/",
        who: Who::Token,
        synopsis: "List the roles.",
        description: "Names only.",
        operations: &[list("list the names")],
    },
    Path {
        pattern: "role/{name}",
        who: Who::Token,
        synopsis: "Which policy admits a machine, and what its token may do.",
        description: "A read returns what was written.",
        operations: &[
            read("read a role"),
            write(
                "store a role",
                &[&[
                    required("policy", Text, "the attestation policy that judges"),
                    required("token_policies", Texts, "the OpenBao policies of the token"),
                    required("token_ttl_seconds", Number, "how long a token lives, at most 900"),
                    optional(
                        "token_type",
                        Text,
                        "batch, or service: renewed as long as the machine proves itself",
                    ),
                    optional(
                        "reattest_interval",
                        Number,
                        "how old the evidence may be at a renewal, in seconds",
                    ),
                    optional("token_bound_cidrs", Texts, "networks that the token may be used from"),
                    optional("nodes", Text, "who may log in: any, registered, or first-come"),
                    optional("enrol", Text, "whether TPMs enrol: none, or manufacturer"),
                ]],
            ),
            delete("delete a role"),
        ],
    },
    Path {
        pattern: "verdict/",
        who: Who::Token,
        synopsis: "List the decisions.",
        description: "Ids only. Admissions stay for ever, refusals until there are 10 000 later ones.",
        operations: &[list("list the ids")],
    },
    Path {
        pattern: "verdict/{decision}",
        who: Who::Token,
        synopsis: "The signed record of a decision.",
        description: "Verify it with `cloudtaser evidence verify`.",
        operations: &[read("read a record")],
    },
];
