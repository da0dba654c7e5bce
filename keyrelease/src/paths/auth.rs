//! The paths of the auth method.

use super::FieldKind::{Number, Text, Texts};
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
                ],
                shared::PRESENTATION,
            ],
        )],
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
