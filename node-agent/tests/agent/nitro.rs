//! The security module of a Nitro enclave, by a stand-in's socket that carries the bytes of the device.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use attest::crypto::{AwsLcRs, Crypto as _, Hash};
use attest::nitro::Attached;
use attest::{Answer, Claims, Kem, OfferedKey, Platform, Policy, Stale, TrustAnchors, Verified};
use node_agent::nitro::{Error, Nsm as Agents, Pcr, Refusal, Request, Response, Settings};
use node_agent::registers::Register as _;
use protocol::agent::{EvidenceReply, EvidenceRequest};
use simulator::nitro::{Fault, Module, Nsm, NsmSocket, Role};
use tempfile::TempDir;

use crate::harness::{Agent, NOW, PROGRAM, challenge, own_uid, request, verified};

/// An enclave: its security module at a socket.
struct Enclave {
    module: NsmSocket,
    _directory: TempDir,
}

impl Enclave {
    fn start(settings: impl FnOnce(Nsm) -> Nsm) -> Self {
        let directory = TempDir::new().unwrap();
        let nsm = settings(Nsm::new(Module::enclave(1)));
        let module = NsmSocket::listen(nsm, &directory.path().join("nsm")).unwrap();
        Self { module, _directory: directory }
    }

    fn path(&self) -> PathBuf {
        self.module.path().to_owned()
    }

    fn agent(&self) -> Agent {
        Agent::start(&config(&self.path()))
    }

    /// The agent's own way to the module.
    fn asked(&self) -> Agents {
        Agents::new(Settings { path: self.path() })
    }
}

fn config(path: &Path) -> String {
    format!("[nitro]\npath = {path:?}\n")
}

fn anchors() -> TrustAnchors {
    TrustAnchors::insecure_simulated(&[Module::enclave(1).certificate(Role::Root).der()]).unwrap()
}

fn judged(reply: &EvidenceReply) -> Verified<Claims> {
    assert_eq!(reply.platform, Platform::Nitro);
    verified(reply, &anchors())
}

/// What a policy that pins the simulator's image finds wrong.
fn refused_by(asked: EvidenceRequest, reply: &EvidenceReply) -> Vec<String> {
    let image = judged(&Enclave::start(|nsm| nsm).agent().evidence(&request(0, None)));
    let Claims::Nitro(image) = image.claims() else { panic!("{image:?}") };
    let text = POLICY.replace("@PCR0@", &image.pcr(0).unwrap().to_string());
    let policy = Policy::parse(&AwsLcRs, &text).unwrap();
    let claims = judged(reply);
    let key = challenge(&asked).redeem(&AwsLcRs, asked.key, &claims, NOW);
    match policy.appraise(&claims, key, NOW) {
        Ok(_) => Vec::new(),
        Err(refused) => {
            let checks = refused.appraisal().checks.iter();
            checks.filter(|check| check.verdict == Answer::Fail).map(|check| check.id.clone()).collect()
        }
    }
}

#[test]
fn a_document_verifies_and_is_bound_to_nonce_purpose_and_key() {
    let enclave = Enclave::start(|nsm| nsm);
    let agent = enclave.agent();
    let asked = request(1, None);
    let reply = agent.evidence(&asked);
    let claims = judged(&reply);
    let redeem = |challenge: attest::Challenge, key: &OfferedKey| {
        challenge.redeem(&AwsLcRs, key.clone(), &claims, NOW).map(|attested| attested.key().clone())
    };
    assert_eq!(redeem(challenge(&asked), &asked.key), Ok(asked.key.clone()));
    assert_eq!(redeem(challenge(&request(2, None)), &asked.key), Err(Stale::NotBound));
    let other = OfferedKey { public: vec![0x78; 1216], ..asked.key.clone() };
    assert_eq!(redeem(challenge(&asked), &other), Err(Stale::NotBound));
    let Claims::Nitro(document) = claims.claims() else { panic!("{claims:?}") };
    assert_eq!(document.document.nonce, Attached::Bytes(vec![1; 32]));
    assert_eq!(document.document.public_key, Attached::Null);
    assert_eq!(document.instance(), Some(Module::enclave(1).instance()));
    assert_eq!(refused_by(asked, &reply), Vec::<String>::new());
}

#[test]
fn an_rsa_key_stands_in_the_document_itself() {
    let agent = Enclave::start(|nsm| nsm);
    let running = agent.agent();
    let key = OfferedKey { kem: Kem::RsaOaepSha256, public: vec![0x30; 550] };
    let asked = EvidenceRequest { key, ..request(1, None) };
    let claims = judged(&running.evidence(&asked));
    let Claims::Nitro(document) = claims.claims() else { panic!("{claims:?}") };
    assert_eq!(document.document.public_key, Attached::Bytes(vec![0x30; 550]));
    challenge(&asked).redeem(&AwsLcRs, asked.key.clone(), &claims, NOW).unwrap();
    let long = OfferedKey { public: vec![0x30; 1025], ..asked.key };
    let failure = running.failure(&EvidenceRequest { key: long, ..request(1, None) });
    assert_eq!(failure.message, "NSM: expected a public key of at most 1024 bytes, found 1025");
}

#[test]
fn a_debug_enclave_and_another_image_are_refused_by_name() {
    let asked = request(1, None);
    let debug = Enclave::start(Nsm::debug).agent().evidence(&asked);
    let zero = ["nitro.pcr0.nonzero", "nitro.pcr1.nonzero", "nitro.pcr2.nonzero", "nitro.pcr.0"];
    assert_eq!(refused_by(asked.clone(), &debug), zero);
    let other = Enclave::start(|nsm| nsm.pcr(0, &[7; 48])).agent().evidence(&asked);
    assert_eq!(refused_by(asked.clone(), &other), ["nitro.pcr.0"]);
    let role = Enclave::start(|nsm| nsm.role("arn:aws:iam::1:role/other")).agent().evidence(&asked);
    assert_eq!(refused_by(asked, &role), ["nitro.role"]);
}

#[test]
fn a_register_holds_one_thing_and_stands_in_each_document_from_then_on() {
    let enclave = Enclave::start(|nsm| nsm);
    let register = Pcr::new(enclave.asked(), 16);
    assert_eq!(register.name(), "PCR 16");
    assert_eq!(register.values().unwrap()[&Hash::Sha384], [0; 48]);
    register.extend(b"cluster").unwrap();
    let value = AwsLcRs.sha384(&[&[0; 48], &AwsLcRs.sha384(&[b"cluster"]).0]).0.to_vec();
    assert_eq!(register.values().unwrap()[&Hash::Sha384], value);
    let claims = judged(&enclave.agent().evidence(&request(1, None)));
    let Claims::Nitro(document) = claims.claims() else { panic!("{claims:?}") };
    assert_eq!(document.pcr(16).unwrap().0.to_vec(), value);
    assert_eq!(document.pcr(17), None);
    let again = register.extend(b"another cluster").unwrap_err().to_string();
    assert_eq!(again, "NSM: PCR 16 was locked before, by somebody else");
}

#[test]
fn a_module_says_what_it_is() {
    let enclave = Enclave::start(|nsm| nsm);
    let description = enclave.asked().describe().unwrap();
    assert_eq!((description.version, description.max_pcrs, &*description.digest), ([1, 0, 0], 32, "SHA384"));
    assert_eq!(description.module_id, Module::enclave(1).id());
    assert_eq!(description.locked_pcrs, (0..16).collect());
    let random = |nsm: &Agents| {
        let Response::GetRandom(random) = nsm.ask(&Request::GetRandom).unwrap() else { panic!("no bytes") };
        random
    };
    let (first, second) = (random(&enclave.asked()), random(&enclave.asked()));
    assert!(first.len() == 256 && first != second);
    let refused = enclave.asked().ask(&Request::DescribePcr(32)).unwrap_err();
    assert!(matches!(refused, Error::Refused(Refusal::Index)), "{refused}");
    assert_eq!(enclave.asked().ask(&Request::LockPcrs(32)).unwrap(), Response::LockPcrs);
    let long = Request::ExtendPcr { index: 16, data: &[0; 4096] };
    let refused = enclave.asked().ask(&long).unwrap_err().to_string();
    assert_eq!(refused, "NSM: expected a request of at most 4096 bytes, found 4123");
}

#[test]
fn each_refusal_of_a_module_is_told_in_words_of_its_own() {
    for (code, message) in Fault::CODES.into_iter().zip([
        "NSM: an argument makes no sense to it (InvalidArgument)",
        "NSM: it has no register of this number (InvalidIndex)",
        "NSM: what answered belongs to another question (InvalidResponse)",
        "NSM: the register is locked until the enclave ends (ReadOnlyIndex)",
        "NSM: it cannot do this, or cannot read the request (InvalidOperation)",
        "NSM: its answer does not fit the buffer (BufferTooSmall)",
        "NSM: the request, or a field of it, is too large (InputTooLarge)",
        "NSM: it has a fault of its own (InternalError)",
    ]) {
        let enclave = Enclave::start(|nsm| nsm.fault(Fault::Refuse(code)));
        let failure = enclave.agent().failure(&request(1, None));
        assert_eq!((&*failure.code, &*failure.message), ("agent.hardware", message));
    }
}

#[test]
fn an_answer_that_is_none_is_told_and_no_evidence() {
    for (fault, message) in [
        (Fault::Other, "NSM: expected a response to Attestation, found one to LockPCRs"),
        (
            Fault::UnknownField,
            "NSM: malformed response: document: expected fields that AWS names, found \"debug\"",
        ),
    ] {
        let enclave = Enclave::start(|nsm| nsm.fault(fault));
        assert_eq!(enclave.agent().failure(&request(1, None)).message, message);
    }
    for (fault, start) in [
        (Fault::Garbage, "NSM: malformed response: response: expected a "),
        (Fault::Half, "NSM: the response ended early: expected "),
        (Fault::Long, "NSM: expected a response of at most 12288 bytes, found "),
    ] {
        let message = Enclave::start(|nsm| nsm.fault(fault)).agent().failure(&request(1, None)).message;
        assert!(message.starts_with(start), "{message}");
    }
}

#[test]
fn a_module_that_goes_away_is_told_and_one_that_comes_back_is_used() {
    let enclave = Enclave::start(|nsm| nsm.fault(Fault::GoneAfter(1)));
    let agent = enclave.agent();
    judged(&agent.evidence(&request(1, None)));
    let cut = agent.failure(&request(2, None));
    assert_eq!(cut.message, "NSM: the response ended early: expected 4 bytes, found 0");
    let gone = agent.failure(&request(3, None));
    let expected = format!(
        "NSM: no security module at {}: is this an enclave, with the kernel's nsm driver?",
        enclave.path().display()
    );
    assert!(gone.message.starts_with(&expected), "{gone:?}");
    let back = NsmSocket::listen(Nsm::new(Module::enclave(1)), &enclave.path()).unwrap();
    judged(&agent.evidence(&request(4, None)));
    drop(back);
}

#[test]
fn another_kind_of_file_is_not_asked() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("nsm");
    fs::write(&path, "").unwrap();
    let failure = Agent::start(&config(&path)).failure(&request(1, None));
    let expected = format!(
        "NSM: {}: expected a character device or a socket, found another kind of file",
        path.display()
    );
    assert_eq!(failure.message, expected);
    let failure = Agent::start(&config(Path::new("/dev/null"))).failure(&request(1, None));
    assert!(failure.message.starts_with("NSM: ioctl NSM_IOCTL_RAW /dev/null: "), "{failure:?}");
}

#[test]
fn an_agent_that_may_not_use_the_module_says_so() {
    let enclave = Enclave::start(|nsm| nsm);
    fs::set_permissions(enclave.path(), fs::Permissions::from_mode(0o600)).unwrap();
    let directory = TempDir::new().unwrap();
    let path = |name: &str| directory.path().join(name);
    fs::write(path("agent.toml"), format!("allowed_uids = [0]\n{}", config(&enclave.path()))).unwrap();
    fs::write(path("key"), [7; 32]).unwrap();
    fs::copy(PROGRAM, path("agent")).unwrap();
    let open = fs::Permissions::from_mode(0o755);
    fs::set_permissions(directory.path(), open.clone()).unwrap();
    fs::set_permissions(enclave.path().parent().unwrap(), open).unwrap();
    let mut command = Command::new(path("agent"));
    if own_uid() == 0 {
        command.uid(NOBODY).gid(NOBODY);
    } else {
        fs::set_permissions(enclave.path(), fs::Permissions::from_mode(0o000)).unwrap();
    }
    let output = command
        .args(["evidence", "--context", "attest-keys/release/db", "--nonce", &"00".repeat(32)])
        .args(["--config".as_ref(), path("agent.toml").as_os_str()])
        .args(["--key-file".as_ref(), path("key").as_os_str()])
        .args(["--output".as_ref(), path("document").as_os_str()])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let expected = format!(
        "agent.hardware: NSM: {}: the agent's user may not read and write it",
        enclave.path().display()
    );
    assert!(said.starts_with(&expected), "{said}");
    assert_eq!(output.status.code(), Some(1));
}

/// A user who owns nothing here.
const NOBODY: u32 = 54_321;

const POLICY: &str = r#"
name = "one image"
version = 1
expires = "2099-01-01T00:00:00Z"
insecure-accept-simulated-roots = true

[freshness]
verdict_seconds = 600
collateral_days = 60

[[reference]]
id = "image"
value = "@PCR0@"
provenance = "the simulator's default"

[nitro]
pcrs = [{ index = 0, any_of = ["image"] }]
role = { any_of = ["none"] }
instances = "any"
regions = "any"
public_key = "any"
max_age_seconds = 300
"#;
