//! Enclaves.

use simulator::nitro::{DocumentBuilder, EPOCH, Module, Role};

use crate::case::{Case, NONCE, Policies, answer, instant};

pub(crate) fn cases(policies: &Policies) -> Vec<Case> {
    let module = Module::enclave(1);
    let case = |at: u64, change: fn(DocumentBuilder) -> DocumentBuilder| {
        let mut document = module.document().nonce(&NONCE).user_data(&answer(attest::Platform::Nitro));
        for index in 0..3 {
            let value = policies.value(&format!("nautilus-weather-pcr{index}"));
            document = document.pcr(index, value);
        }
        let role = "9af4960cd10ff0ddb81dc6660d16bf92165923d7ce3cbc53b9e42257424049b55bf459ca68ba632f39ff510064293c5f";
        let document = document.pcr(3, &hex::decode(role).unwrap());
        Case {
            policy: "nitro-enclaves",
            name: "simulated".to_owned(),
            about: "a simulated enclave in order: its roots are no vendor's, and nothing else is wrong"
                .to_owned(),
            platform: "nitro",
            at: instant(at),
            evidence: change(document).sign(),
            roots: vec![("root.der", module.certificate(Role::Root).der())],
            answers: true,
            failing: vec!["roots.accepted"],
            ..Case::default()
        }
    };
    let now = EPOCH.saturating_add(1);
    let base = case(now, |document| document);
    vec![
        base.admitted(),
        base,
        case(now, DocumentBuilder::debug).but(
            "debug",
            "an enclave with an open console",
            &[
                "nitro.pcr0.nonzero",
                "nitro.pcr1.nonzero",
                "nitro.pcr2.nonzero",
                "nitro.pcr.0",
                "nitro.pcr.1",
                "nitro.pcr.2",
            ],
        ),
        case(now, |document| document.pcr(0, &[1; 48]).pcr(1, &[1; 48])).but(
            "another-image",
            "another image",
            &["nitro.pcr.0", "nitro.pcr.1"],
        ),
        case(now, |document| document.role("arn:aws:iam::123456789012:role/another")).but(
            "another-account",
            "the same image, started under another role",
            &["nitro.role"],
        ),
        case(now.saturating_add(600), |document| document).but(
            "ten-minutes-old",
            "a document from before",
            &["nitro.document.age"],
        ),
    ]
}
