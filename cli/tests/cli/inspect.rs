//! `attest inspect`: everything shown, nothing believed.

use crate::machine::{Machine, data};
use crate::quote;
use crate::run::cloudtaser;

const NOTICE: &str = "UNVERIFIED: nothing here was checked";

#[test]
fn every_field_of_a_report_is_shown_and_marked_unverified() {
    let machine = Machine::reporting(|report| report.debug().host_data([3; 32]).guest_svn(11));
    let ran = cloudtaser(&["attest", "inspect", &machine.path("report.bin")]).ends(0);
    assert_eq!((ran.lines()[0], *ran.lines().last().unwrap()), (NOTICE, NOTICE));
    for row in [
        "THE HOST MAY READ AND WRITE THE GUEST'S MEMORY",
        "bit 5 ALIAS_CHECK_COMPLETE",
        "bits 2-4 SIGNING_KEY",
        "family 0x19",
        "(bl 10, tee 0, snp 25, ucode 84)",
        "?blSPL=10&teeSPL=00&snpSPL=25&ucodeSPL=84",
        &hex::encode(data()),
        &"03".repeat(32),
        &"5a".repeat(48),
        &hex::encode(machine.chip.chip_id()),
    ] {
        assert!(ran.out.contains(row), "{row}: {}", ran.out);
    }
}

#[test]
fn the_columns_are_aligned() {
    let machine = Machine::new();
    let ran = cloudtaser(&["attest", "inspect", &machine.path("report.bin")]).ends(0);
    let column = |name: &str| {
        let line = ran.lines().into_iter().find(|line| line.starts_with(&format!("  {name} "))).unwrap();
        2 + name.len() + line[2 + name.len()..].chars().take_while(|c| *c == ' ').count()
    };
    assert_eq!(column("version"), column("measurement"));
    assert_eq!(column("vmpl"), column("bit 4 CIPHERTEXT_HIDING_DRAM_EN"));
}

#[test]
fn programs_get_the_same_rows() {
    let machine = Machine::new();
    let answer = cloudtaser(&["attest", "inspect", "-o", "json", &machine.path("report.bin")]).ends(0).json();
    assert_eq!((&answer["notice"], &answer["platform"]), (&NOTICE.into(), &"sev-snp".into()));
    let titles: Vec<&str> = answer["sections"]
        .as_array()
        .unwrap()
        .iter()
        .map(|section| section["title"].as_str().unwrap())
        .collect();
    assert_eq!((titles[0], titles.len()), ("SEV-SNP attestation report", 8));
}

#[test]
fn a_quote_is_shown_with_the_name_to_enrol() {
    let machine = Machine::new();
    let quote = quote::quote(&[5; 32]);
    let ran = cloudtaser(&["attest", "inspect", &machine.write("quote.bin", &quote.evidence)]).ends(0);
    assert_eq!((ran.lines()[0], *ran.lines().last().unwrap()), (NOTICE, NOTICE));
    for row in
        [quote.name.as_str(), &"05".repeat(32), "bit 16 restricted", "ECDSA (0x0018)", "selected of sha256"]
    {
        assert!(ran.out.contains(row), "{row}: {}", ran.out);
    }
}

#[test]
fn certificates_and_lists_are_shown() {
    let machine = Machine::new();
    let vcek = cloudtaser(&["attest", "inspect", &machine.path("certs/vcek.der")]).ends(0);
    for row in ["CN=SEV-VCEK", "ucodeSPL", "hwID", "2026-10-22T00:00:00Z"] {
        assert!(vcek.out.contains(row), "{row}: {}", vcek.out);
    }
    let list = machine.write("list.der", &machine.chip.crl().revoke(0x20001).der());
    let list = cloudtaser(&["attest", "inspect", &list]).ends(0);
    assert!(list.out.contains("serial 020001 on "), "{}", list.out);
    let table = machine.write("auxblob", &machine.chip.cert_table().encode());
    let table = cloudtaser(&["attest", "inspect", &table]).ends(0);
    assert_eq!(table.out.matches("\ncertificate\n").count(), 3);
}

#[test]
fn what_is_nothing_known_is_no_answer() {
    let machine = Machine::new();
    let ran = cloudtaser(&["attest", "inspect", &machine.write("x", b"hello")]).ends(2);
    assert!(ran.err.contains("expected an SNP report (1184 bytes), a TD quote, TPM evidence"), "{}", ran.err);
    assert!(ran.err.contains("found 5 bytes, beginning 68656c6c6f (evidence.unrecognised)"), "{}", ran.err);
}
