//! `cloudtaser policy propose|approve|status|emergency` against a real server with the plugin.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::server::Server;

struct Ran {
    code: i32,
    out: String,
    err: String,
}

impl Ran {
    #[track_caller]
    fn ends(self, code: i32) -> String {
        assert_eq!(self.code, code, "{}\n{}", self.out, self.err);
        self.out + &self.err
    }
}

fn run(server: &Server, words: &[&str]) -> Ran {
    let output = Command::new(env!("CARGO_BIN_EXE_cloudtaser"))
        .arg("policy")
        .args(words)
        .envs([("BAO_ADDR", server.address.as_str()), ("BAO_TOKEN", "root")])
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (out, err) = (text(output.stdout), text(output.stderr));
    assert!(!err.contains("panicked"), "{err}");
    Ran { code: output.status.code().unwrap_or(-1), out, err }
}

#[track_caller]
fn shell(command: &str, dir: &Path) -> Option<String> {
    let output = Command::new("sh").args(["-c", command]).current_dir(dir).output().unwrap();
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
}

/// The three approvers' keys: a file, a curve and RSA, as openssl makes them.
fn keys(dir: &Path) -> Value {
    let make = "openssl genpkey -quiet -algorithm ed25519 -out alice.pem && \
        openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out bob.pem && \
        openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out carol.pem";
    shell(make, dir).unwrap();
    ["alice", "bob", "carol"]
        .map(|name| json!({ "name": name, "key": shell(&format!("openssl pkey -in {name}.pem -pubout"), dir) }))
        .into()
}

fn policy(version: u64, days: u64) -> String {
    format!(
        "name = \"prod\"\nversion = {version}\nexpires = \"2048-01-01T00:00:00Z\"\n\
         [freshness]\nverdict_seconds = 600\ncollateral_days = {days}\n\
         [tpm]\nattestation_keys = \"any\"\n"
    )
}

fn written(dir: &Path, name: &str, text: &str) -> String {
    let path: PathBuf = dir.join(name);
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// A server with the plugin, one policy in force, and approvers.
fn ruled(dir: &Path, threshold: u64, approvers: &Value) -> Server {
    let server = Server::attest();
    server.write("attest-keys/policy/prod", &json!({ "policy": policy(1, 7) })).ok();
    let document = json!({ "threshold": threshold, "approvers": approvers });
    server.write("attest-keys/config/approvers", &document).ok();
    fs::write(dir.join("approvers.json"), document.to_string()).unwrap();
    server
}

fn id(said: &str) -> String {
    let line = said.lines().find_map(|line| line.strip_prefix("proposed")).unwrap();
    line.trim().to_owned()
}

#[test]
fn a_change_is_told_in_words_proposed_approved_by_two_and_in_force() {
    let dir = TempDir::new().unwrap();
    let server = ruled(dir.path(), 2, &keys(dir.path()));
    let file = written(dir.path(), "next.toml", &policy(2, 30));
    let said = run(&server, &["propose", &file, "--reason", "longer lists", "--dry-run"]).ends(0);
    assert!(said.contains("accepts lists and collateral up to 30 days old (was 7)"), "{said}");
    assert!(run(&server, &["status"]).ends(0).contains("0 open proposals"));
    let said = run(&server, &["propose", &file, "--reason", "longer lists"]).ends(0);
    let id = id(&said);
    let said = run(&server, &["approve", &id]).ends(0);
    assert!(said.contains("up to 30 days old (was 7)") && said.contains("nothing was signed"), "{said}");
    let key = dir.path().join("alice.pem").display().to_string();
    let said = run(&server, &["approve", &id, "--as", "alice", "--key", &key]).ends(0);
    assert!(said.contains("approved by alice; 1 more needed"), "{said}");
    let said = run(&server, &["status"]).ends(0);
    assert!(said.contains("2 of alice, bob, carol approve") && said.contains("longer lists"), "{said}");
    let bob = format!("openssl dgst -sha256 -sign {}/bob.pem", dir.path().display());
    let said = run(&server, &["approve", &id, "--as", "alice", "--signer", &bob]).ends(1);
    let refused = said.lines().any(|line| line.starts_with("refused by the mount: "));
    assert!(refused && said.contains("expected one by alice over this very text"), "{said}");
    let said = run(&server, &["approve", &id, "--as", "bob", "--signer", &bob]).ends(0);
    assert!(said.contains("applied at") && said.contains("approved by alice, bob"), "{said}");
    assert_eq!(server.read("attest-keys/policy/prod").json["data"]["version"], 2);
    let said = run(&server, &["approve", &id, "--as", "bob", "--signer", &bob]).ends(2);
    assert!(said.contains("was applied at"), "{said}");
    assert!(run(&server, &["status", &id]).ends(0).contains("applied at"));
}

#[test]
fn what_the_mount_refuses_it_refuses_in_its_own_words() {
    let dir = TempDir::new().unwrap();
    let server = ruled(dir.path(), 2, &keys(dir.path()));
    let file = written(dir.path(), "same.toml", &policy(1, 30));
    let said = run(&server, &["propose", &file, "--reason", "forgot the version"]).ends(1);
    assert_eq!(said, "refused by the mount: policy version: expected above 1, found 1\n");
    let nobody = "11".repeat(32);
    let unknown = format!("not judged: no such proposal in this mount: {nobody} (proposal.unknown)\n");
    for verb in ["status", "approve"] {
        assert_eq!(run(&server, &[verb, &nobody]).ends(2), unknown);
    }
}

#[test]
fn a_new_policy_is_told_by_its_rules() {
    let dir = TempDir::new().unwrap();
    let server = ruled(dir.path(), 2, &keys(dir.path()));
    let file = written(dir.path(), "new.toml", &policy(1, 7).replace("prod", "test"));
    let said = run(&server, &["propose", &file, "--reason", "x", "--dry-run"]).ends(0);
    let expected = "policy test, now version 0:\n\
                    a new policy\n  \
                    admits machines of the platform tpm\n  \
                    admits until 2048-01-01T00:00:00Z\n  \
                    accepts lists and collateral up to 7 days old\n  \
                    lets a verdict hold for 600 seconds\n  \
                    is named test\n  \
                    admits machines with attestation key any\n  \
                    is version 1\n";
    assert_eq!(said, expected);
}

#[test]
fn what_is_no_policy_is_shown_where_it_is_none() {
    let dir = TempDir::new().unwrap();
    let file = written(dir.path(), "README.md", "# A title\n\nwords\n");
    let output = Command::new(env!("CARGO_BIN_EXE_cloudtaser"))
        .args(["policy", "propose", &file, "--reason", "x"])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("\n  3 | words\n"), "{said}");
}

#[test]
fn rsa_approves_by_both_paddings_and_a_program_that_fails_approves_nothing() {
    let dir = TempDir::new().unwrap();
    let server = ruled(dir.path(), 1, &keys(dir.path()));
    let carol = format!("openssl dgst -sha256 -sign {}/carol.pem", dir.path().display());
    let pss = format!("{carol} -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:");
    let signers = [carol.clone(), format!("{pss}digest"), format!("{pss}max")];
    for (version, signer) in (2..).zip(&signers) {
        let file = written(dir.path(), "next.toml", &policy(version, 7));
        let id = id(&run(&server, &["propose", &file, "--reason", "x"]).ends(0));
        for (bad, words) in [("exit 3", "expected exit code 0"), ("true", "expected a signature of 1 to")] {
            let said = run(&server, &["approve", &id, "--as", "carol", "--signer", bad]).ends(2);
            assert!(said.contains(words), "{said}");
        }
        let said = run(&server, &["approve", &id, "--as", "carol", "--signer", signer]).ends(0);
        assert!(said.contains("applied at"), "{said}");
    }
    assert_eq!(server.read("attest-keys/policy/prod").json["data"]["version"], 4);
}

#[test]
fn approvers_change_in_words_and_an_emergency_shows_first() {
    let dir = TempDir::new().unwrap();
    let all = keys(dir.path());
    let server = ruled(dir.path(), 1, &all);
    let fewer = json!({ "threshold": 2, "approvers": [all[0], all[1]] }).to_string();
    let file = written(dir.path(), "fewer.json", &fewer);
    let words = ["propose", &file, "--kind", "approvers", "--reason", "carol leaves"];
    let said = run(&server, &words).ends(0);
    assert!(said.contains("2 of 2 people approve (was 1)"), "{said}");
    assert!(said.contains("no longer approves    carol by RSA-2048 key"), "{said}");
    let strict = written(dir.path(), "strict.toml", &policy(2, 1));
    let key = dir.path().join("alice.pem").display().to_string();
    let words = ["emergency", &strict, "--minutes", "60", "--reason", "a leak", "--ticket", "INC-7"];
    let said = run(&server, &words).ends(0);
    assert!(said.contains("nothing was signed"), "{said}");
    let said = run(&server, &[&words[..], &["--as", "alice", "--key", &key]].concat()).ends(0);
    assert!(said.contains("up to 1 days old (was 7)") && said.contains("holds now"), "{said}");
    let said = run(&server, &["status"]).ends(0);
    assert!(said.contains("EMERGENCY until") && said.contains("by alice, ticket INC-7: a leak"), "{said}");
    assert_eq!(server.read("attest-keys/policy/prod").json["data"]["version"], 2);
}

#[test]
fn an_issuer_of_workload_tokens_is_told_key_by_key_and_dropped_at_once_by_an_empty_file() {
    let dir = TempDir::new().unwrap();
    let server = ruled(dir.path(), 1, &keys(dir.path()));
    // RFC 7515, A.3.
    let (x, y) =
        ("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0");
    let cluster = json!({
        "kind": "kubernetes", "issuer": "https://cluster.example", "audiences": ["https://bao.example"],
        "jwks": { "keys": [{ "kty": "EC", "crv": "P-256", "kid": "k1", "x": x, "y": y }] },
    });
    let file = written(dir.path(), "cluster.json", &cluster.to_string());
    let words = ["propose", &file, "--kind", "workload-issuer", "--reason", "a new cluster"];
    assert!(run(&server, &words).ends(2).contains("name: expected 1 to 64"));
    let said = run(&server, &[&words[..], &["--name", "cluster"]].concat()).ends(0);
    assert!(said.contains("believes              issuer https://cluster.example"), "{said}");
    let thumbprint = "key k1, EC, thumbprint oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U";
    assert!(said.contains(&format!("believes              {thumbprint}")), "{said}");
    let key = dir.path().join("alice.pem").display().to_string();
    let alice = ["--as", "alice", "--key", &key];
    let said = run(&server, &[&["approve", &id(&said)], &alice[..]].concat()).ends(0);
    assert!(said.contains("applied at"), "{said}");
    let path = "attest-keys/config/workload-issuers/cluster";
    assert_eq!(server.read(path).json["data"]["issuer"], "https://cluster.example");
    let none = written(dir.path(), "none", "");
    let words = ["emergency", &none, "--kind", "workload-issuer", "--name", "cluster", "--minutes", "60"];
    let words = [&words[..], &["--reason", "its key leaked", "--ticket", "INC-7"], &alice].concat();
    let said = run(&server, &words).ends(0);
    assert!(said.contains(&format!("no longer believes    {thumbprint}")), "{said}");
    assert_eq!(server.read(path).status, 404);
}

/// A hardware module, in software: the key never leaves it.
#[test]
fn a_key_in_a_pkcs11_module_approves() {
    let dir = TempDir::new().unwrap();
    let module = "/usr/lib/softhsm/libsofthsm2.so";
    if !Path::new(module).is_file() || shell("command -v pkcs11-tool softhsm2-util", dir.path()).is_none() {
        return skip("softhsm", "no SoftHSM or no pkcs11-tool on this machine");
    }
    fs::create_dir(dir.path().join("tokens")).unwrap();
    let conf = format!("directories.tokendir = {}/tokens\n", dir.path().display());
    let conf = written(dir.path(), "softhsm2.conf", &conf);
    let tool = format!("SOFTHSM2_CONF={conf} pkcs11-tool --module {module} --login --pin 1234");
    let make = format!(
        "SOFTHSM2_CONF={conf} softhsm2-util --init-token --free --label approver --so-pin 5678 --pin 1234 && \
         {tool} --keypairgen --key-type EC:prime256v1 --id 01 && {tool} --keypairgen --key-type rsa:2048 --id 02"
    );
    shell(&make, dir.path()).expect("the module makes keys");
    let public = |id: &str| {
        let read = format!("{tool} --read-object --type pubkey --id {id} | openssl pkey -pubin -inform DER");
        shell(&read, dir.path()).unwrap()
    };
    let approvers = json!([
        { "name": "curve", "key": public("01") },
        { "name": "rsa", "key": public("02") },
    ]);
    let server = ruled(dir.path(), 2, &approvers);
    let file = written(dir.path(), "next.toml", &policy(2, 7));
    let id = id(&run(&server, &["propose", &file, "--reason", "x"]).ends(0));
    let curve = format!("openssl dgst -sha256 -binary | {tool} --sign --id 01 --mechanism ECDSA");
    let said = run(&server, &["approve", &id, "--as", "curve", "--signer", &curve]).ends(0);
    assert!(said.contains("1 more needed"), "{said}");
    let rsa = format!("{tool} --sign --id 02 --mechanism SHA256-RSA-PKCS");
    let said = run(&server, &["approve", &id, "--as", "rsa", "--signer", &rsa]).ends(0);
    assert!(said.contains("applied at"), "{said}");
    assert_eq!(server.read("attest-keys/policy/prod").json["data"]["version"], 2);
}

#[expect(clippy::disallowed_methods, clippy::print_stdout, reason = "a skip is counted where it is printed")]
fn skip(feature: &str, reason: &str) {
    let required = std::env::var("REQUIRE").unwrap_or_default();
    assert!(!required.split(',').any(|word| word.trim() == feature), "{feature} is required: {reason}");
    let name = std::thread::current().name().unwrap_or_default().to_owned();
    println!("SKIP {name}: {reason}");
}
