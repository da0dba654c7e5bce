//! A set of three and a clock in our hands.

use super::*;
use custody::Custodian;
use custody::shamir::Secret;
use custody::share::{public_of, seal_to_machine};

const TERMS: Terms = Terms { hold: Duration::from_mins(1), round: Duration::from_mins(10) };

/// A set of three, two of whom make a quorum, with their shares.
fn dealt(byte: u8) -> (Custodians, Vec<Secret>) {
    let whole = [byte; KEY];
    let random = |place: &mut [u8]| aws_lc_rs::rand::fill(place);
    let shares = shamir::split(&whole, 2, 3, random).unwrap();
    let custodian = |(number, share): (u8, &Secret)| {
        let name = ["", "anna", "ben", "carl"][usize::from(number)].to_owned();
        Custodian { name, share: hex::encode(digest_of(number, share.as_slice())) }
    };
    let custodians = (1..).zip(&shares).map(custodian).collect();
    let set = Custodians { name: "prod".to_owned(), threshold: 2, key: public_of(&whole), custodians };
    (set.checked().unwrap(), shares)
}

struct World {
    quorum: Quorum,
    shares: Vec<Secret>,
    now: Instant,
}

impl World {
    fn new() -> Self {
        let (set, shares) = dealt(5);
        Self { quorum: Quorum::new(set, TERMS).unwrap(), shares, now: Instant::now() }
    }

    /// Two custodians have come.
    fn whole() -> Self {
        let mut world = Self::new();
        world.ask();
        world.bring(1).unwrap();
        world.bring(3).unwrap();
        world
    }

    fn ask(&mut self) -> String {
        self.quorum.init(self.now).unwrap_err().to_string()
    }

    fn sealed(&mut self, custodian: u8, share: &[u8]) -> Share {
        let key = self.quorum.offer(self.now).unwrap();
        let (enc, ciphertext) = seal_to_machine(&key, self.quorum.set.id(), custodian, share).unwrap();
        Share { version: 1, custodian, enc, ciphertext }
    }

    fn bring(&mut self, custodian: u8) -> Result<Progress, Error> {
        let share = self.shares.get(usize::from(custodian).wrapping_sub(1)).unwrap().clone();
        let share = self.sealed(custodian, share.as_slice());
        self.quorum.take(&share, self.now)
    }

    fn wait(&mut self, time: Duration) {
        self.now = self.now.checked_add(time).unwrap();
        self.quorum.tidy(self.now);
    }
}

#[test]
fn a_quorum_seals_and_opens_and_the_whole_key_dies_after_its_time() {
    let mut world = World::whole();
    let blob = world.quorum.encrypt(b"root key", b"aad", world.now).unwrap();
    let other = world.quorum.encrypt(b"a", b"", world.now).unwrap();
    assert_eq!(world.quorum.decrypt(&blob, b"aad", world.now).unwrap().0, b"root key");
    assert_eq!(world.quorum.decrypt(&blob, b"other", world.now).unwrap_err().code(), "unseal.ciphertext");
    world.wait(TERMS.hold);
    assert!(world.quorum.whole.is_none());
    let late = world.quorum.decrypt(&blob, b"aad", world.now).unwrap_err();
    assert_eq!(late.to_string(), "waiting for custodians of prod: 0 of 2");
    // Sealing goes on, and what was sealed a moment ago opens: OpenBao tries its seal every ten minutes.
    let probe = world.quorum.encrypt(b"Heartbeat 7", b"", world.now).unwrap();
    assert_eq!(world.quorum.decrypt(&probe, b"", world.now).unwrap().0, b"Heartbeat 7");
    assert_eq!(world.quorum.decrypt(&other, b"", world.now).unwrap_err().code(), "unseal.waiting");
    world.wait(LATEST);
    assert_eq!(world.quorum.decrypt(&probe, b"", world.now).unwrap_err().code(), "unseal.waiting");
    world.bring(2).unwrap();
    world.bring(1).unwrap();
    assert_eq!(world.quorum.decrypt(&probe, b"", world.now).unwrap().0, b"Heartbeat 7");
}

#[test]
fn an_initialisation_takes_a_whole_key_and_gives_it_its_time_again() {
    let mut world = World::whole();
    world.wait(Duration::from_secs(59));
    world.quorum.init(world.now).unwrap();
    let blob = world.quorum.encrypt(b"root key", b"", world.now).unwrap();
    world.quorum.encrypt(b"recovery key", b"", world.now).unwrap();
    world.wait(Duration::from_secs(2));
    assert_eq!(world.quorum.decrypt(&blob, b"", world.now).unwrap().0, b"root key");
    world.wait(TERMS.hold);
    assert_eq!(world.quorum.init(world.now).unwrap_err().code(), "unseal.waiting");
}

#[test]
fn nothing_is_sealed_before_a_quorum_and_those_who_came_are_named() {
    let mut world = World::new();
    let refused = world.quorum.encrypt(b"x", b"", world.now).unwrap_err();
    assert_eq!(refused.to_string(), "waiting for custodians of prod: 0 of 2");
    assert_eq!(world.bring(2).unwrap(), Progress { have: 1, needed: 2 });
    // The same custodian again is still one.
    assert_eq!(world.bring(2).unwrap(), Progress { have: 1, needed: 2 });
    assert_eq!(world.ask(), "waiting for custodians of prod: 1 of 2 (ben)");
}

#[test]
fn custodians_may_come_before_the_first_opening_and_later_only_when_asked() {
    let mut world = World::new();
    world.bring(1).unwrap();
    world.bring(2).unwrap();
    assert!(matches!(world.quorum.offer(world.now), Err(Error::NotWaiting)));
    let blob = world.quorum.encrypt(b"root key", b"", world.now).unwrap();
    world.wait(Duration::from_mins(2));
    assert!(matches!(world.quorum.offer(world.now), Err(Error::NotWaiting)));
    assert_eq!(world.quorum.decrypt(&blob, b"", world.now).unwrap_err().code(), "unseal.waiting");
    let share = world.sealed(1, &[0; KEY]);
    world.wait(WANTED);
    assert!(matches!(world.quorum.take(&share, world.now), Err(Error::NotWaiting)));
}

#[test]
fn a_share_that_was_not_dealt_is_refused_by_its_custodians_name() {
    let mut world = World::new();
    world.ask();
    let forged = world.sealed(1, &[9; KEY]);
    let error = world.quorum.take(&forged, world.now).unwrap_err();
    assert_eq!(error.to_string(), "the share of anna is not the one that was dealt");
    let bens = world.shares[1].clone();
    let posing = world.sealed(1, bens.as_slice());
    assert!(matches!(world.quorum.take(&posing, world.now), Err(Error::OtherShare(_))));
    let short = world.sealed(1, &[9; 31]);
    assert!(matches!(world.quorum.take(&short, world.now), Err(Error::OtherShare(_))));
    let nobody = world.sealed(4, &[9; KEY]);
    assert!(matches!(world.quorum.take(&nobody, world.now), Err(Error::Nobody(4))));
    assert_eq!(world.ask(), "waiting for custodians of prod: 0 of 2");
}

#[test]
fn a_share_for_another_collection_custodian_or_set_does_not_open() {
    let mut world = World::new();
    world.ask();
    let share = world.shares[0].clone();
    let early = world.sealed(1, share.as_slice());
    let renamed = Share { custodian: 2, ..early.clone() };
    let refused = world.quorum.take(&renamed, world.now).unwrap_err();
    assert!(matches!(refused, Error::Sealed(OpenError::NotForUs)), "{refused}");
    let mut other = World { quorum: Quorum::new(dealt(6).0, TERMS).unwrap(), ..World::new() };
    other.ask();
    assert!(matches!(other.quorum.take(&early, other.now), Err(Error::Sealed(OpenError::NotForUs))));
    // Recorded, and played again at the next unsealing.
    world.bring(1).unwrap();
    world.bring(2).unwrap();
    world.wait(TERMS.hold);
    world.quorum.sealing = None;
    world.ask();
    assert!(matches!(world.quorum.take(&early, world.now), Err(Error::Sealed(OpenError::NotForUs))));
}

#[test]
fn a_collection_that_takes_too_long_begins_anew() {
    let mut world = World::new();
    world.ask();
    world.bring(1).unwrap();
    world.wait(TERMS.round);
    assert_eq!(world.ask(), "waiting for custodians of prod: 0 of 2");
    assert_eq!(world.bring(2).unwrap(), Progress { have: 1, needed: 2 });
}

/// Who carries the words between a custodian and the machine may keep them: what a custodian approved counts for that
/// collection, not for one of next month.
#[test]
fn a_share_that_was_kept_back_does_not_count_in_a_later_collection() {
    let mut world = World::new();
    let refused = |world: &mut World, kept: &Share| {
        let refused = world.quorum.take(kept, world.now).unwrap_err();
        assert!(matches!(refused, Error::Sealed(OpenError::NotForUs)), "{refused}");
        assert_eq!(world.ask(), "waiting for custodians of prod: 0 of 2");
    };
    // Taken, and played again after its collection ended.
    let share = world.shares[0].clone();
    let kept = world.sealed(1, share.as_slice());
    world.quorum.take(&kept, world.now).unwrap();
    world.wait(TERMS.round);
    refused(&mut world, &kept);
    // Never delivered, until nobody thinks of it any more.
    let kept = world.sealed(1, share.as_slice());
    world.wait(TERMS.round);
    refused(&mut world, &kept);
    world.bring(2).unwrap();
    world.bring(1).unwrap();
    assert!(world.quorum.whole.is_some());
}

#[test]
fn ciphertexts_of_others_are_refused() {
    let mut world = World::whole();
    let (set, shares) = dealt(6);
    let mut stranger = World { quorum: Quorum::new(set, TERMS).unwrap(), shares, ..World::new() };
    stranger.ask();
    stranger.bring(1).unwrap();
    stranger.bring(2).unwrap();
    let theirs = stranger.quorum.encrypt(b"their root key", b"", stranger.now).unwrap();
    let error = world.quorum.decrypt(&theirs, b"", world.now).unwrap_err();
    assert!(matches!(error, Error::OtherSet { .. }), "{error}");
    let posing = Blob { key_id: world.quorum.key_id(), ..theirs };
    assert!(matches!(
        world.quorum.decrypt(&posing, b"", world.now).unwrap_err(),
        Error::DataKey(BadKey::NotOurs)
    ));
}
