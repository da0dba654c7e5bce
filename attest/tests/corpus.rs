//! The committed corpora of the fuzz targets, and every truncation of them, through the targets themselves.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails there")]
#![expect(unreachable_pub, reason = "the fuzz crate exports the same file")]

#[path = "../fuzz/src/targets.rs"]
mod targets;

use std::path::Path;

fn replay(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let inputs: Vec<_> = std::fs::read_dir(folder).unwrap().collect();
    assert!(inputs.len() >= 2, "{target}: expected a corpus, found {} inputs", inputs.len());
    for entry in inputs {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        run(&bytes);
        let step = (bytes.len() / 256).max(1);
        bytes.iter().enumerate().step_by(step).for_each(|(length, _)| run(bytes.get(..length).unwrap()));
    }
}

#[test]
fn no_input_of_the_tpm_quote_corpus_breaks_a_promise() {
    replay("tpm_quote", targets::tpm_quote);
}

#[test]
fn no_input_of_the_snp_report_corpus_breaks_a_promise() {
    replay("snp_report", targets::snp_report);
}

#[test]
fn no_input_of_the_nitro_document_corpus_breaks_a_promise() {
    replay("nitro_document", targets::nitro_document);
}

#[test]
fn no_input_of_the_certificate_table_corpus_breaks_a_promise() {
    replay("certificate_table", targets::certificate_table);
}

#[test]
fn no_input_of_the_policy_corpus_breaks_a_promise() {
    replay("policy", targets::policy);
}

#[test]
fn no_input_of_the_signed_policy_corpus_breaks_a_promise() {
    replay("signed_policy", targets::signed_policy);
}

#[test]
fn no_input_of_the_bundle_corpus_breaks_a_promise() {
    replay("bundle", targets::bundle);
}

#[test]
fn no_input_of_the_tdx_quote_corpus_breaks_a_promise() {
    replay("tdx_quote", targets::tdx_quote);
}

#[test]
fn no_input_of_the_tcb_info_corpus_breaks_a_promise() {
    replay("tcb_info", targets::tcb_info);
}

#[test]
fn no_input_of_the_qe_identity_corpus_breaks_a_promise() {
    replay("qe_identity", targets::qe_identity);
}

#[test]
fn no_input_of_the_event_log_corpus_breaks_a_promise() {
    replay("event_log", targets::event_log);
}

#[test]
fn no_input_of_the_ima_log_corpus_breaks_a_promise() {
    replay("ima_log", targets::ima_log);
}

#[test]
fn no_input_of_the_hcl_report_corpus_breaks_a_promise() {
    replay("hcl_report", targets::hcl_report);
}

#[test]
fn no_input_of_the_log_entry_corpus_breaks_a_promise() {
    replay("log_entry", targets::log_entry);
}

#[test]
fn no_input_of_the_log_tile_corpus_breaks_a_promise() {
    replay("log_tile", targets::log_tile);
}

#[test]
fn no_input_of_the_log_checkpoint_corpus_breaks_a_promise() {
    replay("log_checkpoint", targets::log_checkpoint);
}

#[test]
fn no_input_of_the_rsa_key_corpus_breaks_a_promise() {
    replay("rsa_key", targets::rsa_key);
}
