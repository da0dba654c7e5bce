//! A TD's device, log, registers and quoting service, as programs meet them.

#![expect(clippy::unwrap_used, reason = "a test that cannot set up its world has failed")]
#![expect(clippy::print_stderr, reason = "a skip says so")]
#![expect(clippy::disallowed_methods, reason = "REQUIRE is read here")]

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;

use aws_lc_rs::digest::{SHA384, digest};
use simulator::td::{Files, Quoting, QuotingFault, REPORT, Td};
use simulator::tdx::Platform;
use tempfile::TempDir;

/// A TD's files, or nothing on a machine that proves to have no FUSE.
fn files(td: &Td) -> Option<(Files, TempDir)> {
    if !Path::new("/dev/fuse").exists() {
        let required = std::env::var("REQUIRE").unwrap_or_default();
        assert!(!required.split(',').any(|feature| feature == "fuse"), "/dev/fuse is absent");
        eprintln!("SKIP a TD's files: /dev/fuse is absent");
        return None;
    }
    let folder = TempDir::new().unwrap();
    Some((Files::new(td, folder.path()).unwrap(), folder))
}

fn errno<T>(result: std::io::Result<T>) -> Option<i32> {
    result.err().and_then(|error| error.raw_os_error())
}

#[test]
fn a_register_takes_whole_digests_and_what_it_took_is_in_the_next_quote() {
    let td = Td::new(Platform::new(1).quote().rtmr(3, [0; 48])).event_log(b"log".to_vec());
    let Some((files, _folder)) = files(&td) else { return };
    let write = |number: usize, value: &[u8]| {
        let file = File::options().write(true).open(files.register(number));
        errno(file.and_then(|mut file| file.write_all(value)))
    };
    assert_eq!(write(3, &[7; 48]), None);
    let expected = digest(&SHA384, &[[0; 48], [7; 48]].concat());
    assert_eq!(fs::read(files.register(3)).unwrap(), expected.as_ref());
    assert_eq!(td.registers().values()[3], expected.as_ref());
    assert_eq!(write(3, &[7; 47]), Some(22));
    assert_eq!(write(0, &[7; 48]), Some(13));
    assert_eq!(fs::read(files.register(0)).unwrap(), [0x10; 48]);
    assert_eq!(fs::read(files.event_log()).unwrap(), b"log");
    assert!(files.device().exists());
}

#[test]
fn the_quoting_service_quotes_this_machines_reports_and_no_others() {
    let td = Td::new(Platform::new(1).quote());
    let folder = TempDir::new().unwrap();
    let service = Quoting::listen(&td, QuotingFault::Healthy, &folder.path().join("qgs")).unwrap();
    assert!(service.address().starts_with("unix:/"));
    let ask = |report: &[u8; REPORT]| {
        let head: Vec<u8> = [1, 0, 1048, 0, 1024, 0].map(u32::to_le_bytes).concat();
        let mut stream = UnixStream::connect(folder.path().join("qgs")).unwrap();
        stream.write_all(&[&1048_u32.to_be_bytes()[..], &head, report].concat()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        answer
    };
    let mut report = td.report([9; 64]);
    let answer = ask(&report);
    assert_eq!(answer[4..16], [1, 0, 0, 0, 1, 0, 0, 0, answer[12], answer[13], 0, 0]);
    assert_eq!(answer[28 + 568..28 + 632], [9; 64]);
    report[128] = 8;
    assert_eq!(ask(&report)[16..20], 0x0001_2003_u32.to_le_bytes());
}
