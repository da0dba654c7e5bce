//! The paths that both faces have.

use super::FieldKind::{Base64, Flag, Number, Object, Text, Texts};
use super::{Field, Path, Who, delete, list, optional, read, required, write};

pub(super) const ROWS: &[Path] = &[
    Path {
        pattern: "challenge",
        who: Who::Anybody,
        synopsis: "Draw a challenge.",
        description: "Answers with a nonce for the hardware to sign. It is good for 120 s and for one answer, on any node \
                      of the cluster; nothing is stored.",
        operations: &[write("draw a challenge", &[])],
    },
    Path {
        pattern: "policy/",
        who: Who::Token,
        synopsis: "List the policies.",
        description: "Names only.",
        operations: &[list("list the names")],
    },
    Path {
        pattern: "policy/{name}",
        who: Who::Token,
        synopsis: "Which machines are admitted.",
        description: "Versions only go up; to store the same edition again changes nothing. There is no delete: it would \
                      let a lower version be stored again.",
        operations: &[
            read("read a policy with its version and digest, and the end of an emergency"),
            write(
                "store a policy",
                &[&[required(
                    "policy",
                    Text,
                    "the policy as TOML, where nobody approves (config/approvers)",
                )]],
            ),
        ],
    },
    Path {
        pattern: "collateral/{kind}/",
        who: Who::Token,
        synopsis: "List stored collateral.",
        description: "Kinds are certificate, crl, document, attestation-key and, on an auth mount, tpm-manufacturer.",
        operations: &[list("list the names of one kind")],
    },
    Path {
        pattern: "collateral/index/{kind}",
        who: Who::Token,
        synopsis: "The stored objects of a kind.",
        description: "Kinds are vek, issuer, crl, root-crl, pck-crl, tcb-info and qe-identity.",
        operations: &[read("read what is known of each")],
    },
    Path {
        pattern: "collateral/object/{sha256}",
        who: Who::Token,
        synopsis: "One stored object.",
        description: "By the SHA-256 of its bytes, in hex.",
        operations: &[read("read it as base64")],
    },
    Path {
        pattern: "collateral/{kind}/{name}",
        who: Who::Token,
        synopsis: "What machines need not bring.",
        description: "Kinds are certificate, crl, document (Intel's TCB info and QE identity) and attestation-key \
                      (enrolled TPM keys); on an auth mount also tpm-manufacturer (PEM of the roots whose endorsement keys \
                      are believed, and of their revocation lists). Objects are verified and imported like those of a pack; the name is a note. \
                      Certificates and lists are read back as base64 of their DER.",
        operations: &[
            read("read one"),
            write(
                "store one",
                &[&[required("value", Text, "PEM or base64 of DER; a document as it is; a TPM name in hex")]],
            ),
            delete("remove one, and withdraw its object from judgements"),
        ],
    },
    Path {
        pattern: "collateral/import",
        who: Who::Token,
        synopsis: "Import collateral: a signed pack, or single objects.",
        description: "Everything is verified up to the vendors' roots before anything is stored. What no vendor signed \
                      spoils the import; what is older than the stored one, or has ended, is refused by itself. Once \
                      `config/collateral-signers` names keys, only their packs are taken. To import twice changes nothing.",
        operations: &[write(
            "import",
            &[&[
                optional("pack", Base64, "the file that `cloudtaser collateral pack` wrote"),
                optional("objects", Texts, "objects as base64, where the mount names no signers"),
                optional("origin", Text, "of objects: operator or refresh"),
            ]],
        )],
    },
    Path {
        pattern: "collateral/status",
        who: Who::Token,
        synopsis: "What collateral there is, what ends soon, what is missing.",
        description: "What is missing is what true machines asked this node for since it started. The program that \
                      refreshes collateral writes here how it went.",
        operations: &[
            read("read the status"),
            write(
                "tell how a refresh went",
                &[&[
                    required("new", Number, "how many objects were new"),
                    required("errors", Texts, "what did not go well, at most 32"),
                ]],
            ),
        ],
    },
    Path {
        pattern: "config/collateral",
        who: Who::Token,
        synopsis: "How early to warn of collateral that ends.",
        description: "How old collateral may be is not set here but in policies, under `freshness`.",
        operations: &[
            read("read the setting"),
            write("set it", &[&[required("warn_before_seconds", Number, "1 to a year; a week unless set")]]),
        ],
    },
    Path {
        pattern: "config/collateral-signers",
        who: Who::Sudo,
        synopsis: "Whose packs of collateral are taken.",
        description: "Once there are any, collateral comes in their packs and from admitted machines only.",
        operations: &[
            read("read the keys and their ids"),
            write(
                "name the keys, where nobody approves",
                &[&[required("collateral_signers", Texts, "Ed25519 public keys in hex, at most 16")]],
            ),
        ],
    },
    Path {
        pattern: "config/limits",
        who: Who::Token,
        synopsis: "How much callers without a token may ask.",
        description: "Per address (IPv6: per /64), in the memory of each node. What is left out has its default; delete \
                      restores all defaults. Over a limit the answer is 429 and names it.",
        operations: &[
            read("read the limits in force"),
            write("set the limits", &[LIMITS]),
            delete("restore the defaults"),
        ],
    },
    Path {
        pattern: "config/workload-issuers/",
        who: Who::Sudo,
        synopsis: "List the issuers of workload tokens.",
        description: "Names only.",
        operations: &[list("list the names")],
    },
    Path {
        pattern: "config/workload-issuers/{name}",
        who: Who::Sudo,
        synopsis: "Whose workload tokens are believed.",
        description: "A token that goes along with evidence, and whose SHA-256 the hardware signed, is verified under these \
                      keys; grants of policies then select by what it says. Nothing is fetched. Where the mount has \
                      approvers, it changes by a proposal of kind workload-issuer.",
        operations: &[
            read("read an issuer"),
            write(
                "name an issuer",
                &[&[
                    required(
                        "issuer",
                        Text,
                        "the iss of its tokens; for spiffe, spiffe:// and the trust domain",
                    ),
                    required("audiences", Texts, "the audiences that a token may have, and no others"),
                    required("jwks", Object, "its key set (RFC 7517), as JSON or as a text"),
                    required("kind", Text, "kubernetes, spiffe or oidc"),
                    optional("image_digest_claim", Text, "a JSON pointer to the image's digest"),
                    optional(
                        "pod",
                        Text,
                        "attested: only from the pod that a token names, as its node's agent saw it; or claimed (attested)",
                    ),
                ]],
            ),
            delete("believe its tokens no longer"),
        ],
    },
    Path {
        pattern: "config/verifier-key",
        who: Who::Token,
        synopsis: "The public key that signs the records.",
        description: "Pin it where records are verified: `cloudtaser evidence verify`.",
        operations: &[read("read the key and its id")],
    },
    Path {
        pattern: "revoke",
        who: Who::Token,
        synopsis: "No longer admit machines, whatever their evidence says.",
        description: "Holds from its entry in the log on, for releases, tokens and leases. Secrets that are drawn are drawn \
                      anew; the answer names those to change by hand.",
        operations: &[write(
            "revoke, or only report what that would touch",
            &[&[SELECTOR, REASON, optional("dry_run", Flag, "report, and change nothing")]],
        )],
    },
    Path {
        pattern: "recall",
        who: Who::Token,
        synopsis: "Report what machines were given.",
        description: "From the whole log; changes nothing.",
        operations: &[write("report", &[&[SELECTOR]])],
    },
    Path {
        pattern: "reinstate",
        who: Who::Token,
        synopsis: "Take a revocation or a failure back.",
        description: "On record, as the revocation is.",
        operations: &[write(
            "take back",
            &[&[SELECTOR, REASON, required("cause", Text, "what is taken back: revoked or failed")]],
        )],
    },
    Path {
        pattern: "revocation/",
        who: Who::Token,
        synopsis: "List what is revoked.",
        description: "By selector.",
        operations: &[list("list the selectors")],
    },
    Path {
        pattern: "revocation/{selector}",
        who: Who::Token,
        synopsis: "One revocation.",
        description: "With its reason and time.",
        operations: &[read("read it")],
    },
    Path {
        pattern: "failure/",
        who: Who::Token,
        synopsis: "List the machines that failed.",
        description: "A machine whose genuine evidence was refused for its own state stays out until it is reinstated.",
        operations: &[list("list the selectors")],
    },
    Path {
        pattern: "failure/{selector}",
        who: Who::Token,
        synopsis: "One failure.",
        description: "With the checks that failed, and the time.",
        operations: &[read("read it")],
    },
    Path {
        pattern: "metrics",
        who: Who::Token,
        synopsis: "What this mount did on this node, as Prometheus text.",
        description: "Counters begin at zero with the plugin's process.",
        operations: &[read("read the metrics")],
    },
    Path {
        pattern: "log/key",
        who: Who::Token,
        synopsis: "The public key that signs the log's checkpoints.",
        description: "With the log's origin, in the form of C2SP signed notes.",
        operations: &[read("read the key")],
    },
    Path {
        pattern: "log/checkpoint",
        who: Who::Token,
        synopsis: "The signed head of the log.",
        description: "A C2SP checkpoint, as plain text.",
        operations: &[read("read the checkpoint")],
    },
    Path {
        pattern: "log/tile/{tile...}",
        who: Who::Token,
        synopsis: "The log itself.",
        description: "Tiles of hashes and entries in the layout of C2SP tlog-tiles, as raw bytes.",
        operations: &[read("read a tile")],
    },
];

/// What a machine presents.
pub(super) const PRESENTATION: &[Field] = &[
    required("challenge", Base64, "the challenge, as it was drawn"),
    required("platform", Text, "the kind of evidence, such as sev-snp or tdx"),
    required("evidence", Base64, "the evidence, at most 256 KiB"),
    optional("certificates", Texts, "certificates in base64, at most 8; 128 KiB with lists and documents"),
    optional("revocation_lists", Texts, "revocation lists in base64, at most 8"),
    optional("documents", Texts, "Intel's signed documents in base64, at most 8"),
    required(
        "kem",
        Text,
        "the kind of the offered key: x-wing, x25519 or, in Nitro documents, rsa-oaep-sha256",
    ),
    required("public_key", Base64, "the offered key, which the hardware signed with the nonce"),
    optional("protection", Base64, "a report of the client's own protection, in its one encoding"),
    optional("protection_digest", Text, "SHA-256 of that report, as signed with the purpose; hex"),
    optional("workload_digest", Text, "SHA-256 of the workload's token, as signed with the purpose; hex"),
    optional("pod", Text, "UID of the pod that asks, as the node's agent stamped it into the purpose"),
    optional("workload_token", Text, "that token: a projected service-account token, a JWT-SVID"),
];

const SELECTOR: Field = required(
    "selector",
    Text,
    "whom: a node, chip, measurement, policy version or product line, as in the log",
);
const REASON: Field = required("reason", Text, "why; it stands in the log");

const LIMITS: &[Field] = &[
    optional("requests_per_second", Number, "requests of one address in a second (400)"),
    optional("requests_burst", Number, "requests that an address may save up (20000)"),
    optional("refusals_per_hour", Number, "refusals of one address that go on record in an hour (120)"),
    optional("refusals_burst", Number, "refusals that an address may save up (120)"),
    optional(
        "refusals_per_hour_in_all",
        Number,
        "refusals of all addresses that go on record in an hour (1200)",
    ),
    optional("refusals_burst_in_all", Number, "refusals that they may save up (1200)"),
    optional("sources", Number, "addresses that are remembered (10000)"),
];
