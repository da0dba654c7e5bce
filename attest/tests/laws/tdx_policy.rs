//! What a TDX policy asks: every key, every bit, statuses with their grace, advisories, waivers.

use attest::crypto::AwsLcRs;
use attest::{Answer, BadPolicy, Policy, UnixTime};
use simulator::tdx::{Body, EPOCH, Platform, QuoteBuilder, attributes, levels};

use crate::case::Case;
use crate::document::Document;
use crate::td::{OLD_MODULE, td_case, td_cases};

/// Without the rule the check refuses: key → checks.
const UNSET: [(&str, &[&str]); 33] = [
    ("tdx.tcb_status", &["tdx.tcb.status"]),
    ("tdx.advisories", &["tdx.tcb.advisories"]),
    ("tdx.tcb_evaluation_data_number", &["tdx.tcb.evaluation_data_number"]),
    ("tdx.platforms", &["tdx.platform.ppid"]),
    ("tdx.fmspc", &["tdx.platform.fmspc"]),
    ("tdx.modules", &["tdx.module.svn"]),
    // Intel's levels have minima of these two; a policy may have higher ones.
    ("tdx.pce_svn", &[]),
    ("tdx.qe_svn", &[]),
    ("tdx.mrseam", &["tdx.mrseam"]),
    ("tdx.report", &["tdx.report.kind"]),
    ("tdx.mrtd", &["tdx.mrtd"]),
    ("tdx.rtmr0", &["tdx.rtmr.0"]),
    ("tdx.rtmr1", &["tdx.rtmr.1"]),
    ("tdx.rtmr2", &["tdx.rtmr.2"]),
    ("tdx.rtmr3", &["tdx.rtmr.3"]),
    ("tdx.mrconfigid", &["tdx.mrconfigid"]),
    ("tdx.mrowner", &["tdx.mrowner"]),
    ("tdx.mrownerconfig", &["tdx.mrownerconfig"]),
    // No service TD, where none is named.
    ("tdx.mrservicetd", &[]),
    ("tdx.td_attributes.debug", &["tdx.attributes.debug"]),
    (
        "tdx.td_attributes.profiling",
        &["tdx.attributes.hgs_plus_prof", "tdx.attributes.perf_prof", "tdx.attributes.pmt_prof"],
    ),
    ("tdx.td_attributes.icssd", &["tdx.attributes.icssd"]),
    ("tdx.td_attributes.servtd_ext", &["tdx.attributes.servtd_ext"]),
    ("tdx.td_attributes.lass", &["tdx.attributes.lass"]),
    ("tdx.td_attributes.sept_ve_disable", &["tdx.attributes.sept_ve_disable"]),
    ("tdx.td_attributes.migratable", &["tdx.attributes.migratable"]),
    ("tdx.td_attributes.pks", &["tdx.attributes.pks"]),
    ("tdx.td_attributes.kl", &["tdx.attributes.kl"]),
    ("tdx.td_attributes.tpa", &["tdx.attributes.tpa"]),
    ("tdx.td_attributes.perfmon", &["tdx.attributes.perfmon"]),
    ("tdx.td_attributes.unnamed", &[]),
    ("tdx.xfam", &["tdx.xfam"]),
    ("tdx.grace", &[]),
];

#[test]
fn the_full_policy_admits_every_genuine_td() {
    for case in td_cases() {
        case.admitted();
    }
}

#[test]
fn a_rule_that_is_not_set_refuses_by_its_name() {
    for case in td_cases() {
        for (key, ids) in UNSET {
            let without = case.clone().policy(|document| document.without(key));
            if ids.is_empty() {
                without.admitted()
            } else {
                without.refused_by(ids)
            };
        }
    }
}

#[test]
fn every_key_of_the_section_is_in_the_table() {
    let document = Document::admitting_tds();
    let keys: Vec<&str> = document.keys().filter(|key| key.starts_with("tdx.")).collect();
    for key in &keys {
        assert!(UNSET.iter().any(|(found, _)| found == key), "{key}");
    }
    assert_eq!(keys.len(), UNSET.len());
}

#[test]
fn a_section_that_is_empty_refuses_everything_it_would_ask() {
    let case = plain().policy(|document| {
        let keys: Vec<String> =
            document.keys().filter(|key| key.starts_with("tdx.")).map(str::to_owned).collect();
        keys.iter().fold(document, |document, key| document.without(key)).with("tdx", "{}")
    });
    let every: Vec<&str> = UNSET.iter().flat_map(|(_, ids)| ids.iter().copied()).collect();
    let record = case.refused();
    for id in every {
        assert!(record.failing().any(|check| check.id == id), "{id}");
    }
}

#[test]
fn a_policy_without_the_section_refuses_a_td() {
    let snp = Document::admitting_simulated();
    plain().policy(|_| snp).refused_by(&["policy.platform"]);
}

/// Lesson L5: an unknown field could have carried a check.
#[test]
fn l05_a_field_that_nobody_knows_does_not_parse() {
    for key in [
        "tdx.mrtds",
        "tdx.td_attributes.debugging",
        "tdx.mrtd.none_of",
        "tdx.xfam.mark",
        "tdx.tcb_status.min",
    ] {
        let document = plain().policy.with("tdx.mrtd", r#"{ any_of = ["td"] }"#);
        let text = if key.contains("mrtd.") || key.contains("xfam.") || key.contains("status.") {
            let (table, field) = key.rsplit_once('.').unwrap();
            document.with(table, &format!("{{ any_of = [\"td\"], mask = 0, value = 0, {field} = [] }}"))
        } else {
            document.with(key, r#""clear""#)
        };
        assert!(matches!(Policy::parse(&AwsLcRs, &text.text()), Err(BadPolicy::Document(_))), "{key}");
    }
    for (key, empty) in [
        ("tdx.tcb_status", "{ any_of = [] }"),
        ("tdx.advisories", "{ none_of = [] }"),
        ("tdx.mrtd", r#""any""#),
        ("tdx.mrtd", "{ any_of = [] }"),
        ("tdx.modules", "[]"),
        ("tdx.platforms", "{ none_of = [] }"),
        ("tdx.tcb_status", r#"{ any_of = ["uptodate"] }"#),
        ("tdx.mrseam", r#"{ any_of = ["00"] }"#),
        ("tdx.grace", r#"[{ until = "2030-01-01T00:00:00Z" }]"#),
        ("tdx.grace", r#"[{ status = "OutOfDate" }]"#),
        ("tdx.grace", r#"[{ status = "OutOfDate", advisory = "x", until = "2030-01-01T00:00:00Z" }]"#),
    ] {
        let text = plain().policy.with(key, empty).text();
        assert!(matches!(Policy::parse(&AwsLcRs, &text), Err(BadPolicy::Document(_))), "{key} {empty}");
    }
}

#[test]
fn every_measurement_is_compared_with_its_own_reference() {
    let with = |change: fn(QuoteBuilder) -> QuoteBuilder| td_case(&machine(), change);
    with(|quote| quote.mrtd([1; 48])).refused_by(&["tdx.mrtd"]);
    with(|quote| quote.mrtd([0x10; 48])).refused_by(&["tdx.mrtd"]);
    with(|quote| quote.rtmr(0, [0x11; 48])).refused_by(&["tdx.rtmr.0"]);
    with(|quote| quote.rtmr(1, [0x10; 48])).refused_by(&["tdx.rtmr.1"]);
    with(|quote| quote.rtmr(2, [0; 48])).refused_by(&["tdx.rtmr.2"]);
    with(|quote| quote.rtmr(3, [0; 48])).refused_by(&["tdx.rtmr.3"]);
    with(|quote| quote.mr_config_id([1; 48])).refused_by(&["tdx.mrconfigid"]);
    with(|quote| quote.mr_owner([1; 48])).refused_by(&["tdx.mrowner"]);
    with(|quote| quote.mr_owner_config([1; 48])).refused_by(&["tdx.mrownerconfig"]);
    let swapped = with(|quote| quote.rtmrs([[0x11; 48], [0x10; 48], [0x13; 48], [0x12; 48]]));
    swapped.refused_by(&["tdx.rtmr.0", "tdx.rtmr.1", "tdx.rtmr.2", "tdx.rtmr.3"]);
    for (rtmr, key) in (0..4).zip(["tdx.rtmr0", "tdx.rtmr1", "tdx.rtmr2", "tdx.rtmr3"]) {
        let other = td_case(&machine(), |quote| quote.rtmr(rtmr, [9; 48]));
        other.policy(|document| document.with(key, r#""any""#)).admitted();
    }
    let known = with(|quote| quote.mr_seam([0xab; 48]));
    let listed = format!(r#"{{ any_of = ["{}"] }}"#, "ab".repeat(48));
    known.policy(|document| document.with("tdx.mrseam", &listed)).admitted();
    plain().policy(|document| document.with("tdx.mrseam", &listed)).refused_by(&["tdx.mrseam"]);
}

#[test]
fn every_attribute_is_asked_for() {
    for (name, bit) in [
        ("debug", attributes::DEBUG),
        ("icssd", attributes::ICSSD),
        ("servtd_ext", attributes::SERVTD_EXT),
        ("lass", attributes::LASS),
        ("sept_ve_disable", attributes::SEPT_VE_DISABLE),
        ("migratable", attributes::MIGRATABLE),
        ("pks", attributes::PKS),
        ("kl", attributes::KL),
        ("tpa", attributes::TPA),
        ("perfmon", attributes::PERFMON),
    ] {
        let (key, id) = (format!("tdx.td_attributes.{name}"), format!("tdx.attributes.{name}"));
        let others = attributes::SEPT_VE_DISABLE & !bit;
        let clear = td_case(&machine(), |quote| quote.td_attributes(others));
        let set = td_case(&machine(), |quote| quote.td_attributes(others | bit));
        each_rule(&key, &id, &clear, &set);
    }
    for (bit, name) in [(4, "hgs_plus_prof"), (5, "perf_prof"), (6, "pmt_prof")] {
        let set = td_case(&machine(), |quote| quote.td_attributes(attributes::SEPT_VE_DISABLE | 1 << bit));
        set.refused_by(&[&format!("tdx.attributes.{name}")]);
    }
}

#[test]
fn a_bit_without_a_name_is_refused() {
    for bit in (1..=3).chain(7..=15).chain(18..=26).chain(32..=61) {
        let case = td_case(&machine(), |quote| quote.td_attributes(attributes::SEPT_VE_DISABLE | 1 << bit));
        case.refused_by(&["tdx.attributes.unnamed_bits"]);
        let allowed = format!("{:#x}", 1_u64 << bit);
        case.policy(|document| document.with("tdx.td_attributes.unnamed", &allowed)).admitted();
    }
}

#[test]
fn extended_features_are_those_that_the_policy_names() {
    let with = |xfam: u64| td_case(&machine(), |quote| quote.xfam(xfam));
    with(0x6_00e7).refused_by(&["tdx.xfam"]);
    with(0x6_02e4).refused_by(&["tdx.xfam.fixed", "tdx.xfam"]);
    with(1 << 40 | 0x6_02e7).refused_by(&["tdx.xfam.fixed"]);
    with(0x6_00e7).policy(|document| document.with("tdx.xfam", "{ mask = 0, value = 0 }")).admitted();
}

#[test]
fn a_service_td_is_refused_unless_it_is_named() {
    for body in [Body::Td15, Body::Td15Ex] {
        let bound = td_case(&machine(), |quote| quote.body(body).mr_service_td([7; 48]));
        bound.clone().refused_by(&["tdx.mrservicetd"]);
        let named = format!(r#"{{ any_of = ["{}"] }}"#, "07".repeat(48));
        bound.policy(|document| document.with("tdx.mrservicetd", &named)).admitted();
    }
    // Bound after the TD was created: the extended report alone says it.
    let later = td_case(&machine(), |quote| quote.body(Body::Td15Ex).body_field(829, &[7; 48]));
    later.refused_by(&["tdx.mrservicetd.current"]);
}

#[test]
fn a_status_is_accepted_by_name() {
    for (status, machine) in statuses() {
        let case = td_case(&machine, |quote| quote);
        let case = case.policy(|document| document.without("tdx.pce_svn"));
        case.clone().refused_by(&["tdx.tcb.status"]);
        let accepted = format!(r#"{{ any_of = ["{status}"] }}"#);
        case.policy(|document| document.with("tdx.tcb_status", &accepted)).admitted();
        let up_to_date = plain().policy(|document| document.with("tdx.tcb_status", &accepted));
        up_to_date.refused_by(&["tdx.tcb.status"]);
    }
    for status in ["SWHardeningNeeded", "ConfigurationNeeded", "ConfigurationAndSWHardeningNeeded"] {
        let case = plain().tcb_info(machine().tcb_info().status(status).json());
        case.clone().refused_by(&["tdx.tcb.status"]);
        let accepted = format!(r#"{{ any_of = ["{status}"] }}"#);
        case.policy(|document| document.with("tdx.tcb_status", &accepted)).admitted();
    }
}

/// What Intel revoked is refused by the verifier, not by a policy: none can accept it.
#[test]
fn no_policy_accepts_a_revoked_tcb() {
    let [.., revoked] = levels();
    let case = td_case(&Platform::new(1).with_tcb(revoked.sgx, revoked.pce_svn), |quote| quote);
    let status = r#"{ any_of = ["UpToDate", "Revoked"] }"#;
    let grace = r#"[{ status = "Revoked", until = "2040-01-01T00:00:00Z" }]"#;
    let case = case.policy(|document| document.with("tdx.tcb_status", status).with("tdx.grace", grace));
    case.clone().refused_by(&["tdx.tcb.not_revoked"]);
    let waived = case.policy.clone().waiving(&["tdx.tcb.not_revoked"], "2030-01-01T00:00:00Z");
    if Policy::parse(&AwsLcRs, &waived.text()).is_ok() {
        case.policy(|_| waived).refused_by(&["tdx.tcb.not_revoked"]);
    }
}

#[test]
fn a_grace_ends_at_its_date_and_no_verdict_outlives_it() {
    let [_, older, ..] = levels();
    let machine = Platform::new(1).with_tcb(older.sgx, older.pce_svn);
    let until = |text: &str| {
        let grace = format!(r#"[{{ status = "OutOfDate", until = "{text}" }}]"#);
        td_case(&machine, |quote| quote).policy(|document| document.with("tdx.grace", &grace))
    };
    let record = until("2026-11-21T00:01:00Z").admitted();
    assert_eq!(record.valid_until, UnixTime(EPOCH + 60));
    assert!(
        record.checks.iter().any(|check| check.id == "tdx.tcb.status" && check.verdict == Answer::Waived)
    );
    until("2026-11-21T00:00:00Z").refused_by(&["tdx.tcb.status"]);
    let other = r#"[{ status = "OutOfDateConfigurationNeeded", until = "2040-01-01T00:00:00Z" }]"#;
    let case = td_case(&machine, |quote| quote).policy(|document| document.with("tdx.grace", other));
    case.refused_by(&["tdx.tcb.status"]);
}

#[test]
fn an_advisory_is_refused_by_name_but_for_its_grace() {
    let info = machine().tcb_info().advisories(&["INTEL-SA-00001", "INTEL-SA-00002"]).json();
    let case = plain().tcb_info(info);
    let with = |key: &str, value: &str| case.clone().policy(|document| document.with(key, value));
    case.clone().refused_by(&["tdx.tcb.advisories"]);
    with("tdx.advisories", r#"{ none_of = ["INTEL-SA-00003"] }"#).admitted();
    with("tdx.advisories", r#"{ any_of = ["INTEL-SA-00001", "INTEL-SA-00002"] }"#).admitted();
    with("tdx.advisories", r#"{ any_of = ["INTEL-SA-00001"] }"#).refused_by(&["tdx.tcb.advisories"]);
    with("tdx.advisories", r#""any""#).admitted();
    let grace = r#"[{ advisory = "INTEL-SA-00001", until = "2026-11-21T00:02:00Z" }]"#;
    assert_eq!(with("tdx.grace", grace).admitted().valid_until, UnixTime(EPOCH + 120));
    let ended = r#"[{ advisory = "INTEL-SA-00001", until = "2026-11-21T00:00:00Z" }]"#;
    with("tdx.grace", ended).refused_by(&["tdx.tcb.advisories"]);
    let other = r#"[{ advisory = "INTEL-SA-00002", until = "2040-01-01T00:00:00Z" }]"#;
    with("tdx.grace", other).refused_by(&["tdx.tcb.advisories"]);
}

/// What a TD was open to at launch and what it is open to now are both asked about.
#[test]
fn an_advisory_or_a_status_of_what_runs_now_is_asked_about_too() {
    let svn = |module: u8| [module, 1, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let running = |launch: u8, current: u8| {
        td_case(&machine(), |quote| {
            quote.body(Body::Td15).tee_tcb_svn(svn(launch)).tee_tcb_svn_2(svn(current))
        })
        .policy(|document| document.with("tdx.modules", r#""any""#))
    };
    for (launch, current, status) in [(6, 4, "OutOfDate"), (4, 6, "TDRelaunchAdvised")] {
        let case = running(launch, current);
        case.refused_by(&["tdx.tcb.status"]);
        let accepted = format!(r#"{{ any_of = ["{status}"] }}"#);
        let case = case.policy(|document| document.with("tdx.tcb_status", &accepted));
        case.admitted();
        let denied = r#"{ none_of = ["INTEL-SA-01036"] }"#;
        let case = case.policy(|document| document.with("tdx.advisories", denied));
        case.refused_by(&["tdx.tcb.advisories"]);
        let grace = r#"[{ advisory = "INTEL-SA-01036", until = "2026-11-21T00:02:00Z" }]"#;
        let record = case.policy(|document| document.with("tdx.grace", grace)).admitted();
        assert_eq!(record.valid_until, UnixTime(EPOCH + 120));
    }
}

/// MRTD and RTMRs say nothing of a virtual machine that a TD runs inside of itself (TD partitioning).
#[test]
fn a_quote_that_a_virtual_machine_inside_of_the_td_asked_for_is_refused() {
    for vmid in [1, 2, 255] {
        td_case(&machine(), |quote| quote.body(Body::Td15Ex).body_field(648, &[vmid]))
            .refused_by(&["tdx.vmid"]);
    }
}

#[test]
fn minima_are_met_or_refuse_by_name() {
    for (key, high, id) in [
        ("tdx.tcb_evaluation_data_number", "{ min = 21 }", "tdx.tcb.evaluation_data_number"),
        ("tdx.pce_svn", "{ min = 14 }", "tdx.platform.pce_svn"),
        ("tdx.qe_svn", "{ min = 7 }", "tdx.qe.svn"),
        ("tdx.modules", "[{ version = 1, min_svn = 7 }]", "tdx.module.svn"),
        ("tdx.modules", "[{ version = 2, min_svn = 0 }]", "tdx.module.svn"),
    ] {
        plain().policy(|document| document.with(key, high)).refused_by(&[id]);
    }
    let old = td_case(&machine(), |quote| quote.tee_tcb_svn(OLD_MODULE));
    let only_new = old.policy(|document| document.with("tdx.modules", "[{ version = 1, min_svn = 0 }]"));
    only_new.refused_by(&["tdx.module.svn"]);
    let since = td_case(&machine(), |quote| {
        quote.body(Body::Td15).tee_tcb_svn_2([7, 1, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    });
    let newest = since.policy(|document| document.with("tdx.modules", "[{ version = 1, min_svn = 7 }]"));
    newest.refused_by(&["tdx.module.svn"]);
}

#[test]
fn platforms_and_models_are_listed_or_kept_out() {
    let ppid = hex(&machine().ppid());
    let other = hex(&Platform::new(2).ppid());
    for (key, id, own, another) in [
        ("tdx.platforms", "tdx.platform.ppid", ppid.as_str(), other.as_str()),
        ("tdx.fmspc", "tdx.platform.fmspc", "b0c06f000000", "00806f050000"),
    ] {
        let with = |rule: &str, id: &str| {
            plain().policy(|document| document.with(key, &format!(r#"{{ {rule} = ["{id}"] }}"#)))
        };
        with("any_of", own).admitted();
        with("any_of", another).refused_by(&[id]);
        with("none_of", own).refused_by(&[id]);
        with("none_of", another).admitted();
    }
}

#[test]
fn a_kind_of_report_is_asked_for() {
    let only = r#"{ any_of = ["1.5"] }"#;
    plain().policy(|document| document.with("tdx.report", only)).refused_by(&["tdx.report.kind"]);
    let newer = td_case(&machine(), |quote| quote.body(Body::Td15));
    newer.policy(|document| document.with("tdx.report", only)).admitted();
}

#[test]
fn collateral_older_than_the_policy_allows_is_refused_although_it_is_current() {
    let before = EPOCH - 3 * 86_400 - 1;
    let machine = machine();
    let fresh = || {
        let root_list = machine.root_crl().this_update(EPOCH - 86_400).der();
        plain().root_list(root_list)
    };
    for (case, id) in [
        (fresh().root_list(machine.root_crl().this_update(before).der()), "tdx.crl.age"),
        (fresh().pck_list(machine.pck_crl().this_update(before).der()), "tdx.crl.age"),
        (fresh().tcb_info(machine.tcb_info().issue_date(before).json()), "tdx.tcb_info.age"),
        (fresh().qe_identity(machine.qe_identity().issue_date(before).json()), "tdx.qe_identity.age"),
    ] {
        let days =
            |days: &str| case.clone().policy(|document| document.with("freshness.collateral_days", days));
        days("4").admitted();
        days("3").refused_by(&[id]);
        let own = |name: &str, days: &str| {
            case.clone().policy(|document| document.with(&format!("freshness.{name}"), days))
        };
        for name in ["crl_days", "tcb_info_days", "qe_identity_days"] {
            own(name, "4").admitted();
            let of_this = id.split('.').nth(1).is_some_and(|kind| name.starts_with(kind));
            if of_this {
                own(name, "3").refused_by(&[id])
            } else {
                own(name, "3").admitted()
            };
        }
    }
}

#[test]
fn a_verdict_holds_no_longer_than_intels_word_is_young_enough() {
    let machine = machine();
    let issued = EPOCH - 3 * 86_400 + 60;
    let fresh = || plain().root_list(machine.root_crl().this_update(EPOCH - 60).der());
    for (case, name) in [
        (fresh().pck_list(machine.pck_crl().this_update(issued).der()), "crl_days"),
        (fresh().tcb_info(machine.tcb_info().issue_date(issued).json()), "tcb_info_days"),
        (fresh().qe_identity(machine.qe_identity().issue_date(issued).json()), "qe_identity_days"),
    ] {
        let until = |days: &str| {
            let case = case.clone().policy(|document| document.with(&format!("freshness.{name}"), days));
            case.admitted().valid_until
        };
        assert_eq!(until("3"), UnixTime(EPOCH + 61), "{name}");
        assert!(until("4") > until("3"), "{name}");
    }
}

#[test]
fn evidence_verified_without_lists_is_admitted_by_no_policy() {
    let mut case = plain();
    case.endorsements.revocation_lists.clear();
    case.revocation = attest::Revocation::InsecureWaived;
    case.refused_by(&["tdx.crl.present"]);
    for check in ["tdx.crl.present", "tdx.crl.age", "tdx.tcb_info.age", "tdx.qe_identity.age"] {
        let text = case.policy.clone().waiving(&[check], "2030-01-01T00:00:00Z").text();
        assert_eq!(Policy::parse(&AwsLcRs, &text).unwrap_err(), BadPolicy::Waiver(check.to_owned()));
    }
}

#[test]
fn a_waiver_lets_one_check_pass_until_its_date() {
    let other = td_case(&machine(), |quote| quote.mr_owner([1; 48]).rtmr(3, [1; 48]));
    let waived = other.policy(|document| document.waiving(&["tdx.mrowner"], "2026-11-21T00:03:00Z"));
    let record = waived.refused_by(&["tdx.rtmr.3"]);
    assert!(record.checks.iter().any(|check| check.id == "tdx.mrowner" && check.verdict == Answer::Waived));
}

#[test]
fn a_td_that_the_host_can_debug_is_refused() {
    for body in Body::ALL {
        td_case(&machine(), |quote| quote.body(body).debug()).refused_by(&["tdx.attributes.debug"]);
    }
}

/// Out of date, and out of date with configuration: what Intel's levels say of older firmware.
fn statuses() -> [(&'static str, Platform); 2] {
    let [_, older, oldest, _] = levels();
    [older, oldest].map(|level| (level.status, Platform::new(1).with_tcb(level.sgx, level.pce_svn)))
}

/// A bit's rule admits what it says and refuses the opposite, by the bit's own check alone.
#[track_caller]
fn each_rule(key: &str, id: &str, clear: &Case, set: &Case) {
    for (rule, admits_clear, admits_set) in
        [(r#""clear""#, true, false), (r#""set""#, false, true), (r#""any""#, true, true)]
    {
        for (case, admits) in [(clear, admits_clear), (set, admits_set)] {
            let any = r#""any""#;
            let case = case
                .clone()
                .policy(|document| document.with("tdx.td_attributes.sept_ve_disable", any).with(key, rule));
            if admits {
                case.admitted()
            } else {
                case.refused_by(&[id])
            };
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

fn plain() -> Case {
    td_case(&machine(), |quote| quote)
}

fn machine() -> Platform {
    Platform::new(1)
}
