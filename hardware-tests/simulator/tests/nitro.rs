//! The security module and the `NitroTPM` as programs meet them; AWS' own library is the second opinion on the bytes.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that cannot set up or read its module has failed; a skip says so"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use aws_nitro_enclaves_nsm_api::api::{AttestationDoc, Digest, ErrorCode, Request, Response};
use rustix::process::{Pid, Signal, kill_process};
use simulator::nitro::{Length, Module, Nsm};
use tempfile::TempDir;

/// Asks as a program of AWS' does, and reads the answer as it would.
fn ask(nsm: &mut Nsm, request: &Request) -> Response {
    serde_cbor::from_slice(&nsm.answer(&serde_cbor::to_vec(request).unwrap())).unwrap()
}

#[test]
fn awss_library_reads_each_answer() {
    let mut nsm = Nsm::new(Module::enclave(1));
    let Response::DescribeNSM { module_id, max_pcrs, locked_pcrs, digest, .. } =
        ask(&mut nsm, &Request::DescribeNSM)
    else {
        panic!("expected a description")
    };
    assert_eq!((&*module_id, max_pcrs, digest), (Module::enclave(1).id(), 32, Digest::SHA384));
    assert_eq!(locked_pcrs, (0..16).collect());
    let Response::ExtendPCR { data: extended } =
        ask(&mut nsm, &Request::ExtendPCR { index: 16, data: vec![1; 300] })
    else {
        panic!("expected an extended register")
    };
    let described = ask(&mut nsm, &Request::DescribePCR { index: 16 });
    assert!(matches!(described, Response::DescribePCR { lock: false, data } if data == extended));
    assert!(matches!(ask(&mut nsm, &Request::LockPCR { index: 16 }), Response::LockPCR));
    assert!(matches!(ask(&mut nsm, &Request::LockPCRs { range: 20 }), Response::LockPCRs));
    let again = ask(&mut nsm, &Request::ExtendPCR { index: 16, data: vec![1] });
    assert!(matches!(again, Response::Error(ErrorCode::ReadOnlyIndex)));
    let beyond = ask(&mut nsm, &Request::DescribePCR { index: 300 });
    assert!(matches!(beyond, Response::Error(ErrorCode::InvalidIndex)));
    assert!(
        matches!(ask(&mut nsm, &Request::GetRandom), Response::GetRandom { random } if random.len() == 256)
    );
}

#[test]
fn awss_library_reads_a_document_of_either_length() {
    for length in [Length::Definite, Length::Indefinite] {
        let mut nsm = Nsm::new(Module::enclave(1)).fields_length(length);
        let request = Request::Attestation {
            user_data: Some(vec![1; 64].into()),
            nonce: Some(vec![2; 32].into()),
            public_key: None,
        };
        let Response::Attestation { document } = ask(&mut nsm, &request) else {
            panic!("expected a document")
        };
        // COSE_Sign1: protected, unprotected, payload, signature.
        let parts: Vec<serde_cbor::Value> = serde_cbor::from_slice(&document).unwrap();
        let serde_cbor::Value::Bytes(payload) = &parts[2] else { panic!("{parts:?}") };
        let document = AttestationDoc::from_binary(payload).unwrap();
        assert_eq!(document.pcrs.keys().copied().collect::<Vec<_>>(), (0..16).collect::<Vec<_>>());
        assert_eq!((document.user_data, document.public_key), (Some(vec![1; 64].into()), None));
        assert_eq!(document.cabundle.len(), 4);
    }
}

#[test]
fn a_module_is_served_until_sigterm() {
    let folder = TempDir::new().unwrap();
    let socket = folder.path().join("nsm");
    let mut command = sim(&["nitro", "--debug", "--indefinite", "--listen"], &socket);
    let (running, line) = Running::start(command.arg("--write-endorsements").arg(folder.path()));
    assert_eq!(line, format!("ready {}", socket.display()));
    assert_eq!(std::fs::read(folder.path().join("root.der")).unwrap()[0], 0x30);
    let mut stream = UnixStream::connect(&socket).unwrap();
    for index in [0, 8] {
        let request = serde_cbor::to_vec(&Request::DescribePCR { index }).unwrap();
        stream.write_all(&u32::try_from(request.len()).unwrap().to_be_bytes()).unwrap();
        stream.write_all(&request).unwrap();
        let mut length = [0; 4];
        stream.read_exact(&mut length).unwrap();
        let mut answer = vec![0; u32::from_be_bytes(length).try_into().unwrap()];
        stream.read_exact(&mut answer).unwrap();
        let answer = serde_cbor::from_slice(&answer).unwrap();
        assert!(matches!(answer, Response::DescribePCR { lock: true, data } if data == [0; 48]));
    }
    running.end();
    assert!(!socket.exists());
}

#[test]
fn an_instances_tpm_is_a_tpm_to_everybody_else() {
    if Command::new("swtpm").arg("--version").output().is_err()
        || Command::new("tpm2_getrandom").arg("--version").output().is_err()
    {
        let required = std::env::var("REQUIRE").unwrap_or_default();
        assert!(!required.split(',').any(|feature| feature == "swtpm"), "swtpm or tpm2-tools is absent");
        eprintln!("SKIP nitro: swtpm or tpm2-tools is absent");
        return;
    }
    let folder = TempDir::new().unwrap();
    let (running, line) = Running::start(&mut sim(&["nitro-tpm", "--state"], folder.path()));
    let tcti = line.strip_prefix("ready ").unwrap().to_owned();
    let tool = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).env("TPM2TOOLS_TCTI", &tcti).output().unwrap();
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(tool("tpm2_getrandom", &["--hex", "8"]).len(), 16);
    // Small indices are swtpm's own, sessions and all.
    tool("tpm2_nvdefine", &["0x1800001", "-C", "o", "-a", "authread|authwrite", "-s", "64"]);
    let letter = folder.path().join("letter");
    std::fs::write(&letter, [7; 64]).unwrap();
    let (letter, words) = (letter.display().to_string(), ["0x1800001", "-C", "0x1800001"]);
    tool("tpm2_nvwrite", &[&words[..], &["-i", &letter]].concat());
    tool("tpm2_nvread", &[&words[..], &["-o", &letter]].concat());
    assert_eq!(std::fs::read(&letter).unwrap(), [7; 64]);
    tool("tpm2_nvundefine", &["0x1800001", "-C", "o"]);
    assert_eq!(tool("tpm2_getcap", &["handles-nv-index"]).trim(), "");
    running.end();
}

#[test]
fn all_problems_of_a_module_are_told_at_once() {
    let output = sim(&["nitro", "--vendor", "intel", "--at", "yesterday", "--listen"], Path::new("never"))
        .args(["--fault", "tired", "--pcr", "0=00"])
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    for problem in [
        "--vendor is intel, expected simulated or other",
        "--at is yesterday, expected seconds since 1970",
        "--fault is tired, which is none of those that --help names",
        "--pcr has 1 bytes, expected 48",
    ] {
        assert!(told.contains(problem), "{problem} is not in {told}");
    }
    assert!(!Path::new("never").exists());
}

fn sim(words: &[&str], last: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cloudtaser-sim"));
    command.args(words).arg(last).stdout(Stdio::piped());
    command
}

/// A simulator that ends with its test, whichever way that ends.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> (Self, String) {
        let mut running = Self(command.spawn().unwrap());
        let out = BufReader::new(running.0.stdout.as_mut().unwrap());
        let line = out.lines().next().unwrap().unwrap();
        (running, line)
    }

    fn end(mut self) {
        kill_process(Pid::from_child(&self.0), Signal::TERM).unwrap();
        assert!(self.0.wait().unwrap().success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ended_already = self.0.kill();
        let _reaped = self.0.wait();
    }
}
