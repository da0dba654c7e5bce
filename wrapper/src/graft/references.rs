//! References: what stands in an environment where a secret will be.
//!
//! The child's environment says `NAME=ctref:0:`. Shells may copy that, rename it or build a longer value
//! around it; [`Secrets::expand`] finds every reference in an entry and says what the entry becomes.
//!
//! Trusted: the values. Untrusted: the entries, which programs in between may have rewritten.

use secretmem::{Span, Values};

/// What every reference begins with; a decimal index and a colon follow.
const PREFIX: &[u8] = b"ctref:";

/// Named values in secret memory, ready to stand in an environment.
#[derive(Debug)]
pub struct Secrets {
    values: Values,
    entries: Vec<(String, Span)>,
}

/// Why values cannot be handed over as environment variables.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Unfit {
    /// A C string ends at its first NUL byte.
    #[error("the value for {0} contains a NUL byte, an environment variable cannot hold it")]
    Nul(String),
    /// A span that no value was kept at.
    #[error("the value for {0} lies outside its region")]
    Outside(String),
}

impl Secrets {
    /// Names the values at `entries`; every one must be fit to be an environment variable.
    pub fn new(values: Values, entries: Vec<(String, Span)>) -> Result<Self, Unfit> {
        for (name, span) in &entries {
            let value = values.read(span).ok_or_else(|| Unfit::Outside(name.clone()))?;
            if value.contains(&0) {
                return Err(Unfit::Nul(name.clone()));
            }
        }
        Ok(Self { values, entries })
    }

    /// The variables of the child: names, and references in place of values.
    pub fn references(&self) -> impl Iterator<Item = (&str, String)> {
        self.entries.iter().enumerate().map(|(index, (name, _))| (name.as_str(), format!("ctref:{index}:")))
    }

    /// What an entry of an environment becomes; none if it refers to nothing.
    pub(super) fn expand<'a>(&'a self, entry: &'a [u8]) -> Option<Expansion<'a>> {
        let mut pieces = Vec::new();
        let mut rest = entry;
        let mut literal = 0;
        while let Some((value, after)) = self.next_reference(rest, &mut literal) {
            pieces.push(rest.get(..literal).unwrap_or_default());
            pieces.push(value);
            rest = after;
            literal = 0;
        }
        if pieces.is_empty() {
            return None;
        }
        pieces.push(rest);
        Some(Expansion { pieces })
    }

    /// The first reference in `text` at or after `from`, which is moved to where it begins.
    fn next_reference<'a>(&'a self, text: &'a [u8], from: &mut usize) -> Option<(&'a [u8], &'a [u8])> {
        loop {
            let tail = text.get(*from..)?;
            let at = tail.windows(PREFIX.len()).position(|window| window == PREFIX)?;
            *from = from.saturating_add(at);
            let after = tail.get(at.saturating_add(PREFIX.len())..)?;
            if let Some(found) = self.resolve(after) {
                return Some(found);
            }
            *from = from.saturating_add(1);
        }
    }

    /// Reads `INDEX:` at the start of `text`: the value, and what follows the colon.
    fn resolve<'a>(&'a self, text: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
        let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (index, after) = text.split_at_checked(digits)?;
        let index: usize = str::from_utf8(index).ok()?.parse().ok()?;
        let (_, span) = self.entries.get(index)?;
        Some((self.values.read(span)?, after.strip_prefix(b":")?))
    }
}

/// An entry with its references replaced, in pieces, so that the value is copied once: to its place.
pub(super) struct Expansion<'a> {
    pieces: Vec<&'a [u8]>,
}

impl Expansion<'_> {
    /// Bytes, with the NUL that ends a C string.
    pub(super) fn len(&self) -> usize {
        self.pieces.iter().map(|piece| piece.len()).fold(1, usize::saturating_add)
    }

    /// Writes the entry to the start of `place`, which is zeroed, and returns what is left of it.
    pub(super) fn write<'p>(&self, place: &'p mut [u8]) -> Option<&'p mut [u8]> {
        let (own, left) = place.split_at_mut_checked(self.len())?;
        let mut own = own;
        for piece in &self.pieces {
            let (head, tail) = own.split_at_mut_checked(piece.len())?;
            head.copy_from_slice(piece);
            own = tail;
        }
        Some(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secretmem::Builder;

    fn secrets(values: &[&[u8]]) -> Result<Secrets, Unfit> {
        let mut builder = Builder::with_capacity(4096).unwrap();
        let spans = values.iter().map(|value| builder.push(value).unwrap());
        let entries = spans.enumerate().map(|(index, span)| (format!("NAME{index}"), span)).collect();
        Secrets::new(builder.freeze().unwrap(), entries)
    }

    fn expanded(entry: &str) -> Option<String> {
        let secrets = secrets(&[b"alpha", b"beta"]).unwrap();
        let expansion = secrets.expand(entry.as_bytes())?;
        let mut place = vec![0; expansion.len()];
        assert!(expansion.write(&mut place).unwrap().is_empty());
        assert_eq!(place.pop(), Some(0));
        String::from_utf8(place).ok()
    }

    #[test]
    fn the_environment_names_values_without_holding_them() {
        let secrets = secrets(&[b"alpha", b"beta"]).unwrap();
        let references: Vec<_> = secrets.references().collect();
        assert_eq!(references, [("NAME0", "ctref:0:".to_owned()), ("NAME1", "ctref:1:".to_owned())]);
    }

    #[test]
    fn a_reference_becomes_its_value_under_any_name() {
        assert_eq!(expanded("NAME0=ctref:0:").unwrap(), "NAME0=alpha");
        assert_eq!(expanded("RENAMED=ctref:1:").unwrap(), "RENAMED=beta");
    }

    #[test]
    fn references_inside_a_longer_value_are_replaced_too() {
        assert_eq!(expanded("URL=pg://ctref:0::ctref:1:@db/x").unwrap(), "URL=pg://alpha:beta@db/x");
    }

    #[test]
    fn text_that_only_looks_like_a_reference_stays() {
        for entry in ["A=", "A=ctref", "A=ctref:", "A=ctref:0", "A=ctref:2:", "A=ctref:-1:", "A=ctref:x:"] {
            assert_eq!(expanded(entry), None, "{entry}");
        }
        assert_eq!(expanded("A=ctref:ctref:9:ctref:0:").unwrap(), "A=ctref:ctref:9:alpha");
    }

    #[test]
    fn a_value_with_a_nul_byte_is_refused_by_name_alone() {
        let refused = secrets(&[b"alpha", b"be\0ta"]).unwrap_err();
        assert_eq!(refused, Unfit::Nul("NAME1".to_owned()));
        assert!(!refused.to_string().contains("be"));
    }
}
