//! PCRs as the agent's other parts extend them.

use attest::crypto::{AwsLcRs, Crypto as _, Hash};
use node_agent::config::parse_tcti;
use node_agent::registers::Register as _;
use node_agent::vtpm::pcr;
use simulator::vtpm::{Vtpm, manufacture};
use tempfile::TempDir;

use crate::harness::vtpm;

#[test]
fn a_register_takes_a_content_in_in_every_active_bank() {
    let Some(tpm) = vtpm() else { return };
    let register = pcr(&parse_tcti(&tpm.tcti()).unwrap(), 15);
    assert_eq!(register.name(), "PCR 15");
    let before = register.values().unwrap();
    // A blank swtpm has all four.
    assert_eq!(
        before.keys().copied().collect::<Vec<_>>(),
        [Hash::Sha1, Hash::Sha256, Hash::Sha384, Hash::Sha512]
    );
    assert!(before.values().flatten().all(|byte| *byte == 0));
    register.extend(b"prod-eu-1").unwrap();
    let after = register.values().unwrap();
    let (sha256, sha384) = (AwsLcRs.sha256(&[b"prod-eu-1"]), AwsLcRs.sha384(&[b"prod-eu-1"]));
    assert_eq!(after[&Hash::Sha256], AwsLcRs.sha256(&[&[0; 32], &sha256.0]).0);
    assert_eq!(after[&Hash::Sha384], AwsLcRs.sha384(&[&[0; 48], &sha384.0]).0);
    assert!(after.iter().all(|(bank, value)| before[bank] != *value));
    register.extend(b"prod-eu-1").unwrap();
    assert_eq!(
        register.values().unwrap()[&Hash::Sha256],
        AwsLcRs.sha256(&[&after[&Hash::Sha256], &sha256.0]).0
    );
}

#[test]
fn banks_that_are_not_active_are_left_out() {
    let Some(blank) = vtpm() else { return };
    drop(blank);
    let state = TempDir::new().unwrap();
    manufacture(state.path()).unwrap();
    let tpm = Vtpm::start_in(state.path()).unwrap();
    let register = pcr(&parse_tcti(&tpm.tcti()).unwrap(), 14);
    register.extend(b"facts").unwrap();
    let values = register.values().unwrap();
    assert_eq!(values.keys().copied().collect::<Vec<_>>(), [Hash::Sha256, Hash::Sha384]);
}

#[test]
fn a_register_that_no_tpm_has_is_refused_before_the_tpm_is_asked() {
    let register = pcr(&parse_tcti("device:/dev/none").unwrap(), 24);
    assert_eq!(register.extend(b"x").unwrap_err().to_string(), "TPM: expected PCR 0 to 23, found 24");
    assert_eq!(register.values().unwrap_err().to_string(), "TPM: expected PCR 0 to 23, found 24");
}
