//! Files that the kernel makes, by the kernel: what root mounted over them is somebody else's word.
//!
//! Who starts us chooses what we see: `/proc` may be a folder with other numbers, another program, another table of mounts. So
//! a procfs of our own is mounted, at no path, and held by a descriptor; all that is asked of procfs goes through `ours`.
//! Where it may not be mounted, the one at `/proc` serves, if it is one, and as far as nothing is mounted over what is read.
//!
//! Trusted: the kernel. Untrusted: every path.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rustix::fs::{CWD, Dir, FsWord, Mode, OFlags, ResolveFlags, fstat, fstatfs, openat, openat2, readlinkat};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};

/// File systems that are the kernel's own word (linux/magic.h).
pub(crate) mod magic {
    use super::FsWord;

    pub(crate) const BPF: FsWord = 0xcafe_4a11;
    pub(crate) const CGROUP2: FsWord = 0x6367_7270;
    pub(crate) const DEBUGFS: FsWord = 0x6462_6720;
    pub(crate) const PROC: FsWord = 0x9fa0;
    pub(crate) const SECURITYFS: FsWord = 0x7363_6673;
    pub(crate) const SYSFS: FsWord = 0x6265_6572;
    pub(crate) const TRACEFS: FsWord = 0x7472_6163;
}

/// Its topmost folder (`PROC_ROOT_INO`, `linux/proc_ns.h`): a folder within another procfs is none.
const TOP: u64 = 1;
/// The name space that the kernel itself counts processes in (`PROC_PID_INIT_INO`, `linux/proc_ns.h`).
const FIRST_NUMBERS: &str = "pid:[4026531836]";

/// A procfs, by its topmost folder.
#[derive(Debug)]
pub struct Procfs {
    top: OwnedFd,
    /// What it may be followed through.
    bounds: ResolveFlags,
}

/// The one of this program, for as long as it runs; mounted when it is first asked for.
pub(crate) fn ours() -> io::Result<&'static Procfs> {
    static OURS: OnceLock<Procfs> = OnceLock::new();
    if let Some(found) = OURS.get() {
        return Ok(found);
    }
    let made = Procfs::open()?;
    Ok(OURS.get_or_init(|| made))
}

/// Whether numbers of processes are here what they are to the kernel.
pub(crate) fn counts_as_the_kernel() -> io::Result<bool> {
    Ok(ours()?.link("self/ns/pid")? == Path::new(FIRST_NUMBERS))
}

impl Procfs {
    /// One of our own, of the processes that we see; else the mounted one.
    fn open() -> io::Result<Self> {
        let top = mounted_for_us().or_else(|_refused| mounted_by_others())?;
        genuine_fd(top.as_fd(), magic::PROC)?;
        if fstat(&top)?.st_ino != TOP {
            return Err(io::Error::other("/proc: expected the topmost folder of a procfs, found another"));
        }
        Ok(Self { top, bounds: ResolveFlags::NO_XDEV })
    }

    /// Any folder, in tests.
    #[cfg(test)]
    pub(crate) fn played(folder: &Path) -> Self {
        let top = openat(CWD, folder, FOLDER, Mode::empty()).unwrap();
        Self { top, bounds: ResolveFlags::empty() }
    }

    /// Works in its topmost folder from here on: `self/exe` is then our program, whatever is mounted at `/proc`.
    pub(crate) fn enter(&self) -> io::Result<()> {
        Ok(rustix::process::fchdir(&self.top)?)
    }

    /// A file's content.
    pub(crate) fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::from(self.descriptor(path, OFlags::RDONLY)?).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Likewise, of one that is text.
    pub(crate) fn text(&self, path: &str) -> io::Result<String> {
        String::from_utf8(self.read(path)?).map_err(io::Error::other)
    }

    /// Where a link leads, as the kernel tells it.
    pub(crate) fn link(&self, path: &str) -> io::Result<PathBuf> {
        let link = self.descriptor(path, OFlags::PATH | OFlags::NOFOLLOW)?;
        let target = readlinkat(&link, "", Vec::new())?;
        Ok(PathBuf::from(OsString::from_vec(target.into_bytes())))
    }

    /// What a link of a process leads to: `exe` of `self`, or of a number.
    pub(crate) fn behind(&self, process: &str, link: &str) -> io::Result<File> {
        let folder = self.descriptor(process, OFlags::PATH | OFlags::DIRECTORY)?;
        // Nothing may be mounted over the link itself; behind it there is another file system, as there has to be.
        let bounds = self.bounds | ResolveFlags::BENEATH;
        openat2(&folder, link, LINK, Mode::empty(), bounds)?;
        Ok(openat(&folder, link, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?.into())
    }

    /// The processes that there are.
    pub(crate) fn processes(&self) -> io::Result<Vec<i32>> {
        let folder = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let entries = Dir::new(openat(&self.top, ".", folder, Mode::empty())?)?;
        let entries: Vec<_> = entries.collect::<Result<_, _>>()?;
        Ok(entries.iter().filter_map(|entry| entry.file_name().to_str().ok()?.parse().ok()).collect())
    }

    /// What the kernel tells of a descriptor of ours: the value behind a name.
    pub(crate) fn told(&self, of: BorrowedFd<'_>, name: &str) -> io::Result<Option<String>> {
        let text = self.text(&format!("self/fdinfo/{}", of.as_raw_fd()))?;
        let mut fields = text.lines().filter_map(|line| line.split_once(':'));
        Ok(fields.find_map(|(field, value)| (field == name).then(|| value.trim().to_owned())))
    }

    fn descriptor(&self, path: &str, flags: OFlags) -> io::Result<OwnedFd> {
        let bounds = self.bounds | ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        Ok(openat2(&self.top, path, flags | OFlags::CLOEXEC, Mode::empty(), bounds)?)
    }
}

const FOLDER: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
const LINK: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// A new mount that no path leads to: nobody else can mount anything into it.
fn mounted_for_us() -> io::Result<OwnedFd> {
    let kind = fsopen("proc", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_create(&kind)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NOEXEC
        | MountAttrFlags::MOUNT_ATTR_NODEV;
    Ok(fsmount(&kind, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?)
}

fn mounted_by_others() -> io::Result<OwnedFd> {
    Ok(openat(CWD, "/proc", FOLDER, Mode::empty())?)
}

/// A file of a file system that the kernel makes: what root mounted over it would have the programs look elsewhere, or be attached
/// where nobody calls them.
pub(crate) fn genuine(path: &Path, file_system: FsWord) -> io::Result<File> {
    let file = File::open(path)?;
    genuine_fd(file.as_fd(), file_system)?;
    Ok(file)
}

/// Likewise, its content.
pub(crate) fn genuine_bytes(path: &Path, file_system: FsWord) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    genuine(path, file_system)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The content of a file that the kernel does not make: we read what others may not, and say of a file what is wrong with it.
pub(crate) fn ordinary_bytes(path: &Path) -> io::Result<Vec<u8>> {
    const KERNELS: [FsWord; 6] =
        [magic::PROC, magic::SYSFS, magic::SECURITYFS, magic::DEBUGFS, magic::TRACEFS, magic::BPF];
    let mut file = File::open(path)?;
    if KERNELS.contains(&fstatfs(&file)?.f_type) {
        return Err(io::Error::other("expected an ordinary file, found one that the kernel makes"));
    }
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("expected an ordinary file, found a folder or a device"));
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn genuine_fd(file: BorrowedFd<'_>, file_system: FsWord) -> io::Result<()> {
    if fstatfs(file)?.f_type == file_system {
        Ok(())
    } else {
        Err(io::Error::other("expected a file that the kernel makes, found another"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_another_file_system_is_not_the_kernels() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let refused = genuine(file.path(), magic::SYSFS).unwrap_err();
        assert_eq!(refused.to_string(), "expected a file that the kernel makes, found another");
        assert!(!genuine_bytes(Path::new("/sys/kernel/btf/vmlinux"), magic::SYSFS).unwrap().is_empty());
    }

    #[test]
    fn the_kernel_tells_of_ourselves() {
        let ours = ours().unwrap();
        let exe = ours.behind("self", "exe").unwrap();
        let found = fstat(&exe).unwrap();
        let expected = rustix::fs::stat(std::env::current_exe().unwrap().as_path()).unwrap();
        assert_eq!((found.st_dev, found.st_ino), (expected.st_dev, expected.st_ino));
        assert_eq!(ours.told(exe.as_fd(), "pos").unwrap().as_deref(), Some("0"));
        assert!(ours.text("self/mountinfo").unwrap().contains(" - "));
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(ours.processes().unwrap().contains(&own));
    }

    #[test]
    fn no_path_leads_out_of_it() {
        let ours = ours().unwrap();
        for path in ["../etc/passwd", "/etc/passwd", "self/root/etc/passwd", "self/exe"] {
            assert!(ours.read(path).is_err(), "{path}");
        }
        assert!(ours.behind("self/root", "etc").is_err());
    }
}
