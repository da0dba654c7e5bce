//! The revocation lists of a TD: current, whole, by the right issuer, and what they revoke.

use attest::UnixTime;
use attest::tdx::TcbStatus;
use simulator::tdx::{Ca, EPOCH, Platform, Role, intel_name};
use simulator::x509::{CrlBuilder, oid};

use crate::case::Case;
use crate::tdx_chain::{machine, plain};

#[test]
fn a_revoked_certificate_is_refused() {
    let machine = machine();
    let by_root = |list: CrlBuilder| plain(&machine).root_list(list.der());
    let serial = |role| machine.authority(role).serial();
    by_root(machine.root_crl().revoke(&serial(Role::PlatformCa))).refused_by(&["tdx.revoked.authority"]);
    by_root(machine.root_crl().revoke(&serial(Role::TcbSigning))).refused_by(&["tdx.revoked.signer"]);
    by_root(machine.root_crl().revoke(&serial(Role::Root))).refused_by(&["tdx.revoked.root"]);
    by_root(machine.root_crl().revoke(&serial(Role::ProcessorCa))).has_status(TcbStatus::UpToDate);
    by_root(machine.root_crl().revoke(&machine.pck_serial())).has_status(TcbStatus::UpToDate);
    let by_ca = |list: CrlBuilder| plain(&machine).pck_list(list.der());
    let serial = machine.pck_serial();
    by_ca(machine.pck_crl().revoke(&serial)).refused_by(&["tdx.revoked.pck"]);
    by_ca(machine.pck_crl().revoke(&[1]).revoke(&serial).revoke(&[2])).refused_by(&["tdx.revoked.pck"]);
    by_ca(machine.pck_crl().revoke(&Platform::new(2).pck_serial())).has_status(TcbStatus::UpToDate);
    let of_root = intel_name("Intel SGX Root CA");
    by_ca(machine.pck_crl().revoke_of(&of_root, &serial)).has_status(TcbStatus::UpToDate);
    let named = machine.authority(Role::PlatformCa).issuer().name;
    by_ca(machine.pck_crl().revoke_of(&named, &serial)).refused_by(&["tdx.revoked.pck"]);
}

/// What stands for the two lists: which one, how it is made, how another is put in its place.
type List = (&'static str, fn() -> CrlBuilder, fn(Case, Vec<u8>) -> Case);
const LISTS: [List; 2] =
    [("root", || machine().root_crl(), Case::root_list), ("pck", || machine().pck_crl(), Case::pck_list)];

#[test]
fn l09_a_list_is_good_from_this_update_until_next_update() {
    for (name, list, put) in LISTS {
        let case = put(plain(&machine()), list().this_update(EPOCH - 10).next_update(EPOCH + 10).der());
        let id = format!("tdx.crl.{name}.current");
        for (at, current) in [(EPOCH - 11, false), (EPOCH - 10, true), (EPOCH + 9, true), (EPOCH + 10, false)]
        {
            if current {
                case.clone().at(UnixTime(at)).has_status(TcbStatus::UpToDate);
            } else {
                case.clone().asked_at_instant(at).refused_by(&[&id]);
            }
        }
        put(plain(&machine()), list().without_next_update().der()).refused_by(&[&id]);
    }
}

#[test]
fn l09_a_missing_list_is_not_judged() {
    for at in [0, 1] {
        let mut case = plain(&machine());
        case.endorsements.revocation_lists.remove(at);
        case.not_judged("endorsement.missing");
    }
    let of_the_other = machine().with_ca(Ca::Processor).pck_crl().der();
    plain(&machine()).pck_list(of_the_other).not_judged("endorsement.missing");
    let of_the_signer = machine().root_crl().issued_by(&machine().authority(Role::TcbSigning).issuer()).der();
    plain(&machine()).root_list(of_the_signer).not_judged("endorsement.missing");
}

/// Nothing of a list that nobody signed is looked at: neither what it revokes nor when it ends.
#[test]
fn l09_a_list_by_a_namesake_is_refused_and_says_nothing() {
    for (name, list, put) in LISTS {
        let id = format!("tdx.crl.{name}.signature");
        for key in [machine().pck_key(), machine().authority(Role::TcbSigning).key()] {
            put(plain(&machine()), list().signed_by(key).der()).refused_by(&[&id]);
        }
        let forged =
            list().revoke(&machine().pck_serial()).without_next_update().signed_by(machine().pck_key());
        let mut both = plain(&machine());
        both.endorsements.revocation_lists.insert(0, forged.der());
        both.has_status(TcbStatus::UpToDate);
    }
}

#[test]
fn the_newest_list_counts_wherever_it_stands() {
    let older = machine().pck_crl().this_update(EPOCH - 1_000).der();
    let newer = machine().pck_crl().this_update(EPOCH - 10).revoke(&machine().pck_serial()).der();
    for lists in [[older.clone(), newer.clone()], [newer, older]] {
        let mut case = plain(&machine());
        case.endorsements.revocation_lists.splice(1.., lists);
        case.refused_by(&["tdx.revoked.pck"]);
    }
}

#[test]
fn a_delta_or_indirect_list_is_not_a_list() {
    for (name, list, put) in LISTS {
        let id = format!("tdx.crl.{name}.critical_extensions");
        let delta = list().critical_extension(oid::DELTA_CRL_INDICATOR, &[2, 1, 1]).der();
        put(plain(&machine()), delta).refused_by(&[&id]);
        put(plain(&machine()), list().indirect().der()).refused_by(&[&id]);
    }
}

#[test]
fn a_cut_list_or_certificate_is_not_judged() {
    let case = plain(&machine());
    for (_, list, put) in LISTS {
        let list = list().der();
        put(case.clone(), list[..list.len() - 1].to_vec()).not_judged("endorsement.malformed");
        put(case.clone(), [list.as_slice(), &[0]].concat()).not_judged("endorsement.padded");
    }
    let signer = machine().tcb_signing().der();
    for length in 0..signer.len() {
        case.clone().signer(signer[..length].to_vec()).not_judged("endorsement.malformed");
    }
    case.signer([signer.as_slice(), &[0]].concat()).not_judged("endorsement.padded");
}
