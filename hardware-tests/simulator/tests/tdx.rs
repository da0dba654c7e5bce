//! A second opinion, `dcap-qvl`, accepts what the simulated platforms sign under their root, and nothing else.

#![expect(clippy::unwrap_used, reason = "a test that cannot set up or read its evidence has failed")]

use dcap_qvl::QuoteCollateralV3;
use dcap_qvl::quote::{Quote, Report};
use dcap_qvl::verify::{QuoteVerifier, VerifiedReport};
use simulator::ecdsa::{Curve, Key};
use simulator::tdx::{
    Body, Ca, Collateral, EPOCH, EventLog, Json, Platform, QuoteBuilder, Role, Style, Vendor, attributes, pem,
};

#[test]
fn a_quote_of_every_version_and_body_verifies() {
    let platform = Platform::new(1);
    for quote in [
        platform.quote(),
        platform.quote().version(5),
        platform.quote().body(Body::Td15),
        platform.quote().body(Body::Td15Ex),
    ] {
        let report = verify(&platform.collateral(), &quote.sign()).unwrap();
        assert_eq!((report.status.as_str(), report.advisory_ids.len()), ("UpToDate", 0));
        assert_eq!(report.ppid, platform.ppid());
    }
}

#[test]
fn a_platform_of_either_authority_and_of_a_tdx_1_0_module_verifies() {
    let platform = Platform::new(2).with_ca(Ca::Processor);
    let old = [5, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let quote = platform.quote().tee_tcb_svn(old).chain_without_nul(&platform.chain()).sign();
    assert_eq!(verify(&platform.collateral(), &quote).unwrap().status, "UpToDate");
}

#[test]
fn an_older_machine_has_the_status_of_its_level() {
    let [_, older, oldest, revoked] = simulator::tdx::levels();
    for (level, status) in [(older, "OutOfDate"), (oldest, "OutOfDateConfigurationNeeded")] {
        let platform = Platform::new(3).with_tcb(level.sgx, level.pce_svn);
        let report = verify(&platform.collateral(), &platform.quote().sign()).unwrap();
        assert_eq!((report.status.as_str(), report.advisory_ids[0].as_str()), (status, "INTEL-SA-01192"));
    }
    let platform = Platform::new(3).with_tcb(revoked.sgx, revoked.pce_svn);
    refused(&platform.collateral(), &platform.quote().sign(), "Revoked");
}

#[test]
fn an_old_module_or_quoting_enclave_is_out_of_date() {
    let platform = Platform::new(4);
    let module = platform.quote().tee_tcb_svn([4, 1, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    for quote in [module, platform.quote().qe_isv_svn(4)] {
        let report = verify(&platform.collateral(), &quote.sign()).unwrap();
        assert_eq!(
            (report.status.as_str(), report.advisory_ids[0].as_str()),
            ("OutOfDate", "INTEL-SA-01036")
        );
    }
}

#[test]
fn the_second_opinion_reads_back_every_field_that_was_set() {
    let quote = everything(Platform::new(5).quote().body(Body::Td15Ex)).sign();
    let quote = Quote::parse(&quote).unwrap();
    let Report::TD15Ex(report) = quote.report else { panic!("another body") };
    let td15 = report.base;
    assert_eq!((td15.tee_tcb_svn2, td15.mr_service_td), ([2; 16], [3; 48]));
    let td10 = td15.base;
    assert_eq!((td10.tee_tcb_svn, td10.mr_seam, td10.mr_signer_seam), ([4; 16], [5; 48], [6; 48]));
    assert_eq!(td10.seam_attributes, 7_u64.to_le_bytes());
    assert_eq!(td10.td_attributes, attributes::PKS.to_le_bytes());
    assert_eq!(td10.xfam, 9_u64.to_le_bytes());
    assert_eq!((td10.mr_td, td10.mr_config_id), ([10; 48], [11; 48]));
    assert_eq!((td10.mr_owner, td10.mr_owner_config), ([12; 48], [13; 48]));
    assert_eq!(
        [td10.rt_mr0, td10.rt_mr1, td10.rt_mr2, td10.rt_mr3],
        [[14; 48], [15; 48], [16; 48], [17; 48]]
    );
    assert_eq!(td10.report_data, [18; 64]);
}

#[test]
fn the_same_seed_is_the_same_platform() {
    let (once, again) = (Platform::new(9), Platform::new(9));
    assert_eq!(once.quote().signed_part(), again.quote().signed_part());
    assert_eq!(once.tcb_info().pointers(), again.tcb_info().pointers());
    verify(&once.collateral(), &again.quote().sign()).unwrap();
    assert_ne!(once.ppid(), Platform::new(10).ppid());
}

#[test]
fn collateral_may_be_laid_out_and_ordered_in_any_way() {
    let platform = Platform::new(1);
    let mut collateral = platform.collateral();
    collateral.tcb_info = platform.tcb_info().style(Style::Spaced).reverse("").json();
    collateral.qe_identity = platform.qe_identity().style(Style::Spaced).reverse("").json();
    verify(&collateral, &platform.quote().sign()).unwrap();
}

#[test]
fn another_vendor_has_the_same_names_and_another_root() {
    let (ours, other) = (Platform::new(1), Platform::new(1).with_vendor(Vendor::Other));
    verify(&other.collateral(), &other.quote().sign()).unwrap();
    let mixed = Collateral { root: ours.collateral().root, ..other.collateral() };
    refused(&mixed, &other.quote().sign(), "InvalidCrlSignatureForPublicKey");
    assert_eq!(ours.authority(Role::Root).common_name(), other.authority(Role::Root).common_name());
}

#[test]
fn what_was_not_signed_as_it_should_be_is_refused() {
    let platform = Platform::new(1);
    let good = platform.collateral();
    let other = Key::derive(Curve::P256, b"somebody else");
    for (quote, reason) in [
        (platform.quote().signed_by(other.clone()), "ISV enclave report signature is invalid"),
        (platform.quote().qe_signed_by(other), "Signature is invalid for qe_report"),
        (platform.quote().qe_report_data([0; 64]), "QE report hash mismatch"),
        (platform.quote().debug(), "Debug mode is enabled"),
        (platform.quote().qe_mrsigner([0; 32]), "QE MRSIGNER mismatch"),
        (platform.quote().body(Body::Td15).mr_service_td([1; 48]), "Invalid MR service TD"),
    ] {
        refused(&good, &quote.sign(), reason);
    }
}

#[test]
fn collateral_that_is_not_this_platforms_or_not_intels_is_refused() {
    let platform = Platform::new(1);
    let with = |tcb_info: Vec<u8>| Collateral { tcb_info, ..platform.collateral() };
    let info = || platform.tcb_info();
    for (tcb_info, reason) in [
        (info().text("/fmspc", "00806F050000"), "Fmspc mismatch"),
        (info().text("/id", "SGX"), "non-TDX TCB info"),
        (info().next_update(EPOCH - 1), "TCBInfo expired"),
        (info().issue_date(EPOCH + 1), "issue date is in the future"),
        (info().status("Fine"), "unknown variant `Fine`"),
        (info().forged("\"pcesvn\":13", "\"pcesvn\":12"), "Signature is invalid for tcb_info"),
        (info().signed_by(platform.pck_key()), "Signature is invalid for tcb_info"),
        (info().set("/tcbLevels", Json::List(Vec::new())), "No matching TCB level"),
        (info().status("Revoked"), "Revoked"),
    ] {
        refused(&with(tcb_info.json()), &platform.quote().sign(), reason);
    }
}

#[test]
fn a_revoked_or_outdated_certificate_is_refused() {
    let platform = Platform::new(1);
    let quote = platform.quote().sign();
    let good = platform.collateral();
    let pck_crl = platform.pck_crl().revoke(&platform.pck_serial()).der();
    refused(&Collateral { pck_crl, ..good.clone() }, &quote, "CertRevoked");
    let ca = platform.authority(Role::PlatformCa).serial();
    let root_crl = platform.root_crl().revoke(&ca).der();
    refused(&Collateral { root_crl, ..good.clone() }, &quote, "CertRevoked");
    let pck_crl = platform.pck_crl().next_update(EPOCH - 1).der();
    refused(&Collateral { pck_crl, ..good.clone() }, &quote, "CrlExpired");
    let late = platform.pck().not_after(EPOCH - 1).der();
    let quote = platform.quote().chain(&[late, good.ca.clone(), good.root.clone()]).sign();
    refused(&good, &quote, "CertExpired");
}

#[test]
fn an_event_log_replays_into_the_quote() {
    let log = EventLog::production("root=/dev/vda1 ro").padded(0xff, 4096);
    assert_eq!(log.encode().len(), 4096);
    let [rtmr0, rtmr1, rtmr2, rtmr3] = log.rtmrs();
    assert!(rtmr0 != [0; 48] && rtmr1 != [0; 48] && rtmr2 != [0; 48] && rtmr3 == [0; 48]);
    let quote = Quote::parse(&Platform::new(1).quote().rtmrs(log.rtmrs()).sign()).unwrap();
    assert_eq!(quote.report.as_td10().unwrap().rt_mr2, rtmr2);
}

fn everything(quote: QuoteBuilder) -> QuoteBuilder {
    quote
        .tee_tcb_svn_2([2; 16])
        .mr_service_td([3; 48])
        .tee_tcb_svn([4; 16])
        .mr_seam([5; 48])
        .mr_signer_seam([6; 48])
        .seam_attributes(7)
        .td_attributes(attributes::PKS)
        .xfam(9)
        .mrtd([10; 48])
        .mr_config_id([11; 48])
        .mr_owner([12; 48])
        .mr_owner_config([13; 48])
        .rtmr(0, [14; 48])
        .rtmr(1, [15; 48])
        .rtmr(2, [16; 48])
        .rtmr(3, [17; 48])
        .report_data([18; 64])
}

fn refused(collateral: &Collateral, quote: &[u8], reason: &str) {
    let refusal = verify(collateral, quote).map(|report| report.status).unwrap_err();
    assert!(refusal.contains(reason), "{reason} is not in {refusal}");
}

fn verify(collateral: &Collateral, quote: &[u8]) -> Result<VerifiedReport, String> {
    let signers = pem(&collateral.tcb_signing) + &pem(&collateral.root);
    let (tcb_info, tcb_info_signature) = opened(&collateral.tcb_info, "tcbInfo");
    let (qe_identity, qe_identity_signature) = opened(&collateral.qe_identity, "enclaveIdentity");
    let given = QuoteCollateralV3 {
        pck_crl_issuer_chain: pem(&collateral.ca) + &pem(&collateral.root),
        root_ca_crl: collateral.root_crl.clone(),
        pck_crl: collateral.pck_crl.clone(),
        tcb_info_issuer_chain: signers.clone(),
        tcb_info,
        tcb_info_signature,
        qe_identity_issuer_chain: signers,
        qe_identity,
        qe_identity_signature,
        pck_certificate_chain: None,
    };
    let verifier = QuoteVerifier::new(collateral.root.clone());
    verifier.verify(quote, &given, EPOCH).map_err(|error| format!("{error:#}"))
}

/// The signed text and the signature of a response.
fn opened(response: &[u8], name: &str) -> (String, Vec<u8>) {
    let text = std::str::from_utf8(response).unwrap();
    let (value, signature) = text.rsplit_once(",\"signature\":\"").unwrap();
    let value = value.strip_prefix(&format!("{{\"{name}\":")).unwrap();
    (value.to_owned(), hex::decode(signature.strip_suffix("\"}").unwrap()).unwrap())
}
