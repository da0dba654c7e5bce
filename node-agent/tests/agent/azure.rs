//! Azure's confidential machines: a software TPM with the paravisor's key and report, a metadata service on loopback.

use attest::crypto::AwsLcRs;
use attest::{Answer, Claims, Endorsements, Evidence, Platform, Revocation, TrustAnchors, Unverified};
use protocol::agent::EvidenceReply;
use simulator::azure::{Fault, Kind, Machine};
use tempfile::TempDir;

use crate::harness::{Agent, NOW, challenge, request, vtpm};

const SEED: u64 = 1;

/// A machine, and the agent on it.
struct Confidential {
    machine: Machine,
    agent: Agent,
    kind: Kind,
    _state: TempDir,
}

impl Confidential {
    fn start(kind: Kind, fault: Fault) -> Option<Self> {
        Self::configured(kind, kind, fault)
    }

    fn configured(kind: Kind, said: Kind, fault: Fault) -> Option<Self> {
        drop(vtpm()?);
        let state = TempDir::new().unwrap();
        let machine = Machine::start(state.path(), kind, SEED, fault).unwrap();
        let word = if said == Kind::Snp { "snp" } else { "tdx" };
        let (tcti, imds) = (machine.tcti(), machine.metadata());
        let agent = Agent::start(&format!("[azure]\nkind = {word:?}\ntcti = {tcti:?}\nimds = {imds:?}\n"));
        Some(Self { machine, agent, kind, _state: state })
    }

    fn failure(&self) -> (String, String) {
        let failure = self.agent.failure(&request(1, None));
        (failure.code, failure.message)
    }

    /// What a verifier has besides what came with the evidence.
    fn endorsements(&self, reply: &EvidenceReply) -> (Endorsements, TrustAnchors) {
        let mut endorsements = Endorsements {
            certificates: reply.certificates.iter().map(|der| der.to_vec()).collect(),
            ..Endorsements::default()
        };
        let root = match self.kind {
            Kind::Snp => {
                let chip = Machine::chip(SEED);
                endorsements.revocation_lists.push(chip.crl().der());
                chip.chain().ark
            }
            Kind::Tdx => {
                let collateral = Machine::platform(SEED).collateral();
                endorsements.certificates.push(collateral.tcb_signing);
                endorsements.revocation_lists.extend([collateral.root_crl, collateral.pck_crl]);
                endorsements.documents.extend([collateral.tcb_info, collateral.qe_identity]);
                collateral.root
            }
        };
        (endorsements, TrustAnchors::insecure_simulated(&[root]).unwrap())
    }

    /// The claims, or the names of the checks that failed.
    fn judged(&self, reply: &EvidenceReply) -> Result<Claims, Vec<String>> {
        let evidence = Evidence::parse(reply.platform, &reply.evidence).unwrap();
        let (endorsements, anchors) = self.endorsements(reply);
        let prepared = endorsements.prepare(&AwsLcRs, &evidence, &anchors, Revocation::Required, NOW);
        let verified = prepared.and_then(|prepared| evidence.verify(&AwsLcRs, &prepared, NOW));
        match verified {
            Ok(verified) => Ok(verified.claims().clone()),
            Err(Unverified::Rejected(rejected)) => {
                let failed = rejected.checks().iter().filter(|check| check.verdict == Answer::Fail);
                Err(failed.map(|check| check.id.clone()).collect())
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn evidence_of_either_hardware_verifies_and_answers_the_challenge() {
    for (kind, platform) in [(Kind::Snp, Platform::AzureSnp), (Kind::Tdx, Platform::AzureTdx)] {
        let Some(azure) = Confidential::start(kind, Fault::Healthy) else { return };
        let asked = request(1, None);
        let reply = azure.agent.evidence(&asked);
        assert_eq!(reply.platform, platform);
        let claims = azure.judged(&reply).unwrap();
        let Claims::Azure(composite) = &claims else { panic!("{claims:?}") };
        assert_eq!(composite.runtime.vm.secure_boot, Some(true));
        let evidence = Evidence::parse(reply.platform, &reply.evidence).unwrap();
        let (endorsements, anchors) = azure.endorsements(&reply);
        let prepared =
            endorsements.prepare(&AwsLcRs, &evidence, &anchors, Revocation::Required, NOW).unwrap();
        let verified = evidence.verify(&AwsLcRs, &prepared, NOW).unwrap();
        challenge(&asked).redeem(&AwsLcRs, asked.key.clone(), &verified, NOW).unwrap();
        assert!(challenge(&request(2, None)).redeem(&AwsLcRs, asked.key, &verified, NOW).is_err());
    }
}

#[test]
fn the_metadata_service_is_asked_once_for_the_same_report() {
    for kind in [Kind::Snp, Kind::Tdx] {
        let Some(azure) = Confidential::start(kind, Fault::Healthy) else { return };
        for nonce in 0..3 {
            azure.judged(&azure.agent.evidence(&request(nonce, None))).unwrap();
        }
        assert_eq!(azure.machine.questions(), 1);
    }
}

/// What the agent does not judge, the verifier refuses, each link by its name.
#[test]
fn a_machine_that_is_put_together_of_two_is_refused() {
    for (kind, fault, expected) in [
        (Kind::Snp, Fault::OtherKey, "azure.binding.attestation_key"),
        (Kind::Tdx, Fault::OtherKey, "azure.binding.attestation_key"),
        (Kind::Tdx, Fault::OtherChip, "azure.binding.td_report"),
    ] {
        let Some(azure) = Confidential::start(kind, fault) else { return };
        let failed = azure.judged(&azure.agent.evidence(&request(1, None))).unwrap_err();
        assert_eq!(failed, [expected], "{kind:?}");
    }
    let Some(azure) = Confidential::start(Kind::Snp, Fault::OtherChip) else { return };
    let failed = azure.judged(&azure.agent.evidence(&request(1, None))).unwrap_err();
    assert_eq!(failed, ["snp.vek.hwid", "snp.signature"]);
}

#[test]
fn a_tpm_without_the_paravisors_report_is_told_with_what_to_do() {
    let Some(azure) = Confidential::start(Kind::Snp, Fault::NoReport) else { return };
    let expected = "Azure: the TPM has no paravisor's report at NV index 0x01400001: this is no confidential \
                    machine of Azure's; take the section [azure] away, or move to one";
    assert_eq!(azure.failure(), ("agent.hardware".to_owned(), expected.to_owned()));
    let Some(azure) = Confidential::start(Kind::Snp, Fault::BrokenReport) else { return };
    let (code, message) = azure.failure();
    assert_eq!(code, "agent.hardware");
    assert!(message.starts_with("Azure: the paravisor's report at NV index 0x01400001: "), "{message}");
}

#[test]
fn a_section_that_names_the_other_hardware_is_told_both() {
    let Some(azure) = Confidential::configured(Kind::Snp, Kind::Tdx, Fault::Healthy) else { return };
    let expected = "Azure: the paravisor's report is of snp, and azure.kind says tdx";
    assert_eq!(azure.failure(), ("agent.hardware".to_owned(), expected.to_owned()));
}

/// Each trouble with the metadata service: its words, and whether to come again.
const TROUBLE: [(Fault, &str, &str); 5] = [
    (Fault::NotJson, "agent.hardware", "answer: expected value at line 1 column 1"),
    (Fault::Busy, "agent.busy", "expected status 200, found 429"),
    (Fault::Moved, "agent.hardware", "expected status 200, found 302"),
    (Fault::Endless, "agent.hardware", "answer: expected at most 65536 bytes, found more"),
    (Fault::Silent, "agent.hardware", "timeout: global"),
];

#[test]
fn without_the_metadata_service_there_is_no_quote_of_a_td() {
    for (fault, code, words) in TROUBLE {
        let Some(azure) = Confidential::start(Kind::Tdx, fault) else { return };
        let message = format!("Azure's metadata service: /acc/tdquote: {words}");
        assert_eq!(azure.failure(), (code.to_owned(), message));
    }
}

#[test]
fn without_the_metadata_service_an_snp_report_comes_without_certificates_and_with_a_remark() {
    for (fault, _, words) in TROUBLE {
        let Some(azure) = Confidential::start(Kind::Snp, fault) else { return };
        let reply = azure.agent.evidence(&request(1, None));
        assert!(reply.certificates.is_empty());
        let message = format!("Azure's metadata service: /metadata/THIM/amd/certification: {words}");
        azure.agent.journal_with(&message);
    }
}

#[test]
fn a_section_that_makes_no_sense_is_told_at_once() {
    let folder = TempDir::new().unwrap();
    let rest = "[azure]\nkind = \"sev\"\nimds = \"https://imds\"\nak_handle = 3\n";
    let (code, said) = Agent::fail(folder.path(), "[0]", rest);
    assert_eq!(code, Some(2));
    for problem in [
        "azure.kind: expected snp or tdx, found \"sev\"",
        "azure.imds: expected http://ADDRESS, found \"https://imds\"",
        "azure.ak_handle: expected 0x81000000 to 0x81ffffff, found 0x3",
    ] {
        assert!(said.contains(problem), "{problem} is not in {said}");
    }
    let (_, said) = Agent::fail(folder.path(), "[0]", "[azure]\n");
    assert!(said.contains("azure.kind: missing; expected snp or tdx"), "{said}");
}
