//! Attestation keys that a provider certified: the path, the purpose, and what breaks either.

use attest::crypto::{AwsLcRs, Crypto};
use attest::tpm::{self, AkOrigin};
use attest::{CannotJudge, Endorsements, Evidence, Platform, Revocation, TrustAnchors, UnixTime, Unverified};
use simulator::snp::EPOCH;
use simulator::tpm::{
    AIK_CERTIFICATE, AttestationKey, EXTENDED_KEY_USAGE, Provider, Statement, gce_instance,
};
use simulator::x509::{BasicConstraints, CertBuilder, oid};

use super::judge::{PROVIDERS, failing};

const NOW: UnixTime = UnixTime(EPOCH);
const INSTANCE: &[u64] = &[1, 3, 6, 1, 4, 1, 11129, 2, 1, 21];

fn key() -> AttestationKey {
    AttestationKey::ec(1)
}

fn provider() -> Provider {
    Provider::google()
}

/// The usual certificates and list.
fn endorsements(leaf: &CertBuilder) -> Endorsements {
    Endorsements {
        certificates: vec![leaf.der(), provider().intermediate().der()],
        revocation_lists: vec![provider().crl().der()],
        ..Endorsements::default()
    }
}

fn verify(
    crypto: &dyn Crypto,
    endorsements: &Endorsements,
    now: UnixTime,
) -> Result<tpm::Claims, Unverified> {
    let quote = key().quote(&Statement::quote(b"nonce"));
    let evidence = Evidence::parse(Platform::Tpm2, &quote).unwrap();
    let anchors = TrustAnchors::insecure_simulated(&[provider().root().der()]).unwrap();
    let prepared = endorsements.prepare(crypto, &evidence, &anchors, Revocation::Required, now)?;
    let verified = evidence.verify(crypto, &prepared, now)?;
    let attest::Claims::Tpm(claims) = verified.claims() else { unreachable!("claims of a TPM quote") };
    Ok(tpm::Claims::clone(claims))
}

/// The failing checks, which both providers of cryptography must agree about.
fn refused(endorsements: &Endorsements) -> Vec<String> {
    let ids = PROVIDERS.map(|crypto| failing(&verify(crypto, endorsements, NOW).unwrap_err()));
    assert_eq!(ids[0], ids[1]);
    ids[0].clone()
}

#[test]
fn a_certified_key_is_believed_with_nothing_enrolled_and_says_which_machine() {
    let instance = gce_instance("us-central1-a", "ours", "node-1");
    let leaf = provider().certificate(&key()).extension(INSTANCE, &instance);
    let claims = verify(&AwsLcRs, &endorsements(&leaf), NOW).unwrap();
    assert_eq!(claims.ak_origin, AkOrigin::Google);
    let certificate = claims.ak_certificate.unwrap();
    assert_eq!(certificate.authority, "EK/AK CA Root");
    assert_eq!(certificate.key_digest, AwsLcRs.sha256(&[&key().spki()]));
    assert_eq!(certificate.revocation_list_from, Some(UnixTime(EPOCH - 86_400)));
    let instance = certificate.instance.unwrap();
    assert_eq!((instance.project.as_str(), instance.name.as_str()), ("ours", "node-1"));
}

#[test]
fn without_a_certificate_the_key_is_only_not_enrolled() {
    assert_eq!(refused(&Endorsements::default()), ["tpm.ak.enrolled"]);
    let other = provider().certificate(&AttestationKey::ec(2));
    assert_eq!(refused(&endorsements(&other)), ["tpm.ak.enrolled"]);
}

#[test]
fn a_path_that_is_broken_anywhere_is_none() {
    let leaf = provider().certificate(&key());
    let chain = ["tpm.ak.chain"];
    let with = |certificates: Vec<Vec<u8>>| Endorsements { certificates, ..Endorsements::default() };
    let intermediate = provider().intermediate();
    assert_eq!(refused(&with(vec![leaf.der()])), chain, "no intermediate");
    let impostor = provider().impostor();
    assert_eq!(refused(&with(vec![leaf.der(), impostor.intermediate().der()])), chain, "a namesake");
    let forged = impostor.certificate(&key()).der();
    let brought = with(vec![forged, impostor.intermediate().der(), impostor.root().der()]);
    assert_eq!(refused(&brought), chain, "a root that came along");
    let bare = intermediate.clone().basic_constraints(BasicConstraints::EndEntity);
    assert_eq!(refused(&with(vec![leaf.der(), bare.der()])), chain, "an intermediate that is no authority");
    let forbidden = intermediate.key_usage([7, 0x80]);
    assert_eq!(refused(&with(vec![leaf.der(), forbidden.der()])), chain, "one that may not certify");
    let direct = provider().certificate(&key()).issued_by(&provider().root_issuer());
    verify(&AwsLcRs, &with(vec![direct.der()]), NOW).unwrap();
}

#[test]
fn an_authority_certifies_only_as_deep_as_it_may() {
    let (root, middle) = (provider().root_issuer(), provider().intermediate_issuer());
    let azure = Provider::azure();
    let (lower, leaf) = (azure.intermediate_issuer(), azure.certificate(&key()));
    // leaf <- lower <- middle <- root, where middle may have none or one authority below it.
    let under = CertBuilder::new(&lower, &middle)
        .not_before(EPOCH - 1)
        .not_after(EPOCH + 1)
        .basic_constraints(BasicConstraints::Authority(0));
    for (limit, good) in [(0, false), (1, true)] {
        let middle = CertBuilder::new(&middle, &root)
            .not_before(EPOCH - 1)
            .not_after(EPOCH + 1)
            .basic_constraints(BasicConstraints::Authority(limit));
        let certificates = vec![leaf.der(), under.der(), middle.der()];
        let verified = verify(&AwsLcRs, &Endorsements { certificates, ..Endorsements::default() }, NOW);
        assert_eq!(verified.is_ok(), good, "limit {limit}");
    }
}

#[test]
fn only_the_certificate_of_a_key_that_signs_data_vouches_for_one() {
    let leaf = || provider().certificate(&key());
    let purpose = ["tpm.ak.purpose"];
    for (bits, what) in [([5, 0x20], "keyEncipherment"), ([3, 0x08], "keyAgreement"), ([5, 0xa0], "both")] {
        assert_eq!(refused(&endorsements(&leaf().key_usage(bits))), purpose, "{what}");
    }
    assert_eq!(refused(&endorsements(&leaf().without(oid::KEY_USAGE))), purpose);
    let authority = leaf().basic_constraints(BasicConstraints::Authority(0)).key_usage([2, 0x84]);
    assert_eq!(refused(&endorsements(&authority)), purpose);
    // Extended: the attestation key's is good, a web server's is not.
    verify(&AwsLcRs, &endorsements(&leaf().extension(EXTENDED_KEY_USAGE, &AIK_CERTIFICATE)), NOW).unwrap();
    let server = [0x30, 0x0a, 0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01];
    assert_eq!(refused(&endorsements(&leaf().extension(EXTENDED_KEY_USAGE, &server))), purpose);
}

#[test]
fn a_critical_extension_that_nobody_knows_is_refused() {
    let unknown: &[u64] = &[1, 3, 6, 1, 4, 1, 99999, 1];
    let leaf = provider().certificate(&key()).extension(unknown, &[5, 0]).critical(unknown);
    assert_eq!(refused(&endorsements(&leaf)), ["tpm.ak.critical_extensions"]);
}

#[test]
fn a_revoked_key_is_refused_and_so_is_one_under_a_revoked_authority() {
    let leaf = provider().certificate(&key());
    let mut brought = endorsements(&leaf);
    brought.revocation_lists = vec![provider().crl().revoke(&[0x07]).der()];
    assert_eq!(refused(&brought), ["tpm.ak.crl.revoked"], "the intermediate");
    let of_intermediate = provider().crl().issued_by(&provider().intermediate_issuer());
    brought.revocation_lists = vec![of_intermediate.clone().revoke(&[0x2a]).der()];
    assert_eq!(refused(&brought), ["tpm.ak.crl.revoked"], "the key");
    brought.revocation_lists = vec![of_intermediate.clone().revoke(&[0x2b]).der()];
    let claims = verify(&AwsLcRs, &brought, NOW).unwrap();
    assert_eq!(claims.ak_certificate.unwrap().revocation_list_from, None, "no list of the root");
    brought.revocation_lists = vec![provider().impostor().crl().der()];
    assert_eq!(refused(&brought), ["tpm.ak.crl.signature"]);
}

#[test]
fn l09_a_list_is_good_until_its_next_update() {
    let brought = endorsements(&provider().certificate(&key()));
    let last = UnixTime(EPOCH + 30 * 86_400 - 1);
    verify(&AwsLcRs, &brought, last).unwrap();
    let late = verify(&AwsLcRs, &brought, last.plus(1)).unwrap_err();
    assert_eq!(failing(&late), ["tpm.ak.crl.current"]);
}

#[test]
fn an_instance_that_does_not_parse_is_not_judged() {
    let leaf = provider().certificate(&key()).extension(INSTANCE, &[0x30, 0x03, 0x0c, 0x01]);
    let error = verify(&AwsLcRs, &endorsements(&leaf), NOW).unwrap_err();
    assert!(matches!(error, Unverified::CannotJudge(CannotJudge::Endorsement { .. })), "{error}");
}

#[test]
fn a_quote_by_a_certified_key_says_under_which_name_its_tpm_holds_it() {
    let brought = endorsements(&provider().certificate(&key()));
    let anchors = TrustAnchors::insecure_simulated(&[provider().root().der()]).unwrap();
    let honest = Statement::quote(b"nonce");
    // The quote was made with the key as it is; what came along says noDA is clear.
    let attest = honest.marshal(&key().qualified_name());
    let altered = key().attributes(0x0005_0072);
    let quote = altered.evidence(&attest, &altered.sign(&attest), &honest);
    let evidence = Evidence::parse(Platform::Tpm2, &quote).unwrap();
    let prepared = brought.prepare(&AwsLcRs, &evidence, &anchors, Revocation::Required, NOW).unwrap();
    let error = evidence.verify(&AwsLcRs, &prepared, NOW).unwrap_err();
    assert_eq!(failing(&error), ["tpm.ak.qualified_name"]);
}

/// A real machine's certificate, its authority, and the root that is pinned.
#[test]
fn the_certificate_of_a_real_azure_machine_leads_to_the_pinned_root() {
    let leaf = include_bytes!("fixtures/azure-ak-2024.der").to_vec();
    let authority = include_bytes!("fixtures/azure-global-vtpm-ca-01.der").to_vec();
    let at = |text: &str| UnixTime::parse(text).unwrap();
    let verify = |certificates: Vec<Vec<u8>>, now: UnixTime| {
        let brought = Endorsements { certificates, ..Endorsements::default() };
        let [first, second] = PROVIDERS.map(|crypto| {
            tpm::verify_ak_certificate(&brought, crypto, &TrustAnchors::vendor(), Revocation::Required, now)
        });
        assert_eq!(first.is_ok(), second.is_ok());
        first
    };
    let both = vec![leaf.clone(), authority.clone()];
    verify(both.clone(), at("2025-01-01T00:00:00Z")).unwrap();
    for late in ["2025-10-30T00:00:01Z", "2024-04-19T23:59:59Z"] {
        assert_eq!(failing(&verify(both.clone(), at(late)).unwrap_err()), ["tpm.ak.dates"], "{late}");
    }
    let alone = verify(vec![leaf.clone()], at("2025-01-01T00:00:00Z")).unwrap_err();
    assert_eq!(failing(&alone), ["tpm.ak.chain"]);
    // As it stands in the TPM's memory, with zeros behind it.
    let padded = [leaf.clone(), vec![0; 4096 - leaf.len()]].concat();
    let error = verify(vec![padded, authority], at("2025-01-01T00:00:00Z")).unwrap_err();
    let Unverified::CannotJudge(error) = error else { unreachable!("{error}") };
    assert_eq!(error.code(), "endorsement.padded", "{error}");
}

#[test]
fn a_certificate_that_writes_out_a_default_is_refused() {
    // basicConstraints { cA FALSE }, where DER writes an empty sequence.
    let spelled = [0x30, 0x03, 0x01, 0x01, 0x00];
    let leaf = provider().certificate(&key()).extension(oid::BASIC_CONSTRAINTS, &spelled);
    assert_eq!(refused(&endorsements(&leaf)), ["tpm.ak.encoding"]);
}
