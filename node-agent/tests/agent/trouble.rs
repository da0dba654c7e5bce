//! A TPM in trouble: what the caller is told, what an operator does, and that the next caller is served.

use attest::TrustAnchors;
use node_agent::config::{parse_handle, parse_tcti};
use node_agent::registers::Register as _;
use node_agent::vtpm::{endorsement, ensure, pcr};
use simulator::vtpm::{Trouble, Troubled, Vtpm, manufacture};
use tempfile::TempDir;

use crate::harness::{Agent, request, verified, vtpm};
use crate::tpm::enrolled;

/// A TPM with a key, behind trouble, and the agent before both.
struct Machine {
    troubled: Troubled,
    agent: Agent,
    anchors: TrustAnchors,
    _tpm: Vtpm,
}

impl Machine {
    fn new(command: Option<u32>, trouble: Trouble) -> Option<Self> {
        let tpm = vtpm()?;
        let anchors = enrolled(&tpm);
        let troubled = Troubled::before(&tpm, command, trouble).unwrap();
        let agent = Agent::start(&format!("[tpm]\ntcti = {:?}\nak_handle = 0x81010002\n", troubled.tcti()));
        Some(Self { troubled, agent, anchors, _tpm: tpm })
    }

    fn told(&self) -> (String, String) {
        let failure = self.agent.failure(&request(1, None));
        (failure.code, failure.message)
    }
}

const QUOTE: u32 = 0x158;
const PCR_READ: u32 = 0x17e;
const NV_READ: u32 = 0x14e;
const READ_PUBLIC: u32 = 0x173;

#[test]
fn each_trouble_of_a_tpm_is_told_with_what_to_do_and_the_next_caller_is_served() {
    let failure_mode =
        "TPM_RC_FAILURE: it is in failure mode until its power is cut: turn the machine off and on";
    let lockout = "TPM_RC_LOCKOUT: wait, or end it with `tpm2_dictionarylockout --clear-lockout`";
    let retry = "TPM_RC_RETRY: it is busy with other work: ask again later";
    let password =
        "TPM_RC_AUTH_FAIL: somebody gave the key or the hierarchy a password, and the agent has none";
    for (command, code, answer, message) in [
        (READ_PUBLIC, 0x101, "agent.hardware", format!("TPM: finding the key: {failure_mode}")),
        (PCR_READ, 0x101, "agent.hardware", format!("TPM: reading PCRs: {failure_mode}")),
        (QUOTE, 0x921, "agent.hardware", format!("TPM: quoting: {lockout}")),
        (QUOTE, 0x922, "agent.busy", format!("TPM: quoting: {retry}")),
        (QUOTE, 0x98e, "agent.hardware", format!("TPM: quoting: {password}")),
    ] {
        let Some(machine) = Machine::new(Some(command), Trouble::Code(code)) else { return };
        assert_eq!(machine.told(), (answer.to_owned(), message));
        machine.troubled.heal();
        verified(&machine.agent.evidence(&request(2, None)), &machine.anchors);
    }
}

#[test]
fn a_tpm_that_is_gone_in_the_middle_is_told_and_one_that_comes_back_is_used() {
    let Some(machine) = Machine::new(Some(QUOTE), Trouble::Gone) else { return };
    let message = "TPM: quoting: the device is gone, or what it says makes no sense; look for its driver, or start \
                   its program";
    assert_eq!(machine.told(), ("agent.hardware".to_owned(), message.to_owned()));
    machine.agent.journal_with("the device is gone");
    machine.troubled.heal();
    verified(&machine.agent.evidence(&request(2, None)), &machine.anchors);
}

#[test]
fn a_tpm_that_only_fails_is_no_tpm_without_a_key() {
    let Some(tpm) = vtpm() else { return };
    let troubled = Troubled::before(&tpm, None, Trouble::Code(0x101)).unwrap();
    let (tcti, handle) = (parse_tcti(&troubled.tcti()).unwrap(), parse_handle(0x8101_0002).unwrap());
    let told = ensure(&tcti, handle).unwrap_err().to_string();
    let advice = "TPM_RC_FAILURE: it is in failure mode until its power is cut: turn the machine off and on";
    assert_eq!(told, format!("TPM: listing handles: {advice}"));
    let told = pcr(&tcti, 15).extend(b"x").unwrap_err().to_string();
    assert_eq!(told, format!("TPM: listing the PCR banks: {advice}"));
    troubled.heal();
    ensure(&tcti, handle).unwrap();
}

#[test]
fn an_index_that_is_locked_is_told() {
    let Some(blank) = vtpm() else { return };
    drop(blank);
    let state = TempDir::new().unwrap();
    manufacture(state.path()).unwrap();
    let tpm = Vtpm::start_in(state.path()).unwrap();
    let troubled = Troubled::before(&tpm, Some(NV_READ), Trouble::Code(0x148)).unwrap();
    let told = endorsement(&parse_tcti(&troubled.tcti()).unwrap()).unwrap_err().to_string();
    assert_eq!(told, "TPM: reading an NV index: TPM_RC_NV_LOCKED: the index is locked until the next boot");
}

#[test]
fn a_device_that_may_not_be_opened_or_is_not_there_is_told_with_its_path() {
    let agent = Agent::start("[tpm]\ntcti = \"device:/dev/none\"\nak_handle = 0x81010002\n");
    let failure = agent.failure(&request(1, None));
    assert_eq!(failure.code, "agent.hardware");
    let expected = "TPM: /dev/none: No such file or directory (os error 2); this machine has no TPM, or its driver \
                    is not loaded";
    assert_eq!(failure.message, expected);
}
