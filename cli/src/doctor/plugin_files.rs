//! The SHA-256 of each file of a plugin directory, as OpenBao takes it before each start.
//!
//! Trusted: that the caller named the directory that the server uses. Untrusted: what is in it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use aws_lc_rs::digest::{Context, SHA256};

use crate::answer::NotJudged;

/// Digests of the plain files of `directory`, in hex, by name.
pub(super) fn digests(directory: &Path) -> Result<BTreeMap<String, String>, NotJudged> {
    let bad = |error: std::io::Error| {
        NotJudged::new(
            "input.unreadable",
            format!("expected to read {}, found: {error}", directory.display()),
        )
    };
    let mut digests = BTreeMap::new();
    for entry in fs::read_dir(directory).map_err(bad)? {
        let path = entry.map_err(bad)?.path();
        // Follows links, as the server does; what is no file is no plugin.
        if let (true, Some(name)) = (path.is_file(), path.file_name().and_then(|name| name.to_str())) {
            digests.insert(name.to_owned(), digest(&path).map_err(bad)?);
        }
    }
    Ok(digests)
}

fn digest(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let mut context = Context::new(&SHA256);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(hex::encode(context.finish().as_ref()));
        }
        context.update(buffer.get(..read).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_has_its_digest_and_a_folder_has_none() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a"), b"abc").unwrap();
        fs::create_dir(dir.path().join("b")).unwrap();
        let digests = digests(dir.path()).unwrap();
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(digests, BTreeMap::from([("a".to_owned(), abc.to_owned())]));
        assert_eq!(super::digests(&dir.path().join("c")).unwrap_err().code, "input.unreadable");
    }
}
