//! The unchanged agent joins an OpenBao outside, over TLS, by the word of its TPM's manufacturer.

use crate::boots::boots;

#[test]
fn a_machine_that_boots_what_was_built_joins_and_its_name_is_its_own() {
    let Some(boots) = boots() else { return };
    let (code, said) = &boots.good.joined;
    let last = said.lines().last().unwrap_or_default();
    assert!(*code == 0 && last.starts_with("admitted for "), "{code} {said}");
    assert_eq!(boots.register["ids"]["platform"], "tpm2", "{:#}", boots.register);
    assert_eq!(boots.register["ids"]["ek"].as_str().unwrap().len(), 64, "{:#}", boots.register);
}

#[test]
fn openbao_refuses_the_same_machine_with_another_command_line() {
    let Some(boots) = boots() else { return };
    let (code, said) = &boots.changed.joined;
    assert_eq!(*code, 1, "{said}");
    for check in ["tpm.boot.images", "tpm.boot.kernel_cmdline", "tpm.boot.uki"] {
        assert!(said.contains(check), "{said}");
    }
    assert!(!said.contains("node.") && !said.contains("tpm.log"), "{said}");
}

#[test]
fn openbao_refuses_the_same_machine_with_secure_boot_off() {
    let Some(boots) = boots() else { return };
    let (code, said) = &boots.unguarded.joined;
    assert_eq!(*code, 1, "{said}");
    assert!(said.contains("tpm.boot.secure_boot"), "{said}");
    assert!(!said.contains("node.") && !said.contains("tpm.log"), "{said}");
}
