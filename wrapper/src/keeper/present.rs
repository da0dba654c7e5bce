//! The values that programs are given now, and what OpenBao said of them.
//!
//! What a fetcher brings takes the place of what was there; what it did not bring stays. All of it lies in one region of
//! secret memory, so that one locked page can be enough.
//!
//! Trusted: what was brought; its places were checked when it came in. Untrusted: that it is complete.

use std::collections::BTreeMap;
use std::rc::Rc;

use secretmem::{Builder, Parcel, Span, Values};

use crate::config::{Form, Target, Wanted};
use crate::errand::{Brought, Of, Term};
use crate::files;
use crate::graft::{Secrets, Unfit};

/// Values, a token, terms.
#[derive(Debug)]
pub struct Present {
    values: Rc<Values>,
    /// By the indices of secret and target.
    places: BTreeMap<(u16, u16), Span>,
    token: Option<Span>,
    terms: Vec<Term>,
    generation: u64,
}

/// Whether a value is another one than before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Change {
    /// All are the same.
    Same,
    /// At least one is not.
    Changed,
}

impl Present {
    /// What the first fetcher brought, which must be everything.
    pub(super) fn first(brought: Brought, wanted: &[Wanted]) -> Result<Self, Error> {
        let values = Rc::new(brought.values.ok_or(Error::Nothing)?);
        let places =
            brought.places.into_iter().map(|(wanted, target, span)| ((wanted, target), span)).collect();
        let present = Self { values, places, token: brought.token, terms: brought.terms, generation: 0 };
        present.secrets(wanted).map(|_complete| present)
    }

    /// What is there after a fetcher came back. On an error everything stays as it was.
    pub(super) fn after(&self, brought: Brought, wanted: &[Wanted]) -> Result<(Self, Change), Error> {
        let Brought { values, places, token, terms } = brought;
        let mut terms = terms;
        let replaced: Vec<Of> = terms.iter().map(|term| term.of).collect();
        terms.extend(self.terms.iter().filter(|term| !replaced.contains(&term.of)).cloned());
        let Some(values) = values else {
            let (values, places) = (Rc::clone(&self.values), self.places.clone());
            let token = self.token.clone();
            return Ok((Self { values, places, token, terms, generation: self.generation }, Change::Same));
        };
        let fresh: BTreeMap<_, _> =
            places.into_iter().map(|(wanted, target, span)| ((wanted, target), span)).collect();
        let change = self.compared(&values, &fresh);
        let generation = match change {
            Change::Same => self.generation,
            Change::Changed => self.generation.saturating_add(1),
        };
        let whole = self.places.keys().all(|place| fresh.contains_key(place));
        let present = if whole && (token.is_some() || self.token.is_none()) {
            Self { values: Rc::new(values), places: fresh, token, terms, generation }
        } else {
            self.merged(&values, &fresh, token.as_ref(), (terms, generation))?
        };
        present.secrets(wanted).map(|_complete| (present, change))
    }

    fn compared(&self, values: &Values, fresh: &BTreeMap<(u16, u16), Span>) -> Change {
        let same = |(place, span): (&(u16, u16), &Span)| {
            self.places.get(place).and_then(|former| self.values.read(former)) == values.read(span)
        };
        if fresh.iter().all(same) { Change::Same } else { Change::Changed }
    }

    /// New and old side by side in a region of their own.
    fn merged(
        &self,
        values: &Values,
        fresh: &BTreeMap<(u16, u16), Span>,
        token: Option<&Span>,
        (terms, generation): (Vec<Term>, u64),
    ) -> Result<Self, Error> {
        let old = |span: &Span| self.values.read(span).unwrap_or_default();
        let new = |span: &Span| values.read(span).unwrap_or_default();
        let kept = self.places.iter().filter(|(place, _)| !fresh.contains_key(place));
        let pieces: Vec<(&(u16, u16), &[u8])> = kept
            .map(|(place, span)| (place, old(span)))
            .chain(fresh.iter().map(|(place, span)| (place, new(span))))
            .collect();
        let token = token.map(new).or_else(|| self.token.as_ref().map(old));
        let len = pieces
            .iter()
            .map(|(_, piece)| piece.len())
            .chain(token.map(<[u8]>::len))
            .fold(0, usize::saturating_add);
        let mut builder = Builder::with_capacity(len.max(1))?;
        let mut places = BTreeMap::new();
        for (place, piece) in pieces {
            places.insert(*place, builder.push(piece)?);
        }
        let token = token.map(|token| builder.push(token)).transpose()?;
        Ok(Self { values: Rc::new(builder.freeze()?), places, token, terms, generation })
    }

    /// The values that stand in an environment. Refused if one is missing, or cannot stand there.
    pub fn secrets(&self, wanted: &[Wanted]) -> Result<Secrets, Error> {
        let mut entries = Vec::new();
        for (place, target) in targets(wanted) {
            let span = self.places.get(&place).ok_or_else(|| Error::Missing(target.variable.clone()))?;
            if target.form == Form::Value {
                entries.push((target.variable.clone(), span.clone()));
            }
        }
        Ok(Secrets::new(Rc::clone(&self.values), entries)?)
    }

    /// The values that are read as files, by the names of their variables.
    pub fn files<'p>(&'p self, wanted: &'p [Wanted]) -> impl Iterator<Item = (&'p str, &'p [u8])> {
        let files = targets(wanted).filter(|(_, target)| target.form == Form::File);
        files.filter_map(|(place, target)| {
            Some((target.variable.as_str(), self.values.read(self.places.get(&place)?)?))
        })
    }

    /// The value of every target, by the name of its variable.
    pub fn each<'p>(&'p self, wanted: &'p [Wanted]) -> impl Iterator<Item = (&'p Target, &'p [u8])> {
        targets(wanted)
            .filter_map(|(place, target)| Some((target, self.values.read(self.places.get(&place)?)?)))
    }

    /// The token, in memory that a fetcher will own.
    pub(super) fn token(&self) -> Result<Option<Parcel>, secretmem::Error> {
        let Some(token) = self.token.as_ref().and_then(|span| self.values.read(span)) else {
            return Ok(None);
        };
        let mut parcel = Parcel::create(token.len())?;
        parcel.bytes_mut()?.copy_from_slice(token);
        Ok(Some(parcel))
    }

    /// How long everything is good for, from when it was brought.
    #[must_use]
    pub fn terms(&self) -> &[Term] {
        &self.terms
    }

    /// Another number for other values.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }
}

/// Variables that say where a file is.
pub(super) fn paths(wanted: &[Wanted]) -> impl Iterator<Item = (String, String)> {
    let files = targets(wanted).filter(|(_, target)| target.form == Form::File);
    files.map(|(_, target)| (target.variable.clone(), files::path::of(&target.variable)))
}

fn targets(wanted: &[Wanted]) -> impl Iterator<Item = ((u16, u16), &Target)> {
    (0..).zip(wanted).flat_map(|(index, wanted)| {
        (0..).zip(&wanted.targets).map(move |(number, target)| ((index, number), target))
    })
}

/// Why values were not taken over.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Terms alone, where there were no values before.
    #[error("no values were brought")]
    Nothing,
    /// One that was wanted did not come.
    #[error("no value was brought for {0}")]
    Missing(String),
    /// Values that no environment can hold.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// Too little secret memory on this side.
    #[error(transparent)]
    Memory(#[from] secretmem::Error),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Source;

    fn wanted() -> Vec<Wanted> {
        let target = |name: &str, form| Target { field: name.into(), variable: name.into(), form };
        let source = || Source::Path { path: "a/b".into(), parameters: vec![] };
        vec![
            Wanted { source: source(), targets: vec![target("A", Form::Value), target("B", Form::File)] },
            Wanted { source: source(), targets: vec![target("C", Form::Value)] },
        ]
    }

    fn brought(values: &[((u16, u16), &str)], token: Option<&str>) -> Brought {
        let mut builder = Builder::with_capacity(4096).unwrap();
        let places = values
            .iter()
            .map(|((wanted, target), value)| (*wanted, *target, builder.push(value.as_bytes()).unwrap()));
        let places = places.collect();
        let token = token.map(|token| builder.push(token.as_bytes()).unwrap());
        Brought { values: Some(builder.freeze().unwrap()), places, token, terms: vec![] }
    }

    const ALL: [((u16, u16), &str); 3] = [((0, 0), "one"), ((0, 1), "two"), ((1, 0), "three")];

    fn shown(present: &Present) -> Vec<String> {
        let wanted = wanted();
        present.each(&wanted).map(|(_, value)| String::from_utf8(value.to_vec()).unwrap()).collect()
    }

    #[test]
    fn what_was_not_brought_again_stays() {
        let present = Present::first(brought(&ALL, Some("s.token")), &wanted()).unwrap();
        let (present, change) = present.after(brought(&[((1, 0), "THREE")], None), &wanted()).unwrap();
        assert_eq!(
            (shown(&present), change),
            (["one", "two", "THREE"].map(str::to_owned).to_vec(), Change::Changed)
        );
        let mut token = present.token().unwrap().unwrap();
        assert_eq!((token.bytes_mut().unwrap(), present.generation()), (&mut b"s.token".to_vec()[..], 1));
    }

    #[test]
    fn the_same_values_again_are_no_change() {
        let present = Present::first(brought(&ALL, None), &wanted()).unwrap();
        let (present, change) = present.after(brought(&ALL, Some("s.new")), &wanted()).unwrap();
        assert_eq!((change, present.generation()), (Change::Same, 0));
        assert!(present.token().unwrap().is_some());
    }

    #[test]
    fn terms_take_the_place_of_terms_of_the_same() {
        let term = |of, seconds| Term { of, lease: None, seconds, renewable: true, version: None };
        let first =
            Brought { terms: vec![term(Of::Token, 1), term(Of::Secret(1), 2)], ..brought(&ALL, None) };
        let present = Present::first(first, &wanted()).unwrap();
        let alone = Brought { values: None, places: vec![], token: None, terms: vec![term(Of::Token, 9)] };
        let (present, change) = present.after(alone, &wanted()).unwrap();
        assert_eq!(
            (present.terms(), change),
            (&[term(Of::Token, 9), term(Of::Secret(1), 2)][..], Change::Same)
        );
        assert_eq!(shown(&present)[2], "three");
    }

    #[test]
    fn a_value_that_is_missing_or_cannot_be_handed_over_changes_nothing() {
        let missing = Present::first(brought(&ALL[..2], None), &wanted()).unwrap_err();
        assert!(matches!(missing, Error::Missing(name) if name == "C"));
        let present = Present::first(brought(&ALL, None), &wanted()).unwrap();
        let unfit = present.after(brought(&[((0, 0), "o\0e")], None), &wanted()).unwrap_err();
        assert!(matches!(unfit, Error::Unfit(Unfit::Nul(name)) if name == "A"));
        let file = present.after(brought(&[((0, 1), "t\0o")], None), &wanted());
        assert_eq!(file.unwrap().1, Change::Changed, "a file may hold any byte");
    }

    #[test]
    fn files_are_told_by_where_they_are() {
        let paths: Vec<_> = paths(&wanted()).collect();
        assert_eq!(paths, [("B".to_owned(), "/run/cloudtaser/secrets/B".to_owned())]);
        let present = Present::first(brought(&ALL, None), &wanted()).unwrap();
        assert_eq!(present.files(&wanted()).collect::<Vec<_>>(), [("B", &b"two"[..])]);
    }
}
