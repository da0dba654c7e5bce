//! The certificates: names, signatures, extensions, dates, and every way to have the wrong one.

use attest::{TrustAnchors, UnixTime};
use simulator::snp::{BasicConstraints, Chip, EPOCH, Product, Role, Scheme, Tcb, Trailer, Vendor, oid};

use crate::case::Case;
use crate::silicon::{vcek_case, vlek_case};

#[test]
fn a_vcek_under_the_asvk_and_a_vlek_under_the_ask_are_refused() {
    for product in Product::ALL {
        let chip = Chip::new(1, product);
        let chain = chip.chain();
        let from_asvk = chip.vcek().issued_by(chip.authority(Role::Asvk)).der();
        plain(&chip).vek(from_asvk).authority(chain.asvk).refused_by(&["snp.chain.intermediate_name"]);
        let crossed = chip.vlek().issued_by(chip.authority(Role::Ask)).der();
        let case = vlek_case(&chip, |report| report).vek(crossed).authority(chain.ask);
        case.refused_by(&["snp.chain.intermediate_name"]);
    }
}

#[test]
fn an_authority_that_the_vek_does_not_name_is_none() {
    let chip = genoa();
    plain(&chip).authority(chip.chain().asvk).refused_by(&["snp.chain.intermediate"]);
    plain(&chip).authority(chip.chain().ark).not_judged("endorsement.missing");
}

#[test]
fn a_vek_signed_by_a_namesake_is_refused() {
    let chip = genoa();
    let namesake = chip.clone().with_vendor(Vendor::Other).authority(Role::Ask);
    plain(&chip).vek(chip.vcek().signed_by(namesake).der()).refused_by(&["snp.chain.vek_signature"]);
}

#[test]
fn an_intermediate_that_may_not_issue_is_refused() {
    let chip = genoa();
    let no_authority = chip.ask().basic_constraints(BasicConstraints::EndEntity).der();
    plain(&chip).authority(no_authority).refused_by(&["snp.chain.vek_signature"]);
    let digital_signature = chip.ask().key_usage([7, 0x80]).der();
    plain(&chip).authority(digital_signature).refused_by(&["snp.chain.vek_signature"]);
    let unspoken = chip.ask().without(oid::BASIC_CONSTRAINTS).der();
    plain(&chip).authority(unspoken).refused_by(&["snp.chain.vek_signature"]);
}

#[test]
fn an_intermediate_that_signed_itself_is_no_chain() {
    let chip = genoa();
    let own = chip.ask().issued_by(chip.authority(Role::Ask)).der();
    plain(&chip).authority(own).not_judged("endorsement.missing");
}

#[test]
fn an_intermediate_signed_by_another_root_is_refused() {
    let chip = genoa();
    let other = chip.clone().with_vendor(Vendor::Other).authority(Role::Ark);
    let ask = chip.ask().signed_by(other).der();
    plain(&chip).authority(ask).refused_by(&["snp.chain.intermediate_signature"]);
}

#[test]
fn only_amds_signature_scheme_counts() {
    let chip = genoa();
    for scheme in [Scheme::PssSha256, Scheme::Pkcs1Sha384] {
        plain(&chip).vek(chip.vcek().scheme(scheme).der()).refused_by(&["snp.chain.vek_signature"]);
        let case = plain(&chip).authority(chip.ask().scheme(scheme).der());
        case.refused_by(&["snp.chain.intermediate_signature"]);
    }
    for trailer in [Trailer::Explicit, Trailer::Omitted] {
        plain(&chip).vek(chip.vcek().trailer(trailer).der()).admitted();
    }
}

#[test]
fn both_encodings_of_the_hardware_id_are_read() {
    for product in Product::ALL {
        let chip = Chip::new(1, product);
        plain(&chip).vek(chip.vcek().hwid(chip.hwid()).der()).admitted();
        plain(&chip).vek(chip.vcek().wrapped_hwid(chip.hwid()).der()).admitted();
    }
}

#[test]
fn a_hardware_id_of_another_chip_or_length_is_refused() {
    let chip = genoa();
    let other = Chip::new(2, Product::Genoa);
    plain(&chip).vek(chip.vcek().hwid(other.hwid()).der()).refused_by(&["snp.vek.hwid"]);
    plain(&chip).vek(chip.vcek().hwid(&chip.hwid()[..8]).der()).refused_by(&["snp.vek.hwid"]);
    plain(&chip).vek(chip.vcek().hwid(&chip.hwid()[..63]).der()).not_judged("endorsement.malformed");
    plain(&chip).vek(chip.vcek().without(oid::HWID).der()).not_judged("endorsement.malformed");
}

#[test]
fn a_vek_of_another_line_is_refused() {
    let chip = genoa();
    plain(&chip).vek(chip.vcek().product_name("Turin").der()).refused_by(&["snp.vek.product_name"]);
    for sibling in ["Genoa", "Genoa-B1", "Bergamo", "Siena"] {
        plain(&chip).vek(chip.vcek().product_name(sibling).der()).admitted();
    }
}

/// Lesson L8: the TCB that a report claims counts only if the key was derived for it.
#[test]
fn l08_a_tcb_that_the_certificate_does_not_state_is_refused() {
    for product in Product::ALL {
        let chip = Chip::new(1, product);
        for lower in crate::snp_report::one_part_lower(product) {
            plain(&chip).vek(chip.vcek().tcb(product, lower).der()).refused_by(&["snp.vek.tcb"]);
            vcek_case(&chip, |report| report.reported_tcb(lower)).refused_by(&["snp.vek.tcb"]);
        }
    }
}

#[test]
fn a_certificate_without_a_patch_level_is_not_judged() {
    for (product, levels) in [
        (Product::Genoa, [oid::SPL_BOOTLOADER, oid::SPL_SNP, oid::SPL_4]),
        (Product::Turin, [oid::SPL_FMC, oid::SPL_MICROCODE, oid::SPL_7]),
    ] {
        let chip = Chip::new(1, product);
        for level in levels {
            plain(&chip).vek(chip.vcek().without(level).der()).not_judged("endorsement.malformed");
        }
    }
}

#[test]
fn a_reserved_patch_level_is_compared_too() {
    let chip = genoa();
    plain(&chip).vek(chip.vcek().extension(oid::SPL_5, &[2, 1, 1]).der()).refused_by(&["snp.vek.tcb"]);
}

#[test]
fn an_extension_that_stands_twice_is_not_judged() {
    let chip = genoa();
    let twice = chip.vcek().duplicate(oid::SPL_SNP, &[2, 1, 99]).der();
    plain(&chip).vek(twice).not_judged("endorsement.malformed");
}

#[test]
fn a_critical_extension_that_nobody_knows_is_refused() {
    let chip = genoa();
    let odd: simulator::snp::Oid = &[1, 2, 3, 4];
    let vcek = chip.vcek().extension(odd, &[5, 0]);
    plain(&chip).vek(vcek.clone().der()).admitted();
    plain(&chip).vek(vcek.critical(odd).der()).refused_by(&["snp.chain.critical_extensions"]);
    let ask = chip.ask().extension(odd, &[5, 0]).critical(odd).der();
    plain(&chip).authority(ask).refused_by(&["snp.chain.critical_extensions"]);
}

#[test]
fn a_vlek_needs_a_provider() {
    let chip = genoa();
    let nobody = chip.vlek().without(oid::CSP_ID).der();
    vlek_case(&chip, |report| report).vek(nobody).not_judged("endorsement.malformed");
    let other = chip.clone().with_csp_id("CN=cc-elsewhere.example.com");
    vlek_case(&other, |report| report).refused_by(&["snp.provider"]);
}

#[test]
fn a_vcek_report_under_the_vlek_is_refused() {
    let chip = genoa();
    let chain = chip.chain();
    let case = plain(&chip).vek(chain.vlek).authority(chain.asvk);
    case.refused_by(&["snp.vek.kind", "snp.signature"]);
}

#[test]
fn another_firmware_has_another_key() {
    let chip = genoa();
    let older = chip.clone().with_tcb(Tcb { snp: 1, ..chip.tcb() });
    plain(&chip).vek(older.vcek().der()).refused_by(&["snp.vek.tcb", "snp.signature"]);
}

#[test]
fn each_certificate_is_good_from_its_first_to_its_last_second() {
    let chip = genoa();
    let (from, until) = (EPOCH - 100, EPOCH + 100);
    let vek = plain(&chip).vek(chip.vcek().not_before(from).not_after(until).der());
    let ask = plain(&chip).authority(chip.ask().not_before(from).not_after(until).der());
    let ark = plain(&chip).anchors(one_root(chip.ark().not_before(from).not_after(until).der()));
    for case in [vek, ask, ark] {
        for inside in [from, EPOCH, until] {
            case.clone().asked_at(inside).admitted();
        }
        for outside in [from - 1, until + 1] {
            case.clone().asked_at(outside).refused_by(&["snp.chain.dates"]);
        }
    }
}

#[test]
fn the_best_fitting_vek_is_found_among_others() {
    let chip = genoa();
    let older = chip.clone().with_tcb(Tcb { snp: 1, ..chip.tcb() });
    let others = [Chip::new(2, Product::Genoa).chain().vcek, chip.chain().vlek, older.chain().vcek];
    let mut case = plain(&chip);
    for other in others {
        case.endorsements.certificates.insert(0, other.clone());
        case = case.bring(other);
    }
    case.bring(chip.chain().asvk).admitted();
}

#[test]
fn a_missing_certificate_is_named() {
    let mut case = plain(&genoa());
    case.endorsements.certificates.truncate(1);
    assert!(case.not_judged("endorsement.missing").to_string().contains("SEV-Genoa"));
    case.endorsements.certificates.clear();
    assert!(case.not_judged("endorsement.missing").to_string().contains("VCEK certificate for chip"));
}

#[test]
fn a_certificate_with_a_tail_is_not_judged() {
    let chip = genoa();
    let mut vcek = chip.chain().vcek;
    vcek.push(0);
    plain(&chip).vek(vcek.clone()).not_judged("endorsement.padded");
    vcek.push(1);
    plain(&chip).vek(vcek).not_judged("endorsement.malformed");
}

impl Case {
    /// Judged at `unix`, with a challenge of that time.
    fn asked_at(mut self, unix: u64) -> Self {
        self.asked.expires = UnixTime(unix + 120);
        self.at(UnixTime(unix))
    }
}

fn one_root(ark: Vec<u8>) -> TrustAnchors {
    TrustAnchors::insecure_simulated(&[ark]).unwrap()
}

fn plain(chip: &Chip) -> Case {
    vcek_case(chip, |report| report)
}

fn genoa() -> Chip {
    Chip::new(1, Product::Genoa)
}
