//! `cloudtaser collateral` as its users run it: packs on paper, imports into a real server, refreshes from services that
//! answer well, badly, late or never.

mod pack;
mod refresh;
mod service;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use protocol::release::Base64;
use serde_json::{Value, json};
use simulator::snp::{Chip, Product};
use simulator::tdx::Platform;
use tempfile::TempDir;

use crate::server::{Server, since_1970};
use crate::told::Told;

fn now() -> u64 {
    since_1970().as_secs()
}

fn chip() -> Chip {
    Chip::new(1, Product::Genoa).at(now())
}

fn intel() -> Platform {
    Platform::new(7).at(now())
}

/// Where a test works: roots, keys and files.
struct Bench(TempDir);

impl Bench {
    fn new() -> Self {
        let bench = Self(TempDir::new().unwrap());
        bench.put("ark.der", &chip().ark().der());
        bench.put("intel.der", &intel().collateral().root);
        let authority = rcgen::generate_simple_self_signed(["nobody.example".to_owned()]).unwrap();
        bench.put("ca.pem", authority.cert.pem().as_bytes());
        for packer in ["packer", "stranger"] {
            let words = format!(
                "openssl genpkey -quiet -algorithm ed25519 -out {packer}.pem && openssl pkey -in {packer}.pem -pubout -out {packer}.pub.pem"
            );
            let made = Command::new("sh").args(["-c", &words]).current_dir(bench.0.path()).status();
            assert!(made.unwrap().success());
        }
        bench
    }

    fn put(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The packer's public key in hex.
    fn packer(&self) -> String {
        let pem = std::fs::read_to_string(self.path("packer.pub.pem")).unwrap();
        let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let der = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, body).unwrap();
        hex::encode(&der[der.len() - 32..])
    }

    /// Runs `cloudtaser collateral` here, believing the simulator.
    fn run(&self, server: Option<&Server>, words: &[&str]) -> Told {
        let roots: &[&str] = match words[0] {
            "show" | "import" => &[],
            _ => &["--insecure-trust-root=ark.der", "--insecure-trust-root=intel.der"],
        };
        run_in(self.0.path(), server, &[words, roots].concat())
    }
}

fn run_in(folder: &Path, server: Option<&Server>, words: &[&str]) -> Told {
    let output = Command::new(env!("CARGO_BIN_EXE_cloudtaser"))
        .arg("collateral")
        .args(words)
        .current_dir(folder)
        .env_clear()
        .envs(server.map(|server| ("BAO_ADDR", server.address.as_str())))
        .env("BAO_TOKEN", "root")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (out, err) = (text(output.stdout), text(output.stderr));
    assert!(!err.contains("panicked"), "{err}");
    Told { code: output.status.code().unwrap_or(-1), out, err }
}

#[track_caller]
fn says(told: Told, code: i32, words: &[&str]) {
    let told = told.ends(code);
    for word in words {
        assert!(told.out.contains(word) || told.err.contains(word), "{word:?}\n{}\n{}", told.out, told.err);
    }
}

fn status(server: &Server) -> Value {
    server.read("attest-keys/collateral/status").ok().json["data"].clone()
}

fn import(server: &Server, objects: &[Vec<u8>]) {
    let objects: Vec<Base64> = objects.iter().cloned().map(Base64).collect();
    server.write("attest-keys/collateral/import", &json!({ "objects": objects })).ok();
}
