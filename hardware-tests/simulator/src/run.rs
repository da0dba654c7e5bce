//! Does what the command line means: writes files, mounts, waits.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

use nix::sys::signal::{SigSet, Signal};
use simulator::azure::{self, MachineError};
use simulator::nitro::{self, NitroTpm, NsmSocket};
use simulator::snp::{Chain, Chip, Product, Vendor, pem};
use simulator::td::{Files, Quoting, QuotingFault};
use simulator::tdx::{Collateral, EventLog, Platform};
use simulator::tpm;
use simulator::tsm::{Fault, Mount, MountError, at_the_kernels_path};
use simulator::vtpm::{Vtpm, VtpmError, manufacture};

use crate::config::{Auxblob, Azure, Config, Instance, Keys, Machine, Module, Signer, Td};

/// Why a command did not do what it should.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum RunError {
    /// A file that could not be written.
    #[error("writing {path}: {source}")]
    Write {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The signals that end this program could not be awaited.
    #[error("waiting for SIGTERM: {0}")]
    Signal(#[from] nix::Error),
    /// A mount namespace for a program.
    #[error("running unshare: {0}")]
    Exec(io::Error),
    /// A security module's socket.
    #[error("listening on {path}: {source}")]
    Listen {
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The report directory.
    #[error(transparent)]
    Mount(#[from] MountError),
    /// The TPM.
    #[error(transparent)]
    Vtpm(#[from] VtpmError),
    /// A machine of Azure's.
    #[error(transparent)]
    Azure(#[from] MachineError),
}

pub(crate) fn run(config: Config) -> Result<(), RunError> {
    match config {
        Config::Snp { machine, mount, fault, auxblob } => show(machine, &mount, fault, auxblob),
        Config::SnpReport { machine, report_data, output } => {
            machine.write_endorsements()?;
            write(&output, machine.sign(report_data))
        }
        Config::Tdx { td, mount, fault, files, quoting } => {
            let end = block_signals()?;
            td.write_endorsements()?;
            let log = td.log.as_ref().map(EventLog::encode).unwrap_or_default();
            let td = simulator::td::Td::new(td.quote).event_log(log);
            let _files = files.map(|path| Files::new(&td, &path)).transpose()?;
            let listen = |path: PathBuf| {
                Quoting::listen(&td, QuotingFault::Healthy, &path)
                    .map_err(|source| RunError::Write { path, source })
            };
            let _quoting = quoting.map(listen).transpose()?;
            present(td.machine().fault(fault), &mount, &end)
        }
        Config::TdxQuote { td, report_data, output } => {
            td.write_endorsements()?;
            write(&output, td.quote.report_data(report_data).sign())
        }
        Config::Nitro(module) => run_nsm(*module),
        Config::NitroTpm(instance) => run_instance(&instance),
        Config::NitroDocument { document, output } => write(&output, document.sign()),
        Config::Azure(machine) => run_azure(&machine),
        Config::Roots { write, vendor } => write_roots(&write, vendor),
        Config::Exec { reports, command } => exec(&reports, &command),
        Config::Vtpm { state, keys, boot, log } => run_vtpm(&state, keys, boot.as_ref(), log.as_deref()),
    }
}

impl Machine {
    fn sign(&self, report_data: [u8; 64]) -> Vec<u8> {
        let report = self.report.clone().report_data(report_data);
        match self.signer {
            Signer::Vcek => report.sign(),
            Signer::Vlek => report.sign_with_vlek(),
        }
    }

    fn write_endorsements(&self) -> Result<(), RunError> {
        let Some(folder) = &self.endorsements else {
            return Ok(());
        };
        write_chain(folder, self.chip.chain(), self.crl.der())
    }
}

impl Td {
    fn write_endorsements(&self) -> Result<(), RunError> {
        if let (Some(file), Some(log)) = (&self.log_file, &self.log) {
            write(file, log.encode())?;
        }
        let Some(folder) = &self.endorsements else {
            return Ok(());
        };
        write_collateral(folder, &self.collateral)
    }
}

fn write_chain(folder: &Path, chain: Chain, crl: Vec<u8>) -> Result<(), RunError> {
    make(folder)?;
    let Chain { ark, ask, asvk, vcek, vlek } = chain;
    for (name, der) in
        [("ark", ark), ("ask", ask), ("asvk", asvk), ("vcek", vcek), ("vlek", vlek), ("crl", crl)]
    {
        write(&folder.join(format!("{name}.der")), der)?;
    }
    Ok(())
}

fn write_collateral(folder: &Path, collateral: &Collateral) -> Result<(), RunError> {
    make(folder)?;
    let Collateral { root, ca, pck, tcb_signing, root_crl, pck_crl, tcb_info, qe_identity } = collateral;
    for (name, content) in [
        ("root.der", root),
        ("ca.der", ca),
        ("pck.der", pck),
        ("tcb-signing.der", tcb_signing),
        ("root-crl.der", root_crl),
        ("pck-crl.der", pck_crl),
        ("tcb-info.json", tcb_info),
        ("qe-identity.json", qe_identity),
    ] {
        write(&folder.join(name), content)?;
    }
    Ok(())
}

fn show(machine: Machine, path: &Path, fault: Fault, auxblob: Auxblob) -> Result<(), RunError> {
    let end = block_signals()?;
    machine.write_endorsements()?;
    let tsm = match machine.signer {
        Signer::Vcek => simulator::tsm::Machine::new(&machine.chip),
        Signer::Vlek => simulator::tsm::Machine::with_vlek(&machine.chip),
    };
    let tsm = tsm.report(machine.report).fault(fault);
    let tsm = match auxblob {
        Auxblob::Certificates => tsm,
        Auxblob::Empty => tsm.auxblob(&[]),
    };
    present(tsm, path, &end)
}

/// Mounts, says so, and waits for the end.
fn present(tsm: simulator::tsm::Machine, path: &Path, end: &SigSet) -> Result<(), RunError> {
    let mount = Mount::new(tsm, path)?;
    announce(&format!("ready {}", mount.path().display()))?;
    end.wait()?;
    Ok(())
}

/// Becomes the program, so that signals and exit code are its own.
fn exec(reports: &Path, command: &[OsString]) -> Result<(), RunError> {
    let mut words = command.iter();
    let program = words.next().map(OsString::as_os_str).unwrap_or_default();
    Err(RunError::Exec(at_the_kernels_path(reports, program).args(words).exec()))
}

fn run_nsm(module: Module) -> Result<(), RunError> {
    let end = block_signals()?;
    if let Some(folder) = &module.endorsements {
        make(folder)?;
        write(&folder.join("root.der"), &module.root)?;
    }
    let path = module.listen;
    let listening = NsmSocket::listen(module.nsm, &path)
        .map_err(|source| RunError::Listen { path: path.clone(), source })?;
    announce(&format!("ready {}", listening.path().display()))?;
    end.wait()?;
    Ok(())
}

fn run_instance(instance: &Instance) -> Result<(), RunError> {
    let end = block_signals()?;
    make(&instance.state)?;
    if let Some(folder) = &instance.endorsements {
        make(folder)?;
        write(&folder.join("root.der"), instance.module.certificate(nitro::Role::Root).der())?;
    }
    match instance.keys {
        Keys::AsFound => {}
        Keys::Manufactured => drop(manufacture(&instance.state)?),
    }
    let tpm = NitroTpm::start_in(&instance.state, &instance.module, instance.fields)?;
    announce(&format!("ready {}", tpm.tcti()))?;
    end.wait()?;
    Ok(())
}

fn run_vtpm(
    state: &Path,
    keys: Keys,
    boot: Option<&tpm::EventLog>,
    log: Option<&Path>,
) -> Result<(), RunError> {
    let end = block_signals()?;
    make(state)?;
    match keys {
        Keys::AsFound => {}
        Keys::Manufactured => {
            manufacture(state)?;
        }
    }
    let vtpm = Vtpm::start_in(state)?;
    if let Some(boot) = boot {
        vtpm.measure(boot)?;
        log.map_or(Ok(()), |file| write(file, boot.encode()))?;
    }
    announce(&format!("ready {}", vtpm.tcti()))?;
    end.wait()?;
    Ok(())
}

fn run_azure(machine: &Azure) -> Result<(), RunError> {
    let end = block_signals()?;
    match (&machine.endorsements, machine.kind) {
        (None, _) => {}
        (Some(folder), azure::Kind::Snp) => {
            let chip = azure::Machine::chip(machine.seed).at(machine.at);
            write_chain(folder, chip.chain(), chip.crl().der())?;
        }
        (Some(folder), azure::Kind::Tdx) => {
            let platform = azure::Machine::platform(machine.seed).at(machine.at);
            write_collateral(folder, &platform.collateral())?;
        }
    }
    let Azure { kind, seed, at, state, fault, .. } = machine;
    let running = azure::Machine::start_at(state, *kind, *seed, *fault, *at)?;
    announce(&format!("ready {} {}", running.tcti(), running.metadata()))?;
    end.wait()?;
    Ok(())
}

fn write_roots(folder: &Path, vendor: Vendor) -> Result<(), RunError> {
    make(folder)?;
    let amd = Product::ALL.into_iter().map(|product| {
        let name = format!("ark-{}", product.name().to_ascii_lowercase());
        (name, Chip::new(0, product).with_vendor(vendor).chain().ark)
    });
    let intel = Platform::new(0).with_vendor(vendor).root().der();
    let aws = nitro::Module::enclave(0).with_vendor(vendor).certificate(nitro::Role::Root).der();
    let others = [("intel-sgx-root-ca".to_owned(), intel), ("aws-nitro-enclaves".to_owned(), aws)];
    for (name, der) in amd.chain(others) {
        write(&folder.join(format!("{name}.pem")), pem(&der))?;
        write(&folder.join(format!("{name}.der")), der)?;
    }
    Ok(())
}

/// Holds SIGTERM and SIGINT back in this thread and those it starts, so that they can be awaited.
fn block_signals() -> Result<SigSet, RunError> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTERM);
    signals.add(Signal::SIGINT);
    signals.thread_block()?;
    Ok(signals)
}

fn announce(line: &str) -> Result<(), RunError> {
    let mut stdout = io::stdout();
    let written = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
    written.map_err(|source| RunError::Write { path: PathBuf::from("standard output"), source })
}

fn make(folder: &Path) -> Result<(), RunError> {
    fs::create_dir_all(folder).map_err(|source| RunError::Write { path: folder.to_owned(), source })
}

fn write(path: &Path, content: impl AsRef<[u8]>) -> Result<(), RunError> {
    fs::write(path, content).map_err(|source| RunError::Write { path: path.to_owned(), source })
}
