//! What an attacker with root's rights tries against a process.
#![expect(unsafe_code, reason = "the thefts are system calls that no safe interface has")]
#![expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails there"
)]

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::ptr;

use libc::c_int;

type Stolen = Result<[u8; 4], c_int>;

fn errno() -> c_int {
    io::Error::last_os_error().raw_os_error().unwrap()
}

pub(crate) fn proc_mem(pid: i32, address: usize) -> Stolen {
    let mut stolen = [0; 4];
    let memory = File::open(format!("/proc/{pid}/mem")).unwrap();
    let read = memory.read_exact_at(&mut stolen, address.try_into().unwrap());
    read.map(|()| stolen).map_err(|error| error.raw_os_error().unwrap())
}

pub(crate) fn vm_readv(pid: i32, address: usize) -> Stolen {
    let mut stolen = [0; 4];
    let local = libc::iovec { iov_base: stolen.as_mut_ptr().cast(), iov_len: 4 };
    let remote = libc::iovec { iov_base: ptr::without_provenance_mut(address), iov_len: 4 };
    // SAFETY: `local` describes `stolen`; the remote side is checked by the kernel.
    let read = unsafe { libc::process_vm_readv(pid, &raw const local, 1, &raw const remote, 1, 0) };
    if read == 4 { Ok(stolen) } else { Err(errno()) }
}

/// Reads every mapping that can be read and looks for `text`.
pub(crate) fn whole_memory_holds(pid: i32, text: &str) -> bool {
    const PIECE: usize = 1 << 20;
    let memory = File::open(format!("/proc/{pid}/mem")).unwrap();
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let mut bytes = vec![0; PIECE + text.len()];
    maps.lines().any(|line| {
        let (range, rest) = line.split_once(' ').unwrap();
        let (from, to) = range.split_once('-').unwrap();
        let [from, to] = [from, to].map(|end| usize::from_str_radix(end, 16).unwrap());
        rest.starts_with('r')
            && (from..to).step_by(PIECE).any(|at| {
                let len = bytes.len().min(to - at);
                // A hole ends the piece.
                let read = memory.read_at(&mut bytes[..len], at.try_into().unwrap()).unwrap_or(0);
                holds(&bytes[..read], text)
            })
    })
}

/// Faster than what a debug build makes of `windows`: a runtime has hundreds of megabytes.
fn holds(bytes: &[u8], text: &str) -> bool {
    // SAFETY: both are live slices, given with their lengths.
    let found = unsafe { libc::memmem(bytes.as_ptr().cast(), bytes.len(), text.as_ptr().cast(), text.len()) };
    !found.is_null()
}

pub(crate) fn parent(pid: i32) -> i32 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(") ").unwrap().1.split(' ').nth(1).unwrap().parse().unwrap()
}

fn stolen_descriptors(pid: i32) -> Vec<OwnedFd> {
    // SAFETY: no pointers are passed.
    let pidfd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    assert!(pidfd >= 0, "{}", io::Error::last_os_error());
    // SAFETY: the kernel just made this descriptor for us.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd.try_into().unwrap()) };
    (0..1024)
        .filter_map(|number| {
            // SAFETY: no pointers are passed.
            let fd = unsafe { libc::syscall(libc::SYS_pidfd_getfd, pidfd.as_raw_fd(), number, 0) };
            // SAFETY: the kernel just made this descriptor for us.
            (fd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(fd.try_into().unwrap()) })
        })
        .collect()
}

pub(crate) fn descriptors(pid: i32) -> usize {
    stolen_descriptors(pid).len()
}

/// Steals every descriptor, maps it, and looks for `text`; the number of the theft that worked.
pub(crate) fn mappable_secret(pid: i32, text: &str) -> Option<usize> {
    stolen_descriptors(pid).iter().position(|fd| {
        // SAFETY: a new mapping at an address that the kernel chooses touches nothing that exists.
        let page = unsafe {
            libc::mmap(ptr::null_mut(), 4096, libc::PROT_READ, libc::MAP_SHARED, fd.as_raw_fd(), 0)
        };
        let link = fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).unwrap_or_default();
        if link.display().to_string().contains("secretmem") {
            return true;
        }
        if page == libc::MAP_FAILED {
            return false;
        }
        let mut bytes = [0_u8; 4096];
        let memory = File::open("/proc/self/mem").unwrap();
        let read = memory.read_at(&mut bytes, page.addr().try_into().unwrap());
        read.is_ok() && bytes.windows(text.len()).any(|window| window == text.as_bytes())
    })
}

/// A seccomp filter that answers EPERM to ptrace(2), as a strict profile does.
pub(crate) fn refuse_ptrace() -> io::Result<()> {
    refuse(libc::SYS_ptrace, libc::EPERM)
}

/// A seccomp filter that answers `errno` to one system call.
pub(crate) fn refuse(call: libc::c_long, errno: c_int) -> io::Result<()> {
    let statement = |code: u32, jt, jf, k| libc::sock_filter { code: code.try_into().unwrap(), jt, jf, k };
    let mut program = [
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, call.try_into().unwrap()),
        statement(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | errno.cast_unsigned()),
        statement(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let filter = libc::sock_fprog { len: 4, filter: program.as_mut_ptr() };
    // SAFETY: no pointers are passed.
    let code = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    assert_eq!(code, 0);
    // SAFETY: `filter` describes `program`, which outlives the call.
    let code = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const filter) };
    if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Runs as the user already chosen: `Command` changes users before it calls this.
pub(crate) fn limit_locked_memory(bytes: u64) -> io::Result<()> {
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
    // SAFETY: `limit` is a valid rlimit.
    let code = unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const limit) };
    if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
