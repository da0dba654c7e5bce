//! The whole program against simulated hardware: every line but the device is proved here.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::indexing_slicing,
    reason = "tests"
)]
#![forbid(unsafe_code)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;
use simulator::nitro::{Module, Nsm, NsmSocket, Role};
use simulator::snp::{Chip, Product};
use simulator::tdx::{Collateral, Platform};
use simulator::tsm::{Machine, Mount};
use simulator::vtpm::Vtpm;
use tempfile::TempDir;

/// How a run ended, what it said, and the folder that it wrote.
struct Ran {
    code: Option<i32>,
    text: String,
    out: PathBuf,
    _folder: TempDir,
}

/// Runs it on hardware that this section describes, judged by this root and these endorsements.
fn run(hardware: &str, section: &str, root: Option<&[u8]>, endorsements: &[(&str, &[u8])]) -> Ran {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    let mut command = Command::new(env!("CARGO_BIN_EXE_cloudtaser-hw"));
    command.arg(hardware).arg("--agent").arg(agent()).args(["--requests", "120", "--out"]).arg(path("out"));
    fs::write(path("section.toml"), section).unwrap();
    command.arg("--section").arg(path("section.toml"));
    if let Some(root) = root {
        fs::write(path("root.der"), root).unwrap();
        command.arg("--insecure-trust-root").arg(path("root.der"));
    }
    for (name, content) in endorsements {
        fs::write(path(name), content).unwrap();
        command.arg("--endorsements").arg(path(name));
    }
    let output = command.output().unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    Ran { code: output.status.code(), text, out: path("out"), _folder: folder }
}

/// All laws held; the report says the same to programs, and the vectors are there.
#[track_caller]
fn all_hold(ran: &Ran, vectors: &[&str]) {
    assert_eq!(ran.code, Some(0), "{}", ran.text);
    let report: Value = serde_json::from_slice(&fs::read(ran.out.join("report.json")).unwrap()).unwrap();
    let laws = report["laws"].as_array().unwrap();
    assert_eq!(laws.len(), 8, "{report:#}");
    assert!(laws.iter().all(|law| law["holds"] == true), "{report:#}");
    assert_eq!(report["round_trip"]["count"], 120);
    assert_eq!(fs::read_to_string(ran.out.join("report.txt")).unwrap(), ran.text);
    for name in vectors.iter().chain(&["MANIFEST.toml"]) {
        assert!(ran.out.join("vectors").join(name).is_file(), "{name}");
    }
}

#[test]
fn the_laws_hold_on_a_simulated_snp_machine() {
    let Some(folder) = fuse() else { return };
    let chip = Chip::new(1, Product::Genoa).at(now());
    let mount = Mount::new(Machine::new(&chip), folder.path()).unwrap();
    let section = format!("[snp]\npath = {:?}\n", mount.path());
    let crl = chip.crl().der();
    let ran = run("sev-snp", &section, Some(&chip.chain().ark), &[("crl.der", &crl)]);
    all_hold(&ran, &["report.bin", "0-certificate.der"]);
    assert!(ran.text.starts_with("sev-snp: 1184 bytes of evidence, SIMULATED ROOTS\n"), "{}", ran.text);
}

#[test]
fn the_laws_hold_on_a_simulated_td() {
    let Some(folder) = fuse() else { return };
    let platform = Platform::new(1).at(now());
    let mount = Mount::new(Machine::tdx(platform.quote()), folder.path()).unwrap();
    let section = format!("[tdx]\npath = {:?}\n", mount.path());
    let Collateral { root, tcb_signing, root_crl, pck_crl, tcb_info, qe_identity, .. } =
        platform.collateral();
    let brought: [(&str, &[u8]); 5] = [
        ("tcb-signing.der", &tcb_signing),
        ("root-crl.der", &root_crl),
        ("pck-crl.der", &pck_crl),
        ("tcb-info.json", tcb_info.as_ref()),
        ("qe-identity.json", qe_identity.as_ref()),
    ];
    all_hold(&run("tdx", &section, Some(&root), &brought), &["quote.bin"]);
}

#[test]
fn the_laws_hold_in_a_simulated_enclave() {
    let folder = TempDir::new().unwrap();
    let module = Module::enclave(1).at(now());
    let root = module.certificate(Role::Root).der();
    let socket = NsmSocket::listen(Nsm::new(module), &folder.path().join("nsm")).unwrap();
    let section = format!("[nitro]\npath = {:?}\n", socket.path());
    all_hold(&run("nitro", &section, Some(&root), &[]), &["document.cose.bin"]);
}

#[test]
fn the_laws_hold_on_a_software_tpm_whose_key_is_made_on_the_way() {
    if Command::new("swtpm").arg("--version").output().is_err() {
        return skip("swtpm", "swtpm is not installed");
    }
    let tpm = Vtpm::start().unwrap();
    let section = format!("[tpm]\ntcti = {:?}\ncreate_ak = true\n", tpm.tcti());
    let ran = run("tpm2", &section, None, &[]);
    all_hold(&ran, &["parcel.bin"]);
    assert!(ran.text.contains(", under the vendor's roots\n"), "{}", ran.text);
}

#[test]
fn a_machine_of_another_vendor_is_said_not_to_verify_and_its_evidence_is_kept() {
    let folder = TempDir::new().unwrap();
    let socket =
        NsmSocket::listen(Nsm::new(Module::enclave(1).at(now())), &folder.path().join("nsm")).unwrap();
    let ran = run("nitro", &format!("[nitro]\npath = {:?}\n", socket.path()), None, &[]);
    assert_eq!(ran.code, Some(2), "{}", ran.text);
    assert!(ran.text.contains("but does not verify: "), "{}", ran.text);
    assert!(ran.out.join("vectors/document.cose.bin").is_file());
}

#[test]
fn hardware_that_is_not_there_is_named() {
    let ran = run("sev-snp", "[snp]\npath = \"/nonexistent/report\"\n", None, &[]);
    assert_eq!(ran.code, Some(2), "{}", ran.text);
    assert!(ran.text.contains("/nonexistent/report"), "{}", ran.text);
}

fn fuse() -> Option<TempDir> {
    if !Path::new("/dev/fuse").exists() {
        skip("fuse", "/dev/fuse is absent");
        return None;
    }
    Some(TempDir::new().unwrap())
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// The agent's program. A run of the whole workspace has built it; else it is built once.
fn agent() -> PathBuf {
    static BUILDING: Mutex<()> = Mutex::new(());
    let program = Path::new(env!("CARGO_BIN_EXE_cloudtaser-hw")).with_file_name("cloudtaser-node-agent");
    let _alone = BUILDING.lock().unwrap();
    if !program.exists() {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--workspace", "--bin", "cloudtaser-node-agent"]);
        assert!(cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap().success());
    }
    program
}

fn skip(feature: &str, why: &str) {
    let required = std::env::var("REQUIRE").unwrap_or_default();
    assert!(!required.split(',').any(|required| required == feature), "{why}");
    let name = std::thread::current().name().unwrap_or_default().to_owned();
    eprintln!("SKIP {name}: {why}");
}
