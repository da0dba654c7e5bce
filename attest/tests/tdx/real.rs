//! Real quotes: whatever is changed in one is noticed, at any time but its own it does not hold.

use attest::crypto::{AwsLcRs, RustCrypto};
use attest::{Malformed, Platform, tdx};

use crate::machine::{captured, captured_quotes, failing};

#[test]
fn a_real_quote_verifies_with_both_libraries_to_the_same_checks() {
    for machine in captured() {
        let ours = machine.verify().unwrap_or_else(|error| panic!("{}: {error}", machine.name));
        let second = machine.verify_by(&RustCrypto, &machine.quote, machine.at).unwrap();
        assert_eq!(ours.checks(), second.checks(), "{}", machine.name);
        assert_eq!(ours.roots(), attest::Roots::Vendor);
    }
}

#[test]
fn the_status_is_the_one_that_the_set_states() {
    use tdx::TcbStatus::{OutOfDate, UpToDate};
    let expected = [UpToDate, UpToDate, OutOfDate, UpToDate];
    for (machine, status) in captured().iter().zip(expected) {
        let tcb = &machine.claims().platform.tcb;
        assert_eq!(tcb.status, status, "{}", machine.name);
        assert_eq!(tcb.launch.advisories.is_empty(), status == UpToDate, "{}", machine.name);
    }
}

#[test]
fn every_truncation_of_a_real_quote_is_refused_and_so_is_a_byte_more() {
    for (name, quote) in captured_quotes() {
        for length in 0..quote.len() {
            assert!(tdx::Quote::parse(&quote[..length]).is_err(), "{name}: {length}");
            assert!(tdx::Quote::length(&quote[..length]).is_err(), "{name}: {length}");
        }
        let longer = [quote.as_slice(), &[0]].concat();
        assert_eq!(tdx::Quote::parse(&longer).unwrap_err(), Malformed::Trailing { extra: 1 }, "{name}");
        assert_eq!(tdx::Quote::length(&longer), Ok(quote.len()), "{name}");
    }
}

#[test]
fn every_flipped_bit_of_what_is_signed_is_refused() {
    for machine in captured() {
        let signed = signed_len(&machine.quote);
        for at in 0..signed {
            let mut quote = machine.quote.clone();
            quote[at] ^= 1 << (at % 8);
            assert!(machine.verify_by(&AwsLcRs, &quote, machine.at).is_err(), "{}: {at}", machine.name);
        }
    }
}

#[test]
fn every_changed_byte_of_what_vouches_for_the_key_is_refused() {
    for machine in captured() {
        let signed = signed_len(&machine.quote);
        // Lengths, signature, key, QE report, its signature, authentication data, then the certificates.
        let last = machine.quote.len() - 2;
        for at in (signed..signed + 700).chain((signed + 700..last).step_by(11)) {
            let mut quote = machine.quote.clone();
            quote[at] ^= 0x55;
            assert!(machine.verify_by(&AwsLcRs, &quote, machine.at).is_err(), "{}: {at}", machine.name);
        }
    }
}

#[test]
fn collateral_holds_in_its_window_and_not_a_second_longer() {
    for machine in captured() {
        let window = machine.claims().platform.window;
        for (at, holds) in [
            (window.from.0 - 1, false),
            (window.from.0, true),
            (window.until.0 - 1, true),
            (window.until.0, false),
        ] {
            let verified = machine.verify_by(&AwsLcRs, &machine.quote, at);
            assert_eq!(verified.is_ok(), holds, "{} at {at}", machine.name);
            if let Err(unverified) = verified {
                let ids = failing(&unverified);
                assert!(!ids.is_empty() && ids.iter().all(|id| id.ends_with(".current")), "{ids:?}");
            }
        }
    }
}

#[test]
fn a_real_platform_does_not_verify_under_another_root() {
    for mut machine in captured() {
        let other = simulator::tdx::Platform::new(1).collateral().root;
        machine.collateral.root = other.clone();
        let anchors = attest::TrustAnchors::insecure_simulated(&[other]).unwrap();
        let evidence = attest::parse(Platform::Tdx, &machine.quote).unwrap();
        let at = attest::UnixTime(machine.at);
        let required = attest::Revocation::Required;
        let prepared = machine.endorsements().prepare(&AwsLcRs, &evidence, &anchors, required, at);
        let ids = failing(&prepared.unwrap_err());
        assert!(ids.contains(&"tdx.chain.root".to_owned()), "{ids:?}");
    }
}

#[test]
fn what_was_prepared_for_one_enclave_serves_no_other() {
    let machines = captured();
    for one in &machines {
        let at = attest::UnixTime(one.at);
        let required = attest::Revocation::Required;
        let evidence = attest::parse(Platform::Tdx, &one.quote).unwrap();
        let prepared = one.endorsements().prepare(&AwsLcRs, &evidence, &one.anchors(), required, at).unwrap();
        for other in machines.iter().filter(|other| other.name != one.name) {
            let evidence = attest::parse(Platform::Tdx, &other.quote).unwrap();
            let ids = failing(&evidence.verify(&AwsLcRs, &prepared, at).unwrap_err());
            assert_eq!(ids, ["tdx.endorsement.qe", "tdx.quote.signature"], "{} of {}", other.name, one.name);
        }
    }
}

/// Header, body descriptor, body.
fn signed_len(quote: &[u8]) -> usize {
    match (quote[0], quote[48]) {
        (4, _) => 48 + 584,
        (_, 3) => 54 + 648,
        _ => 54 + 885,
    }
}
