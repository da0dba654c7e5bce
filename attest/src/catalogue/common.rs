//! Checks of every platform, and of the programs around the appraisal.

use super::Stage::{Freshness, Invariant, Outside};
use super::Table;

pub(super) const TABLE: Table = Table {
    rows: &[
        ("policy.current", Freshness, "the policy has not ended"),
        ("roots.accepted", Freshness, "the vendor's roots, or simulated ones that the policy names"),
        ("challenge.bound", Freshness, "the hardware signed this nonce, purpose and key"),
        ("key.rsa.platform", Freshness, "an RSA key is offered by a platform whose documents carry keys"),
        ("key.rsa.document", Freshness, "an RSA key is the document's own public key"),
        ("key.rsa.encoding", Freshness, "an RSA key has the one spelling"),
        ("key.rsa.modulus", Freshness, "an RSA key is neither too short nor too long"),
        ("key.rsa.exponent", Freshness, "an RSA key's exponent is a usual one"),
        ("challenge.unused", Freshness, "the challenge was not answered before"),
        ("challenge.current", Freshness, "the answer came before the challenge expired"),
        (
            "workload.bound",
            Freshness,
            "the hardware signed the SHA-256 of the workload's token with the purpose",
        ),
        (
            "workload.token",
            Freshness,
            "the workload's token is genuine, of a known issuer, and for this verifier",
        ),
        (
            "workload.pod",
            Freshness,
            "the pod that the agent stamped is the one that the workload's token names",
        ),
        ("workload.current", Freshness, "the workload's token holds"),
        (
            "protection.bound",
            Freshness,
            "the hardware signed the SHA-256 of the protection report with the purpose",
        ),
        (
            "protection.report",
            Freshness,
            "the protection report can be read, and is there where it is demanded",
        ),
        ("protection.score", Freshness, "the score has as many points as what is asked for demands"),
        ("protection.check.{name}", Freshness, "a protection that what is asked for demands was reached"),
        ("policy.grant", Freshness, "a grant of the policy covers the purpose and the workload"),
        (
            "standing.revoked",
            Freshness,
            "nobody revoked the machine, its measurement, its product line or its policy",
        ),
        ("standing.failed", Freshness, "the machine did not fail under this edition of the policy"),
        (
            "node.known",
            Freshness,
            "the machine asks in a name that an operator registered, where one is asked for",
        ),
        ("node.machine", Freshness, "it is the machine that the name is registered to, under no other name"),
        ("node.boot", Freshness, "no later start of the machine was seen, and its counters went forward"),
        ("policy.platform", Invariant, "the policy has a section for this platform"),
        ("policy.rego", Invariant, "the policy's own module has no objection"),
        ("binding.nonce", Outside, "the hardware signed the nonce that the caller expects"),
        ("binding.report_data", Outside, "the hardware signed the bytes that the caller expects"),
        ("policy.signature", Outside, "a pinned author signed the policy"),
        ("policy.succession", Outside, "the policy holds, and is newer than the one that it replaces"),
        ("bundle.signature", Outside, "a pinned verifier signed the bundle"),
        ("bundle.replay", Outside, "judging again gives the recorded appraisal, byte for byte"),
        ("bundle.logged", Outside, "the verifier's log has the record"),
        (
            "log.checkpoint",
            Outside,
            "the checkpoint is of the log that is asked about, and a pinned key of it signed",
        ),
        ("log.witnesses", Outside, "enough of the named witnesses cosigned the checkpoint"),
        ("log.complete", Outside, "every file that a log of the checkpoint's size has is there, in its form"),
        (
            "log.order",
            Outside,
            "the entries stand in their order, none is missing, no decision is in it twice",
        ),
        ("log.entries", Outside, "every entry is the one that was logged"),
        ("log.chain", Outside, "every entry names the digest of the one before"),
        ("log.clock", Outside, "the log's clock never goes back"),
        ("log.tiles", Outside, "every tile follows from the entries"),
        ("log.root", Outside, "the entries have the root that the checkpoint says"),
        ("log.append_only", Outside, "the log contains what it contained at every earlier checkpoint"),
        ("log.records", Outside, "every record file is the one whose digest was logged"),
    ],
    remedies: &[
        (
            "policy.current",
            "Review the policy, set a later end under `expires`, raise its version and store it. Nothing is admitted \
             under a policy that has ended.",
        ),
        (
            "roots.accepted",
            "Evidence of simulated hardware proves nothing. In production use real hardware; in a test write \
             `insecure-accept-simulated-roots = true` into a policy of its own.",
        ),
        (
            "challenge",
            "Draw a new challenge and have the hardware sign it together with the key that is offered. If it fails \
             again, somebody between the machine and the verifier replays or changes the answer.",
        ),
        (
            "key.rsa",
            "Only a Nitro document binds an RSA key: pass the key to the module as `public_key`, as DER              SubjectPublicKeyInfo, 2048 to 4096 bits, exponent 65537, and offer the very same bytes. Elsewhere offer              x-wing or x25519. If the document has another key than was offered, somebody between enclave and verifier              swapped one of them.",
        ),
        (
            "policy.grant",
            "Add the purpose to a `[[grant]]` of the policy, or ask for one that is granted. A grant with selectors \
             (`issuer`, `namespace`, `service_account`, `image_digest`, `spiffe_id`) needs a verified workload identity.",
        ),
        (
            "workload.bound",
            "Have the hardware sign the purpose with `#workload=` and the SHA-256 of the very token that is presented. If \
             that is what the client does, somebody put another token in its place, or took it away.",
        ),
        (
            "workload.token",
            "Ask for a token with the audience that the verifier expects, of an issuer that it knows. If the issuer has \
             new keys, store its key set anew under `config/workload-issuers/<name>`.",
        ),
        (
            "workload.pod",
            "A token was brought from another pod than its own, or from a machine whose agent does not stamp. Enable `[pods]` \
             in the agent's configuration; where no agent can know the pod (enclaves), name the issuer with `pod = \"claimed\"`. \
             If neither is so, the token is stolen.",
        ),
        (
            "workload.current",
            "Read the token anew: a projected token is renewed in its file. If it is new, compare the clocks of issuer \
             and verifier.",
        ),
        (
            "protection.bound",
            "Have the hardware sign the purpose with `#protection=` and the SHA-256 of the very report that is presented. If \
             that is what the client does, somebody changed the report, put another in its place, or took it away.",
        ),
        (
            "protection.report",
            "Use a wrapper that reports (`protection`), of a version that the verifier knows: update the verifier first.",
        ),
        (
            "protection.score",
            "The score names what was missed: `docs/protection-score.md` says how each is reached. Or lower \
             `min_protection` of the key.",
        ),
        (
            "protection.check",
            "`docs/protection-score.md` says how this protection is reached. Or take it out of `require_protection` of the key.",
        ),
        (
            "standing.revoked",
            "Somebody revoked this machine, or what it runs, and wrote down why. If it is to be trusted again, lift the \
             revocation; it stays on record.",
        ),
        (
            "standing.failed",
            "The machine failed under this edition of the policy and is good again. Find out why it changed; then \
             reinstate it, or store a new edition of the policy.",
        ),
        (
            "node.known",
            "Write the node into the register (`node/<name>`) with what tells its machine from others, log in under its \
             name, or have the role take whichever machine comes first (`nodes`).",
        ),
        (
            "node.machine",
            "If the name moved to another machine, forget the node (delete `node/<name>`) and let the new one join. If it \
             did not, another machine uses the name: find out whose it is before anything is forgotten.",
        ),
        (
            "node.boot",
            "Two copies of one machine are running, or its state was set back: find both. When one is left, forget the node \
             (delete `node/<name>`) and let it join anew.",
        ),
        (
            "policy.platform",
            "Name a policy that has a section for this platform, or add the section: `cloudtaser policy explain` \
             lists the checks that it has to answer.",
        ),
        (
            "policy.rego",
            "The message is the policy author's own: meet what it asks, or change the module under `[rego]`. `no \
             answer` means that the module failed or took too long: run `cloudtaser policy test` on it.",
        ),
        (
            "binding",
            "The evidence is genuine, and answers another question: have the hardware sign the bytes that were \
             asked for. An old answer is a replay.",
        ),
        (
            "policy.signature",
            "Ask the policy's author for their public key by a way that you trust. If that is the one you pinned, the \
             file was changed or comes from somebody else.",
        ),
        (
            "policy.succession",
            "Raise `version` above that of the policy in use, keep its name, and set an end that is still to come. An \
             older edition that is offered again is an attack, or a mistake.",
        ),
        (
            "bundle.signature",
            "Ask the verifier's operator for its public key by a way that you trust, and pass it with \
             `--verifier-key`. If that is what you did, the bundle was changed or comes from somebody else.",
        ),
        (
            "bundle.logged",
            "Read the record again from the verifier, which adds its place in the log, and compare the log's key with the \
             one that you pinned. A verifier that signs what its log does not have hides it from its auditors.",
        ),
        (
            "bundle.replay",
            "The recorded decision does not follow from what is recorded with it: keep the bundle, and ask the \
             verifier's operator which version and build made it. The differences are listed below the checks.",
        ),
        (
            "log.checkpoint",
            "Ask the log's operator for its origin and key by a way that you trust. If those are what you passed, the \
             checkpoint was changed or is another log's.",
        ),
        (
            "log.witnesses",
            "Without witnesses an operator can show each reader another log. Ask the witnesses for their cosignatures \
             of this checkpoint; one that refuses has seen a log that contradicts it.",
        ),
        (
            "log",
            "Keep both the files and the checkpoint as they are: a signed checkpoint that the files do not follow from \
             is evidence. Export again from another node, and compare from the entry that is named.",
        ),
    ],
};
