//! The mutation suite over Intel's collateral: every value of TCB info and QE identity changed and signed
//! anew by the simulated root, each with the check or the status that it leads to. What Intel signs is
//! believed; what is not for this platform, not of now or not of this form is refused.

use attest::CannotJudge;
use attest::tdx::TcbStatus;
use simulator::tdx::{Body, Document, Json, Level, Platform, Style, levels};

use crate::case::{Case, Outcome, failing};
use crate::td::{OLD_MODULE, td_case};

/// What a changed document leads to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Leads {
    /// Refused by exactly these checks.
    To(&'static [&'static str]),
    /// Genuine, with this status.
    Status(TcbStatus),
    /// Not read at all.
    Malformed,
}

use Leads::{Malformed, Status, To};
use TcbStatus::{OutOfDate, UpToDate};

/// Every value of TCB info that is not a level's component: pointer, another value, what follows.
const TCB_INFO: [(&str, &str, Leads); 35] = [
    ("/id", r#""SGX""#, To(&["tdx.tcb_info.id"])),
    ("/version", "2", To(&["tdx.tcb_info.version"])),
    ("/version", "4", To(&["tdx.tcb_info.version"])),
    ("/issueDate", r#""2026-11-21T00:00:01Z""#, To(&["tdx.tcb_info.current"])),
    ("/nextUpdate", r#""2026-11-21T00:00:00Z""#, To(&["tdx.tcb_info.current"])),
    ("/fmspc", r#""B0C06F000001""#, To(&["tdx.tcb_info.fmspc"])),
    ("/fmspc", r#""b0c06f000000""#, Status(UpToDate)),
    ("/pceId", r#""0001""#, To(&["tdx.tcb_info.pceid"])),
    ("/tcbType", "1", To(&["tdx.tcb_info.type"])),
    ("/tcbEvaluationDataNumber", "19", Status(UpToDate)),
    // A module of major version 1 is not held against what is said of version 0.
    ("/tdxModule/mrsigner", ONES_48, Status(UpToDate)),
    ("/tdxModule/attributes", r#""0000000000000001""#, Status(UpToDate)),
    ("/tdxModule/attributesMask", r#""0000000000000000""#, Status(UpToDate)),
    ("/tdxModuleIdentities/0/id", r#""TDX_02""#, Status(UpToDate)),
    ("/tdxModuleIdentities/0/mrsigner", ONES_48, Status(UpToDate)),
    ("/tdxModuleIdentities/0/attributes", r#""0000000000000001""#, Status(UpToDate)),
    ("/tdxModuleIdentities/0/attributesMask", r#""0000000000000000""#, Status(UpToDate)),
    ("/tdxModuleIdentities/0/tcbLevels/0/tcb/isvsvn", "9", Status(UpToDate)),
    ("/tdxModuleIdentities/0/tcbLevels/0/tcbDate", r#""2020-01-01T00:00:00Z""#, Status(UpToDate)),
    ("/tdxModuleIdentities/0/tcbLevels/0/tcbStatus", r#""Revoked""#, Status(UpToDate)),
    ("/tdxModuleIdentities/1/id", r#""TDX_02""#, To(&["tdx.module.identity", "tdx.module.launch"])),
    ("/tdxModuleIdentities/1/id", r#""tdx_01""#, Status(UpToDate)),
    ("/tdxModuleIdentities/1/mrsigner", ONES_48, To(&["tdx.module.mrsigner"])),
    ("/tdxModuleIdentities/1/attributes", r#""0000000000000001""#, To(&["tdx.module.attributes"])),
    ("/tdxModuleIdentities/1/attributesMask", r#""0000000000000000""#, Status(UpToDate)),
    ("/tdxModuleIdentities/1/tcbLevels/0/tcb/isvsvn", "7", Status(OutOfDate)),
    ("/tdxModuleIdentities/1/tcbLevels/0/tcbDate", r#""2020-01-01T00:00:00Z""#, Status(UpToDate)),
    ("/tdxModuleIdentities/1/tcbLevels/0/tcbStatus", r#""OutOfDate""#, Status(OutOfDate)),
    ("/tdxModuleIdentities/1/tcbLevels/0/tcbStatus", r#""Revoked""#, To(&["tdx.tcb.not_revoked"])),
    ("/tcbLevels/0/tcb/pcesvn", "14", Status(OutOfDate)),
    ("/tcbLevels/0/tcbDate", r#""2020-01-01T00:00:00Z""#, Status(UpToDate)),
    ("/tcbLevels/0/tcbStatus", r#""OutOfDate""#, Status(OutOfDate)),
    ("/tcbLevels/0/tcbStatus", r#""Revoked""#, To(&["tdx.tcb.not_revoked"])),
    ("/tcbLevels/0/tcbStatus", r#""SWHardeningNeeded""#, Status(TcbStatus::SwHardeningNeeded)),
    ("/tcbLevels/0/tcbStatus", r#""ConfigurationNeeded""#, Status(TcbStatus::ConfigurationNeeded)),
];

/// Every value of QE identity.
const QE_IDENTITY: [(&str, &str, Leads); 20] = [
    ("/id", r#""QE""#, To(&["tdx.qe_identity.id"])),
    ("/id", r#""TD_qe""#, To(&["tdx.qe_identity.id"])),
    ("/version", "1", To(&["tdx.qe_identity.version"])),
    ("/version", "3", To(&["tdx.qe_identity.version"])),
    ("/issueDate", r#""2026-11-21T00:00:01Z""#, To(&["tdx.qe_identity.current"])),
    ("/nextUpdate", r#""2026-11-21T00:00:00Z""#, To(&["tdx.qe_identity.current"])),
    ("/tcbEvaluationDataNumber", "19", Status(UpToDate)),
    ("/miscselect", r#""00000001""#, To(&["tdx.qe.miscselect"])),
    ("/miscselectMask", r#""00000000""#, Status(UpToDate)),
    ("/attributes", r#""13000000000000000000000000000000""#, To(&["tdx.qe.attributes"])),
    ("/attributesMask", r#""FFFFFFFFFFFFFFFF0000000000000000""#, To(&["tdx.qe.attributes"])),
    ("/attributesMask", r#""FBFFFFFFFFFFFFFF0100000000000000""#, To(&["tdx.qe.attributes"])),
    ("/mrsigner", ONES_32, To(&["tdx.qe.mrsigner"])),
    ("/isvprodid", "1", To(&["tdx.qe.isvprodid"])),
    ("/tcbLevels/0/tcb/isvsvn", "7", Status(OutOfDate)),
    ("/tcbLevels/0/tcbDate", r#""2020-01-01T00:00:00Z""#, Status(UpToDate)),
    ("/tcbLevels/0/tcbStatus", r#""OutOfDate""#, Status(OutOfDate)),
    ("/tcbLevels/0/tcbStatus", r#""Revoked""#, To(&["tdx.tcb.not_revoked"])),
    ("/tcbLevels/1/tcbStatus", r#""Revoked""#, Status(UpToDate)),
    ("/tcbLevels", "[]", To(&["tdx.qe.level"])),
];

/// What may be left out, or is not looked at: everything else must be there.
const OPTIONAL: [&str; 3] = ["/tdxModule", "/tdxModuleIdentities/0", "advisoryIDs"];

#[test]
fn every_value_changed_and_signed_anew_leads_to_its_own_check() {
    let machine = machine();
    for (pointer, value, leads) in TCB_INFO {
        let info = machine.tcb_info().set(pointer, raw(value));
        assert_eq!(led(&plain().tcb_info(info.json())), leads, "{pointer} {value}");
    }
    for (pointer, value, leads) in QE_IDENTITY {
        let identity = machine.qe_identity().set(pointer, raw(value));
        assert_eq!(led(&plain().qe_identity(identity.json())), leads, "{pointer} {value}");
    }
}

#[test]
fn every_value_that_decides_is_in_a_table() {
    let machine = machine();
    for (document, table) in [(machine.tcb_info(), &TCB_INFO[..]), (machine.qe_identity(), &QE_IDENTITY[..])]
    {
        let scalar = |pointer: &&String| {
            matches!(document.value(pointer), Some(Json::Number(_) | Json::Text(_) | Json::Raw(_)))
        };
        for pointer in document.pointers().iter().filter(scalar) {
            let elsewhere = ["components/", "advisoryIDs", "/tcbLevels/1", "/tcbLevels/2", "/tcbLevels/3"];
            let covered = table.iter().any(|(found, ..)| found == pointer);
            assert!(covered || elsewhere.iter().any(|part| pointer.contains(part)), "{pointer}");
        }
    }
}

/// How a document is put in the place of the genuine one.
pub(crate) type Put = fn(Case, Vec<u8>) -> Case;

#[test]
fn what_is_left_out_or_of_another_type_is_not_read() {
    let machine = machine();
    let case = plain();
    let documents: [(Document, Put); 2] =
        [(machine.tcb_info(), Case::tcb_info), (machine.qe_identity(), Case::qe_identity)];
    for (document, put) in documents {
        for pointer in document.pointers() {
            // One of sixteen components stands for all.
            if pointer.contains("components/") && !pointer.contains("components/15") {
                continue;
            }
            let mutated = |json: Vec<u8>| led(&put(case.clone(), json));
            let optional = OPTIONAL
                .iter()
                .any(|part| pointer == *part || pointer.ends_with(part) || pointer.contains("advisoryIDs"));
            let item = pointer.rsplit('/').next().unwrap().parse::<usize>().is_ok();
            let removed = mutated(document.clone().remove(&pointer).json());
            if !optional && (!item || pointer.contains("components")) && pointer != "/tdxModuleIdentities" {
                assert_eq!(removed, Malformed, "{pointer} left out");
            }
            for wrong in ["null", "true", "-1", "1.5", "{\"a\":{}}", "[[]]", r#""x""#, "18446744073709551616"]
            {
                // A version that is no date, a date that is no name: any text serves as an id or an advisory.
                let text = pointer.ends_with("/id") || pointer.contains("advisoryIDs/");
                let absent = wrong == "null" && pointer == "/tdxModule";
                if (text && wrong == r#""x""#) || absent {
                    continue;
                }
                let changed = document.clone().set(&pointer, raw(wrong));
                assert_eq!(mutated(changed.json()), Malformed, "{pointer} {wrong}");
            }
        }
    }
}

/// Lessons L6 and L7: each of the 33 numbers of a level counts by itself.
#[test]
fn l07_a_level_is_met_in_every_component_or_not_at_all() {
    let best = "/tcbLevels/0/tcb";
    for (kind, own) in [("sgx", levels()[0].sgx), ("tdx", levels()[0].tdx)] {
        for (at, svn) in own.into_iter().enumerate() {
            let raised = |svn: u64| {
                let pointer = format!("{best}/{kind}tcbcomponents/{at}/svn");
                machine().tcb_info().number(&pointer, svn).json()
            };
            // The module's own two bytes are judged by its identity, from TDX 1.5 on.
            let module = kind == "tdx" && at < 2;
            let expected = if module { UpToDate } else { OutOfDate };
            plain().tcb_info(raised(u64::from(svn) + 1)).has_status(expected);
            plain().tcb_info(raised(255)).has_status(expected);
            assert_eq!(led(&plain().tcb_info(raised(256))), Malformed);
        }
    }
    let old = |info: Vec<u8>| td_case(&machine(), |quote| quote.tee_tcb_svn(OLD_MODULE)).tcb_info(info);
    old(machine().tcb_info().json()).has_status(UpToDate);
    for at in 0..2 {
        let pointer = format!("{best}/tdxtcbcomponents/{at}/svn");
        old(machine().tcb_info().number(&pointer, 6).json()).has_status(OutOfDate);
    }
}

/// Lesson L6: a vector that is shorter than sixteen would leave components uncompared.
#[test]
fn l06_a_vector_of_another_length_is_not_read() {
    for kind in ["sgx", "tdx"] {
        let list = format!("/tcbLevels/0/tcb/{kind}tcbcomponents");
        let longer = machine().tcb_info().repeat(&format!("{list}/0"));
        let shorter = machine().tcb_info().remove(&format!("{list}/15"));
        let empty = machine().tcb_info().set(&list, Json::List(Vec::new()));
        for info in [longer, shorter, empty] {
            assert_eq!(led(&plain().tcb_info(info.json())), Malformed);
        }
    }
}

#[test]
fn the_order_of_levels_and_members_says_nothing() {
    for status in ["UpToDate", "OutOfDate"] {
        let info = machine().tcb_info().status(status);
        let expected = if status == "UpToDate" { UpToDate } else { OutOfDate };
        let shuffled = info.clone().reverse("/tcbLevels").reverse("/tdxModuleIdentities");
        let shuffled = shuffled.reverse("/tdxModuleIdentities/0/tcbLevels");
        for document in [info.clone().reverse(""), shuffled, info.clone().style(Style::Spaced)] {
            plain().tcb_info(document.json()).has_status(expected);
        }
    }
    let identity = machine().qe_identity();
    for document in [identity.clone().reverse("/tcbLevels").reverse(""), identity.style(Style::Spaced)] {
        plain().qe_identity(document.json()).has_status(UpToDate);
    }
}

/// A name that stands twice would let two readers see two values, and so would an escaped spelling of it.
#[test]
fn what_stands_twice_is_not_read() {
    let info = machine().tcb_info();
    for pointer in info.pointers() {
        let Some(name) = pointer.rsplit('/').next().filter(|name| name.parse::<usize>().is_err()) else {
            continue;
        };
        let value = info.value(&pointer).unwrap();
        let (first, rest) = name.split_at(1);
        let escaped = format!("\\u{:04x}{rest}", u32::from(first.chars().next().unwrap()));
        let other = format!("{}{escaped}", pointer.strip_suffix(name).unwrap());
        for twice in [info.clone().add(&pointer, value.clone()), info.clone().add(&other, value)] {
            assert_eq!(led(&plain().tcb_info(twice.json())), Malformed, "{pointer}");
        }
    }
    let identity = machine().qe_identity();
    for pointer in ["/id", "/mrsigner", "/isvprodid", "/tcbLevels", "/tcbLevels/0/tcb/isvsvn"] {
        let value = identity.value(pointer).unwrap();
        assert_eq!(led(&plain().qe_identity(identity.clone().add(pointer, value).json())), Malformed);
    }
}

#[test]
fn a_repeated_level_changes_nothing() {
    let info = machine().tcb_info().repeat("/tcbLevels/0").repeat("/tdxModuleIdentities/1");
    plain().tcb_info(info.json()).has_status(UpToDate);
}

#[test]
fn a_platform_below_all_levels_is_refused() {
    for info in [
        machine().tcb_info().set("/tcbLevels", Json::List(Vec::new())),
        machine().tcb_info().set("/tcbLevels", Json::List(vec![level(|level| level.pce_svn = 14)])),
    ] {
        assert_eq!(led(&plain().tcb_info(info.json())), To(&["tdx.tcb.launch"]));
    }
    let none = machine().tcb_info().set("/tdxModuleIdentities/1/tcbLevels", Json::List(Vec::new()));
    assert_eq!(led(&plain().tcb_info(none.json())), To(&["tdx.module.launch"]));
    let unknown = machine().tcb_info().remove("/tdxModuleIdentities");
    assert_eq!(led(&plain().tcb_info(unknown.json())), To(&["tdx.module.identity", "tdx.module.launch"]));
    let old = td_case(&machine(), |quote| quote.tee_tcb_svn(OLD_MODULE));
    let unknown = machine().tcb_info().remove("/tdxModule");
    assert_eq!(led(&old.tcb_info(unknown.json())), To(&["tdx.module.identity", "tdx.module.launch"]));
}

#[test]
fn the_module_of_tdx_1_0_is_held_against_what_intel_says_of_it() {
    let old = || td_case(&machine(), |quote| quote.tee_tcb_svn(OLD_MODULE));
    let info = || machine().tcb_info();
    for (info, id) in [
        (info().set("/tdxModule/mrsigner", raw(ONES_48)), "tdx.module.mrsigner"),
        (info().text("/tdxModule/attributes", "0000000000000001"), "tdx.module.attributes"),
    ] {
        old().tcb_info(info.json()).refused_by(&[id]);
    }
    for (case, id) in [
        (td_case(&machine(), |quote| quote.mr_signer_seam([1; 48])), "tdx.module.mrsigner"),
        (td_case(&machine(), |quote| quote.seam_attributes(1)), "tdx.module.attributes"),
        (td_case(&machine(), |quote| quote.seam_attributes(1 << 63)), "tdx.module.attributes"),
    ] {
        case.refused_by(&[id]);
    }
    let masked = machine().tcb_info().text("/tdxModuleIdentities/1/attributesMask", "0000000000000000");
    let odd = td_case(&machine(), |quote| quote.seam_attributes(1));
    odd.tcb_info(masked.json()).refused_by(&["tdx.module.attributes"]);
}

#[test]
fn a_status_that_intel_does_not_give_is_not_read() {
    for status in ["", "uptodate", "UpToDate ", "Unknown", "TDRelaunchAdvised"] {
        assert_eq!(led(&plain().tcb_info(machine().tcb_info().status(status).json())), Malformed, "{status}");
        let identity = machine().qe_identity().status(status);
        assert_eq!(led(&plain().qe_identity(identity.json())), Malformed, "{status}");
    }
}

#[test]
fn what_intel_says_of_a_component_is_said_of_the_whole() {
    for (name, status) in [
        ("SWHardeningNeeded", TcbStatus::SwHardeningNeeded),
        ("ConfigurationNeeded", TcbStatus::ConfigurationNeeded),
        ("ConfigurationAndSWHardeningNeeded", TcbStatus::ConfigurationAndSwHardeningNeeded),
        ("OutOfDateConfigurationNeeded", TcbStatus::OutOfDateConfigurationNeeded),
    ] {
        let info = machine().tcb_info().text("/tdxModuleIdentities/1/tcbLevels/0/tcbStatus", name);
        assert_eq!(led(&plain().tcb_info(info.json())), Status(status), "{name}");
        let identity = machine().qe_identity().text("/tcbLevels/0/tcbStatus", name);
        let case = plain().qe_identity(identity.json());
        assert_eq!(led(&case), Status(status), "{name}");
        case.refused_by(&["tdx.tcb.status"]);
    }
}

/// From TDX 1.5 on a report has the TCB of the launch and the current one; both are judged.
#[test]
fn a_td_that_was_launched_on_an_old_module_is_to_be_relaunched() {
    let svn = |module: u8, microcode: u8| {
        let mut svn = [0; 16];
        svn[..3].copy_from_slice(&[module, 1, microcode]);
        svn
    };
    for (launch, current, leads) in [
        (svn(6, 4), svn(6, 4), Status(UpToDate)),
        (svn(4, 4), svn(6, 4), Status(TcbStatus::TdRelaunchAdvised)),
        (svn(6, 3), svn(6, 4), Status(TcbStatus::TdRelaunchAdvised)),
        (svn(6, 2), svn(6, 4), Status(TcbStatus::TdRelaunchAdvisedConfigurationNeeded)),
        (svn(4, 4), svn(4, 4), Status(OutOfDate)),
        (svn(6, 4), svn(4, 4), Status(OutOfDate)),
        (svn(6, 4), svn(6, 2), Status(TcbStatus::OutOfDateConfigurationNeeded)),
        (svn(6, 1), svn(6, 4), To(&["tdx.tcb.not_revoked"])),
        (svn(6, 4), svn(6, 1), To(&["tdx.tcb.not_revoked"])),
        (svn(6, 0), svn(6, 4), To(&["tdx.tcb.launch"])),
        (svn(6, 4), svn(6, 0), To(&["tdx.tcb.current"])),
        (svn(1, 4), svn(6, 4), To(&["tdx.module.launch"])),
        (svn(6, 4), svn(1, 4), To(&["tdx.module.current"])),
    ] {
        for body in [Body::Td15, Body::Td15Ex] {
            let case =
                td_case(&machine(), |quote| quote.body(body).tee_tcb_svn(launch).tee_tcb_svn_2(current));
            assert_eq!(led(&case), leads, "{launch:?} {current:?}");
        }
        // Without a current TCB in the report the launch alone decides.
        if current == svn(6, 4) && launch == svn(4, 4) {
            td_case(&machine(), |quote| quote.tee_tcb_svn(launch)).has_status(OutOfDate);
        }
    }
}

#[test]
fn advisories_of_platform_module_and_enclave_are_all_told() {
    let [_, older, ..] = levels();
    let machine = Platform::new(1).with_tcb(older.sgx, older.pce_svn);
    let case = td_case(&machine, |quote| {
        quote.tee_tcb_svn([4, 1, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).qe_isv_svn(4)
    });
    let tcb = case.td_claims().unwrap().platform.tcb.clone();
    assert_eq!(tcb.launch.advisories, ["INTEL-SA-01192", "INTEL-SA-01036"]);
    assert_eq!(tcb.qe.advisories, ["INTEL-SA-01036"]);
    let claims = plain().tcb_info(machine.tcb_info().advisories(&["INTEL-SA-1", "INTEL-SA-2"]).json());
    assert_eq!(claims.td_claims().unwrap().platform.tcb.launch.advisories, ["INTEL-SA-1", "INTEL-SA-2"]);
}

#[test]
fn the_lower_evaluation_number_of_the_two_documents_counts() {
    let number = |info: u64, identity: u64| {
        let info = machine().tcb_info().number("/tcbEvaluationDataNumber", info);
        let identity = machine().qe_identity().number("/tcbEvaluationDataNumber", identity);
        let case = plain().tcb_info(info.json()).qe_identity(identity.json());
        case.td_claims().unwrap().platform.tcb_evaluation_data_number
    };
    assert_eq!([number(20, 19), number(19, 20), number(21, 21)], [19, 19, 21]);
}

/// Lesson L4: an identity of another enclave, the module or the vendor left unchecked.
#[test]
fn l04_another_enclave_than_intels_for_tds_is_refused() {
    let quote = |change: fn(simulator::tdx::QuoteBuilder) -> simulator::tdx::QuoteBuilder| {
        td_case(&machine(), change)
    };
    quote(|quote| quote.qe_mrsigner([1; 32])).refused_by(&["tdx.qe.mrsigner"]);
    quote(|quote| quote.qe_isv_prod_id(1)).refused_by(&["tdx.qe.isvprodid"]);
    quote(|quote| quote.qe_isv_svn(1)).refused_by(&["tdx.qe.level"]);
    quote(|quote| quote.qe_misc_select(1)).refused_by(&["tdx.qe.miscselect"]);
    quote(|quote| quote.qe_attributes([0x17; 16])).refused_by(&["tdx.qe.attributes"]);
    quote(|quote| quote.qe_attributes([0x11, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]))
        .has_status(UpToDate);
    quote(|quote| quote.qe_vendor([0; 16])).refused_by(&["tdx.quote.qe_vendor"]);
    // Intel's identity of the enclave for SGX, genuinely signed.
    let sgx = machine()
        .qe_identity()
        .text("/id", "QE")
        .number("/isvprodid", 1)
        .number("/tcbLevels/0/tcb/isvsvn", 8);
    plain().qe_identity(sgx.json()).refused_by(&["tdx.qe_identity.id"]);
}

fn level(change: impl FnOnce(&mut Level)) -> Json {
    let [mut level, ..] = levels();
    change(&mut level);
    level.json()
}

/// What a case leads to: its failing checks, its status, or that its documents could not be read.
pub(crate) fn led(case: &Case) -> Leads {
    if let Ok(claims) = case.td_claims() {
        return Status(claims.platform.tcb.status);
    }
    match case.judge() {
        Outcome::NotJudged(CannotJudge::Endorsement { .. }) => Malformed,
        Outcome::Refused(record) => To(Vec::leak(failing(&record).into_iter().map(known).collect())),
        outcome @ (Outcome::NotJudged(_) | Outcome::Admitted(_)) => panic!("{}: {outcome:#?}", case.name),
    }
}

/// A check's id, to be compared with those in the tables.
fn known(id: &str) -> &'static str {
    String::leak(id.to_owned())
}

pub(crate) fn raw(text: &str) -> Json {
    Json::Raw(text.to_owned())
}

fn plain() -> Case {
    td_case(&machine(), |quote| quote)
}

fn machine() -> Platform {
    Platform::new(1)
}

const ONES_32: &str = r#""FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF""#;
const ONES_48: &str =
    r#""FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF""#;
