//! Intel's documents as such, whatever they say: who signed them, when they hold, which of several counts,
//! and every form that is none.

use attest::UnixTime;
use attest::tdx::TcbStatus::{OutOfDate, UpToDate};
use simulator::tdx::{Document, EPOCH, Platform, Role, Vendor};

use crate::case::Case;
use crate::td::td_case;
use crate::tdx_collateral::Leads::{Malformed, Status};
use crate::tdx_collateral::{led, raw};

#[test]
fn collateral_of_another_model_is_refused_and_does_not_hide_the_right_one() {
    let other = machine().with_fmspc([0x90, 0xc0, 0x6f, 0, 0, 0]).tcb_info();
    plain().tcb_info(other.json()).refused_by(&["tdx.tcb_info.fmspc"]);
    let newer = other.issue_date(EPOCH - 1).json();
    let sgx = machine().tcb_info().text("/id", "SGX").issue_date(EPOCH - 1).json();
    let qe = machine().qe_identity().text("/id", "QE").issue_date(EPOCH - 1).json();
    for at in [0, 2] {
        let mut case = plain();
        for extra in [&newer, &sgx, &qe] {
            case.endorsements.documents.insert(at, extra.clone());
        }
        case.has_status(UpToDate);
    }
}

#[test]
fn the_newest_document_counts_wherever_it_stands() {
    let newer = machine().tcb_info().status("OutOfDate").issue_date(EPOCH - 1).json();
    let forged = machine().tcb_info().issue_date(EPOCH).signed_by(machine().pck_key()).json();
    for at in [0, 1, 2] {
        let mut case = plain();
        case.endorsements.documents.insert(at, newer.clone());
        case.endorsements.documents.insert(at, forged.clone());
        case.has_status(OutOfDate);
    }
}

#[test]
fn a_document_is_good_from_its_first_second_until_its_next_update() {
    let (from, until) = (EPOCH - 100, EPOCH + 100);
    let info = machine().tcb_info().issue_date(from).next_update(until).json();
    let identity = machine().qe_identity().issue_date(from).next_update(until).json();
    for (case, id) in [
        (plain().tcb_info(info), "tdx.tcb_info.current"),
        (plain().qe_identity(identity), "tdx.qe_identity.current"),
    ] {
        for inside in [from, until - 1] {
            case.clone().at(UnixTime(inside)).has_status(UpToDate);
        }
        for outside in [from - 1, until] {
            case.clone().asked_at_instant(outside).refused_by(&[id]);
        }
    }
}

/// A platform's owner has its PCK key, under the same root: what it signs is no word of Intel's.
#[test]
fn a_document_signed_by_anybody_else_is_refused() {
    let machine = machine();
    let other = machine.clone().with_vendor(Vendor::Other);
    for key in [
        machine.pck_key(),
        machine.authority(Role::Root).key(),
        machine.authority(Role::PlatformCa).key(),
        other.authority(Role::TcbSigning).key(),
    ] {
        let info = machine.tcb_info().signed_by(key.clone()).json();
        plain().tcb_info(info).refused_by(&["tdx.tcb_info.signature"]);
        let identity = machine.qe_identity().signed_by(key).json();
        plain().qe_identity(identity).refused_by(&["tdx.qe_identity.signature"]);
    }
}

#[test]
fn a_document_changed_after_it_was_signed_is_refused() {
    let info = || machine().tcb_info();
    for (from, to) in [
        ("OutOfDate", "UpToDate"),
        ("\"pcesvn\":13", "\"pcesvn\":12"),
        ("\"tcbType\":0", "\"tcbType\": 0"),
        ("B0C06F", "b0c06f"),
        ("2026", "2027"),
    ] {
        plain().tcb_info(info().forged(from, to).json()).refused_by(&["tdx.tcb_info.signature"]);
    }
    let donor = machine().qe_identity();
    let borrowed = info().signature(&hex_signature(&donor));
    plain().tcb_info(borrowed.json()).refused_by(&["tdx.tcb_info.signature"]);
    let zero = info().signature(&"00".repeat(64));
    plain().tcb_info(zero.json()).refused_by(&["tdx.tcb_info.signature"]);
    let identity = machine().qe_identity().forged("\"isvprodid\":2", "\"isvprodid\":1");
    plain().qe_identity(identity.json()).refused_by(&["tdx.qe_identity.signature"]);
}

#[test]
fn a_document_under_the_others_name_is_refused() {
    let swapped = machine().tcb_info().named("enclaveIdentity").json();
    plain().qe_identity(swapped).refused_by(&["tdx.qe_identity.id"]);
    let swapped = machine().qe_identity().named("tcbInfo").json();
    plain().tcb_info(swapped).refused_by(&["tdx.tcb_info.id"]);
}

#[test]
fn what_intel_says_of_sgx_may_be_in_the_bag_and_says_nothing_of_a_td() {
    let sgx = machine()
        .tcb_info()
        .text("/id", "SGX")
        .remove("/tdxModule")
        .remove("/tcbLevels/0/tcb/tdxtcbcomponents");
    let enclave = machine().qe_identity().text("/id", "QE").number("/isvprodid", 1);
    let mut case = plain();
    case.endorsements.documents.extend([sgx.json(), enclave.json()]);
    case.has_status(UpToDate);
    case.endorsements.documents.reverse();
    case.has_status(UpToDate);
    plain().tcb_info(sgx.json()).refused_by(&["tdx.tcb_info.id"]);
}

#[test]
fn an_envelope_of_another_form_is_not_read() {
    for form in [
        r#"{"NAME":VALUE}"#,
        r#"{"NAME":VALUE,"signature":"SIGNATURE","signature":"SIGNATURE"}"#,
        r#"{"NAME":VALUE,"NAME":VALUE,"signature":"SIGNATURE"}"#,
        r#"{"NAME":VALUE,"enclaveIdentity":VALUE,"signature":"SIGNATURE"}"#,
        r#"{"NAME":VALUE,"signature":"SIGNATURE","more":1}"#,
        r#"{"NAME":VALUE,"signature":"SIGNATURE00"}"#,
        r#"{"NAME":VALUE,"signature":"0xSIGNATURE"}"#,
        r#"{"NAME":VALUE,"signature":"SIGNATURE"} {}"#,
        r#"{"NAME":VALUE,"signature":"SIGNATURE"#,
        r#"[{"NAME":VALUE,"signature":"SIGNATURE"}]"#,
        "VALUE",
    ] {
        let info = machine().tcb_info().envelope(form).json();
        assert_eq!(led(&plain().tcb_info(info)), Malformed, "{form}");
    }
    for form in [
        r#"{"signature":"SIGNATURE","NAME":VALUE}"#,
        "\n { \"NAME\" :\tVALUE , \"signature\" : \"SIGNATURE\" }\n",
    ] {
        plain().tcb_info(machine().tcb_info().envelope(form).json()).has_status(UpToDate);
    }
}

#[test]
fn a_document_nested_to_death_is_read_without_a_deep_stack() {
    let deep = format!("{}1{}", "[".repeat(30_000), "]".repeat(30_000));
    let member = machine().tcb_info().set("/deep", raw(&deep)).json();
    assert_eq!(led(&plain().tcb_info(member)), Status(UpToDate));
    for pointer in ["/tcbLevels", "/fmspc", "/tdxModule", "/tcbLevels/0/tcb/pcesvn"] {
        let value = machine().tcb_info().set(pointer, raw(&deep)).json();
        assert_eq!(led(&plain().tcb_info(value)), Malformed, "{pointer}");
    }
    let whole = format!(r#"{{"tcbInfo":{deep},"signature":"{}"}}"#, "00".repeat(64));
    plain().tcb_info(whole.into_bytes()).refused_by(&["tdx.tcb_info.signature"]);
}

#[test]
fn a_document_longer_than_any_is_not_read() {
    let longer =
        |length: usize| plain().tcb_info(machine().tcb_info().text("/more", &"x".repeat(length)).json());
    longer(50_000).has_status(UpToDate);
    longer(attest::Endorsements::MAX_ITEM_BYTES).not_judged("input.too_much");
}

fn hex_signature(document: &Document) -> String {
    let json = String::from_utf8(document.json()).unwrap();
    let (_, signature) = json.rsplit_once("\"signature\":\"").unwrap();
    signature.strip_suffix("\"}").unwrap().to_owned()
}

fn plain() -> Case {
    td_case(&machine(), |quote| quote)
}

fn machine() -> Platform {
    Platform::new(1)
}
