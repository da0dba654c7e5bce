//! Collateral as a store keeps it: every object of a vendor is known for what it is and verified by itself; every
//! other is refused with its reason; packs open under a pinned key only.

use attest::collateral::{
    BadPack, Filed, Issuers, Kind, NotCollateral, Older, Pack, PackSigner, Unfit, file, is_genuine, verify,
    wants,
};
use attest::crypto::AwsLcRs;
use attest::{Endorsements, Evidence, Platform, TrustAnchors, UnixTime};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use simulator::snp::{Chip, EPOCH, Product, Vendor};
use simulator::tdx;

const NOW: UnixTime = UnixTime(EPOCH);

fn chip() -> Chip {
    Chip::new(3, Product::Genoa)
}

fn td() -> tdx::Platform {
    tdx::Platform::new(3).at(EPOCH)
}

fn anchors() -> TrustAnchors {
    let mut roots = vec![td().collateral().root];
    roots.extend(Product::ALL.map(|product| Chip::new(3, product).ark().der()));
    TrustAnchors::insecure_simulated(&roots).unwrap()
}

fn issuers() -> Issuers {
    let mut issuers = Issuers::default();
    let collateral = td().collateral();
    for der in [chip().ask().der(), chip().asvk().der(), collateral.ca, collateral.tcb_signing] {
        issuers.add(&der);
    }
    issuers
}

fn check(object: &[u8]) -> Result<Filed, Unfit> {
    verify(object, &issuers(), &AwsLcRs, &anchors(), NOW)
}

/// All objects that a store may keep, by kind.
fn objects() -> Vec<(Kind, Vec<u8>)> {
    let (chip, td) = (chip(), td().collateral());
    let chain = chip.chain();
    vec![
        (Kind::Vek, chain.vcek),
        (Kind::Vek, chain.vlek),
        (Kind::Issuer, chain.ask),
        (Kind::Issuer, chain.asvk),
        (Kind::Issuer, td.ca),
        (Kind::Issuer, td.tcb_signing),
        (Kind::Crl, chip.crl().der()),
        (Kind::RootCrl, td.root_crl),
        (Kind::PckCrl, td.pck_crl),
        (Kind::TcbInfo, td.tcb_info),
        (Kind::QeIdentity, td.qe_identity),
    ]
}

fn not_genuine(object: &[u8], id: &str) {
    let Err(Unfit::NotGenuine(why)) = check(object) else { panic!("{id}: {:?}", check(object)) };
    assert!(why.contains(id), "{why}");
}

#[test]
fn every_object_of_a_vendor_is_known_for_what_it_is_and_verified_by_itself() {
    for (kind, object) in objects() {
        let filed = check(&object).unwrap_or_else(|why| panic!("{kind}: {why}"));
        assert_eq!(filed.kind, kind);
        assert_eq!(file(&object).unwrap(), filed);
        assert_eq!(Kind::named(kind.name()), Some(kind));
    }
}

#[test]
fn what_evidence_asks_for_is_what_the_vendors_objects_are_filed_under() {
    let report = chip().report().sign();
    let leased = chip().report().sign_with_vlek();
    let quote = td().quote().sign();
    let cases = [(Platform::SevSnp, &report, 3), (Platform::SevSnp, &leased, 3), (Platform::Tdx, &quote, 5)];
    for (platform, bytes, count) in cases {
        let evidence = Evidence::parse(platform, bytes).unwrap();
        let wants = wants(&evidence).unwrap();
        assert_eq!(wants.len(), count, "{wants:?}");
        for want in &wants {
            let filed = objects().into_iter().map(|(_, object)| file(&object).unwrap());
            let found: Vec<Filed> =
                filed.filter(|found| found.kind == want.kind && want.fits(&found.key)).collect();
            assert_eq!(found.len(), 1, "{want:?}");
        }
    }
}

#[test]
fn a_key_that_only_begins_like_another_is_not_it() {
    let want = attest::collateral::Want { kind: Kind::Vek, key: "vlek.genoa.04".to_owned() };
    assert!(want.fits("vlek.genoa.04") && want.fits("vlek.genoa.04.CN=somebody"));
    assert!(!want.fits("vlek.genoa.040") && !want.fits("vlek.genoa"));
}

#[test]
fn what_no_vendor_signed_is_not_genuine() {
    let other = chip().with_vendor(Vendor::Other);
    not_genuine(&other.vcek().der(), "snp.chain.vek_signature");
    not_genuine(&other.ask().der(), "snp.chain.intermediate_signature");
    not_genuine(&other.crl().der(), "snp.crl.signature");
    let other = td().with_vendor(Vendor::Other);
    not_genuine(&other.ca().der(), "tdx.chain.authority_signature");
    not_genuine(&other.tcb_signing().der(), "tdx.signer.signature");
    not_genuine(&other.root_crl().der(), "tdx.crl.root.signature");
    not_genuine(&other.pck_crl().der(), "tdx.crl.pck.signature");
    not_genuine(&other.tcb_info().json(), "tdx.tcb_info.signature");
    not_genuine(&other.qe_identity().json(), "tdx.qe_identity.signature");
}

/// Each changed bit makes it something that is not taken; none makes it pass, none panics.
#[test]
fn a_changed_bit_is_never_taken() {
    for (kind, object) in objects() {
        for at in (0..object.len()).step_by(53) {
            let mut changed = object.clone();
            changed[at] ^= 1 << (at % 8);
            // The case of hex digits says nothing: it is the same signature.
            if changed.eq_ignore_ascii_case(&object) {
                continue;
            }
            assert!(check(&changed).is_err(), "{kind}: bit {} of byte {at}", at % 8);
        }
        for cut in (0..object.len()).step_by(211) {
            assert!(check(&object[..cut]).is_err(), "{kind}: cut at {cut}");
        }
    }
}

#[test]
fn what_has_ended_or_has_not_begun_is_not_taken() {
    for (kind, object) in objects() {
        let window = file(&object).unwrap().window;
        for (at, good) in [(window.from.0 - 1, false), (window.until.0 - 1, true), (window.until.0, false)] {
            let found = verify(&object, &issuers(), &AwsLcRs, &anchors(), UnixTime(at));
            match found {
                Ok(_) => assert!(good, "{kind} at {at}"),
                Err(why) => {
                    let expected = Unfit::NotCurrent { window, now: UnixTime(at) };
                    // Those above may have ended before.
                    assert!(
                        !good && why == expected || good && matches!(why, Unfit::NotGenuine(_)),
                        "{kind}: {why}"
                    );
                }
            }
        }
    }
}

#[test]
fn an_object_without_its_issuer_names_it() {
    for (object, name) in [
        (chip().vcek().der(), "SEV-Genoa"),
        (chip().vlek().der(), "SEV-VLEK-Genoa"),
        (td().pck_crl().der(), "Intel SGX PCK Platform CA"),
        (td().tcb_info().json(), "Intel SGX TCB Signing"),
        (td().qe_identity().json(), "Intel SGX TCB Signing"),
    ] {
        let found = verify(&object, &Issuers::default(), &AwsLcRs, &anchors(), NOW);
        assert_eq!(found, Err(Unfit::NoIssuer(name.to_owned())));
    }
}

#[test]
fn roots_leaves_of_quotes_and_documents_for_others_have_no_place() {
    let found = |object: &[u8]| file(object).unwrap_err().to_string();
    assert_eq!(found(&chip().ark().der()), "the root \"ARK-Genoa\": roots are pinned and not stored");
    assert!(matches!(file(&td().root().der()), Err(NotCollateral::Root(_))));
    assert!(found(&td().pck().der()).ends_with("found a certificate of \"Intel SGX PCK Certificate\""));
    let sgx = td().tcb_info().text("/id", "SGX").json();
    assert!(found(&sgx).ends_with("found a document \"SGX\" of version 3"), "{}", found(&sgx));
    let endless = chip().crl().without_next_update().der();
    assert!(found(&endless).ends_with("found a revocation list without nextUpdate"));
    let stranger = chip().crl().issuer("SEV-Genoa").der();
    assert!(found(&stranger).ends_with("found a revocation list of \"SEV-Genoa\""));
    assert!(matches!(file(b""), Err(NotCollateral::Unreadable(_))));
    assert!(matches!(file(&vec![0x30; 70_000]), Err(NotCollateral::Unreadable(_))));
}

#[test]
fn nothing_older_takes_the_place_of_what_is_newer() {
    let info = |edition, issued| {
        let json = td().tcb_info().number("/tcbEvaluationDataNumber", edition).issue_date(issued).json();
        file(&json).unwrap()
    };
    let stored = info(20, EPOCH - 100);
    assert_eq!(info(20, EPOCH - 99).succeeds(&stored), Ok(()));
    assert_eq!(info(21, EPOCH - 200).succeeds(&stored), Ok(()));
    let issued = |found| Older::Issued { expected: UnixTime(EPOCH - 100), found: UnixTime(found) };
    assert_eq!(info(20, EPOCH - 100).succeeds(&stored), Err(issued(EPOCH - 100)));
    assert_eq!(info(20, EPOCH - 101).succeeds(&stored), Err(issued(EPOCH - 101)));
    assert_eq!(info(19, EPOCH - 1).succeeds(&stored), Err(Older::Edition { expected: 20, found: 19 }));
}

#[test]
fn evidence_is_genuine_with_its_chain_alone_and_not_when_it_was_changed() {
    let chain = chip().chain();
    let bag = Endorsements { certificates: vec![chain.vcek, chain.ask], ..Endorsements::default() };
    let asked = |platform, bytes: &[u8], bag: &Endorsements| {
        is_genuine(&Evidence::parse(platform, bytes).unwrap(), bag, &AwsLcRs, &anchors(), NOW)
    };
    let (mut report, mut quote) = (chip().report().sign(), td().quote().sign());
    assert!(asked(Platform::SevSnp, &report, &bag));
    assert!(!asked(Platform::SevSnp, &report, &Endorsements::default()));
    assert!(asked(Platform::Tdx, &quote, &Endorsements::default()));
    report[0x90] ^= 1;
    quote[48 + 136] ^= 1;
    assert!(!asked(Platform::SevSnp, &report, &bag));
    assert!(!asked(Platform::Tdx, &quote, &Endorsements::default()));
}

struct Notary(Ed25519KeyPair);

impl Notary {
    fn new(seed: u8) -> Self {
        Self(Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap())
    }

    fn key(&self) -> PackSigner {
        PackSigner(self.0.public_key().as_ref().try_into().unwrap())
    }

    fn sign(&self, pack: &Pack) -> Vec<u8> {
        let signature = self.0.sign(&pack.to_be_signed(&self.key(), &AwsLcRs).unwrap());
        pack.signed(&self.key(), &AwsLcRs, signature.as_ref().to_vec()).unwrap()
    }
}

fn pack() -> Pack {
    let objects = objects().into_iter().map(|(kind, object)| (object, format!("{kind} of the simulator")));
    Pack::new(NOW, "for the site in the valley", objects.collect()).unwrap()
}

#[test]
fn a_pack_opens_under_a_pinned_key_and_holds_what_was_put_in_sorted_and_once() {
    let notary = Notary::new(1);
    let pack = pack();
    let file = notary.sign(&pack);
    let (opened, signer) = Pack::open(&file, &[Notary::new(2).key(), notary.key()], &AwsLcRs).unwrap();
    assert!(opened == pack && signer == notary.key().id(&AwsLcRs));
    assert_eq!(Pack::signer(&file), Ok(signer));
    assert!(Pack::insecure_peek(&file).as_ref() == Ok(&pack));
    let kinds: Vec<Kind> = opened.objects().iter().map(|object| object.kind).collect();
    assert!(kinds.is_sorted() && kinds.len() == objects().len(), "{kinds:?}");
    let doubled: Vec<(Vec<u8>, String)> = opened
        .objects()
        .iter()
        .rev()
        .chain(opened.objects())
        .map(|o| (o.bytes.clone(), o.origin.clone()))
        .collect();
    assert!(Pack::new(NOW, &opened.note, doubled).unwrap() == opened);
}

#[test]
fn a_pack_of_another_signer_a_changed_one_and_one_with_a_root_do_not_open() {
    let (notary, stranger) = (Notary::new(1), Notary::new(2));
    let file = notary.sign(&pack());
    let open = |file: &[u8]| Pack::open(file, &[notary.key()], &AwsLcRs);
    let theirs = stranger.key().id(&AwsLcRs);
    assert_eq!(open(&stranger.sign(&pack())), Err(BadPack::UnknownSigner(theirs)));
    for at in (0..file.len()).step_by(97) {
        let mut changed = file.clone();
        changed[at] ^= 1;
        assert!(open(&changed).is_err(), "byte {at}");
        assert!(open(&file[..at]).is_err(), "cut at {at}");
    }
    assert!(open(&[file.as_slice(), &[0]].concat()).is_err());
    let root = Pack::new(NOW, "", vec![(chip().ark().der(), "ark.der".to_owned())]);
    assert!(matches!(root, Err(BadPack::Object(name, NotCollateral::Root(_))) if name == "ark.der"));
    assert!(matches!(open(&vec![0; Pack::MAX_BYTES + 1]), Err(BadPack::TooLong { .. })));
}
