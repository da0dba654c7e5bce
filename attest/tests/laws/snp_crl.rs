//! Revocation lists. Lesson L9: stale for ever, a wrong issuer, no nextUpdate, read before its signature.

use attest::{Answer, Policy, Revocation, UnixTime, crypto::AwsLcRs};
use simulator::snp::{Chip, CrlBuilder, EPOCH, Product, Role, Scheme, Vendor, oid};

use crate::case::Case;
use crate::silicon::vcek_case;

/// Genoa's authorities in use, as AMD numbers them.
const ASK: u64 = 0x02_0002;
const ASVK: u64 = 0x02_0101;

#[test]
fn l09_a_list_is_good_from_this_update_until_next_update() {
    for (at, current) in [(EPOCH - 11, false), (EPOCH - 10, true), (EPOCH + 9, true), (EPOCH + 10, false)] {
        let list = genoa().crl().this_update(EPOCH - 10).next_update(EPOCH + 10).der();
        let mut case = with(&list).at(UnixTime(at));
        case.asked.expires = UnixTime(at + 1);
        if current {
            case.admitted()
        } else {
            case.refused_by(&["snp.crl.current"])
        };
    }
}

#[test]
fn l09_a_list_without_next_update_is_refused() {
    with(&genoa().crl().without_next_update().der()).refused_by(&["snp.crl.current"]);
}

#[test]
fn l09_a_missing_list_is_not_judged() {
    plain().lists([]).not_judged("endorsement.missing");
    let of_another_line = Chip::new(1, Product::Turin).crl().der();
    with(&of_another_line).not_judged("endorsement.missing");
    let of_the_intermediate = genoa().crl().issued_by(genoa().authority(Role::Ask)).der();
    with(&of_the_intermediate).not_judged("endorsement.missing");
}

#[test]
fn l09_a_list_by_a_namesake_is_refused() {
    let other = genoa().with_vendor(Vendor::Other).authority(Role::Ark);
    with(&genoa().crl().signed_by(other).der()).refused_by(&["snp.crl.signature"]);
    with(&genoa().crl().signed_by(genoa().authority(Role::Ask)).der()).refused_by(&["snp.crl.signature"]);
    with(&genoa().crl().scheme(Scheme::Pkcs1Sha384).der()).refused_by(&["snp.crl.signature"]);
}

/// Nothing of a list that nobody signed is looked at: neither what it revokes nor when it ends.
#[test]
fn l09_an_unsigned_list_says_nothing() {
    let other = genoa().with_vendor(Vendor::Other).authority(Role::Ark);
    let forged = genoa().crl().revoke(ASK).without_next_update().signed_by(other).der();
    with(&forged).refused_by(&["snp.crl.signature"]);
    for lists in [[forged.clone(), genoa().crl().der()], [genoa().crl().der(), forged]] {
        plain().lists(lists).admitted();
    }
}

#[test]
fn a_revoked_intermediate_is_refused() {
    with(&genoa().crl().revoke(ASK).der()).refused_by(&["snp.crl.intermediate"]);
    with(&genoa().crl().revoke(7).revoke(ASK).revoke(8).der()).refused_by(&["snp.crl.intermediate"]);
}

#[test]
fn a_revoked_sibling_changes_nothing() {
    with(&genoa().crl().revoke(ASVK).revoke(0x02_0001).der()).admitted();
}

/// Every VCEK has the serial 0: an entry names a certificate by its issuer too.
#[test]
fn a_revoked_serial_0_of_the_root_is_no_vcek() {
    with(&genoa().crl().revoke(0).der()).admitted();
}

#[test]
fn a_vcek_revoked_by_its_issuers_own_list_is_refused() {
    let by_ask = |list: CrlBuilder| list.issued_by(genoa().authority(Role::Ask)).der();
    let root = genoa().crl().der();
    plain().lists([root.clone(), by_ask(genoa().crl().revoke(0))]).refused_by(&["snp.crl.vek"]);
    plain().lists([root.clone(), by_ask(genoa().crl().revoke(1))]).admitted();
    let stale = by_ask(genoa().crl().next_update(EPOCH - 1));
    plain().lists([root, stale]).refused_by(&["snp.crl.current"]);
}

#[test]
fn a_vcek_revoked_by_an_entry_for_its_issuer_is_refused() {
    with(&genoa().crl().revoke_of("SEV-Genoa", 0).der()).refused_by(&["snp.crl.vek"]);
    with(&genoa().crl().revoke_of("SEV-Turin", 0).der()).admitted();
    let declared = genoa().crl().revoke_of("SEV-Genoa", 0).indirect().der();
    with(&declared).refused_by(&["snp.crl.critical_extensions", "snp.crl.vek"]);
}

/// RFC 5280, 5.3.3: an entry without an issuer of its own has that of the entry before.
#[test]
fn an_entry_inherits_the_issuer_of_the_entry_before() {
    let list = genoa().crl().revoke_of("SEV-Genoa", 5).revoke(0).der();
    with(&list).refused_by(&["snp.crl.vek"]);
    let list = genoa().crl().revoke_of("SEV-Genoa", 5).revoke(ASK).der();
    with(&list).admitted();
}

#[test]
fn the_newest_list_counts_wherever_it_stands() {
    let older = genoa().crl().this_update(EPOCH - 1000).der();
    let newer = genoa().crl().this_update(EPOCH - 10).revoke(ASK).der();
    for lists in [[older.clone(), newer.clone()], [newer, older]] {
        plain().lists(lists).refused_by(&["snp.crl.intermediate"]);
    }
}

#[test]
fn a_delta_list_is_not_a_list() {
    let delta = genoa().crl().critical_extension(oid::DELTA_CRL_INDICATOR, &[2, 1, 1]).der();
    with(&delta).refused_by(&["snp.crl.critical_extensions"]);
}

#[test]
fn a_cut_list_is_not_judged() {
    let list = genoa().crl().der();
    with(&list[..list.len() - 1]).not_judged("endorsement.malformed");
    with(&[list.as_slice(), &[0]].concat()).not_judged("endorsement.padded");
}

#[test]
fn a_list_older_than_the_policy_allows_is_refused_although_it_is_current() {
    let list = genoa().crl().this_update(EPOCH - 3 * 86_400 - 1).der();
    let days = |days: &'static str| with(&list).policy(|p| p.with("freshness.collateral_days", days));
    days("4").admitted();
    days("3").refused_by(&["snp.crl.age"]);
    let own = |days: &'static str| with(&list).policy(|p| p.with("freshness.crl_days", days));
    own("4").admitted();
    own("3").refused_by(&["snp.crl.age"]);
}

#[test]
fn a_verdict_holds_no_longer_than_the_list_is_young_enough() {
    let list = genoa().crl().this_update(EPOCH - 3 * 86_400 + 60).der();
    let days = |days: &'static str| {
        with(&list).policy(|p| p.with("freshness.crl_days", days)).admitted().valid_until
    };
    assert_eq!(days("3"), UnixTime(EPOCH + 61), "the first second at which it is too old");
    assert!(days("4") > days("3"));
}

#[test]
fn evidence_verified_without_a_list_is_admitted_by_no_policy() {
    let mut case = plain().lists([]);
    case.revocation = Revocation::InsecureWaived;
    let record = case.refused_by(&["snp.crl.present"]);
    assert!(record.checks.iter().any(|c| c.id == "snp.crl.current" && c.verdict == Answer::Waived));
    for check in ["snp.crl.present", "snp.crl.age"] {
        let text = case.policy.clone().waiving(&[check], "2030-01-01T00:00:00Z").text();
        let error = Policy::parse(&AwsLcRs, &text).unwrap_err();
        assert_eq!(error, attest::BadPolicy::Waiver(check.to_owned()));
    }
}

fn with(list: &[u8]) -> Case {
    plain().lists([list.to_vec()])
}

fn plain() -> Case {
    vcek_case(&genoa(), |report| report)
}

fn genoa() -> Chip {
    Chip::new(1, Product::Genoa)
}
