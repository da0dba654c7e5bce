//! What this system says of itself, measured before anything is quoted.
//!
//! The kernel's release, command line, security modules and lockdown, what it was built with, the digests of the programs
//! that protect secrets, how the enforcer stands and whether it kept its word when we attacked: [`gather`] puts them into one text
//! ([`attest::eventlog::Facts`]), and [`Measured`] has a register take it in, PCR 14 of a TPM or RTMR 2 of a TD. A policy
//! asks about it under `facts`; whoever takes the machine over later can add a text, but not take this one back.
//!
//! Trusted: the kernel, as far as its boot was measured. Untrusted: nobody; a verifier believes what the register holds.

mod build;
mod enforcer;
mod events;
mod keeper;
mod kernel;
mod measured;
mod programs;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use attest::eventlog::Facts;

use crate::logs::file;

pub use enforcer::decoy;
pub use events::Layout;
pub use keeper::{Place, await_enforcer, keep};
pub(crate) use measured::still;
pub use measured::{Measured, NotMeasured};

/// What the configuration says about facts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settings {
    /// Where what was measured is kept until the next boot.
    pub folder: PathBuf,
    /// Files whose digests are facts, by name.
    pub files: BTreeMap<String, PathBuf>,
    /// The enforcer's socket.
    pub enforcer: PathBuf,
    /// How long the first facts wait until it answers there.
    pub enforcer_within: Duration,
    /// The program that plays the decoy of our own attack: ours. Without one, nothing is proved.
    pub decoy: Option<PathBuf>,
}

impl Settings {
    /// A folder that is gone after a reboot, as what the register holds is.
    pub const FOLDER: &'static str = "/run/cloudtaser/facts";
    /// Where the enforcer listens.
    pub const ENFORCER: &'static str = protocol::enforcer::SOCKET;

    /// The usual places, and no files.
    #[must_use]
    pub fn usual() -> Self {
        Self {
            folder: Self::FOLDER.into(),
            files: BTreeMap::new(),
            enforcer: Self::ENFORCER.into(),
            enforcer_within: Duration::ZERO,
            decoy: None,
        }
    }
}

/// Asks the system at `root` (`/`, but for tests) for all facts.
///
/// What cannot be told is `unknown`, which a policy does not allow by chance; why comes beside it, for people.
#[must_use]
pub fn gather(root: &Path, settings: &Settings) -> (Facts, Vec<String>) {
    let mut told = Told { root, facts: BTreeMap::new(), remarks: Vec::new() };
    kernel::tell(&mut told);
    build::tell(&mut told);
    programs::tell(&mut told, settings);
    enforcer::tell(&mut told, settings);
    let Told { facts, mut remarks, .. } = told;
    let facts = Facts::of(facts).unwrap_or_else(|| {
        remarks.push("the facts are longer than a text of facts may be: nothing is said".to_owned());
        Facts::default()
    });
    (facts, remarks)
}

/// What was told up to now.
#[derive(Debug)]
struct Told<'r> {
    root: &'r Path,
    facts: BTreeMap<String, String>,
    remarks: Vec<String>,
}

impl Told<'_> {
    /// Says one thing. What would not fit on a line is told without what does not.
    fn say(&mut self, name: &str, value: &str) {
        let line = value.chars().filter(|letter| !letter.is_control()).collect();
        self.facts.insert(name.to_owned(), line);
    }

    fn say_flag(&mut self, name: &str, on: bool) {
        self.say(name, if on { "on" } else { "off" });
    }

    /// Says that nobody knows, and why.
    fn unknown(&mut self, name: &str, why: &str) {
        self.say(name, UNKNOWN);
        self.remarks.push(format!("{name}: {why}"));
    }

    /// The text of a file below the root.
    fn text(&self, path: &str) -> Result<String, String> {
        let bytes = self.bytes(path)?;
        Ok(String::from_utf8_lossy(&bytes).trim_end_matches(['\n', '\0']).to_owned())
    }

    fn bytes(&self, path: &str) -> Result<Vec<u8>, String> {
        file::read(&self.path(path), MAX_TEXT).map_err(|unread| unread.to_string())
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }
}

/// The value of what cannot be told.
const UNKNOWN: &str = "unknown";
/// The longest of the kernel's own files that are read here is its build configuration, some hundred kilobytes.
const MAX_TEXT: usize = 4 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A system as Debian's cloud kernel shows itself.
    fn system() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, content) in [
            ("proc/sys/kernel/osrelease", "6.12.95-cloud-amd64\n"),
            ("proc/cmdline", "BOOT_IMAGE=/vmlinuz root=/dev/sda1 ro lockdown=integrity\n"),
            ("sys/kernel/security/lsm", "lockdown,capability,landlock,yama,apparmor,bpf"),
            ("sys/kernel/security/lockdown", "none [integrity] confidentiality\n"),
            ("sys/module/module/parameters/sig_enforce", "Y\n"),
            ("sys/module/secretmem/parameters/enable", "Y\n"),
            (
                "boot/config-6.12.95-cloud-amd64",
                "CONFIG_BPF_LSM=y\n# CONFIG_BPF_KPROBE_OVERRIDE is not set\n",
            ),
            ("usr/bin/wrapper", "wrapper"),
        ] {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        root
    }

    fn settings(root: &Path) -> Settings {
        Settings {
            folder: root.join("measured"),
            files: BTreeMap::from([("wrapper".to_owned(), root.join("usr/bin/wrapper"))]),
            enforcer: root.join("run/enforcer.sock"),
            enforcer_within: Duration::ZERO,
            decoy: None,
        }
    }

    #[test]
    fn a_system_tells_what_protects_a_secret_there() {
        let root = system();
        let (facts, remarks) = gather(root.path(), &settings(root.path()));
        for (name, value) in [
            ("kernel.release", "6.12.95-cloud-amd64"),
            ("kernel.cmdline", "BOOT_IMAGE=/vmlinuz root=/dev/sda1 ro lockdown=integrity"),
            ("lsm", "lockdown,capability,landlock,yama,apparmor,bpf"),
            ("lsm.bpf", "on"),
            ("lockdown", "integrity"),
            ("module.sig_enforce", "on"),
            ("secretmem", "on"),
            ("config.BPF_LSM", "y"),
            ("config.BPF_KPROBE_OVERRIDE", "n"),
            ("file.wrapper", "sha256:a622b10ddc23c8c9e9ec39d4833ae9b7b772ef40cb430425cb1689b76ec3490c"),
            ("enforcer", "none"),
            ("enforcer.let_go", "none"),
        ] {
            assert_eq!(facts.get(name), Some(value), "{name}");
        }
        assert_eq!(remarks, Vec::<String>::new());
    }

    #[test]
    fn what_cannot_be_told_is_unknown_and_why_is_said() {
        let root = tempfile::tempdir().unwrap();
        let (facts, remarks) = gather(root.path(), &settings(root.path()));
        for name in ["kernel.release", "lsm", "lsm.bpf", "lockdown", "config.BPF_LSM", "file.wrapper"] {
            assert_eq!(facts.get(name), Some("unknown"), "{name}");
            assert!(remarks.iter().any(|remark| remark.starts_with(&format!("{name}: "))), "{remarks:?}");
        }
        assert_eq!(facts.get("enforcer"), Some("none"));
    }

    #[test]
    fn an_enforcer_that_was_there_and_is_gone_is_told() {
        let root = system();
        let beat = r#"{"version":"0.1.0","pid":42,"time":"2026-11-22T18:06:59.000000000Z","uptime":7,
            "matrix":{"mode":"enforce","kernel":"6.12","programs":"ab","vectors":[]}}"#;
        fs::create_dir_all(root.path().join("run/cloudtaser")).unwrap();
        fs::write(root.path().join("run/cloudtaser/enforcer.json"), beat).unwrap();
        let (facts, remarks) = gather(root.path(), &settings(root.path()));
        assert_eq!(facts.get("enforcer"), Some("none"));
        let gone =
            "enforcer: process 42 showed signs of life until 2026-11-22T18:06:59.000000000Z, and is gone";
        assert_eq!(remarks, [gone]);
    }

    #[test]
    fn that_the_glass_was_broken_is_a_fact_until_the_machine_starts_anew() {
        let root = system();
        let path = root.path().join("run/enforcer-let-go.json");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let record = r#"{"action":"detach","statement":"abcd","time":150,"reason":"ticket\n7"}"#;
        fs::write(&path, record).unwrap();
        let (facts, _) = gather(root.path(), &settings(root.path()));
        assert_eq!(facts.get("enforcer.let_go"), Some("detach sha256:abcd at 150: ticket7"));
        fs::write(&path, "{}").unwrap();
        let (facts, remarks) = gather(root.path(), &settings(root.path()));
        assert_eq!(facts.get("enforcer.let_go"), Some("unknown"));
        assert!(
            remarks[0].starts_with("enforcer.let_go: expected a record of it: missing field"),
            "{remarks:?}"
        );
    }

    #[test]
    fn a_text_that_is_no_configuration_says_nothing_of_a_kernel() {
        let root = system();
        fs::write(root.path().join("boot/config-6.12.95-cloud-amd64"), "moved\n").unwrap();
        let (facts, _) = gather(root.path(), &settings(root.path()));
        assert_eq!(facts.get("config.BPF_KPROBE_OVERRIDE"), Some("unknown"));
    }

    #[test]
    fn a_value_cannot_end_its_line() {
        let root = system();
        fs::write(root.path().join("proc/cmdline"), "quiet\nlockdown=integrity").unwrap();
        let (facts, _) = gather(root.path(), &settings(root.path()));
        assert_eq!(facts.get("kernel.cmdline"), Some("quietlockdown=integrity"));
    }
}
