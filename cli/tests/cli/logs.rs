//! `attest inspect` of event logs and IMA lists.

use attest::crypto::{AwsLcRs, Crypto};
use attest::{Part, parcel};

use crate::machine::Machine;
use crate::quote;
use crate::run::cloudtaser;

const NOTICE: &str = "UNVERIFIED: nothing here was checked";

/// A log in the old form: one event.
fn log() -> Vec<u8> {
    let text = b"Calling EFI Application from Boot Option";
    let length = u32::try_from(text.len()).unwrap().to_le_bytes();
    [&[4, 0, 0, 0, 7, 0, 0, 0x80][..], &AwsLcRs.sha1(&[text]).0, &length, text].concat()
}

fn list() -> Vec<u8> {
    format!("10 {} ima-ng sha1:{} /bin/\u{1b}[2Jsh\n", "11".repeat(20), "22".repeat(20)).into_bytes()
}

#[test]
fn an_event_log_is_shown_with_what_it_replays_to() {
    let machine = Machine::new();
    let ran = cloudtaser(&["attest", "inspect", &machine.write("log", &log())]).ends(0);
    assert_eq!((ran.lines()[0], *ran.lines().last().unwrap()), (NOTICE, NOTICE));
    let digest = AwsLcRs.sha1(&[b"Calling EFI Application from Boot Option"]);
    let register = AwsLcRs.sha1(&[&[0; 20], &digest.0]);
    for row in [
        "event log: 1 events of sha1",
        "PCR 4 EV_EFI_ACTION",
        "40 bytes: Calling EFI Application from Boot Option",
        "replays to, in sha1",
        &digest.to_string(),
        &register.to_string(),
    ] {
        assert!(ran.out.contains(row), "{row}: {}", ran.out);
    }
}

#[test]
fn an_ima_list_is_shown_and_not_obeyed() {
    let machine = Machine::new();
    let ran = cloudtaser(&["attest", "inspect", &machine.write("list", &list())]).ends(0);
    for row in ["IMA list: 1 entries", r"/bin/\u{1b}[2Jsh", &"22".repeat(20), "sha256 PCR 10"] {
        assert!(ran.out.contains(row), "{row}: {}", ran.out);
    }
}

#[test]
fn the_logs_of_a_parcel_are_shown_with_its_quote() {
    let machine = Machine::new();
    let quote = quote::quote(&[5; 32]);
    let (log, list) = (log(), list());
    let parts = [(Part::TpmQuote, quote.evidence.as_slice()), (Part::EventLog, &log), (Part::ImaLog, &list)];
    let ran = cloudtaser(&["attest", "inspect", &machine.write("parcel", &parcel::assemble(&parts))]).ends(0);
    for row in ["TPM 2.0 quote", "ECDSA (0x0018)", "event log: 1 events", "IMA list: 1 entries", &quote.name]
    {
        assert!(ran.out.contains(row), "{row}: {}", ran.out);
    }
}

#[test]
fn a_cut_log_is_not_read() {
    let machine = Machine::new();
    let log = log();
    cloudtaser(&["attest", "inspect", &machine.write("log", &log[..log.len() - 1])]).ends(2);
}
