//! Answers of HTTP/1.1 (RFC 9112), read where they lie.
//!
//! [`Reading`] is told whenever bytes have come, and says whether the answer is whole. Chunks are moved together in place,
//! so that a body is one piece of the buffer in the end.
//!
//! Untrusted: every byte. An answer whose length can be read in two ways is refused.

use std::ops::Range;

use httparse::{EMPTY_HEADER, Header, Response, Status};

use super::Error;
use super::buffer::Buffer;

const MOST_HEADERS: usize = 64;
const MAX_HEAD: usize = 16 * 1024;
/// A chunk's size in hexadecimal, its extensions, and the line's end.
const MAX_LINE: usize = 1024;

/// An answer that is on its way.
#[derive(Debug)]
pub struct Reading {
    stage: Stage,
}

/// What is known of it so far.
#[derive(Debug)]
enum Stage {
    Head,
    Body { head: Head, to: usize, framing: Framing },
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Head {
    status: u16,
    /// Where the body begins.
    end: usize,
    /// Whether the connection can be used again.
    kept: bool,
}

/// How the end of a body is found (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Framing {
    Length(usize),
    Chunks(Chunk),
    UntilClosed,
}

/// What is to come next of a chunked body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Chunk {
    Size,
    Data(usize),
    LineEnd,
    Trailer,
}

/// A whole answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Where in the buffer its body lies.
    pub(super) body: Range<usize>,
    /// Whether the connection can be used again.
    pub(super) kept: bool,
}

impl Answer {
    /// Its body, in the buffer that it was read into.
    #[must_use]
    pub fn body<'b>(&self, buffer: &'b Buffer) -> &'b [u8] {
        buffer.filled().get(self.body.clone()).unwrap_or_default()
    }

    /// The same, to be read in place.
    pub fn body_mut<'b>(&self, buffer: &'b mut Buffer) -> &'b mut [u8] {
        buffer.filled_mut().get_mut(self.body.clone()).unwrap_or_default()
    }
}

impl Reading {
    /// Nothing has come yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { stage: Stage::Head }
    }

    /// Looks at what has come since; the answer, if that is all of it.
    pub fn advance(&mut self, buffer: &mut Buffer) -> Result<Option<Answer>, Error> {
        if let Stage::Head = self.stage {
            match head(buffer)? {
                None if buffer.filled().len() > MAX_HEAD => {
                    return Err(Error::Malformed("a head of more than 16384 bytes"));
                }
                None => return Ok(None),
                Some((head, framing)) => self.stage = Stage::Body { head, to: head.end, framing },
            }
        }
        let Stage::Body { head, to, framing } = &mut self.stage else { return Ok(None) };
        let whole = match framing {
            Framing::Length(len) => length(head, *len, buffer)?,
            Framing::Chunks(chunk) => Chunks { chunk, to, kept: &mut head.kept, buffer }.advance()?,
            Framing::UntilClosed => false,
        };
        within(buffer, buffer.filled().len().saturating_sub(head.end))?;
        Ok(whole.then(|| head.answer(buffer)))
    }

    /// The answer, if the end of the connection was its end too.
    #[must_use]
    pub fn closed(self, buffer: &Buffer) -> Option<Answer> {
        match self.stage {
            Stage::Body { head, framing: Framing::UntilClosed, .. } => Some(head.answer(buffer)),
            Stage::Head | Stage::Body { .. } => None,
        }
    }
}

impl Default for Reading {
    fn default() -> Self {
        Self::new()
    }
}

impl Head {
    fn answer(&self, buffer: &Buffer) -> Answer {
        Answer { status: self.status, body: self.end..buffer.filled().len(), kept: self.kept }
    }
}

fn within(buffer: &Buffer, len: usize) -> Result<(), Error> {
    if len > buffer.limit() { Err(Error::TooLong(buffer.limit())) } else { Ok(()) }
}

fn length(head: &mut Head, len: usize, buffer: &mut Buffer) -> Result<bool, Error> {
    within(buffer, len)?;
    let end = head.end.saturating_add(len);
    let found = buffer.filled().len();
    // What follows was not asked for.
    head.kept &= found <= end;
    buffer.cut(end);
    Ok(found >= end)
}

/// The head of the answer, behind any of an interim one (1xx); none while it is not whole.
fn head(buffer: &Buffer) -> Result<Option<(Head, Framing)>, Error> {
    let mut start = 0;
    loop {
        let bytes = buffer.filled().get(start..).unwrap_or_default();
        let mut headers = [EMPTY_HEADER; MOST_HEADERS];
        let mut response = Response::new(&mut headers);
        let parsed = response.parse(bytes).map_err(|_why| Error::Malformed("not an answer of HTTP/1.1"))?;
        let Status::Complete(len) = parsed else { return Ok(None) };
        let status = response.code.unwrap_or_default();
        start = start.saturating_add(len);
        if (100..200).contains(&status) && status != 101 {
            continue;
        }
        let kept = response.version == Some(1) && !says(response.headers, "connection", "close");
        let framing = framing(status, response.headers)?;
        let kept = kept && framing != Framing::UntilClosed;
        return Ok(Some((Head { status, end: start, kept }, framing)));
    }
}

/// RFC 9112 §6.3. Two lengths, or one that is not understood, are an attempt to have us misread.
fn framing(status: u16, headers: &[Header<'_>]) -> Result<Framing, Error> {
    let mut lengths = named(headers, "content-length");
    let mut codings = named(headers, "transfer-encoding");
    let (length, coding) = (lengths.next(), codings.next());
    if lengths.next().is_some() || codings.next().is_some() || (length.is_some() && coding.is_some()) {
        return Err(Error::Malformed("an answer with two lengths"));
    }
    if status == 204 || status == 304 {
        return Ok(Framing::Length(0));
    }
    match (length, coding) {
        (Some(digits), _) => {
            let digits =
                str::from_utf8(digits).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
            let length = digits.and_then(|digits| digits.parse().ok());
            length.map(Framing::Length).ok_or(Error::Malformed("a length that is not a number"))
        }
        (None, Some(coding)) if coding.eq_ignore_ascii_case(b"chunked") => Ok(Framing::Chunks(Chunk::Size)),
        (None, Some(_)) => Err(Error::Malformed("a transfer coding other than chunked")),
        (None, None) => Ok(Framing::UntilClosed),
    }
}

fn named<'h>(headers: &'h [Header<'_>], name: &str) -> impl Iterator<Item = &'h [u8]> {
    headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value)
}

fn says(headers: &[Header<'_>], name: &str, word: &str) -> bool {
    let words = |value: &[u8]| {
        value
            .split(|byte| *byte == b',')
            .any(|found| found.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
    };
    named(headers, name).any(words)
}

/// RFC 9112 §7.1. The chunks before `to` are together; behind it lies what has not been looked at.
struct Chunks<'a> {
    chunk: &'a mut Chunk,
    to: &'a mut usize,
    kept: &'a mut bool,
    buffer: &'a mut Buffer,
}

impl Chunks<'_> {
    fn advance(&mut self) -> Result<bool, Error> {
        let mut from = *self.to;
        let whole = loop {
            match self.step(&mut from)? {
                Step::On => {}
                Step::Whole => break true,
                Step::Wait => break false,
            }
        };
        // What has not been looked at moves up to the body.
        let end = self.buffer.filled().len();
        self.buffer.filled_mut().copy_within(from..end, *self.to);
        let left = if whole { 0 } else { end.saturating_sub(from) };
        self.buffer.cut(self.to.saturating_add(left));
        Ok(whole)
    }

    fn step(&mut self, from: &mut usize) -> Result<Step, Error> {
        let rest = self.buffer.filled().get(*from..).unwrap_or_default();
        match *self.chunk {
            Chunk::Size => match httparse::parse_chunk_size(rest) {
                Ok(Status::Complete((line, size))) => {
                    *from = from.saturating_add(line);
                    let size = usize::try_from(size).unwrap_or(usize::MAX);
                    within(self.buffer, self.to.saturating_add(size).saturating_sub(MAX_HEAD))?;
                    *self.chunk = if size == 0 { Chunk::Trailer } else { Chunk::Data(size) };
                    Ok(Step::On)
                }
                Ok(Status::Partial) if rest.len() <= MAX_LINE => Ok(Step::Wait),
                Ok(Status::Partial) | Err(_) => Err(Error::Malformed("a chunk without a size")),
            },
            Chunk::Data(size) => {
                let there = size.min(rest.len());
                let end = from.saturating_add(there);
                self.buffer.filled_mut().copy_within(*from..end, *self.to);
                (*from, *self.to) = (end, self.to.saturating_add(there));
                let left = size.saturating_sub(there);
                *self.chunk = if left == 0 { Chunk::LineEnd } else { Chunk::Data(left) };
                Ok(if left == 0 { Step::On } else { Step::Wait })
            }
            Chunk::LineEnd => match rest {
                [b'\r', b'\n', ..] => {
                    *from = from.saturating_add(2);
                    *self.chunk = Chunk::Size;
                    Ok(Step::On)
                }
                [] | [b'\r'] => Ok(Step::Wait),
                _ => Err(Error::Malformed("a chunk longer than its size")),
            },
            Chunk::Trailer => match rest.windows(2).position(|pair| pair == b"\r\n") {
                Some(0) => {
                    // What follows was not asked for.
                    *self.kept &= rest.len() == 2;
                    Ok(Step::Whole)
                }
                Some(line) => {
                    *from = from.saturating_add(line).saturating_add(2);
                    Ok(Step::On)
                }
                None if rest.len() <= MAX_LINE => Ok(Step::Wait),
                None => Err(Error::Malformed("a trailer without an end")),
            },
        }
    }
}

enum Step {
    On,
    Wait,
    Whole,
}
