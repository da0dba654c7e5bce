//! A second opinion, `sev`'s verifier, accepts what the simulated chips sign, and nothing else.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test that cannot set up or read its evidence has failed"
)]

use sev::certs::snp::{Chain, Verifiable};
use sev::firmware::guest::AttestationReport;
use sev::parser::ByteParser;
use simulator::snp::{Chip, Product, ReportBuilder, Role, Vendor, guid};

#[test]
fn a_report_by_any_product_verifies_under_its_vcek() {
    for product in Product::ALL {
        let chip = Chip::new(1, product);
        verify(&vcek_chain(&chip), &chip.report().nonce([7; 64]).sign()).unwrap();
    }
}

#[test]
fn a_report_by_any_product_verifies_under_its_vlek() {
    for product in Product::ALL {
        let chip = Chip::new(1, product);
        verify(&vlek_chain(&chip), &chip.report().sign_with_vlek()).unwrap();
    }
}

#[test]
fn a_report_of_every_version_verifies() {
    let chip = Chip::new(1, Product::Milan);
    let chain = vcek_chain(&chip);
    for version in [2, 3, 4, 5] {
        let report = chip.report().version(version).sign();
        assert_eq!(report[0..4], version.to_le_bytes());
        verify(&chain, &report).unwrap();
    }
}

#[test]
fn a_report_by_another_chip_does_not_verify() {
    let chain = vcek_chain(&Chip::new(1, Product::Genoa));
    let refusal = verify(&chain, &Chip::new(2, Product::Genoa).report().sign()).unwrap_err();
    assert!(refusal.contains("VEK does not sign the attestation report"), "{refusal}");
}

#[test]
fn a_report_with_a_flipped_bit_does_not_verify() {
    let chip = Chip::new(1, Product::Genoa);
    let mut report = chip.report().sign();
    report[0x90] ^= 1;
    let refusal = verify(&vcek_chain(&chip), &report).unwrap_err();
    assert!(refusal.contains("VEK does not sign the attestation report"), "{refusal}");
}

#[test]
fn a_vcek_issued_by_the_wrong_intermediate_does_not_verify() {
    let chip = Chip::new(1, Product::Genoa);
    let chain = chip.chain();
    let vcek = chip.vcek().signed_by(chip.authority(Role::Asvk)).der();
    let chain = Chain::from_der(&chain.ark, &chain.ask, &vcek).unwrap();
    assert!((&chain).verify().is_err());
}

#[test]
fn another_vendor_has_the_same_names_and_another_root() {
    let (ours, other) =
        (Chip::new(1, Product::Turin), Chip::new(1, Product::Turin).with_vendor(Vendor::Other));
    assert_ne!(ours.authority(Role::Ark).spki(), other.authority(Role::Ark).spki());
    assert_eq!(ours.authority(Role::Ark).common_name(), other.authority(Role::Ark).common_name());
    verify(&vcek_chain(&other), &other.report().sign()).unwrap();
    let mixed = Chain::from_der(&other.chain().ark, &ours.chain().ask, &ours.chain().vcek).unwrap();
    assert!((&mixed).verify().is_err());
}

#[test]
fn the_certificate_table_holds_the_chain() {
    let chip = Chip::new(1, Product::Milan);
    let table = chip.cert_table().encode();
    let rows: Vec<(Vec<u8>, Vec<u8>)> = table
        .chunks(24)
        .take_while(|row| row.iter().any(|byte| *byte != 0))
        .map(|row| (row[..16].to_vec(), body(&table, row)))
        .collect();
    let kinds: Vec<&[u8]> = rows.iter().map(|row| row.0.as_slice()).collect();
    assert_eq!(kinds, [guid::VCEK, guid::ASK, guid::ARK]);
    let chain = Chain::from_der(&rows[2].1, &rows[1].1, &rows[0].1).unwrap();
    verify(&chain, &chip.report().sign()).unwrap();
}

#[test]
fn the_same_seed_is_the_same_chip() {
    let (once, again) = (Chip::new(9, Product::Turin), Chip::new(9, Product::Turin));
    assert_eq!(once.report().unsigned(), again.report().unsigned());
    verify(&vcek_chain(&once), &again.report().sign()).unwrap();
    assert_ne!(once.hwid(), Chip::new(10, Product::Turin).hwid());
}

#[test]
fn sev_reads_back_every_field_that_was_set() {
    let chip = Chip::new(1, Product::Turin);
    let report = decode(&everything(chip.report()).sign());
    assert_eq!((report.version, report.guest_svn, report.vmpl, report.sig_algo), (5, 3, 2, 1));
    assert!(report.policy.debug_allowed() && report.policy.migrate_ma_allowed());
    assert!(!report.policy.smt_allowed() && !report.plat_info.smt_enabled());
    assert_eq!((report.policy.abi_major(), report.policy.abi_minor()), (1, 51));
    assert!(report.plat_info.alias_check_complete() && report.plat_info.ecc_enabled());
    assert!(report.key_info.author_key_en() && report.key_info.mask_chip_key());
    assert_eq!(report.key_info.signing_key(), 7);
    assert_eq!((report.family_id, report.image_id), ([0x10; 16], [0x11; 16]));
    assert_eq!(report.report_data[..], [0x12; 64]);
    assert_eq!(report.measurement[..], [0x13; 48]);
    assert_eq!(report.host_data[..], [0x14; 32]);
    assert_eq!(report.id_key_digest[..], [0x15; 48]);
    assert_eq!(report.author_key_digest[..], [0x16; 48]);
    assert_eq!((&report.report_id[..], &report.report_id_ma[..]), (&[0x17; 32][..], &[0x18; 32][..]));
    assert_eq!((report.launch_mit_vector, report.current_mit_vector), (Some(0x19), Some(0x1a)));
    let tcb = report.reported_tcb;
    assert_eq!((tcb.fmc, tcb.bootloader, tcb.tee, tcb.snp, tcb.microcode), (Some(1), 2, 3, 4, 71));
    assert_eq!((report.current.major, report.current.minor, report.current.build), (1, 56, 2));
    assert_eq!((report.committed.major, report.committed.minor, report.committed.build), (1, 55, 9));
    assert_eq!(report.chip_id[..8], *chip.hwid());
    assert_eq!(report.chip_id[8..], [0; 56]);
}

fn everything(report: ReportBuilder) -> ReportBuilder {
    report
        .guest_svn(3)
        .vmpl(2)
        .debug()
        .migrate_ma()
        .no_smt()
        .abi_minimum(1, 51)
        .signing_key(simulator::snp::SigningKey::None)
        .mask_chip_key()
        .family_id([0x10; 16])
        .image_id([0x11; 16])
        .report_data([0x12; 64])
        .measurement([0x13; 48])
        .host_data([0x14; 32])
        .id_key_digest([0x15; 48])
        .author_key_digest([0x16; 48])
        .report_id([0x17; 32])
        .report_id_ma([0x18; 32])
        .launch_mitigation_vector(0x19)
        .current_mitigation_vector(0x1a)
        .current_version([1, 56, 2])
        .committed_version([1, 55, 9])
}

fn verify(chain: &Chain, report: &[u8]) -> Result<(), String> {
    (chain, &decode(report)).verify().map_err(|error| error.to_string())
}

fn decode(report: &[u8]) -> AttestationReport {
    AttestationReport::from_bytes(report).unwrap()
}

fn vcek_chain(chip: &Chip) -> Chain {
    let chain = chip.chain();
    Chain::from_der(&chain.ark, &chain.ask, &chain.vcek).unwrap()
}

fn vlek_chain(chip: &Chip) -> Chain {
    let chain = chip.chain();
    Chain::from_der(&chain.ark, &chain.asvk, &chain.vlek).unwrap()
}

fn body(table: &[u8], row: &[u8]) -> Vec<u8> {
    let word = |at: usize| u32::from_le_bytes(row[at..at + 4].try_into().unwrap());
    let (offset, length) = (usize::try_from(word(16)).unwrap(), usize::try_from(word(20)).unwrap());
    table[offset..offset + length].to_vec()
}
