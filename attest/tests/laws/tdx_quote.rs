//! The quote: every field, every length, every kind of certification data; what the quoting enclave vouches
//! for. Lessons L8 and L22 to L25 for TDs.

use attest::crypto::AwsLcRs;
use attest::tdx::{Quote, TcbStatus};
use attest::{Evidence, Platform, tdx};
use simulator::tdx::{Body, EPOCH, Platform as Machine, QuoteBuilder, pem};

use crate::case::Case;
use crate::td::{caller_data, td_case, td_cases};
use crate::tdx_collateral::Put;

#[test]
fn a_header_of_another_kind_is_not_read() {
    let header = |change: fn(QuoteBuilder) -> QuoteBuilder| td_case(&machine(), change);
    for case in [
        header(|quote| quote.version(3)),
        header(|quote| quote.version(6)),
        header(|quote| quote.version(0x0104)),
        header(|quote| quote.attestation_key_type(3)),
        header(|quote| quote.attestation_key_type(0)),
        header(|quote| quote.tee_type(0)),
        header(|quote| quote.tee_type(0x8100)),
        header(|quote| quote.certification_type(5)),
        header(|quote| quote.certification_type(0)),
        header(|quote| quote.body(Body::Td15).version(4)),
        header(|quote| quote.body(Body::Td15Ex).version(4)),
    ] {
        case.not_judged("evidence.malformed");
    }
}

/// A longer report that is read as a shorter one loses the fields that a policy asks for.
#[test]
fn a_body_is_of_its_type_and_its_types_length() {
    let lengths = Body::ALL.map(Body::len);
    for body in Body::ALL {
        for number in (0..=9).chain([0x0102, u16::MAX]) {
            for size in lengths.into_iter().chain([0, 384, 583, 585, 647, 649, 884, 886, usize::MAX]) {
                let genuine = body.len() == size && usize::from(number) == own_number(body);
                let size = u32::try_from(size).unwrap_or(u32::MAX);
                let quote = td_case(&machine(), |quote| {
                    quote.body(body).version(5).body_type(number).body_size(size)
                });
                if genuine {
                    quote.has_status(TcbStatus::UpToDate);
                } else {
                    quote.not_judged("evidence.malformed");
                }
            }
        }
    }
}

/// The descriptor of the body is inside the signed bytes.
#[test]
fn the_type_of_the_body_is_signed() {
    let case = td_case(&machine(), |quote| quote.version(5));
    assert_eq!(case.signed, 0..48 + 6 + 584);
}

/// Each of the four lengths, wrong by one and by all.
#[test]
fn a_length_that_is_not_its_own_is_not_read() {
    let case = plain();
    let signature_data = 48 + 584;
    let certification = signature_data + 4 + 64 + 64 + 2;
    let auth = certification + 4 + 384 + 64;
    let chain = auth + 2 + 32 + 2;
    for at in [signature_data, certification, chain] {
        let own = u32::from_le_bytes(case.evidence[at..at + 4].try_into().unwrap());
        for wrong in [0, 1, own - 1, own + 1, own + 65_536, u32::MAX, i32::MAX.unsigned_abs()] {
            let spoilt =
                case.clone().evidence(|bytes| bytes[at..at + 4].copy_from_slice(&wrong.to_le_bytes()));
            spoilt.not_judged("evidence.malformed");
        }
    }
    for wrong in [0_u16, 31, 33, u16::MAX] {
        let spoilt =
            case.clone().evidence(|bytes| bytes[auth..auth + 2].copy_from_slice(&wrong.to_le_bytes()));
        spoilt.not_judged("evidence.malformed");
    }
}

#[test]
fn authentication_data_of_any_length_is_hashed() {
    for length in [0, 1, 31, 32, 33, 1000] {
        let case = td_case(&machine(), |quote| quote.qe_auth(&vec![7; length]));
        case.has_status(TcbStatus::UpToDate);
        if length > 0 {
            let at = 48 + 584 + 4 + 64 + 64 + 2 + 4 + 384 + 64 + 2;
            case.evidence(|bytes| bytes[at + length - 1] ^= 1).refused_by(&["tdx.qe.key"]);
        }
    }
}

/// Lesson L24: the second half of the QE's report data is zero, or the hash is of something longer.
#[test]
fn l24_the_enclave_binds_the_key_and_nothing_else() {
    let genuine = plain().td_claims().unwrap();
    assert_eq!(genuine.platform.qe.isvsvn, 6);
    let key = simulator::ecdsa::Key::derive(simulator::ecdsa::Curve::P256, b"another attestation key");
    let swapped = td_case(&machine(), |quote| {
        let bound = report_data(&quote.sign());
        quote.attestation_key(key).qe_report_data(bound)
    });
    swapped.refused_by(&["tdx.qe.key"]);
    let longer = td_case(&machine(), |quote| {
        let mut bound = report_data(&quote.sign());
        bound[63] = 1;
        quote.qe_report_data(bound)
    });
    longer.refused_by(&["tdx.qe.key"]);
}

/// Lesson L8: the TCB of the platform counts only if the key that signed is certified for it.
#[test]
fn l08_a_certificate_of_another_tcb_is_of_another_key() {
    let [current, older, ..] = simulator::tdx::levels();
    let old = machine().with_tcb(older.sgx, older.pce_svn);
    let new = machine().with_tcb(current.sgx, current.pce_svn);
    let borrowed = td_case(&old, |quote| quote.chain(&new.chain()));
    borrowed.refused_by(&["tdx.qe.signature"]);
    td_case(&old, |quote| quote).has_status(TcbStatus::OutOfDate);
    // Both certificates are there: the one that signed counts.
    let both = [new.chain(), old.chain()].concat();
    td_case(&old, |quote| quote.chain(&both)).has_status(TcbStatus::OutOfDate);
}

#[test]
fn a_chain_is_certificates_with_or_without_a_nul_and_nothing_else() {
    let chain = machine().chain();
    let text: String = chain.iter().map(|der| pem(der)).collect();
    for data in [text.clone(), format!("{text}\0"), format!("{text}\n\n"), text.replace('\n', "\r\n")] {
        td_case(&machine(), |quote| quote.certification_data(data.as_bytes()))
            .has_status(TcbStatus::UpToDate);
    }
    for data in [
        format!("{text}\0\0"),
        format!("subject: somebody\n{text}"),
        "-----BEGIN".to_owned(),
        text.replace("-----END", "----END"),
        text.replacen("MII", "M!I", 1),
        text.replacen("-----BEGIN CERTIFICATE-----\n", "-----BEGIN CERTIFICATE-----\nAAAA", 1),
    ] {
        let case = td_case(&machine(), |quote| quote.certification_data(data.as_bytes()));
        case.not_judged("endorsement.malformed");
    }
    for data in [&b""[..], b"\0"] {
        let case = td_case(&machine(), |quote| quote.certification_data(data));
        case.not_judged("endorsement.missing");
    }
}

/// Certification data that only names the certificate: it must be brought.
#[test]
fn a_platform_that_is_only_named_is_verified_by_what_was_brought() {
    for kind in [1, 2, 3, 6, 7] {
        let mut case = td_case(&machine(), |quote| quote.chain_type(kind));
        case.not_judged("endorsement.missing");
        case.endorsements.certificates.extend(machine().chain());
        case.has_status(TcbStatus::UpToDate);
    }
}

#[test]
fn l23_the_certificates_of_a_quote_are_counted() {
    let chain = machine().chain();
    let repeated = |count: usize| -> Case {
        let many: Vec<Vec<u8>> = chain.iter().cycle().take(count).cloned().collect();
        td_case(&machine(), |quote| quote.chain(&many))
    };
    repeated(8).has_status(TcbStatus::UpToDate);
    repeated(9).not_judged("input.too_much");
    let mut many = plain();
    many.endorsements.documents.resize(29, machine().qe_identity().json());
    many.has_status(TcbStatus::UpToDate);
    many.endorsements.documents.push(machine().qe_identity().json());
    many.not_judged("input.too_much");
    let huge = vec![b' '; attest::Endorsements::MAX_ITEM_BYTES + 1];
    plain().tcb_info(huge).not_judged("input.too_much");
    td_case(&machine(), |quote| quote.certification_data(&vec![b'x'; 65_536]))
        .not_judged("evidence.malformed");
}

#[test]
fn l22_a_cut_document_is_an_error_and_no_panic() {
    let case = plain();
    let documents: [(Vec<u8>, Put); 2] =
        [(machine().tcb_info().json(), Case::tcb_info), (machine().qe_identity().json(), Case::qe_identity)];
    for (json, put) in documents {
        for length in 0..json.len() {
            put(case.clone(), json[..length].to_vec()).not_judged("endorsement.malformed");
        }
    }
}

/// What stands behind a quote is neither signed nor part of it: whoever collects evidence cuts there.
#[test]
fn l24_bytes_behind_a_quote_are_refused_and_can_be_cut() {
    for tail in [&[0][..], &[0; 70], &[0xa5; 39]] {
        let case = td_case(&machine(), |quote| quote.trailing(tail));
        let length = Quote::length(&case.evidence).unwrap();
        assert_eq!(length, case.evidence.len() - tail.len());
        case.clone().not_judged("evidence.malformed");
        case.evidence(|bytes| bytes.truncate(length)).has_status(TcbStatus::UpToDate);
    }
}

#[test]
fn l01_an_answer_to_another_challenge_is_not_bound() {
    let answer = |data: [u8; 64]| td_case(&machine(), |quote| quote.report_data(data));
    let mut swapped = caller_data();
    swapped.rotate_left(32);
    let mut short = caller_data();
    short[32..].fill(0);
    for data in [[0; 64], [7; 64], swapped, short] {
        answer(data).refused_by(&["challenge.bound"]);
    }
}

#[test]
fn l02_a_quote_that_does_not_verify_gives_no_claims() {
    let case = plain().evidence(|bytes| bytes[48 + 136] ^= 1);
    let evidence = Evidence::parse(case.platform, &case.evidence).unwrap();
    let prepared = case.prepare(&AwsLcRs, &evidence).unwrap();
    let unverified = evidence.verify(&AwsLcRs, &prepared, case.now).unwrap_err();
    assert_eq!(unverified.to_string(), "tdx evidence is not genuine: tdx.quote.signature");
}

#[test]
fn every_field_is_read_back_as_it_was_set() {
    let svn = |first: u8| {
        let mut svn = [9; 16];
        svn[..2].copy_from_slice(&[first, 1]);
        svn
    };
    let case = td_case(&machine(), |quote| {
        quote
            .body(Body::Td15Ex)
            .header_field(28, &[1; 20])
            .tee_tcb_svn(svn(6))
            .mr_seam([2; 48])
            .td_attributes(3)
            .xfam(4)
            .mrtd([5; 48])
            .mr_config_id([6; 48])
            .mr_owner([7; 48])
            .mr_owner_config([8; 48])
            .rtmrs([[9; 48], [10; 48], [11; 48], [12; 48]])
            .report_data([13; 64])
            .tee_tcb_svn_2(svn(7))
            .mr_service_td([15; 48])
            .body_field(648, &[16])
            .body_field(649, &[17; 32])
            .body_field(681, &[18; 48])
            .body_field(729, &[19; 48])
            .body_field(777, &[20; 8])
            .body_field(785, &[21; 16])
            .body_field(801, &[22; 16])
            .body_field(817, &[23; 12])
            .body_field(829, &[24; 48])
            .body_field(877, &[25; 8])
    });
    let tdx::Claims { quote, report, platform, boot: _ } = case.td_claims().unwrap();
    assert_eq!((quote.version, quote.user_data.0), (5, [1; 20]));
    assert_eq!((report.tee_tcb_svn.0, report.mrseam.0), (svn(6), [2; 48]));
    assert_eq!((report.td_attributes.0, report.xfam.0), (3, 4));
    assert_eq!((report.mrtd.0, report.mrconfigid.0), ([5; 48], [6; 48]));
    assert_eq!((report.mrowner.0, report.mrownerconfig.0), ([7; 48], [8; 48]));
    assert_eq!(report.rtmrs.map(|rtmr| rtmr.0), [[9; 48], [10; 48], [11; 48], [12; 48]]);
    assert_eq!(report.report_data.0, [13; 64]);
    let v15 = report.v15.unwrap();
    assert_eq!((v15.tee_tcb_svn_2.0, v15.mrservicetd.0), (svn(7), [15; 48]));
    let ex = report.ex.unwrap();
    assert_eq!((ex.vmid, ex.td_id.0, ex.device_info.0), (16, [17; 32], [18; 48]));
    assert_eq!((ex.init_servicetd_hash.0, ex.init_servicetd_attributes.0), ([19; 48], [20; 8]));
    assert_eq!((ex.init_cpu_svn.0, ex.init_tee_tcb_svn.0), ([21; 16], [22; 16]));
    assert_eq!((ex.init_tee_fmspc.0, ex.current_servicetd_hash.0), ([23; 12], [24; 48]));
    assert_eq!(ex.current_servicetd_attributes.0, [25; 8]);
    assert_eq!(platform.pck.ppid.0, machine().ppid());
    assert_eq!(platform.pck.fmspc.0, machine().fmspc());
    assert_eq!(platform.pck.platform_instance_id.unwrap().0, machine().instance());
    assert_eq!(platform.pck_authority, "Intel SGX PCK Platform CA");
}

/// The reserved fields of the header are signed, and say nothing.
#[test]
fn what_is_reserved_is_signed_and_passed_over() {
    td_case(&machine(), |quote| quote.header_field(8, &[1, 2, 3, 4])).has_status(TcbStatus::UpToDate);
    plain().evidence(|bytes| bytes[8] ^= 1).refused_by(&["tdx.quote.signature"]);
}

#[test]
fn a_quote_without_collateral_leads_to_the_root_and_no_further() {
    for mut case in td_cases() {
        case.endorsements = attest::Endorsements::default();
        let quote = Quote::parse(&case.evidence).unwrap();
        let chain = tdx::verify_quote_chain(&quote, &case.endorsements, &AwsLcRs, &case.anchors, case.now);
        assert_eq!(chain.unwrap().roots, attest::Roots::Simulated);
        let other = &case.other_anchors;
        assert!(tdx::verify_quote_chain(&quote, &case.endorsements, &AwsLcRs, other, case.now).is_err());
        case.not_judged("endorsement.missing");
    }
}

#[test]
fn a_td_is_known_by_its_platform() {
    let case = plain();
    let evidence = Evidence::parse(Platform::Tdx, &case.evidence).unwrap();
    let prepared = case.prepare(&AwsLcRs, &evidence).unwrap();
    let verified = evidence.verify(&AwsLcRs, &prepared, case.now).unwrap();
    assert_eq!(verified.claims().hardware_id().unwrap().as_ref(), machine().ppid());
    assert_eq!(prepared.window().until.0, EPOCH + 29 * 86_400);
}

/// The report data of the quoting enclave in a quote of version 4.
fn report_data(quote: &[u8]) -> [u8; 64] {
    let at = 48 + 584 + 4 + 64 + 64 + 2 + 4 + 320;
    quote[at..at + 64].try_into().unwrap()
}

fn own_number(body: Body) -> usize {
    match body {
        Body::Td10 => 2,
        Body::Td15 => 3,
        Body::Td15Ex => 4,
    }
}

fn plain() -> Case {
    td_case(&machine(), |quote| quote)
}

fn machine() -> Machine {
    Machine::new(1)
}
