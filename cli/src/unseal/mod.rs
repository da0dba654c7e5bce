//! `cloudtaser unseal`: a custodian's part in opening an OpenBao that is sealed by several.
//!
//! `keygen` makes a custodian's key, `split` deals the shares of a new set, `approve` looks at a machine that
//! waits and sends it one share. Files with secrets are for their owner alone and never overwritten.
//!
//! Trusted: the custodian's own files. Untrusted: everything that a machine says.

pub(crate) mod approve;
pub(crate) mod keygen;
mod line;
pub(crate) mod split;

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use custody::KEY;
use zeroize::Zeroizing;

use crate::answer::NotJudged;
use crate::input;

/// Who may read a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum For {
    Owner,
    Everybody,
}

/// Writes a new file.
fn write(path: &Path, text: &str, readers: For) -> Result<(), NotJudged> {
    let mode = match readers {
        For::Owner => 0o600,
        For::Everybody => 0o644,
    };
    let opened = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    opened.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|error| {
        NotJudged::new("output.unwritable", format!("expected to write {}, found: {error}", path.display()))
    })
}

/// A custodian's private key: 64 hex digits in a file, or on standard input.
fn private_key(path: &Path) -> Result<Zeroizing<[u8; KEY]>, NotJudged> {
    let text = Zeroizing::new(input::read(path, input::LIMIT)?);
    let mut key = Zeroizing::new([0; KEY]);
    hex::decode_to_slice(text.trim_ascii(), key.as_mut_slice()).map_err(|_why| {
        let message = format!("expected a custodian's private key (64 hex digits) in {}", path.display());
        NotJudged::new("custodian.key", message)
    })?;
    Ok(key)
}

fn random(place: &mut [u8]) -> Result<(), NotJudged> {
    aws_lc_rs::rand::fill(place)
        .map_err(|_why| NotJudged::new("random.unavailable", "the system's random source is unavailable"))
}
