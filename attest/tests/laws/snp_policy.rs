//! What an SNP policy asks: every key, every bit, every part of a TCB; waivers.

use attest::crypto::AwsLcRs;
use attest::{Answer, BadPolicy, Policy, UnixTime};
use simulator::snp::{Chip, EPOCH, Product, ReportBuilder, Tcb, platform, policy};

use crate::case::Case;
use crate::document::Document;
use crate::silicon::{unmasked_vlek_case, vcek_case, vlek_case};

/// Without the rule the check refuses: key → checks.
const UNSET: [(&str, &[&str]); 34] = [
    ("snp.products", &["snp.product"]),
    ("snp.report_version", &["snp.report.version"]),
    ("snp.signing_key", &["snp.signing_key"]),
    ("snp.chips", &["snp.chip"]),
    ("snp.vmpl", &["snp.vmpl"]),
    ("snp.measurement", &["snp.measurement"]),
    ("snp.host_data", &["snp.host_data"]),
    ("snp.family_id", &["snp.family_id"]),
    ("snp.image_id", &["snp.image_id"]),
    ("snp.guest_svn", &["snp.guest_svn"]),
    ("snp.id_key_digest", &["snp.id_key_digest"]),
    ("snp.author_key_digest", &["snp.author_key_digest"]),
    ("snp.report_id_ma", &["snp.report_id_ma"]),
    ("snp.guest_policy.abi", &["snp.policy.abi"]),
    ("snp.guest_policy.smt", &["snp.policy.smt"]),
    ("snp.guest_policy.migrate_ma", &["snp.policy.migrate_ma"]),
    ("snp.guest_policy.debug", &["snp.policy.debug"]),
    ("snp.guest_policy.single_socket", &["snp.policy.single_socket"]),
    ("snp.guest_policy.cxl", &["snp.policy.cxl"]),
    ("snp.guest_policy.mem_aes_256_xts", &["snp.policy.mem_aes_256_xts"]),
    ("snp.guest_policy.rapl_dis", &["snp.policy.rapl_dis"]),
    ("snp.guest_policy.ciphertext_hiding", &["snp.policy.ciphertext_hiding"]),
    ("snp.guest_policy.page_swap_disable", &["snp.policy.page_swap_disable"]),
    ("snp.platform_info.smt", &["snp.platform.smt"]),
    ("snp.platform_info.tsme", &["snp.platform.tsme"]),
    ("snp.platform_info.ecc", &["snp.platform.ecc"]),
    ("snp.platform_info.rapl_dis", &["snp.platform.rapl_dis"]),
    ("snp.platform_info.ciphertext_hiding", &["snp.platform.ciphertext_hiding"]),
    ("snp.platform_info.alias_check_complete", &["snp.platform.alias_check_complete"]),
    ("snp.platform_info.tio", &["snp.platform.tio"]),
    ("snp.mitigations", &["snp.mitigations.launch", "snp.mitigations.current"]),
    ("snp.tcb.genoa", &["snp.tcb.reported", "snp.tcb.current", "snp.tcb.committed", "snp.tcb.launch"]),
    ("snp.insecure-allow-milan", &[]),
    ("snp.platform_info.unnamed", &[]),
];

#[test]
fn a_rule_that_is_not_set_refuses_by_its_name() {
    let case = plain();
    for (key, ids) in UNSET {
        let without = case.clone().policy(|document| document.without(key));
        if ids.is_empty() {
            without.admitted()
        } else {
            without.refused_by(ids)
        };
    }
    let vlek = vlek_case(&genoa(), |report| report);
    vlek.policy(|document| document.without("snp.provider")).refused_by(&["snp.provider"]);
}

#[test]
fn every_key_of_the_section_is_in_the_table() {
    for key in Document::admitting_simulated().keys().filter(|key| key.starts_with("snp.")) {
        let covered = |under: &str| key == under || key.starts_with(&format!("{under}."));
        let elsewhere = ["snp.provider", "snp.tcb"];
        assert!(UNSET.iter().any(|(under, _)| covered(under)) || elsewhere.into_iter().any(covered), "{key}");
    }
}

#[test]
fn a_section_that_is_empty_refuses_everything_it_would_ask() {
    let case = plain().policy(|document| {
        let keys: Vec<String> =
            document.keys().filter(|key| key.starts_with("snp.")).map(str::to_owned).collect();
        keys.iter().fold(document, |document, key| document.without(key)).with("snp", "{}")
    });
    let every: Vec<&str> = UNSET.iter().flat_map(|(_, ids)| ids.iter().copied()).collect();
    let record = case.refused();
    for id in every {
        assert!(record.failing().any(|check| check.id == id), "{id}");
    }
}

#[test]
fn every_bit_of_the_guest_policy_is_asked_for() {
    for (name, bit) in [
        ("smt", policy::SMT),
        ("migrate_ma", policy::MIGRATE_MA),
        ("debug", policy::DEBUG),
        ("single_socket", policy::SINGLE_SOCKET),
        ("cxl", policy::CXL_ALLOW),
        ("mem_aes_256_xts", policy::MEM_AES_256_XTS),
        ("rapl_dis", policy::RAPL_DIS),
        ("ciphertext_hiding", policy::CIPHERTEXT_HIDING),
        ("page_swap_disable", policy::PAGE_SWAP_DISABLE),
    ] {
        let with = |value: u64| move |report: ReportBuilder| report.policy_raw(policy::RESERVED_ONE | value);
        let (key, id) = (format!("snp.guest_policy.{name}"), format!("snp.policy.{name}"));
        each_rule(&key, &id, &vcek_case(&genoa(), with(0)), &vcek_case(&genoa(), with(bit)));
    }
}

#[test]
fn every_bit_of_the_platform_info_is_asked_for() {
    for (name, bit) in [
        ("smt", platform::SMT),
        ("tsme", platform::TSME),
        ("ecc", platform::ECC),
        ("rapl_dis", platform::RAPL_DIS),
        ("ciphertext_hiding", platform::CIPHERTEXT_HIDING),
        ("alias_check_complete", platform::ALIAS_CHECK_COMPLETE),
        ("tio", platform::TIO),
    ] {
        let (key, id) = (format!("snp.platform_info.{name}"), format!("snp.platform.{name}"));
        let clear = vcek_case(&genoa(), |report| report.platform_clear(bit));
        each_rule(&key, &id, &clear, &vcek_case(&genoa(), |report| report.platform_set(bit)));
    }
}

#[test]
fn a_bit_without_a_name_is_refused() {
    for bit in 26..64 {
        let case = vcek_case(&genoa(), |report| report.policy_set(1 << bit));
        case.refused_by(&["snp.policy.unknown_bits"]);
    }
    for bit in (8..64).chain([6]) {
        let case = vcek_case(&genoa(), |report| report.platform_set(1 << bit));
        case.refused_by(&["snp.platform.unnamed_bits"]);
    }
    let named = vcek_case(&genoa(), |report| report.platform_set(1 << 6));
    named.policy(|document| document.with("snp.platform_info.unnamed", "0x40")).admitted();
}

#[test]
fn the_bit_that_must_be_one_is_no_matter_of_policy() {
    let case = vcek_case(&genoa(), |report| report.policy_clear(policy::RESERVED_ONE));
    case.refused_by(&["snp.policy.reserved_one"]);
    let waiving = case.policy.waiving(&["snp.policy.reserved_one"], "2030-01-01T00:00:00Z").text();
    assert!(matches!(Policy::parse(&AwsLcRs, &waiving), Err(BadPolicy::Waiver(_))));
}

#[test]
fn the_abi_is_compared_as_major_then_minor() {
    for (abi, enough) in [([1, 50], false), ([1, 51], true), ([2, 0], true), ([0, 255], false)] {
        let case = vcek_case(&genoa(), |report| report.abi_minimum(abi[0], abi[1]));
        let case = case.policy(|document| document.with("snp.guest_policy.abi", "{ min = [1, 51] }"));
        if enough {
            case.admitted()
        } else {
            case.refused_by(&["snp.policy.abi"])
        };
    }
}

#[test]
fn every_part_of_every_tcb_is_held_against_its_floor() {
    for product in Product::ALL {
        for (name, floor) in one_part_higher(product) {
            for which in ["reported", "current", "committed", "launch"] {
                let key = format!("snp.tcb.{}.{which}", product.name().to_lowercase());
                let case = vcek_case(&Chip::new(1, product), |report| report);
                let case = case.policy(|document| document.with(&key, &floor));
                let record = case.refused_by(&[format!("snp.tcb.{which}").as_str()]);
                assert!(record.failing().next().unwrap().expected.contains(name), "{floor}");
            }
        }
    }
}

/// Lesson L7: as one integer the microcode, which stands highest, would decide alone.
#[test]
fn l07_a_part_that_is_too_low_is_not_made_up_for_by_another() {
    for product in Product::ALL {
        for lower in crate::snp_report::one_part_lower(product) {
            let chip = Chip::new(1, product);
            vcek_case(&chip, |report| report.launch_tcb(lower)).refused_by(&["snp.tcb.launch"]);
            vcek_case(&chip, |report| report.committed_tcb(lower)).refused_by(&["snp.tcb.committed"]);
        }
        let odd = Tcb { bootloader: 0, microcode: 255, ..product.current_tcb() };
        vcek_case(&Chip::new(1, product), |report| report.launch_tcb(odd)).refused_by(&["snp.tcb.launch"]);
    }
}

#[test]
fn a_floor_of_another_layout_is_never_met() {
    let fmc = "{ fmc = 0, bl = 0, tee = 0, snp = 0, ucode = 0 }";
    plain().policy(|p| p.with("snp.tcb.genoa.launch", fmc)).refused_by(&["snp.tcb.launch"]);
    let without = "{ bl = 0, tee = 0, snp = 0, ucode = 0 }";
    let turin = vcek_case(&Chip::new(1, Product::Turin), |report| report);
    turin.policy(|p| p.with("snp.tcb.turin.launch", without)).refused_by(&["snp.tcb.launch"]);
}

#[test]
fn every_value_that_the_policy_does_not_list_is_refused() {
    let change = |change: fn(ReportBuilder) -> ReportBuilder| vcek_case(&genoa(), change);
    change(|report| report.vmpl(1)).refused_by(&["snp.vmpl"]);
    change(|report| report.measurement([1; 48])).refused_by(&["snp.measurement"]);
    change(|report| report.host_data([1; 32])).refused_by(&["snp.host_data"]);
    change(|report| report.family_id([1; 16])).refused_by(&["snp.family_id"]);
    change(|report| report.image_id([1; 16])).refused_by(&["snp.image_id"]);
    change(|report| report.id_key_digest([1; 48])).refused_by(&["snp.id_key_digest"]);
    change(|report| report.author_key_digest([1; 48])).refused_by(&["snp.author_key_digest"]);
    change(|report| report.report_id_ma([1; 32])).refused_by(&["snp.report_id_ma"]);
    let strict = |key: &str, value: &str| plain().policy(|document| document.with(key, value));
    strict("snp.guest_svn", "{ min = 1 }").refused_by(&["snp.guest_svn"]);
    strict("snp.report_version", "{ min = 6 }").refused_by(&["snp.report.version"]);
    strict("snp.signing_key", r#"{ any_of = ["vlek"] }"#).refused_by(&["snp.signing_key"]);
    strict("snp.products", r#"{ any_of = ["turin"] }"#).refused_by(&["snp.product"]);
}

#[test]
fn a_chip_can_be_allowed_and_denied_by_name() {
    let id = |chip: &Chip| attest::ChipId(chip.chip_id()).to_string();
    let (own, other) = (id(&genoa()), id(&Chip::new(2, Product::Genoa)));
    let chips = |rule: String| plain().policy(|document| document.with("snp.chips", &rule));
    chips(format!(r#"{{ any_of = ["{other}", "{own}"] }}"#)).admitted();
    chips(format!(r#"{{ any_of = ["{other}"] }}"#)).refused_by(&["snp.chip"]);
    chips(format!(r#"{{ none_of = ["{other}"] }}"#)).admitted();
    chips(format!(r#"{{ none_of = ["{own}"] }}"#)).refused_by(&["snp.chip"]);
}

#[test]
fn a_denied_chip_is_denied_under_its_providers_key_too() {
    let own = attest::ChipId(genoa().chip_id());
    let rule = format!(r#"{{ none_of = ["{own}"] }}"#);
    let denying = |case: Case| case.policy(|document| document.with("snp.chips", &rule));
    unmasked_vlek_case(&genoa()).admitted();
    denying(unmasked_vlek_case(&genoa())).refused_by(&["snp.chip"]);
    // A host that masks the id leaves nothing to compare: deny its provider.
    denying(vlek_case(&genoa(), |report| report)).admitted();
}

#[test]
fn milan_is_refused_unless_somebody_wrote_that_it_is_not() {
    let milan = vcek_case(&Chip::new(1, Product::Milan), |report| report);
    milan.admitted();
    milan.policy(|p| p.without("snp.insecure-allow-milan")).refused_by(&["snp.product.denied"]);
}

#[test]
fn mitigations_are_asked_under_a_mask_and_only_of_those_who_can_answer() {
    let rule = |document: Document| document.with("snp.mitigations.launch", "{ mask = 0x6, value = 0x2 }");
    let launched =
        |vector: u64| vcek_case(&genoa(), |report| report.launch_mitigation_vector(vector)).policy(rule);
    launched(0b1010).admitted();
    launched(0b0110).refused_by(&["snp.mitigations.launch"]);
    launched(0).refused_by(&["snp.mitigations.launch"]);
    vcek_case(&genoa(), |report| report.version(4)).policy(rule).refused_by(&["snp.mitigations"]);
}

#[test]
fn a_waiver_admits_is_on_record_and_shortens_the_verdict() {
    let until = UnixTime(EPOCH + 100);
    let case = vcek_case(&genoa(), |report| report.vmpl(1).debug());
    let case = case.policy(|p| p.waiving(&["snp.vmpl", "snp.policy.debug"], &until.to_string()));
    let record = case.admitted();
    let waived = record.checks.iter().filter(|check| check.verdict == Answer::Waived);
    let waived: Vec<_> = waived.map(|check| (check.id.as_str(), check.expected.contains("(T-1)"))).collect();
    assert_eq!(waived, [("snp.vmpl", true), ("snp.policy.debug", true)]);
    assert_eq!(record.valid_until, until);
}

#[test]
fn a_waiver_ends() {
    let case = vcek_case(&genoa(), |report| report.vmpl(1));
    let case = case.policy(|p| p.waiving(&["snp.vmpl"], &UnixTime(EPOCH + 100).to_string()));
    case.clone().at(UnixTime(EPOCH + 99)).admitted();
    case.at(UnixTime(EPOCH + 100)).refused_by(&["snp.vmpl"]);
}

#[test]
fn what_holds_whatever_the_policy_cannot_be_waived() {
    let parse = |check: &str| {
        let policy = plain().policy.waiving(&[check], "2030-01-01T00:00:00Z").text();
        Policy::parse(&AwsLcRs, &policy).map(drop)
    };
    for check in [
        "snp.signature",
        "snp.vek.tcb",
        "snp.crl.intermediate",
        "snp.crl.present",
        "snp.crl.age",
        "challenge.bound",
        "roots.accepted",
        "policy.platform",
        "policy.current",
        "policy.grant",
        "policy.rego",
    ] {
        assert_eq!(parse(check), Err(BadPolicy::Waiver(check.to_owned())));
    }
    assert_eq!(parse("snp.vmpl"), Ok(()));
}

#[test]
fn a_waiver_for_a_check_that_there_is_not_does_not_parse() {
    for check in ["snp.vmpI", "snp.policy", "tpm.pcr.sha256.32", "SNP.vmpl", ""] {
        let policy = plain().policy.waiving(&[check], "2030-01-01T00:00:00Z").text();
        let error = Policy::parse(&AwsLcRs, &policy).unwrap_err();
        assert_eq!(error, BadPolicy::UnknownCheck(check.to_owned()));
    }
}

#[test]
fn a_policy_ends() {
    let case = plain().policy(|p| p.with("expires", &format!("\"{}\"", UnixTime(EPOCH + 10))));
    assert_eq!(case.admitted().valid_until, UnixTime(EPOCH + 10));
    case.clone().at(UnixTime(EPOCH + 9)).admitted();
    case.at(UnixTime(EPOCH + 10)).refused_by(&["policy.current"]);
}

/// Under each of the three rules for one bit.
fn each_rule(key: &str, id: &str, clear: &Case, set: &Case) {
    let under =
        |case: &Case, rule: &str| case.clone().policy(|document| document.with(key, &format!("\"{rule}\"")));
    let refused = [id];
    under(clear, "clear").admitted();
    under(clear, "set").refused_by(&refused);
    under(clear, "any").admitted();
    under(set, "clear").refused_by(&refused);
    under(set, "set").admitted();
    under(set, "any").admitted();
}

/// A line's floors with one part one higher than its chips have, and the words for that part.
fn one_part_higher(product: Product) -> Vec<(&'static str, String)> {
    let tcb = product.current_tcb();
    let parts = [
        ("fmc", tcb.fmc),
        ("bl", tcb.bootloader),
        ("tee", tcb.tee),
        ("snp", tcb.snp),
        ("ucode", tcb.microcode),
    ];
    let parts = if product == Product::Turin { &parts[..] } else { &parts[1..] };
    let floor = |high: &str| {
        let value = |(name, value): &(&str, u8)| format!("{name} = {}", value + u8::from(*name == high));
        format!("{{ {} }}", parts.iter().map(value).collect::<Vec<_>>().join(", "))
    };
    parts.iter().map(|(name, _)| (*name, floor(name))).collect()
}

fn plain() -> Case {
    vcek_case(&genoa(), |report| report)
}

fn genoa() -> Chip {
    Chip::new(1, Product::Genoa)
}

/// Lesson L5: what stands beyond the last field of a list may have been meant as a check.
#[test]
fn l05_a_list_in_the_place_of_named_fields_is_refused() {
    for (key, value) in [
        ("freshness", r#"[300, 30, 7, 7, 7, "x"]"#),
        ("snp.vmpl", "[[0], [1]]"),
        ("snp.guest_svn", r#"[0, "x"]"#),
        ("snp.guest_policy.abi", "{ min = [1, 55, 9] }"),
        ("snp.mitigations", "[[0, 0], [0, 0]]"),
        ("snp.tcb", "{ genoa = [[1, 0, 0, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]] }"),
    ] {
        let text = match key.rsplit_once('.') {
            Some((table, name)) => format!("{HEAD}freshness = {FRESH}\n[{table}]\n{name} = {value}\n"),
            None => format!("{HEAD}{key} = {value}\n[snp]\n"),
        };
        let error = Policy::parse(&AwsLcRs, &text).unwrap_err();
        assert!(matches!(&error, BadPolicy::List(_)), "{key}: {error}");
    }
}

const HEAD: &str = "name = \"a\"\nversion = 1\nexpires = \"2030-01-01T00:00:00Z\"\n";
const FRESH: &str = "{ verdict_seconds = 300, collateral_days = 30 }";
