//! References: what stands in an environment where a secret will be.
//!
//! The child's environment says `NAME=ctref:TAG:0:`, with a tag drawn for this start. Shells may copy that,
//! rename it or build a longer value around it; [`Secrets::template`] finds every reference in an entry and says
//! what the entry becomes. Text from elsewhere refers to nothing, because its author does not know the tag.
//!
//! Trusted: the values. Untrusted: the entries, which programs in between may have rewritten.

use std::rc::Rc;

use rustix::rand::{GetRandomFlags, getrandom};
use secretmem::{Span, Values};

/// Bytes of the tag.
const TAG: usize = 8;

/// Named values in secret memory, ready to stand in an environment.
#[derive(Debug)]
pub struct Secrets {
    values: Rc<Values>,
    entries: Vec<(String, Span)>,
    /// What every reference begins with, tag included; a decimal index and a colon follow.
    prefix: String,
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
    /// References that anybody could make up would not be safe.
    #[error("the kernel gives no random bytes for references")]
    Random,
}

impl Secrets {
    /// Names the values at `entries`; every one must be fit to be an environment variable.
    pub fn new(values: impl Into<Rc<Values>>, entries: Vec<(String, Span)>) -> Result<Self, Unfit> {
        let values = values.into();
        for (name, span) in &entries {
            let value = values.read(span).ok_or_else(|| Unfit::Outside(name.clone()))?;
            if value.contains(&0) {
                return Err(Unfit::Nul(name.clone()));
            }
        }
        Ok(Self { values, entries, prefix: format!("ctref:{}:", tag()?) })
    }

    /// The variables of the child: names, and references in place of values.
    pub fn references(&self) -> impl Iterator<Item = (&str, String)> {
        let prefix = &self.prefix;
        self.entries
            .iter()
            .enumerate()
            .map(move |(index, (name, _))| (name.as_str(), format!("{prefix}{index}:")))
    }

    /// What references begin with.
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// What an entry of an environment becomes: itself if it refers to nothing.
    pub(crate) fn template_or_text(&self, entry: &[u8]) -> Template {
        self.template(entry).unwrap_or_else(|| Template { pieces: vec![Piece::Text(entry.to_vec())] })
    }

    /// What an entry of an environment becomes; none if it refers to nothing.
    pub(super) fn template(&self, entry: &[u8]) -> Option<Template> {
        let mut pieces = Vec::new();
        let mut rest = entry;
        let mut literal = 0;
        while let Some((index, after)) = self.next_reference(rest, &mut literal) {
            pieces.push(Piece::Text(rest.get(..literal).unwrap_or_default().to_vec()));
            pieces.push(Piece::Value(index));
            rest = after;
            literal = 0;
        }
        if pieces.is_empty() {
            return None;
        }
        pieces.push(Piece::Text(rest.to_vec()));
        Some(Template { pieces })
    }

    /// The bytes of an entry, without the NUL that ends it.
    pub(crate) fn bytes<'a>(&'a self, template: &'a Template) -> impl Iterator<Item = u8> + 'a {
        template.pieces.iter().flat_map(|piece| self.piece(piece)).copied()
    }

    /// Bytes of an entry, with the NUL that ends it.
    pub(crate) fn len(&self, template: &Template) -> usize {
        template.pieces.iter().map(|piece| self.piece(piece).len()).fold(1, usize::saturating_add)
    }

    /// Bytes of an entry before its first value.
    pub(super) fn before_values(&self, template: &Template) -> usize {
        template.pieces.first().map_or(0, |piece| self.piece(piece).len())
    }

    /// The variable that a value in an entry was meant for.
    pub(super) fn name(&self, template: &Template) -> &str {
        let index = template.pieces.iter().find_map(|piece| match piece {
            Piece::Value(index) => Some(*index),
            Piece::Text(_) => None,
        });
        index.and_then(|index| self.entries.get(index)).map_or("", |(name, _)| name)
    }

    /// Answers to the references of `former`: new values of the same variables.
    pub(crate) fn succeed(&mut self, former: &Self) {
        self.prefix.clone_from(&former.prefix);
    }

    fn piece<'a>(&'a self, piece: &'a Piece) -> &'a [u8] {
        match piece {
            Piece::Text(text) => text,
            Piece::Value(index) => {
                self.entries.get(*index).and_then(|(_, span)| self.values.read(span)).unwrap_or_default()
            }
        }
    }

    /// The first reference in `text` at or after `from`, which is moved to where it begins.
    fn next_reference<'a>(&self, text: &'a [u8], from: &mut usize) -> Option<(usize, &'a [u8])> {
        loop {
            let tail = text.get(*from..)?;
            let prefix = self.prefix.as_bytes();
            let at = tail.windows(prefix.len()).position(|window| window == prefix)?;
            *from = from.saturating_add(at);
            let after = tail.get(at.saturating_add(prefix.len())..)?;
            if let Some(found) = self.resolve(after) {
                return Some(found);
            }
            *from = from.saturating_add(1);
        }
    }

    /// Reads `INDEX:` at the start of `text`: the index, and what follows the colon.
    fn resolve<'a>(&self, text: &'a [u8]) -> Option<(usize, &'a [u8])> {
        let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (index, after) = text.split_at_checked(digits)?;
        let index: usize = str::from_utf8(index).ok()?.parse().ok()?;
        let (_, span) = self.entries.get(index)?;
        self.values.read(span)?;
        Some((index, after.strip_prefix(b":")?))
    }
}

fn tag() -> Result<String, Unfit> {
    let mut random = [0; TAG];
    match getrandom(&mut random, GetRandomFlags::empty()) {
        Ok(TAG) => Ok(hex::encode(random)),
        Ok(_) | Err(_) => Err(Unfit::Random),
    }
}

/// An entry with its references understood. It holds no value, so it may outlive one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Template {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Piece {
    /// As it stood in the environment.
    Text(Vec<u8>),
    /// The value of this index.
    Value(usize),
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

    /// With the right tag after every `ctref:`, which is left out of the answer too.
    fn expanded(entry: &str) -> Option<String> {
        let secrets = secrets(&[b"alpha", b"beta"]).unwrap();
        let entry = entry.replace("ctref:", &secrets.prefix);
        let template = secrets.template(entry.as_bytes())?;
        let text: Vec<u8> = secrets.bytes(&template).collect();
        assert_eq!(secrets.len(&template), text.len().saturating_add(1));
        Some(String::from_utf8(text).unwrap().replace(&secrets.prefix, "ctref:"))
    }

    #[test]
    fn the_environment_names_values_without_holding_them() {
        let secrets = secrets(&[b"alpha", b"beta"]).unwrap();
        let references: Vec<_> = secrets.references().collect();
        let expected = ["NAME0", "NAME1"].into_iter().zip([0, 1]);
        let expected = expected.map(|(name, index)| (name, format!("{}{index}:", secrets.prefix)));
        assert_eq!(references, expected.collect::<Vec<_>>());
    }

    #[test]
    fn a_reference_that_somebody_made_up_refers_to_nothing() {
        let [one, other] = [(); 2].map(|()| secrets(&[b"alpha"]).unwrap());
        let of_another_start = other.references().next().unwrap().1;
        for made_up in ["ctref:0:", "ctref::0:", "ctref:0000000000000000:0:", &of_another_start] {
            assert!(one.template(format!("NOTE={made_up}").as_bytes()).is_none(), "{made_up}");
        }
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
