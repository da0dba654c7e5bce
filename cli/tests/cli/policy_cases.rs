//! `policy test`: cases come out as they are written down, and the shipped ones do.

use std::path::Path;

use crate::machine::{Machine, NOW, data};
use crate::run::{Ran, cloudtaser};

const HEAD: &str = "about = \"a machine as it should be\"\nevidence = \"../report.bin\"\nendorsements = [\"../certs\"]\n\
                    insecure-trust-roots = [\"../ark.der\"]\npolicy = \"../policy.toml\"\n";

/// Writes one case into the machine's folder and runs it.
fn run(machine: &Machine, case: &str) -> Ran {
    let folder = machine.dir().join("case");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("case.toml"), case).unwrap();
    cloudtaser(&["policy", "test", folder.to_str().unwrap(), "-o", "json"])
}

fn judged(rest: &str) -> String {
    format!("{HEAD}at = \"{NOW}\"\n{rest}")
}

#[test]
fn a_case_that_comes_out_as_written_is_good() {
    let machine = Machine::new();
    run(&machine, &judged("expect = \"admit\"")).ends(0);
    let debug = Machine::reporting(|report| report.debug().vmpl(2));
    run(&debug, &judged("expect = \"refuse\"\nfailing = [\"snp.vmpl\", \"snp.policy.debug\"]")).ends(0);
}

#[test]
fn a_case_that_comes_out_otherwise_says_how() {
    let debug = Machine::reporting(|report| report.debug().vmpl(2));
    for expected in [
        "expect = \"admit\"",
        "expect = \"refuse\"\nfailing = [\"snp.vmpl\"]",
        "expect = \"refuse\"\nfailing = [\"snp.policy.debug\", \"snp.vmpl\"]",
        "expect = \"not-judged\"\ncode = \"evidence.malformed\"",
    ] {
        let json = run(&debug, &judged(expected)).ends(1).json();
        assert_eq!(json["verdict"], "refused");
        assert_eq!(json["cases"][0]["found"]["failing"][1], "snp.policy.debug");
    }
}

#[test]
fn a_case_can_change_the_policy() {
    let machine = Machine::reporting(|report| report.vmpl(2));
    run(&machine, &judged("expect = \"admit\"\n[set]\nsnp.vmpl = { any_of = [2] }")).ends(0);
    let unset = "expect = \"refuse\"\nfailing = [\"snp.vmpl\", \"snp.tcb.reported\", \"snp.tcb.current\", \
                 \"snp.tcb.committed\", \"snp.tcb.launch\"]\nunset = [\"snp.vmpl\", \"snp.tcb.genoa\"]";
    run(&machine, &judged(unset)).ends(0);
    let waive = "expect = \"admit\"\nwaived = [\"snp.vmpl\"]\n[[set.waive]]\ncheck = \"snp.vmpl\"\nreason = \"r\"\n\
                 ticket = \"T\"\nuntil = \"2027-01-01T00:00:00Z\"\n";
    run(&machine, &judged(waive)).ends(0);
    run(&machine, &judged("expect = \"admit\"\nunset = [\"snp.nothing\"]")).ends(2);
    run(&machine, &judged("expect = \"admit\"\n[set]\nsnp.nothing = 1")).ends(2);
}

#[test]
fn a_case_with_a_challenge_asks_for_freshness_and_grants_too() {
    let machine = Machine::new();
    let asked = format!(
        "[challenge]\nnonce = \"{}\"\ncontext = \"release/db\"\nexpires = \"2026-11-21T00:01:00Z\"\n\
         kem = \"x25519\"\npublic-key = \"{}\"\n",
        "07".repeat(32),
        "09".repeat(32)
    );
    // What the report carries is not the hash of this challenge.
    assert_eq!(data().len(), 64);
    run(&machine, &judged(&format!("expect = \"refuse\"\nfailing = [\"challenge.bound\"]\n{asked}"))).ends(0);
    let late = asked.replace("00:01:00Z", "00:00:00Z");
    run(&machine, &judged(&format!("expect = \"refuse\"\nfailing = [\"challenge.current\"]\n{late}")))
        .ends(0);
}

#[test]
fn a_case_without_a_verdict_is_expected_by_its_code() {
    let machine = Machine::new();
    machine.remove("certs/crl.der");
    run(&machine, &judged("expect = \"not-judged\"\ncode = \"endorsement.missing\"")).ends(0);
}

#[test]
fn a_misspelt_case_is_no_case() {
    let machine = Machine::new();
    for case in [
        judged("expect = \"admit\"\nfailing = [\"snp.vmpl\"]"),
        judged("expect = \"refuse\""),
        judged("expect = \"not-judged\""),
        judged("expect = \"admit\"\nunknown = true"),
        judged("expect = \"admit\"\nbundle = \"x\""),
        format!("{HEAD}expect = \"admit\""),
        judged("expect = \"admit\"").replace("report.bin", "absent.bin"),
        judged("expect = \"admit\"").replace("policy.toml", "absent.toml"),
        "about = 1".to_owned(),
        String::new(),
    ] {
        let json = run(&machine, &case).ends(2).json();
        assert_eq!(json["verdict"], "not-judged", "{case}");
    }
    let empty = machine.dir().join("empty");
    std::fs::create_dir(&empty).unwrap();
    cloudtaser(&["policy", "test", empty.to_str().unwrap()]).ends(2);
    cloudtaser(&["policy", "test", "/nonexistent"]).ends(2);
}

#[test]
fn every_shipped_case_comes_out_as_written() {
    let cases = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../policies/cases"));
    if cases.is_dir() {
        let ran = cloudtaser(&["policy", "test", cases.to_str().unwrap()]);
        assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    }
}

#[test]
fn every_shipped_policy_is_good() {
    let measured = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../policies/measured"));
    for entry in std::fs::read_dir(measured).unwrap() {
        let path = entry.unwrap().path();
        let json = cloudtaser(&["policy", "check", path.to_str().unwrap(), "--at", NOW, "-o", "json"])
            .ends(0)
            .json();
        let notes = json["notes"].as_array().unwrap();
        let odd = notes.iter().find(|note| note.as_str().unwrap().starts_with("no rule refers"));
        assert!(odd.is_none(), "{}: {odd:?}", path.display());
    }
}
