//! The machine that asks: simulated silicon, an X-Wing key, and what its requests cost anybody.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use attest::crypto::AwsLcRs;
use attest::{Crypto, Kem as KemId, OfferedKey, Platform, Transcript, UnixTime};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P384_SHA384_FIXED, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair, UnparsedPublicKey,
};
use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::{Kem, XWing};
use hpke::{OpModeS, Serializable, single_shot_seal};
use protocol::release::{
    Base64, ChallengeReply, Presentation, SEAL_INFO, login_context, open_context, seal_aad,
};
use serde_json::{Value, json};
use simulator::snp::{Chip, Product};

use crate::client::request;
use crate::server::Server;

pub(crate) const CHALLENGE: &str = "attest-keys/challenge";
pub(crate) const OPEN: &str = "attest-keys/release/db/open";
pub(crate) const LOGIN: &str = "auth/attest/login";

/// What a presentation is for.
#[derive(Clone, Copy)]
pub(crate) enum Purpose {
    Open,
    /// With the names of certificates and lists that the server has.
    OpenByDigest,
    Login,
    /// The same.
    LoginByDigest,
}

/// A machine that the server's policy admits.
pub(crate) struct Machine {
    chip: Chip,
    certificates: Vec<Base64>,
    revocation_lists: Vec<Base64>,
    offered: OfferedKey,
}

impl Machine {
    pub(crate) fn new() -> Self {
        let chip = chip();
        let chain = chip.chain();
        let (_, public) = XWing::gen_keypair();
        Self {
            certificates: vec![Base64(chain.vcek), Base64(chain.ask)],
            revocation_lists: vec![Base64(chip.crl().der())],
            offered: OfferedKey { kem: KemId::XWing, public: public.to_bytes().to_vec() },
            chip,
        }
    }

    /// The key that secrets are sealed to, as a request for a release by token has it.
    pub(crate) fn recipient(&self) -> Value {
        json!({ "kem": self.offered.kem.name(), "public_key": Base64(self.offered.public.clone()) })
    }

    /// Requests that each answer a challenge of their own; drawn and signed by a few threads.
    pub(crate) fn presentations(&self, server: &Server, purpose: Purpose, count: usize) -> Vec<Vec<u8>> {
        let path = match purpose {
            Purpose::Open | Purpose::OpenByDigest => OPEN,
            Purpose::Login | Purpose::LoginByDigest => LOGIN,
        };
        let draw = |count: usize| {
            let mut requests = Vec::with_capacity(count);
            for _ in 0..count {
                requests.push(request("POST", path, Some(&self.presentation(server, purpose)), ""));
            }
            requests
        };
        std::thread::scope(|scope| {
            let drawing: Vec<_> =
                (0..DRAWERS).map(|drawer| scope.spawn(move || draw((count + drawer) / DRAWERS))).collect();
            drawing.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        })
    }

    /// Draws a challenge and answers it.
    pub(crate) fn presentation(&self, server: &Server, purpose: Purpose) -> Value {
        let (mount, context) = match purpose {
            Purpose::Open | Purpose::OpenByDigest => ("attest-keys", open_context("attest-keys", "db")),
            Purpose::Login | Purpose::LoginByDigest => ("auth/attest", login_context("auth/attest", "node")),
        };
        let path = format!("{mount}/challenge");
        let drawn = server.call("POST", &path, Some(&Value::Object(serde_json::Map::new())), "");
        let challenge: ChallengeReply = serde_json::from_value(drawn["data"].clone()).unwrap();
        let nonce = hex::decode(&challenge.nonce).unwrap().try_into().unwrap();
        let transcript = Transcript { nonce: &nonce, context: &context, key: &self.offered };
        let data = transcript.caller_data(&AwsLcRs, Platform::SevSnp).try_into().unwrap();
        let full = Presentation {
            challenge: challenge.challenge,
            platform: Platform::SevSnp,
            evidence: Base64(self.chip.report().report_data(data).sign()),
            certificates: self.certificates.clone(),
            revocation_lists: self.revocation_lists.clone(),
            documents: Vec::new(),
            collateral: Vec::new(),
            kem: self.offered.kem.name().to_owned(),
            public_key: Base64(self.offered.public.clone()),
            workload_digest: None,
            pod: None,
            workload_token: None,
            protection: None,
            protection_digest: None,
        };
        let presentation = match purpose {
            Purpose::Open | Purpose::Login => full,
            Purpose::OpenByDigest | Purpose::LoginByDigest => by_digest(full),
        };
        let mut body = serde_json::to_value(presentation).unwrap();
        if matches!(purpose, Purpose::Login | Purpose::LoginByDigest) {
            body["role"] = Value::from("node");
        }
        body
    }
}

/// The same, with names in place of certificates and lists.
fn by_digest(full: Presentation) -> Presentation {
    let objects = full.certificates.iter().chain(&full.revocation_lists);
    let collateral = objects.map(|object| AwsLcRs.sha256(&[&object.0]).to_string()).collect();
    Presentation { certificates: Vec::new(), revocation_lists: Vec::new(), collateral, ..full }
}

/// The chip that the server's policies admit.
pub(crate) fn chip() -> Chip {
    Chip::new(7, Product::Genoa).at(now().0)
}

/// What no release can do without, in microseconds: medians of some calls.
#[derive(Clone, Copy)]
pub(crate) struct Costs {
    /// Verifying the report's one signature.
    pub(crate) signature: f64,
    /// Sealing the secret.
    pub(crate) seal: f64,
}

pub(crate) fn costs(calls: u32) -> Costs {
    let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
    let report = [7; SIGNED];
    let signature = pair.sign(&SystemRandom::new(), &report).unwrap();
    let key = UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, pair.public_key());
    let (_, public) = XWing::gen_keypair();
    let aad = seal_aad(&[7; 32], 1, 300);
    let seal = || {
        let sealed = single_shot_seal::<ChaCha20Poly1305, HkdfSha256, XWing>(
            &OpModeS::Base,
            &public,
            SEAL_INFO,
            b"a secret",
            &aad,
        );
        drop(sealed.unwrap());
    };
    Costs {
        signature: median(calls, || key.verify(&report, signature.as_ref()).unwrap()),
        seal: median(calls, seal),
    }
}

fn median(calls: u32, thing: impl Fn()) -> f64 {
    let mut times: Vec<f64> = (0..calls)
        .map(|_| {
            let begun = Instant::now();
            thing();
            begun.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

#[expect(clippy::disallowed_methods, reason = "a program's own clock")]
fn now() -> UnixTime {
    UnixTime(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs())
}

/// The signed part of a report.
const SIGNED: usize = 0x2a0;
const DRAWERS: usize = 4;
