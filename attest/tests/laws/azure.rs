//! Azure composites: cases for the laws, and each link of the path broken by itself.

use std::ops::Range;

use attest::{Evidence, Malformed, Part, Platform, parcel};
use simulator::azure::Paravisor;
use simulator::snp::{Chip, Product, ReportBuilder, Vendor};
use simulator::tdx::Platform as Machine;
use simulator::tpm::{AttestationKey, Statement};

use crate::case::{Asked, Case};
use crate::silicon::{self, NOW, vcek_case};
use crate::td::td_case;

/// Under either processor.
pub(crate) fn cases() -> Vec<Case> {
    vec![snp_case(|_| ()), td_machine(|_| ())]
}

/// The bytes of a TDREPORT that nobody can check on another machine, and that nothing is taken from.
pub(crate) fn unread(case: &Case) -> Vec<Range<usize>> {
    if case.platform != Platform::AzureTdx {
        return Vec::new();
    }
    let head = case.evidence.windows(4).position(|window| window == b"HCLA").unwrap() + 32;
    vec![head..head + 128, head + 192..head + 1024]
}

/// The parts of a machine, before they are put into a parcel.
struct Parts {
    key: AttestationKey,
    paravisor: Paravisor,
    /// What the hardware signs instead of the paravisor's report data.
    report_data: Option<[u8; 64]>,
    vmpl: u32,
    statement: Statement,
    quoting_key: AttestationKey,
    hcl: fn(&mut Vec<u8>),
}

impl Parts {
    fn new() -> Self {
        let key = AttestationKey::rsa(1);
        Self {
            paravisor: Paravisor::new(key.clone()),
            report_data: None,
            vmpl: 0,
            statement: Statement::quote(&Asked::usual(NOW).caller_data(Platform::AzureSnp)),
            quoting_key: key.clone(),
            key,
            hcl: |_| (),
        }
    }

    fn report_data(&self) -> [u8; 64] {
        self.report_data.unwrap_or_else(|| self.paravisor.report_data())
    }
}

fn snp_case(change: impl FnOnce(&mut Parts)) -> Case {
    let mut parts = Parts::new();
    change(&mut parts);
    let chip = Chip::new(1, Product::Genoa);
    let asked = |report: ReportBuilder| report.report_data(parts.report_data()).vmpl(parts.vmpl);
    let bare = vcek_case(&chip, asked);
    let mut hcl = parts.paravisor.snp_report(&bare.evidence);
    (parts.hcl)(&mut hcl);
    let quote = parts.quoting_key.quote(&parts.statement);
    let evidence = parcel::assemble(&[(Part::TpmQuote, &quote), (Part::HclReport, &hcl)]);
    let policy = bare.policy.clone().under_a_paravisor();
    Case {
        name: "Azure on SNP".to_owned(),
        platform: Platform::AzureSnp,
        signed: attested(&evidence, &quote),
        evidence,
        policy,
        ..bare
    }
}

fn td_machine(change: impl FnOnce(&mut Parts)) -> Case {
    let mut parts = Parts::new();
    change(&mut parts);
    let bare = td_case(&Machine::new(1), |quote| quote.report_data(parts.report_data()));
    let mut hcl = parts.paravisor.td_report();
    (parts.hcl)(&mut hcl);
    let quote = parts.quoting_key.quote(&parts.statement);
    let evidence = parcel::assemble(&[
        (Part::TdQuote, &bare.evidence),
        (Part::TpmQuote, &quote),
        (Part::HclReport, &hcl),
    ]);
    let policy = bare.policy.clone().under_a_paravisor();
    Case {
        name: "Azure on TDX".to_owned(),
        platform: Platform::AzureTdx,
        signed: attested(&evidence, &quote),
        evidence,
        policy,
        ..bare
    }
}

/// Where in the evidence the bytes lie that the attestation key signed.
fn attested(evidence: &[u8], quote: &[u8]) -> Range<usize> {
    let at = evidence.windows(quote.len()).position(|window| window == quote).unwrap() + 2;
    at..at + usize::from(u16::from_be_bytes([quote[0], quote[1]]))
}

#[test]
fn the_record_tells_the_path_from_the_nonce_to_the_root() {
    let record = snp_case(|_| ()).admitted();
    let ids: Vec<&str> = record.checks.iter().map(|check| check.id.as_str()).collect();
    let at =
        |id: &str| ids.iter().position(|found| *found == id).unwrap_or_else(|| panic!("no {id}: {ids:?}"));
    let path = [
        "snp.chain.root",
        "snp.signature",
        "azure.binding.report_type",
        "azure.binding.vmpl",
        "azure.binding.runtime_data",
        "azure.binding.attestation_key",
        "tpm.quote.signature",
        "tpm.ak.qualified_name",
        "challenge.bound",
        "azure.vm.secure_boot",
        "snp.measurement",
        "tpm.pcr.measured_boot",
    ];
    assert!(path.is_sorted_by_key(|id| at(id)), "{ids:?}");
    td_machine(|_| ()).admitted();
}

#[test]
fn l31_the_quote_of_one_machine_with_the_report_of_another_is_refused() {
    for case in [snp_case, td_machine]
        .map(|case: fn(fn(&mut Parts)) -> Case| case(|parts| parts.quoting_key = AttestationKey::rsa(2)))
    {
        case.refused_by(&["azure.binding.attestation_key"]);
    }
    // And a key of another kind than any paravisor has.
    snp_case(|parts| parts.quoting_key = AttestationKey::ec(1))
        .refused_by(&["azure.binding.attestation_key"]);
}

#[test]
fn l31_runtime_data_that_the_hardware_did_not_sign_is_not_read() {
    let broken = ["azure.binding.runtime_data", "azure.runtime.readable", "azure.binding.attestation_key"];
    let stranger = Paravisor::new(AttestationKey::rsa(2)).report_data();
    snp_case(|parts| parts.report_data = Some(stranger)).refused_by(&broken);
    // The digest must fill the report data: what stands behind it would be somebody's.
    snp_case(|parts| {
        let mut data = parts.paravisor.report_data();
        data[63] = 1;
        parts.report_data = Some(data);
    })
    .refused_by(&broken);
    // A guest's own report, which answers the challenge itself.
    let own = silicon::caller_data();
    snp_case(|parts| parts.report_data = Some(own)).refused_by(&broken);
    td_machine(|parts| parts.report_data = Some(stranger)).refused_by(&["azure.binding.td_report"]);
}

#[test]
fn a_report_that_the_guest_asked_for_below_the_paravisor_is_refused() {
    snp_case(|parts| parts.vmpl = 2).refused_by(&["azure.binding.vmpl"]);
}

#[test]
fn a_report_of_another_type_than_the_platforms_is_refused() {
    // Where the header says so, other bytes are the report data.
    let rest = ["azure.binding.runtime_data", "azure.runtime.readable", "azure.binding.attestation_key"];
    let case = snp_case(|parts| parts.hcl = |hcl| hcl[1224] = 4);
    case.refused_by(&[&["azure.binding.report_type"][..], &rest].concat());
    let mut case = td_machine(|_| ());
    case.platform = Platform::AzureSnp;
    case.not_judged("evidence.malformed");
    let case = td_machine(|parts| parts.hcl = |hcl| hcl[1224] = 2);
    case.refused_by(&[&["azure.binding.report_type", "azure.binding.td_report"][..], &rest].concat());
}

#[test]
fn the_key_has_one_name_and_stands_once() {
    let id = "azure.binding.attestation_key";
    snp_case(|parts| parts.paravisor = parts.paravisor.clone().kid("HCLEkPub")).refused_by(&[id]);
    let twice = |parts: &mut Parts| {
        let runtime = String::from_utf8(parts.paravisor.runtime_data()).unwrap();
        let (keys, rest) = runtime.split_once("],\"vm").unwrap();
        let key = keys.strip_prefix("{\"keys\":[").unwrap();
        let runtime = format!("{{\"keys\":[{key},{key}],\"vm{rest}");
        parts.paravisor = parts.paravisor.clone().runtime(runtime.as_bytes());
    };
    snp_case(twice).refused_by(&[id]);
    snp_case(|parts| parts.paravisor = parts.paravisor.clone().configured(",\"secure-boot\":false"))
        .refused_by(&["azure.runtime.readable", id]);
    snp_case(|parts| parts.paravisor = parts.paravisor.clone().runtime(b"null"))
        .refused_by(&["azure.runtime.readable", id]);
}

#[test]
fn members_that_are_not_known_are_passed_over() {
    snp_case(|parts| parts.paravisor = parts.paravisor.clone().configured(",\"new\":[{\"a\":1}]")).admitted();
}

#[test]
fn the_tpm_must_hold_the_key_with_the_attributes_that_were_sent() {
    snp_case(|parts| parts.quoting_key = parts.key.clone().attributes(0x0005_0072)).admitted();
    let foreign = Statement::quote(&Asked::usual(NOW).caller_data(Platform::AzureSnp))
        .signer(&AttestationKey::rsa(2).qualified_name());
    snp_case(|parts| parts.statement = foreign).refused_by(&["tpm.ak.qualified_name"]);
    let loose = snp_case(|parts| parts.quoting_key = parts.key.clone().attributes(0x0004_0472));
    loose.refused_by(&["tpm.ak.attributes"]);
}

#[test]
fn a_parcel_has_exactly_the_parts_of_its_platform() {
    let machine = snp_case(|_| ());
    let parsed = |platform: Platform, parts: &[(Part, &[u8])]| {
        Evidence::parse(platform, &parcel::assemble(parts)).map(drop)
    };
    let quote = AttestationKey::rsa(1).quote(&Statement::quote(b"nonce"));
    let report = vcek_case(&Chip::new(1, Product::Genoa), |report| report).evidence;
    let hcl = Paravisor::new(AttestationKey::rsa(1)).snp_report(&report);
    for (platform, parts) in [
        (Platform::AzureSnp, vec![(Part::TpmQuote, &quote[..])]),
        (Platform::AzureSnp, vec![(Part::HclReport, &hcl[..])]),
        (Platform::AzureTdx, vec![(Part::TpmQuote, &quote[..]), (Part::HclReport, &hcl[..])]),
        (
            Platform::AzureSnp,
            vec![(Part::TdQuote, &hcl[..]), (Part::TpmQuote, &quote[..]), (Part::HclReport, &hcl[..])],
        ),
        (
            Platform::AzureSnp,
            vec![(Part::TpmQuote, &quote[..]), (Part::HclReport, &hcl[..]), (Part::Ccel, &hcl[..])],
        ),
    ] {
        let error = parsed(platform, &parts).unwrap_err();
        assert!(matches!(error, Malformed::Value { what: "parcel", .. }), "{error}");
    }
    // A parcel in the place of a part.
    let nested = parcel::assemble(&[(Part::TpmQuote, &quote)]);
    assert!(parsed(Platform::AzureSnp, &[(Part::TpmQuote, &nested), (Part::HclReport, &hcl)]).is_err());
    assert_eq!(Platform::recognise(&machine.evidence), Some(Platform::AzureSnp));
    assert_eq!(Platform::recognise(&td_machine(|_| ()).evidence), Some(Platform::AzureTdx));
}

#[test]
fn a_policy_asks_every_part_in_its_own_section() {
    for (section, id) in
        [("azure", "policy.platform"), ("snp", "policy.platform"), ("tpm", "policy.platform")]
    {
        let case = snp_case(|_| ()).policy(|policy| policy.without(section));
        let text = attest::Policy::parse(&attest::crypto::AwsLcRs, &case.policy.text());
        // Without [snp] the policy's reference for it is there still, which is no mistake.
        assert!(text.is_ok(), "{text:?}");
        assert!(crate::case::failing(&case.refused()).contains(&id), "{section}");
    }
    for (key, id) in [
        ("azure.secure_boot", "azure.vm.secure_boot"),
        ("azure.tpm_enabled", "azure.vm.tpm_enabled"),
        ("azure.console_enabled", "azure.vm.console_enabled"),
        ("azure.tpm_persisted", "azure.vm.tpm_persisted"),
        ("azure.vm_ids", "azure.vm.id"),
        ("azure.root_cert_thumbprints", "azure.vm.root_cert"),
        ("snp.measurement", "snp.measurement"),
        ("tpm.banks", "tpm.pcr.bank"),
        ("tpm.ak", "tpm.ak.origin"),
    ] {
        let refused = snp_case(|_| ()).policy(|policy| policy.without(key)).refused();
        assert!(crate::case::failing(&refused).contains(&id), "{key}: {refused:#?}");
    }
}

#[test]
fn a_policy_says_which_machines_and_how_they_were_started() {
    let with = |key: &'static str, value: &'static str| {
        snp_case(|_| ()).policy(move |policy| policy.with(key, value))
    };
    snp_case(|parts| parts.paravisor = parts.paravisor.clone().without_secure_boot())
        .refused_by(&["azure.vm.secure_boot"]);
    with("azure.console_enabled", r#""clear""#).refused_by(&["azure.vm.console_enabled"]);
    with("azure.vm_ids", r#"{ any_of = ["390CBCF5-6C67-4D9B-98EF-C3F1699CC8FC"] }"#).admitted();
    snp_case(|parts| parts.paravisor = parts.paravisor.clone().vm_id("another"))
        .policy(|policy| {
            policy.with("azure.vm_ids", r#"{ any_of = ["390CBCF5-6C67-4D9B-98EF-C3F1699CC8FC"] }"#)
        })
        .refused_by(&["azure.vm.id"]);
    // What the paravisor does not say is neither set nor clear.
    for value in [r#""set""#, r#""clear""#] {
        let silent = Paravisor::new(AttestationKey::rsa(1));
        let runtime = String::from_utf8(silent.runtime_data()).unwrap().replace("\"tpm-enabled\":true,", "");
        snp_case(|parts| parts.paravisor = silent.runtime(runtime.as_bytes()))
            .policy(|policy| policy.with("azure.tpm_enabled", value))
            .refused_by(&["azure.vm.tpm_enabled"]);
    }
    // An enrolled key is not what stands behind this quote.
    with("tpm.ak", r#"{ any_of = ["enrolled", "google", "azure", "other"] }"#).refused_by(&["tpm.ak.origin"]);
}

#[test]
fn simulated_hardware_under_a_paravisor_needs_its_own_root() {
    let mut case = snp_case(|_| ());
    case.anchors = silicon::anchors(Vendor::Other);
    let refused = case.refused();
    assert_eq!(refused.platform, Platform::AzureSnp);
    assert!(crate::case::failing(&refused).contains(&"snp.chain.intermediate_signature"), "{refused:#?}");
}
