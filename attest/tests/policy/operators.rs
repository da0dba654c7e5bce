//! Laws of the operators: TCBs are a lattice, and raising a part never turns a yes into a no.

use attest::crypto::AwsLcRs;
use attest::snp::Tcb;
use attest::{Policy, UnixTime};
use proptest::prelude::*;
use simulator::snp::{Chip, EPOCH, Product};

use crate::case::{Case, Outcome, failing};
use crate::document::Document;
use crate::silicon::vcek_case;

fn any_tcb() -> impl Strategy<Value = Tcb> {
    // Few values, so that equal ones are common.
    let part = 0u8..6;
    (proptest::option::of(part.clone()), part.clone(), part.clone(), part.clone(), part)
        .prop_map(|(fmc, bl, tee, snp, ucode)| Tcb { fmc, bl, tee, snp, ucode })
}

/// Part by part, the lower of two of one layout.
fn meet(a: Tcb, b: Tcb) -> Tcb {
    Tcb {
        fmc: a.fmc.zip(b.fmc).map(|(a, b)| a.min(b)),
        bl: a.bl.min(b.bl),
        tee: a.tee.min(b.tee),
        snp: a.snp.min(b.snp),
        ucode: a.ucode.min(b.ucode),
    }
}

fn raised(tcb: Tcb, part: usize, by: u8) -> Tcb {
    let mut tcb = tcb;
    match part {
        0 => tcb.fmc = tcb.fmc.map(|fmc| fmc.saturating_add(by)),
        1 => tcb.bl = tcb.bl.saturating_add(by),
        2 => tcb.tee = tcb.tee.saturating_add(by),
        3 => tcb.snp = tcb.snp.saturating_add(by),
        _ => tcb.ucode = tcb.ucode.saturating_add(by),
    }
    tcb
}

/// As one number, the way that others compared it: microcode first.
fn as_number(tcb: Tcb) -> u64 {
    u64::from_be_bytes([tcb.ucode, tcb.snp, 0, 0, 0, tcb.tee, tcb.bl, tcb.fmc.unwrap_or(0)])
}

proptest! {
    #[test]
    fn meets_is_an_order_and_the_part_wise_lower_one_is_its_meet(a in any_tcb(), b in any_tcb(), c in any_tcb()) {
        prop_assert!(a.meets(a));
        prop_assert!(!(a.meets(b) && b.meets(c)) || a.meets(c));
        prop_assert!(!(a.meets(b) && b.meets(a)) || a == b);
        let low = meet(a, b);
        if a.fmc.is_some() == b.fmc.is_some() {
            prop_assert!(a.meets(low) && b.meets(low));
            prop_assert!(!(a.meets(c) && b.meets(c)) || low.meets(c));
        } else {
            prop_assert!(!a.meets(b) && !b.meets(a), "two layouts are never compared");
        }
    }

    #[test]
    fn raising_any_part_never_turns_a_yes_into_a_no(tcb in any_tcb(), floor in any_tcb(), part in 0usize..5, by in 1u8..) {
        prop_assert!(!tcb.meets(floor) || raised(tcb, part, by).meets(floor));
        prop_assert!(tcb.meets(floor) || !tcb.meets(raised(floor, part, by)));
    }

    /// Lesson L7: a TCB is not one number.
    #[test]
    fn l07_a_part_below_its_floor_is_below_it_whatever_the_others_are(tcb in any_tcb(), part in 1usize..5) {
        let floor = raised(tcb, part, 1);
        let others = (1..5).filter(|other| *other != part);
        let high = others.fold(tcb, |tcb, other| raised(tcb, other, u8::MAX));
        prop_assert!(!high.meets(floor));
        if part != 4 {
            prop_assert!(as_number(high) > as_number(floor), "the comparison that this is not");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// The same for the whole policy: a machine whose firmware rises is not refused for it.
    #[test]
    fn a_policy_that_admits_a_machine_admits_it_with_any_part_raised(
        floor in any_tcb(), parts in proptest::collection::vec((1usize..5, 1u8..40), 0..4),
    ) {
        let base = Tcb { fmc: None, bl: 3, tee: 3, snp: 3, ucode: 3 };
        let high = parts.iter().fold(base, |tcb, (part, by)| raised(tcb, *part, *by));
        let floor = Tcb { fmc: None, ..floor };
        let outcome = |tcb: Tcb| tcb_refusals(tcb, floor);
        prop_assert_eq!(outcome(base).is_empty(), base.meets(floor));
        prop_assert!(!outcome(base).is_empty() || outcome(high).is_empty());
    }

    #[test]
    fn a_least_value_admits_it_and_every_higher_one(svn in 0u32..9, least in 0u32..9) {
        let case = vcek_case(&Chip::new(1, Product::Genoa), |report| report.guest_svn(svn));
        let case = case.policy(|policy| policy.with("snp.guest_svn", &format!("{{ min = {least} }}")));
        prop_assert_eq!(refusals(&case).is_empty(), svn >= least);
    }

    #[test]
    fn a_mask_looks_at_its_bits_and_at_no_others(found: u64, mask in 0u64..=0x7fff_ffff_ffff_ffff, value in 0u64..=0x7fff_ffff_ffff_ffff) {
        let case = vcek_case(&Chip::new(1, Product::Genoa), |report| report.launch_mitigation_vector(found));
        let with = |value: u64| {
            let rule = format!("{{ mask = {mask}, value = {value} }}");
            case.clone().policy(|policy| policy.with("snp.mitigations.launch", &rule))
        };
        prop_assert_eq!(refusals(&with(value & mask)).is_empty(), found & mask == value & mask);
        // A bit that is not looked at and is asked for all the same: the author means something else.
        let parses = Policy::parse(&AwsLcRs, &with(value).policy.text()).is_ok();
        prop_assert_eq!(parses, value & !mask == 0);
    }

    #[test]
    fn a_longer_list_never_refuses_more(found in 0u32..4, short in proptest::collection::vec(0u32..4, 1..4), more in proptest::collection::vec(0u32..4, 0..4)) {
        let case = vcek_case(&Chip::new(1, Product::Genoa), |report| report.vmpl(found));
        let list = |values: &[u32]| {
            let case = case.clone().policy(|policy| policy.with("snp.vmpl", &format!("{{ any_of = {values:?} }}")));
            refusals(&case).is_empty()
        };
        prop_assert_eq!(list(&short), short.contains(&found));
        prop_assert!(!list(&short) || list(&[short.as_slice(), &more].concat()));
    }

    /// Lesson L5, on every section at once: a key that no version knows is never passed over.
    #[test]
    fn l05_a_key_that_is_not_known_is_refused_wherever_it_stands(at in any::<prop::sample::Index>(), key in "[a-z]{3,9}_[a-z]{3,9}") {
        let document = Document::admitting_simulated();
        let tables: Vec<String> = document
            .keys()
            .filter(|key| key.contains('.') && !key.starts_with("snp.tcb"))
            .map(|key| key.rsplit_once('.').unwrap().0.to_owned())
            .chain(std::iter::once(String::new()))
            .collect();
        let table = &tables[at.index(tables.len())];
        let path = if table.is_empty() { key } else { format!("{table}.{key}") };
        let text = document.with(&path, "true").text();
        let error = Policy::parse(&AwsLcRs, &text).unwrap_err();
        prop_assert!(error.to_string().contains("unknown field"), "{}", error);
    }
}

/// What a policy with this floor, for all four, says of a machine that runs `tcb`.
fn tcb_refusals(tcb: Tcb, floor: Tcb) -> Vec<String> {
    let chip = Chip::new(1, Product::Genoa);
    let tcb =
        simulator::snp::Tcb { fmc: 0, bootloader: tcb.bl, tee: tcb.tee, snp: tcb.snp, microcode: tcb.ucode };
    let case = vcek_case(&chip, |report| report.launch_tcb(tcb));
    let floor =
        format!("{{ bl = {}, tee = {}, snp = {}, ucode = {} }}", floor.bl, floor.tee, floor.snp, floor.ucode);
    refusals(&case.policy(|policy| policy.with("snp.tcb.genoa.launch", &floor)))
}

fn refusals(case: &Case) -> Vec<String> {
    assert_eq!(case.now, UnixTime(EPOCH));
    match case.judge() {
        Outcome::Admitted(_) => Vec::new(),
        Outcome::Refused(appraisal) => failing(&appraisal).into_iter().map(str::to_owned).collect(),
        Outcome::NotJudged(error) => panic!("{error}"),
    }
}
