//! A TD that outlived its TDX module, and what was revoked meanwhile.

use attest::tdx::TcbStatus;
use simulator::tdx::{Body, Platform, levels};

use crate::machine::Machine;

#[test]
fn a_td_that_was_launched_under_an_old_module_should_be_launched_anew() {
    for (launch, current, status) in [
        ([4, 1], [6, 1], TcbStatus::TdRelaunchAdvised),
        ([4, 1], [4, 1], TcbStatus::OutOfDate),
        ([6, 1], [6, 1], TcbStatus::UpToDate),
        // Intel's library looks at the launch alone here; what runs now is older all the same.
        ([6, 1], [4, 1], TcbStatus::OutOfDate),
    ] {
        let tcb = machine(launch, current).claims().platform.tcb.clone();
        assert_eq!(tcb.status, status, "{launch:?} then {current:?}");
        assert_eq!(tcb.launch.status == TcbStatus::OutOfDate, launch == [4, 1]);
        assert!(tcb.current.is_some());
    }
}

#[test]
fn a_module_that_intel_does_not_name_is_refused_at_launch_and_now() {
    assert_eq!(machine([6, 2], [6, 1]).failing(), ["tdx.module.identity", "tdx.module.launch"]);
    assert_eq!(machine([6, 1], [6, 2]).failing(), ["tdx.module.current"]);
}

#[test]
fn a_module_below_all_levels_is_refused() {
    assert_eq!(machine([1, 1], [6, 1]).failing(), ["tdx.module.launch"]);
    assert_eq!(machine([6, 1], [1, 1]).failing(), ["tdx.module.current"]);
}

#[test]
fn a_revoked_module_is_refused_even_where_only_the_current_one_is() {
    let platform = Platform::new(1);
    let info = platform.tcb_info().text("/tdxModuleIdentities/1/tcbLevels/1/tcbStatus", "Revoked").json();
    for (launch, current) in [([4, 1], [6, 1]), ([6, 1], [4, 1]), ([4, 1], [4, 1])] {
        let mut machine = machine(launch, current);
        machine.collateral.tcb_info = info.clone();
        assert_eq!(machine.failing(), ["tdx.tcb.not_revoked"], "{launch:?} then {current:?}");
    }
}

#[test]
fn a_revoked_platform_or_enclave_is_refused() {
    let [_, _, _, revoked] = levels();
    let platform = Platform::new(1).with_tcb(revoked.sgx, revoked.pce_svn);
    let old = [6, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let quote = platform.quote().tee_tcb_svn(old);
    let machine = Machine::simulated("revoked platform", platform.collateral(), &quote);
    assert_eq!(machine.failing(), ["tdx.tcb.not_revoked"]);

    let platform = Platform::new(1);
    let mut collateral = platform.collateral();
    collateral.qe_identity = platform.qe_identity().text("/tcbLevels/1/tcbStatus", "Revoked").json();
    let quote = platform.quote().qe_isv_svn(4);
    assert_eq!(Machine::simulated("revoked QE", collateral, &quote).failing(), ["tdx.tcb.not_revoked"]);
}

#[test]
fn a_status_that_a_component_cannot_have_is_no_document() {
    let platform = Platform::new(1);
    for status in ["TDRelaunchAdvisedConfigurationNeeded", "TDRelaunchAdvised", "Fine"] {
        let mut collateral = platform.collateral();
        collateral.qe_identity = platform.qe_identity().text("/tcbLevels/0/tcbStatus", status).json();
        let machine = Machine::simulated(status, collateral, &platform.quote());
        let error = machine.verify().unwrap_err();
        assert!(matches!(error, attest::Unverified::CannotJudge(attest::CannotJudge::Endorsement { .. })));
    }
}

/// A TD 1.5 on a platform that is up to date, by minor and major version of the TDX module.
fn machine(launch: [u8; 2], current: [u8; 2]) -> Machine {
    let svn = |[minor, major]: [u8; 2]| [minor, major, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let platform = Platform::new(1);
    let quote = platform.quote().version(5).body(Body::Td15);
    let quote = quote.tee_tcb_svn(svn(launch)).tee_tcb_svn_2(svn(current));
    Machine::simulated("a TD 1.5", platform.collateral(), &quote)
}
