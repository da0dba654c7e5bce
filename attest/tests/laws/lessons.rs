//! Lessons: one test for each class of fault that others had and that concerns all platforms or SNP.
//! L8 and L9 stand in `snp_chain` and `snp_crl`, L7 in `snp_policy`, those of TPM quotes in `tests/tpm`.

use attest::crypto::AwsLcRs;
use attest::{Digest, Endorsements, Evidence, Kem, OfferedKey, Platform, Transcript, TrustAnchors, snp};
use simulator::snp::{CertTable, Chip, Product, ReportBuilder, Vendor, guid};

use crate::case::{Asked, Case};
use crate::silicon::{NOW, anchors, vcek_case, vlek_case};

/// A constant nonce, an empty one, and one of an earlier challenge are answers to nothing.
#[test]
fn l01_an_answer_to_another_challenge_is_not_bound() {
    let answer = |data: [u8; 64]| vcek_case(&genoa(), |report| report.report_data(data));
    answer([0; 64]).refused_by(&["challenge.bound"]);
    answer([7; 64]).refused_by(&["challenge.bound"]);
    let earlier = Asked { nonce: [6; 32], ..Asked::usual(NOW) };
    answer(earlier.caller_data(Platform::SevSnp).try_into().unwrap()).refused_by(&["challenge.bound"]);
    let mut bare_nonce = [0; 64];
    bare_nonce[..32].copy_from_slice(&[7; 32]);
    answer(bare_nonce).refused_by(&["challenge.bound"]);
}

/// The answer to "does it verify" is the claims themselves: there is no boolean to overlook.
#[test]
fn l02_evidence_that_does_not_verify_gives_no_claims() {
    let case = plain().evidence(|bytes| bytes[0x90] ^= 1);
    let evidence = Evidence::parse(case.platform, &case.evidence).unwrap();
    let prepared = case.prepare(&AwsLcRs, &evidence).unwrap();
    let unverified = evidence.verify(&AwsLcRs, &prepared, NOW).unwrap_err();
    assert_eq!(unverified.to_string(), "sev-snp evidence is not genuine: snp.signature");
}

/// Each of these was genuine but for one thing, and is refused for that thing alone.
#[test]
fn l03_each_fault_fails_its_own_check() {
    plain().admitted();
    plain().evidence(|bytes| bytes[0x2a0] ^= 1).refused_by(&["snp.signature"]);
    plain().lists([genoa().crl().revoke(0x02_0002).der()]).refused_by(&["snp.crl.intermediate"]);
    plain()
        .policy(|policy| policy.without("insecure-accept-simulated-roots"))
        .refused_by(&["roots.accepted"]);
    vcek_case(&genoa(), ReportBuilder::debug).refused_by(&["snp.policy.debug"]);
    vcek_case(&genoa(), |report| report.nonce([0; 64])).refused_by(&["challenge.bound"]);
}

/// All eight bytes of a TCB count, the reserved ones too: nothing is cut to the shorter of two.
#[test]
fn l06_every_byte_of_a_tcb_is_compared() {
    for product in Product::ALL {
        let chip = Chip::new(1, product);
        for (field, ids) in [
            (0x180, &["snp.vek.tcb", "snp.tcb.reported_at_most_current"][..]),
            (0x1e0, &["snp.tcb.committed_at_most_current"][..]),
        ] {
            for at in field..field + 8 {
                vcek_case(&chip, |report| report.reserved(at, 0xff)).refused_by(ids);
            }
        }
    }
}

/// Simulated roots are for whoever passes them in: neither production anchors nor a production policy
/// can be talked into them by evidence.
#[test]
fn l18_nothing_in_the_evidence_reaches_the_simulated_roots() {
    for product in Product::ALL {
        let chip = Chip::new(1, product);
        for case in [vcek_case(&chip, |report| report), vlek_case(&chip, |report| report)] {
            let production = case.clone().anchors(TrustAnchors::vendor());
            production.refused_by(&["snp.chain.intermediate_signature", "snp.crl.signature"]);
            let with_root = case.clone().anchors(TrustAnchors::vendor()).bring(chip.chain().ark);
            with_root.refused_by(&[
                "snp.chain.root",
                "snp.chain.intermediate_signature",
                "snp.crl.signature",
            ]);
            case.policy(|p| p.without("insecure-accept-simulated-roots")).refused_by(&["roots.accepted"]);
        }
    }
}

#[test]
fn l22_a_cut_certificate_or_table_is_an_error_and_no_panic() {
    let chip = genoa();
    let (chain, whole) = (chip.chain(), plain());
    for length in 0..chain.vcek.len() {
        whole.clone().vek(chain.vcek[..length].to_vec()).not_judged("endorsement.malformed");
    }
    let table = CertTable::default().with(guid::VCEK, &chain.vcek).with(guid::ASK, &chain.ask).encode();
    assert_eq!(snp::certificates(&table).unwrap().certificates, [chain.vcek, chain.ask]);
    for length in 1..table.len() {
        assert!(snp::certificates(&table[..length]).is_err(), "{length}");
    }
}

/// More certificates, longer ones and larger tables than anybody needs are not looked at.
#[test]
fn l23_work_is_bounded() {
    let chain = genoa().chain();
    let mut many = plain();
    many.endorsements.certificates.resize(31, chain.ask.clone());
    many.admitted();
    many.bring(chain.ask.clone()).not_judged("input.too_much");
    let huge = vec![0x30; Endorsements::MAX_ITEM_BYTES + 1];
    plain().bring(huge.clone()).not_judged("input.too_much");
    plain().lists([huge]).not_judged("input.too_much");
    let rows =
        |count: usize| (0..count).fold(CertTable::default(), |table, _| table.with(guid::ASK, &chain.ask));
    assert_eq!(snp::certificates(&rows(32).encode()).unwrap().certificates.len(), 32);
    assert!(snp::certificates(&rows(33).encode()).is_err());
}

/// A row may point anywhere: before the bodies, at another row's body, past the end, round the end.
#[test]
fn l23_a_certificate_table_points_only_into_itself() {
    let table = genoa().cert_table().encode();
    let row = |offset: u32, length: u32| {
        let mut changed = table.clone();
        changed[16..20].copy_from_slice(&offset.to_le_bytes());
        changed[20..24].copy_from_slice(&length.to_le_bytes());
        snp::certificates(&changed)
    };
    let end = u32::try_from(table.len()).unwrap();
    for (offset, length) in [(end, 1), (end - 1, 2), (u32::MAX, 1), (1, u32::MAX), (u32::MAX, u32::MAX)] {
        assert!(row(offset, length).is_err(), "{offset} {length}");
    }
    assert_eq!(row(end, 0).unwrap().certificates.len(), 2);
    assert_eq!(row(0, 24).unwrap().certificates.len(), 2);
    assert!(snp::certificates(&[]).unwrap().certificates.is_empty());
}

/// A signature by the right key over other bytes: of another report, or of this one before it was changed.
#[test]
fn l24_a_signature_over_something_else_is_none() {
    let chip = genoa();
    let other = chip.report().measurement([1; 48]).sign();
    plain().evidence(|bytes| bytes[0x2a0..].copy_from_slice(&other[0x2a0..])).refused_by(&["snp.signature"]);
    let by_vlek = vlek_case(&chip, |report| report);
    plain()
        .evidence(|bytes| bytes[0x2a0..].copy_from_slice(&by_vlek.evidence[0x2a0..]))
        .refused_by(&["snp.signature"]);
    plain().evidence(|bytes| bytes[0x2a0..].fill(0)).refused_by(&["snp.signature"]);
}

/// No two different answers have the same bytes, however their parts are cut.
#[test]
fn l25_a_transcript_has_one_reading() {
    let data = |context: &str, kem: Kem, public: &[u8]| {
        let key = OfferedKey { kem, public: public.to_vec() };
        Transcript { nonce: &[7; 32], context, key: &key }.caller_data(&AwsLcRs, Platform::SevSnp)
    };
    let all = [
        data("ab", Kem::X25519, b"c"),
        data("a", Kem::X25519, b"bc"),
        data("", Kem::X25519, b"abc"),
        data("abc", Kem::X25519, b""),
        data("ab", Kem::XWing, b"c"),
        data("ab\0", Kem::X25519, b"c"),
        data("ab", Kem::X25519, b"c\0"),
    ];
    for (at, left) in all.iter().enumerate() {
        assert!(all[at + 1..].iter().all(|right| left != right), "{at}");
    }
}

/// A root is known by its key: where it stands among the certificates says nothing.
#[test]
fn l26_the_order_of_the_certificates_does_not_matter() {
    let chip = genoa();
    let chain = chip.chain();
    let other = chip.clone().with_vendor(Vendor::Other).chain().ark;
    let record = |certificates: Vec<Vec<u8>>, ids: &[&str]| {
        let mut case = plain();
        case.endorsements.certificates = certificates;
        if ids.is_empty() { case.admitted() } else { case.refused_by(ids) }
    };
    let good = [chain.vcek, chain.ask, chain.ark];
    let first = record(good.to_vec(), &[]);
    for order in ORDERS {
        let ordered: Vec<Vec<u8>> = order.iter().map(|at| good[*at].clone()).collect();
        assert_eq!(record(ordered.clone(), &[]), first);
        for at in 0..=3 {
            let mut with_another = ordered.clone();
            with_another.insert(at, other.clone());
            record(with_another, &["snp.chain.root"]);
        }
    }
}

/// A root that came with the evidence is never believed, complete as its chain may be.
#[test]
fn l27_a_root_that_the_caller_brings_is_not_believed() {
    for product in Product::ALL {
        let foreign = Chip::new(1, product).with_vendor(Vendor::Other);
        let case = vcek_case(&foreign, |report| report).bring(foreign.chain().ark);
        case.refused_by(&["snp.chain.root", "snp.chain.intermediate_signature", "snp.crl.signature"]);
        case.anchors(anchors(Vendor::Other)).admitted();
    }
}

#[test]
fn a_certificate_table_in_pem_is_read() {
    let chain = genoa().chain();
    let pem = |der: &[u8]| {
        use base64::prelude::{BASE64_STANDARD, Engine as _};
        format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", BASE64_STANDARD.encode(der))
    };
    let both = [pem(&chain.ask), pem(&chain.ark)].concat();
    let table =
        CertTable::default().with(guid::VCEK, pem(&chain.vcek).as_bytes()).with(guid::ASK, both.as_bytes());
    let table = table.with([9; 16], b"firmware endorsement").with(guid::CRL, b"");
    let read = snp::certificates(&table.encode()).unwrap();
    assert_eq!(read.certificates, [chain.vcek, chain.ask, chain.ark]);
    let broken =
        CertTable::default().with(guid::VCEK, b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n");
    assert!(snp::certificates(&broken.encode()).is_err());
}

#[test]
fn the_pinned_roots_are_amds() {
    let digests: Vec<(snp::Product, Digest<32>)> = snp::vendor_root_digests(&AwsLcRs);
    let lines: Vec<&str> = digests.iter().map(|(product, _)| product.name()).collect();
    assert_eq!(lines, ["Milan", "Genoa", "Turin"]);
}

const ORDERS: [[usize; 3]; 6] = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];

fn plain() -> Case {
    vcek_case(&genoa(), |report| report)
}

fn genoa() -> Chip {
    Chip::new(1, Product::Genoa)
}
