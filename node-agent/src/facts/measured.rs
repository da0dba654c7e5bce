//! What was measured since the machine started, kept as long as the register keeps it.
//!
//! Each text lies in a file of its own in a folder that does not outlive a boot, under a number and the value that the register
//! had before. It is written before the register takes it in: where the agent ends in between, the next one sees that the
//! register still has the value of before, and forgets the text.
//!
//! Trusted: whoever may write the folder. Who puts other texts there makes the machine's log no longer fit, and is refused.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use attest::crypto::Hash;
use attest::eventlog::Facts;

use super::events::{self, Layout};
use crate::device::Fault;
use crate::logs::file::{Unread, read};
use crate::registers::Register;

/// As long as this is held, no facts are measured: a quote and the log that is read after it are then of one state.
pub(crate) fn still() -> RwLockReadGuard<'static, ()> {
    STILL.read().unwrap_or_else(PoisonError::into_inner)
}

static STILL: RwLock<()> = RwLock::new(());

/// The texts that one register took in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Measured {
    folder: PathBuf,
    layout: Layout,
}

impl Measured {
    /// Those that are kept in `folder`, of the register of this layout.
    #[must_use]
    pub fn new(folder: &Path, layout: Layout) -> Self {
        let name = match layout {
            Layout::Tpm => "pcr14",
            Layout::Cc => "rtmr2",
        };
        Self { folder: folder.join(name), layout }
    }

    /// Has the register take these facts in, unless they are what it took in last. Says whether it did.
    pub fn measure(&self, facts: &Facts, register: &dyn Register) -> Result<bool, NotMeasured> {
        let _alone = STILL.write().unwrap_or_else(PoisonError::into_inner);
        let kept = |source| self.unkept(source);
        fs::create_dir_all(&self.folder).map_err(kept)?;
        let before = strongest(register)?;
        let mut entries = self.entries().map_err(kept)?;
        if let Some(last) = entries.pop_if(|last| last.before == before) {
            fs::remove_file(&last.path).map_err(kept)?;
        }
        let text = facts.text();
        let last = entries.last().map(|entry| (entry.number, read(&entry.path, Facts::MAX_BYTES)));
        let number = match last {
            Some((_, Ok(same))) if same == text.as_bytes() => return Ok(false),
            Some((number, _)) => number.saturating_add(1),
            None => 0,
        };
        if number >= MAX_TEXTS {
            return Err(NotMeasured::TooOften { most: MAX_TEXTS });
        }
        // The last one says nothing, so that no rule goes by facts that are not told any more.
        let text = if number.saturating_add(1) == MAX_TEXTS { Facts::default().text() } else { text };
        let path = self.folder.join(format!("{number:03}-{before}"));
        let draft = self.folder.join(".new");
        fs::write(&draft, &text).and_then(|()| fs::rename(&draft, path)).map_err(kept)?;
        register
            .extend(text.as_bytes())
            .map_err(|fault| NotMeasured::Register { name: register.name(), fault })?;
        Ok(true)
    }

    /// The firmware's log with what was measured behind it.
    pub fn appended(&self, log: Vec<u8>) -> Result<Vec<u8>, NotMeasured> {
        let entries = self.entries().map_err(|source| self.unkept(source))?;
        let texts: Result<Vec<Vec<u8>>, Unread> =
            entries.iter().map(|entry| read(&entry.path, Facts::MAX_BYTES)).collect();
        let texts = texts.map_err(|unread| self.unkept(io::Error::other(unread.to_string())))?;
        Ok(events::append(log, self.layout, &texts))
    }

    fn unkept(&self, source: io::Error) -> NotMeasured {
        NotMeasured::Kept { folder: self.folder.clone(), source }
    }

    /// In the order in which they were measured.
    fn entries(&self) -> io::Result<Vec<Entry>> {
        let listed = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        let mut entries = Vec::new();
        for found in listed {
            entries.extend(Entry::of(found?.path()));
        }
        entries.sort_by_key(|entry| entry.number);
        Ok(entries)
    }
}

/// One text that is kept.
#[derive(Debug)]
struct Entry {
    number: u16,
    before: String,
    path: PathBuf,
}

impl Entry {
    fn of(path: PathBuf) -> Option<Self> {
        let (number, before) = path.file_name()?.to_str()?.split_once('-')?;
        Some(Self { number: number.parse().ok()?, before: before.to_owned(), path })
    }
}

/// The register's value in its strongest bank, in hex.
fn strongest(register: &dyn Register) -> Result<String, NotMeasured> {
    let unread = |fault| NotMeasured::Register { name: register.name(), fault };
    let values = register.values().map_err(unread)?;
    let best =
        [Hash::Sha512, Hash::Sha384, Hash::Sha256, Hash::Sha1].into_iter().find_map(|bank| values.get(&bank));
    best.map(hex::encode).ok_or_else(|| NotMeasured::Unreadable { name: register.name() })
}

/// Why the facts are in no register.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotMeasured {
    /// The register refused.
    #[error("{name}: {fault}")]
    Register {
        /// The register.
        name: String,
        /// What the hardware said.
        fault: Fault,
    },
    /// Without its value nobody could say what it took in.
    #[error("{name}: the kernel does not tell its value")]
    Unreadable {
        /// The register.
        name: String,
    },
    /// The texts cannot be kept.
    #[error("{folder}: {source}")]
    Kept {
        /// The folder.
        folder: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A log that grows for ever would in the end no longer go with a quote.
    #[error("facts changed more than {most} times since the machine started: reboot it")]
    TooOften {
        /// The limit.
        most: u16,
    },
}

/// Programs are replaced a few times between two boots.
const MAX_TEXTS: u16 = 64;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Mutex;

    use attest::crypto::AwsLcRs;
    use attest::eventlog::{Boot, EventLog, Layout as Logged};

    use super::*;

    /// A register of two banks, which can be out of order.
    #[derive(Debug)]
    struct Pcr {
        values: Mutex<BTreeMap<Hash, Vec<u8>>>,
        broken: Mutex<bool>,
    }

    impl Pcr {
        fn new() -> Self {
            let values = [(Hash::Sha1, vec![0; 20]), (Hash::Sha256, vec![0; 32])].into();
            Self { values: Mutex::new(values), broken: Mutex::new(false) }
        }

        fn value(&self) -> Vec<u8> {
            self.values.lock().unwrap()[&Hash::Sha256].clone()
        }
    }

    impl Register for Pcr {
        fn name(&self) -> String {
            "PCR 14".to_owned()
        }

        fn values(&self) -> Result<BTreeMap<Hash, Vec<u8>>, Fault> {
            Ok(self.values.lock().unwrap().clone())
        }

        fn extend(&self, content: &[u8]) -> Result<(), Fault> {
            if *self.broken.lock().unwrap() {
                return Err(crate::tsm::Error::CallerData { expected: 64, found: 0 }.into());
            }
            for (bank, value) in &mut *self.values.lock().unwrap() {
                let extended = [value.as_slice(), &events::digest(*bank, content)].concat();
                *value = events::digest(*bank, &extended);
            }
            Ok(())
        }
    }

    fn facts(value: &str) -> Facts {
        Facts::of([("lockdown".to_owned(), value.to_owned())]).unwrap()
    }

    /// The first record of a log with both banks, and padding as firmware leaves it.
    fn firmware() -> Vec<u8> {
        let mut data = [&b"Spec ID Event03\0"[..], &[0; 8], &2_u32.to_le_bytes()].concat();
        data.extend([4, 0, 20, 0, 0x0b, 0, 32, 0, 0]);
        let length = u32::try_from(data.len()).unwrap().to_le_bytes();
        [&[0; 4][..], &3_u32.to_le_bytes(), &[0; 20], &length, &data, &[0xff; 100]].concat()
    }

    /// What a verifier reads from the log, if it replays to the register.
    fn read_back(measured: &Measured, pcr: &Pcr) -> Vec<Facts> {
        let log = measured.appended(firmware()).unwrap();
        let log = EventLog::parse(&log).unwrap();
        let quoted = pcr.value();
        Boot::proved(&AwsLcRs, &log, Logged::Tpm, Hash::Sha256, &[(14, &quoted)]).unwrap().facts
    }

    #[test]
    fn what_is_measured_is_what_a_verifier_reads() {
        let folder = tempfile::tempdir().unwrap();
        let (measured, pcr) = (Measured::new(folder.path(), Layout::Tpm), Pcr::new());
        assert!(measured.measure(&facts("none"), &pcr).unwrap());
        assert!(!measured.measure(&facts("none"), &pcr).unwrap());
        assert!(measured.measure(&facts("integrity"), &pcr).unwrap());
        assert_eq!(read_back(&measured, &pcr), [facts("none"), facts("integrity")]);
    }

    #[test]
    fn a_text_that_the_register_never_took_in_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let (measured, pcr) = (Measured::new(folder.path(), Layout::Tpm), Pcr::new());
        measured.measure(&facts("none"), &pcr).unwrap();
        *pcr.broken.lock().unwrap() = true;
        let error = measured.measure(&facts("integrity"), &pcr).unwrap_err();
        assert_eq!(error.to_string(), "PCR 14: report data: expected 64 bytes, found 0");
        *pcr.broken.lock().unwrap() = false;
        assert!(!measured.measure(&facts("none"), &pcr).unwrap());
        assert_eq!(read_back(&measured, &pcr), [facts("none")]);
    }

    #[test]
    fn facts_that_never_come_to_rest_end_the_measuring() {
        let folder = tempfile::tempdir().unwrap();
        let (measured, pcr) = (Measured::new(folder.path(), Layout::Tpm), Pcr::new());
        for number in 0..MAX_TEXTS {
            assert!(measured.measure(&facts(&number.to_string()), &pcr).unwrap());
        }
        assert_eq!(read_back(&measured, &pcr).last(), Some(&Facts::default()));
        let error = measured.measure(&facts("one more"), &pcr).unwrap_err();
        assert_eq!(
            error.to_string(),
            "facts changed more than 64 times since the machine started: reboot it"
        );
    }
}
