//! A simulated machine as files in a directory that goes away.

use std::path::Path;

use simulator::snp::{Chip, EPOCH, Product, ReportBuilder, Vendor};
use tempfile::TempDir;

use crate::document;
use crate::run::{Ran, cloudtaser};

/// A chip's report and everything that it is judged by.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) chip: Chip,
    dir: TempDir,
}

impl Machine {
    /// A chip whose report is changed by `change` before it is signed.
    pub(crate) fn reporting(change: impl FnOnce(ReportBuilder) -> ReportBuilder) -> Self {
        let chip = Chip::new(1, Product::Genoa);
        let machine = Self { dir: tempfile::tempdir().unwrap(), chip };
        let chain = machine.chip.chain();
        std::fs::create_dir(machine.dir.path().join("certs")).unwrap();
        machine.write("report.bin", &change(machine.chip.report().report_data(data())).sign());
        machine.write("certs/vcek.der", &chain.vcek);
        machine.write("certs/ask.der", &chain.ask);
        machine.write("certs/crl.der", &machine.chip.crl().der());
        machine.write("ark.der", &chain.ark);
        machine.write("policy.toml", document::policy(&[]).as_bytes());
        machine.write("other-ark.der", &machine.chip.clone().with_vendor(Vendor::Other).ark().der());
        machine
    }

    /// A chip as it should be.
    pub(crate) fn new() -> Self {
        Self::reporting(|report| report)
    }

    /// Writes a file and gives its path.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> String {
        std::fs::write(self.dir.path().join(name), bytes).unwrap();
        self.path(name)
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn remove(&self, name: &str) {
        std::fs::remove_file(self.dir.path().join(name)).unwrap();
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// `attest verify` of the report under the simulated root at [`EPOCH`], with more words.
    pub(crate) fn verify(&self, more: &[&str]) -> Ran {
        self.verify_at(NOW, more)
    }

    /// The same at another instant.
    pub(crate) fn verify_at(&self, at: &str, more: &[&str]) -> Ran {
        let (report, certs, ark) = (self.path("report.bin"), self.path("certs"), self.path("ark.der"));
        let words = ["attest", "verify", &report, "--endorsements", &certs, "--insecure-trust-root", &ark];
        cloudtaser(&[&words[..], &["--at", at], more].concat())
    }

    /// The same with the policy and a JSON answer.
    pub(crate) fn appraise(&self, more: &[&str]) -> Ran {
        self.verify(&[&["--policy", &self.path("policy.toml"), "-o", "json"], more].concat())
    }
}

/// What the report carries: 32 bytes, then zeros.
pub(crate) fn data() -> [u8; 64] {
    let mut data = [0; 64];
    data[..32].fill(7);
    data
}

/// [`EPOCH`] in words.
pub(crate) const NOW: &str = "2026-11-21T00:00:00Z";

#[test]
fn the_simulated_present_is_the_one_in_words() {
    assert_eq!(attest::UnixTime(EPOCH).to_string(), NOW);
}
