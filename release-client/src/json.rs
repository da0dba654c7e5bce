//! JSON read where it lies, so that what it says of secrets is nowhere else.
//!
//! [`Document::parse`] checks the whole text; then members are found by scanning, and a value is turned into plain bytes in
//! its own place: a string loses its escapes, anything else stays as it is written. Names of members are copied, values never.
//!
//! Untrusted: the text. An error never repeats any of it.

use std::fmt;
use std::ops::Range;

use serde::de::IgnoredAny;

/// A text that is one JSON object.
pub struct Document<'t> {
    text: &'t mut [u8],
}

/// One member of an object.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// Where its value is written.
    pub value: Range<usize>,
}

/// More members than a secret has fields.
const MOST_MEMBERS: usize = 4096;

impl<'t> Document<'t> {
    /// The text must be JSON in UTF-8, whole, and an object.
    pub fn parse(text: &'t mut [u8]) -> Result<Self, BadJson> {
        if str::from_utf8(text).is_err() || serde_json::from_slice::<IgnoredAny>(text).is_err() {
            return Err(BadJson::NotJson);
        }
        let document = Self { text };
        if document.first(document.start(0)) == Some(b'{') { Ok(document) } else { Err(BadJson::NotAnObject) }
    }

    /// The members of the outermost object.
    pub fn members(&self) -> Result<Vec<Member>, BadJson> {
        self.members_of(&(0..self.text.len()))
    }

    /// The members of the object that is written there.
    pub fn members_of(&self, object: &Range<usize>) -> Result<Vec<Member>, BadJson> {
        let mut at = self.start(object.start);
        if self.first(at) != Some(b'{') {
            return Err(BadJson::NotAnObject);
        }
        at = self.start(at.saturating_add(1));
        let mut members: Vec<Member> = Vec::new();
        while self.first(at) == Some(b'"') {
            let end = self.end(at);
            let name = self.name(at..end)?;
            if members.len() >= MOST_MEMBERS || members.iter().any(|member| member.name == name) {
                return Err(BadJson::Members);
            }
            // Behind the name there is a colon.
            let start = self.start(self.start(end).saturating_add(1));
            let value = start..self.end(start);
            at = self.start(value.end);
            members.push(Member { name, value });
            if self.first(at) == Some(b',') {
                at = self.start(at.saturating_add(1));
            }
        }
        Ok(members)
    }

    /// The value of the member that these names lead to; none where there is no such member, or it is null.
    pub fn find(&self, path: &[&str]) -> Result<Option<Range<usize>>, BadJson> {
        let mut value = 0..self.text.len();
        for name in path {
            if self.is_null(&value) {
                return Ok(None);
            }
            match self.members_of(&value)?.into_iter().find(|member| member.name == **name) {
                Some(member) => value = member.value,
                None => return Ok(None),
            }
        }
        Ok(Some(value).filter(|value| !self.is_null(value)))
    }

    /// A whole number; none where there is none.
    pub fn number(&self, path: &[&str]) -> Result<Option<u64>, BadJson> {
        let Some(value) = self.find(path)? else { return Ok(None) };
        let digits = str::from_utf8(self.written(&value)).ok();
        digits.and_then(|digits| digits.parse().ok()).map(Some).ok_or(BadJson::NotANumber)
    }

    /// Whether the member is there and true.
    pub fn truth(&self, path: &[&str]) -> Result<bool, BadJson> {
        Ok(self.find(path)?.is_some_and(|value| self.written(&value) == b"true"))
    }

    /// A copy of a string that is no secret; none where there is none, and of an empty one.
    pub fn copied(&self, path: &[&str]) -> Result<Option<String>, BadJson> {
        let Some(value) = self.find(path)? else { return Ok(None) };
        self.name(value).map(|text| Some(text).filter(|text| !text.is_empty()))
    }

    /// Makes the value plain where it lies; where it lies then. To be called once for each value,
    /// and after everything else that is asked: a plain value may have quotes, and what is found then is not JSON any more.
    pub fn plain(&mut self, value: &Range<usize>) -> Result<Range<usize>, BadJson> {
        if self.first(value.start) != Some(b'"') {
            return Ok(value.clone());
        }
        let start = value.start.saturating_add(1);
        let inside = start..value.end.saturating_sub(1);
        let inside = self.text.get_mut(inside).ok_or(BadJson::NotJson)?;
        Ok(start..start.saturating_add(unescape(inside)?))
    }

    /// The bytes that are there.
    #[must_use]
    pub fn bytes(&self, range: &Range<usize>) -> &[u8] {
        self.text.get(range.clone()).unwrap_or_default()
    }

    /// Whether null is written there.
    #[must_use]
    pub fn is_null(&self, value: &Range<usize>) -> bool {
        self.written(value) == b"null"
    }

    fn written(&self, value: &Range<usize>) -> &[u8] {
        self.bytes(value)
    }

    fn first(&self, at: usize) -> Option<u8> {
        self.text.get(at).copied()
    }

    fn rest(&self, at: usize) -> &[u8] {
        self.text.get(at..).unwrap_or_default()
    }

    /// The first byte from there on that is not white space.
    fn start(&self, at: usize) -> usize {
        let space = |byte: &u8| b" \t\r\n".contains(byte);
        at.saturating_add(self.rest(at).iter().take_while(|byte| space(byte)).count())
    }

    /// Where the value ends that begins there. The text is known to be JSON.
    fn end(&self, at: usize) -> usize {
        let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
        let bare = !matches!(self.first(at), Some(b'"' | b'{' | b'['));
        for (offset, byte) in self.rest(at).iter().enumerate() {
            let here = at.saturating_add(offset);
            match (in_string, byte) {
                (true, _) if escaped => escaped = false,
                (true, b'\\') => escaped = true,
                (true, b'"') => in_string = false,
                (true, _) => continue,
                (false, b',' | b'}' | b']' | b' ' | b'\t' | b'\r' | b'\n') if bare => return here,
                (false, b'"') => in_string = true,
                (false, b'{' | b'[') => depth = depth.saturating_add(1),
                (false, b'}' | b']') => depth = depth.saturating_sub(1),
                (false, _) => {}
            }
            if !bare && depth == 0 && !in_string {
                return here.saturating_add(1);
            }
        }
        self.text.len()
    }

    /// A copy of the string that is written there, which is no secret.
    fn name(&self, written: Range<usize>) -> Result<String, BadJson> {
        let quoted = self.bytes(&written);
        let inside = quoted.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
        let mut copy = inside.ok_or(BadJson::NotAString)?.to_vec();
        let len = unescape(&mut copy)?;
        copy.truncate(len);
        String::from_utf8(copy).map_err(|_why| BadJson::NotJson)
    }
}

impl fmt::Debug for Document<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Document({} bytes)", self.text.len())
    }
}

/// Takes the escapes (RFC 8259 §7) out in place; how many bytes are left. No escape is shorter than what it stands for.
fn unescape(text: &mut [u8]) -> Result<usize, BadJson> {
    let (mut from, mut to) = (0_usize, 0_usize);
    while let Some(byte) = text.get(from).copied() {
        let mut character = [byte, 0, 0, 0];
        let (read, written) = if byte == b'\\' { escape(text, from, &mut character)? } else { (1, 1) };
        let end = to.saturating_add(written);
        if let (Some(place), Some(bytes)) = (text.get_mut(to..end), character.get(..written)) {
            place.copy_from_slice(bytes);
        }
        (from, to) = (from.saturating_add(read), end);
    }
    Ok(to)
}

/// What stands there, and how many bytes are read and written for it.
fn escape(text: &[u8], at: usize, character: &mut [u8; 4]) -> Result<(usize, usize), BadJson> {
    let plain = match text.get(at.saturating_add(1)) {
        Some(b'n') => b'\n',
        Some(b't') => b'\t',
        Some(b'r') => b'\r',
        Some(b'b') => 8,
        Some(b'f') => 12,
        Some(same @ (b'"' | b'\\' | b'/')) => *same,
        Some(b'u') => return code(text, at, character),
        _ => return Err(BadJson::Escape),
    };
    *character = [plain, 0, 0, 0];
    Ok((2, 1))
}

/// `\uXXXX`, or two of them for what lies beyond 16 bits.
fn code(text: &[u8], at: usize, character: &mut [u8; 4]) -> Result<(usize, usize), BadJson> {
    let unit = |at: usize| {
        let digits = text.get(at.saturating_add(2)..at.saturating_add(6))?;
        let digits = str::from_utf8(digits).ok()?;
        let escaped = text.get(at..at.saturating_add(2)) == Some(b"\\u");
        u16::from_str_radix(digits, 16).ok().filter(|_| escaped && !digits.starts_with('+'))
    };
    let first = unit(at).ok_or(BadJson::Escape)?;
    let second = unit(at.saturating_add(6)).filter(|_| (0xd800..0xdc00).contains(&first));
    let units = [first, second.unwrap_or_default()];
    let units = units.get(..if second.is_some() { 2 } else { 1 }).unwrap_or_default();
    let decoded = char::decode_utf16(units.iter().copied()).next();
    let decoded = decoded.and_then(Result::ok).ok_or(BadJson::Escape)?;
    Ok((units.len().saturating_mul(6), decoded.encode_utf8(character).len()))
}

/// Why a text cannot be read. Never says anything of what it says.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BadJson {
    /// Not JSON, or not in UTF-8.
    #[error("not JSON")]
    NotJson,
    /// Something else where an object should be.
    #[error("expected a JSON object")]
    NotAnObject,
    /// Something else where a string should be.
    #[error("expected a JSON string")]
    NotAString,
    /// Something else where a whole number should be.
    #[error("expected a whole number")]
    NotANumber,
    /// Half a character.
    #[error("a JSON string with an escape that stands for no character")]
    Escape,
    /// Too many members, or two of the same name.
    #[error("a JSON object with more than {MOST_MEMBERS} members, or two of the same name")]
    Members,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str, path: &[&str]) -> Result<Option<String>, BadJson> {
        let mut text = text.as_bytes().to_vec();
        let mut document = Document::parse(&mut text)?;
        let Some(value) = document.find(path)? else { return Ok(None) };
        let place = document.plain(&value)?;
        Ok(Some(String::from_utf8(document.bytes(&place).to_vec()).unwrap()))
    }

    const SECRET: &str = r#" { "lease_id" : "" , "renewable":false,"data":{"key":"-----BEGIN\nA\u003d\ud83d\ude00\"\\\/\b\f\r\t\u00e9-----\n",
        "n\u0061me":"x","port" : 5432 ,"big":1.5E+300,"on":true,"off":null,"deep":{"a":[1,"}"]},"list":["]\"",{}]},"metadata":{"version":7}}"#;

    #[test]
    fn a_value_becomes_plain_where_it_lies() {
        for (name, expected) in [
            ("key", "-----BEGIN\nA=\u{1f600}\"\\/\u{8}\u{c}\r\t\u{e9}-----\n"),
            ("name", "x"),
            ("port", "5432"),
            ("big", "1.5E+300"),
            ("on", "true"),
            ("deep", r#"{"a":[1,"}"]}"#),
            ("list", r#"["]\"",{}]"#),
        ] {
            assert_eq!(plain(SECRET, &["data", name]).unwrap().as_deref(), Some(expected), "{name}");
        }
        for path in [["data", "off"], ["data", "none"], ["auth", "x"]] {
            assert_eq!(plain(SECRET, &path).unwrap(), None, "{path:?}");
        }
    }

    #[test]
    fn words_beside_the_secret_are_read() {
        let mut text = SECRET.as_bytes().to_vec();
        let document = Document::parse(&mut text).unwrap();
        assert_eq!(document.number(&["metadata", "version"]).unwrap(), Some(7));
        assert_eq!(document.number(&["data", "on"]), Err(BadJson::NotANumber));
        assert_eq!(
            (document.truth(&["data", "on"]).unwrap(), document.truth(&["renewable"]).unwrap()),
            (true, false)
        );
        assert_eq!(document.copied(&["lease_id"]).unwrap(), None);
        let names: Vec<String> = document.members().unwrap().into_iter().map(|member| member.name).collect();
        assert_eq!(names, ["lease_id", "renewable", "data", "metadata"]);
    }

    #[test]
    fn what_is_no_object_of_different_names_is_refused() {
        for (text, expected) in [
            ("", BadJson::NotJson),
            ("{\"a\":1}}", BadJson::NotJson),
            ("{\"a\":1,}", BadJson::NotJson),
            ("[1]", BadJson::NotAnObject),
            ("{\"a\":1,\"\\u0061\":2}", BadJson::Members),
            ("{\"a\":\"\\ud800\"}", BadJson::Escape),
            ("{\"a\":\"\\ud800\\u0061\"}", BadJson::Escape),
            ("{\"a\":\"\\udc00\"}", BadJson::Escape),
        ] {
            assert_eq!(plain(text, &["a"]), Err(expected), "{text}");
        }
        assert_eq!(plain("{\"a\":\"x\"}", &["a", "b"]), Err(BadJson::NotAnObject));
        assert!(matches!(Document::parse(&mut b"{\"a\":\"\xff\"}".to_vec()), Err(BadJson::NotJson)));
    }

    #[test]
    fn every_truncation_is_refused() {
        for cut in 0..SECRET.len() {
            let mut text = SECRET.as_bytes()[..cut].to_vec();
            assert!(matches!(Document::parse(&mut text), Err(BadJson::NotJson)), "{cut}");
        }
    }
}
