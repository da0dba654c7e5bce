//! `cloudtaser-sim` as the demonstration runs it.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test that cannot set up or read its program has failed; a skip says so"
)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use sev::certs::snp::{Chain, Verifiable};
use sev::firmware::guest::AttestationReport;
use sev::parser::ByteParser;
use simulator::tdx::EventLog;
use tempfile::TempDir;

#[test]
fn a_machine_is_shown_until_sigterm() {
    if !Path::new("/dev/fuse").exists() {
        let required = std::env::var("REQUIRE").unwrap_or_default();
        assert!(!required.split(',').any(|feature| feature == "fuse"), "/dev/fuse is absent");
        eprintln!("SKIP program: /dev/fuse is absent");
        return;
    }
    let (mount, endorsements) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let before = fs::metadata(mount.path()).unwrap().dev();
    let mut child = sim(&["snp", "--product", "turin", "--seed", "7", "--debug", "--mount"])
        .arg(mount.path())
        .arg("--write-endorsements")
        .arg(endorsements.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    assert_eq!(first_line(&mut child), format!("ready {}", mount.path().display()));
    let request = mount.path().join("r0");
    fs::create_dir(&request).unwrap();
    fs::write(request.join("inblob"), [9; 64]).unwrap();
    let report = fs::read(request.join("outblob")).unwrap();
    verify(endorsements.path(), "ask", "vcek", &report).unwrap();
    assert_eq!((report[0x50], report[0x0a] & 8), (9, 8));
    assert!(fs::metadata(endorsements.path().join("crl.der")).unwrap().len() > 500);
    let output = sim(&["exec", "--reports"])
        .arg(mount.path())
        .args(["--", "sh", "-c", "ls /sys/kernel/config/tsm/report; exit 7"])
        .output()
        .unwrap();
    assert_eq!(
        (output.status.code(), output.stdout.as_slice()),
        (Some(7), &b"r0\n"[..]),
        "{}",
        error(&output)
    );

    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(fs::metadata(mount.path()).unwrap().dev(), before);
}

#[test]
fn a_report_is_written_with_its_endorsements() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("report.bin");
    let data = "ab".repeat(64);
    let measurement = "cd".repeat(48);
    let output = sim(&["snp-report", "--product", "genoa", "--vlek", "--tcb", "snp=8,microcode=115"])
        .args(["--measurement", &measurement, "--report-data", &data, "--at", "2026-11-21T00:00:00Z"])
        .arg("-o")
        .arg(&file)
        .arg("--write-endorsements")
        .arg(folder.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", error(&output));
    let report = fs::read(&file).unwrap();
    verify(folder.path(), "asvk", "vlek", &report).unwrap();
    assert_eq!(report[0x50..0x90], [0xab; 64]);
    assert_eq!(report[0x90..0xc0], [0xcd; 48]);
    assert_eq!(report[0x180..0x188], [10, 0, 0, 0, 0, 0, 8, 115]);
}

#[test]
fn all_problems_are_told_at_once() {
    let output =
        sim(&["snp-report", "--product", "rome", "--vendor", "intel", "--report-data", "00", "-o", "x"])
            .args(["--at", "yesterday", "--measurement", "zz", "--revoke", "ark"])
            .output()
            .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = error(&output);
    for problem in [
        "--product is rome, expected milan, genoa or turin",
        "--vendor is intel, expected simulated or other",
        "--report-data has 1 bytes, expected 64",
        "--at is yesterday, expected seconds since 1970",
        "--measurement is not hexadecimal",
        "--revoke is ark, expected ask, asvk or vcek",
    ] {
        assert!(text.contains(problem), "{problem} is not in {text}");
    }
    assert!(!Path::new("x").exists());
}

#[test]
fn a_quote_is_written_with_its_endorsements_and_its_event_log() {
    let folder = TempDir::new().unwrap();
    let (file, log) = (folder.path().join("quote.bin"), folder.path().join("ccel.bin"));
    let endorsements = folder.path().join("endorsements");
    let (data, mrtd) = ("ab".repeat(64), "cd".repeat(48));
    let output = sim(&["tdx-quote", "--body", "1.5", "--mrtd", &mrtd, "--report-data", &data, "--debug"])
        .args(["--kernel-command-line", "ro quiet", "--tcb", "out-of-date", "--at", "2026-11-21T00:00:00Z"])
        .args(["--revoke", "pck", "--status", "SWHardeningNeeded", "--advisory", "INTEL-SA-00001"])
        .arg("--write-event-log")
        .arg(&log)
        .arg("-o")
        .arg(&file)
        .arg("--write-endorsements")
        .arg(&endorsements)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", error(&output));
    let quote = fs::read(&file).unwrap();
    assert_eq!(quote[..2], [5, 0]);
    assert_eq!(quote[54 + 136..54 + 184], [0xcd; 48]);
    assert_eq!(quote[54 + 520..54 + 584], [0xab; 64]);
    assert_eq!(quote[54 + 120], 1);
    assert_eq!(quote[54 + 424..54 + 472], EventLog::production("ro quiet").rtmrs()[2]);
    assert_eq!(fs::read(&log).unwrap(), EventLog::production("ro quiet").encode());
    let info = fs::read_to_string(endorsements.join("tcb-info.json")).unwrap();
    assert!(
        info.contains("\"tcbStatus\":\"SWHardeningNeeded\",\"advisoryIDs\":[\"INTEL-SA-00001\"]"),
        "{info}"
    );
    for name in ["root", "ca", "pck", "tcb-signing", "root-crl", "pck-crl"] {
        assert_eq!(fs::read(endorsements.join(format!("{name}.der"))).unwrap()[0], 0x30);
    }
    assert!(fs::read(endorsements.join("qe-identity.json")).unwrap().starts_with(b"{\"enclaveIdentity\""));
}

#[test]
fn all_problems_of_a_td_are_told_at_once() {
    let output = sim(&["tdx-quote", "--report-data", "00", "-o", "x", "--vendor", "amd", "--ca", "root"])
        .args(["--at", "yesterday", "--mrtd", "zz", "--revoke", "root", "--body", "2.0", "--tcb", "fine"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = error(&output);
    for problem in [
        "--vendor is amd, expected simulated or other",
        "--ca is root, expected platform or processor",
        "--at is yesterday, expected seconds since 1970",
        "--mrtd is not hexadecimal",
        "--revoke is root, expected ca or pck",
        "--body is 2.0, expected 1.0, 1.5 or 1.5-ex",
        "--tcb is fine, expected up-to-date, out-of-date",
        "--report-data has 1 bytes, expected 64",
    ] {
        assert!(text.contains(problem), "{problem} is not in {text}");
    }
}

#[test]
fn roots_are_written_in_both_forms() {
    let folder = TempDir::new().unwrap();
    let output = sim(&["roots", "--write"]).arg(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", error(&output));
    for root in ["ark-milan", "ark-genoa", "ark-turin", "intel-sgx-root-ca", "aws-nitro-enclaves"] {
        let der = fs::read(folder.path().join(format!("{root}.der"))).unwrap();
        let pem = fs::read(folder.path().join(format!("{root}.pem"))).unwrap();
        let (from_der, from_pem) = (
            sev::certs::snp::Certificate::from_der(&der).unwrap(),
            sev::certs::snp::Certificate::from_pem(&pem).unwrap(),
        );
        assert_eq!(from_der.to_der().unwrap(), from_pem.to_der().unwrap());
    }
}

#[test]
fn a_document_is_written() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("document.bin");
    let nonce = "07".repeat(32);
    let words = ["nitro-document", "--at", "2026-11-21T00:00:00Z", "--nonce", &nonce, "--indefinite", "-o"];
    let output = sim(&words).arg(&file).output().unwrap();
    assert!(output.status.success(), "{}", error(&output));
    let bytes = fs::read(&file).unwrap();
    assert_eq!(bytes[..6], [0x84, 0x44, 0xa1, 0x01, 0x38, 0x22]);
    assert!(bytes.windows(32).any(|window| window == [7; 32]));
    let words = ["nitro-document", "--nonce", "7", "--pcr", "0", "--vendor", "aws", "-o", "never"];
    let output = sim(&words).output().unwrap();
    for problem in ["--nonce is not hexadecimal", "--pcr has 0, expected INDEX=VALUE", "--vendor is aws"] {
        assert!(error(&output).contains(problem), "{}", error(&output));
    }
}

#[test]
fn a_tpm_that_booted_is_shown_with_its_log() {
    if missing("swtpm") {
        return;
    }
    let folder = TempDir::new().unwrap();
    let (state, log) = (folder.path().join("state"), folder.path().join("log"));
    let mut child = sim(&["vtpm", "--kernel-command-line", "ro quiet", "--state"])
        .arg(&state)
        .arg("--write-event-log")
        .arg(&log)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let ready = first_line(&mut child);
    let tcti = ready.strip_prefix("ready ").unwrap();
    let read = Command::new("tpm2_pcrread").arg("sha256:8").env("TPM2TOOLS_TCTI", tcti).output().unwrap();
    // SHA-256 of 32 zero bytes and the digest of `ro quiet`.
    let expected = "C66ADFF3016B26C2457D0D56DFF9169F78FE393C238A5209A94C54F789C10D1A";
    assert!(String::from_utf8_lossy(&read.stdout).contains(expected), "{read:?}");
    assert_eq!(fs::read(&log).unwrap(), simulator::tpm::EventLog::production("ro quiet").encode());
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_machine_of_azures_is_shown_until_sigterm() {
    if missing("swtpm") {
        return;
    }
    let folder = TempDir::new().unwrap();
    let endorsements = folder.path().join("endorsements");
    let mut child = sim(&["azure", "--kind", "snp", "--seed", "3", "--state"])
        .arg(folder.path().join("state"))
        .arg("--write-endorsements")
        .arg(&endorsements)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let ready = first_line(&mut child);
    let [_, tcti, imds] = ready.split(' ').collect::<Vec<_>>()[..] else { unreachable!("{ready}") };
    let report = Command::new("tpm2_nvread").arg("0x01400001").env("TPM2TOOLS_TCTI", tcti).output().unwrap();
    assert!(report.stdout.starts_with(b"HCLA"), "{report:?}");
    let snp = &report.stdout[32..32 + 1184];
    verify(&endorsements, "ask", "vcek", snp).unwrap();
    assert!(imds.starts_with("http://127.0.0.1:"), "{imds}");
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn all_problems_of_a_machine_of_azures_are_told_at_once() {
    let output = sim(&["azure", "--kind", "sev", "--state", "x", "--fault", "fine"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    for problem in
        ["--kind is sev, expected snp or tdx", "--fault is fine, expected one of no-report, broken"]
    {
        assert!(error(&output).contains(problem), "{}", error(&output));
    }
}

/// Whether a program is not installed; says so, and is not tolerated under `REQUIRE`.
fn missing(program: &str) -> bool {
    if Command::new(program).arg("--version").output().is_ok() {
        return false;
    }
    let required = std::env::var("REQUIRE").unwrap_or_default();
    assert!(!required.split(',').any(|feature| feature == program), "{program} is not installed");
    eprintln!("SKIP program: {program} is not installed");
    true
}

fn sim(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cloudtaser-sim"));
    command.args(arguments);
    command
}

fn first_line(child: &mut Child) -> String {
    BufReader::new(child.stdout.as_mut().unwrap()).lines().next().unwrap().unwrap()
}

fn error(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn verify(endorsements: &Path, intermediate: &str, key: &str, report: &[u8]) -> Result<(), String> {
    let read = |name: &str| fs::read(endorsements.join(format!("{name}.der"))).unwrap();
    let chain = Chain::from_der(&read("ark"), &read(intermediate), &read(key)).unwrap();
    let report = AttestationReport::from_bytes(report).unwrap();
    (&chain, &report).verify().map_err(|error| error.to_string())
}
