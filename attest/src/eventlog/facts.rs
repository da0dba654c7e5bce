//! What a system said of itself when its node agent started: names and values, measured as one text.
//!
//! The agent measures it into PCR 14 (RTMR 2 of a TD) before anything is quoted. Whoever has the machine later can have
//! another text measured, but cannot take back the first: so a rule asks it of every one.
//!
//! Untrusted: the text, until its digest is recomputed.

use std::collections::BTreeMap;

/// Names and values, as they were measured together.
#[derive(Clone, Debug, Default, Eq, PartialEq, serde::Serialize)]
#[serde(transparent)]
pub struct Facts(BTreeMap<String, String>);

impl Facts {
    /// The longest text, in bytes.
    pub const MAX_BYTES: usize = 64 * 1024;
    /// The first line of the text.
    const TITLE: &'static str = "cloudtaser/facts/v1";

    /// Facts by name. `None` where the text would not say exactly these: a name or a value has a line's end, a name has
    /// `=` or is empty, or all are too long.
    #[must_use]
    pub fn of(facts: impl IntoIterator<Item = (String, String)>) -> Option<Self> {
        let facts = Self(facts.into_iter().collect());
        (Self::parse(facts.text().as_bytes()).as_ref() == Some(&facts)).then_some(facts)
    }

    /// The text that is measured: the title, then `name=value` for each, sorted by name, each line ended.
    #[must_use]
    pub fn text(&self) -> String {
        let lines = self.0.iter().map(|(name, value)| format!("{name}={value}\n"));
        std::iter::once(format!("{}\n", Self::TITLE)).chain(lines).collect()
    }

    /// Reads a text. `None` if it is anything but one in this form.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok().filter(|text| text.len() <= Self::MAX_BYTES)?;
        let body = text.strip_prefix(Self::TITLE)?.strip_prefix('\n')?;
        let mut facts = BTreeMap::new();
        for line in body.split_inclusive('\n') {
            let (name, value) = line.strip_suffix('\n')?.split_once('=')?;
            let odd = name.is_empty() || line.trim_end_matches('\n').contains(char::is_control);
            let later = facts.last_key_value().is_none_or(|(last, _): (&String, _)| last.as_str() < name);
            if odd || !later {
                return None;
            }
            facts.insert(name.to_owned(), value.to_owned());
        }
        Some(Self(facts))
    }

    /// The value of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_text_says_exactly_what_was_put_in() {
        let facts = Facts::of(pairs(&[("lsm", "lockdown,bpf"), ("lockdown", "integrity")])).unwrap();
        let text = "cloudtaser/facts/v1\nlockdown=integrity\nlsm=lockdown,bpf\n";
        assert_eq!(facts.text(), text);
        assert_eq!(Facts::parse(text.as_bytes()), Some(facts));
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_no_text() {
        for list in [&[("a=b", "c")][..], &[("", "c")], &[("a", "b\nc=d")], &[("a\r", "b")]] {
            assert_eq!(Facts::of(pairs(list)), None, "{list:?}");
        }
        for text in
            ["cloudtaser/facts/v1\nb=1\na=2\n", "cloudtaser/facts/v1\na=1\na=2\n", "cloudtaser/facts/v1\na=1"]
        {
            assert_eq!(Facts::parse(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(Facts::parse(b"cloudtaser/facts/v2\na=1\n"), None);
        assert_eq!(Facts::of([("a".to_owned(), "x".repeat(Facts::MAX_BYTES))]), None);
    }
}
