//! The paths of the secrets engine.

use super::FieldKind::{Base64, Number, Object, Text, Texts};
use super::{Path, Table, Who, delete, governance, list, optional, read, required, shared, write};

/// `attest-keys`.
pub(crate) const SECRETS: Table = Table {
    purpose: "Secrets that are released only sealed to a key that attested hardware vouched for.",
    rows: &[shared::ROWS, governance::ROWS, ROWS],
};

const ROWS: &[Path] = &[
    Path {
        pattern: "release/{key}/open",
        who: Who::Anybody,
        synopsis: "Present evidence, receive the secret sealed.",
        description: "A machine that the secret's policy admits gets it sealed to the key that its hardware signed; another \
                      gets 403 with every failing check. Either way the decision is on record.",
        operations: &[write("present evidence", &[shared::PRESENTATION])],
    },
    Path {
        pattern: "release/{key}",
        who: Who::Token,
        synopsis: "With a token of the trusted auth mount, receive the secret sealed.",
        description: "Sealed to the key that was attested at login: a stolen token yields ciphertext. Needs config/auth.",
        operations: &[write(
            "ask for the secret",
            &[&[
                required(
                    "kem",
                    Text,
                    "the kind of the key that was attested: x-wing, x25519 or rsa-oaep-sha256",
                ),
                required("public_key", Base64, "that key"),
            ]],
        )],
    },
    Path {
        pattern: "keys/",
        who: Who::Token,
        synopsis: "List the secrets.",
        description: "Names only.",
        operations: &[list("list the names")],
    },
    Path {
        pattern: "keys/{key}",
        who: Who::Token,
        synopsis: "Create, describe or delete a secret.",
        description: "The plaintext never comes back: a read shows policy, version and time. Each write is a new version, \
                      also of the same fields: to answer otherwise would let a writer guess what is stored.",
        operations: &[
            read("describe a secret"),
            write(
                "store a new version",
                &[&[
                    optional("data", Object, "the secret's fields; write-only"),
                    optional("draw", Object, "fields to draw instead, with their lengths"),
                    optional("lease", Object, "the lease on each release by token; as before unless given"),
                    optional("policy", Text, "the policy that guards it; by default the one that it has"),
                    optional(
                        "min_protection",
                        Number,
                        "the least points that a protection report has to be worth, at most 200, 0 for any; as before unless given",
                    ),
                    optional(
                        "require_protection",
                        Texts,
                        "protections that have to be reached, such as memfd_secret; as before unless given",
                    ),
                ]],
            ),
            delete("delete a secret with all its versions"),
        ],
    },
    Path {
        pattern: "keys/{key}/rotate",
        who: Who::Token,
        synopsis: "Draw a new key-encryption key beside the older ones.",
        description: "Nobody sees it: it leaves only sealed.",
        operations: &[write(
            "draw a key",
            &[&[optional("policy", Text, "the policy that guards a new secret; an older one keeps its own")]],
        )],
    },
    Path {
        pattern: "seal",
        who: Who::Token,
        synopsis: "With a token of the trusted auth mount, have a value sealed.",
        description: "To the key that was attested at login: for workflows, which pass on what Transit or KV gave them. The \
                      record does not know the value. Needs config/auth and config/seal.",
        operations: &[write(
            "have a value sealed",
            &[&[
                required(
                    "kem",
                    Text,
                    "the kind of the key that was attested: x-wing, x25519 or rsa-oaep-sha256",
                ),
                required("public_key", Base64, "that key"),
                optional("data", Object, "the fields to seal"),
                optional(
                    "plaintext",
                    Base64,
                    "or one text, as Transit gives it; sealed as the field plaintext",
                ),
            ]],
        )],
    },
    Path {
        pattern: "config/seal",
        who: Who::Sudo,
        synopsis: "The policies under which a login may have values sealed.",
        description: "Policies of this mount, by name: the login has to have been judged under the very text of one, and its \
                      grants to cover <mount>/seal. None by default. Where the mount has approvers, it changes by a \
                      proposal of kind seal.",
        operations: &[
            read("read the names"),
            write("name the policies", &[&[required("policies", Texts, "at most 16 names")]]),
        ],
    },
    Path {
        pattern: "config/auth",
        who: Who::Sudo,
        synopsis: "The auth mount whose tokens are believed.",
        description: "Named by its accessor; empty is none.",
        operations: &[
            read("read the accessor"),
            write("name the auth mount", &[&[required("accessor", Text, "the accessor of the auth mount")]]),
        ],
    },
    Path {
        pattern: "record/",
        who: Who::Token,
        synopsis: "List the decisions.",
        description: "Ids only. Admissions stay for ever, refusals until there are 10 000 later ones.",
        operations: &[list("list the ids")],
    },
    Path {
        pattern: "record/{decision}",
        who: Who::Token,
        synopsis: "The signed record of a decision.",
        description: "Verify it with `cloudtaser evidence verify`.",
        operations: &[read("read a record")],
    },
];
