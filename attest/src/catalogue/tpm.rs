//! Checks of TPM 2.0 quotes.

use super::Stage::{Genuineness, Outside, Policy};
use super::Table;

pub(super) const TABLE: Table = Table {
    rows: &[
        ("tpm.quote.magic", Genuineness, "the signed structure is of the TPM's own making"),
        ("tpm.quote.type", Genuineness, "the signed structure is a quote"),
        ("tpm.quote.key", Genuineness, "the quote comes with the key that was verified"),
        ("tpm.quote.scheme", Genuineness, "the signature is of the key's own scheme"),
        ("tpm.quote.signature", Genuineness, "the attestation key signed the bytes that were received"),
        ("tpm.quote.qualified_signer", Genuineness, "the quote names the key that signed it"),
        (
            "tpm.ak.qualified_name",
            Genuineness,
            "a key that was not enrolled is held by its TPM under the name that came with the quote",
        ),
        ("tpm.ak.enrolled", Genuineness, "an operator enrolled the attestation key"),
        ("tpm.ak.window", Genuineness, "the certificates and lists behind the key hold at this instant"),
        ("tpm.ak.chain", Genuineness, "a pinned authority stands above the key's certificate"),
        ("tpm.ak.encoding", Genuineness, "no certificate of the path spells out a default"),
        ("tpm.ak.dates", Genuineness, "every certificate is valid at this instant"),
        ("tpm.ak.purpose", Genuineness, "the certificate is for a key that attests, and nothing else"),
        (
            "tpm.ak.critical_extensions",
            Genuineness,
            "no certificate has a critical extension that is unknown",
        ),
        ("tpm.ak.crl.signature", Genuineness, "the authority signed the revocation list"),
        ("tpm.ak.crl.critical_extensions", Genuineness, "the list has no critical extension that is unknown"),
        ("tpm.ak.crl.current", Genuineness, "the list is current at this instant"),
        ("tpm.ak.crl.revoked", Genuineness, "the list does not revoke a certificate of the path"),
        ("tpm.ak.attributes", Genuineness, "the key is restricted, and never leaves its TPM"),
        ("tpm.ak.scheme", Genuineness, "the key signs by a scheme that is fixed"),
        ("tpm.ak.strength", Genuineness, "the key is long enough"),
        ("tpm.pcr.selection", Genuineness, "the PCR values are those that the quote selects"),
        ("tpm.pcr.digest", Genuineness, "the quote's digest is that of the PCR values"),
        ("tpm.ek.attributes", Outside, "the endorsement key only decrypts, and never leaves its TPM"),
        ("tpm.ek.purpose", Outside, "the certificate is for an endorsement key, and nothing else"),
        (
            "tpm.ek.chain",
            Outside,
            "a root that the caller believes stands above the endorsement key's certificate",
        ),
        ("tpm.ek.dates", Outside, "every certificate is valid at this instant"),
        ("tpm.ek.critical_extensions", Outside, "no certificate has a critical extension that is unknown"),
        ("tpm.ek.crl.signature", Outside, "the authority signed the revocation list"),
        ("tpm.ek.crl.critical_extensions", Outside, "the list has no critical extension that is unknown"),
        ("tpm.ek.crl.current", Outside, "the list is current at this instant"),
        ("tpm.ek.crl.revoked", Outside, "the list does not revoke a certificate of the path"),
        ("tpm.authority.constraints", Outside, "the certificate is one of an authority"),
        ("tpm.ak.origin", Policy, "the policy allows who vouches for the key"),
        (
            "tpm.ak.crl.present",
            Policy,
            "there is a revocation list for a certified key, if the policy wants one",
        ),
        ("tpm.ak.gce.project", Policy, "the machine is of a project that the policy allows"),
        ("tpm.ak.gce.zone", Policy, "the machine is in a zone that the policy allows"),
        ("tpm.ak.allowed", Policy, "the policy allows this attestation key"),
        ("tpm.signature.hash", Policy, "the policy allows the hash under the signature"),
        ("tpm.quote.extra_data", Policy, "the quote answers somebody's nonce"),
        ("tpm.clock.safe", Policy, "the TPM's clock was not turned back, as the policy wants it"),
        ("tpm.firmware_version", Policy, "the policy allows the TPM's firmware"),
        ("tpm.pcr.bank", Policy, "PCRs of a bank that the policy allows were quoted"),
        ("tpm.pcr.measured_boot", Policy, "the PCRs that the policy requires were quoted and measured"),
        ("tpm.pcr.values", Policy, "the policy has rules for PCR values"),
        ("tpm.pcr.{bank}.{index}", Policy, "the PCR has a known good value"),
    ],
    remedies: &[
        (
            "tpm.ek",
            "Bring the endorsement key's certificate from the TPM's index 0x01c00002 (RSA) or 0x01c0000a (ECC) with \
             its manufacturer's intermediates, and the manufacturer's root among the roots for enrolment. A TPM whose \
             certificate does not lead there is not enrolled by proof; an operator can still compare and enrol its key.",
        ),
        ("tpm.authority", "Bring certificates of authorities only."),
        (
            "tpm.quote",
            "Take a new quote with the attestation key that the machine sent along. If it fails again, something \
             changes quotes on the way, or makes them: treat the machine as hostile until you know.",
        ),
        (
            "tpm.quote.extra_data",
            "Quote with the challenge's qualifying data: a quote without one can be replayed for ever.",
        ),
        (
            "tpm.ak",
            "Create the attestation key anew: restricted, fixedTPM, fixedParent, a signing key with its scheme \
             stated, of at least 2048 bits or P-256. Then enrol it.",
        ),
        (
            "tpm.ak.enrolled",
            "Enrol the machine's attestation key: compare its name at the machine, then store it with the verifier. \
             If the machine was enrolled, it has another TPM now, or somebody else answers in its place.",
        ),
        (
            "tpm.ak.allowed",
            "Add the key's name to `attestation_keys`, if this machine belongs under this policy.",
        ),
        ("tpm.signature.hash", "Create the attestation key with SHA-256 or better, and enrol it."),
        (
            "tpm.clock",
            "The TPM lost power without an orderly shutdown. It recovers within hours of running; a reboot in good \
             order helps at once.",
        ),
        (
            "tpm.firmware_version",
            "Update the TPM's firmware, or add the version that `attest inspect` shows, after reading its vendor's \
             bulletins.",
        ),
        ("tpm.pcr.selection", "Send the values of exactly the PCRs that the quote selects."),
        (
            "tpm.pcr.digest",
            "The PCR values are not the ones that the TPM signed: read them again right after the quote. If they still \
             differ, somebody changed them on the way.",
        ),
        ("tpm.pcr.bank", "Have the firmware keep the bank that the policy names, and quote it."),
        (
            "tpm.pcr.measured_boot",
            "Quote all PCRs under `required`. A PCR that is as after a reset was not measured: turn measured boot on \
             in the firmware, and boot through a loader that measures.",
        ),
        (
            "tpm.pcr",
            "Compare with what the machine was meant to boot (`cloudtaser measure uki`, or a machine that you built): \
             PCR 0 and 2 change with firmware, 4, 8, 9 and 11 with boot loader and kernel, 7 with Secure Boot's keys. \
             If the change is yours, add the value as a `[[reference]]`; if not, something else was booted.",
        ),
        (
            "tpm.pcr.values",
            "Add a `[[tpm.pcrs]]` rule for each PCR that matters, or write `pcrs = \"any\"` with the reason.",
        ),
    ],
};
