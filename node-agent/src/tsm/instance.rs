//! One report directory, for one request: made, used once, removed.
//!
//! The generation ties an answer to a question: it counts every write, so as long as it equals the number
//! of our own writes, nobody else has asked anything in this directory.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Blobs, Error, Provider};

/// A directory that goes away with this value.
#[derive(Debug)]
pub(super) struct Instance {
    path: PathBuf,
    provider: Provider,
    writes: u64,
}

impl Instance {
    /// Makes a directory of a name that nobody else has.
    pub(super) fn make(reports: &Path, provider: Provider) -> Result<Self, Error> {
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = reports.join(format!("cloudtaser-{}-{number}", std::process::id()));
            match fs::create_dir(&path) {
                Ok(()) => return Ok(Self { path, provider, writes: 0 }),
                // Left over from an earlier process of this number.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Error::from_call(provider, "mkdir", reports, error)),
            }
        }
    }

    /// Asks one question and takes the answer to it.
    pub(super) fn ask(&mut self, inblob: &[u8; 64], privlevel: Option<u8>) -> Result<Blobs, Error> {
        self.expect_provider()?;
        if let Some(level) = privlevel {
            // Text: the kernel parses it with kstrtouint().
            self.write("privlevel", level.to_string().as_bytes())?;
        }
        self.write("inblob", inblob)?;
        let outblob = self.read("outblob", MAX_OUTBLOB)?;
        self.expect_generation()?;
        if outblob.is_empty() {
            return Err(Error::Empty { path: self.path.join("outblob") });
        }
        let auxblob = match self.read("auxblob", MAX_AUXBLOB) {
            // A TD has none.
            Err(Error::Call { source, .. }) if source.kind() == io::ErrorKind::NotFound => Vec::new(),
            other => other?,
        };
        self.expect_generation()?;
        Ok(Blobs { outblob, auxblob })
    }

    fn expect_provider(&self) -> Result<(), Error> {
        let (expected, found) = (self.provider, self.read_text("provider")?);
        if found == expected.name() { Ok(()) } else { Err(Error::Provider { expected, found }) }
    }

    fn expect_generation(&self) -> Result<(), Error> {
        let found = self.read_text("generation")?;
        let expected = self.writes;
        if found == expected.to_string() { Ok(()) } else { Err(Error::Raced { expected, found }) }
    }

    /// One write, one close: `inblob` takes effect when the file is closed.
    fn write(&mut self, name: &str, content: &[u8]) -> Result<(), Error> {
        let path = self.path.join(name);
        let result = File::options().write(true).open(&path).and_then(|mut file| file.write(content));
        let written = result.map_err(|error| Error::from_call(self.provider, "write", &path, error))?;
        if written != content.len() {
            return Err(Error::Short { path, expected: content.len(), found: written });
        }
        self.writes = self.writes.saturating_add(1);
        Ok(())
    }

    /// One open file for the whole blob: its content is made at the first read.
    fn read(&self, name: &str, limit: usize) -> Result<Vec<u8>, Error> {
        let path = self.path.join(name);
        let called = |error| Error::from_call(self.provider, "read", &path, error);
        let mut file = File::open(&path).map_err(called)?;
        let (mut content, mut chunk) = (Vec::new(), [0; 4096]);
        // Not read_to_end(), which never returns where EINTR does not pass.
        loop {
            let count = file.read(&mut chunk).map_err(called)?;
            if count == 0 {
                return Ok(content);
            }
            content.extend_from_slice(chunk.get(..count).unwrap_or_default());
            if content.len() > limit {
                return Err(Error::TooLong { path, limit });
            }
        }
    }

    fn read_text(&self, name: &str) -> Result<String, Error> {
        let content = self.read(name, MAX_TEXT)?;
        Ok(String::from_utf8_lossy(&content).chars().take(40).collect::<String>().trim().to_owned())
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // Whatever stops the removal, the next request uses another name.
        drop(fs::remove_dir(&self.path));
    }
}

static NEXT: AtomicU64 = AtomicU64::new(0);
/// The kernel's own limit in its first version; an SNP report has 1184 bytes, a TD quote about 5000.
const MAX_OUTBLOB: usize = 32 * 1024;
/// The host's table of certificates: some kilobytes in practice.
const MAX_AUXBLOB: usize = 1024 * 1024;
/// configfs gives a text file one page.
const MAX_TEXT: usize = 4096;
