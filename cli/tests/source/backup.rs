//! The chart's backup scripts, run as the chart runs them, against a real server; and the way back.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::chart::{documents, folder, one, rendered};
use crate::doctor::well_kept;
use crate::server::{Server, bao, since_1970};

/// The pod of a backup, moved to this machine.
struct Job {
    dir: TempDir,
    pod: Value,
    scripts: Value,
    address: String,
}

impl Job {
    fn new(documents: &[Value], server: &Server) -> Self {
        let name = "sovereign-openbao-backup";
        let job = one(documents, "CronJob", name);
        let job = Self {
            dir: TempDir::new().unwrap(),
            pod: job["spec"]["jobTemplate"]["spec"]["template"]["spec"].clone(),
            scripts: one(documents, "ConfigMap", name)["data"].clone(),
            address: server.address.clone(),
        };
        for folder in ["scripts", "tls", "recipients", "identity", "memory", "kept"] {
            fs::create_dir(job.path(folder)).unwrap();
        }
        for (name, text) in job.scripts.as_object().unwrap() {
            fs::write(job.path("scripts").join(name), text.as_str().unwrap()).unwrap();
        }
        fs::copy(server.ca(), job.path("tls/ca.crt")).unwrap();
        job
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    /// Runs a container with its own command and environment, and a few words more.
    fn run(&self, which: &str, more: &[(&str, &str)]) -> Output {
        let container = &self.pod[which][0];
        let words: Vec<String> = container["command"]
            .as_array()
            .unwrap()
            .iter()
            .map(|word| self.moved(word.as_str().unwrap()))
            .collect();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).env_clear();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let bin = bao().parent().map(Path::to_owned).unwrap_or_default();
        let places = std::iter::once(bin).chain(std::env::split_paths(&path));
        command.env("PATH", std::env::join_paths(places).unwrap());
        for variable in container["env"].as_array().unwrap() {
            let value = self.moved(variable["value"].as_str().unwrap());
            command.env(variable["name"].as_str().unwrap(), value);
        }
        command.envs(more.iter().copied()).output().unwrap()
    }

    fn moved(&self, text: &str) -> String {
        let text = text.replace("https://sovereign-openbao:8200", &self.address);
        text.replace("/backup/", &format!("{}/", self.dir.path().display()))
    }

    /// What lies in a folder, hidden files too.
    fn listed(&self, name: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(name)).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

#[test]
fn a_backup_leaves_memory_encrypted_and_comes_back() {
    let Some(text) = rendered("backup", "shamir", &[]) else { return };
    let server = well_kept(&["--kind=secrets"], "tls13", 90);
    let job = Job::new(&documents(&text), &server);
    let recipient = recipient(&job.path("recipients"));
    fs::write(job.path("identity/token"), identity(&server)).unwrap();
    server.write("sys/policies/acl/marker", &json!({ "policy": "# kept" })).ok();
    let before = accessors(&server);

    ends(&job.run("initContainers", &[]), true);
    assert_eq!(job.listed("memory"), ["openbao.snap"]);
    assert_eq!(accessors(&server), before, "the token of the backup is still there");
    let clear = fs::read(job.path("memory/openbao.snap")).unwrap();
    ends(&job.run("containers", &[]), true);
    assert_eq!(job.listed("memory"), [""; 0]);
    let kept = job.listed("kept");
    assert_eq!(kept.len(), 1, "{kept:?}");
    let file = job.path("kept").join(&kept[0]);
    let encrypted = fs::read(&file).unwrap();
    assert!(!encrypted.windows(64).any(|window| clear.windows(64).next() == Some(window)));

    server.call("DELETE", "sys/policies/acl/marker", None, &server.root).ok();
    let opened = job.path("opened.snap");
    ends(&open(&file, &recipient, &opened), true);
    assert_eq!(fs::read(&opened).unwrap(), clear);
    let mut restore = Command::new(bao());
    restore.args(["operator", "raft", "snapshot", "restore"]).arg(&opened);
    ends(&restore.envs(server.environment(&server.root, &server.ca())).output().unwrap(), true);
    server.wait_until_active();
    crate::server::eventually(
        "the policy of before",
        || server.log(),
        || server.call("GET", "sys/policies/acl/marker", None, &server.root).status == 200,
    );

    // One bit, and it does not open.
    let mut altered = encrypted.clone();
    let middle = altered.len() / 2;
    altered[middle] ^= 1;
    fs::write(&file, altered).unwrap();
    ends(&open(&file, &recipient, &opened), false);
}

#[test]
fn a_backup_that_cannot_be_encrypted_leaves_nothing_behind() {
    let Some(text) = rendered("backup.nobody", "shamir", &[]) else { return };
    let server = Server::dev();
    fs::write(server.dir.path().join("ca.pem"), "").unwrap();
    let job = Job::new(&documents(&text), &server);
    fs::write(job.path("memory/openbao.snap"), b"in clear").unwrap();
    ends(&job.run("containers", &[]), false);
    assert_eq!((job.listed("memory"), job.listed("kept")), (Vec::new(), Vec::new()));
}

#[test]
fn old_backups_go_and_what_is_no_backup_stays() {
    let Some(text) = rendered("backup.old", "shamir", &[]) else { return };
    let server = Server::dev();
    fs::write(server.dir.path().join("ca.pem"), "").unwrap();
    let job = Job::new(&documents(&text), &server);
    recipient(&job.path("recipients"));
    for day in 1..5 {
        fs::write(job.path(&format!("kept/openbao-2026010{day}T000000Z.snap.cms")), b"old").unwrap();
    }
    fs::write(job.path("kept/openbao-notes.snap.cms"), b"a note").unwrap();
    fs::write(job.path("memory/openbao.snap"), b"in clear").unwrap();
    ends(&job.run("containers", &[("KEEP", "3")]), true);
    let kept = job.listed("kept");
    assert_eq!(kept.len(), 4, "{kept:?}");
    assert_eq!(kept[..2], ["openbao-20260103T000000Z.snap.cms", "openbao-20260104T000000Z.snap.cms"]);
    assert_eq!(kept[3], "openbao-notes.snap.cms");
}

/// The README's way back.
fn open(file: &Path, recipient: &Path, to: &Path) -> Output {
    let mut openssl = Command::new("openssl");
    openssl.args(["cms", "-decrypt", "-inform", "DER", "-in"]).arg(file).arg("-inkey").arg(recipient);
    openssl.arg("-recip").arg(recipient).arg("-out").arg(to).output().unwrap()
}

/// A recipient's certificate in the folder; the file that is returned has the key, too.
fn recipient(folder: &Path) -> std::path::PathBuf {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let certificate = rcgen::CertificateParams::new(Vec::new()).unwrap().self_signed(&key).unwrap();
    fs::write(folder.join("keeper.pem"), certificate.pem()).unwrap();
    let both = folder.with_file_name("keeper-and-key.pem");
    fs::write(&both, certificate.pem() + &key.serialize_pem()).unwrap();
    both
}

/// A token as the cluster would write it for the backup's service account, which the server believes.
fn identity(server: &Server) -> String {
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref()).unwrap();
    server.write("sys/auth/jwt", &json!({ "type": "jwt" })).ok();
    server
        .write("auth/jwt/config", &json!({ "jwt_validation_pubkeys": [pem(key.public_key().as_ref())] }))
        .ok();
    let role = json!({
        "role_type": "jwt", "bound_audiences": ["openbao"], "user_claim": "sub", "token_policies": ["backup"],
        "bound_subject": "system:serviceaccount:bao:sovereign-openbao-backup", "token_ttl": "10m",
        "token_no_default_policy": true,
    });
    server.write("auth/jwt/role/backup", &role).ok();
    server.write("sys/policies/acl/backup", &json!({ "policy": policy() })).ok();
    let now = since_1970().as_secs();
    let claims = json!({
        "aud": "openbao", "iat": now, "nbf": now, "sub": "system:serviceaccount:bao:sovereign-openbao-backup",
        "exp": now + 600,
    });
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&json!({ "alg": "ES256", "typ": "JWT" })), part(&claims));
    let signature = key.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
}

/// RFC 5480: an uncompressed point on P-256 in a `SubjectPublicKeyInfo`.
fn pem(point: &[u8]) -> String {
    let prefix = hex::decode("3059301306072a8648ce3d020106082a8648ce3d030107034200").unwrap();
    let body = STANDARD.encode([prefix.as_slice(), point].concat());
    format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n")
}

/// The policy that the README gives to the backup.
fn policy() -> String {
    let readme = fs::read_to_string(folder().join("README.md")).unwrap();
    let (_, after) = readme.split_once("```hcl\n").unwrap();
    after.split_once("```").unwrap().0.to_owned()
}

fn accessors(server: &Server) -> usize {
    let answer = server.call("LIST", "auth/token/accessors", None, &server.root).ok();
    answer.json["data"]["keys"].as_array().unwrap().len()
}

#[track_caller]
fn ends(output: &Output, well: bool) {
    let told = [output.stdout.as_slice(), &output.stderr].concat();
    assert_eq!(output.status.success(), well, "{}", String::from_utf8_lossy(&told));
}
