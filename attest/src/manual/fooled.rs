//! How verifiers were fooled, and what stops it here.
//!
//! Every class of fault below happened to somebody, most of them to careful people. The question is never whether
//! one knows better, but what in the code makes the same slip impossible, or at least loud: a type, a check with a
//! name, a test. Names in `code` that begin with `l01_` … `l31_`, or read like a sentence, are tests of this
//! repository; the others are types and checks.
//!
//! # Freshness and binding
//!
//! ## L1: a nonce that others know
//! Keylime's verifier could be answered with quotes over a nonce that did not change (CVE-2026-6420); others take a
//! constant, or none at all, and so accept yesterday's evidence for ever.
//! *Here:* [`Challenge`](crate::Challenge) is not `Clone`, and [`redeem`](crate::Challenge::redeem) uses it up; the
//! hardware must have signed this very nonce (`challenge.bound`), before the expiry (`challenge.current`), and the
//! ledger must hold no answer yet (`challenge.unused`). `l01_an_answer_to_another_challenge_is_not_bound`,
//! `l01_a_constant_or_empty_nonce_answers_no_challenge`, `l01_a_challenge_that_was_answered_is_refused`.
//!
//! ## L14: data beside the quote that can be swapped
//! A TPM attester sent the user's data beside the quote, where whoever carried the message could exchange it
//! (GHSA-r2h5-3hgw-8j34).
//! *Here:* what is offered is an argument of `redeem`, which hashes it into the transcript and compares with what was
//! signed; the only key that comes out is [`AttestedKey`](crate::AttestedKey).
//! `l14_user_data_that_was_swapped_after_signing_is_refused`, `l14_a_key_swapped_after_signing_is_refused`.
//!
//! ## L25: two readings of one concatenation
//! Hashing `a ‖ b` without lengths lets `ab ‖ c` stand for `a ‖ bc`; several protocols bind nonce and key so.
//! *Here:* each part of [`Transcript`](crate::Transcript) has its length in front, under a label.
//! `l25_a_transcript_has_one_reading`.
//!
//! ## L31: a clean machine answers for a dirty one
//! Genuine evidence can be relayed: the report is real, and comes from a machine that the attacker does not use.
//! *Here:* evidence alone gives nothing away. What is released is sealed to the key that the same hardware signed, so
//! whoever relays carries ciphertext. A policy that must know *which* machine answers names chips (`snp.chip`),
//! platforms (`tdx.platform.ppid`), instances (`nitro.instance`) or attestation keys (`tpm.ak.allowed`). A relay *into*
//! a machine that the policy admits is that machine's own work, and no verifier sees it. Where a machine asks in a
//! name, its hardware signs the name, and `node.machine` asks whose it is:
//! `l31_the_answer_of_another_machine_does_not_pass_for_the_nodes`.
//! Pieces of two machines do not add up to one: `l31_the_quote_of_one_machine_with_the_report_of_another_is_refused`,
//! `l31_runtime_data_that_the_hardware_did_not_sign_is_not_read`, `a_chip_can_be_allowed_and_denied_by_name`.
//!
//! # Answers that nobody hears
//!
//! ## L2: a boolean that is dropped
//! In the Confidential Containers' attestation service OpenSSL's `verify()` returned a `bool` inside a `Result`, and
//! only the `Result` was looked at; every SNP report was genuine (trustee #229, #230, #233).
//! *Here:* the answer to "does it verify" is the claims themselves. [`Verified`](crate::Verified) has one constructor,
//! which nobody outside can call, and [`Crypto::verify`](crate::Crypto::verify) returns no boolean.
//! `l02_evidence_that_does_not_verify_gives_no_claims`, `l02_a_signature_that_does_not_verify_gives_no_claims`.
//!
//! ## L3: a negative test that passes for another reason
//! Tests said "refused" while the parser stumbled over a wrong offset; the check under test had never run.
//! *Here:* a refusal lists every check, and tests compare the list of failed ids: those, and no others.
//! `l03_each_fault_fails_its_own_check`, `l03_each_fault_is_refused_for_itself_alone`.
//!
//! ## L17: a failed machine that is healthy again
//! After a failure some verifiers ask once more, and forget that they had ever seen it fail.
//! *Here:* an appraisal is a value with an instant and an end ([`Appraisal::valid_until`](crate::Appraisal)); no state
//! turns a refusal into an admission. A new answer needs a new challenge, and the ledger keeps the old refusal.
//! `the_record_names_all_failing_checks`. A TPM that makes itself a new key is the same machine still:
//! `l17_a_failure_stays_with_the_tpm_whatever_key_it_enrols`.
//!
//! # Links that are missing from the chain
//!
//! ## L4: one link that is not looked at
//! TDX quotes were accepted from any enclave that a platform certifies, because nobody compared the quoting enclave
//! with Intel's identity (Project Oak, PR 5165), or without the TDX module's identity and the vendor in the header
//! (dcap-qvl #124, #127; dstack #468).
//! *Here:* each link is a check of its own: `tdx.qe.mrsigner`, `tdx.qe.isvprodid`, `tdx.qe.attributes`,
//! `tdx.quote.qe_vendor`, `tdx.module.identity`, `tdx.module.mrsigner`; the catalogue is complete by test.
//! `l04_a_missing_link_is_refused`, `l04_another_enclave_than_intels_for_tds_is_refused`,
//! `every_check_that_the_code_asks_is_in_the_tables`.
//!
//! ## L5: a field that carried a check, and was skipped
//! Parsers that ignore what they do not know dropped Intel's TDX module identities without a word (dcap-qvl #124); a
//! misspelt key in a policy is the same fault at the other end.
//! *Here:* an unknown report version is refused, reserved bytes must be zero (`snp.report.reserved`), unknown critical
//! extensions refuse, and a policy with an unknown key does not parse. Intel's documents may grow, so what judges there
//! is what is *demanded*: a TDX module that the document does not list is refused (`tdx.module.identity`).
//! `l05_a_key_that_is_not_known_is_refused_wherever_it_stands`, `l05_a_list_in_the_place_of_named_fields_is_refused`.
//!
//! ## L8: a TCB that the key does not prove
//! The report states a TCB, and the certificate for the key states one; comparing only the former with a minimum lets
//! old firmware claim to be new.
//! *Here:* `snp.vek.tcb` and `snp.vek.hwid` demand that the certificate was issued for this TCB and this chip.
//! `l08_a_tcb_that_the_certificate_does_not_state_is_refused`, `l08_a_certificate_of_another_tcb_is_of_another_key`.
//!
//! ## L24: a valid signature over something else
//! The key is right, the signature is right, and what was signed is another structure: a certification instead of a
//! quote, the report before it was re-encoded. The `sev` crate hashes its own encoding of a report, so sixteen bytes of
//! the signed range can be changed unseen.
//! *Here:* the signed range is a slice of the bytes received; magic and type are checks (`tpm.quote.magic`,
//! `tpm.quote.type`); a COSE signature covers its context string. `l24_a_signature_over_something_else_is_none`,
//! `l24_a_signature_over_another_statement_of_the_tpm_is_no_quote`, `l24_what_the_same_key_certifies_is_no_quote`.
//!
//! # Roots and certificates
//!
//! ## L9: a revocation list that never ends
//! Lists without `nextUpdate`, of another issuer, long out of date, or read before their signature: each was accepted
//! somewhere, and one reader could be made to panic by a list that nobody had signed.
//! *Here:* the signature comes first (`snp.crl.signature`, `tdx.crl.pck.signature`), then the window
//! (`snp.crl.current`), then the policy's own limit (`snp.crl.age`); no list at all is no verdict.
//! `l09_an_unsigned_list_says_nothing`, `l09_a_list_without_next_update_is_refused`, `l09_a_list_by_a_namesake_is_refused`,
//! `l09_a_missing_list_is_not_judged`.
//!
//! ## L26: the root is the last one, or the first
//! Chains come in any order, and with extra certificates; "the last is the root" trusts whoever writes the file.
//! *Here:* endorsements are a bag. A root is recognised by its key among the caller's
//! [`TrustAnchors`](crate::TrustAnchors), never by its place. `l26_the_order_of_the_certificates_does_not_matter`.
//!
//! ## L27: the root came with the evidence
//! A verifier that takes the root from the message proves that the sender can sign.
//! *Here:* a root among the endorsements is compared with the pinned one, and that is all (`snp.chain.root`,
//! `tdx.chain.root`, `nitro.chain.root`, `tpm.ak.enrolled`). `l27_a_root_that_the_caller_brings_is_not_believed`,
//! `l27_a_key_that_the_sender_brought_is_named_and_refused`.
//!
//! ## L30: the root of a whole line is lost
//! In 2026 the seed of Milan's chip keys was read out by software alone (arXiv 2605.12990): whoever has it signs any
//! report, of any firmware version.
//! *Here:* Milan is refused unless a policy says `insecure-allow-milan`, and then every appraisal says so
//! (`snp.product.denied`). Decisions are kept as [`Bundle`](crate::Bundle)s, so that it can be found out later what had
//! been given to such machines. `milan_is_refused_unless_somebody_wrote_that_it_is_not`.
//!
//! # Versions
//!
//! ## L6: the shorter vector wins
//! Comparing two vectors with `zip` compares only as many elements as the shorter has: an empty list passes.
//! *Here:* vectors of security versions have fixed lengths, and a document with another length does not parse.
//! `l06_every_byte_of_a_tcb_is_compared`, `l06_a_vector_of_another_length_is_not_read`,
//! `l06_one_value_too_few_or_too_many_is_refused`.
//!
//! ## L7: a version as one number
//! Eight security versions in one integer compare by the highest byte: new microcode hides an old boot loader. Another
//! way to the same place is to take "equal to a known level" for "up to date".
//! *Here:* components are compared one by one, as lattices, and levels are met in every component or not at all.
//! `l07_high_microcode_does_not_hide_an_old_boot_loader`, `l07_a_level_is_met_in_every_component_or_not_at_all`,
//! `l07_each_component_of_the_platform_is_compared_by_itself`.
//!
//! # What was measured, and what was not
//!
//! ## L10: an input that nobody measured
//! The image is the right one, and a command line, an environment variable or an init script from the host decides what
//! it does.
//! *Here:* what the hardware does not cover is no claim. The platforms chapter says for each platform which inputs the
//! measurement holds; `cloudtaser measure` computes SNP measurements with kernel, initrd and command line hashed in, and
//! elsewhere command lines are in PCRs and RTMRs, and rules about them ask who measured them
//! (`tpm.boot.kernel_cmdline`, `tdx.boot.kernel_cmdline`, `nitro-tpm.pcr.together`).
//! `l10_a_command_line_cannot_be_hidden_behind_another_name`.
//!
//! ## L11: code from the host's own tables
//! ACPI tables contain byte code, and guests run it with the kernel's rights; under most stacks the host writes them
//! ("Bad AML").
//! *Here:* it depends on what a policy compares. Where the firmware measures the tables (RTMR 0 of a TD, PCR 0 or 1 of a
//! vTPM) another table is another value; on bare SNP nothing shows it, and the guest has to keep the byte code from
//! private memory. The chapter on platforms says so, so that nobody reads more into a measurement.
//!
//! ## L12: registers beside the quote
//! go-attestation's caller could be given PCR values that the quote did not cover (CVE-2022-0317).
//! *Here:* PCR values become claims only if they are exactly the quote's selection and hash to its digest
//! (`tpm.pcr.selection`, `tpm.pcr.digest`); without values no PCR is claimed, and no rule is met.
//! `l12_a_pcr_value_beside_the_quote_is_not_believed`, `l12_a_digest_without_values_meets_no_rule`.
//!
//! ## L13: a log whose words are not in its digests
//! An event log replays to the right registers, and the verifier then reads the events' *data*, which for many event
//! types is not what the digest covers (GO-2026-5298).
//! *Here:* a claim is made only from data whose digest was recomputed; an event's type decides nothing, and what is not
//! recognised by its digest counts as a program, a file or an authority that has to be known.
//! `l13_content_that_is_not_in_the_digest_is_not_claimed`, `l13_a_program_that_is_called_something_else_is_still_a_program`,
//! `l13_a_command_line_that_is_called_a_command_is_still_a_command_line`, `l13_a_file_that_is_not_in_its_digest_is_refused`.
//!
//! ## L21: a header that nobody signed
//! An encrypted volume's header said how to decrypt it, and the host wrote the header.
//! *Here:* no input outside the signed or hashed bytes steers the verifier: not a file's name, not a row's GUID, not a
//! certificate's place. `l23_a_certificate_table_points_only_into_itself`.
//!
//! # Who may speak
//!
//! ## L15: an identity registered a second time
//! Keylime's registrar let another TPM register under the UUID of a known one, and so take its place
//! (CVE-2025-13609).
//! *Here:* there is nothing to register in this library. Machines go by what hardware proves
//! ([`Claims::hardware_id`](crate::Claims::hardware_id)); an attestation key is believed by the hash of its whole public
//! area, which the operator compared (`tpm.ak.enrolled`). The verifier that keeps a register of names asks for the very
//! machine that a name was given to, and gives a machine no second one (`node.machine`):
//! `l15_a_name_is_its_first_machines_until_an_operator_forgets_it`, `l15_a_machine_has_one_name`,
//! `l15_another_tpm_does_not_take_a_nodes_name_whatever_it_presents`.
//!
//! ## L16: management that is open by default
//! Interfaces that add policies or keys stood open: Keylime's registrar let callers without authentication change what
//! it trusts (CVE-2026-1709).
//! *Here:* the plugin has no interface of its own; OpenBao's tokens and policies guard every path.
//! `l16_management_is_closed_without_a_token`.
//!
//! ## L18: a test mode that evidence can choose
//! A "sample" platform without any hardware was compiled into production, and evidence could name it
//! (GHSA-v4q6-jq9w-f2xx).
//! *Here:* there is no such [`Platform`](crate::Platform) and no feature for one. Simulated hardware is verified by the
//! same code under roots that the caller passes in; the verdict says so, and a policy refuses it unless it has
//! `insecure-accept-simulated-roots` (`roots.accepted`).
//! `l18_nothing_in_the_evidence_reaches_the_simulated_roots`, `l18_a_policy_without_the_insecure_line_refuses_simulated_roots`.
//!
//! ## L19: recovery trusts whoever recovers
//! A recovered node was let in on the word of another that had been let in before.
//! *Here:* no machine vouches for another. [`Admitted`](crate::Admitted) cannot be cloned, stored or read back, and ends
//! at its `valid_until`.
//!
//! # Robustness
//!
//! ## L20: secrets in logs and arguments
//! Tokens and keys in debug output, in `ps`, in files that outlive the process.
//! *Here:* this library never sees a secret. Outside it, canaries: `l20_no_answer_and_no_log_line_contains_the_secret`.
//!
//! ## L22: short input, long crash
//! Certificates under 27 bytes panic in one well-known crate, quotes cut anywhere between 48 and 631 bytes in another.
//! *Here:* the lints refuse indexing and `unwrap` in this crate; every prefix of every valid piece of evidence is tried, and
//! each parser has a fuzz target. `l22_a_cut_certificate_or_table_is_an_error_and_no_panic`,
//! `every_truncation_is_refused_without_a_panic`.
//!
//! ## L23: a length that says four gigabytes
//! Vectors allocated by a length field, logs without an end, tables that point at themselves.
//! *Here:* lengths are checked against the bytes that are there; items, bytes and depth have limits
//! ([`Endorsements::MAX_ITEMS`](crate::Endorsements::MAX_ITEMS)), and more is
//! [`CannotJudge::TooMuch`](crate::CannotJudge). `l23_work_is_bounded`, `l23_a_count_of_2_to_the_32_reads_no_more_than_there_is`.
//!
//! ## L28: the library under the library
//! A nonce counter that wraps in an HPKE implementation, an RSA crate whose private operations leak their timing.
//! *Here:* sealing is one shot per key, and only public RSA operations are used: `cargo xtask layers`
//! refuses the private ones.
//! `l28_every_sealed_secret_has_an_encapsulation_of_its_own`.
//!
//! ## L29: anybody may fill the memory
//! An endpoint without authentication made a session per call.
//! *Here:* the library keeps no state at all; the plugin's challenges are stateless until they are answered.
//! `l29_a_flood_of_challenges_costs_no_storage`.
