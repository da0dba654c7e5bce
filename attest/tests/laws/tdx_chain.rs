//! The certificates and lists of a TD: names, signatures, extensions, dates, and every way to have the wrong
//! one. Lesson L9 for Intel: lists stale for ever, by the wrong issuer, without nextUpdate, unsigned.

use attest::crypto::AwsLcRs;
use attest::tdx::TcbStatus;
use attest::{Evidence, Revocation, TrustAnchors, UnixTime};
use simulator::ecdsa::{Curve, Key};
use simulator::tdx::{Ca, EPOCH, Platform, Role, SgxExtensions, Vendor, intel_name, levels};
use simulator::x509::{BasicConstraints, CertBuilder, CrlBuilder, Issuer, oid};

use crate::case::Case;
use crate::td::{anchors, td_case};

#[test]
fn a_platform_is_certified_by_the_authority_that_it_names() {
    let single = machine().with_ca(Ca::Processor);
    for machine in [machine(), single.clone()] {
        plain(&machine).has_status(TcbStatus::UpToDate);
    }
    let crossed = single.pck().issuer(intel_name("Intel SGX PCK Platform CA")).der();
    with_chain(&[crossed, machine().ca().der()]).refused_by(&["tdx.chain.pck_signature"]);
    let foreign = machine().pck().issued_by(&issuer("Somebody CA", b"somebody")).der();
    let mut case = with_chain(&[foreign, machine().ca().der()]);
    let error = case.not_judged("endorsement.missing").to_string();
    assert!(error.contains("a revocation list of Somebody CA"), "{error}");
    let list = CrlBuilder::new(&issuer("Somebody CA", b"somebody"), EPOCH - 1, EPOCH + 1).der();
    case.endorsements.revocation_lists.push(list);
    case.refused_by(&["tdx.chain.authority_name", "tdx.chain.pck_signature"]);
}

#[test]
fn a_platform_certified_by_a_namesake_is_refused() {
    let other = machine().with_vendor(Vendor::Other);
    let pck = machine().pck().signed_by(other.authority(Role::PlatformCa).key()).der();
    with_chain(&[pck, machine().ca().der()]).refused_by(&["tdx.chain.pck_signature"]);
    let ca = machine().ca().signed_by(other.authority(Role::Root).key()).der();
    with_chain(&[machine().pck().der(), ca]).refused_by(&["tdx.chain.authority_signature"]);
}

#[test]
fn an_authority_that_may_not_issue_is_refused() {
    for ca in [
        machine().ca().basic_constraints(BasicConstraints::EndEntity),
        machine().ca().without(oid::BASIC_CONSTRAINTS),
        machine().ca().key_usage([6, 0xc0]),
    ] {
        with_chain(&[machine().pck().der(), ca.der()]).refused_by(&["tdx.chain.pck_signature"]);
    }
}

/// Intel renewed this certificate in May 2025, for the same key, with the same serial number.
#[test]
fn of_a_signer_and_its_renewal_the_one_that_holds_longer_counts_wherever_it_stands() {
    let old = machine().tcb_signing().not_after(EPOCH - 1).der();
    let case = plain(&machine());
    let new = case.endorsements.certificates[0].clone();
    for pair in [[old.clone(), new.clone()], [new, old.clone()]] {
        let mut case = case.clone();
        case.endorsements.certificates = pair.into();
        case.admitted();
    }
    case.signer(old).refused_by(&["tdx.signer.dates"]);
}

/// A platform's owner holds its PCK key: what it signs as an authority must count for nothing.
#[test]
fn a_platforms_key_certifies_no_other_platform() {
    let own = Issuer { name: intel_name("Intel SGX PCK Platform CA"), key: machine().pck_key() };
    let stolen = machine().pck().subject(own.name.clone()).der();
    let leaf = Platform::new(5).pck().issued_by(&own).der();
    let chain = [leaf, stolen, machine().ca().der()];
    let quote = |machine: &Platform| td_case(machine, |quote| quote.chain(&chain));
    quote(&Platform::new(5)).refused_by(&["tdx.chain.pck_signature"]);
    let authority = machine().pck().basic_constraints(BasicConstraints::Unlimited).key_usage([1, 6]).der();
    with_chain(&[authority, machine().ca().der()]).refused_by(&["tdx.chain.pck_signature"]);
}

#[test]
fn a_critical_extension_that_nobody_knows_is_refused() {
    let odd: simulator::snp::Oid = &[1, 2, 3, 4];
    let pck = machine().pck().extension(odd, &[5, 0]);
    with_chain(&[pck.der(), machine().ca().der()]).has_status(TcbStatus::UpToDate);
    let ids = ["tdx.chain.critical_extensions"];
    with_chain(&[pck.critical(odd).der(), machine().ca().der()]).refused_by(&ids);
    let ca = machine().ca().extension(odd, &[5, 0]).critical(odd).der();
    with_chain(&[machine().pck().der(), ca]).refused_by(&ids);
    let signer = machine().tcb_signing().extension(odd, &[5, 0]).critical(odd).der();
    plain(&machine()).signer(signer).refused_by(&["tdx.signer.critical_extensions"]);
}

#[test]
fn each_certificate_is_good_from_its_first_to_its_last_second() {
    let (from, until) = (EPOCH - 100, EPOCH + 100);
    let narrow = |certificate: CertBuilder| certificate.not_before(from).not_after(until).der();
    let pck = with_chain(&[narrow(machine().pck()), machine().ca().der()]);
    let ca = with_chain(&[machine().pck().der(), narrow(machine().ca())]);
    let root = TrustAnchors::insecure_simulated(&[narrow(machine().root())]).unwrap();
    let signer = plain(&machine()).signer(narrow(machine().tcb_signing()));
    for (case, id) in [
        (pck, "tdx.chain.dates"),
        (ca, "tdx.chain.dates"),
        (plain(&machine()).anchors(root), "tdx.chain.dates"),
        (signer, "tdx.signer.dates"),
    ] {
        for inside in [from, EPOCH, until] {
            case.clone().at(UnixTime(inside)).has_status(TcbStatus::UpToDate);
        }
        for outside in [from - 1, until + 1] {
            case.clone().asked_at_instant(outside).refused_by(&[id]);
        }
    }
}

#[test]
fn only_the_tcb_signer_under_the_root_signs_documents() {
    let machine = machine();
    let signer = || machine.tcb_signing();
    let other = machine.clone().with_vendor(Vendor::Other);
    let platform_ca = machine.authority(Role::PlatformCa).issuer();
    for wrong in [
        signer().signed_by(other.authority(Role::Root).key()),
        signer().issued_by(&platform_ca),
        signer().issued_by(&issuer("Intel SGX Root CA", b"another root")),
        signer().basic_constraints(BasicConstraints::Unlimited).key_usage([1, 6]),
    ] {
        plain(&machine).signer(wrong.der()).refused_by(&[
            "tdx.signer.signature",
            "tdx.tcb_info.signature",
            "tdx.qe_identity.signature",
        ]);
    }
    let renamed = signer().subject(intel_name("Intel SGX PCK Certificate")).der();
    let unknown = signer().subject(intel_name("Intel SGX Something")).der();
    for certificate in [renamed, unknown] {
        let error = plain(&machine).signer(certificate).not_judged("endorsement.missing").to_string();
        assert!(error.contains("Intel SGX TCB Signing"), "{error}");
    }
}

#[test]
fn a_missing_endorsement_is_named() {
    let machine = machine();
    let mut case = plain(&machine);
    case.endorsements = attest::Endorsements::default();
    let error = case.not_judged("endorsement.missing").to_string();
    for name in [
        "TCB info of TDX for FMSPC b0c06f000000",
        "QE identity",
        "Intel SGX TCB Signing",
        "a revocation list of Intel SGX Root CA",
        "a revocation list of Intel SGX PCK Platform CA",
    ] {
        assert!(error.contains(name), "{name} is not in {error}");
    }
    let alone = with_chain(&[machine.pck().der()]).not_judged("endorsement.missing").to_string();
    assert!(alone.contains("the certificate of Intel SGX PCK Platform CA"), "{alone}");
    let mut brought = with_chain(&[machine.pck().der()]);
    brought.endorsements.certificates.push(machine.ca().der());
    brought.has_status(TcbStatus::UpToDate);
    let nothing = td_case(&machine, |quote| quote.certification_data(&[0; 404]).chain_type(3));
    let error = nothing.not_judged("endorsement.missing").to_string();
    assert!(error.contains("certification data of type 3"), "{error}");
}

#[test]
fn a_quote_of_another_enclave_or_tcb_is_not_judged_by_what_was_prepared() {
    let case = plain(&machine());
    let evidence = Evidence::parse(case.platform, &case.evidence).unwrap();
    let prepared = case.prepare(&AwsLcRs, &evidence).unwrap();
    let other_key = Key::derive(Curve::P256, b"another attestation key");
    for other in [
        td_case(&machine(), |quote| quote.attestation_key(other_key)),
        td_case(&machine(), |quote| quote.qe_isv_svn(7)),
        td_case(&machine(), |quote| quote.tee_tcb_svn([7, 1, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
        plain(&Platform::new(4)),
    ] {
        other.has_status(TcbStatus::UpToDate);
        let evidence = Evidence::parse(other.platform, &other.evidence).unwrap();
        let refusal = evidence.verify(&AwsLcRs, &prepared, case.now).unwrap_err().to_string();
        assert!(refusal.contains("tdx.endorsement.qe"), "{refusal}");
    }
}

#[test]
fn every_field_of_the_platforms_certificate_must_be_there_once() {
    for arc in 1..=5 {
        extended(|all| all.without(arc)).not_judged("endorsement.malformed");
    }
    for arc in [6, 7] {
        extended(|all| all.without(arc)).has_status(TcbStatus::UpToDate);
    }
    for arc in 1..=18 {
        extended(|all| all.without_tcb(arc)).not_judged("endorsement.malformed");
        extended(|all| all.duplicate_tcb(arc, 99)).not_judged("endorsement.malformed");
    }
    for arc in 1..=7 {
        extended(|all| all.duplicate(arc, &[5, 0])).not_judged("endorsement.malformed");
    }
    let bare = machine().pck().without(simulator::tdx::SGX_EXTENSIONS).der();
    with_chain(&[bare, machine().ca().der()]).not_judged("endorsement.malformed");
    extended(|all| all.member(8, &[5, 0])).has_status(TcbStatus::UpToDate);
    extended(SgxExtensions::reversed).has_status(TcbStatus::UpToDate);
}

#[test]
fn every_field_of_the_platforms_certificate_has_its_length_and_type() {
    for change in [
        |all: SgxExtensions| all.ppid(&[0; 15]),
        |all: SgxExtensions| all.fmspc(&[0xb0, 0xc0, 0x6f, 0, 0]),
        |all: SgxExtensions| all.fmspc(&[0xb0, 0xc0, 0x6f, 0, 0, 0, 0]),
        |all: SgxExtensions| all.pce_id(&[0]),
        |all: SgxExtensions| all.platform_instance_id(&[0; 17]),
        |all: SgxExtensions| all.component(1, 256),
        |all: SgxExtensions| all.pce_svn(65_536),
        |all: SgxExtensions| all.tcb_member(16, &[2, 1, 0x80]),
        |all: SgxExtensions| all.tcb_member(3, &[4, 1, 2]),
        |all: SgxExtensions| all.tcb_member(18, &[4, 1, 0]),
        |all: SgxExtensions| all.tcb_member(19, &[2, 1, 0]).tcb_member(1, &[]),
        |all: SgxExtensions| all.member(1, &[5, 0]),
        |all: SgxExtensions| all.member(2, &[5, 0]),
        |all: SgxExtensions| all.member(5, &[2, 1, 0]),
        |all: SgxExtensions| all.member(7, &[5, 0]),
    ] {
        extended(change).not_judged("endorsement.malformed");
    }
}

/// Every field changed and certified anew: what Intel would have said of another platform.
#[test]
fn every_field_of_the_platforms_certificate_is_used() {
    extended(|all| all.fmspc(&[0xb0, 0xc0, 0x6f, 0, 0, 1])).refused_by(&["tdx.tcb_info.fmspc"]);
    extended(|all| all.pce_id(&[0, 1])).refused_by(&["tdx.tcb_info.pceid"]);
    extended(|all| all.pce_svn(12)).has_status(TcbStatus::OutOfDateConfigurationNeeded);
    extended(|all| all.pce_svn(4)).refused_by(&["tdx.tcb.launch"]);
    let claims = |change: fn(SgxExtensions) -> SgxExtensions| {
        extended(change).td_claims().unwrap().platform.pck.clone()
    };
    assert_eq!(claims(|all| all.ppid(&[9; 16])).ppid.0, [9; 16]);
    assert_eq!(claims(|all| all.platform_instance_id(&[8; 16])).platform_instance_id.unwrap().0, [8; 16]);
    assert_eq!(claims(|all| all.sgx_type(2)).sgx_type, 2);
    let configured = claims(|all| all.configuration([false, true, false])).configuration.unwrap();
    assert_eq!(
        (configured.dynamic_platform, configured.cached_keys, configured.smt_enabled),
        (Some(false), Some(true), Some(false))
    );
}

/// Lessons L6 and L7: sixteen components and the PCE, each by itself; a higher one makes up for no lower one.
#[test]
fn l07_each_component_of_the_platform_is_compared_by_itself() {
    let [best, ..] = levels();
    for (number, svn) in (1..=16).zip(best.sgx) {
        extended(|all| all.component(number, 255)).has_status(TcbStatus::UpToDate);
        if svn == 0 {
            continue;
        }
        let raised = |all: SgxExtensions| {
            (1..=16).filter(|other| *other != number).fold(all, |all, other| all.component(other, 255))
        };
        let lowered = extended(|all| raised(all).pce_svn(65_535).component(number, 0));
        lowered.refused_by(&["tdx.tcb.launch"]);
    }
}

/// A platform that has more of something is at the same level or at a better one.
#[test]
fn l07_raising_a_component_never_makes_a_platform_worse() {
    let mut state = 7_u64;
    let mut draw = |below: u64| {
        // Knuth's linear congruential generator: the same draws on every machine.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..40 {
        let mut svns: Vec<u64> = levels()[0].sgx.iter().map(|svn| u64::from(*svn)).collect();
        for svn in svns.iter_mut().take(2) {
            *svn = draw(6);
        }
        let pce_svn = [4, 5, 11, 12, 13, 14][usize::try_from(draw(6)).unwrap()];
        let rank = |svns: &[u64], pce_svn: u64| {
            let case = extended(|all| {
                (1..).zip(svns).fold(all, |all, (number, svn)| all.component(number, *svn)).pce_svn(pce_svn)
            });
            // In the order from best to worst; what meets no level or a revoked one is worst of all.
            case.td_claims().map_or(TcbStatus::Revoked, |claims| claims.platform.tcb.status)
        };
        let before = rank(&svns, pce_svn);
        seen.insert(before);
        svns[usize::try_from(draw(16)).unwrap()] += 1 + draw(3);
        assert!(rank(&svns, pce_svn) <= before, "{svns:?} {pce_svn}");
        assert!(rank(&svns, pce_svn + 1) <= before, "{svns:?} {pce_svn}");
    }
    assert!(seen.len() >= 3, "{seen:?}");
}

/// A default that is written out, and zeros behind a certificate, as some stores pad theirs.
#[test]
fn a_certificate_that_is_no_der_ends_in_its_own_error() {
    let spelt = [machine().pck().explicit_defaults().der(), machine().ca().explicit_defaults().der()];
    with_chain(&spelt).has_status(TcbStatus::UpToDate);
    let no_authority = &[0x30, 3, 1, 1, 0];
    let leaf = machine().pck().extension(oid::BASIC_CONSTRAINTS, no_authority).der();
    with_chain(&[leaf, machine().ca().der()]).has_status(TcbStatus::UpToDate);
    let padded = |der: Vec<u8>| [der, vec![0; 2048]].concat();
    let padded_pck = [padded(machine().pck().der()), machine().ca().der()];
    with_chain(&padded_pck).not_judged("endorsement.padded");
    plain(&machine()).signer(padded(machine().tcb_signing().der())).not_judged("endorsement.padded");
    plain(&machine()).pck_list(padded(machine().pck_crl().der())).not_judged("endorsement.padded");
}

#[test]
fn evidence_verified_without_lists_says_so() {
    let mut case = plain(&machine());
    case.endorsements.revocation_lists.clear();
    case.revocation = Revocation::InsecureWaived;
    let claims = case.td_claims().unwrap();
    assert_eq!(claims.platform.issued.revocation_lists, None);
}

/// Lesson L26: a root is known by its key; where it stands among the certificates says nothing.
#[test]
fn l26_the_order_of_the_certificates_does_not_matter() {
    let machine = machine();
    let good = machine.chain();
    let other = machine.clone().with_vendor(Vendor::Other).root().der();
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let ordered = order.map(|at: usize| good[at].clone());
        with_chain(&ordered).has_status(TcbStatus::UpToDate);
        for at in 0..=3 {
            let mut with_another = ordered.to_vec();
            with_another.insert(at, other.clone());
            td_case(&machine, |quote| quote.chain(&with_another))
                .refused_by(&["tdx.chain.root", "tdx.chain.root_signature"]);
        }
    }
    let mut reversed = plain(&machine);
    reversed.endorsements.certificates.extend(good);
    reversed.endorsements.certificates.reverse();
    reversed.endorsements.revocation_lists.reverse();
    reversed.endorsements.documents.reverse();
    reversed.has_status(TcbStatus::UpToDate);
}

/// Lesson L27: a root that came with the evidence is never believed, complete as its chain may be.
#[test]
fn l27_a_root_that_the_caller_brings_is_not_believed() {
    let foreign = machine().with_vendor(Vendor::Other);
    let mut case = plain(&foreign);
    case.endorsements.certificates.push(foreign.root().der());
    case.refused_by(&["tdx.chain.root", "tdx.chain.root_signature", "tdx.chain.authority_signature"]);
    case.anchors(anchors(Vendor::Other)).has_status(TcbStatus::UpToDate);
}

/// Lesson L18: neither production anchors nor a production policy can be talked into simulated roots.
#[test]
fn l18_nothing_in_a_quote_reaches_the_simulated_root() {
    for case in crate::td::td_cases() {
        let production = case.clone().anchors(TrustAnchors::vendor());
        production.refused_by(&[
            "tdx.chain.root",
            "tdx.chain.root_signature",
            "tdx.chain.authority_signature",
        ]);
        let record = case.policy(|policy| policy.without("insecure-accept-simulated-roots")).refused();
        assert!(record.failing().any(|check| check.id == "roots.accepted"));
    }
}

/// Lesson L24: a signature by the right key over other bytes, and a key that another enclave made.
#[test]
fn l24_a_signature_over_something_else_is_none() {
    let machine = machine();
    let other = Key::derive(Curve::P256, b"another attestation key");
    let by_other = td_case(&machine, |quote| quote.signed_by(other.clone()));
    by_other.refused_by(&["tdx.quote.signature"]);
    td_case(&machine, |quote| quote.qe_signed_by(other)).refused_by(&["tdx.qe.signature"]);
    td_case(&machine, |quote| quote.qe_report_data([0; 64])).refused_by(&["tdx.qe.key"]);
    let donor = td_case(&machine, |quote| quote.mrtd([1; 48])).evidence;
    let signature = plain(&machine).signed.end + 4;
    plain(&machine)
        .evidence(|bytes| bytes[signature..signature + 64].copy_from_slice(&donor[signature..signature + 64]))
        .refused_by(&["tdx.quote.signature"]);
    let elsewhere = td_case(&machine, |quote| quote.qe_signed_by(Platform::new(2).pck_key()));
    elsewhere.refused_by(&["tdx.qe.signature"]);
}

impl Case {
    /// Judged at `unix`, with a challenge of that time.
    pub(crate) fn asked_at_instant(mut self, unix: u64) -> Self {
        self.asked.expires = UnixTime(unix + 120);
        self.at(UnixTime(unix))
    }
}

fn extended(change: impl FnOnce(SgxExtensions) -> SgxExtensions) -> Case {
    with_chain(&[machine().pck_with(change).der(), machine().ca().der()])
}

fn with_chain(chain: &[Vec<u8>]) -> Case {
    td_case(&machine(), |quote| quote.chain(chain))
}

fn issuer(name: &str, label: &[u8]) -> Issuer {
    Issuer { name: intel_name(name), key: Key::derive(Curve::P256, label) }
}

pub(crate) fn plain(machine: &Platform) -> Case {
    td_case(machine, |quote| quote)
}

pub(crate) fn machine() -> Platform {
    Platform::new(1)
}
