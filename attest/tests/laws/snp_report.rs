//! The report: versions, reserved bytes, keys, product, TCB order.

use simulator::snp::{Chip, Product, SigningKey, Tcb};

use crate::silicon::{vcek_case, vlek_case};

#[test]
fn a_report_of_every_line_and_version_is_admitted_under_vcek_and_vlek() {
    for product in Product::ALL {
        for version in [2, 3, 4, 5] {
            let chip = Chip::new(1, product);
            vcek_case(&chip, |report| report.version(version)).admitted();
            vlek_case(&chip, |report| report.version(version)).admitted();
        }
    }
}

#[test]
fn an_unknown_version_is_not_judged() {
    for version in [0, 1, 6, 0x0100_0000] {
        let case = vcek_case(&genoa(), |report| report.version(5).reserved(0, 5));
        let error = case.evidence(|bytes| bytes[..4].copy_from_slice(&u32::to_le_bytes(version)));
        let error = error.not_judged("evidence.malformed");
        assert!(error.to_string().contains("expected 2 to 5"), "{error}");
    }
}

#[test]
fn a_report_of_another_length_is_not_judged() {
    for length in [0, 1, 1183, 1185, 1204, 1240, 4096] {
        let case = vcek_case(&genoa(), |report| report).evidence(|bytes| bytes.resize(length, 0));
        case.not_judged("evidence.malformed");
    }
}

#[test]
fn a_reserved_byte_that_is_set_refuses() {
    let in_all = [0x4c, 0x4f, 0x18b, 0x19f, 0x1eb, 0x1ef, 0x208, 0x29f];
    let before = |version: u32| match version {
        2 => vec![0x188, 0x18a, 0x1f8, 0x207],
        3 | 4 => vec![0x1f8, 0x207],
        _ => vec![],
    };
    for version in [2, 3, 4, 5] {
        for offset in in_all.into_iter().chain(before(version)) {
            let case = vcek_case(&genoa(), |report| report.version(version).reserved(offset, 0x80));
            case.refused_by(&["snp.report.reserved"]);
        }
    }
}

#[test]
fn a_byte_behind_the_signature_refuses() {
    for offset in [0x330, 0x400, 0x49f] {
        let case = vcek_case(&genoa(), |report| report).evidence(|bytes| bytes[offset] = 1);
        case.refused_by(&["snp.report.reserved"]);
    }
}

#[test]
fn a_number_longer_than_the_curve_is_no_signature() {
    for offset in [0x2a0 + 48, 0x2a0 + 71, 0x2e8 + 48, 0x2e8 + 71] {
        let case = vcek_case(&genoa(), |report| report).evidence(|bytes| bytes[offset] = 1);
        case.refused_by(&["snp.signature"]);
    }
}

#[test]
fn another_signature_algorithm_refuses() {
    vcek_case(&genoa(), |report| report.sig_algo(2)).refused_by(&["snp.report.signature_algorithm"]);
}

#[test]
fn a_report_under_mask_chip_key_is_unsigned_and_refused() {
    let (chip, mut case) = (genoa(), vcek_case(&genoa(), |report| report));
    let masked = chip.report().report_data(crate::silicon::caller_data()).mask_chip_key();
    case.evidence = masked.unsigned();
    case.refused_by(&["snp.report.mask_chip_key", "snp.signature"]);
    case.evidence = masked.sign();
    case.refused_by(&["snp.report.mask_chip_key"]);
}

#[test]
fn a_report_that_names_no_key_or_an_unknown_one_is_refused() {
    for key in [SigningKey::None, SigningKey::Reserved(2), SigningKey::Reserved(6)] {
        let case = vcek_case(&genoa(), |report| report.signing_key(key));
        case.refused_by(&["snp.report.signing_key", "snp.vek.kind"]);
    }
    vcek_case(&genoa(), |report| report.key_info(1 << 5)).refused_by(&["snp.report.signing_key"]);
    vcek_case(&genoa(), |report| report.key_info(1)).admitted();
}

#[test]
fn a_report_that_names_the_vlek_is_not_good_under_the_vcek() {
    let case = vcek_case(&genoa(), |report| report.signing_key(SigningKey::Vlek));
    case.refused_by(&["snp.vek.kind"]);
}

#[test]
fn a_cpu_of_another_line_or_an_unknown_one_is_refused() {
    let chip = genoa();
    for cpuid in [Product::Milan.cpuid(), Product::Turin.cpuid(), [0x19, 0x60, 0], [0x17, 0x31, 0], [0; 3]] {
        vcek_case(&chip, |report| report.cpuid(cpuid)).refused_by(&["snp.product.cpuid"]);
    }
    for cpuid in [[0x19, 0x1f, 9], [0x19, 0xa0, 1], [0x19, 0xaf, 2]] {
        vcek_case(&chip, |report| report.cpuid(cpuid)).admitted();
    }
}

#[test]
fn a_turin_chip_id_ends_after_eight_bytes() {
    let chip = Chip::new(1, Product::Turin);
    let mut id = chip.chip_id();
    id[63] = 1;
    let case = vcek_case(&chip, |report| report.chip_id(&id));
    case.refused_by(&["snp.vek.hwid", "snp.report.chip_id"]);
}

#[test]
fn a_firmware_that_reports_or_commits_more_than_it_runs_is_refused() {
    for product in Product::ALL {
        let chip = Chip::new(1, product);
        for lower in one_part_lower(product) {
            let case = vcek_case(&chip, |report| report.current_tcb(lower));
            case.refused_by(&["snp.tcb.reported_at_most_current", "snp.tcb.committed_at_most_current"]);
        }
        let high = Tcb { microcode: 255, ..product.current_tcb() };
        vcek_case(&chip, |report| report.committed_tcb(high))
            .refused_by(&["snp.tcb.committed_at_most_current"]);
    }
}

/// The TCBs of a line's chips with one part, if it is not zero, one lower.
pub(crate) fn one_part_lower(product: Product) -> Vec<Tcb> {
    let tcb = product.current_tcb();
    let all = [
        Tcb { fmc: tcb.fmc.saturating_sub(1), ..tcb },
        Tcb { bootloader: tcb.bootloader.saturating_sub(1), ..tcb },
        Tcb { tee: tcb.tee.saturating_sub(1), ..tcb },
        Tcb { snp: tcb.snp.saturating_sub(1), ..tcb },
        Tcb { microcode: tcb.microcode.saturating_sub(1), ..tcb },
    ];
    all.into_iter().filter(|lower| *lower != tcb).collect()
}

fn genoa() -> Chip {
    Chip::new(1, Product::Genoa)
}
