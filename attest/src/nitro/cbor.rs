//! A careful walk over CBOR that an attacker may have written.
//!
//! [`Walk`] reads one item after the other, in the order in which the caller expects them, and never follows
//! what it does not expect: there is no recursion and no skipping, so nesting costs nothing. Maps and arrays
//! may be of indefinite length (newer Nitro firmware writes such maps), strings may not. A length is compared
//! with the bytes there are before anything is read, and nothing is allocated for it.
//!
//! Untrusted: every byte.

use minicbor::Decoder;
use minicbor::data::Type;

use crate::bytes::Malformed;

/// A cursor over CBOR.
#[derive(Debug)]
pub(super) struct Walk<'a>(Decoder<'a>);

/// What is left of a map or an array.
#[derive(Debug)]
pub(super) struct Items {
    what: &'static str,
    /// `None` until the break.
    left: Option<u64>,
    room: usize,
}

impl<'a> Walk<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(Decoder::new(bytes))
    }

    /// The number of the tag that stands here, if one does.
    pub(super) fn tag(&mut self, what: &'static str) -> Result<Option<u64>, Malformed> {
        if self.kind(what)? != Type::Tag {
            return Ok(None);
        }
        let tag = self.0.tag().map_err(|error| refused(what, "a tag", &error))?;
        Ok(Some(tag.as_u64()))
    }

    /// A byte string.
    pub(super) fn bytes(&mut self, what: &'static str) -> Result<&'a [u8], Malformed> {
        self.0.bytes().map_err(|error| refused(what, "a byte string", &error))
    }

    /// A byte string, or null.
    pub(super) fn bytes_or_null(&mut self, what: &'static str) -> Result<Option<&'a [u8]>, Malformed> {
        if self.kind(what)? != Type::Null {
            return self.bytes(what).map(Some);
        }
        self.0.null().map_err(|error| refused(what, "null", &error))?;
        Ok(None)
    }

    /// A text string.
    pub(super) fn text(&mut self, what: &'static str) -> Result<&'a str, Malformed> {
        self.0.str().map_err(|error| refused(what, "a text string", &error))
    }

    /// A number that is not negative.
    pub(super) fn number(&mut self, what: &'static str) -> Result<u64, Malformed> {
        self.0.u64().map_err(|error| refused(what, "a number from 0", &error))
    }

    /// The beginning of an array of at most `limit` items.
    pub(super) fn array(&mut self, what: &'static str, limit: usize) -> Result<Items, Malformed> {
        let left = self.0.array().map_err(|error| refused(what, "an array", &error))?;
        Ok(Items { what, left, room: limit })
    }

    /// The beginning of a map of at most `limit` pairs.
    pub(super) fn map(&mut self, what: &'static str, limit: usize) -> Result<Items, Malformed> {
        let left = self.0.map().map_err(|error| refused(what, "a map", &error))?;
        Ok(Items { what, left, room: limit })
    }

    /// Whether another item follows; past the last one, its end is read.
    pub(super) fn more(&mut self, items: &mut Items) -> Result<bool, Malformed> {
        let more = match items.left {
            Some(left) => left > 0,
            None => !self.at_break(items.what)?,
        };
        if more {
            items.left = items.left.map(|left| left.saturating_sub(1));
            items.room = items.room.checked_sub(1).ok_or_else(|| Malformed::Value {
                what: items.what,
                expected: "fewer items",
                found: "more than there may be".to_owned(),
            })?;
        }
        Ok(more)
    }

    /// Ends the walk: whatever is left is an error.
    pub(super) fn finish(self) -> Result<(), Malformed> {
        let extra = self.0.input().len().saturating_sub(self.0.position());
        if extra == 0 { Ok(()) } else { Err(Malformed::Trailing { extra }) }
    }

    fn at_break(&mut self, what: &'static str) -> Result<bool, Malformed> {
        let ends = self.kind(what)? == Type::Break;
        if ends {
            self.0.set_position(self.0.position().saturating_add(1));
        }
        Ok(ends)
    }

    fn kind(&self, what: &'static str) -> Result<Type, Malformed> {
        self.0.datatype().map_err(|error| refused(what, "a CBOR item", &error))
    }
}

fn refused(what: &'static str, expected: &'static str, error: &minicbor::decode::Error) -> Malformed {
    Malformed::Value { what, expected, found: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(bytes: &[u8], limit: usize) -> Result<usize, Malformed> {
        let mut walk = Walk::new(bytes);
        let mut items = walk.array("list", limit)?;
        let mut found = Vec::new();
        while walk.more(&mut items)? {
            found.push(walk.number("item")?);
        }
        walk.finish().map(|()| found.len())
    }

    #[test]
    fn both_kinds_of_length_give_the_same_items() {
        assert_eq!(count(&[0x82, 1, 2], 2), Ok(2));
        assert_eq!(count(&[0x9f, 1, 2, 0xff], 2), Ok(2));
        assert_eq!(count(&[0x80], 0), Ok(0));
        assert_eq!(count(&[0x9f, 0xff], 0), Ok(0));
    }

    #[test]
    fn what_is_missing_or_too_much_is_refused() {
        for bytes in [&[0x82, 1][..], &[0x9f, 1, 2], &[0x82, 1, 0xff], &[0x81, 0x81, 1], &[0x81, 0x5f, 0xff]]
        {
            assert!(count(bytes, 8).is_err(), "{bytes:?}");
        }
        assert!(count(&[0x83, 1, 2, 3], 2).is_err());
        assert!(count(&[0x9f, 1, 2, 3, 0xff], 2).is_err());
        assert_eq!(count(&[0x81, 1, 0], 1), Err(Malformed::Trailing { extra: 1 }));
    }

    #[test]
    fn a_claimed_length_of_billions_costs_nothing() {
        assert!(count(&[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], 8).is_err());
        let huge = [0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
        assert!(Walk::new(&huge).bytes("string").is_err());
    }
}
