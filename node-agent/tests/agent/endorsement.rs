//! The endorsement key: a manufacturer's certificate, and credentials that only its TPM opens.

use std::fs;
use std::path::Path;

use attest::crypto::AwsLcRs;
use attest::tpm::{Draw, Ek, EkRoots, Enrolment, NotEnrolled, Offer, ek_template};
use attest::{Endorsements, Revocation, UnixTime};
use node_agent::config::{parse_handle, parse_tcti};
use node_agent::vtpm::{self, EkKind, activate, ak_public, clock, endorsement, ensure};
use simulator::vtpm::{Vtpm, manufacture};
use tempfile::TempDir;
use tss_esapi::handles::PersistentTpmHandle;
use tss_esapi::tcti_ldr::TctiNameConf;

use crate::harness::{NOW, vtpm};

/// A TPM as its manufacturer delivers it.
struct Delivered {
    tpm: Vtpm,
    roots: EkRoots,
    issuer: Vec<u8>,
    state: TempDir,
}

impl Delivered {
    fn new() -> Option<Self> {
        drop(vtpm()?);
        let state = TempDir::new().unwrap();
        let made = manufacture(state.path()).unwrap();
        let tpm = Vtpm::start_in(state.path()).unwrap();
        let roots = EkRoots::insecure_simulated(&[der(&made.root)]).unwrap();
        Some(Self { tpm, roots, issuer: der(&made.issuer), state })
    }

    fn tcti(&self) -> TctiNameConf {
        parse_tcti(&self.tpm.tcti()).unwrap()
    }

    /// As the server does it: the certificate leads to a root, and the public area is the template's.
    fn ek(&self, certificate: &[u8]) -> Ek {
        let certificates = vec![certificate.to_vec(), self.issuer.clone()];
        let endorsements = Endorsements { certificates, ..Endorsements::default() };
        let area = ek_template(certificate).unwrap();
        Ek::verify(&area, &endorsements, &self.roots, &AwsLcRs, Revocation::InsecureWaived, LATER).unwrap()
    }
}

fn der(pem: &Path) -> Vec<u8> {
    let text = fs::read(pem).unwrap();
    x509_parser::pem::parse_x509_pem(&text).unwrap().1.contents
}

fn handle() -> PersistentTpmHandle {
    parse_handle(0x8101_0002).unwrap()
}

/// The first of January 2100: swtpm certifies from the very second of manufacture on, and for ever.
const LATER: UnixTime = UnixTime(4_102_444_800);
const SECRET: [u8; 32] = [0x5e; 32];

fn challenge(ek: &Ek, area: &[u8]) -> (Enrolment, attest::tpm::Credential) {
    let draw = Draw { seed: [3; 64], padding: [4; 64] };
    let offer = Offer { secret: &SECRET, draw: &draw, expires: NOW.plus(60) };
    Enrolment::begin(&AwsLcRs, ek, area, &offer).unwrap()
}

#[test]
fn a_tpm_opens_the_credential_that_was_made_for_its_own_keys() {
    let Some(delivered) = Delivered::new() else { return };
    let tcti = delivered.tcti();
    let name = ensure(&tcti, handle()).unwrap();
    assert_eq!(ensure(&tcti, handle()).unwrap(), name);
    assert_eq!(vtpm::name(&tcti, handle()).unwrap(), name);
    let found = endorsement(&tcti).unwrap();
    assert_eq!(found.kind, EkKind::Rsa2048);
    assert_eq!(
        found.certificate,
        fs::read(delivered.state.path().join("certificates/ek-rsa2048.crt")).unwrap()
    );
    let (enrolment, credential) =
        challenge(&delivered.ek(&found.certificate), &ak_public(&tcti, handle()).unwrap());
    let answer =
        activate(&tcti, handle(), found.kind, &credential.id_object, &credential.encrypted_secret).unwrap();
    let enrolled = enrolment.finish(&AwsLcRs, &answer, NOW).unwrap();
    assert_eq!(enrolled.name().as_bytes(), name);
}

#[test]
fn the_key_on_p384_opens_its_credential_too() {
    let Some(delivered) = Delivered::new() else { return };
    let tcti = delivered.tcti();
    ensure(&tcti, handle()).unwrap();
    let certificate = fs::read(delivered.state.path().join("certificates/ek-secp384r1.crt")).unwrap();
    let (enrolment, credential) =
        challenge(&delivered.ek(&certificate), &ak_public(&tcti, handle()).unwrap());
    let (object, secret) = (&credential.id_object, &credential.encrypted_secret);
    let answer = activate(&tcti, handle(), EkKind::EccP384, object, secret).unwrap();
    enrolment.finish(&AwsLcRs, &answer, NOW).unwrap();
}

/// Lesson L31: a credential that was made for one machine is no use on another.
#[test]
fn l31_another_tpm_and_another_key_do_not_open_a_credential() {
    let (Some(delivered), Some(other)) = (Delivered::new(), vtpm()) else { return };
    let (tcti, elsewhere) = (delivered.tcti(), parse_tcti(&other.tcti()).unwrap());
    ensure(&tcti, handle()).unwrap();
    ensure(&elsewhere, handle()).unwrap();
    let second = parse_handle(0x8101_0003).unwrap();
    ensure(&tcti, second).unwrap();
    let found = endorsement(&tcti).unwrap();
    let (enrolment, credential) =
        challenge(&delivered.ek(&found.certificate), &ak_public(&tcti, handle()).unwrap());
    let (object, secret) = (&credential.id_object, &credential.encrypted_secret);
    for (tcti, key) in [(&elsewhere, handle()), (&tcti, second)] {
        let refused = activate(tcti, key, found.kind, object, secret).unwrap_err().to_string();
        let expected = "TPM: the credential does not open: it was made for another key, or for another TPM (";
        assert!(refused.starts_with(expected), "{refused}");
    }
    assert_eq!(enrolment.finish(&AwsLcRs, &[0; 32], NOW).unwrap_err(), NotEnrolled::WrongAnswer);
}

#[test]
fn a_tpm_without_a_certificate_is_told_with_what_to_do_instead() {
    let Some(tpm) = vtpm() else { return };
    let refused = endorsement(&parse_tcti(&tpm.tcti()).unwrap()).unwrap_err().to_string();
    let expected = "TPM: no certificate of an endorsement key at NV index 0x01c00002, 0x01c0000a or 0x01c00016; \
                    enrol the attestation key's name by hand (`ak name`)";
    assert_eq!(refused, expected);
}

#[test]
fn a_power_cut_is_a_reset_on_the_tpms_own_clock() {
    let Some(delivered) = Delivered::new() else { return };
    ensure(&delivered.tcti(), handle()).unwrap();
    let before = clock(&delivered.tcti(), handle()).unwrap();
    let Delivered { tpm, state, .. } = delivered;
    drop(tpm);
    let tpm = Vtpm::start_in(state.path()).unwrap();
    let after = clock(&parse_tcti(&tpm.tcti()).unwrap(), handle()).unwrap();
    assert_eq!((after.resets, after.restarts), (before.resets + 1, 0));
}
