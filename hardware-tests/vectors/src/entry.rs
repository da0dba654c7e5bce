//! The manifest: a set of entries, each read leniently, because its keys vary with its kind.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use attest::UnixTime;
use toml::Value;

use crate::files;
use crate::verdict::Expected;

/// A directory of vectors.
#[derive(Debug)]
pub(crate) struct Set {
    dir: PathBuf,
    entries: Vec<Entry>,
}

/// One `[[vector]]`.
#[derive(Clone, Debug)]
pub(crate) struct Entry(toml::Table);

impl Set {
    pub(crate) fn open(dir: &Path) -> Result<Self> {
        let manifest: toml::Table = std::fs::read_to_string(dir.join("MANIFEST.toml"))?.parse()?;
        let Some(Value::Array(list)) = manifest.get("vector") else { bail!("expected [[vector]] tables") };
        let tables = list.iter().map(|value| value.as_table().cloned().map(Entry));
        let entries = tables.collect::<Option<_>>().context("expected [[vector]] tables")?;
        Ok(Self { dir: dir.to_owned(), entries })
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// The bytes of a file of the set.
    pub(crate) fn read(&self, path: &str) -> Result<Vec<u8>> {
        files::read(&self.dir, path)
    }

    /// The names of the files in a folder of the set, as paths in the set.
    pub(crate) fn folder(&self, path: &str) -> Vec<String> {
        files::folder(&self.dir, path)
    }

    /// The SNP revocation lists that stand in the set as entries of their own.
    pub(crate) fn revocation_lists(&self) -> Vec<Vec<u8>> {
        let lists = self.entries.iter().filter(|entry| entry.tee() == "sev-snp" && entry.kind() == "crl");
        let genuine = lists.filter(|entry| entry.expected() == Some(Expected::Ok));
        genuine.filter_map(Entry::main_file).filter_map(|path| self.read(&path).ok()).collect()
    }
}

impl Entry {
    pub(crate) fn id(&self) -> &str {
        self.text("id").unwrap_or("(no id)")
    }

    pub(crate) fn tee(&self) -> &str {
        self.text("tee").unwrap_or("(no tee)")
    }

    pub(crate) fn kind(&self) -> &str {
        self.text("kind").unwrap_or("(no kind)")
    }

    pub(crate) fn expected_word(&self) -> &str {
        self.text("expected").unwrap_or("(nothing)")
    }

    pub(crate) fn expected(&self) -> Option<Expected> {
        Expected::named(self.expected_word())
    }

    /// A text value.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.as_str()
    }

    /// A table of values.
    pub(crate) fn table(&self, key: &str) -> Option<&toml::Table> {
        self.0.get(key)?.as_table()
    }

    /// The file with this role.
    pub(crate) fn role(&self, role: &str) -> Option<String> {
        self.roles().find(|(name, _)| *name == role).map(|(_, path)| path.to_owned())
    }

    /// All roles with their files; a role may have several.
    pub(crate) fn roles(&self) -> impl Iterator<Item = (&str, &str)> {
        let table = self.0.get("role").and_then(Value::as_table);
        table.into_iter().flatten().flat_map(|(name, value)| {
            let several = value.as_array().into_iter().flatten().filter_map(Value::as_str);
            value.as_str().into_iter().chain(several).map(move |path| (name.as_str(), path))
        })
    }

    /// The file of an entry that has only one.
    pub(crate) fn main_file(&self) -> Option<String> {
        let only = self.files();
        self.text("file").map(str::to_owned).or_else(|| match only.as_slice() {
            [one] => Some((*one).to_owned()),
            _ => None,
        })
    }

    /// The files that the entry lists.
    pub(crate) fn files(&self) -> Vec<&str> {
        let list = self.0.get("files").and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_str).chain(self.text("file")).collect()
    }

    /// When to verify. An entry without a time does not depend on it.
    pub(crate) fn verify_at(&self) -> Result<UnixTime> {
        let value = self.0.get("verify_at");
        let instant = |value: &Value| value.as_datetime().map(ToString::to_string);
        let text = value.map(|value| value.as_str().map(str::to_owned).or_else(|| instant(value)));
        let text = text.map(|text| text.unwrap_or("no time".to_owned()));
        match text {
            Some(text) => {
                UnixTime::parse(&whole_seconds(&text)).with_context(|| format!("verify_at of {}", self.id()))
            }
            None => Ok(UNDATED),
        }
    }
}

/// Without the fraction of a second, if there is one.
fn whole_seconds(text: &str) -> String {
    match text.split_once('.') {
        Some((seconds, fraction)) if fraction.ends_with('Z') => format!("{seconds}Z"),
        _ => text.to_owned(),
    }
}

/// 2026-11-21T00:00:00Z.
const UNDATED: UnixTime = UnixTime(1_795_219_200);

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(text: &str) -> Entry {
        Entry(text.parse().unwrap())
    }

    #[test]
    fn an_entry_without_keys_is_still_an_entry() {
        let empty = entry("");
        assert_eq!((empty.id(), empty.tee(), empty.kind()), ("(no id)", "(no tee)", "(no kind)"));
        assert_eq!((empty.main_file(), empty.expected()), (None, None));
        assert_eq!(empty.verify_at().unwrap(), UNDATED);
    }

    #[test]
    fn a_role_may_have_several_files() {
        let entry = entry("files = ['a']\nrole = { crl = ['x', 'y'], vek = 'z' }");
        assert_eq!(entry.roles().collect::<Vec<_>>(), [("crl", "x"), ("crl", "y"), ("vek", "z")]);
        assert_eq!(entry.role("vek").as_deref(), Some("z"));
        assert_eq!(entry.main_file().as_deref(), Some("a"));
    }

    #[test]
    fn a_fraction_of_a_second_is_cut() {
        let at = entry("verify_at = '2022-10-13T08:58:02.136Z'").verify_at().unwrap();
        assert_eq!(at.to_string(), "2022-10-13T08:58:02Z");
    }

    #[test]
    fn a_time_that_is_none_is_an_error() {
        assert!(entry("verify_at = 'soon'").verify_at().is_err());
    }
}
