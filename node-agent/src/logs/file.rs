//! One file that the kernel shows, up to a limit: its length is known only once it is read.
//!
//! Untrusted: the content.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// Reads a whole file of at most `limit` bytes.
pub(crate) fn read(path: &Path, limit: usize) -> Result<Vec<u8>, Unread> {
    let called = |source| Unread::Call { path: path.to_owned(), source };
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    let mut content = Vec::new();
    File::open(path).and_then(|file| file.take(most).read_to_end(&mut content)).map_err(called)?;
    if content.len() > limit {
        return Err(Unread::TooLong { path: path.to_owned(), limit });
    }
    if content.is_empty() {
        return Err(Unread::Empty { path: path.to_owned() });
    }
    Ok(content)
}

/// Why a file was not read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unread {
    /// A failed call.
    #[error("{path}: {source}")]
    Call {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// More than evidence has room for.
    #[error("{path}: expected at most {limit} bytes, found more")]
    TooLong {
        /// The file.
        path: PathBuf,
        /// The limit.
        limit: usize,
    },
    /// Nothing.
    #[error("{path}: empty")]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(content: &[u8]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        std::fs::write(&path, content).unwrap();
        let told = read(&path, 4).map_or_else(|unread| unread.to_string(), |content| format!("{content:?}"));
        told.replace(&path.display().to_string(), "log")
    }

    #[test]
    fn a_file_is_read_whole_or_not_at_all() {
        assert_eq!(told(b"abcd"), "[97, 98, 99, 100]");
        assert_eq!(told(b"abcde"), "log: expected at most 4 bytes, found more");
        assert_eq!(told(b""), "log: empty");
    }

    #[test]
    fn a_file_of_four_gibibytes_costs_no_more_than_the_limit() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(1 << 32).unwrap();
        assert!(matches!(read(file.path(), 4096), Err(Unread::TooLong { limit: 4096, .. })));
    }
}
