//! Cases of TPMs whose attestation keys a provider certified: judged with nothing enrolled.

use attest::{Endorsements, Platform, Revocation, TrustAnchors};
use simulator::tpm::{AttestationKey, Provider, Statement, gce_instance};

use crate::case::{Asked, Case};
use crate::document::Document;
use crate::silicon::NOW;

/// A key of each kind, certified by each provider.
pub(crate) fn cases() -> Vec<Case> {
    vec![
        case(&Provider::google(), &AttestationKey::ec(1), "google"),
        case(&Provider::azure(), &AttestationKey::rsa(1), "azure"),
    ]
}

fn case(provider: &Provider, key: &AttestationKey, origin: &str) -> Case {
    let quote = key.quote(&Statement::quote(&Asked::usual(NOW).caller_data(Platform::Tpm2)));
    let signed = 2..2 + usize::from(u16::from_be_bytes([quote[0], quote[1]]));
    let anchors = |provider: &Provider| TrustAnchors::insecure_simulated(&[provider.root().der()]).unwrap();
    let policy = Document::admitting_quotes()
        .with("insecure-accept-simulated-roots", "true")
        .with("tpm.ak", &format!(r#"{{ any_of = ["{origin}"] }}"#))
        .with("tpm.ak_revocation_list", r#""set""#)
        .with("tpm.gce_projects", r#"{ any_of = ["ours"] }"#)
        .with("tpm.gce_zones", r#""any""#);
    Case {
        name: format!("TPM quote by a key certified by {origin}"),
        platform: Platform::Tpm2,
        evidence: quote,
        signed,
        endorsements: endorsements(provider, key),
        strangers: (endorsements(provider, &AttestationKey::ec(77)), anchors(provider)),
        anchors: anchors(provider),
        other_anchors: anchors(&provider.clone().impostor()),
        root: provider.root().der(),
        revocation: Revocation::Required,
        now: NOW,
        asked: Asked::usual(NOW),
        policy,
    }
}

fn endorsements(provider: &Provider, key: &AttestationKey) -> Endorsements {
    let instance = gce_instance("us-central1-a", "ours", "node-1");
    let leaf = provider.certificate(key).extension(&[1, 3, 6, 1, 4, 1, 11129, 2, 1, 21], &instance);
    Endorsements {
        certificates: vec![leaf.der(), provider.intermediate().der()],
        revocation_lists: vec![provider.crl().der()],
        ..Endorsements::default()
    }
}
