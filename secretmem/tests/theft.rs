//! What root can take from secret memory by reading, and what it can take when a descriptor stays open.
#![expect(unsafe_code, reason = "the thefts are system calls that no safe interface has")]
#![expect(clippy::unwrap_used, reason = "a test")]

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::process::{self, Command};

use secretmem::{Builder, Error, Parcel, Region, Values};

const CANARY: &[u8] = b"canary-5f1e0c77";

fn frozen() -> (Values, secretmem::Span) {
    let mut builder = Builder::with_capacity(CANARY.len()).unwrap();
    let span = builder.push(CANARY).unwrap();
    (builder.freeze().unwrap(), span)
}

fn address(bytes: &[u8]) -> usize {
    bytes.as_ptr().addr()
}

fn mapping_lines(address: usize) -> Vec<String> {
    let smaps = fs::read_to_string("/proc/self/smaps").unwrap();
    let start = format!("{address:x}-");
    let lines = smaps.lines().skip_while(|line| !line.starts_with(&start));
    lines.take_while(|line| !line.starts_with("VmFlags")).map(str::to_owned).collect()
}

fn vm_flags(address: usize) -> String {
    let smaps = fs::read_to_string("/proc/self/smaps").unwrap();
    let start = format!("{address:x}-");
    let mut lines = smaps.lines().skip_while(|line| !line.starts_with(&start));
    lines.find(|line| line.starts_with("VmFlags")).unwrap().to_owned()
}

#[test]
fn root_reads_the_heap_and_not_the_region_through_proc_mem() {
    let (values, span) = frozen();
    let heap = CANARY.to_vec();
    let memory = File::open("/proc/self/mem").unwrap();
    let mut stolen = [0; 15];
    memory.read_exact_at(&mut stolen, u64::try_from(address(&heap)).unwrap()).unwrap();
    assert_eq!(stolen, CANARY, "the attack works on ordinary memory");
    let secret = address(values.read(&span).unwrap());
    let refused = memory.read_exact_at(&mut stolen, u64::try_from(secret).unwrap()).unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(libc::EIO));
}

#[test]
fn root_reads_the_heap_and_not_the_region_with_process_vm_readv() {
    let (values, span) = frozen();
    let heap = CANARY.to_vec();
    assert_eq!(vm_read(address(&heap)).unwrap(), CANARY, "the attack works on ordinary memory");
    let refused = vm_read(address(values.read(&span).unwrap())).unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(libc::EFAULT));
}

fn vm_read(address: usize) -> io::Result<[u8; 15]> {
    let mut stolen = [0; 15];
    let local = libc::iovec { iov_base: stolen.as_mut_ptr().cast(), iov_len: stolen.len() };
    let remote = libc::iovec { iov_base: std::ptr::without_provenance_mut(address), iov_len: stolen.len() };
    let pid = process::id().try_into().unwrap();
    // SAFETY: `local` describes `stolen`; the remote side is checked by the kernel.
    let read = unsafe { libc::process_vm_readv(pid, &raw const local, 1, &raw const remote, 1, 0) };
    if read == 15 { Ok(stolen) } else { Err(io::Error::last_os_error()) }
}

#[test]
fn another_process_of_root_cannot_read_the_region() {
    let (values, span) = frozen();
    let heap = CANARY.to_vec();
    let take = |address: usize| {
        let path = format!("/proc/{}/mem", process::id());
        let skip = format!("skip={address}");
        Command::new("dd").args([&format!("if={path}"), &skip, "bs=1", "count=15"]).output().unwrap().stdout
    };
    assert_eq!(take(address(&heap)), CANARY, "the attack works on ordinary memory");
    assert_eq!(take(address(values.read(&span).unwrap())), b"");
}

#[test]
fn the_pages_are_locked_undumpable_and_absent_after_fork() {
    let region = Region::create(1).unwrap();
    let flags = vm_flags(address(region.bytes()));
    for flag in ["lo", "dd", "dc"] {
        assert!(flags.split(' ').any(|word| word == flag), "{flag} in {flags}");
    }
}

#[test]
fn the_pages_lie_between_guard_pages() {
    let region = Region::create(1).unwrap();
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let start = format!("{:x}", address(region.bytes()));
    let lines: Vec<&str> = maps.lines().collect();
    let at = lines.iter().position(|line| line.starts_with(&start)).unwrap();
    assert!(lines[at].contains("rw-s") && lines[at].contains("secretmem"), "{}", lines[at]);
    let before: Vec<&str> = lines[at - 1].split([' ', '-']).collect();
    assert_eq!(before[1], start);
    assert!(lines[at - 1].contains("---p"), "{}", lines[at - 1]);
    assert!(lines[at + 1].contains("---p"), "{}", lines[at + 1]);
}

#[test]
fn frozen_values_are_mapped_read_only() {
    let (values, span) = frozen();
    let first = mapping_lines(address(values.read(&span).unwrap())).remove(0);
    assert!(first.contains(" r--s "), "{first}");
}

#[test]
fn a_parcel_given_away_keeps_its_bytes_for_the_receiver() {
    let mut parcel = Parcel::create(CANARY.len()).unwrap();
    parcel.bytes_mut().unwrap().copy_from_slice(CANARY);
    let received = Region::receive(parcel.give(), CANARY.len()).unwrap();
    assert_eq!(received.bytes(), CANARY);
}

#[test]
fn received_memory_of_another_size_is_refused() {
    let fd = Parcel::create(1).unwrap().give();
    let refused = Region::receive(fd, 4097).unwrap_err();
    assert_eq!(refused.to_string(), "received memory of 4096 bytes, expected 8192");
}

#[test]
fn a_region_of_nothing_is_refused() {
    assert!(matches!(Region::create(0), Err(Error::Size(0))));
    assert!(matches!(Region::create(usize::MAX), Err(Error::Size(_))));
}

#[test]
fn a_value_larger_than_the_region_is_refused_and_written_nowhere() {
    let mut builder = Builder::with_capacity(4).unwrap();
    let refused = builder.push(CANARY).unwrap_err();
    assert_eq!(refused.to_string(), "secret of 15 bytes, region has 4 left");
    assert_eq!(builder.spare().unwrap(), [0; 4]);
    assert!(matches!(builder.keep(5), Err(Error::Full { needed: 5, left: 4 })));
}

#[test]
fn values_lie_side_by_side_and_are_read_back() {
    let mut builder = Builder::with_capacity(32).unwrap();
    let first = builder.push(b"one").unwrap();
    builder.spare().unwrap()[..5].copy_from_slice(b"three");
    let second = builder.keep(5).unwrap();
    let empty = builder.push(b"").unwrap();
    let values = builder.freeze().unwrap();
    assert_eq!(values.read(&first), Some(&b"one"[..]));
    assert_eq!(values.read(&second), Some(&b"three"[..]));
    assert_eq!(values.read(&empty), Some(&b""[..]));
}

#[test]
fn a_region_filled_elsewhere_is_read_by_position() {
    let mut region = Region::create(8).unwrap();
    region.bytes_mut().unwrap().copy_from_slice(b"a=secret");
    let values = Values::adopt(region).unwrap();
    assert_eq!(values.read(&values.span(2, 6).unwrap()), Some(&b"secret"[..]));
    assert_eq!(values.span(2, 7), None);
    assert_eq!(values.span(usize::MAX, 2), None);
}

#[test]
fn debug_output_shows_no_byte() {
    let (values, span) = frozen();
    assert_eq!(format!("{values:?}"), "Values(Region(15 secret bytes))");
    assert_eq!(format!("{span:?}"), "Span(0..15)");
}

/// The limit belongs to a whole process and root is above it, so a child of another user tries.
#[test]
fn a_lock_limit_that_is_too_low_is_named_with_both_figures() {
    if std::env::var_os("CLOUDTASER_TEST_LIMIT").is_some() {
        drop_capabilities_to(libc::rlimit { rlim_cur: 65_536, rlim_max: 65_536 });
        drop(Region::create(65_536).unwrap());
        let refused = Region::create(65_537).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "secret memory needs 69632 more locked bytes, RLIMIT_MEMLOCK allows 65536 in all"
        );
        return;
    }
    let name = "a_lock_limit_that_is_too_low_is_named_with_both_figures";
    let child = Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--test-threads=1"])
        .env("CLOUDTASER_TEST_LIMIT", "1")
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
}

fn drop_capabilities_to(limit: libc::rlimit) {
    // SAFETY: `limit` is a valid rlimit.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const limit) }, 0);
    // SAFETY: no pointers are passed. Every thread of the process leaves root behind.
    assert_eq!(unsafe { libc::setuid(65_534) }, 0);
}

#[test]
fn this_kernel_offers_secret_memory() {
    match secretmem::probe() {
        Ok(()) => {}
        Err(absent @ (Error::Absent | Error::Disabled)) => {
            let required = std::env::var_os("REQUIRE").unwrap_or_default();
            let required = required.to_string_lossy().split(',').any(|required| required == "memfd_secret");
            assert!(!required, "{absent}");
            println!("SKIP this_kernel_offers_secret_memory: {absent}");
        }
        Err(other) => panic!("{other}"),
    }
}
