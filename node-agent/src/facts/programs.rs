//! The programs that protect secrets: digests of their files.
//!
//! Trusted: the kernel, and whoever may write the files.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use aws_lc_rs::digest;

use super::{Settings, Told};

pub(super) fn tell(told: &mut Told<'_>, settings: &Settings) {
    for (name, path) in &settings.files {
        let name = format!("file.{name}");
        match sha256(path) {
            Ok(digest) => told.say(&name, &format!("sha256:{digest}")),
            Err(error) => told.unknown(&name, &format!("{}: {error}", path.display())),
        }
    }
}

/// Piece by piece: a program may be larger than all the memory that the agent has.
fn sha256(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let (mut context, mut piece) = (digest::Context::new(&digest::SHA256), vec![0; PIECE]);
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok(hex::encode(context.finish())),
            Ok(count) => context.update(piece.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

const PIECE: usize = 64 * 1024;
