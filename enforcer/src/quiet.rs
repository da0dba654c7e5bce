//! A file that the kernel is about to know by its place, size and time of change, and that nobody writes to meanwhile.
//!
//! Who wrote before it was known could go on afterwards without changing that time, by a mapping that is there already; so nobody
//! may have it open for writing when it is held, nor once it is known. From then on the programs in the kernel let nobody begin.
//!
//! Trusted: the kernel. Untrusted: the file, and everybody who has it open.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};

use enforcer_abi::{Known, Place, Program, Trust, trust};
use rustix::fs::{FsWord, fstatfs};

use crate::guards::trusted::program;
use crate::kernel;

/// Why a file cannot be known.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Loud {
    /// Its time of change says nothing.
    #[error(
        "expected a file on a file system whose files change with their time of change (ext4, xfs, f2fs, tmpfs, squashfs, \
         erofs), found one of kind {0:x}"
    )]
    FileSystem(FsWord),
    /// Somebody has it open.
    #[error("expected that nobody has it open for writing: {0}")]
    Written(io::Error),
    /// What was read of it is not what is in it.
    #[error("it is being changed")]
    Changing,
    /// It cannot be looked at.
    #[error(transparent)]
    Unseen(#[from] io::Error),
}

/// Such a file.
#[derive(Debug)]
pub(crate) struct Quiet {
    file: File,
    program: Program,
}

impl Quiet {
    /// Holds it, if nobody has it open for writing. Who begins to, waits; and is seen at the end.
    pub(crate) fn hold(file: File) -> Result<Self, Loud> {
        let kind = fstatfs(&file).map_err(io::Error::from)?.f_type;
        if !FILE_SYSTEMS.contains(&kind) {
            return Err(Loud::FileSystem(kind));
        }
        kernel::lease(file.as_fd()).map_err(Loud::Written)?;
        let program = program(&file)?;
        Ok(Self { file, program })
    }

    /// To read it.
    pub(crate) const fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// How the kernel knows it.
    pub(crate) const fn program(&self) -> Program {
        self.program
    }

    /// Tells the kernel what follows from it: first that nobody may begin to write, and then, if all that was read is still so, the
    /// rest. Who begins in between voids it.
    pub(crate) fn tell(&self, programs: BorrowedFd<'_>, trust: Trust) -> Result<(), Loud> {
        let Program { place, state } = self.program;
        let known = Known { state, trust };
        if kernel::lookup(programs, &place)? == Some(known) {
            return self.is_as_it_was().map_err(|loud| forget(programs, &place, loud));
        }
        let pending = Trust { flags: trust.flags | trust::PENDING, ..trust };
        kernel::update(programs, &place, &Known { state, trust: pending })?;
        self.is_as_it_was().map_err(|loud| forget(programs, &place, loud))?;
        kernel::change(programs, &place, &known).map_err(|error| {
            if error.kind() == io::ErrorKind::NotFound { Loud::Changing } else { error.into() }
        })
    }

    /// Whether all that was read is still so. Asked when the kernel sees who begins to write.
    fn is_as_it_was(&self) -> Result<(), Loud> {
        // A lease that somebody had to wait for is none any more, and who came before the kernel knew it has it open.
        let held = kernel::is_leased(self.file.as_fd())?;
        kernel::lease(self.file.as_fd()).map_err(Loud::Written)?;
        if held && program(&self.file)? == self.program { Ok(()) } else { Err(Loud::Changing) }
    }
}

/// What is not there any more was taken away when somebody wrote.
fn forget(programs: BorrowedFd<'_>, place: &Place, loud: Loud) -> Loud {
    match kernel::remove(programs, place) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => error.into(),
        _ => loud,
    }
}

/// linux/magic.h: ext4, xfs, f2fs, tmpfs, ramfs, squashfs, erofs. On an overlay a file may change below while it stays the same
/// above; on btrfs two files have the same inode number, in two subvolumes.
const FILE_SYSTEMS: [FsWord; 7] =
    [0xef53, 0x5846_5342, 0xf2f5_2010, 0x0102_1994, 0x8584_58f6, 0x7371_7368, 0xe0f5_e1e2];

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};
    use std::io::{Read as _, Write as _};
    use std::thread;
    use std::time::Duration;

    use super::*;

    fn file() -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("program");
        fs::write(&path, "bytes").unwrap();
        (folder, path)
    }

    #[test]
    fn a_file_that_somebody_has_open_for_writing_is_not_held() {
        let (_folder, path) = file();
        let writer = OpenOptions::new().append(true).open(&path).unwrap();
        let loud = Quiet::hold(File::open(&path).unwrap()).unwrap_err();
        assert!(loud.to_string().starts_with("expected that nobody has it open for writing: "), "{loud}");
        drop(writer);
        let mut quiet = Quiet::hold(File::open(&path).unwrap()).unwrap();
        let mut text = String::new();
        quiet.file().read_to_string(&mut text).unwrap();
        assert_eq!(text, "bytes");
        quiet.is_as_it_was().unwrap();
    }

    #[test]
    fn who_waits_to_write_is_seen() {
        let (_folder, path) = file();
        let quiet = Quiet::hold(File::open(&path).unwrap()).unwrap();
        let opened = path.clone();
        let writer = thread::spawn(move || {
            OpenOptions::new().append(true).open(opened).unwrap().write_all(b" more").unwrap();
        });
        // Until it waits.
        while kernel::is_leased(quiet.file.as_fd()).unwrap() {
            thread::sleep(Duration::from_millis(1));
        }
        assert!(matches!(quiet.is_as_it_was(), Err(Loud::Written(_) | Loud::Changing)));
        drop(quiet);
        writer.join().unwrap();
    }

    #[test]
    fn what_is_in_procfs_is_not_known_by_its_time_of_change() {
        let loud = Quiet::hold(File::open("/proc/self/status").unwrap()).unwrap_err();
        assert!(loud.to_string().ends_with("found one of kind 9fa0"), "{loud}");
    }
}
