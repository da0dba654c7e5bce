//! SEV-SNP reports from `/dev/sev-guest`, for kernels whose driver serves no report interface (5.19 to 6.6).
//!
//! First the request that brings the host's certificates with the report; a host that has more of them than there
//! is room for is asked again, for the report alone.
//!
//! Source: Linux `include/uapi/linux/sev-guest.h`; AMD 56860 r1.58, section 7.3 and table 24 (`MSG_REPORT_RSP`).
//! Untrusted: the host.

mod ioctl;

use std::fs::File;
use std::path::Path;

use attest::snp::Report;
use nix::errno::Errno;

use super::{Blobs, Error, Provider};
use ioctl::{RESPONSE, Refusal};

/// Asks once.
pub(super) fn ask(path: &Path, user_data: &[u8; 64], vmpl: u8) -> Result<Blobs, Error> {
    let opened = File::options().read(true).write(true).open(path);
    let device = opened.map_err(|error| Error::from_open(Provider::SevGuest, path, error))?;
    let mut table = vec![0; MAX_TABLE];
    let answer = match ioctl::extended_report(&device, user_data, vmpl.into(), &mut table) {
        Err(refusal) if lacks_room(&refusal) => {
            table.clear();
            ioctl::report(&device, user_data, vmpl.into())
        }
        other => other,
    };
    let response = answer.map_err(|refusal| told(path, &refusal))?;
    Ok(Blobs { outblob: report_in(path, &response)?, auxblob: table })
}

/// `SNP_GUEST_VMM_ERR_INVALID_LEN`: the one refusal of the host after which the driver keeps its key.
fn lacks_room(refusal: &Refusal) -> bool {
    refusal.errno == Errno::EIO && refusal.host() == INVALID_LENGTH
}

fn told(path: &Path, refusal: &Refusal) -> Error {
    let source = refusal.errno.into();
    if refusal.errno == Errno::EIO {
        let (firmware, host) = (refusal.firmware(), refusal.host());
        return Error::Refused { path: path.to_owned(), firmware, host, source };
    }
    Error::from_call(Provider::SevGuest, "ioctl", path, source)
}

/// Status, length, 24 reserved bytes, the report.
fn report_in(path: &Path, response: &[u8; RESPONSE]) -> Result<Vec<u8>, Error> {
    let wrong = |expected, found| Error::Response { path: path.to_owned(), expected, found };
    let [status, length] = [0, 4].map(|offset| word(response, offset));
    if status != 0 {
        return Err(wrong("status 0 of the firmware", status));
    }
    match usize::try_from(length) {
        Ok(length) if length == Report::LEN => {}
        _ => return Err(wrong("a report of 1184 bytes", length)),
    }
    let report = response.iter().skip(HEADER).take(Report::LEN);
    Ok(report.copied().collect())
}

fn word(bytes: &[u8], offset: usize) -> u32 {
    let mut word = [0; 4];
    for (to, from) in word.iter_mut().zip(bytes.iter().skip(offset)) {
        *to = *from;
    }
    u32::from_le_bytes(word)
}

const HEADER: usize = 32;
/// `SEV_FW_BLOB_MAX_SIZE`: the most that the driver takes.
const MAX_TABLE: usize = 0x4000;
const INVALID_LENGTH: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(errno: Errno, detail: u64) -> Refusal {
        Refusal { errno, detail }
    }

    fn response(status: u32, length: u32) -> [u8; RESPONSE] {
        let mut response = [0x5a; RESPONSE];
        response[..4].copy_from_slice(&status.to_le_bytes());
        response[4..8].copy_from_slice(&length.to_le_bytes());
        response
    }

    #[test]
    fn a_report_begins_after_the_header_of_the_answer() {
        let mut answer = response(0, 1184);
        answer[32] = 0xa5;
        let report = report_in(Path::new("/dev/sev-guest"), &answer).unwrap();
        assert_eq!((report.len(), report[0], report[1]), (1184, 0xa5, 0x5a));
    }

    #[test]
    fn an_answer_that_is_no_report_is_told_as_such() {
        let told = |answer| report_in(Path::new("/dev/sev-guest"), &answer).unwrap_err().to_string();
        let status = "/dev/sev-guest: expected status 0 of the firmware, found 22";
        assert_eq!(told(response(22, 1184)), status);
        assert_eq!(told(response(0, 1185)), "/dev/sev-guest: expected a report of 1184 bytes, found 1185");
    }

    #[test]
    fn only_a_host_with_too_many_certificates_is_asked_a_second_time() {
        assert!(lacks_room(&refusal(Errno::EIO, 1 << 32)));
        assert!(!lacks_room(&refusal(Errno::EIO, 1)));
        assert!(!lacks_room(&refusal(Errno::EIO, 2 << 32)));
        assert!(!lacks_room(&refusal(Errno::ENOTTY, 1 << 32)));
    }

    #[test]
    fn a_refusal_says_what_firmware_and_host_said() {
        let path = Path::new("/dev/sev-guest");
        let refused = told(path, &refusal(Errno::EIO, (2 << 32) | 0xff));
        let expected =
            "/dev/sev-guest: refused, firmware error 0xff, host error 0x2 (Input/output error (os error 5))";
        assert_eq!(refused.to_string(), expected);
        assert!(matches!(told(path, &refusal(Errno::ENOTTY, 0)), Error::Gone { .. }));
        assert!(matches!(told(path, &refusal(Errno::ETIMEDOUT, 0)), Error::TimedOut { .. }));
        assert!(matches!(told(path, &refusal(Errno::EBUSY, 0)), Error::Busy { .. }));
    }

    #[test]
    fn a_file_that_is_not_the_device_is_told_as_such() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = ask(file.path(), &[0; 64], 0).unwrap_err();
        assert!(matches!(error, Error::Gone { .. }), "{error}");
        let error = ask(Path::new("/dev/no-such-guest"), &[0; 64], 0).unwrap_err();
        assert!(matches!(error, Error::NoProvider { .. }), "{error}");
    }
}
