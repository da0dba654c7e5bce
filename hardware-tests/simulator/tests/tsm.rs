//! The report interface as an agent meets it: real system calls on a mounted file system.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test that cannot set up or read its file system has failed; a skip says so"
)]

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sev::certs::snp::{Chain, Verifiable};
use sev::firmware::guest::AttestationReport;
use sev::parser::ByteParser;
use simulator::snp::{Chip, Product};
use simulator::tdx::Platform;
use simulator::tsm::{Fault, Machine, Mount, at_the_kernels_path};
use tempfile::TempDir;

const EIO: i32 = 5;
const ENXIO: i32 = 6;
const EACCES: i32 = 13;
const EBUSY: i32 = 16;
const EEXIST: i32 = 17;
const EINVAL: i32 = 22;
const ENOTTY: i32 = 25;
const EFBIG: i32 = 27;
const EPERM: i32 = 1;
const ETIMEDOUT: i32 = 110;

#[test]
fn a_whole_request_gives_a_report_that_verifies() {
    let Some(guest) = Guest::start(|machine| machine) else { return };
    let request = guest.request("r0");
    fs::write(request.join("inblob"), [7; 64]).unwrap();
    let report = fs::read(request.join("outblob")).unwrap();
    assert_eq!(fs::read_to_string(request.join("generation")).unwrap(), "1\n");
    assert_eq!(report.len(), 1184);
    assert_eq!(report[0x50..0x90], [7; 64]);
    assert_eq!(fs::read(request.join("auxblob")).unwrap(), fs::read(request.join("auxblob")).unwrap());
    let chain = guest.chip.chain();
    let chain = Chain::from_der(&chain.ark, &chain.ask, &chain.vcek).unwrap();
    (&chain, &AttestationReport::from_bytes(&report).unwrap()).verify().unwrap();
    fs::remove_dir(&request).unwrap();
    assert_eq!(fs::metadata(&request).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn files_modes_and_sizes_are_the_kernels() {
    let Some(guest) = Guest::start(|machine| machine) else { return };
    let request = guest.request("r0");
    let mut seen: Vec<(String, u32, u64)> = fs::read_dir(&request)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), entry.metadata().unwrap()))
        .map(|(name, metadata)| (name, metadata.mode() & 0o7777, metadata.size()))
        .collect();
    seen.sort();
    let expected = [
        ("auxblob", 0o444, 0),
        ("generation", 0o444, 4096),
        ("inblob", 0o200, 0),
        ("outblob", 0o444, 0),
        ("privlevel", 0o200, 4096),
        ("privlevel_floor", 0o444, 4096),
        ("provider", 0o444, 4096),
    ];
    assert_eq!(seen, expected.map(|(name, mode, size)| (name.to_owned(), mode, size)));
    assert_eq!(fs::read_to_string(request.join("provider")).unwrap(), "sev_guest\n");
    assert_eq!(fs::read_to_string(request.join("privlevel_floor")).unwrap(), "0\n");
    assert_eq!(fs::read_to_string(request.join("generation")).unwrap(), "0\n");
}

#[test]
fn a_td_has_neither_certificates_nor_privilege_levels() {
    let quote = Platform::new(1).quote();
    let Some(guest) = Guest::start(|_| Machine::tdx(quote)) else { return };
    let request = guest.request("r0");
    let mut names: Vec<_> = fs::read_dir(&request)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["generation", "inblob", "outblob", "provider"]);
    assert_eq!(fs::read_to_string(request.join("provider")).unwrap(), "tdx_guest\n");
    assert_eq!(fs::read(request.join("auxblob")).unwrap_err().kind(), ErrorKind::NotFound);
    fs::write(request.join("inblob"), [7; 63]).unwrap();
    assert_eq!(errno(fs::read(request.join("outblob"))), EINVAL);
    fs::write(request.join("inblob"), [7; 64]).unwrap();
    let quote = fs::read(request.join("outblob")).unwrap();
    assert_eq!(quote[568..632], [7; 64]);
    assert_eq!(fs::read_to_string(request.join("generation")).unwrap(), "2\n");
}

#[test]
fn an_inblob_counts_when_it_is_closed() {
    let Some(guest) = Guest::start(|machine| machine) else { return };
    let request = guest.request("r0");
    let mut inblob = writer(&request.join("inblob"));
    inblob.write_all(&[1; 32]).unwrap();
    inblob.write_all(&[2; 32]).unwrap();
    assert_eq!(fs::read_to_string(request.join("generation")).unwrap(), "0\n");
    assert_eq!(errno(fs::read(request.join("outblob"))), EINVAL);
    drop(inblob);
    assert_eq!(fs::read_to_string(request.join("generation")).unwrap(), "1\n");
    assert_eq!(fs::read(request.join("outblob")).unwrap()[0x50 + 31..0x50 + 33], [1, 2]);
}

#[test]
fn reading_before_writing_is_invalid() {
    let Some(guest) = Guest::start(|machine| machine) else { return };
    let request = guest.request("r0");
    assert_eq!(errno(fs::read(request.join("outblob"))), EINVAL);
    assert_eq!(errno(fs::read(request.join("auxblob"))), EINVAL);
}

#[test]
fn an_inblob_of_another_length_fails_when_the_report_is_read() {
    let Some(guest) = Guest::start(|machine| machine) else { return };
    let request = guest.request("r0");
    fs::write(request.join("inblob"), [7; 48]).unwrap();
    assert_eq!(errno(fs::read(request.join("outblob"))), EINVAL);
    assert_eq!(errno(fs::write(request.join("inblob"), [7; 65])), EFBIG);
    assert_eq!(errno(writer(&request.join("inblob")).write_all_at(&[7; 64], 1)), EFBIG);
}

#[test]
fn a_report_is_kept_until_something_is_written() {
    let Some(guest) = Guest::start(|machine| machine) else { return };
    let request = guest.request("r0");
    fs::write(request.join("inblob"), [7; 64]).unwrap();
    let first = fs::read(request.join("outblob")).unwrap();
    assert_eq!(fs::read(request.join("outblob")).unwrap(), first);
    fs::write(request.join("privlevel"), "2").unwrap();
    assert_eq!(fs::read_to_string(request.join("generation")).unwrap(), "2\n");
    let second = fs::read(request.join("outblob")).unwrap();
    assert_eq!((first[0x30], second[0x30]), (0, 2));
}

#[test]
fn a_privilege_level_is_text_between_floor_and_three() {
    let Some(guest) = Guest::start(|machine| machine.privlevel_floor(1)) else { return };
    let request = guest.request("r0");
    let privlevel = request.join("privlevel");
    assert_eq!(fs::read_to_string(request.join("privlevel_floor")).unwrap(), "1\n");
    for wrong in [&b"0"[..], b"4", b"\x02", b"two", b"-1"] {
        assert_eq!(errno(fs::write(&privlevel, wrong)), EINVAL, "{wrong:?}");
    }
    fs::write(request.join("inblob"), [7; 64]).unwrap();
    assert_eq!(errno(fs::read(request.join("outblob"))), EIO);
    fs::write(&privlevel, "3\n").unwrap();
    assert_eq!(fs::read_to_string(request.join("generation")).unwrap(), "2\n");
    assert_eq!(fs::read(request.join("outblob")).unwrap()[0x30], 3);
}

#[test]
fn modes_bind_even_root() {
    let Some(guest) = Guest::start(|machine| machine) else { return };
    let request = guest.request("r0");
    assert_eq!(errno(File::open(request.join("inblob"))), EACCES);
    assert_eq!(errno(OpenOptions::new().write(true).open(request.join("outblob"))), EACCES);
    assert_eq!(errno(OpenOptions::new().read(true).write(true).open(request.join("inblob"))), EACCES);
    assert_eq!(errno(File::create(request.join("other"))), EACCES);
    assert_eq!(errno(fs::remove_file(request.join("inblob"))), EPERM);
    assert_eq!(errno(fs::create_dir(request.join("nested"))), EPERM);
    assert_eq!(errno(fs::create_dir(&request)), EEXIST);
}

#[test]
fn two_requests_do_not_touch_each_other() {
    let Some(guest) = Guest::start(|machine| machine) else { return };
    let (one, two) = (guest.request("one"), guest.request("two"));
    fs::write(one.join("inblob"), [1; 64]).unwrap();
    fs::write(two.join("inblob"), [2; 64]).unwrap();
    assert_eq!(fs::read(one.join("outblob")).unwrap()[0x50], 1);
    assert_eq!(fs::read(two.join("outblob")).unwrap()[0x50], 2);
    assert_eq!(fs::read_to_string(one.join("generation")).unwrap(), "1\n");
}

#[test]
fn an_open_file_reads_in_pieces_of_one_report() {
    let Some(guest) = Guest::start(|machine| machine) else { return };
    let request = guest.request("r0");
    fs::write(request.join("inblob"), [1; 64]).unwrap();
    let mut outblob = File::open(request.join("outblob")).unwrap();
    let mut head = [0; 600];
    outblob.read_exact(&mut head).unwrap();
    fs::write(request.join("inblob"), [2; 64]).unwrap();
    let mut tail = Vec::new();
    outblob.read_to_end(&mut tail).unwrap();
    let whole = [&head[..], &tail].concat();
    let chain = guest.chip.chain();
    let chain = Chain::from_der(&chain.ark, &chain.ask, &chain.vcek).unwrap();
    (&chain, &AttestationReport::from_bytes(&whole).unwrap()).verify().unwrap();
}

#[test]
fn faults_are_the_errors_of_real_machines() {
    for (fault, expected) in
        [(Fault::Busy, EBUSY), (Fault::TimedOut, ETIMEDOUT), (Fault::GoneAfter(0), ENOTTY)]
    {
        let Some(guest) = Guest::start(|machine| machine.fault(fault)) else { return };
        let request = guest.request("r0");
        fs::write(request.join("inblob"), [7; 64]).unwrap();
        assert_eq!(errno(fs::read(request.join("outblob"))), expected, "{fault:?}");
    }
}

#[test]
fn a_machine_without_a_driver_makes_no_directory() {
    let Some(guest) = Guest::start(|machine| machine.fault(Fault::NoProvider)) else { return };
    assert_eq!(errno(fs::create_dir(guest.mount.path().join("r0"))), ENXIO);
}

#[test]
fn a_lost_channel_stays_lost() {
    let Some(guest) = Guest::start(|machine| machine.fault(Fault::GoneAfter(1))) else { return };
    let request = guest.request("r0");
    fs::write(request.join("inblob"), [7; 64]).unwrap();
    fs::read(request.join("outblob")).unwrap();
    for _ in 0..3 {
        fs::write(request.join("inblob"), [8; 64]).unwrap();
        assert_eq!(errno(fs::read(request.join("outblob"))), ENOTTY);
    }
}

#[test]
fn a_racing_writer_shows_in_the_generation() {
    let Some(guest) = Guest::start(|machine| machine.fault(Fault::GenerationRace)) else { return };
    let request = guest.request("r0");
    fs::write(request.join("inblob"), [7; 64]).unwrap();
    assert_eq!(fs::read(request.join("outblob")).unwrap()[0x50..0x90], [0xee; 64]);
    assert_eq!(fs::read_to_string(request.join("generation")).unwrap(), "2\n");
}

#[test]
fn a_slow_machine_is_slow() {
    let delay = Duration::from_millis(300);
    let Some(guest) = Guest::start(|machine| machine.fault(Fault::Slow(delay))) else { return };
    let request = guest.request("r0");
    fs::write(request.join("inblob"), [7; 64]).unwrap();
    let start = Instant::now();
    assert_eq!(fs::read(request.join("outblob")).unwrap()[0x50], 7);
    assert!(start.elapsed() >= delay);
}

#[test]
fn a_command_finds_the_reports_at_the_kernels_path() {
    let Some(guest) = Guest::start(|machine| machine) else { return };
    let script = "cd /sys/kernel/config/tsm/report && mkdir r && head -c 64 /dev/zero > r/inblob \
                  && cat r/outblob && rmdir r && test -d /sys/kernel/mm";
    let output = at_the_kernels_path(guest.mount.path(), "sh").args(["-c", script]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.stdout.len(), 1184);
    assert_eq!(fs::metadata("/sys/kernel/config/tsm/report/r").unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn a_command_without_its_reports_does_not_run() {
    let output = at_the_kernels_path(Path::new("/no/reports"), "echo").arg("ran").output().unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(125), &b""[..]));
}

#[test]
fn the_mount_goes_away_with_its_guard() {
    let Some(guest) = Guest::start(|machine| machine) else { return };
    let path = guest.mount.path().to_owned();
    let mounted = fs::metadata(&path).unwrap().dev();
    drop(guest.mount);
    assert_ne!(fs::metadata(&path).unwrap().dev(), mounted);
}

struct Guest {
    chip: Chip,
    mount: Mount,
    _directory: TempDir,
}

impl Guest {
    /// A mounted guest, or nothing on a machine that proves to have no FUSE.
    fn start(settings: impl FnOnce(Machine) -> Machine) -> Option<Self> {
        if !Path::new("/dev/fuse").exists() {
            let required = std::env::var("REQUIRE").unwrap_or_default();
            assert!(!required.split(',').any(|feature| feature == "fuse"), "/dev/fuse is absent");
            eprintln!("SKIP tsm: /dev/fuse is absent");
            return None;
        }
        let chip = Chip::new(1, Product::Genoa);
        let directory = TempDir::new().unwrap();
        let mount = Mount::new(settings(Machine::new(&chip)), directory.path()).unwrap();
        Some(Self { chip, mount, _directory: directory })
    }

    fn request(&self, name: &str) -> PathBuf {
        let request = self.mount.path().join(name);
        fs::create_dir(&request).unwrap();
        request
    }
}

fn writer(path: &Path) -> File {
    OpenOptions::new().write(true).open(path).unwrap()
}

fn errno<T>(result: std::io::Result<T>) -> i32 {
    result.map(drop).unwrap_err().raw_os_error().unwrap()
}
