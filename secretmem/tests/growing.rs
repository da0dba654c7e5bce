//! Memory that grows where it lies, and memory that stands in where there is none that is secret.
#![expect(unsafe_code, reason = "limits of a process that is not root's are set by system calls")]
#![expect(clippy::unwrap_used, reason = "a test")]

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::process::Command;

use secretmem::{Error, Growing, Kind, Parcel, Region, allow_ordinary, kind};

const CANARY: &[u8] = b"canary-5f1e0c77";

#[test]
fn bytes_stay_where_and_what_they_are_while_there_come_more() {
    let mut growing = Growing::create(20_000).unwrap();
    assert_eq!(growing.bytes(), b"");
    growing.grow(1).unwrap();
    growing.bytes_mut()[..15].copy_from_slice(CANARY);
    let before = growing.bytes().as_ptr();
    growing.grow(20_000).unwrap();
    growing.bytes_mut()[19_999] = 1;
    assert_eq!((growing.bytes().as_ptr(), &growing.bytes()[..15]), (before, CANARY));
    assert_eq!(growing.bytes().len(), 20_480);
    let refused = growing.grow(20_001).unwrap_err();
    assert!(matches!(refused, Error::Full { needed: 20_001, left: 20_000 }), "{refused}");
}

#[test]
fn root_reads_none_of_it_and_finds_no_descriptor() {
    let mut growing = Growing::create(8192).unwrap();
    growing.grow(4096).unwrap();
    growing.grow(8192).unwrap();
    growing.bytes_mut()[4090..4105].copy_from_slice(CANARY);
    let memory = File::open("/proc/self/mem").unwrap();
    let at = |offset: usize| u64::try_from(growing.bytes().as_ptr().addr() + offset).unwrap();
    for offset in [0, 4096, 8191] {
        let refused = memory.read_exact_at(&mut [0], at(offset)).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::EIO));
    }
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    assert!(maps.contains("secretmem"), "{maps}");
    let open = fs::read_dir("/proc/self/fd").unwrap().filter_map(|fd| fs::read_link(fd.unwrap().path()).ok());
    assert_eq!(open.filter(|link| link.display().to_string().contains("secretmem")).count(), 0);
}

/// The limit belongs to a whole process and root is above it, so a child of another user tries.
#[test]
fn ordinary_memory_stands_in_only_where_it_is_allowed() {
    let name = "ordinary_memory_stands_in_only_where_it_is_allowed";
    match std::env::var_os("CLOUDTASER_TEST_LIMIT").as_deref().map(|limit| limit.to_str().unwrap().parse()) {
        Some(limit) => try_with(limit.unwrap()),
        None => {
            for limit in ["0", "4096"] {
                let child = Command::new(std::env::current_exe().unwrap())
                    .args([name, "--exact", "--test-threads=1"])
                    .env("CLOUDTASER_TEST_LIMIT", limit)
                    .output()
                    .unwrap();
                assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
            }
        }
    }
}

fn try_with(limit: u64) {
    let limits = libc::rlimit { rlim_cur: limit, rlim_max: limit };
    // SAFETY: `limits` is a valid rlimit.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const limits) }, 0);
    // SAFETY: no pointers are passed. Every thread of the process leaves root behind.
    assert_eq!(unsafe { libc::setuid(65_534) }, 0);
    let refused = Region::create(8192).unwrap_err().to_string();
    assert_eq!(
        refused,
        format!("secret memory needs 8192 more locked bytes, RLIMIT_MEMLOCK allows {limit} in all")
    );
    allow_ordinary();
    let one_page = Region::create(1).unwrap();
    // A limit of nothing lets nothing be locked; one page can be had, and is secret.
    assert_eq!(kind(), if limit == 0 { Kind::Unlocked } else { Kind::Secret });
    drop(one_page);
    let mut parcel = Parcel::create(8192).unwrap();
    parcel.bytes_mut().unwrap().get_mut(..15).unwrap().copy_from_slice(CANARY);
    let received = Region::receive(parcel.give(), 8192).unwrap();
    assert_eq!((received.bytes().get(..15), kind()), (Some(CANARY), Kind::Unlocked));
}
