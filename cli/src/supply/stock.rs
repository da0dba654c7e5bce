//! Objects with what verification says of each.
//!
//! Untrusted: the objects and where they say they come from. Trusted: the anchors.

use std::path::{Path, PathBuf};

use attest::collateral::{Issuers, Kind, NotCollateral, Unfit, file, verify};
use attest::crypto::AwsLcRs;
use attest::{Crypto, Digest, Endorsements, TrustAnchors, UnixTime};
use serde::Serialize;

use crate::answer::NotJudged;
use crate::{collateral, input, layout};

/// Objects, each with where it came from.
#[derive(Debug, Default)]
pub(crate) struct Stock {
    pub(crate) objects: Vec<(Vec<u8>, String)>,
    /// What was left aside, and why.
    pub(crate) notes: Vec<String>,
}

/// One object, looked at.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) sha256: Digest<32>,
    pub(crate) origin: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kind: Option<Kind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) from: Option<UnixTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) until: Option<UnixTime>,
    /// Why it would not be taken; nothing if a vendor signed it and it holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) problem: Option<String>,
}

impl Stock {
    /// Reads files and the files of directories, with those below. Roots are left aside: they are pinned.
    pub(crate) fn read(paths: &[PathBuf], limit: usize) -> Result<Self, NotJudged> {
        let mut stock = Self::default();
        for path in files(paths, limit)? {
            let bytes = input::read(&path, input::LIMIT)?;
            let mut found = Endorsements::default();
            collateral::sort(&bytes, &mut found).map_err(|problem| {
                let message = format!("{}: expected collateral, found {problem}", path.display());
                NotJudged::new("endorsement.unrecognised", message)
            })?;
            for object in found.kinds().into_iter().flatten() {
                stock.add(object, &path.display().to_string());
            }
        }
        Ok(stock)
    }

    /// Adds an object, unless it is there or has no place in a store.
    pub(crate) fn add(&mut self, object: &[u8], origin: &str) {
        if self.objects.iter().any(|(found, _)| found == object) {
            return;
        }
        match file(object) {
            Err(NotCollateral::Root(name)) => self.notes.push(format!("{origin}: left out the root {name}")),
            Ok(_) | Err(_) => self.objects.push((object.to_vec(), origin.to_owned())),
        }
    }

    /// What verification says of each, with these issuers beside their own.
    pub(crate) fn rows(&self, issuers: &Issuers, anchors: &TrustAnchors, now: UnixTime) -> Vec<Row> {
        let mut issuers = issuers.clone();
        for (object, _) in &self.objects {
            issuers.add(object);
        }
        let row = |(object, origin): &(Vec<u8>, String)| {
            let verdict = verify(object, &issuers, &AwsLcRs, anchors, now);
            Row::of(object, origin, verdict.err())
        };
        self.objects.iter().map(row).collect()
    }

    /// What each says of itself.
    pub(crate) fn labels(&self) -> Vec<Row> {
        self.objects.iter().map(|(object, origin)| Row::of(object, origin, None)).collect()
    }
}

impl Row {
    fn of(object: &[u8], origin: &str, problem: Option<Unfit>) -> Self {
        let filed = file(object).ok();
        let window = filed.as_ref().map(|filed| filed.window);
        Self {
            sha256: digest(object),
            origin: origin.to_owned(),
            kind: filed.as_ref().map(|filed| filed.kind),
            key: filed.map(|filed| filed.key),
            from: window.map(|window| window.from),
            until: window.map(|window| window.until),
            problem: problem.map(|problem| problem.to_string()),
        }
    }

    /// One line, and another for the problem.
    pub(crate) fn write(&self, text: &mut String) {
        let kind = self.kind.map_or("unknown", Kind::name);
        let key = self.key.as_deref().unwrap_or("-");
        let until = self.until.map_or_else(|| "-".to_owned(), |until| until.to_string());
        let line = format!("  {kind:<12} until {until}  {key}  ({})", self.origin);
        layout::line(text, &layout::printable(&line));
        if let Some(problem) = &self.problem {
            layout::line(text, &layout::printable(&format!("      {problem}")));
        }
    }
}

/// The name of an object.
pub(crate) fn digest(object: &[u8]) -> Digest<32> {
    AwsLcRs.sha256(&[object])
}

/// When the first of them ends.
pub(crate) fn soonest(rows: &[Row]) -> Option<&Row> {
    rows.iter().filter(|row| row.until.is_some()).min_by_key(|row| row.until)
}

fn files(paths: &[PathBuf], limit: usize) -> Result<Vec<PathBuf>, NotJudged> {
    let mut files = Vec::new();
    let mut open: Vec<PathBuf> = paths.iter().rev().cloned().collect();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(entries(&path)?.into_iter().rev());
        } else {
            files.push(path);
        }
        if files.len() > limit {
            return Err(NotJudged::new(
                "input.too_much",
                format!("expected at most {limit} files, found more"),
            ));
        }
    }
    Ok(files)
}

/// What is in a directory, in the order of names; hidden ones, and links to directories, are passed over.
fn entries(directory: &Path) -> Result<Vec<PathBuf>, NotJudged> {
    let unreadable = |error: std::io::Error| {
        let message = format!("expected to read {}, found: {error}", directory.display());
        NotJudged::new("input.unreadable", message)
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        let linked = entry.file_type().map_err(unreadable)?.is_symlink() && entry.path().is_dir();
        if !hidden && !linked {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}
