//! Signatures of approvers: by a key in a file, or by a program that asks a card or a hardware module.
//!
//! The program gets the text on its standard input and answers with the signature on its standard output; what it has to
//! ask of a person, it asks on the terminal itself.
//!
//! Trusted: the key file and the program. Of neither is anything printed.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::answer::NotJudged;
use crate::policy_sign::key_pair;

/// Who signs, and by what.
#[derive(Debug, clap::Args)]
pub(crate) struct Hand {
    /// The approver's name
    #[arg(long = "as", id = "as", value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// The approver's Ed25519 private key: PKCS#8 (PEM or DER)
    #[arg(long, value_name = "FILE", conflicts_with = "signer", requires = "as")]
    key: Option<PathBuf>,
    /// A shell command that signs its standard input and writes the signature: a card, a hardware module
    #[arg(long, value_name = "COMMAND", requires = "as")]
    signer: Option<String>,
}

impl Hand {
    /// The name and the signature under the text that is made for it; `None` if nothing was named to sign with.
    pub(crate) fn sign(&self, text: impl Fn(&str) -> String) -> Result<Option<(&str, Vec<u8>)>, NotJudged> {
        let Some(name) = self.name.as_deref() else { return Ok(None) };
        let text = text(name);
        let signature = match (&self.key, &self.signer) {
            (Some(path), _) => key_pair(path)?.sign(text.as_bytes()).as_ref().to_vec(),
            (None, Some(command)) => by_program(command, &text)?,
            (None, None) => return Ok(None),
        };
        Ok(Some((name, signature)))
    }
}

fn by_program(command: &str, text: &str) -> Result<Vec<u8>, NotJudged> {
    let failed = |why: String| NotJudged::new("signer.program", format!("--signer: {why}"));
    let io = |error: std::io::Error| failed(error.to_string());
    let mut child = Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(io)?;
    if let Some(mut stdin) = child.stdin.take() {
        match stdin.write_all(text.as_bytes()) {
            // A program that ends early says so by its exit code.
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => return Err(io(error)),
            Ok(()) | Err(_) => {}
        }
    }
    let mut signature = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(LONGEST.saturating_add(1)).read_to_end(&mut signature).map_err(io)?;
    }
    let status = child.wait().map_err(io)?;
    if !status.success() {
        return Err(failed(format!("expected exit code 0, found {status}")));
    }
    let found = u64::try_from(signature.len()).unwrap_or(u64::MAX);
    if found == 0 || found > LONGEST {
        return Err(failed(format!("expected a signature of 1 to {LONGEST} bytes, found {found}")));
    }
    Ok(signature)
}

/// RSA of 8192 bits.
const LONGEST: u64 = 1024;
