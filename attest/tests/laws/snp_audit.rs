//! Endorsements by themselves, without a report.

use attest::crypto::AwsLcRs;
use attest::{Answer, Check, Endorsements, Revocation, UnixTime, Unverified, snp};
use simulator::snp::{Chip, EPOCH, Product, Vendor};

use crate::silicon::{NOW, anchors};

#[test]
fn the_authorities_of_every_line_hold_and_a_foreign_root_does_not() {
    for product in Product::ALL {
        let chip = Chip::new(1, product);
        let chain = chip.chain();
        let all = vec![chain.asvk, chain.ark, chain.ask.clone()];
        assert!(authorities(all, NOW).is_ok());
        let foreign = chip.clone().with_vendor(Vendor::Other).ark().der();
        let ids = refusals(authorities(vec![chain.ask.clone(), foreign], NOW));
        assert_eq!(ids, ["snp.chain.root", "snp.chain.root_signature", "snp.chain.root"]);
        let late = UnixTime(EPOCH + 30 * 365 * 86_400);
        assert_eq!(refusals(authorities(vec![chain.ask], late)), ["snp.chain.dates"]);
    }
}

#[test]
fn an_altered_root_or_a_misnamed_authority_is_refused() {
    let chip = Chip::new(1, Product::Genoa);
    let mut altered = chip.ark().der();
    let last = altered.len() - 1;
    altered[last] ^= 1;
    assert_eq!(refusals(authorities(vec![altered], NOW)), ["snp.chain.root_signature"]);
    let misnamed = chip.ask().subject("SEV-Turin").der();
    assert_eq!(refusals(authorities(vec![misnamed], NOW)), ["snp.chain.intermediate_name"]);
    assert!(
        matches!(authorities(vec![], NOW), Err(Unverified::CannotJudge(error)) if error.code() == "endorsement.missing")
    );
}

#[test]
fn a_vek_is_judged_alone_and_only_alone() {
    let chip = Chip::new(1, Product::Turin);
    let chain = chip.chain();
    let lists = vec![chip.crl().der()];
    let verify = |certificates: Vec<Vec<u8>>| {
        let brought =
            Endorsements { certificates, revocation_lists: lists.clone(), ..Endorsements::default() };
        let simulated = anchors(Vendor::Simulated);
        snp::verify_vek(&brought, &AwsLcRs, &simulated, Revocation::Required, NOW)
    };
    assert!(verify(vec![chain.ask.clone(), chain.vcek.clone()]).is_ok());
    assert!(verify(vec![chain.vlek.clone(), chain.asvk]).is_ok());
    let two = verify(vec![chain.vcek, chain.vlek, chain.ask.clone()]).unwrap_err();
    assert!(matches!(two, Unverified::CannotJudge(error) if error.code() == "input.too_much"));
    let none = verify(vec![chain.ask]).unwrap_err();
    assert!(matches!(none, Unverified::CannotJudge(error) if error.code() == "endorsement.missing"));
}

#[test]
fn every_list_is_judged_by_its_own_root() {
    let lists = |lists: Vec<Vec<u8>>| {
        let brought =
            Endorsements { certificates: vec![], revocation_lists: lists, ..Endorsements::default() };
        snp::verify_revocation_lists(&brought, &AwsLcRs, &anchors(Vendor::Simulated), NOW)
    };
    let good = Product::ALL.map(|product| Chip::new(1, product).crl().der()).to_vec();
    assert!(lists(good.clone()).is_ok());
    let foreign = Chip::new(1, Product::Genoa).with_vendor(Vendor::Other).crl().der();
    assert_eq!(refusals(lists([good, vec![foreign]].concat())), ["snp.crl.signature"]);
    let stale = Chip::new(1, Product::Milan).crl().next_update(EPOCH - 1).der();
    assert_eq!(refusals(lists(vec![stale])), ["snp.crl.current"]);
    assert!(lists(vec![]).is_err());
}

fn authorities(certificates: Vec<Vec<u8>>, now: UnixTime) -> Result<Vec<Check>, Unverified> {
    let brought = Endorsements { certificates, revocation_lists: vec![], ..Endorsements::default() };
    snp::verify_authorities(&brought, &AwsLcRs, &anchors(Vendor::Simulated), now)
}

fn refusals<T>(result: Result<T, Unverified>) -> Vec<String> {
    let Err(Unverified::Rejected(rejected)) = result else { panic!("not a rejection") };
    let failed = rejected.checks().iter().filter(|check| check.verdict == Answer::Fail);
    failed.map(|check| check.id.clone()).collect()
}
