//! `bpf(2)`, for what aya has no words for: programs that modify a return value, storage in tasks, pins of our own.
//!
//! Trusted: our callers' descriptors. The kernel checks everything else.

#![expect(unsafe_code, reason = "bpf(2) takes a union of numbers and addresses; nothing else")]

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::path::Path;

use aya_obj::generated::{
    BPF_ANY, BPF_EXIST, bpf_attr, bpf_cmd, bpf_insn, bpf_link_info, bpf_map_info, bpf_prog_info,
};

/// `BPF_TRACE_ITER` of linux/bpf.h.
const BPF_TRACE_ITER: u32 = 28;

/// More than any kernel is built for (`NR_CPUS` of x86 ends at 8192).
const PROCESSORS: usize = 8192;

/// What a program is made of.
#[derive(Debug)]
pub(crate) struct Program<'p> {
    pub(crate) name: &'p str,
    pub(crate) kind: u32,
    pub(crate) attach: u32,
    pub(crate) flags: u32,
    /// The function of the kernel that it is for, in the kernel's own type information.
    pub(crate) function: u32,
    pub(crate) instructions: &'p [bpf_insn],
    pub(crate) types: BorrowedFd<'p>,
    pub(crate) functions: (&'p [u8], usize),
    pub(crate) lines: (&'p [u8], usize),
    /// Where the verifier says what it minds; empty: it says nothing.
    pub(crate) log: &'p mut [u8],
}

/// Loads a program.
pub(crate) fn load(program: &mut Program<'_>) -> io::Result<OwnedFd> {
    // SAFETY: a union of plain numbers; all zeros are its state of rest.
    let mut attributes: bpf_attr = unsafe { std::mem::zeroed() };
    // SAFETY: this part of the union is the one of BPF_PROG_LOAD.
    let load = unsafe { &mut attributes.__bindgen_anon_3 };
    for (to, from) in load.prog_name.iter_mut().take(15).zip(program.name.bytes()) {
        *to = std::ffi::c_char::from_ne_bytes([from]);
    }
    load.prog_type = program.kind;
    load.expected_attach_type = program.attach;
    load.prog_flags = program.flags;
    load.attach_btf_id = program.function;
    load.insns = address(program.instructions.as_ptr());
    load.insn_cnt = size(program.instructions.len());
    load.license = address(c"Dual MIT/GPL".as_ptr());
    load.prog_btf_fd = number(program.types.as_raw_fd());
    (load.func_info, load.func_info_cnt, load.func_info_rec_size) = records(program.functions);
    (load.line_info, load.line_info_cnt, load.line_info_rec_size) = records(program.lines);
    if !program.log.is_empty() {
        load.log_level = 1;
        load.log_buf = address(program.log.as_mut_ptr());
        load.log_size = size(program.log.len());
    }
    descriptor(bpf(bpf_cmd::BPF_PROG_LOAD, &mut attributes)?)
}

/// Loads type information of our own.
pub(crate) fn load_types(bytes: &[u8]) -> io::Result<OwnedFd> {
    // SAFETY: as above.
    let mut attributes: bpf_attr = unsafe { std::mem::zeroed() };
    // SAFETY: the part of BPF_BTF_LOAD.
    let load = unsafe { &mut attributes.__bindgen_anon_7 };
    load.btf = address(bytes.as_ptr());
    load.btf_size = size(bytes.len());
    descriptor(bpf(bpf_cmd::BPF_BTF_LOAD, &mut attributes)?)
}

/// Attaches a program to the function that it was loaded for.
pub(crate) fn attach(program: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    // SAFETY: as above.
    let mut attributes: bpf_attr = unsafe { std::mem::zeroed() };
    attributes.raw_tracepoint.prog_fd = number(program.as_raw_fd());
    descriptor(bpf(bpf_cmd::BPF_RAW_TRACEPOINT_OPEN, &mut attributes)?)
}

/// Attaches an iterator, and begins to read.
pub(crate) fn iterate(program: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    // SAFETY: as above.
    let mut attributes: bpf_attr = unsafe { std::mem::zeroed() };
    attributes.link_create.__bindgen_anon_1.prog_fd = number(program.as_raw_fd());
    attributes.link_create.attach_type = BPF_TRACE_ITER;
    let link = descriptor(bpf(bpf_cmd::BPF_LINK_CREATE, &mut attributes)?)?;
    // SAFETY: as above.
    let mut attributes: bpf_attr = unsafe { std::mem::zeroed() };
    attributes.iter_create.link_fd = number(link.as_raw_fd());
    descriptor(bpf(bpf_cmd::BPF_ITER_CREATE, &mut attributes)?)
}

/// Links a program to what a descriptor stands for, and tells it a number.
pub(crate) fn link(program: BorrowedFd<'_>, target: u32, kind: u32, cookie: u64) -> io::Result<OwnedFd> {
    // SAFETY: as above.
    let mut attributes: bpf_attr = unsafe { std::mem::zeroed() };
    attributes.link_create.__bindgen_anon_1.prog_fd = number(program.as_raw_fd());
    attributes.link_create.__bindgen_anon_2.target_fd = target;
    attributes.link_create.attach_type = kind;
    attributes.link_create.__bindgen_anon_3.perf_event.bpf_cookie = cookie;
    descriptor(bpf(bpf_cmd::BPF_LINK_CREATE, &mut attributes)?)
}

/// Gives what a descriptor stands for a name in bpffs, under which it outlives us.
pub(crate) fn pin(what: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    let name = CString::new(path.as_os_str().as_encoded_bytes())?;
    // SAFETY: as above.
    let mut attributes: bpf_attr = unsafe { std::mem::zeroed() };
    // SAFETY: the part of BPF_OBJ_PIN.
    let pin = unsafe { &mut attributes.__bindgen_anon_4 };
    pin.pathname = address(name.as_ptr());
    pin.bpf_fd = number(what.as_raw_fd());
    bpf(bpf_cmd::BPF_OBJ_PIN, &mut attributes).map(|_zero| ())
}

/// Opens what has this name in bpffs.
pub(crate) fn open_pin(path: &Path) -> io::Result<OwnedFd> {
    let name = CString::new(path.as_os_str().as_encoded_bytes())?;
    // SAFETY: as above.
    let mut attributes: bpf_attr = unsafe { std::mem::zeroed() };
    // SAFETY: the part of BPF_OBJ_GET.
    let open = unsafe { &mut attributes.__bindgen_anon_4 };
    open.pathname = address(name.as_ptr());
    descriptor(bpf(bpf_cmd::BPF_OBJ_GET, &mut attributes)?)
}

/// Writes an element. Key and value must be as long as the map's are: see each caller.
pub(crate) fn update<K, V>(map: BorrowedFd<'_>, key: &K, value: &V) -> io::Result<()> {
    put(map, key, value, BPF_ANY)
}

/// Likewise, if it is there.
pub(crate) fn change<K, V>(map: BorrowedFd<'_>, key: &K, value: &V) -> io::Result<()> {
    put(map, key, value, BPF_EXIST)
}

fn put<K, V>(map: BorrowedFd<'_>, key: &K, value: &V, flags: u32) -> io::Result<()> {
    // SAFETY: as above.
    let mut attributes: bpf_attr = unsafe { std::mem::zeroed() };
    // SAFETY: the part of BPF_MAP_UPDATE_ELEM.
    let element = unsafe { &mut attributes.__bindgen_anon_2 };
    element.map_fd = number(map.as_raw_fd());
    element.key = address(std::ptr::from_ref(key));
    element.__bindgen_anon_1.value = address(std::ptr::from_ref(value));
    element.flags = flags.into();
    bpf(bpf_cmd::BPF_MAP_UPDATE_ELEM, &mut attributes).map(|_zero| ())
}

/// Reads an element, if it is there.
pub(crate) fn lookup<K, V: Default>(map: BorrowedFd<'_>, key: &K) -> io::Result<Option<V>> {
    let mut value = V::default();
    // SAFETY: as above.
    let mut attributes: bpf_attr = unsafe { std::mem::zeroed() };
    // SAFETY: the part of BPF_MAP_LOOKUP_ELEM.
    let element = unsafe { &mut attributes.__bindgen_anon_2 };
    element.map_fd = number(map.as_raw_fd());
    element.key = address(std::ptr::from_ref(key));
    element.__bindgen_anon_1.value = address(std::ptr::from_mut(&mut value));
    match bpf(bpf_cmd::BPF_MAP_LOOKUP_ELEM, &mut attributes) {
        Ok(_zero) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The value of each processor, in a map that has one for each; behind them, values of processors that there cannot be.
pub(crate) fn lookup_each<V: Copy + Default>(map: BorrowedFd<'_>, key: u32) -> io::Result<Vec<V>> {
    // The kernel writes one for each processor that could be there, and does not ask how much room there is; how many those
    // are stands in a file over which another could be mounted.
    let mut values = vec![V::default(); PROCESSORS];
    // SAFETY: as above.
    let mut attributes: bpf_attr = unsafe { std::mem::zeroed() };
    // SAFETY: the part of BPF_MAP_LOOKUP_ELEM.
    let element = unsafe { &mut attributes.__bindgen_anon_2 };
    element.map_fd = number(map.as_raw_fd());
    element.key = address(std::ptr::from_ref(&key));
    element.__bindgen_anon_1.value = address(values.as_mut_ptr());
    bpf(bpf_cmd::BPF_MAP_LOOKUP_ELEM, &mut attributes).map(|_zero| values)
}

/// Takes an element away.
pub(crate) fn remove<K>(map: BorrowedFd<'_>, key: &K) -> io::Result<()> {
    // SAFETY: as above.
    let mut attributes: bpf_attr = unsafe { std::mem::zeroed() };
    // SAFETY: the part of BPF_MAP_DELETE_ELEM.
    let element = unsafe { &mut attributes.__bindgen_anon_2 };
    element.map_fd = number(map.as_raw_fd());
    element.key = address(std::ptr::from_ref(key));
    bpf(bpf_cmd::BPF_MAP_DELETE_ELEM, &mut attributes).map(|_zero| ())
}

/// The key after this one, or the first.
pub(crate) fn next_key<K: Default>(map: BorrowedFd<'_>, key: Option<&K>) -> io::Result<Option<K>> {
    let mut next = K::default();
    // SAFETY: as above.
    let mut attributes: bpf_attr = unsafe { std::mem::zeroed() };
    // SAFETY: the part of BPF_MAP_GET_NEXT_KEY.
    let element = unsafe { &mut attributes.__bindgen_anon_2 };
    element.map_fd = number(map.as_raw_fd());
    element.key = key.map_or(0, |key| address(std::ptr::from_ref(key)));
    element.__bindgen_anon_1.next_key = address(std::ptr::from_mut(&mut next));
    match bpf(bpf_cmd::BPF_MAP_GET_NEXT_KEY, &mut attributes) {
        Ok(_zero) => Ok(Some(next)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// `BPF_CGROUP_SYSCTL` and `BPF_F_ALLOW_MULTI` (linux/bpf.h).
const SYSCTL: u32 = 18;
const BESIDE_OTHERS: u32 = 2;

/// Attaches a program about switches to a control group, beside those that are there; it stays until it is detached.
pub(crate) fn attach_to_group(program: BorrowedFd<'_>, group: BorrowedFd<'_>) -> io::Result<()> {
    let mut attributes = of_group(group);
    // SAFETY: the part of BPF_PROG_ATTACH.
    let attach = unsafe { &mut attributes.__bindgen_anon_5 };
    attach.attach_bpf_fd = number(program.as_raw_fd());
    attach.attach_flags = BESIDE_OTHERS;
    bpf(bpf_cmd::BPF_PROG_ATTACH, &mut attributes).map(|_zero| ())
}

/// The program of this number; takes `CAP_SYS_ADMIN`.
pub(crate) fn program_of(number: u32) -> io::Result<OwnedFd> {
    // SAFETY: as above.
    let mut attributes: bpf_attr = unsafe { std::mem::zeroed() };
    // The number is the first word of this part.
    attributes.__bindgen_anon_6.__bindgen_anon_1.prog_id = number;
    descriptor(bpf(bpf_cmd::BPF_PROG_GET_FD_BY_ID, &mut attributes)?)
}

/// Detaches this program.
pub(crate) fn detach_from_group(program: BorrowedFd<'_>, group: BorrowedFd<'_>) -> io::Result<()> {
    let mut attributes = of_group(group);
    // SAFETY: the part of BPF_PROG_DETACH.
    let detach = unsafe { &mut attributes.__bindgen_anon_5 };
    detach.attach_bpf_fd = number(program.as_raw_fd());
    bpf(bpf_cmd::BPF_PROG_DETACH, &mut attributes).map(|_zero| ())
}

/// The numbers of the programs about switches that a control group has; more than a group can have.
pub(crate) fn attached_to_group(group: BorrowedFd<'_>) -> io::Result<Vec<u32>> {
    let mut found = vec![0_u32; 64];
    // SAFETY: as above.
    let mut attributes: bpf_attr = unsafe { std::mem::zeroed() };
    // SAFETY: the part of BPF_PROG_QUERY.
    let query = unsafe { &mut attributes.query };
    query.__bindgen_anon_1.target_fd = number(group.as_raw_fd());
    query.attach_type = SYSCTL;
    query.prog_ids = address(found.as_mut_ptr());
    query.__bindgen_anon_2.prog_cnt = size(found.len());
    bpf(bpf_cmd::BPF_PROG_QUERY, &mut attributes)?;
    // SAFETY: the part that the kernel has written to.
    let query = unsafe { attributes.query };
    // SAFETY: likewise.
    let count = unsafe { query.__bindgen_anon_2.prog_cnt };
    found.truncate(usize::try_from(count).unwrap_or(0));
    Ok(found)
}

fn of_group(group: BorrowedFd<'_>) -> bpf_attr {
    // SAFETY: as above.
    let mut attributes: bpf_attr = unsafe { std::mem::zeroed() };
    // SAFETY: the part of BPF_PROG_ATTACH and BPF_PROG_DETACH.
    let part = unsafe { &mut attributes.__bindgen_anon_5 };
    part.__bindgen_anon_1.target_fd = number(group.as_raw_fd());
    part.attach_type = SYSCTL;
    attributes
}

/// The number of the map after this one; 0 is before all.
pub(crate) fn next_map(number: u32) -> io::Result<Option<u32>> {
    // SAFETY: as above.
    let mut attributes: bpf_attr = unsafe { std::mem::zeroed() };
    // The number is the first word of this part.
    attributes.__bindgen_anon_6.__bindgen_anon_1.start_id = number;
    match bpf(bpf_cmd::BPF_MAP_GET_NEXT_ID, &mut attributes) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
        // SAFETY: the part that the kernel has written to.
        Ok(_zero) => Ok(Some(unsafe { attributes.__bindgen_anon_6.next_id })),
    }
}

/// Opens the map of this number.
pub(crate) fn open_map(number: u32) -> io::Result<OwnedFd> {
    // SAFETY: as above.
    let mut attributes: bpf_attr = unsafe { std::mem::zeroed() };
    attributes.__bindgen_anon_6.__bindgen_anon_1.map_id = number;
    descriptor(bpf(bpf_cmd::BPF_MAP_GET_FD_BY_ID, &mut attributes)?)
}

/// What the kernel tells of a map.
pub(crate) fn map_info(map: BorrowedFd<'_>) -> io::Result<bpf_map_info> {
    // SAFETY: plain numbers; all zeros are its state of rest.
    let mut told: bpf_map_info = unsafe { std::mem::zeroed() };
    info(map, &mut told)?;
    Ok(told)
}

/// What the kernel tells of a program.
pub(crate) fn program_info(program: BorrowedFd<'_>) -> io::Result<bpf_prog_info> {
    // SAFETY: as above; where it has addresses, zero asks for nothing.
    let mut told: bpf_prog_info = unsafe { std::mem::zeroed() };
    info(program, &mut told)?;
    Ok(told)
}

/// What the kernel tells of a link.
pub(crate) fn link_info(link: BorrowedFd<'_>) -> io::Result<bpf_link_info> {
    // SAFETY: as above.
    let mut told: bpf_link_info = unsafe { std::mem::zeroed() };
    info(link, &mut told)?;
    Ok(told)
}

fn info<T>(what: BorrowedFd<'_>, told: &mut T) -> io::Result<()> {
    // SAFETY: as above.
    let mut attributes: bpf_attr = unsafe { std::mem::zeroed() };
    // SAFETY: the part of BPF_OBJ_GET_INFO_BY_FD.
    let info = unsafe { &mut attributes.info };
    info.bpf_fd = number(what.as_raw_fd());
    info.info = address(std::ptr::from_mut(told));
    info.info_len = size(size_of::<T>());
    bpf(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut attributes).map(drop)
}

/// A lease to read: nobody has the file open for writing, and who begins to waits until it is given back, or the machine's time
/// for that is over. The signal that tells of it is one that nobody minds.
pub(crate) fn lease(file: BorrowedFd<'_>) -> io::Result<()> {
    // asm-generic/fcntl.h; libc has no name for it.
    const F_SETSIG: i32 = 10;
    for (what, to) in [(F_SETSIG, libc::SIGURG), (libc::F_SETLEASE, libc::F_RDLCK)] {
        // SAFETY: three numbers.
        if unsafe { libc::fcntl(file.as_raw_fd(), what, to) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Whether it is still there, and nobody waits for its end.
pub(crate) fn is_leased(file: BorrowedFd<'_>) -> io::Result<bool> {
    // SAFETY: two numbers.
    let kind = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETLEASE) };
    if kind < 0 { Err(io::Error::last_os_error()) } else { Ok(kind == libc::F_RDLCK) }
}

/// Gives memory that was freed back to the kernel.
pub(crate) fn give_back_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it looks at what is free, and nothing else; this program has one thread.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[expect(clippy::as_conversions, reason = "the kernel takes addresses as numbers")]
fn address<T>(pointer: *const T) -> u64 {
    pointer as u64
}

fn size(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

fn number(descriptor: RawFd) -> u32 {
    u32::try_from(descriptor).unwrap_or(u32::MAX)
}

fn records((bytes, each): (&[u8], usize)) -> (u64, u32, u32) {
    match bytes.len().checked_div(each) {
        None | Some(0) => (0, 0, 0),
        Some(count) => (address(bytes.as_ptr()), size(count), size(each)),
    }
}

fn bpf(command: bpf_cmd, attributes: &mut bpf_attr) -> io::Result<i64> {
    // SAFETY: every address in the attributes is of something that our callers hold for as long as the call takes, and
    // the length is that of the union.
    #[expect(clippy::as_conversions, reason = "the number of an enum")]
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, command as u32, std::ptr::from_mut(attributes), size_of::<bpf_attr>())
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn descriptor(result: i64) -> io::Result<OwnedFd> {
    let fd = RawFd::try_from(result).map_err(io::Error::other)?;
    // SAFETY: the kernel has just given it to us, and to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
