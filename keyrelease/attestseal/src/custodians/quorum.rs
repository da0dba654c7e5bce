//! What is collected, when it makes the key, and how long the key lives.
//!
//! Shares are taken only while they are needed: by a process that never had the whole key, and later while
//! OpenBao asks for it. When there are as many as the threshold, they make
//! the whole key; it opens for a short time ([`Terms::hold`]) and is wiped. What stays is the key that
//! *seals* ([`custody::vault`]), so that OpenBao's regular try of its seal does not need people; and, for a
//! minute, the data key of what this process sealed last, because that try opens it again at once.
//! All of it lies in secret memory.
//!
//! Trusted: the set's document, the caller's clock. Untrusted: shares, stored ciphertexts.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use custody::share::digest_of;
use custody::vault::{self, BadKey};
use custody::{Custodians, KEY, shamir};
use openbao_plugin::{Blob, Plaintext, SealError};
use protocol::OfferedKey;
use protocol::unseal::{Progress, SHARE_INFO, Share, share_aad};
use release_client::{Context, Keys, OpenError, without_trace};
use secretmem::Region;

use crate::wrap::{self, unwrap, wrap};

/// How long things live.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Terms {
    /// The whole key, once it is there.
    pub hold: Duration,
    /// A collection, from its first share; and a key that is offered, until its first share.
    pub round: Duration,
}

/// The state of a set of custodians on this machine.
#[derive(Debug)]
pub struct Quorum {
    set: Custodians,
    terms: Terms,
    round: Round,
    /// Until when shares are taken, once there was a quorum.
    wanted: Option<Instant>,
    whole: Option<Passing>,
    sealing: Option<Region>,
    latest: Option<(Passing, Vec<u8>)>,
}

/// One collection, with a key of its own: a share that was sealed for one is nothing to the next.
#[derive(Debug, Default)]
struct Round {
    keys: Option<Keys>,
    shares: BTreeMap<u8, Region>,
    until: Option<Instant>,
}

/// A secret with an end.
#[derive(Debug)]
struct Passing {
    secret: Region,
    until: Instant,
}

impl Quorum {
    /// Nobody has come yet.
    pub fn new(set: Custodians, terms: Terms) -> Result<Self, Error> {
        let round = Round { keys: Some(Keys::generate(1)?), ..Round::default() };
        Ok(Self { set, terms, round, wanted: None, whole: None, sealing: None, latest: None })
    }

    /// `custodians:` and half of the set's id.
    #[must_use]
    pub fn key_id(&self) -> String {
        format!("custodians:{}", self.set.id().to_string().chars().take(32).collect::<String>())
    }

    /// The name of a custodian.
    #[must_use]
    pub fn name_of(&self, custodian: u8) -> &str {
        self.set.custodian(custodian).map_or("nobody", |custodian| &custodian.name)
    }

    /// Forgets what has had its time.
    pub fn tidy(&mut self, now: Instant) {
        if self.whole.as_ref().is_some_and(|whole| now >= whole.until) {
            self.whole = None;
        }
        if self.latest.as_ref().is_some_and(|(latest, _)| now >= latest.until) {
            self.latest = None;
        }
        if self.round.until.is_some_and(|until| now >= until) {
            self.round = Round::default();
        }
    }

    /// The key to seal shares to, if any are needed.
    pub fn offer(&mut self, now: Instant) -> Result<OfferedKey, Error> {
        self.tidy(now);
        let asked = self.wanted.is_some_and(|until| now < until);
        if self.sealing.is_some() && !asked {
            return Err(Error::NotWaiting);
        }
        let keys = match self.round.keys.take() {
            Some(keys) => keys,
            None => Keys::generate(1)?,
        };
        let keys = self.round.keys.insert(keys);
        self.round.until = self.round.until.or_else(|| now.checked_add(self.terms.round));
        keys.each().next().map(|key| key.offered()).ok_or(Error::NotWaiting)
    }

    /// Takes a share; the last that is needed makes the key.
    pub fn take(&mut self, share: &Share, now: Instant) -> Result<Progress, Error> {
        self.offer(now)?;
        let digest = self.set.share_digest(share.custodian).ok_or(Error::Nobody(share.custodian))?;
        let opened = self.open(share)?;
        if digest_of(share.custodian, opened.bytes()) != digest {
            return Err(Error::OtherShare(self.name_of(share.custodian).to_owned()));
        }
        if self.round.shares.is_empty() {
            self.round.until = now.checked_add(self.terms.round);
        }
        self.round.shares.insert(share.custodian, opened);
        let progress = self.progress();
        if progress.have >= progress.needed {
            self.complete(now)?;
        }
        Ok(progress)
    }

    fn open(&self, share: &Share) -> Result<Region, Error> {
        let keys = self.round.keys.as_ref().ok_or(Error::NotWaiting)?;
        let key = keys.each().next().ok_or(Error::NotWaiting)?;
        let aad = share_aad(&self.set.id().0, share.custodian);
        let context = Context { info: SHARE_INFO, aad: &aad };
        let mut place = Region::create(KEY)?;
        let len = key.open_in(context, &share.enc, &share.ciphertext, place.bytes_mut()?)?;
        if len == KEY { Ok(place) } else { Err(Error::OtherShare(self.name_of(share.custodian).to_owned())) }
    }

    fn progress(&self) -> Progress {
        let have = u8::try_from(self.round.shares.len()).unwrap_or(u8::MAX);
        Progress { have, needed: self.set.threshold }
    }

    /// Puts the shares together, and begins a new collection with a new key.
    fn complete(&mut self, now: Instant) -> Result<(), Error> {
        let round = std::mem::take(&mut self.round);
        let shares: Vec<(u8, &[u8])> =
            round.shares.iter().map(|(number, share)| (*number, share.bytes())).collect();
        let mut whole = Region::create(KEY)?;
        shamir::combine(&shares, whole.bytes_mut()?).map_err(|_why| Error::NotWhole)?;
        if !without_trace(|| vault::is_whole(&self.set, whole.bytes())) {
            return Err(Error::NotWhole);
        }
        let mut sealing = Region::create(KEY)?;
        let place = sealing.bytes_mut()?;
        without_trace(|| vault::psk(whole.bytes(), place));
        self.sealing = Some(sealing);
        self.whole = now.checked_add(self.terms.hold).map(|until| Passing { secret: whole, until });
        self.wanted = None;
        Ok(())
    }

    /// A server is about to be initialised, and will open right after: the whole key lives anew.
    pub fn init(&mut self, now: Instant) -> Result<(), Error> {
        self.tidy(now);
        let until = now.checked_add(self.terms.hold);
        match (&mut self.whole, until) {
            (Some(whole), Some(until)) => {
                whole.until = until;
                Ok(())
            }
            (Some(_) | None, _) => Err(self.waiting(now)),
        }
    }

    /// Encrypts under a fresh data key, sealed to the set.
    pub fn encrypt(&mut self, plaintext: &[u8], aad: &[u8], now: Instant) -> Result<Blob, Error> {
        self.tidy(now);
        let Some(sealing) = &self.sealing else { return Err(self.waiting(now)) };
        let mut data_key = Region::create(KEY)?;
        aws_lc_rs::rand::fill(data_key.bytes_mut()?).map_err(|_why| Error::Random)?;
        let wrapped_key = without_trace(|| vault::seal(&self.set, sealing.bytes(), data_key.bytes()))?;
        let blob = wrap(data_key.bytes(), &self.key_id(), plaintext, aad)?;
        let passing = now.checked_add(LATEST).map(|until| Passing { secret: data_key, until });
        self.latest = passing.map(|passing| (passing, wrapped_key.clone()));
        Ok(Blob { wrapped_key, ..blob })
    }

    /// Decrypts, with the whole key unless this process encrypted it a moment ago.
    pub fn decrypt(&mut self, blob: &Blob, aad: &[u8], now: Instant) -> Result<Plaintext, Error> {
        self.tidy(now);
        if blob.key_id != self.key_id() {
            let found = release_client::printable(&blob.key_id);
            return Err(Error::OtherSet { expected: self.key_id(), found });
        }
        if let Some((latest, _)) = self.latest.as_ref().filter(|(_, sealed)| *sealed == blob.wrapped_key) {
            return Ok(unwrap(latest.secret.bytes(), blob, aad)?);
        }
        let Some(whole) = &self.whole else { return Err(self.waiting(now)) };
        let mut data_key = Region::create(KEY)?;
        let place = data_key.bytes_mut()?;
        without_trace(|| vault::open(&self.set, whole.secret.bytes(), &blob.wrapped_key, place))?;
        Ok(unwrap(data_key.bytes(), blob, aad)?)
    }

    /// From now on shares are taken, for a while.
    fn waiting(&mut self, now: Instant) -> Error {
        self.wanted = now.checked_add(WANTED);
        let names = self.round.shares.keys().map(|number| self.name_of(*number).to_owned()).collect();
        Error::Waiting { progress: self.progress(), names, set: self.set.name.clone() }
    }
}

/// OpenBao asks every five seconds while it is sealed.
const WANTED: Duration = Duration::from_mins(2);
/// Between the two halves of OpenBao's try of its seal.
const LATEST: Duration = Duration::from_mins(1);

/// Why the custodians' key did not do it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no quorum yet.
    #[error("waiting for custodians of {set}: {} of {}{}", progress.have, progress.needed, list(names))]
    Waiting {
        /// How far it is.
        progress: Progress,
        /// Who has come.
        names: Vec<String>,
        /// The set.
        set: String,
    },
    /// OpenBao does not ask for the key.
    #[error("nothing waits for custodians here: the server is unsealed, or is not asking")]
    NotWaiting,
    /// A custodian that is not in the set.
    #[error("custodian {0} is not in the set")]
    Nobody(u8),
    /// A share that was not dealt.
    #[error("the share of {0} is not the one that was dealt")]
    OtherShare(String),
    /// A share that was sealed to another key: an earlier collection's, or another machine's.
    #[error("share: {0}")]
    Sealed(#[from] OpenError),
    /// The shares are right and the document is not.
    #[error("the shares do not make the key of the set's document")]
    NotWhole,
    /// A ciphertext of another set.
    #[error("stored ciphertext: expected key id {expected}, found {found:?}")]
    OtherSet {
        /// Ours.
        expected: String,
        /// What is stored.
        found: String,
    },
    /// The data key is not sealed, or does not open.
    #[error(transparent)]
    DataKey(#[from] BadKey),
    /// The cipher says no.
    #[error(transparent)]
    Cipher(#[from] wrap::Error),
    /// No secret memory.
    #[error(transparent)]
    Memory(#[from] secretmem::Error),
    /// No random bytes.
    #[error("the system's random source is unavailable")]
    Random,
}

impl Error {
    /// A stable name, for custodians' programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Waiting { .. } => "unseal.waiting",
            Self::NotWaiting => "unseal.not_waiting",
            Self::Nobody(_) => "unseal.custodian",
            Self::OtherShare(_) => "unseal.share",
            Self::Sealed(_) => "unseal.sealed",
            Self::NotWhole => "unseal.document",
            Self::OtherSet { .. } | Self::DataKey(_) | Self::Cipher(_) => "unseal.ciphertext",
            Self::Memory(_) | Self::Random => "unseal.machine",
        }
    }
}

impl From<Error> for SealError {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match error {
            Error::Waiting { .. } | Error::NotWaiting => Self::Unavailable(text),
            Error::OtherSet { .. } | Error::DataKey(_) | Error::Cipher(_) => Self::Invalid(text),
            Error::Nobody(_)
            | Error::OtherShare(_)
            | Error::Sealed(_)
            | Error::NotWhole
            | Error::Memory(_)
            | Error::Random => Self::Internal(text),
        }
    }
}

fn list(names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) }
}

#[cfg(test)]
mod tests;
