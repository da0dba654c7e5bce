//! The workload's token: who asks, in the words of its own platform.
//!
//! A projected service-account token or a JWT-SVID lies in a file that somebody renews, so it is read for each question.
//! The hardware signs its SHA-256 together with the purpose; whoever takes it from us cannot have another machine's
//! hardware sign for us, but it is a credential all the same, and is never shown.
//!
//! Untrusted: the file's content. OpenBao decides what it is worth.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::ops::Range;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};
use protocol::Digest;
use protocol::release::Bearer;
use secretmem::Growing;

/// A token in secret memory, and the SHA-256 that the hardware is to sign.
pub struct Token {
    text: Growing,
    place: Range<usize>,
    pub(crate) digest: Digest<32>,
}

impl Token {
    /// Reads the token that lies in a file now.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let unreadable = |source| Error::Unreadable { path: path.to_owned(), source };
        let mut text = Growing::create(Bearer::MAX.saturating_add(1))?;
        let mut file = File::open(path).map_err(unreadable)?;
        let mut len = 0_usize;
        while len <= Bearer::MAX {
            text.grow(len.saturating_add(PIECE).min(Bearer::MAX.saturating_add(1)))?;
            let read = file.read(text.bytes_mut().get_mut(len..).unwrap_or_default()).map_err(unreadable)?;
            if read == 0 {
                break;
            }
            len = len.saturating_add(read);
        }
        let all = text.bytes().get(..len).unwrap_or_default();
        let token = all.trim_ascii();
        if token.is_empty() || len > Bearer::MAX {
            return Err(Error::Length {
                path: path.to_owned(),
                found: len.min(Bearer::MAX.saturating_add(1)),
            });
        }
        // It is put between the quotes of a JSON text as it is.
        if !token.iter().all(|byte| byte.is_ascii_graphic() && !b"\"\\".contains(byte)) {
            return Err(Error::Characters { path: path.to_owned() });
        }
        let start = token.as_ptr().addr().saturating_sub(all.as_ptr().addr());
        let place = start..start.saturating_add(token.len());
        let digest = Digest(digest(&SHA256, token).as_ref().try_into().unwrap_or_default());
        Ok(Self { text, place, digest })
    }

    /// The token, where it lies.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.text.bytes().get(self.place.clone()).unwrap_or_default()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a token of {} bytes", self.place.len())
    }
}

/// More than most tokens have.
const PIECE: usize = 4096;

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
    /// There is no secret memory for it.
    #[error("workload token: {0}")]
    Memory(#[from] secretmem::Error),
    /// No token has such characters.
    #[error("workload token {}: expected printable characters without quotes and backslashes", path.display())]
    Characters {
        /// Where it is.
        path: PathBuf,
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
        assert_eq!(token.bytes(), b"abc");
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(token.digest.to_string(), expected, "FIPS 180-4's example");
        assert_eq!(format!("{token:?}"), "a token of 3 bytes");
    }

    #[test]
    fn what_would_end_the_text_that_it_is_put_into_is_no_token() {
        for text in ["a\"b", "a\\b", "a\nb", "\u{e9}"] {
            let error = read(text).unwrap_err();
            assert!(matches!(error, Error::Characters { .. }), "{error}");
        }
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
