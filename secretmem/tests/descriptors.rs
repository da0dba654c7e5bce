//! An open descriptor is as good as the secret: who has one, and for how long.
#![expect(unsafe_code, reason = "the theft is a system call that no safe interface has")]
#![expect(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::process;
use std::sync::Mutex;

use secretmem::{Builder, Parcel, Region};

const CANARY: &[u8] = b"canary-5f1e0c77";

/// These tests look at all descriptors of the process.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

#[test]
fn a_region_leaves_no_descriptor_open() {
    let _one_at_a_time = ONE_AT_A_TIME.lock().unwrap();
    let mut builder = Builder::with_capacity(CANARY.len()).unwrap();
    builder.push(CANARY).unwrap();
    let values = builder.freeze().unwrap();
    let open: Vec<String> = fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| fs::read_link(entry.unwrap().path()).ok())
        .map(|path| path.display().to_string())
        .filter(|path| path.contains("secretmem"))
        .collect();
    drop(values);
    assert_eq!(open, Vec::<String>::new());
}

#[test]
fn a_parcel_not_given_away_is_wiped() {
    let _one_at_a_time = ONE_AT_A_TIME.lock().unwrap();
    let mut parcel = Parcel::create(CANARY.len()).unwrap();
    parcel.bytes_mut().unwrap().copy_from_slice(CANARY);
    let second_view = duplicate(&parcel);
    drop(parcel);
    let seen = Region::receive(second_view, CANARY.len()).unwrap();
    assert_eq!(seen.bytes(), [0; 15]);
}

/// Steals the descriptor out of /proc/self/fd by number, as `pidfd_getfd` would.
fn duplicate(parcel: &Parcel) -> OwnedFd {
    assert_eq!(format!("{parcel:?}"), "Parcel(15 secret bytes)");
    let newest = fs::read_dir("/proc/self/fd")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            fs::read_link(path).is_ok_and(|target| target.display().to_string().contains("secretmem"))
        })
        .map(|path| path.file_name().unwrap().to_str().unwrap().parse::<i32>().unwrap())
        .max()
        .unwrap();
    // SAFETY: the descriptor belongs to a live parcel of this process.
    unsafe { BorrowedFd::borrow_raw(newest) }.try_clone_to_owned().unwrap()
}

#[test]
fn an_open_descriptor_is_the_hole_that_regions_close() {
    let _one_at_a_time = ONE_AT_A_TIME.lock().unwrap();
    let mut parcel = Parcel::create(CANARY.len()).unwrap();
    parcel.bytes_mut().unwrap().copy_from_slice(CANARY);
    let fd = parcel.give();
    // SAFETY: no pointers are passed.
    let pidfd = unsafe { libc::syscall(libc::SYS_pidfd_open, process::id(), 0) };
    // SAFETY: no pointers are passed.
    let stolen = unsafe { libc::syscall(libc::SYS_pidfd_getfd, pidfd, fd.as_raw_fd(), 0) };
    assert!(stolen >= 0, "{}", io::Error::last_os_error());
    // SAFETY: the kernel just made this descriptor for us.
    let stolen = unsafe { OwnedFd::from_raw_fd(i32::try_from(stolen).unwrap()) };
    assert_eq!(Region::receive(stolen, CANARY.len()).unwrap().bytes(), CANARY);
}
