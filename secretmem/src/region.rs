//! One piece of secret memory, and who owns it.
//!
//! [`Region`] is ours until it dies and has no descriptor: a descriptor that stays open can be stolen with
//! `pidfd_getfd(2)` and mapped, which defeats everything else. [`Parcel`] keeps its descriptor, because
//! another process will map it; giving it away ends our own mapping without wiping what the other now owns.
//! [`Shared`] is memory that another process owns already, and that we may go on writing.

use std::fmt;
use std::fs::File;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::atomic::AtomicU8;

use zeroize::Zeroize as _;

use crate::Error;
use crate::kernel::{self, Access, Mapping};

/// Secret memory of this process alone: no descriptor, no copy after fork, wiped on drop.
pub struct Region {
    mapping: Mapping,
    access: Access,
    end: End,
}

/// What becomes of the bytes when our mapping ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum End {
    Wiped,
    LeftToTheNextOwner,
}

impl Region {
    /// `len` bytes of zeroed secret memory; what is left of the last page belongs to nobody.
    pub fn create(len: usize) -> Result<Self, Error> {
        Parcel::create(len).map(|parcel| parcel.region)
    }

    /// Takes over the memory behind a descriptor that another process gave away, and closes it.
    ///
    /// The descriptor must be as large as `len` bytes need, neither more nor less.
    pub fn receive(fd: OwnedFd, len: usize) -> Result<Self, Error> {
        mapped(&File::from(fd), len).map(Self::writable)
    }

    /// The bytes. Whoever copies them out of here answers for the copy.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.mapping.bytes()
    }

    /// The bytes, to be filled in place.
    pub fn bytes_mut(&mut self) -> Result<&mut [u8], Error> {
        self.set_access(Access::ReadWrite)?;
        Ok(self.mapping.bytes_mut())
    }

    /// Makes a stray write fault; one that has happened already is an error.
    pub(crate) fn set_read_only(&mut self) -> Result<(), Error> {
        if self.mapping.beyond().iter().any(|byte| *byte != 0) {
            return Err(Error::Overrun);
        }
        self.set_access(Access::ReadOnly)
    }

    fn set_access(&mut self, access: Access) -> Result<(), Error> {
        if self.access != access {
            self.mapping.protect(access)?;
            self.access = access;
        }
        Ok(())
    }

    fn writable(mapping: Mapping) -> Self {
        Self { mapping, access: Access::ReadWrite, end: End::Wiped }
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        if self.end == End::LeftToTheNextOwner {
            return;
        }
        // Where even that is refused the kernel still clears the pages when it takes them back.
        if let Ok(bytes) = self.bytes_mut() {
            bytes.zeroize();
        }
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Region({} secret bytes)", self.bytes().len())
    }
}

/// Secret memory that another process will own. Dropped without being given, it is wiped.
pub struct Parcel {
    region: Region,
    fd: OwnedFd,
}

impl Parcel {
    /// `len` bytes of zeroed secret memory, and a descriptor that is closed on exec.
    pub fn create(len: usize) -> Result<Self, Error> {
        let (mapping, fd) = kernel::obtain(len, |fd| Mapping::new(fd, len))?;
        Ok(Self { region: Region::writable(mapping), fd })
    }

    /// The bytes, to be filled in place.
    pub fn bytes_mut(&mut self) -> Result<&mut [u8], Error> {
        self.region.bytes_mut()
    }

    /// Its length in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.region.bytes().len()
    }

    /// Ends our mapping and leaves the bytes to whoever gets the descriptor.
    ///
    /// Pass it on and close it at once: while it is open anywhere, root can take it from there.
    #[must_use]
    pub fn give(self) -> OwnedFd {
        let Self { mut region, fd } = self;
        region.end = End::LeftToTheNextOwner;
        fd
    }
}

/// Secret memory of another process, mapped here too: never wiped by us, and without a descriptor.
pub struct Shared {
    mapping: Mapping,
}

impl Shared {
    /// Maps the memory behind a descriptor that belongs to another process, and closes ours.
    ///
    /// The descriptor must be as large as `len` bytes need, neither more nor less.
    pub fn open(fd: OwnedFd, len: usize) -> Result<Self, Error> {
        mapped(&File::from(fd), len).map(|mapping| Self { mapping })
    }

    /// The bytes, which the other process may read and change at any moment.
    #[must_use]
    pub fn bytes(&self) -> &[AtomicU8] {
        self.mapping.shared()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shared({} secret bytes)", self.mapping.shared().len())
    }
}

/// Maps what another process made, if it is of the announced size. The descriptor is closed.
fn mapped(file: &File, len: usize) -> Result<Mapping, Error> {
    let found = file.metadata().map_err(|source| Error::Os { doing: "fstat", source })?.len();
    let expected = kernel::whole_pages(len, kernel::page_size()?).ok_or(Error::Size(len))?;
    if u64::try_from(expected) != Ok(found) {
        return Err(Error::Received { expected, found });
    }
    Mapping::new(file.as_fd(), len)
}

impl fmt::Debug for Parcel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Parcel({} secret bytes)", self.region.bytes().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_whose_end_was_overrun_are_not_used() {
        let mut region = Region::create(100).unwrap();
        region.mapping.overrun();
        assert!(matches!(region.set_read_only(), Err(Error::Overrun)));
        assert!(Region::create(100).unwrap().set_read_only().is_ok());
        assert!(Region::create(4096).unwrap().set_read_only().is_ok());
    }
}
