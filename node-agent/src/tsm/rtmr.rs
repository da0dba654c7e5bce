//! RTMR 2 and 3 of a TD, by the kernel's files (Linux 6.16).
//!
//! Writing 48 bytes extends the register by them; reading gives its value. Firmware and boot loader use registers 0 to 2, and
//! the last of these takes in what the system says of itself; 3 is left to the cluster.
//!
//! Source: Linux `Documentation/ABI/testing/sysfs-devices-virtual-misc-tdx_guest`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::PathBuf;

use attest::crypto::{AwsLcRs, Crypto as _, Hash};

use super::{Error, Provider};
use crate::device::Fault;
use crate::registers::Register;

/// A register that what runs in the TD may extend.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rtmr {
    number: u8,
    path: PathBuf,
}

impl Rtmr {
    /// Where Linux has RTMR 2.
    pub const RTMR_2: &'static str = "/sys/devices/virtual/misc/tdx_guest/measurements/rtmr2:sha384";
    /// Where Linux has RTMR 3.
    pub const RTMR_3: &'static str = "/sys/devices/virtual/misc/tdx_guest/measurements/rtmr3:sha384";

    /// Touches nothing yet.
    #[must_use]
    pub fn new(number: u8, path: PathBuf) -> Self {
        Self { number, path }
    }

    fn failed(&self, call: &'static str, source: io::Error) -> Error {
        let path = self.path.clone();
        if source.kind() == io::ErrorKind::NotFound {
            return Error::NoRegister { path, source };
        }
        Error::from_call(Provider::TdxGuest, call, &path, source)
    }
}

impl Register for Rtmr {
    fn name(&self) -> String {
        format!("RTMR {}", self.number)
    }

    fn values(&self) -> Result<BTreeMap<Hash, Vec<u8>>, Fault> {
        match fs::read(&self.path) {
            Ok(value) if value.len() == LENGTH => Ok(BTreeMap::from([(Hash::Sha384, value)])),
            Ok(value) => {
                let (path, expected, found) = (self.path.clone(), LENGTH, value.len());
                Err(Error::Register { path, expected, found }.into())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeMap::new()),
            Err(error) => Err(self.failed("read", error).into()),
        }
    }

    fn extend(&self, content: &[u8]) -> Result<(), Fault> {
        let digest = AwsLcRs.sha384(&[content]).0;
        let opened = File::options().write(true).open(&self.path);
        let written =
            opened.and_then(|mut file| file.write(&digest)).map_err(|error| self.failed("write", error))?;
        if written != LENGTH {
            let (path, expected, found) = (self.path.clone(), LENGTH, written);
            return Err(Error::Short { path, expected, found }.into());
        }
        Ok(())
    }
}

/// SHA-384.
const LENGTH: usize = 48;
