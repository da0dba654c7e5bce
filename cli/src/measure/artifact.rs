//! A file that is measured, and by which digest it is named afterwards.
//!
//! Untrusted: its content.

use std::path::{Path, PathBuf};

use attest::Digest;
use attest::crypto::{AwsLcRs, Crypto as _};
use serde::Serialize;

use crate::answer::NotJudged;
use crate::input;

/// A file, whole.
#[derive(Debug, Serialize)]
pub(crate) struct Artifact {
    /// What it is to the machine that boots it.
    pub(crate) role: &'static str,
    /// Where it was.
    pub(crate) path: PathBuf,
    /// How long it is.
    pub(crate) length: usize,
    /// What it is.
    pub(crate) sha256: Digest<32>,
    #[serde(skip)]
    pub(crate) bytes: Vec<u8>,
}

impl Artifact {
    /// The longest file that is measured, in bytes: an initial RAM disk with everything in it.
    const LIMIT: usize = 1024 * 1024 * 1024;

    pub(crate) fn read(role: &'static str, path: &Path) -> Result<Self, NotJudged> {
        if path == Path::new("-") {
            // Several files are named at once, and the provenance must name each.
            let message = format!("expected a file for the {role}, found standard input");
            return Err(NotJudged::new("input.unreadable", message));
        }
        let bytes = input::read(path, Self::LIMIT)?;
        Ok(Self {
            role,
            path: path.to_owned(),
            length: bytes.len(),
            sha256: AwsLcRs.sha256(&[&bytes]),
            bytes,
        })
    }

    pub(crate) fn read_if(role: &'static str, path: Option<&PathBuf>) -> Result<Option<Self>, NotJudged> {
        path.map(|path| Self::read(role, path)).transpose()
    }

    /// How provenance names it: by what does not change when it is moved.
    pub(crate) fn provenance(&self) -> String {
        let name = self.path.file_name().unwrap_or(self.path.as_os_str());
        format!("{} {} (sha256 {})", self.role, name.display(), self.sha256)
    }
}
