//! The system calls of the library, made without a C library.
//!
//! A further architecture is a further table of numbers and one more way to make a call.
//!
//! Trusted: the arguments, which the library made. Untrusted: nothing else comes in.

use core::ffi::c_int;
use core::ptr;

/// `struct iovec`.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Vector {
    pub(crate) start: *mut u8,
    pub(crate) len: usize,
}

/// `struct msghdr` of a 64-bit kernel.
#[repr(C)]
pub(crate) struct Message {
    name: *mut u8,
    name_len: u32,
    vectors: *mut Vector,
    vector_count: usize,
    control: *mut u8,
    control_len: usize,
    flags: c_int,
}

impl Message {
    pub(crate) const fn of(vectors: *mut Vector, count: usize, control: *mut u8, control_len: usize) -> Self {
        Self {
            name: ptr::null_mut(),
            name_len: 0,
            vectors,
            vector_count: count,
            control,
            control_len,
            flags: 0,
        }
    }
}

/// `struct sockaddr_un` of a name in the abstract namespace.
#[repr(C)]
struct Address {
    family: u16,
    zero: u8,
    name: [u8; 32],
}
/// Without the padding at the end of the structure.
const ADDRESS_LEN: usize = 35;

const AF_UNIX: usize = 1;
const SOCK_SEQPACKET_CLOEXEC: usize = 5 | 0o2_000_000;
const SOL_SOCKET: usize = 1;
const SCM_RIGHTS: u64 = 1;
const SO_RCVTIMEO: usize = 20;
const SO_SNDTIMEO: usize = 21;
const MSG_CMSG_CLOEXEC: usize = 0x4000_0000;
const MSG_NOSIGNAL: usize = 0x4000;
const MSG_TRUNC_OR_CTRUNC: c_int = 0x20 | 0x8;
const PROT_READ_WRITE: usize = 1 | 2;
const MAP_SHARED: usize = 1;
const MADV_DONTDUMP: usize = 16;
const F_GET_SEALS: usize = 1034;
/// `F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE`.
const SEALS: isize = 15;
const EINTR: isize = -4;
/// How long the wrapper may take to answer.
const PATIENCE_SECONDS: i64 = 30;

/// A socket for messages that gives up after a while.
pub(crate) fn socket() -> Option<c_int> {
    let line = number(call(table::SOCKET, [AF_UNIX, SOCK_SEQPACKET_CLOEXEC, 0, 0, 0, 0]))?;
    let patience: [i64; 2] = [PATIENCE_SECONDS, 0];
    for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
        let time = patience.as_ptr().expose_provenance();
        call(table::SETSOCKOPT, [word(line), SOL_SOCKET, option, time, size_of_val(&patience), 0]);
    }
    Some(line)
}

pub(crate) fn connect(line: c_int, name: &[u8; 32]) -> bool {
    let address = Address { family: 1, zero: 0, name: *name };
    let place = (&raw const address).expose_provenance();
    again(table::CONNECT, [word(line), place, ADDRESS_LEN, 0, 0, 0]) == 0
}

pub(crate) fn send(line: c_int, message: &Message) -> bool {
    again(table::SENDMSG, [word(line), ptr::from_ref(message).expose_provenance(), MSG_NOSIGNAL, 0, 0, 0])
        >= 0
}

/// Bytes received; a descriptor that comes along is closed on exec.
pub(crate) fn receive(line: c_int, message: &mut Message) -> isize {
    again(table::RECVMSG, [word(line), ptr::from_mut(message).expose_provenance(), MSG_CMSG_CLOEXEC, 0, 0, 0])
}

/// The descriptor that came with a message (cmsg(3): length, level and type, data).
pub(crate) fn received(message: &Message, control: &[u64; 3]) -> Option<c_int> {
    let [len, kind, data] = *control;
    let whole = message.flags & MSG_TRUNC_OR_CTRUNC == 0 && message.control_len >= 20 && len == 20;
    let rights = kind == (SCM_RIGHTS << 32) | SOL_SOCKET as u64;
    let [a, b, c, d, ..] = data.to_le_bytes();
    (whole && rights).then_some(c_int::from_le_bytes([a, b, c, d]))
}

/// Maps secret memory, which is there to be read and written, and is left out of core dumps.
pub(crate) fn map(descriptor: c_int, len: usize) -> Option<*mut u8> {
    let answer = call(table::MMAP, [0, len, PROT_READ_WRITE, MAP_SHARED, word(descriptor), 0]);
    if (-4095..0).contains(&answer) {
        return None;
    }
    call(table::MADVISE, [answer.cast_unsigned(), len, MADV_DONTDUMP, 0, 0, 0]);
    Some(ptr::with_exposed_provenance_mut(answer.cast_unsigned()))
}

pub(crate) fn close(descriptor: c_int) {
    call(table::CLOSE, [word(descriptor), 0, 0, 0, 0, 0]);
}

/// Whether the descriptor is memory that nobody can change any more.
pub(crate) fn is_sealed(descriptor: c_int) -> bool {
    let seals = call(table::FCNTL, [word(descriptor), F_GET_SEALS, 0, 0, 0, 0]);
    seals > 0 && seals & SEALS == SEALS
}

/// To standard error; where that is closed there is nobody to tell.
pub(crate) fn write(text: &str) {
    call(table::WRITE, [2, text.as_ptr().expose_provenance(), text.len(), 0, 0, 0]);
}

pub(crate) fn exit(code: u8) -> ! {
    loop {
        call(table::EXIT_GROUP, [usize::from(code), 0, 0, 0, 0, 0]);
    }
}

fn again(number: usize, arguments: [usize; 6]) -> isize {
    loop {
        let answer = call(number, arguments);
        if answer != EINTR {
            return answer;
        }
    }
}

/// A descriptor as an argument; the kernel reads the low half.
fn word(descriptor: c_int) -> usize {
    usize::try_from(descriptor).unwrap_or(usize::MAX)
}

fn number(answer: isize) -> Option<c_int> {
    if answer < 0 { None } else { c_int::try_from(answer).ok() }
}

use table::call;

/// System V ABI for x86-64, section A.2.1.
#[cfg(target_arch = "x86_64")]
mod table {
    pub(super) const WRITE: usize = 1;
    pub(super) const CLOSE: usize = 3;
    pub(super) const MMAP: usize = 9;
    pub(super) const MADVISE: usize = 28;
    pub(super) const SOCKET: usize = 41;
    pub(super) const CONNECT: usize = 42;
    pub(super) const SENDMSG: usize = 46;
    pub(super) const RECVMSG: usize = 47;
    pub(super) const SETSOCKOPT: usize = 54;
    pub(super) const FCNTL: usize = 72;
    pub(super) const EXIT_GROUP: usize = 231;

    pub(super) fn call(number: usize, arguments: [usize; 6]) -> isize {
        let [first, second, third, fourth, fifth, sixth] = arguments;
        let answer;
        // SAFETY: the callers pass numbers, and addresses of live places of the sizes that the call reads or writes.
        unsafe {
            core::arch::asm!(
                "syscall", inlateout("rax") number => answer,
                in("rdi") first, in("rsi") second, in("rdx") third, in("r10") fourth, in("r8") fifth, in("r9") sixth,
                lateout("rcx") _, lateout("r11") _, options(nostack),
            );
        }
        answer
    }
}

/// Linux for arm64: the generic table of numbers, `svc 0`.
#[cfg(target_arch = "aarch64")]
mod table {
    pub(super) const FCNTL: usize = 25;
    pub(super) const CLOSE: usize = 57;
    pub(super) const WRITE: usize = 64;
    pub(super) const EXIT_GROUP: usize = 94;
    pub(super) const SOCKET: usize = 198;
    pub(super) const CONNECT: usize = 203;
    pub(super) const SETSOCKOPT: usize = 208;
    pub(super) const SENDMSG: usize = 211;
    pub(super) const RECVMSG: usize = 212;
    pub(super) const MMAP: usize = 222;
    pub(super) const MADVISE: usize = 233;

    pub(super) fn call(number: usize, arguments: [usize; 6]) -> isize {
        let [first, second, third, fourth, fifth, sixth] = arguments;
        let answer;
        // SAFETY: the callers pass numbers, and addresses of live places of the sizes that the call reads or writes.
        unsafe {
            core::arch::asm!(
                "svc 0", in("x8") number, inlateout("x0") first => answer,
                in("x1") second, in("x2") third, in("x3") fourth, in("x4") fifth, in("x5") sixth, options(nostack),
            );
        }
        answer
    }
}
