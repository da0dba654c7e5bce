//! What is admitted, and what is refused by which check.

use crate::boots::{COMMAND_LINE, boots};
use crate::judge::{judge, log, with_log};

#[test]
fn a_machine_that_boots_what_was_built_is_accepted_by_its_log() {
    let Some(boots) = boots() else { return };
    assert_eq!(boots.good.command_line, COMMAND_LINE);
    assert_eq!(judge(boots, "good", &boots.good.evidence), ("accepted".to_owned(), Vec::new()));
}

#[test]
fn a_changed_command_line_is_refused_though_the_owner_signed_it() {
    let Some(boots) = boots() else { return };
    assert_eq!(boots.changed.command_line, format!("{COMMAND_LINE} lockdown=none"));
    let (verdict, failing) = judge(boots, "changed", &boots.changed.evidence);
    assert_eq!(verdict, "refused");
    assert_eq!(failing, ["tpm.boot.images", "tpm.boot.kernel_cmdline", "tpm.boot.uki"]);
}

#[test]
fn firmware_does_not_start_an_image_that_nobody_signed() {
    let Some(boots) = boots() else { return };
    let ours = "failed to load Boot0001 \"UEFI Misc Device\" from PciRoot(0x0)/Pci(0x1,0x0): Access Denied";
    assert!(boots.unsigned.contains(ours), "{}", boots.unsigned);
    assert!(!boots.unsigned.contains("starting Boot0001"), "{}", boots.unsigned);
}

#[test]
fn with_secure_boot_off_it_starts_and_the_policy_refuses_it() {
    let Some(boots) = boots() else { return };
    assert_eq!(boots.unguarded.command_line, COMMAND_LINE);
    let (verdict, failing) = judge(boots, "unguarded", &boots.unguarded.evidence);
    assert_eq!(verdict, "refused");
    let expected = ["secure_boot", "pk", "kek", "db", "images"];
    assert_eq!(failing, expected.map(|name| format!("tpm.boot.{name}")));
}

#[test]
fn the_log_of_an_earlier_boot_does_not_replay() {
    let Some(boots) = boots() else { return };
    let evidence = with_log(&boots.changed.evidence, log(&boots.good.evidence));
    let replay = ("refused".to_owned(), vec!["tpm.log.replay".to_owned()]);
    assert_eq!(judge(boots, "earlier", &evidence), replay);
}

#[test]
fn a_log_without_its_last_event_does_not_replay() {
    let Some(boots) = boots() else { return };
    let log = log(&boots.good.evidence);
    assert!(log.ends_with(LAST_EVENT), "{}", hex::encode(log));
    // TCG_PCR_EVENT2: index, type, two digests, and the text with its length.
    let last = 4 + 4 + (4 + 2 + 32 + 2 + 48) + 4 + LAST_EVENT.len();
    let evidence = with_log(&boots.good.evidence, &log[..log.len() - last]);
    let replay = ("refused".to_owned(), vec!["tpm.log.replay".to_owned()]);
    assert_eq!(judge(boots, "shortened", &evidence), replay);
}

const LAST_EVENT: &[u8] = b"Exit Boot Services Returned with Success";
