//! The workload's token: who asks, in the words of its own platform.
//!
//! A projected service-account token or a JWT-SVID lies in a file that somebody renews, so it is read for each question.
//! The hardware signs its SHA-256 together with the purpose; whoever takes it from us cannot have another machine's
//! hardware sign for us, but it is a credential all the same, and is never shown.
//!
//! Untrusted: the file's content. OpenBao decides what it is worth.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};
use protocol::Digest;
use protocol::release::Bearer;

/// A token, and the SHA-256 that the hardware is to sign.
#[derive(Debug)]
pub(crate) struct Token {
    pub(crate) token: Bearer,
    pub(crate) digest: Digest<32>,
}

impl Token {
    /// Reads the token that lies in a file now.
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let unreadable = |source| Error::Unreadable { path: path.to_owned(), source };
        let limit = u64::try_from(Bearer::MAX).unwrap_or(u64::MAX).saturating_add(1);
        let mut text = String::new();
        File::open(path).map_err(unreadable)?.take(limit).read_to_string(&mut text).map_err(unreadable)?;
        let token = text.trim_ascii();
        if token.is_empty() || text.len() > Bearer::MAX {
            return Err(Error::Length { path: path.to_owned(), found: text.len() });
        }
        let hash = digest(&SHA256, token.as_bytes());
        let digest = Digest(hash.as_ref().try_into().unwrap_or_default());
        Ok(Self { token: Bearer(token.to_owned()), digest })
    }
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file cannot be read.
    #[error("workload token {}: {source}", path.display())]
    Unreadable {
        /// Where it should be.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// Nothing in it, or more than a token.
    #[error("workload token {}: expected 1 to 16384 bytes, found {found} or more", path.display())]
    Length {
        /// Where it is.
        path: PathBuf,
        /// How much was read.
        found: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: &str) -> Result<Token, Error> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        std::fs::write(&path, content).unwrap();
        Token::read(&path)
    }

    #[test]
    fn a_token_is_read_without_the_lines_end_and_never_shown() {
        let token = read("abc\n").unwrap();
        assert_eq!(token.token.0, "abc");
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(token.digest.to_string(), expected, "FIPS 180-4's example");
        assert!(!format!("{token:?}").contains("abc"));
    }

    #[test]
    fn an_empty_file_and_one_that_is_too_long_hold_no_token() {
        assert!(matches!(read(" \n"), Err(Error::Length { found: 2, .. })));
        let long = Bearer::MAX + 1;
        assert!(matches!(read(&"a".repeat(long + 9)), Err(Error::Length { found, .. }) if found == long));
        let missing = Token::read(Path::new("/nonexistent/token")).unwrap_err();
        assert!(matches!(missing, Error::Unreadable { .. }));
    }
}
