//! An initial RAM disk: the "new ASCII" format of cpio (Linux, Documentation/driver-api/early-userspace).
//!
//! Owners are root, times are zero and numbers count up, so that the same files give the same bytes, which are
//! measured. Pure: nothing is read here.

use std::collections::BTreeSet;

/// Files so far, and the folders that they need.
#[derive(Clone, Debug, Default)]
pub struct Archive {
    bytes: Vec<u8>,
    folders: BTreeSet<String>,
    entries: u32,
}

impl Archive {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A folder, and those above it.
    pub fn folder(&mut self, path: &str) {
        let mut above = String::new();
        for name in path.split('/').filter(|name| !name.is_empty()) {
            if !above.is_empty() {
                above.push('/');
            }
            above.push_str(name);
            if self.folders.insert(above.clone()) {
                self.entry(&above, FOLDER, (0, 0), &[]);
            }
        }
    }

    /// A file that everybody may read and run, in folders that are made.
    pub fn file(&mut self, path: &str, content: &[u8]) {
        let path = path.trim_start_matches('/');
        if let Some((above, _)) = path.rsplit_once('/') {
            self.folder(above);
        }
        self.entry(path, PROGRAM, (0, 0), content);
    }

    /// A character device.
    pub fn device(&mut self, path: &str, major: u32, minor: u32) {
        let path = path.trim_start_matches('/');
        if let Some((above, _)) = path.rsplit_once('/') {
            self.folder(above);
        }
        self.entry(path, DEVICE, (major, minor), &[]);
    }

    /// The whole archive.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, (0, 0), &[]);
        self.bytes
    }

    fn entry(&mut self, path: &str, mode: u32, (major, minor): (u32, u32), content: &[u8]) {
        self.entries = self.entries.saturating_add(1);
        let length = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
        let name_length = length(path.len()).saturating_add(1);
        // ino, mode, uid, gid, nlink, mtime, filesize, devmajor, devminor, rdevmajor, rdevminor, namesize, check
        let fields =
            [self.entries, mode, 0, 0, 1, 0, length(content.len()), 0, 0, major, minor, name_length, 0];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes.extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(path.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

/// `S_IFDIR`, rwxr-xr-x.
const FOLDER: u32 = 0o040_755;
/// `S_IFREG`, rwxr-xr-x.
const PROGRAM: u32 = 0o100_755;
/// `S_IFCHR`, rw-------.
const DEVICE: u32 = 0o020_600;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_stands_behind_the_folders_that_it_is_in() {
        let mut archive = Archive::new();
        archive.file("/etc/cloudtaser/a", b"12345");
        archive.file("/etc/b", b"");
        let bytes = archive.finish();
        let text = String::from_utf8(bytes.clone()).unwrap();
        let names: Vec<&str> =
            text.split("070701").skip(1).map(|entry| entry[104..].split('\0').next().unwrap()).collect();
        assert_eq!(names, ["etc", "etc/cloudtaser", "etc/cloudtaser/a", "etc/b", "TRAILER!!!"]);
        assert_eq!(bytes.len() % 4, 0);
        assert!(text.contains("000081ed000000000000000000000001000000000000000500000000"), "{text}");
    }
}
