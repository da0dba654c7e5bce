//! A running machine: a TPM with the paravisor's key and report, and a metadata service.
//!
//! The TPM is `swtpm`; its key and its memory are prepared by `tpm2-tools`, as the paravisor prepares them before
//! the guest starts. The NV index is as long as the report, because swtpm's have at most 2048 bytes; Azure's has
//! 2600.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::Paravisor;
use super::metadata::{Answers, Metadata};
use crate::snp::{Chain, Chip, EPOCH, Product, pem};
use crate::tdx::Platform;
use crate::tpm::AttestationKey;
use crate::vtpm::{Vtpm, VtpmError};

/// The hardware under the paravisor.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// SEV-SNP.
    Snp,
    /// TDX.
    Tdx,
}

/// What is wrong with a machine.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// Nothing.
    Healthy,
    /// The TPM has no paravisor's report.
    NoReport,
    /// The report is none.
    BrokenReport,
    /// The paravisor names the key of another TPM.
    OtherKey,
    /// The metadata service speaks of another chip.
    OtherChip,
    /// The metadata service takes the question, and says nothing.
    Silent,
    /// It says something else than JSON.
    NotJson,
    /// It asks to come again later.
    Busy,
    /// It points elsewhere.
    Moved,
    /// Its answer has no end.
    Endless,
}

impl Fault {
    /// Each by its name on the command line.
    pub const ALL: [(&'static str, Self); 9] = [
        ("no-report", Self::NoReport),
        ("broken-report", Self::BrokenReport),
        ("other-key", Self::OtherKey),
        ("other-chip", Self::OtherChip),
        ("imds-silent", Self::Silent),
        ("imds-not-json", Self::NotJson),
        ("imds-busy", Self::Busy),
        ("imds-moved", Self::Moved),
        ("imds-endless", Self::Endless),
    ];
}

/// A machine that runs until it is dropped.
#[derive(Debug)]
pub struct Machine {
    tpm: Vtpm,
    metadata: Metadata,
}

/// Why there is no machine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MachineError {
    /// The TPM.
    #[error(transparent)]
    Tpm(#[from] VtpmError),
    /// A file or a socket.
    #[error("preparing the machine: {0}")]
    Prepare(#[from] io::Error),
    /// A tool that would not.
    #[error("{program}: {said}")]
    Tool {
        /// Which.
        program: &'static str,
        /// Its words.
        said: String,
    },
}

impl Machine {
    /// Starts the machine of a seed, whose TPM keeps its state in `state`, at [`EPOCH`].
    pub fn start(state: &Path, kind: Kind, seed: u64, fault: Fault) -> Result<Self, MachineError> {
        Self::start_at(state, kind, seed, fault, EPOCH)
    }

    /// The same at another time, in seconds since 1970.
    pub fn start_at(
        state: &Path,
        kind: Kind,
        seed: u64,
        fault: Fault,
        at: u64,
    ) -> Result<Self, MachineError> {
        fs::create_dir_all(state)?;
        let tpm = Vtpm::start_in(state)?;
        let scratch = TempDir::new()?;
        let tools = Tools { tcti: tpm.tcti(), scratch: scratch.path() };
        let key = tools.attestation_key()?;
        let paravisor = if fault == Fault::OtherKey {
            Paravisor::new(AttestationKey::rsa(2))
        } else {
            Paravisor::of_modulus(key)
        };
        let paravisor = paravisor.vm_id(&vm_id(kind, seed));
        if fault == Fault::NoReport {
            tools.forget()?;
        } else if fault == Fault::BrokenReport {
            tools.remember(b"HCLA, and not much more")?;
        } else {
            tools.remember(&report(kind, seed, at, &paravisor))?;
        }
        let answers = answers((kind, seed, at), &paravisor, fault);
        Ok(Self { tpm, metadata: Metadata::start(answers, fault)? })
    }

    /// The way to the TPM.
    #[must_use]
    pub fn tcti(&self) -> String {
        self.tpm.tcti()
    }

    /// Where the metadata service is: `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn metadata(&self) -> String {
        self.metadata.url()
    }

    /// How often the metadata service was asked.
    #[must_use]
    pub fn questions(&self) -> usize {
        self.metadata.questions()
    }

    /// The chip under an SNP machine.
    #[must_use]
    pub fn chip(seed: u64) -> Chip {
        Chip::new(seed, Product::Genoa)
    }

    /// The processor under a TDX machine.
    #[must_use]
    pub fn platform(seed: u64) -> Platform {
        Platform::new(seed)
    }
}

/// The name that Azure gives this machine and no other.
fn vm_id(kind: Kind, seed: u64) -> String {
    let group = match kind {
        Kind::Snp => "98EF",
        Kind::Tdx => "98F0",
    };
    format!("390CBCF5-6C67-4D9B-{group}-{:012X}", seed & 0xffff_ffff_ffff)
}

/// The report in the TPM's memory, without what fills the index up.
fn report(kind: Kind, seed: u64, at: u64, paravisor: &Paravisor) -> Vec<u8> {
    let mut report = match kind {
        Kind::Snp => {
            let signed =
                Machine::chip(seed).at(at).report().vmpl(0).report_data(paravisor.report_data()).sign();
            paravisor.snp_report(&signed)
        }
        Kind::Tdx => paravisor.td_report(),
    };
    while report.last() == Some(&0) {
        report.pop();
    }
    report
}

fn answers((kind, seed, at): (Kind, u64, u64), paravisor: &Paravisor, fault: Fault) -> Answers {
    let seed = if fault == Fault::OtherChip { seed.wrapping_add(1) } else { seed };
    match kind {
        Kind::Snp => {
            let Chain { ark, ask, vcek, .. } = Machine::chip(seed).at(at).chain();
            Answers::Certificates { vcek: pem(&vcek), chain: [pem(&ask), pem(&ark)].concat() }
        }
        Kind::Tdx => {
            let data = if fault == Fault::OtherChip { [7; 64] } else { paravisor.report_data() };
            Answers::Quote(Machine::platform(seed).at(at).quote().report_data(data).sign())
        }
    }
}

/// `tpm2-tools` at one TPM.
struct Tools<'t> {
    tcti: String,
    scratch: &'t Path,
}

impl Tools<'_> {
    /// Makes the key, unless the TPM has it from before; gives its modulus.
    fn attestation_key(&self) -> Result<Vec<u8>, MachineError> {
        let (context, public) = (self.file("key.context"), self.file("key.public"));
        if self.run("tpm2_readpublic", &["-Q", "-c", KEY]).is_err() {
            let attributes = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|sign";
            let template = ["-G", "rsa2048:rsassa-sha256:null", "-a", attributes];
            self.run("tpm2_createprimary", &[&["-Q", "-C", "e", "-c", &context], &template[..]].concat())?;
            self.run("tpm2_evictcontrol", &["-Q", "-C", "o", "-c", &context, KEY])?;
            self.run("tpm2_flushcontext", &["-t"])?;
        }
        self.run("tpm2_readpublic", &["-Q", "-c", KEY, "-f", "tss", "-o", &public])?;
        let area = fs::read(public)?;
        Ok(area.get(area.len().saturating_sub(256)..).unwrap_or_default().to_vec())
    }

    fn forget(&self) -> Result<(), MachineError> {
        if self.run("tpm2_nvreadpublic", &[REPORT]).is_ok() {
            self.run("tpm2_nvundefine", &["-Q", "-C", "o", REPORT])?;
        }
        Ok(())
    }

    fn remember(&self, report: &[u8]) -> Result<(), MachineError> {
        self.forget()?;
        let file = self.file("report");
        fs::write(&file, report)?;
        let size = report.len().to_string();
        let attributes = "ownerwrite|ownerread|authread";
        self.run("tpm2_nvdefine", &["-Q", "-C", "o", "-s", &size, "-a", attributes, REPORT])?;
        self.run("tpm2_nvwrite", &["-Q", "-C", "o", "-i", &file, REPORT])
    }

    fn file(&self, name: &str) -> String {
        self.scratch.join(name).display().to_string()
    }

    fn run(&self, program: &'static str, arguments: &[&str]) -> Result<(), MachineError> {
        let mut command = Command::new(program);
        command.args(arguments).env("TPM2TOOLS_TCTI", &self.tcti).env("TSS2_LOG", "all+none");
        let output = command.output().map_err(|source| VtpmError::Run { program, source })?;
        if output.status.success() {
            return Ok(());
        }
        Err(MachineError::Tool { program, said: String::from_utf8_lossy(&output.stderr).trim().to_owned() })
    }
}

/// Where Azure's paravisor keeps its key and its report.
const KEY: &str = "0x81000003";
const REPORT: &str = "0x01400001";
