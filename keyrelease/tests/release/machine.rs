//! A machine that asks: simulated silicon, a real HPKE key, the protocol's messages.

use attest::crypto::AwsLcRs;
use attest::{Kem as KemId, OfferedKey, Platform, Transcript};
use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::{Kem, X25519HkdfSha256, XWing};
use hpke::{Deserializable, OpModeR, Serializable, single_shot_open};
use protocol::release::{
    Base64, ChallengeReply, Presentation, SEAL_INFO, Sealed, login_context, open_context, seal_aad,
};
use serde_json::Value;
use simulator::snp::{Chip, ReportBuilder};

use crate::server::{Answer, Server, chip};

/// A private key with the key that is offered.
pub(crate) struct Key {
    pub(crate) offered: OfferedKey,
    open: Open,
}

type Open = Box<dyn Fn(&Sealed) -> Option<Vec<u8>>>;

impl Key {
    pub(crate) fn x_wing() -> Self {
        Self::make::<XWing>(KemId::XWing)
    }

    pub(crate) fn x25519() -> Self {
        Self::make::<X25519HkdfSha256>(KemId::X25519)
    }

    fn make<K: Kem + 'static>(kem: KemId) -> Self {
        let (private, public) = K::gen_keypair();
        let offered = OfferedKey { kem, public: public.to_bytes().to_vec() };
        let open = move |sealed: &Sealed| {
            let enc = K::EncappedKey::from_bytes(&sealed.enc.0).ok()?;
            let decision = hex::decode(&sealed.decision).ok()?.try_into().ok()?;
            let aad = seal_aad(&decision, sealed.version, sealed.lease_seconds);
            let text = &sealed.ciphertext.0;
            let mode = OpModeR::Base;
            single_shot_open::<ChaCha20Poly1305, HkdfSha256, K>(&mode, &private, &enc, SEAL_INFO, text, &aad)
                .ok()
        };
        Self { offered, open: Box::new(open) }
    }

    /// The field of a sealed secret, if this key opens it.
    pub(crate) fn field(&self, sealed: &Sealed, name: &str) -> Option<String> {
        let plain = (self.open)(sealed)?;
        let fields = protocol::secret::fields_of(&plain).unwrap();
        let (_, value) = fields.iter().find(|(found, _)| *found == name)?;
        Some(String::from_utf8(value.to_vec()).unwrap())
    }
}

/// A machine about to answer a challenge; a test spoils one thing.
pub(crate) struct Machine {
    pub(crate) chip: Chip,
    pub(crate) key: Key,
    pub(crate) spoil: fn(ReportBuilder) -> ReportBuilder,
    pub(crate) lists: Vec<Vec<u8>>,
    pub(crate) certificates: Option<Vec<Vec<u8>>>,
}

impl Machine {
    pub(crate) fn good() -> Self {
        let chip = chip();
        let lists = vec![chip.crl().der()];
        Self { chip, key: Key::x25519(), spoil: |report| report, lists, certificates: None }
    }

    pub(crate) fn spoiled(spoil: fn(ReportBuilder) -> ReportBuilder) -> Self {
        Self { spoil, ..Self::good() }
    }

    /// The answer to a challenge for one purpose.
    pub(crate) fn answer(&self, challenge: &ChallengeReply, context: &str) -> Presentation {
        let nonce = hex::decode(&challenge.nonce).unwrap().try_into().unwrap();
        let transcript = Transcript { nonce: &nonce, context, key: &self.key.offered };
        let data = transcript.caller_data(&AwsLcRs, Platform::SevSnp).try_into().unwrap();
        let report = (self.spoil)(self.chip.report()).report_data(data).sign();
        let certificates = self.certificates.clone().unwrap_or_else(|| self.brought());
        Presentation {
            challenge: challenge.challenge.clone(),
            platform: Platform::SevSnp,
            evidence: Base64(report),
            certificates: certificates.into_iter().map(Base64).collect(),
            revocation_lists: self.lists.iter().cloned().map(Base64).collect(),
            documents: Vec::new(),
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

    fn brought(&self) -> Vec<Vec<u8>> {
        let chain = self.chip.chain();
        vec![chain.vcek, chain.ask]
    }

    /// Asks for `db` with the evidence in the call.
    pub(crate) fn open(&self, server: &Server) -> Answer {
        let challenge = challenge(server, "attest-keys");
        let presentation = self.answer(&challenge, &open_context("attest-keys", "db"));
        present(server, &presentation)
    }

    /// Logs in as `node`.
    pub(crate) fn login(&self, server: &Server) -> Answer {
        let challenge = challenge(server, "auth/attest");
        let presentation = self.answer(&challenge, &login_context("auth/attest", "node"));
        let mut body = serde_json::to_value(presentation).unwrap();
        body["role"] = Value::from("node");
        server.call("POST", "auth/attest/login", Some(&body), "")
    }
}

pub(crate) fn challenge(server: &Server, mount: &str) -> ChallengeReply {
    let answer = server.call("POST", &format!("{mount}/challenge"), Some(&serde_json::json!({})), "").ok();
    serde_json::from_value(answer.json["data"].clone()).unwrap()
}

/// Presents evidence for `db`, without a token.
pub(crate) fn present(server: &Server, presentation: &Presentation) -> Answer {
    let body = serde_json::to_value(presentation).unwrap();
    server.call("POST", "attest-keys/release/db/open", Some(&body), "")
}

/// The sealed secret in an answer.
#[track_caller]
pub(crate) fn sealed(answer: &Answer) -> Sealed {
    assert_eq!(answer.status, 200, "{answer:?}");
    serde_json::from_value(answer.json["data"].clone()).unwrap()
}
