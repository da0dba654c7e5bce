//! Certificates and revocation lists as an X.509 parser reads them, signatures included.

#![expect(clippy::unwrap_used, reason = "a test that cannot set up or read its evidence has failed")]

use aws_lc_rs::signature::{RSA_PSS_2048_8192_SHA384, UnparsedPublicKey};
use simulator::snp::{Authority, Chip, EPOCH, Product, Role, Vendor, oid};
use simulator::tdx::Platform;
use x509_parser::prelude::*;

#[test]
fn names_serials_and_usages_are_amds() {
    for product in Product::ALL {
        let chain = Chip::new(1, product).chain();
        let name = product.name();
        let rows = [
            (&chain.ark, format!("ARK-{name}"), format!("ARK-{name}"), true),
            (&chain.ask, format!("SEV-{name}"), format!("ARK-{name}"), true),
            (&chain.asvk, format!("SEV-VLEK-{name}"), format!("ARK-{name}"), true),
            (&chain.vcek, "SEV-VCEK".to_owned(), format!("SEV-{name}"), false),
            (&chain.vlek, "SEV-VLEK".to_owned(), format!("SEV-VLEK-{name}"), false),
        ];
        for (der, subject, issuer, authority) in rows {
            let certificate = parse(der);
            assert_eq!(common_name(certificate.subject()), subject);
            assert_eq!(common_name(certificate.issuer()), issuer);
            assert_eq!(certificate.is_ca(), authority);
            assert_eq!(certificate.raw_serial() == [0], !authority);
            let now = ASN1Time::from_timestamp(EPOCH.try_into().unwrap()).unwrap();
            assert!(certificate.validity().is_valid_at(now));
        }
    }
}

#[test]
fn names_serials_and_usages_are_intels() {
    let platform = Platform::new(1);
    let rest = "O=Intel Corporation, L=Santa Clara, ST=CA, C=US";
    for (der, name, issuer, authority) in [
        (platform.root().der(), "Intel SGX Root CA", "Intel SGX Root CA", true),
        (platform.ca().der(), "Intel SGX PCK Platform CA", "Intel SGX Root CA", true),
        (platform.tcb_signing().der(), "Intel SGX TCB Signing", "Intel SGX Root CA", false),
        (platform.pck().der(), "Intel SGX PCK Certificate", "Intel SGX PCK Platform CA", false),
    ] {
        let certificate = parse(&der);
        assert_eq!(certificate.subject().to_string(), format!("CN={name}, {rest}"));
        assert_eq!(certificate.issuer().to_string(), format!("CN={issuer}, {rest}"));
        assert_eq!((certificate.is_ca(), certificate.raw_serial().len() >= 20), (authority, true));
        let usage = certificate.key_usage().unwrap().unwrap().value;
        assert_eq!((usage.key_cert_sign(), usage.digital_signature()), (authority, !authority));
        let now = ASN1Time::from_timestamp(EPOCH.try_into().unwrap()).unwrap();
        assert!(certificate.validity().is_valid_at(now));
    }
}

#[test]
fn intels_lists_say_what_they_revoke() {
    let platform = Platform::new(1);
    let der = platform.pck_crl().revoke(&platform.pck_serial()).number(3).der();
    let crl = list(&der);
    assert_eq!(common_name(crl.issuer()), "Intel SGX PCK Platform CA");
    assert_eq!(crl.crl_number().unwrap().to_string(), "3");
    let revoked: Vec<_> = crl.iter_revoked_certificates().collect();
    assert_eq!((revoked.len(), revoked[0].raw_serial()), (1, &platform.pck_serial()[..]));
    assert_eq!(revoked[0].reason_code().unwrap().1, ReasonCode::KeyCompromise);
    let empty = platform.root_crl().without_next_update().der();
    assert_eq!((list(&empty).iter_revoked_certificates().count(), list(&empty).next_update()), (0, None));
}

#[test]
fn hardware_ids_come_in_both_forms() {
    let chip = Chip::new(1, Product::Turin);
    assert_eq!(extension(&chip.vcek().der(), oid::HWID).unwrap(), chip.hwid());
    let wrapped = extension(&chip.vcek().wrapped_hwid(chip.hwid()).der(), oid::HWID).unwrap();
    assert_eq!(wrapped[..2], [0x04, 8]);
    assert_eq!(&wrapped[2..], chip.hwid());
    assert_eq!(extension(&chip.vlek().der(), oid::HWID), None);
    assert_eq!(extension(&chip.vcek().without(oid::HWID).der(), oid::HWID), None);
}

#[test]
fn patch_levels_follow_the_tcb() {
    let chip = Chip::new(1, Product::Milan);
    let vcek = chip.vcek().der();
    assert_eq!(extension(&vcek, oid::SPL_MICROCODE).unwrap(), [2, 2, 0, 219]);
    assert_eq!(extension(&vcek, oid::SPL_BOOTLOADER).unwrap(), [2, 1, 4]);
    assert_eq!(extension(&vcek, oid::SPL_FMC), None);
    assert_eq!(extension(&Chip::new(1, Product::Turin).vcek().der(), oid::SPL_FMC).unwrap(), [2, 1, 1]);
}

#[test]
fn an_extension_can_occur_twice() {
    let vcek = Chip::new(1, Product::Milan).vcek().duplicate(oid::SPL_SNP, &[2, 1, 99]).der();
    let certificate = parse(&vcek);
    let values: Vec<&[u8]> = certificate
        .extensions()
        .iter()
        .filter(|extension| extension.oid.to_id_string() == dotted(oid::SPL_SNP))
        .map(|extension| extension.value)
        .collect();
    assert_eq!(values, [&[2, 1, 24][..], &[2, 1, 99]]);
}

#[test]
fn the_roots_list_is_signed_by_the_root_and_says_what_it_revokes() {
    let chip = Chip::new(1, Product::Genoa);
    let der = chip.crl().revoke(chip.serial(Role::Ask)).indirect().revoke_of("SEV-Genoa", 0).number(7).der();
    let crl = list(&der);
    assert!(signed(&crl, chip.authority(Role::Ark)));
    assert!(!signed(&crl, Authority { vendor: Vendor::Other, ..chip.authority(Role::Ark) }));
    assert_eq!(common_name(crl.issuer()), "ARK-Genoa");
    assert_eq!(crl.crl_number().unwrap().to_string(), "7");
    let revoked: Vec<_> = crl.iter_revoked_certificates().collect();
    assert_eq!((revoked[0].raw_serial(), revoked[0].extensions().len()), (&[2, 0, 2][..], 0));
    assert_eq!((revoked[1].raw_serial(), revoked[1].extensions().len()), (&[0][..], 1));
    assert!(revoked[1].extensions()[0].critical);
    assert_eq!(revoked[1].extensions()[0].oid.to_id_string(), dotted(oid::CERTIFICATE_ISSUER));
}

#[test]
fn a_list_can_come_from_anybody_and_promise_nothing() {
    let chip = Chip::new(1, Product::Milan);
    let (ask, other) =
        (chip.authority(Role::Ask), Authority { vendor: Vendor::Other, ..chip.authority(Role::Ark) });
    let by_ask = chip.crl().issued_by(ask).revoke(0).der();
    assert!(signed(&list(&by_ask), ask));
    assert_eq!(common_name(list(&by_ask).issuer()), "SEV-Milan");
    let forged = chip.crl().signed_by(other).der();
    assert!(signed(&list(&forged), other) && !signed(&list(&forged), chip.authority(Role::Ark)));
    assert_eq!(common_name(list(&forged).issuer()), "ARK-Milan");
    assert_eq!(list(&chip.crl().without_next_update().der()).next_update(), None);
    let window = chip.crl().this_update(EPOCH).next_update(EPOCH).der();
    assert_eq!(list(&window).last_update(), list(&window).next_update().unwrap());
}

fn parse(der: &[u8]) -> X509Certificate<'_> {
    let (rest, certificate) = X509Certificate::from_der(der).unwrap();
    assert_eq!(rest.len(), 0);
    certificate
}

fn list(der: &[u8]) -> CertificateRevocationList<'_> {
    let (rest, crl) = CertificateRevocationList::from_der(der).unwrap();
    assert_eq!(rest.len(), 0);
    crl
}

fn signed(crl: &CertificateRevocationList<'_>, authority: Authority) -> bool {
    let spki = authority.spki();
    UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA384, spki)
        .verify(crl.tbs_cert_list.as_ref(), &crl.signature_value.data)
        .is_ok()
}

fn common_name<'a>(name: &'a X509Name<'_>) -> &'a str {
    name.iter_common_name().next().unwrap().as_str().unwrap()
}

fn extension(der: &[u8], wanted: &[u64]) -> Option<Vec<u8>> {
    let certificate = parse(der);
    let mut extensions = certificate.extensions().iter();
    extensions.find(|found| found.oid.to_id_string() == dotted(wanted)).map(|found| found.value.to_vec())
}

fn dotted(oid: &[u64]) -> String {
    oid.iter().map(ToString::to_string).collect::<Vec<_>>().join(".")
}
