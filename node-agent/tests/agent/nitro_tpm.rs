//! The TPM of an EC2 instance: swtpm with AWS' command in front of it.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use attest::crypto::AwsLcRs;
use attest::nitro::Attached;
use attest::{Claims, Kem, OfferedKey, Platform, TrustAnchors};
use protocol::agent::EvidenceRequest;
use simulator::nitro::{Length, Module, NitroTpm, Role};
use tempfile::TempDir;

use crate::harness::{Agent, NOW, challenge, request, skip, verified, vtpm};

/// An instance: its TPM, and where that has its state.
struct Instance {
    tpm: NitroTpm,
    _state: TempDir,
}

impl Instance {
    fn start() -> Option<Self> {
        if missing("swtpm", "--version") || missing("tpm2_getcap", "--version") {
            skip("swtpm", "swtpm or tpm2-tools is not installed");
            return None;
        }
        let state = TempDir::new().unwrap();
        let tpm = NitroTpm::start_in(state.path(), &Module::tpm(1), Length::Indefinite).unwrap();
        Some(Self { tpm, _state: state })
    }

    fn agent(&self) -> Agent {
        Agent::start(&config(&self.tpm.tcti()))
    }
}

fn missing(program: &str, argument: &str) -> bool {
    Command::new(program).arg(argument).output().is_err()
}

fn config(tcti: &str) -> String {
    format!("[nitro-tpm]\ntcti = {tcti:?}\n")
}

fn anchors() -> TrustAnchors {
    TrustAnchors::insecure_simulated(&[Module::tpm(1).certificate(Role::Root).der()]).unwrap()
}

/// What one of tpm2-tools says to this TPM.
pub(crate) fn tool(tcti: &str, program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).env("TPM2TOOLS_TCTI", tcti).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Makes the letter box of an agent that was killed before it removed it (`TPM2_NV_DefineSpace`, by password).
fn left_behind(tcti: &str) {
    let body = "0000012a 40000001 00000009 400000090000000000 0000 000e 0180c7a5 000b 00040004 0000 2000";
    let body = hex::decode(body.replace(' ', "")).unwrap();
    let length = u32::try_from(body.len().checked_add(6).unwrap()).unwrap().to_be_bytes();
    let port: u16 = tcti.rsplit('=').next().unwrap().parse().unwrap();
    let mut tpm = TcpStream::connect(("127.0.0.1", port)).unwrap();
    tpm.write_all(&[&[0x80, 0x02][..], &length, &body].concat()).unwrap();
    let mut answer = [0; 10];
    tpm.read_exact(&mut answer).unwrap();
    assert_eq!(answer[6..], [0; 4], "{answer:?}");
}

/// The NV indices that exist: none are left behind.
fn indices(tcti: &str) -> String {
    tool(tcti, "tpm2_getcap", &["handles-nv-index"]).trim().to_owned()
}

#[test]
fn a_document_verifies_is_bound_and_has_the_tpms_own_registers() {
    let Some(instance) = Instance::start() else { return };
    let tcti = instance.tpm.tcti();
    let agent = instance.agent();
    let measured = |nonce| {
        let asked = request(nonce, None);
        let reply = agent.evidence(&asked);
        assert_eq!(reply.platform, Platform::NitroTpm);
        let claims = verified(&reply, &anchors());
        challenge(&asked).redeem(&AwsLcRs, asked.key.clone(), &claims, NOW).unwrap();
        challenge(&request(99, None)).redeem(&AwsLcRs, asked.key, &claims, NOW).unwrap_err();
        let Claims::Nitro(document) = claims.claims() else { panic!("{claims:?}") };
        assert_eq!(document.document.pcrs.len(), 24);
        assert_eq!(document.instance(), Some(Module::tpm(1).instance()));
        document.pcr(8).unwrap().to_string()
    };
    assert_eq!(measured(1), "00".repeat(48));
    tool(&tcti, "tpm2_pcrextend", &[&format!("8:sha384={}", "5a".repeat(48))]);
    let read = tool(&tcti, "tpm2_pcrread", &["sha384:8"]).to_lowercase();
    let value = measured(2);
    assert!(read.contains(&value) && !value.starts_with("0000"), "{read}");
    assert_eq!(indices(&tcti), "");
}

#[test]
fn the_fullest_document_fits_the_letter_box() {
    let Some(instance) = Instance::start() else { return };
    let key = OfferedKey { kem: Kem::RsaOaepSha256, public: vec![0x30; 1024] };
    let asked = EvidenceRequest { key, ..request(1, None) };
    let claims = verified(&instance.agent().evidence(&asked), &anchors());
    let Claims::Nitro(document) = claims.claims() else { panic!("{claims:?}") };
    assert_eq!(document.document.public_key, Attached::Bytes(vec![0x30; 1024]));
}

#[test]
fn a_tpm_of_somebody_else_is_named_and_left_as_it_was() {
    let Some(tpm) = vtpm() else { return };
    let failure = Agent::start(&config(&tpm.tcti())).failure(&request(1, None));
    assert_eq!(failure.code, "agent.hardware");
    // libtpms has no index of this size, so it does not even come to the command.
    assert_eq!(failure.message, "NitroTPM: NV_DefineSpace: response code 0x2d5");
}

#[test]
fn what_a_killed_agent_left_is_cleared_and_what_is_somebody_elses_is_not() {
    let Some(instance) = Instance::start() else { return };
    let tcti = instance.tpm.tcti();
    let define = |size: &str| {
        let attributes = ["-C", "o", "-g", "sha256", "-a", "authread|authwrite", "-s", size];
        tool(&tcti, "tpm2_nvdefine", &[&["0x180c7a5"], &attributes[..]].concat());
    };
    let agent = instance.agent();
    left_behind(&tcti);
    assert_eq!(indices(&tcti), "- 0x180C7A5");
    verified(&agent.evidence(&request(1, None)), &anchors());
    assert_eq!(indices(&tcti), "");
    define("64");
    let failure = agent.failure(&request(2, None));
    assert_eq!(
        failure.message,
        "NitroTPM: NV index 0x0180c7a5 is taken, by something that is not this agent's"
    );
    assert_eq!(indices(&tcti), "- 0x180C7A5");
}

#[test]
fn a_tpm_that_is_not_there_is_told() {
    let failure = Agent::start(&config("device:/dev/no-such-tpm")).failure(&request(1, None));
    let expected = "NitroTPM: no TPM at /dev/no-such-tpm (No such file or directory (os error 2))";
    assert_eq!((&*failure.code, &*failure.message), ("agent.hardware", expected));
    assert!(!Path::new("/dev/no-such-tpm").exists());
}
