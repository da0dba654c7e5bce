//! The words of `bpf(2)` that attacks use. Offsets are those of `union bpf_attr` in `linux/bpf.h`, which only ever grows.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use crate::call;
use crate::kernel::adopt;

/// Commands.
pub(crate) mod command {
    pub(crate) const MAP_CREATE: u32 = 0;
    pub(crate) const PROG_LOAD: u32 = 5;
    pub(crate) const OBJ_PIN: u32 = 6;
    pub(crate) const OBJ_GET: u32 = 7;
    pub(crate) const PROG_NEXT: u32 = 11;
    pub(crate) const MAP_NEXT: u32 = 12;
    pub(crate) const PROG_BY_ID: u32 = 13;
    pub(crate) const MAP_BY_ID: u32 = 14;
    pub(crate) const INFO: u32 = 15;
    pub(crate) const LINK_CREATE: u32 = 28;
    pub(crate) const LINK_UPDATE: u32 = 29;
    pub(crate) const LINK_BY_ID: u32 = 30;
    pub(crate) const LINK_NEXT: u32 = 31;
    pub(crate) const LINK_DETACH: u32 = 34;
}

/// Kinds of programs.
pub(crate) mod kind {
    pub(crate) const SOCKET_FILTER: u32 = 1;
    pub(crate) const KPROBE: u32 = 2;
    pub(crate) const SCHED_CLS: u32 = 3;
    pub(crate) const TRACEPOINT: u32 = 5;
    pub(crate) const PERF_EVENT: u32 = 7;
    pub(crate) const RAW_TRACEPOINT: u32 = 17;
    pub(crate) const CGROUP_SYSCTL: u32 = 23;
    pub(crate) const TRACING: u32 = 26;
    pub(crate) const LSM: u32 = 29;
    pub(crate) const SYSCALL: u32 = 31;
}

/// What the programs of a kind are attached as.
pub(crate) mod attach {
    pub(crate) const CGROUP_SYSCTL: u32 = 18;
    pub(crate) const RAW_TP: u32 = 23;
    pub(crate) const FENTRY: u32 = 24;
    pub(crate) const LSM_MAC: u32 = 27;
}

/// A union of arguments; what is not set is 0.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attributes([u8; 128]);

impl Attributes {
    /// All zeros.
    pub(crate) const fn new() -> Self {
        Self([0; 128])
    }

    /// Sets bytes.
    pub(crate) fn bytes(mut self, offset: usize, bytes: &[u8]) -> Self {
        let room = self.0.iter_mut().skip(offset);
        room.zip(bytes).for_each(|(to, from)| *to = *from);
        self
    }

    /// Sets a number of 4 bytes.
    pub(crate) fn word(self, offset: usize, number: u32) -> Self {
        self.bytes(offset, &number.to_ne_bytes())
    }

    /// Sets an address.
    pub(crate) fn address<T>(self, offset: usize, of: *const T) -> Self {
        self.bytes(offset, &of.expose_provenance().to_ne_bytes())
    }

    /// Sets a descriptor.
    pub(crate) fn descriptor(self, offset: usize, descriptor: &OwnedFd) -> Self {
        self.bytes(offset, &descriptor.as_raw_fd().to_ne_bytes())
    }

    /// Makes the call.
    pub(crate) fn call(&mut self, command: u32) -> io::Result<i64> {
        let length = self.0.len();
        Ok(call!(libc::SYS_bpf, command, &mut self.0[..], length)?)
    }

    /// Makes the call, whose answer is a descriptor.
    pub(crate) fn open(&mut self, command: u32) -> io::Result<OwnedFd> {
        Ok(adopt(self.call(command)?)?)
    }
}

/// One instruction.
pub(crate) const fn instruction(code: u8, to: u8, from: u8, immediate: i32) -> [u8; 8] {
    instruction_at(code, to, from, 0, immediate)
}

/// One instruction with an offset.
pub(crate) const fn instruction_at(code: u8, to: u8, from: u8, offset: i16, immediate: i32) -> [u8; 8] {
    let [low, high] = offset.to_le_bytes();
    let [a, b, c, d] = immediate.to_le_bytes();
    [code, (from << 4) | to, low, high, a, b, c, d]
}

/// Says yes to everything: `r0 = 1; exit`.
pub(crate) const YES: &[[u8; 8]] = &[instruction(0xb7, 0, 0, 1), EXIT];
/// Says no more than that it ran: `r0 = 0; exit`.
pub(crate) const NOTHING: &[[u8; 8]] = &[instruction(0xb7, 0, 0, 0), EXIT];
/// The last instruction.
pub(crate) const EXIT: [u8; 8] = instruction(0x95, 0, 0, 0);

/// What is to be loaded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Program<'a> {
    /// One of [`kind`].
    pub(crate) kind: u32,
    /// One of [`attach`], or 0.
    pub(crate) attach: u32,
    /// The number of what it is attached to in the kernel's type information, or 0.
    pub(crate) to: u32,
    /// Its flags.
    pub(crate) flags: u32,
    /// Its instructions.
    pub(crate) code: &'a [[u8; 8]],
}

impl<'a> Program<'a> {
    /// A program that needs nothing but its kind.
    pub(crate) const fn of(kind: u32, code: &'a [[u8; 8]]) -> Self {
        Self { kind, attach: 0, to: 0, flags: 0, code }
    }

    /// Loads it.
    pub(crate) fn load(self) -> io::Result<OwnedFd> {
        let count = u32::try_from(self.code.len()).map_err(io::Error::other)?;
        Attributes::new()
            .word(0, self.kind)
            .word(4, count)
            .address(8, self.code.as_ptr())
            .address(16, c"GPL".as_ptr())
            .word(44, self.flags)
            .bytes(48, b"stranger")
            .word(68, self.attach)
            .word(108, self.to)
            .open(command::PROG_LOAD)
    }
}

/// An array of one number.
pub(crate) fn array(name: &[u8]) -> io::Result<OwnedFd> {
    const ARRAY: u32 = 2;
    let attributes = Attributes::new().word(0, ARRAY).word(4, 4).word(8, 8).word(12, 1);
    attributes.bytes(28, name).open(command::MAP_CREATE)
}

/// Hangs a map, a program or a link into the file system of pins.
pub(crate) fn pin(what: &OwnedFd, at: &Path) -> io::Result<()> {
    let path = CString::new(at.as_os_str().as_bytes())?;
    let mut attributes = Attributes::new().address(0, path.as_ptr()).descriptor(8, what);
    attributes.call(command::OBJ_PIN).map(|_zero| ())
}

/// Opens what is pinned there.
pub(crate) fn pinned(at: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(at.as_os_str().as_bytes())?;
    Attributes::new().address(0, path.as_ptr()).open(command::OBJ_GET)
}

/// All numbers that this command finds.
pub(crate) fn numbers(next: u32) -> io::Result<Vec<u32>> {
    let mut found = Vec::new();
    let mut last = 0;
    loop {
        let mut attributes = Attributes::new().word(0, last);
        match attributes.call(next) {
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => return Ok(found),
            Err(error) => return Err(error),
            Ok(_) => last = word_at(&attributes.0, 4),
        }
        found.push(last);
    }
}

/// Opens a map, a program or a link by its number.
pub(crate) fn by_number(command: u32, number: u32) -> io::Result<OwnedFd> {
    Attributes::new().word(0, number).open(command)
}

/// What the kernel says of a map, a program or a link: the first 256 bytes.
pub(crate) fn information(of: &OwnedFd) -> io::Result<[u8; 256]> {
    let mut information = [0; 256];
    let length = u32::try_from(information.len()).map_err(io::Error::other)?;
    let attributes = Attributes::new().descriptor(0, of).word(4, length);
    attributes.address(8, information.as_mut_ptr()).call(command::INFO)?;
    Ok(information)
}

/// The number at an offset of what the kernel says.
pub(crate) fn word_at(information: &[u8], offset: usize) -> u32 {
    let bytes = information.iter().skip(offset).take(4).enumerate();
    bytes.fold(0, |word, (at, byte)| {
        word | u32::from(*byte).checked_shl(SHIFTS.get(at).copied().unwrap_or(0)).unwrap_or(0)
    })
}

const SHIFTS: [u32; 4] = [0, 8, 16, 24];
