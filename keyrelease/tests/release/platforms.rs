//! Machines of other kinds: TDs, Nitro enclaves and instances, released to and refused as SNP guests are.

use attest::crypto::AwsLcRs;
use attest::{Platform, Transcript, TrustAnchors};
use protocol::release::{Base64, Presentation, open_context};
use serde_json::json;
use simulator::nitro::{Module, Role};
use simulator::tdx;

use crate::admission::record;
use crate::machine::{Key, challenge, present, sealed};
use crate::server::{Answer, SECRET, Server, now, shared};

/// A machine of some kind, about to answer.
pub(crate) struct Peer {
    pub(crate) platform: Platform,
    /// Makes the evidence for the caller's bytes and the nonce.
    pub(crate) sign: Sign,
    pub(crate) certificates: Vec<Vec<u8>>,
    pub(crate) lists: Vec<Vec<u8>>,
    pub(crate) documents: Vec<Vec<u8>>,
    pub(crate) key: Key,
}

pub(crate) type Sign = Box<dyn Fn([u8; 64], [u8; 32]) -> Vec<u8>>;

impl Peer {
    /// A TD with all of Intel's collateral.
    pub(crate) fn td(change: fn(tdx::QuoteBuilder) -> tdx::QuoteBuilder) -> Self {
        let platform = td_platform();
        let collateral = platform.collateral();
        Self {
            platform: Platform::Tdx,
            sign: Box::new(move |data, _nonce| change(platform.quote().report_data(data)).sign()),
            certificates: vec![collateral.tcb_signing],
            lists: vec![collateral.root_crl, collateral.pck_crl],
            documents: vec![collateral.tcb_info, collateral.qe_identity],
            key: Key::x_wing(),
        }
    }

    /// An enclave or an instance, whose documents bring everything.
    pub(crate) fn nitro(module: Module, platform: Platform, debug: bool) -> Self {
        let sign = move |data: [u8; 64], nonce: [u8; 32]| {
            let document = module.document().nonce(&nonce).user_data(&data);
            if debug { document.debug().sign() } else { document.sign() }
        };
        let (certificates, lists, documents) = (vec![], vec![], vec![]);
        Self { platform, sign: Box::new(sign), certificates, lists, documents, key: Key::x25519() }
    }

    fn enclave() -> Self {
        Self::nitro(enclave(), Platform::Nitro, false)
    }

    fn answer(&self, secret: &str) -> Presentation {
        self.answer_to(shared(), secret)
    }

    fn answer_to(&self, server: &Server, secret: &str) -> Presentation {
        let challenge = challenge(server, "attest-keys");
        let nonce: [u8; 32] = hex::decode(&challenge.nonce).unwrap().try_into().unwrap();
        let context = open_context("attest-keys", secret);
        let transcript = Transcript { nonce: &nonce, context: &context, key: &self.key.offered };
        let data = transcript.caller_data(&AwsLcRs, self.platform).try_into().unwrap();
        let wire = |items: &[Vec<u8>]| items.iter().cloned().map(Base64).collect();
        Presentation {
            challenge: challenge.challenge,
            platform: self.platform,
            evidence: Base64((self.sign)(data, nonce)),
            certificates: wire(&self.certificates),
            revocation_lists: wire(&self.lists),
            documents: wire(&self.documents),
            collateral: Vec::new(),
            kem: self.key.offered.kem.name().to_owned(),
            public_key: Base64(self.key.offered.public.clone()),
            workload_digest: None,
            pod: None,
            workload_token: None,
            protection: None,
            protection_digest: None,
        }
    }

    /// Opens the secret that this kind of machine is meant to get.
    fn open(&self) -> Answer {
        self.open_on(shared())
    }

    /// The same on another server.
    pub(crate) fn open_on(&self, server: &Server) -> Answer {
        let secret = secret_for(server, self.platform);
        send_to(server, &secret, &self.answer_to(server, &secret))
    }
}

fn send(secret: &str, presentation: &Presentation) -> Answer {
    send_to(shared(), secret, presentation)
}

fn send_to(server: &Server, secret: &str, presentation: &Presentation) -> Answer {
    let body = serde_json::to_value(presentation).unwrap();
    server.call("POST", &format!("attest-keys/release/{secret}/open"), Some(&body), "")
}

pub(crate) fn td_platform() -> tdx::Platform {
    tdx::Platform::new(7).at(now().0)
}

pub(crate) fn enclave() -> Module {
    Module::enclave(7).at(now().0)
}

pub(crate) fn instance() -> Module {
    Module::tpm(7).at(now().0)
}

/// The roots of the simulated vendors.
pub(crate) fn roots() -> [Vec<u8>; 2] {
    [td_platform().collateral().root, enclave().certificate(Role::Root).der()]
}

/// Stores a policy and a secret for one kind of machine, once.
fn secret_for(server: &Server, platform: Platform) -> String {
    let name = platform.name().to_owned();
    if server.read(&format!("attest-keys/keys/{name}")).status == 200 {
        return name;
    }
    let policy = json!({ "policy": policy(platform) });
    // Another test may have been quicker.
    server.write(&format!("attest-keys/policy/{name}"), &policy);
    let key = json!({ "policy": name, "data": { "password": SECRET } });
    server.write(&format!("attest-keys/keys/{name}"), &key);
    name
}

/// A strict policy for the simulated machine of this kind.
pub(crate) fn policy(platform: Platform) -> String {
    let (image, section) = if platform == Platform::Tdx {
        (mrtd(&td_platform().quote().sign()), TDX)
    } else if platform == Platform::NitroTpm {
        (pcr(platform, &instance().document().sign(), 4), NITRO_TPM)
    } else {
        (pcr(platform, &enclave().document().sign(), 0), NITRO)
    };
    let reference = format!("id = \"image\"\nvalue = \"{image}\"\nprovenance = \"the simulator\"");
    format!("{HEAD}\n[[reference]]\n{reference}\n{section}").replace("NAME", platform.name())
}

fn mrtd(quote: &[u8]) -> String {
    attest::tdx::Quote::parse(quote).unwrap().report().mrtd.to_string()
}

fn pcr(platform: Platform, document: &[u8], index: u8) -> String {
    let document = attest::nitro::Document::parse(platform, document).unwrap();
    let pcr = document.fields().pcrs.iter().find(|pcr| pcr.index == index).unwrap();
    pcr.value.to_string()
}

#[track_caller]
fn released(peer: &Peer) {
    let answer = peer.open();
    let sealed = sealed(&answer);
    assert_eq!(peer.key.field(&sealed, "password").as_deref(), Some(SECRET));
    let anchors = TrustAnchors::insecure_simulated(&roots()).unwrap();
    let bundle = record(shared(), "attest-keys", "record", &sealed.decision);
    assert!(bundle.replay(&AwsLcRs, &anchors).unwrap().identical);
}

#[test]
fn a_td_that_proves_what_it_runs_opens_its_secret_and_the_record_replays() {
    released(&Peer::td(|quote| quote));
    released(&Peer::td(|quote| quote.body(tdx::Body::Td15)));
}

#[test]
fn a_debug_td_and_another_image_are_refused() {
    assert_eq!(Peer::td(tdx::QuoteBuilder::debug).open().failing(), ["tdx.attributes.debug"]);
    assert_eq!(Peer::td(|quote| quote.mrtd([1; 48])).open().failing(), ["tdx.mrtd"]);
}

#[test]
fn an_enclave_and_an_instance_open_their_secrets() {
    released(&Peer::enclave());
    released(&Peer::nitro(instance(), Platform::NitroTpm, false));
}

#[test]
fn an_enclave_in_debug_mode_is_refused() {
    let answer = Peer::nitro(enclave(), Platform::Nitro, true).open();
    assert!(answer.failing().contains(&"nitro.pcr0.nonzero".to_owned()), "{answer:?}");
}

#[test]
fn a_document_for_another_secret_or_key_is_refused() {
    let secret = secret_for(shared(), Platform::Nitro);
    let peer = Peer::enclave();
    let mut presentation = peer.answer(&secret);
    presentation.public_key.0[0] ^= 1;
    assert_eq!(send(&secret, &presentation).failing(), ["challenge.bound"]);
    let elsewhere = peer.answer("db");
    assert_eq!(send(&secret, &elsewhere).failing(), ["challenge.bound"]);
}

#[test]
fn a_policy_for_one_kind_of_machine_admits_no_other() {
    let td = Peer::td(|quote| quote);
    assert_eq!(present(shared(), &td.answer("db")).failing(), ["policy.platform"]);
}

const HEAD: &str = r#"
name = "NAME"
version = 1
expires = "2036-01-01T00:00:00Z"
insecure-accept-simulated-roots = true

[freshness]
verdict_seconds = 300
collateral_days = 400
"#;

const TDX: &str = r#"
[tdx]
tcb_status = { any_of = ["UpToDate"] }
advisories = "any"
tcb_evaluation_data_number = { min = 1 }
platforms = "any"
fmspc = "any"
modules = "any"
mrseam = "any"
report = { any_of = ["1.0", "1.5", "1.5-ex"] }
mrtd = { any_of = ["image"] }
rtmr0 = "any"
rtmr1 = "any"
rtmr2 = "any"
rtmr3 = "any"
mrconfigid = "any"
mrowner = "any"
mrownerconfig = "any"
xfam = { mask = 0, value = 0 }

[tdx.td_attributes]
debug = "clear"
profiling = "clear"
icssd = "any"
servtd_ext = "clear"
lass = "any"
sept_ve_disable = "set"
migratable = "clear"
pks = "any"
kl = "any"
tpa = "clear"
perfmon = "clear"
"#;

const NITRO: &str = r#"
[nitro]
pcrs = [{ index = 0, any_of = ["image"] }]
role = "any"
instances = "any"
regions = "any"
public_key = "absent"
max_age_seconds = 300
"#;

const NITRO_TPM: &str = r#"
[nitro-tpm]
pcrs = "any"
instances = "any"
regions = "any"
public_key = "absent"
max_age_seconds = 300
"#;
