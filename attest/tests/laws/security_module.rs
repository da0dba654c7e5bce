//! Cases of AWS Nitro: documents of an enclave and of an instance's `NitroTPM`, by simulated security modules.

use std::sync::LazyLock;

use attest::{Endorsements, Platform, Revocation, TrustAnchors};
use simulator::nitro::{Attached, DocumentBuilder, Kind, Module, Role, Vendor};

use crate::case::{Asked, Case};
use crate::document::Document;
use crate::silicon::NOW;

/// The document of an enclave that answers the usual challenge, changed by `change` before it is signed.
pub(crate) fn enclave(change: impl FnOnce(DocumentBuilder) -> DocumentBuilder) -> Case {
    of(&Module::enclave(1), change)
}

/// Likewise of an instance.
pub(crate) fn instance(change: impl FnOnce(DocumentBuilder) -> DocumentBuilder) -> Case {
    of(&Module::tpm(1), change)
}

/// Likewise of this module.
pub(crate) fn of(module: &Module, change: impl FnOnce(DocumentBuilder) -> DocumentBuilder) -> Case {
    let asked = Asked::usual(NOW);
    let platform = platform(module);
    let document = module.document().nonce(&asked.nonce).user_data(&asked.caller_data(platform));
    judged(module, change(document).sign())
}

/// These bytes, judged as a document of this module.
pub(crate) fn judged(module: &Module, evidence: Vec<u8>) -> Case {
    let platform = platform(module);
    Case {
        name: format!("simulated {platform}"),
        platform,
        // Everything but the signature: the envelope is covered because it has one spelling.
        signed: 0..evidence.len().saturating_sub(98),
        evidence,
        // The certificates stand in the document; what a stranger has is another root.
        strangers: (Endorsements::default(), anchors(Vendor::Other)),
        endorsements: Endorsements::default(),
        anchors: anchors(Vendor::Simulated),
        other_anchors: TrustAnchors::vendor(),
        root: Vec::new(),
        revocation: Revocation::Required,
        now: NOW,
        asked: Asked::usual(NOW),
        policy: admitting(module.kind()),
    }
}

/// The answer with the offered key in the field for it.
pub(crate) fn with_key(document: DocumentBuilder) -> DocumentBuilder {
    document.public_key(&Asked::usual(NOW).key.public)
}

/// The three ways of giving no key.
pub(crate) fn keyless() -> [Attached; 2] {
    [Attached::Absent, Attached::Null]
}

/// The root of a simulated AWS.
pub(crate) fn anchors(vendor: Vendor) -> TrustAnchors {
    static KEPT: LazyLock<[TrustAnchors; 2]> = LazyLock::new(|| {
        [Vendor::Simulated, Vendor::Other].map(|vendor| {
            let root = Module::enclave(1).with_vendor(vendor).certificate(Role::Root).der();
            TrustAnchors::insecure_simulated(&[root]).unwrap()
        })
    });
    let [simulated, other] = &*KEPT;
    if vendor == Vendor::Simulated { simulated.clone() } else { other.clone() }
}

/// A full policy that admits what the simulated modules say.
pub(crate) fn admitting(kind: Kind) -> Document {
    static KEPT: LazyLock<[Document; 2]> = LazyLock::new(|| [Kind::Enclave, Kind::Tpm].map(policy));
    let [enclave, instance] = &*KEPT;
    if kind == Kind::Enclave { enclave.clone() } else { instance.clone() }
}

fn policy(kind: Kind) -> Document {
    let (section, registers, module) = match kind {
        Kind::Enclave => ("nitro", &[0, 1, 2][..], Module::enclave(1)),
        Kind::Tpm => ("nitro-tpm", &[4, 7, 12][..], Module::tpm(1)),
    };
    let known = |index: &u8| {
        let value = hex::encode(register(&module, *index));
        format!(r#"{{ id = "pcr{index}", value = "{value}", provenance = "the simulator's default" }}"#)
    };
    let rule = |index: &u8| format!(r#"{{ index = {index}, any_of = ["pcr{index}"] }}"#);
    let all = |text: &dyn Fn(&u8) -> String| registers.iter().map(text).collect::<Vec<_>>().join(", ");
    let key = |name: &str| format!("{section}.{name}");
    let policy = Document::admitting_quotes()
        .without("tpm")
        .with("reference", &format!("[{}]", all(&known)))
        .with(&key("pcrs"), &format!("[{}]", all(&rule)))
        .with(&key("instances"), &format!(r#"{{ any_of = ["{}"] }}"#, module.instance()))
        .with(&key("regions"), r#"{ any_of = ["eu-central-1", "eu-north-1"] }"#)
        .with(&key("public_key"), r#""any""#)
        .with(&key("max_age_seconds"), "300");
    if kind == Kind::Enclave { policy.with("nitro.role", r#"{ any_of = ["none"] }"#) } else { policy }
}

/// A register as the simulator's firmware leaves it.
pub(crate) fn register(module: &Module, index: u8) -> [u8; 48] {
    let bytes = module.document().sign();
    let document = attest::nitro::Document::parse(platform(module), &bytes).unwrap();
    document.fields().pcrs.iter().find(|pcr| pcr.index == index).unwrap().value.0
}

fn platform(module: &Module) -> Platform {
    if module.kind() == Kind::Enclave { Platform::Nitro } else { Platform::NitroTpm }
}
