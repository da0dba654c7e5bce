//! A TPM 2.0 in software: a real TPM implementation, `swtpm`, as a child process.
//!
//! [`Vtpm`] starts it on two free loopback ports and stops it when dropped. [`manufacture`] makes what a
//! vendor would: endorsement keys with certificates under a certificate authority of its own.
//!
//! Needs `swtpm`; [`manufacture`] needs `swtpm_setup` and `swtpm_localca` too.

mod certified;
mod troubled;

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use tempfile::TempDir;

use crate::tpm::EventLog;

pub use troubled::{Trouble, Troubled};

/// A running TPM, started (`TPM2_Startup`) and ready for commands.
#[derive(Debug)]
pub struct Vtpm {
    child: Child,
    port: u16,
    // Removed with the TPM, if the state is nobody else's.
    scratch: Option<TempDir>,
}

/// Why there is no TPM.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VtpmError {
    /// A program is not installed, or may not be run.
    #[error("running {program}: {source}")]
    Run {
        /// Its name.
        program: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A file or a socket.
    #[error("preparing the TPM's state: {0}")]
    Prepare(#[from] io::Error),
    /// A program ended otherwise than expected.
    #[error("{program} ended with {status}: {output}")]
    Ended {
        /// Its name.
        program: &'static str,
        /// How.
        status: ExitStatus,
        /// What it said.
        output: String,
    },
    /// The TPM did not answer on its control port in time.
    #[error("swtpm did not answer on port {port} within {} seconds", READY_WITHIN.as_secs())]
    Silent {
        /// The control port.
        port: u16,
    },
}

impl Vtpm {
    /// A blank TPM that is gone when dropped.
    pub fn start() -> Result<Self, VtpmError> {
        let scratch = TempDir::new()?;
        let mut vtpm = Self::start_in(scratch.path())?;
        vtpm.scratch = Some(scratch);
        Ok(vtpm)
    }

    /// The TPM whose state lies in `state`, or a blank one that leaves its state there.
    ///
    /// Dropping it is a power cut: started again, it has the same keys and a higher reset count.
    pub fn start_in(state: &Path) -> Result<Self, VtpmError> {
        let mut outcome = Self::launch(state, free_port_pair()?);
        // Between finding a port and swtpm's taking it, another process may have been quicker.
        for _ in 1..ATTEMPTS {
            if !matches!(outcome, Err(VtpmError::Ended { .. })) {
                break;
            }
            outcome = Self::launch(state, free_port_pair()?);
        }
        outcome
    }

    /// The first of its two ports: commands; the next is the control channel.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The TCTI configuration for libtss2, tpm2-tools (`TPM2TOOLS_TCTI`) and tss-esapi.
    #[must_use]
    pub fn tcti(&self) -> String {
        format!("swtpm:host=127.0.0.1,port={}", self.port)
    }

    /// Measures a boot into the SHA-256 bank, with `tpm2_pcrextend`.
    pub fn measure(&self, log: &EventLog) -> Result<(), VtpmError> {
        let values = log.measured().map(|(register, content)| {
            format!("{register}:sha256={}", hex::encode(digest(&SHA256, content)))
        });
        let values: Vec<String> = values.collect();
        self.tool("tpm2_pcrextend", &values.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn launch(state: &Path, port: u16) -> Result<Self, VtpmError> {
        let control = port.saturating_add(1);
        let child = Command::new("swtpm")
            .args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear", "--tpmstate"])
            .arg(format!("dir={}", state.display()))
            .arg("--server")
            .arg(format!("type=tcp,port={port},bindaddr=127.0.0.1,disconnect"))
            .arg("--ctrl")
            .arg(format!("type=tcp,port={control},bindaddr=127.0.0.1"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|source| VtpmError::Run { program: "swtpm", source })?;
        let mut vtpm = Self { child, port, scratch: None };
        vtpm.wait_until_ready(control)?;
        Ok(vtpm)
    }

    fn wait_until_ready(&mut self, control: u16) -> Result<(), VtpmError> {
        let start = Instant::now();
        while start.elapsed() < READY_WITHIN {
            if let Some(status) = self.child.try_wait()? {
                let mut output = String::new();
                if let Some(mut stderr) = self.child.stderr.take() {
                    stderr.read_to_string(&mut output)?;
                }
                return Err(VtpmError::Ended { program: "swtpm", status, output });
            }
            if answers(control).is_ok() {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(10));
        }
        Err(VtpmError::Silent { port: control })
    }
}

impl Drop for Vtpm {
    fn drop(&mut self) {
        // Both fail only if it has already ended.
        let _killed = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Where [`manufacture`] put what the vendor would publish.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Endorsement {
    /// Certificate of the RSA-2048 endorsement key, DER.
    pub ek_rsa2048: PathBuf,
    /// Certificate of the P-384 endorsement key, DER.
    pub ek_secp384r1: PathBuf,
    /// Certificate that issued both, PEM.
    pub issuer: PathBuf,
    /// Its root, PEM.
    pub root: PathBuf,
}

/// Makes a TPM in `state`: endorsement keys with certificates in its NV memory, SHA-256 and SHA-384 banks.
///
/// The certificate authority is made in `state` too, unless it is there. Takes a few seconds.
pub fn manufacture(state: &Path) -> Result<Endorsement, VtpmError> {
    let (authority, certificates) = (state.join("ca"), state.join("certificates"));
    fs::create_dir_all(&authority)?;
    fs::create_dir_all(&certificates)?;
    let config = write_configuration(state, &authority)?;
    let output = Command::new("swtpm_setup")
        .args(["--tpm2", "--overwrite", "--create-ek-cert", "--create-platform-cert", "--lock-nvram"])
        .args(["--pcr-banks", "sha256,sha384", "--vmid", "simulated", "--tpmstate"])
        .arg(state)
        .arg("--config")
        .arg(config)
        .arg("--write-ek-cert-files")
        .arg(&certificates)
        .stdin(Stdio::null())
        .output()
        .map_err(|source| VtpmError::Run { program: "swtpm_setup", source })?;
    if !output.status.success() {
        let text = [output.stdout, output.stderr].concat();
        let output_text = String::from_utf8_lossy(&text).into_owned();
        return Err(VtpmError::Ended { program: "swtpm_setup", status: output.status, output: output_text });
    }
    Ok(Endorsement {
        ek_rsa2048: certificates.join("ek-rsa2048.crt"),
        ek_secp384r1: certificates.join("ek-secp384r1.crt"),
        issuer: authority.join("issuercert.pem"),
        root: authority.join("swtpm-localca-rootca-cert.pem"),
    })
}

/// The defaults of `swtpm_setup` write to folders of the system; these stay in `state`.
fn write_configuration(state: &Path, authority: &Path) -> Result<PathBuf, VtpmError> {
    let (setup, local, options) =
        (state.join("setup.conf"), state.join("localca.conf"), state.join("localca.options"));
    let setup_text = format!(
        "create_certs_tool = swtpm_localca\ncreate_certs_tool_config = {}\ncreate_certs_tool_options = {}\n",
        local.display(),
        options.display()
    );
    let folder = authority.display();
    let local_text = format!(
        "statedir = {folder}\nsigningkey = {folder}/signkey.pem\nissuercert = {folder}/issuercert.pem\n\
         certserial = {folder}/certserial\n"
    );
    fs::write(&setup, setup_text)?;
    fs::write(&local, local_text)?;
    fs::write(
        &options,
        "--platform-manufacturer Simulated\n--platform-version 1\n--platform-model Simulated\n",
    )?;
    Ok(setup)
}

/// A free port whose successor is free too; both have been let go of again.
fn free_port_pair() -> io::Result<u16> {
    let mut outcome = Err(io::Error::from(io::ErrorKind::AddrInUse));
    for _ in 0..ATTEMPTS {
        let first = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = first.local_addr()?.port();
        let next = port.checked_add(1).ok_or(io::ErrorKind::AddrNotAvailable)?;
        outcome = TcpListener::bind((Ipv4Addr::LOCALHOST, next)).map(|_second| port);
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

/// Asks swtpm's control channel for its capabilities (`CMD_GET_CAPABILITY`), which needs a whole TPM.
fn answers(control: u16) -> io::Result<()> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, control))?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    stream.write_all(&1_u32.to_be_bytes())?;
    let mut result = [0xff; 4];
    stream.read_exact(&mut result)?;
    if result == [0; 4] { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
}

const ATTEMPTS: u32 = 8;
const READY_WITHIN: Duration = Duration::from_secs(20);
