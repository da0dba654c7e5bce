//! What the keeper asks of a fetcher, and what a fetcher brings.
//!
//! Values and tokens travel as descriptors of secret memory, never in a message. A message says what lies where,
//! and how long it is good for. Each end of the line checks what it receives against what it knows.
//!
//! Trusted: the other half; it is this program. Untrusted: lease ids, which OpenBao wrote; they are passed back
//! to it and shown to nobody.

use std::io;
use std::os::fd::AsFd as _;

use minicbor::{Decode, Encode};
use secretmem::{Parcel, Region, Span, Values};

use crate::config::Wanted;
use crate::line::{Line, Message};

/// What a fetcher is to do.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode)]
pub enum Errand {
    /// Log in where that is needed, and bring everything.
    #[n(0)]
    Fetch,
    /// Ask OpenBao again for these, and bring what it says now, a term for each of them: all or nothing.
    ///
    /// A token or a lease that is renewable is renewed. All others are had anew: a token by another login, which comes
    /// first, a secret by reading it again or by presenting evidence again. Whatever has ended counts as refused. No
    /// time is spent on asking twice: the keeper asks again.
    #[n(1)]
    Renew {
        /// What was brought before; where something is to be had anew although it could be renewed, as not renewable.
        #[n(0)]
        terms: Vec<Term>,
    },
    /// Give back what nobody uses any more. Nothing is brought.
    #[n(2)]
    Revoke {
        /// Leases that do not end with the token.
        #[n(0)]
        leases: Vec<String>,
        /// Whether the token itself is given back, which is ours then.
        #[n(1)]
        token: bool,
    },
}

/// What lies in the memory that a fetcher brings.
#[derive(Clone, Debug, Default, Eq, PartialEq, Encode, Decode)]
pub struct List {
    /// Bytes of the memory; 0 where there is none, because nothing had to be read anew.
    #[n(0)]
    pub len: u32,
    /// The values.
    #[n(1)]
    pub values: Vec<Place>,
    /// The token that later errands take along.
    #[n(2)]
    pub token: Option<Held>,
    /// How long what was brought is good for.
    #[n(3)]
    pub terms: Vec<Term>,
}

/// Where the value for one target lies.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Encode, Decode)]
pub struct Place {
    /// Which of the configuration's secrets.
    #[n(0)]
    pub wanted: u16,
    /// Which of its targets.
    #[n(1)]
    pub target: u16,
    /// The offset of the value.
    #[n(2)]
    pub start: u32,
    /// Its length in bytes.
    #[n(3)]
    pub len: u32,
}

/// Where something else lies.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Encode, Decode)]
pub struct Held {
    /// The offset.
    #[n(0)]
    pub start: u32,
    /// The length in bytes.
    #[n(1)]
    pub len: u32,
}

/// How long something is good for.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode)]
pub struct Term {
    /// What.
    #[n(0)]
    pub of: Of,
    /// OpenBao's name for the lease.
    #[n(1)]
    pub lease: Option<String>,
    /// Seconds from when it was brought; 0 where OpenBao sets no end.
    #[n(2)]
    pub seconds: u64,
    /// Whether it can be prolonged.
    #[n(3)]
    pub renewable: bool,
    /// The version, of a secret that has versions.
    #[n(4)]
    pub version: Option<u64>,
}

/// What a [`Term`] is of.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Encode, Decode)]
pub enum Of {
    /// The token.
    #[n(0)]
    Token,
    /// One of the configuration's secrets.
    #[n(1)]
    Secret(#[n(0)] u16),
}

/// Why nothing was brought. The fetcher has told the whole story on standard error.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Encode, Decode)]
pub struct Setback {
    /// It may pass: OpenBao or the node agent is away.
    #[n(0)]
    pub transient: bool,
    /// OpenBao judged and said no; what was given before is withdrawn.
    #[n(1)]
    pub refused: bool,
    /// The code to exit with where there is no program yet.
    #[n(2)]
    pub code: u8,
}

/// An errand, how long the token is that came along, and the report that the hardware is to sign.
#[derive(Encode, Decode)]
struct Commission {
    #[n(0)]
    errand: Errand,
    #[n(1)]
    token: Option<u32>,
    #[cbor(n(2), with = "minicbor::bytes")]
    report: Vec<u8>,
}

/// What a fetcher is sent on its way with.
#[derive(Debug)]
pub struct Commissioned {
    /// What to do.
    pub errand: Errand,
    /// The token, if there is one.
    pub token: Option<Region>,
    /// The report of our protection ([`crate::selftest`]).
    pub report: Vec<u8>,
}

/// What a fetcher answers.
#[derive(Encode, Decode)]
enum Answer {
    #[n(0)]
    Brought(#[n(0)] List),
    #[n(1)]
    Setback(#[n(0)] Setback),
}

/// What was brought: the memory and what lies where, every place of it inside.
#[derive(Debug)]
pub struct Brought {
    /// The values, and the token; none where the terms alone are new.
    pub values: Option<Values>,
    /// Each value that was brought: the indices of its secret and its target, and where it lies.
    pub places: Vec<(u16, u16, Span)>,
    /// Where the token lies.
    pub token: Option<Span>,
    /// How long everything is good for.
    pub terms: Vec<Term>,
}

impl Errand {
    /// The keeper's part: sends a fetcher on its way, with the token if there is one, and the report of our protection.
    pub fn send(&self, line: &Line, token: Option<Parcel>, report: &[u8]) -> Result<(), Error> {
        let len = token.as_ref().map(|token| u32::try_from(token.size())).transpose();
        let token_len = len.map_err(|_too_long| Error::Malformed)?;
        let commission = Commission { errand: self.clone(), token: token_len, report: report.to_vec() };
        let token = token.map(Parcel::give);
        Ok(line.send(&encoded(commission)?, token.as_ref().map(|token| token.as_fd()))?)
    }

    /// The fetcher's part: what is asked, and what goes along.
    pub fn receive(line: &Line) -> Result<Commissioned, Error> {
        let Message { bytes, descriptor } = line.receive()?.ok_or(Error::Silence)?;
        let Commission { errand, token, report } = decoded(&bytes)?;
        let token = match (descriptor, token) {
            (Some(memory), Some(len)) => Some(Region::receive(memory, size(len))?),
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => return Err(Error::Malformed),
        };
        Ok(Commissioned { errand, token, report })
    }
}

impl List {
    /// The fetcher's part: gives the memory to the keeper. Our own mapping of it ends here.
    pub fn send(self, line: &Line, memory: Option<Parcel>) -> Result<(), Error> {
        let message = encoded(Answer::Brought(self))?;
        let memory = memory.map(Parcel::give);
        Ok(line.send(&message, memory.as_ref().map(|memory| memory.as_fd()))?)
    }
}

impl Setback {
    /// The fetcher's part: says that nothing comes.
    pub fn send(self, line: &Line) -> Result<(), Error> {
        Ok(line.send(&encoded(Answer::Setback(self))?, None)?)
    }
}

impl Brought {
    /// The keeper's part: what a fetcher answered, checked against what was wanted.
    pub fn receive(line: &Line, wanted: &[Wanted]) -> Result<Result<Self, Setback>, Error> {
        let Message { bytes, descriptor } = line.receive()?.ok_or(Error::Silence)?;
        match decoded(&bytes)? {
            Answer::Setback(setback) => Ok(Err(setback)),
            Answer::Brought(list) => {
                let memory = descriptor.map(|memory| Region::receive(memory, size(list.len))).transpose()?;
                Self::checked(list, memory, wanted).map(Ok)
            }
        }
    }

    fn checked(list: List, memory: Option<Region>, wanted: &[Wanted]) -> Result<Self, Error> {
        let values = memory.map(Values::adopt).transpose()?;
        let span = |start: u32, len: u32| values.as_ref()?.span(size(start), size(len));
        let target = |place: &Place| {
            let wanted = wanted.get(usize::from(place.wanted))?;
            wanted.targets.get(usize::from(place.target))?;
            Some((place.wanted, place.target, span(place.start, place.len)?))
        };
        let places = list.values.iter().map(target).collect::<Option<_>>().ok_or(Error::Malformed)?;
        let token = match list.token {
            Some(held) => Some(span(held.start, held.len).ok_or(Error::Malformed)?),
            None => None,
        };
        let known = |term: &Term| match term.of {
            Of::Token => true,
            Of::Secret(index) => usize::from(index) < wanted.len(),
        };
        if !list.terms.iter().all(known) {
            return Err(Error::Malformed);
        }
        Ok(Self { values, places, token, terms: list.terms })
    }
}

fn encoded(message: impl Encode<()>) -> Result<Vec<u8>, Error> {
    minicbor::to_vec(message).map_err(|_impossible| Error::Malformed)
}

/// The message, which must be the whole of `bytes`.
fn decoded<'b, T: Decode<'b, ()>>(bytes: &'b [u8]) -> Result<T, Error> {
    let mut decoder = minicbor::Decoder::new(bytes);
    let message = decoder.decode().map_err(|_malformed| Error::Malformed)?;
    if decoder.position() == bytes.len() { Ok(message) } else { Err(Error::Malformed) }
}

/// This is for 64-bit machines.
fn size(len: u32) -> usize {
    usize::try_from(len).unwrap_or(usize::MAX)
}

/// Why the halves of this program did not understand each other.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The other half ended without a word.
    #[error("the process that fetches ended without an answer")]
    Silence,
    /// A message that this program would not have written.
    #[error("malformed message between keeper and fetcher")]
    Malformed,
    /// Too little secret memory on this side.
    #[error(transparent)]
    Memory(#[from] secretmem::Error),
    /// The kernel refused something.
    #[error("between keeper and fetcher: {0}")]
    Os(io::Error),
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        // It has ended before it was told what to do.
        if error.kind() == io::ErrorKind::BrokenPipe { Self::Silence } else { Self::Os(error) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Form, Source, Target};

    fn wanted() -> Vec<Wanted> {
        let target = Target { field: "password".into(), variable: "PASSWORD".into(), form: Form::Value };
        vec![Wanted {
            source: Source::Path { path: "a/b".into(), parameters: vec![] },
            targets: vec![target],
        }]
    }

    fn memory() -> Parcel {
        let mut parcel = Parcel::create(8).unwrap();
        parcel.bytes_mut().unwrap().copy_from_slice(b"..secret");
        parcel
    }

    fn list() -> List {
        let term = Term {
            of: Of::Secret(0),
            lease: Some("x/1".into()),
            seconds: 60,
            renewable: true,
            version: None,
        };
        let values = vec![Place { wanted: 0, target: 0, start: 2, len: 6 }];
        List { len: 8, values, token: Some(Held { start: 0, len: 2 }), terms: vec![term] }
    }

    fn answered(list: List, memory: Option<Parcel>) -> Result<Result<Brought, Setback>, Error> {
        let (ours, theirs) = Line::pair().unwrap();
        list.send(&theirs, memory).unwrap();
        Brought::receive(&ours, &wanted())
    }

    #[test]
    fn what_was_brought_lies_where_the_list_says() {
        let brought = answered(list(), Some(memory())).unwrap().unwrap();
        let values = brought.values.unwrap();
        let [(0, 0, span)] = brought.places.as_slice() else { panic!("{:?}", brought.places) };
        assert_eq!(values.read(span), Some(&b"secret"[..]));
        assert_eq!(values.read(&brought.token.unwrap()), Some(&b".."[..]));
        assert_eq!(brought.terms, list().terms);
    }

    #[test]
    fn places_outside_the_memory_or_the_configuration_are_refused() {
        let place = |wanted, target, start, len| vec![Place { wanted, target, start, len }];
        for values in [place(0, 0, 2, 7), place(0, 0, u32::MAX, 2), place(1, 0, 0, 1), place(0, 1, 0, 1)] {
            let refused = answered(List { values, ..list() }, Some(memory())).unwrap_err();
            assert!(matches!(refused, Error::Malformed), "{refused}");
        }
        let token = Some(Held { start: 8, len: 1 });
        assert!(matches!(answered(List { token, ..list() }, Some(memory())), Err(Error::Malformed)));
        let terms = vec![Term { of: Of::Secret(1), ..list().terms[0].clone() }];
        assert!(matches!(answered(List { terms, ..list() }, Some(memory())), Err(Error::Malformed)));
    }

    #[test]
    fn memory_that_was_announced_must_come_and_be_as_large() {
        assert!(matches!(answered(list(), None), Err(Error::Malformed)));
        let larger = answered(List { len: 5000, ..list() }, Some(memory()));
        assert!(matches!(
            larger,
            Err(Error::Memory(secretmem::Error::Received { expected: 8192, found: 4096 }))
        ));
    }

    #[test]
    fn a_setback_is_an_answer_and_silence_is_none() {
        let (ours, theirs) = Line::pair().unwrap();
        let setback = Setback { transient: true, refused: false, code: 121 };
        setback.send(&theirs).unwrap();
        assert_eq!(Brought::receive(&ours, &wanted()).unwrap().unwrap_err(), setback);
        drop(theirs);
        assert!(matches!(Brought::receive(&ours, &wanted()), Err(Error::Silence)));
    }

    #[test]
    fn an_errand_takes_its_token_along() {
        let (ours, theirs) = Line::pair().unwrap();
        let errand = Errand::Renew { terms: list().terms };
        errand.send(&ours, Some(memory()), b"report").unwrap();
        Errand::Fetch.send(&ours, None, b"report").unwrap();
        let received = Errand::receive(&theirs).unwrap();
        assert_eq!((received.errand, received.token.unwrap().bytes()), (errand, &b"..secret"[..]));
        let received = Errand::receive(&theirs).unwrap();
        assert!(matches!((received.errand, received.token), (Errand::Fetch, None)));
        assert_eq!(received.report, b"report");
    }

    #[test]
    fn a_message_with_something_behind_it_is_refused() {
        let (ours, theirs) = Line::pair().unwrap();
        let mut message = encoded(Answer::Brought(List::default())).unwrap();
        message.push(0);
        theirs.send(&message, None).unwrap();
        assert!(matches!(Brought::receive(&ours, &wanted()), Err(Error::Malformed)));
    }
}
