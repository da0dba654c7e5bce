//! Programs that last: each in a folder of the machine's own, by its digest.
//!
//! A container's files are new with each container, and the kernel knows a program by its file. So an enforcer runs from a copy
//! that is made once, and not touched again.
//!
//! Trusted: root, who alone may write there. Untrusted: what is there; a copy is what its digest says, or is made anew.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

/// What a copy is called, in the folder that is called by its digest.
const NAME: &str = "cloudtaser-enforcer";

/// The copy of this program, which is made unless it is there.
pub(crate) fn put(folder: &Path, mut program: File) -> io::Result<PathBuf> {
    let mut bytes = Vec::new();
    program.read_to_end(&mut bytes)?;
    let digest = Sha256::digest(&bytes);
    let home = folder.join(hex::encode(digest));
    fs::DirBuilder::new().recursive(true).mode(0o755).create(&home)?;
    let copy = home.join(NAME);
    if fs::read(&copy).is_ok_and(|found| Sha256::digest(found) == digest) {
        return Ok(copy);
    }
    let draft = home.join(format!(".{}", std::process::id()));
    absent_is_fine(fs::remove_file(&draft))?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o555).open(&draft)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&draft, &copy)?;
    File::open(&home)?.sync_all()?;
    Ok(copy)
}

/// All copies, this one first: one of them may be the one that the kernel knows.
pub(crate) fn all(folder: &Path, first: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = vec![first.to_owned()];
    for home in fs::read_dir(folder)? {
        let copy = home?.path().join(NAME);
        if copy != first && copy.is_file() {
            found.push(copy);
        }
    }
    Ok(found)
}

fn absent_is_fine(removed: io::Result<()>) -> io::Result<()> {
    removed.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    fn program(folder: &Path, bytes: &str) -> File {
        let path = folder.join("program");
        fs::write(&path, bytes).unwrap();
        File::open(path).unwrap()
    }

    #[test]
    fn a_copy_that_is_there_is_not_touched() {
        let folder = tempfile::tempdir().unwrap();
        let copies = folder.path().join("copies");
        let copy = put(&copies, program(folder.path(), "one")).unwrap();
        assert_eq!(copy, copies.join(hex::encode(Sha256::digest("one"))).join(NAME));
        let before = fs::metadata(&copy).unwrap();
        assert_eq!(before.mode() & 0o7777, 0o555);
        assert_eq!(put(&copies, program(folder.path(), "one")).unwrap(), copy);
        let after = fs::metadata(&copy).unwrap();
        let of = |found: &fs::Metadata| (found.ino(), found.ctime(), found.ctime_nsec());
        assert_eq!(of(&before), of(&after));
    }

    #[test]
    fn a_copy_that_is_something_else_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let copy = put(folder.path(), program(folder.path(), "one")).unwrap();
        fs::remove_file(&copy).unwrap();
        fs::write(&copy, "another").unwrap();
        put(folder.path(), program(folder.path(), "one")).unwrap();
        assert_eq!(fs::read(&copy).unwrap(), b"one");
    }

    #[test]
    fn our_own_copy_is_asked_first() {
        let folder = tempfile::tempdir().unwrap();
        let copies = folder.path().join("copies");
        let [one, two, three] =
            ["one", "two", "three"].map(|bytes| put(&copies, program(folder.path(), bytes)).unwrap());
        fs::create_dir(copies.join("empty")).unwrap();
        let mut all = all(&copies, &two).unwrap();
        assert_eq!(all[0], two);
        all.sort();
        let mut expected = [one, two, three];
        expected.sort();
        assert_eq!(all, expected);
    }
}
