//! The mutation suite over AMD's certificates: every extension changed and issued anew by the simulated
//! authority, each with the check that it leads to. What stands in a VEK certificate is what ties its key to
//! one TCB and to one chip or provider. (Names, chains and dates stand in `snp_chain`, lists in `snp_crl`.)

use simulator::snp::{CertBuilder, Chip, Oid, Product, Tcb, oid};

use crate::case::Case;
use crate::silicon::{vcek_case, vlek_case};

const LEVELS: [(Oid, Which); 5] = [
    (oid::SPL_BOOTLOADER, |tcb| &mut tcb.bootloader),
    (oid::SPL_TEE, |tcb| &mut tcb.tee),
    (oid::SPL_SNP, |tcb| &mut tcb.snp),
    (oid::SPL_MICROCODE, |tcb| &mut tcb.microcode),
    (oid::SPL_FMC, |tcb| &mut tcb.fmc),
];
type Which = fn(&mut Tcb) -> &mut u8;

const RESERVED: [Oid; 4] = [oid::SPL_4, oid::SPL_5, oid::SPL_6, oid::SPL_7];

#[test]
fn every_patch_level_one_higher_or_lower_is_of_another_key() {
    for product in Product::ALL {
        let chip = Chip::new(1, product);
        let levels = LEVELS.iter().filter(|(level, _)| product == Product::Turin || *level != oid::SPL_FMC);
        for (level, which) in levels {
            let own = *which(&mut chip.tcb());
            for other in [own.checked_sub(1), own.checked_add(1)].into_iter().flatten() {
                for (case, certificate) in both(&chip) {
                    let changed = certificate.extension(level, &number(other));
                    case.vek(changed.der()).refused_by(&["snp.vek.tcb"]);
                }
            }
        }
    }
}

#[test]
fn every_reserved_patch_level_is_compared() {
    for product in Product::ALL {
        let chip = Chip::new(1, product);
        let reserved = RESERVED.iter().filter(|level| product != Product::Turin || **level != oid::SPL_4);
        for level in reserved {
            for (case, certificate) in both(&chip) {
                case.vek(certificate.extension(level, &number(1)).der()).refused_by(&["snp.vek.tcb"]);
            }
        }
    }
}

/// A level that the line does not have: Genoa has no FMC, Turin no fourth one. AMD may write it, it says nothing.
#[test]
fn a_patch_level_of_another_line_says_nothing() {
    for (product, level) in [(Product::Genoa, oid::SPL_FMC), (Product::Turin, oid::SPL_4)] {
        let chip = Chip::new(1, product);
        for (case, certificate) in both(&chip) {
            case.vek(certificate.extension(level, &number(99)).der()).admitted();
        }
    }
}

#[test]
fn a_patch_level_that_is_no_number_of_one_byte_is_not_read() {
    let chip = genoa();
    for value in [
        &[][..],
        &[2, 0],
        &[2, 1, 0x80],
        &[2, 2, 0, 25],
        &[2, 2, 1, 0],
        &[2, 1, 25, 0],
        &[2, 0x81, 1, 25],
        &[4, 1, 25],
        &[0x0a, 1, 25],
        &[25],
    ] {
        for (case, certificate) in both(&chip) {
            case.vek(certificate.extension(oid::SPL_SNP, value).der()).not_judged("endorsement.malformed");
        }
    }
}

#[test]
fn every_extension_that_decides_must_be_there_once() {
    let chip = genoa();
    let shared = [oid::PRODUCT_NAME, oid::SPL_BOOTLOADER, oid::SPL_TEE, oid::SPL_SNP, oid::SPL_MICROCODE];
    for (case, certificate) in both(&chip) {
        for extension in shared.into_iter().chain(RESERVED) {
            let without = certificate.clone().without(extension).der();
            case.clone().vek(without).not_judged("endorsement.malformed");
            let twice = certificate.clone().duplicate(extension, &number(25)).der();
            case.clone().vek(twice).not_judged("endorsement.malformed");
        }
    }
    for (case, certificate, own) in [
        (vcek_case(&chip, |report| report), chip.vcek(), oid::HWID),
        (vlek_case(&chip, |report| report), chip.vlek(), oid::CSP_ID),
    ] {
        case.clone().vek(certificate.clone().without(own).der()).not_judged("endorsement.malformed");
        let twice = certificate.duplicate(own, chip.hwid()).der();
        case.vek(twice).not_judged("endorsement.malformed");
    }
}

#[test]
fn the_version_of_the_extensions_says_nothing() {
    for (case, certificate) in both(&genoa()) {
        case.clone().vek(certificate.clone().struct_version(9).der()).admitted();
        case.vek(certificate.without(oid::STRUCT_VERSION).der()).admitted();
    }
}

#[test]
fn a_hardware_id_is_compared_to_its_last_byte() {
    for product in Product::ALL {
        let chip = Chip::new(1, product);
        let case = vcek_case(&chip, |report| report);
        for at in (0..chip.hwid().len()).step_by(7) {
            let mut other = chip.hwid().to_vec();
            other[at] ^= 1;
            case.clone().vek(chip.vcek().hwid(&other).der()).refused_by(&["snp.vek.hwid"]);
        }
        let zeros = vec![0; chip.hwid().len()];
        case.vek(chip.vcek().wrapped_hwid(&zeros).der()).refused_by(&["snp.vek.hwid"]);
    }
}

#[test]
fn a_hardware_id_of_another_form_is_not_read() {
    let chip = Chip::new(1, Product::Turin);
    let case = vcek_case(&chip, |report| report);
    for value in
        [vec![], vec![4, 0], [&[4, 9][..], &[0; 9]].concat(), [&[4, 8][..], &[0; 9]].concat(), vec![0; 65]]
    {
        let certificate = chip.vcek().extension(oid::HWID, &value).der();
        case.clone().vek(certificate).not_judged("endorsement.malformed");
    }
    // With the zeros that the report has behind it, it is the same id.
    let padded = [chip.hwid(), &[0; 56]].concat();
    case.vek(chip.vcek().hwid(&padded).der()).admitted();
    let genoa = genoa();
    let cut = genoa.vcek().hwid(&genoa.hwid()[..8]).der();
    vcek_case(&genoa, |report| report).vek(cut).refused_by(&["snp.vek.hwid"]);
}

#[test]
fn a_name_that_is_no_text_of_this_line_is_refused() {
    for (case, certificate) in both(&genoa()) {
        for name in ["Milan", "Milan-B0", "Turin", "genoa", "Genoa2", " Genoa", "X-Genoa"] {
            let changed = certificate.clone().product_name(name).der();
            case.clone().vek(changed).refused_by(&["snp.vek.product_name"]);
        }
        for value in [&b"\x16\x00"[..], b"\x16\x05Geno", b"\x16\x06Genoa\0", b"\x02\x01\x01", b"Genoa", b""] {
            let changed = certificate.clone().extension(oid::PRODUCT_NAME, value).der();
            case.clone().vek(changed).not_judged("endorsement.malformed");
        }
    }
}

#[test]
fn a_provider_is_a_text_and_counts_only_in_a_vlek() {
    let chip = genoa();
    let case = vlek_case(&chip, |report| report);
    case.clone().vek(chip.vlek().csp_id("CN=cc-other.example.com").der()).refused_by(&["snp.provider"]);
    for value in [&b"\x16\x00"[..], b"\x16\x02a\n", b"\x04\x01a"] {
        let changed = chip.vlek().extension(oid::CSP_ID, value).der();
        case.clone().vek(changed).not_judged("endorsement.malformed");
    }
    vcek_case(&chip, |report| report).vek(chip.vcek().csp_id("CN=anybody").der()).admitted();
    case.vek(chip.vlek().hwid(chip.hwid()).der()).admitted();
}

/// A genuine report under either key, and the certificate of that key about to be issued.
fn both(chip: &Chip) -> [(Case, CertBuilder); 2] {
    [(vcek_case(chip, |report| report), chip.vcek()), (vlek_case(chip, |report| report), chip.vlek())]
}

/// A DER number below 256.
fn number(value: u8) -> Vec<u8> {
    if value < 0x80 { vec![2, 1, value] } else { vec![2, 2, 0, value] }
}

fn genoa() -> Chip {
    Chip::new(1, Product::Genoa)
}
