//! What a fetcher carries home: values side by side in secret memory, and a list of what lies where.
//!
//! Values that were read in clear wait in memory without a descriptor. What is sealed stays sealed until there is the
//! memory that the keeper gets, and is opened straight into it. Where the limit of locked memory is a single page, the seeds
//! give up theirs for it: for that moment they lie on the stack, which is overwritten.
//!
//! Trusted: the values' lengths. Untrusted: what opens, until its fields are found.

use std::time::Instant;

use protocol::release::Sealed;
use protocol::secret::fields_of;
use release_client::{Keys, SEED, open_with, plaintext_len, without_trace};
use secretmem::{Error as NoMemory, Growing, Parcel};
use zeroize::{Zeroize as _, Zeroizing};

use super::error::Error;
use crate::config::{Form, Target, Wanted};
use crate::errand::{Held, List, Place, Term};

/// The most of values in clear: what the answers of an errand may hold.
const MOST_IN_CLEAR: usize = 64 * 1024 * 1024;
/// Keys whose seeds may cross the stack together.
const MOST_CROSSING: usize = 64;
/// `MAX_ARG_STRLEN` of the kernel: the longest `NAME=VALUE` with its NUL.
const LONGEST_STRING: usize = 128 * 1024;

/// What has been gathered so far.
pub(super) struct Load {
    clear: Growing,
    filled: usize,
    list: List,
    /// When each term was heard.
    heard: Vec<Instant>,
    sealed: Vec<(u16, Sealed)>,
}

impl Load {
    pub(super) fn new() -> Result<Self, Error> {
        let clear = Growing::create(MOST_IN_CLEAR)?;
        Ok(Self { clear, filled: 0, list: List::default(), heard: Vec::new(), sealed: Vec::new() })
    }

    pub(super) fn term(&mut self, term: Term) {
        self.list.terms.push(term);
        self.heard.push(Instant::now());
    }

    /// The leases that were taken out now: not those that are known and were renewed.
    pub(super) fn leases_beside(&self, known: &[Term]) -> Vec<String> {
        let is_known = |lease: &&String| known.iter().any(|term| term.lease.as_ref() == Some(*lease));
        self.list
            .terms
            .iter()
            .filter_map(|term| term.lease.as_ref())
            .filter(|lease| !is_known(lease))
            .cloned()
            .collect()
    }

    /// Has terms count from now. What was heard first has waited for all that came after it.
    pub(super) fn age(&mut self, now: Instant) {
        for (term, heard) in self.list.terms.iter_mut().zip(&self.heard).filter(|(term, _)| term.seconds > 0)
        {
            let waited = now.saturating_duration_since(*heard).as_secs();
            // 0 is without an end.
            term.seconds = term.seconds.saturating_sub(waited).max(1);
        }
    }

    /// A sealed secret, to be opened with the key of the same number.
    pub(super) fn sealed(&mut self, wanted: u16, sealed: Sealed) {
        self.sealed.push((wanted, sealed));
    }

    /// A value that was read in clear, for some targets of one secret.
    pub(super) fn value(&mut self, wanted: u16, targets: &[u16], value: &[u8]) -> Result<(), Error> {
        let (start, len) = (offset(self.filled)?, offset(value.len())?);
        self.keep(value)?;
        let place = |target: &u16| Place { wanted, target: *target, start, len };
        self.list.values.extend(targets.iter().map(place));
        Ok(())
    }

    /// The token that later errands take along.
    pub(super) fn token(&mut self, token: &[u8]) -> Result<(), Error> {
        self.list.token = Some(Held { start: offset(self.filled)?, len: offset(token.len())? });
        self.keep(token)
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let end = self.filled.saturating_add(bytes.len());
        self.clear.grow(end)?;
        let place = self.clear.bytes_mut().get_mut(self.filled..end).ok_or(Error::TooMuch)?;
        place.copy_from_slice(bytes);
        self.filled = end;
        Ok(())
    }

    /// Opens what is sealed, and puts everything into memory for the keeper; none where there is nothing to give.
    pub(super) fn pack(
        mut self,
        keys: Option<Keys>,
        wanted: &[Wanted],
    ) -> Result<(List, Option<Parcel>), Error> {
        let opened =
            self.sealed.iter().map(|(_, sealed)| plaintext_len(sealed)).fold(0, usize::saturating_add);
        if self.list.values.is_empty() && self.list.token.is_none() && self.sealed.is_empty() {
            return Ok((self.list, None));
        }
        let len = self.filled.saturating_add(opened).max(1);
        let mut parcel = match (Parcel::create(len), keys) {
            (Ok(mut parcel), Some(keys)) => {
                self.open(parcel.bytes_mut()?, keys.seeds(), wanted)?;
                parcel
            }
            (Ok(parcel), None) => parcel,
            (Err(NoMemory::MemoryLock { .. }), Some(keys)) if self.filled == 0 => {
                let mut parcel = crossed(keys, len)?;
                let (place, seeds) = parcel.bytes_mut()?.split_at_mut_checked(len).ok_or(Error::TooMuch)?;
                self.open(place, seeds, wanted)?;
                seeds.zeroize();
                parcel
            }
            (Err(error), _) => return Err(error.into()),
        };
        let place = parcel.bytes_mut()?.get_mut(..self.filled).unwrap_or_default();
        place.copy_from_slice(self.clear.bytes().get(..self.filled).unwrap_or_default());
        self.list.len = offset(parcel.size())?;
        Ok((self.list, Some(parcel)))
    }

    /// Behind the values that were read in clear.
    fn open(&mut self, place: &mut [u8], seeds: &[u8], wanted: &[Wanted]) -> Result<(), Error> {
        let mut at = self.filled;
        for ((index, sealed), seed) in self.sealed.iter().zip(seeds.chunks_exact(SEED)) {
            let left = place.get_mut(at..).unwrap_or_default();
            let len = open_with(seed, sealed, left)?;
            let plaintext = left.get(..len).unwrap_or_default();
            if let Some(wanted) = wanted.get(usize::from(*index)) {
                self.list.values.extend(places_in(plaintext, at, (*index, wanted))?);
            }
            at = at.saturating_add(len);
        }
        Ok(())
    }
}

/// Memory of `len` bytes with the seeds behind them, which give up their own.
fn crossed(keys: Keys, len: usize) -> Result<Parcel, Error> {
    without_trace(|| {
        let mut crossing = Zeroizing::new([0_u8; MOST_CROSSING * SEED]);
        let seeds = keys.seeds();
        let count = seeds.len();
        let place = crossing.get_mut(..count).ok_or(Error::TooMuch)?;
        place.copy_from_slice(seeds);
        drop(keys);
        let mut parcel = Parcel::create(len.saturating_add(count))?;
        let behind = parcel.bytes_mut()?.get_mut(len..).unwrap_or_default();
        behind.copy_from_slice(crossing.get(..count).unwrap_or_default());
        Ok(parcel)
    })
}

/// Where in one opened secret the wanted fields lie; `start` is where the secret itself does.
fn places_in(plaintext: &[u8], start: usize, (index, wanted): (u16, &Wanted)) -> Result<Vec<Place>, Error> {
    let fields = fields_of(plaintext)?;
    let base = plaintext.as_ptr().addr();
    let place = |(number, target): (u16, &Target)| {
        let found = fields.iter().find(|(name, _)| *name == target.field);
        let (_, value) = found.ok_or_else(|| Error::NoField {
            key: wanted.source.name().to_owned(),
            field: target.field.clone(),
        })?;
        fit(target, value)?;
        let at = start.saturating_add(value.as_ptr().addr().saturating_sub(base));
        Ok(Place { wanted: index, target: number, start: offset(at)?, len: offset(value.len())? })
    };
    (0..).zip(&wanted.targets).map(place).collect()
}

/// A file holds any value; a variable does not.
pub(super) fn fit(target: &Target, value: &[u8]) -> Result<(), Error> {
    let variable = target.variable.clone();
    // `=` and NUL.
    let most = LONGEST_STRING.saturating_sub(variable.len()).saturating_sub(2);
    match target.form {
        Form::Value if value.contains(&0) => Err(Error::Nul(variable)),
        Form::Value if value.len() > most => Err(Error::TooLong { variable, found: value.len(), most }),
        Form::File | Form::Value => Ok(()),
    }
}

fn offset(bytes: usize) -> Result<u32, Error> {
    u32::try_from(bytes).map_err(|_too_large| Error::TooMuch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Source;
    use crate::errand::Of;
    use std::time::Duration;

    fn wanted(variables: &[(&str, &str)]) -> Wanted {
        let target = |(field, name): &(&str, &str)| Target {
            field: (*field).to_owned(),
            variable: (*name).to_owned(),
            form: Form::Value,
        };
        let source = Source::Release { mount: "attest-keys".to_owned(), key: "db".to_owned() };
        Wanted { source, targets: variables.iter().map(target).collect() }
    }

    #[test]
    fn fields_are_found_where_they_lie() {
        let secret =
            protocol::secret::encode([("password", b"s3cret".as_slice()), ("user", b"app")]).unwrap();
        let wanted = wanted(&[("user", "PGUSER"), ("password", "PGPASSWORD")]);
        let places = places_in(&secret, 100, (3, &wanted)).unwrap();
        for (place, expected) in places.iter().zip(["app", "s3cret"]) {
            let start = usize::try_from(place.start).unwrap() - 100;
            assert_eq!(&secret[start..start + expected.len()], expected.as_bytes());
            assert_eq!(place.wanted, 3);
        }
    }

    #[test]
    fn a_missing_field_is_named() {
        let secret = protocol::secret::encode([("user", b"app".as_slice())]).unwrap();
        let error = places_in(&secret, 0, (0, &wanted(&[("password", "X")]))).unwrap_err();
        assert_eq!(error.to_string(), "secret db has no field password");
    }

    #[test]
    fn a_variable_holds_no_more_than_the_kernel_lets_it_and_a_file_does() {
        let target = |form| Target { field: "a".into(), variable: "LONG".into(), form };
        let value = vec![b'x'; 128 * 1024 - 5];
        let error = fit(&target(Form::Value), &value).unwrap_err();
        assert!(matches!(error, Error::TooLong { found: 131_067, most: 131_066, .. }), "{error}");
        fit(&target(Form::Value), &value[1..]).unwrap();
        fit(&target(Form::File), &value).unwrap();
        assert!(matches!(fit(&target(Form::Value), b"a\0"), Err(Error::Nul(_))));
        fit(&target(Form::File), b"a\0").unwrap();
    }

    #[test]
    fn values_in_clear_lie_side_by_side_with_the_token() {
        let mut load = Load::new().unwrap();
        load.value(0, &[0, 2], b"one").unwrap();
        load.token(b"s.token").unwrap();
        load.value(1, &[0], b"").unwrap();
        let (list, parcel) = load.pack(None, &[]).unwrap();
        assert_eq!(parcel.unwrap().bytes_mut().unwrap(), b"ones.token");
        assert_eq!(list.token, Some(Held { start: 3, len: 7 }));
        let places: Vec<_> =
            list.values.iter().map(|place| (place.wanted, place.target, place.start, place.len)).collect();
        assert_eq!(places, [(0, 0, 0, 3), (0, 2, 0, 3), (1, 0, 10, 0)]);
    }

    #[test]
    fn a_lease_that_waited_for_other_secrets_is_shorter_by_that_and_what_has_no_end_stays_so() {
        let mut load = Load::new().unwrap();
        let term = |seconds| Term { of: Of::Token, lease: None, seconds, renewable: true, version: None };
        for seconds in [60, 0, 10] {
            load.term(term(seconds));
        }
        load.age(Instant::now() + Duration::from_secs(20));
        let left: Vec<u64> = load.list.terms.iter().map(|term| term.seconds).collect();
        assert_eq!(left, [40, 0, 1]);
    }

    #[test]
    fn who_has_nothing_to_give_gives_no_memory() {
        assert!(Load::new().unwrap().pack(None, &[]).unwrap().1.is_none());
    }
}
