//! Signed policies: only a pinned author's file opens, and no version goes back.

use attest::crypto::{AwsLcRs, RustCrypto};
use attest::policy::{BadSignedPolicy, NotASuccessor, PolicySigner, SignedPolicy};
use attest::{Bundle, Crypto, Policy, UnixTime, VerifierKey};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};

use crate::document::Document;
use crate::silicon::NOW;

struct Author(Ed25519KeyPair);

impl Author {
    fn new(seed: u8) -> Self {
        Self(Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap())
    }

    fn key(&self) -> PolicySigner {
        PolicySigner(self.0.public_key().as_ref().try_into().unwrap())
    }

    fn sign(&self, text: &str) -> Vec<u8> {
        let signature = self.0.sign(&SignedPolicy::to_be_signed(text, &self.key(), &AwsLcRs));
        SignedPolicy::signed(text, &self.key(), &AwsLcRs, signature.as_ref().to_vec()).unwrap()
    }
}

fn text() -> String {
    Document::admitting_simulated().text()
}

fn open(file: &[u8], keys: &[PolicySigner]) -> Result<SignedPolicy, BadSignedPolicy> {
    SignedPolicy::open(file, keys, &AwsLcRs)
}

#[test]
fn a_pinned_authors_policy_opens_under_both_providers() {
    let author = Author::new(1);
    let file = author.sign(&text());
    let keys = [Author::new(2).key(), author.key()];
    let providers: [&dyn Crypto; 2] = [&AwsLcRs, &RustCrypto];
    for crypto in providers {
        let opened = SignedPolicy::open(&file, &keys, crypto).unwrap();
        assert_eq!((opened.text, opened.signer), (text(), author.key().id(crypto)));
        assert_eq!(opened.policy.digest(), AwsLcRs.sha256(&[text().as_bytes()]));
    }
    assert!(SignedPolicy::looks_signed(&file));
    assert!(!SignedPolicy::looks_signed(text().as_bytes()));
    assert_eq!(SignedPolicy::insecure_peek(&file).unwrap(), text());
}

#[test]
fn another_authors_policy_does_not_open() {
    let file = Author::new(1).sign(&text());
    let stranger = Author::new(1).key().id(&AwsLcRs);
    assert_eq!(open(&file, &[Author::new(2).key()]).unwrap_err(), BadSignedPolicy::UnknownSigner(stranger));
    assert_eq!(open(&file, &[]).unwrap_err(), BadSignedPolicy::UnknownSigner(stranger));
}

#[test]
fn no_bit_of_a_signed_policy_can_be_changed_and_none_added() {
    let author = Author::new(1);
    let file = author.sign(&text());
    for at in 0..file.len() {
        for bit in [1, 0x10, 0x80] {
            let mut changed = file.clone();
            changed[at] ^= bit;
            assert!(open(&changed, &[author.key()]).is_err(), "byte {at}");
        }
    }
    for length in (0..file.len()).step_by(7) {
        assert!(open(&file[..length], &[author.key()]).is_err(), "cut at {length}");
    }
    let longer = [file.as_slice(), &[0]].concat();
    assert!(matches!(open(&longer, &[author.key()]), Err(BadSignedPolicy::Cose(_))));
}

/// Lesson L24: a valid signature over something else.
#[test]
fn l24_what_a_key_signed_as_a_bundle_is_no_policy() {
    let author = Author::new(1);
    let (key, payload) = (VerifierKey(author.key().0), text().into_bytes());
    let signature = author.0.sign(&Bundle::to_be_signed(payload.clone(), &key, &AwsLcRs));
    let bundle = Bundle::signed(payload, &key, &AwsLcRs, signature.as_ref().to_vec()).unwrap();
    let Err(BadSignedPolicy::Cose(why)) = open(&bundle, &[author.key()]) else { panic!("opened") };
    assert!(why.contains("content type"), "{why}");
    let policy = attest::File { record: author.sign(&text()).into(), objects: vec![], position: None };
    let opened = Bundle::open(&policy.to_cbor().unwrap(), &[key], &AwsLcRs);
    let Err(attest::BadBundle::Cose(why)) = opened else { panic!("opened") };
    assert!(why.contains("content type"), "{why}");
}

#[test]
fn what_is_not_a_policy_is_neither_signed_nor_opened() {
    let author = Author::new(1);
    let made = SignedPolicy::signed("name = 1", &author.key(), &AwsLcRs, vec![0; 64]);
    assert!(matches!(made, Err(BadSignedPolicy::Policy(_))));
    let long = SignedPolicy::open(&vec![0x84; SignedPolicy::MAX_BYTES + 1], &[], &AwsLcRs);
    assert!(matches!(long, Err(BadSignedPolicy::TooLong { .. })));
}

#[test]
fn an_edition_succeeds_only_an_older_one_of_its_name() {
    let edition = |version: u64, name: &str, expires: &str| {
        let document = Document::admitting_simulated();
        let document = document.with("version", &version.to_string()).with("name", &format!("{name:?}"));
        Policy::parse(&AwsLcRs, &document.with("expires", &format!("{expires:?}")).text()).unwrap()
    };
    let (end, later) = ("2048-01-01T00:00:00Z", "2049-01-01T00:00:00Z");
    let stored = edition(7, "a", end);
    let over = |policy: &Policy, now: UnixTime| policy.succeeds(Some(&stored.edition()), now);
    assert_eq!(edition(1, "a", end).succeeds(None, NOW), Ok(()));
    assert_eq!(over(&edition(8, "a", end), NOW), Ok(()));
    assert_eq!(over(&stored, NOW), Ok(()), "the same edition again");
    assert_eq!(over(&edition(6, "a", end), NOW), Err(NotASuccessor::Older { expected: 7, found: 6 }));
    assert!(matches!(over(&edition(7, "a", later), NOW), Err(NotASuccessor::OtherText { version: 7, .. })));
    assert!(matches!(over(&edition(8, "b", end), NOW), Err(NotASuccessor::OtherName { .. })));
    let end = UnixTime::parse(end).unwrap();
    assert!(matches!(
        over(&edition(8, "a", "2048-01-01T00:00:00Z"), end),
        Err(NotASuccessor::Expired { .. })
    ));
}
