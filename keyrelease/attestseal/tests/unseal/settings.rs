//! Settings that are refused keep the server from starting, and all of them are told.

use crate::sealed::Sealed;

#[track_caller]
fn refused(settings: &str) -> String {
    let mut sealed = Sealed::by(settings);
    sealed.launch();
    sealed.bao.wait_for_end();
    sealed.bao.log()
}

#[test]
fn a_stanza_with_faults_is_refused_with_all_of_them() {
    let log = refused("source = \"peer\"\npeer_address = \"http://bao\"\ncolour = \"green\"");
    let told = "Error configuring seal \"attestseal\": rpc error: code = InvalidArgument desc = 4 problem(s) in \
        the seal's settings: peer_address: expected https://HOST[:PORT] and nothing more; peer_ca: not set; \
        peer_key: not set; colour: unknown setting";
    assert!(log.contains(told), "{log}");
}

#[test]
fn an_authority_that_is_none_is_named() {
    let log = refused(
        "source = \"peer\"\npeer_address = \"https://bao\"\npeer_key = \"unseal\"\npeer_ca = \"/dev/null\"",
    );
    assert!(log.contains("certificate authorities for OpenBao: /dev/null: no certificate in it"), "{log}");
}
