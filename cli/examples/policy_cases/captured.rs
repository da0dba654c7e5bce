//! Machines that really were, from a folder of vectors. Only what licences let everybody copy.

use std::collections::BTreeMap;
use std::path::Path;

use attest::crypto::{AwsLcRs, Hash};
use attest::{Part, parcel, tpm};

use crate::azure::signed_quote;
use crate::case::Case;

pub(crate) fn cases(vectors: &Path) -> Vec<Case> {
    let read =
        |name: &str| std::fs::read(vectors.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let genoa = Case {
        policy: "snp-genoa",
        platform: "sev-snp",
        at: "2025-08-09T17:21:41Z".to_owned(),
        evidence: read("snp/genoa-v5-oak-containers.report.bin"),
        endorsements: vec![
            ("vcek.der", read("snp/genoa-v5-oak-containers.vcek.der")),
            ("ask.der", read("snp/ca/genoa-ask.der")),
            ("ark.crl", read("snp/ca/genoa-2024-10.crl.der")),
        ],
        source: Some(format!(
            "{OAK}/genoa_oc_evidence.binarypb, {OAK_AT}; list: AMD KDS by github.com/google/go-sev-guest, Apache-2.0"
        )),
        ..captured()
    };
    let turin = Case {
        policy: "snp-turin",
        platform: "sev-snp",
        at: "2025-07-19T17:04:46Z".to_owned(),
        evidence: read("snp/turin-v5-oak-containers.report.bin"),
        endorsements: vec![
            ("vcek.der", read("snp/turin-v5-oak-containers.vcek.der")),
            ("ask.der", read("snp/ca/turin-ask.der")),
        ],
        source: Some(format!("{OAK}/turin_oc_evidence.binarypb, {OAK_AT}")),
        ..without_list()
    };
    let mut cases = vec![
        Case {
            at: "2026-08-09T17:21:41Z".to_owned(),
            ..genoa.but("list-out-of-date", "a year later, with the list of then", &["snp.crl.current"])
        },
        genoa,
        turin,
        ec2(&read),
        cos(&read),
        azure(&read),
    ];
    cases.extend(dstack(&read));
    cases.extend(nitro(&read));
    cases
}

fn captured() -> Case {
    Case {
        name: "captured".to_owned(),
        about: "the machine that the reference values are from".to_owned(),
        ..Case::default()
    }
}

/// No revocation list of that time was kept, and every policy refuses that.
fn without_list() -> Case {
    let about = "the machine that the reference values are from; its revocation list was not kept".to_owned();
    Case { about, without_list: true, failing: vec!["snp.crl.present"], ..captured() }
}

fn ec2(read: &dyn Fn(&str) -> Vec<u8>) -> Case {
    Case {
        policy: "ec2-snp-vlek",
        platform: "sev-snp",
        at: "2025-06-15T00:00:00Z".to_owned(),
        evidence: read("snp/milan-v3-vlek-aws-useast2-vmpl1.report.bin"),
        endorsements: vec![
            ("vlek.der", read("snp/milan-v3-vlek-aws-useast2-vmpl1.vlek.der")),
            ("asvk.der", read("snp/ca/milan-asvk.der")),
        ],
        source: Some(
            "deps/verifier/test_data/snp/test-vlek-report.bin of github.com/confidential-containers/trustee at commit \
             78962cd416dcc8a32f9377e0066a28fe21420f69, Apache-2.0"
                .to_owned(),
        ),
        ..without_list()
    }
}

fn dstack(read: &dyn Fn(&str) -> Vec<u8>) -> Vec<Case> {
    let file = |name: &str| read(&format!("tdx/v5-td15ex-b0c06f-uptodate/{name}"));
    let now = Case {
        policy: "tdx",
        platform: "tdx",
        at: "2026-10-11T00:00:00Z".to_owned(),
        evidence: file("quote.bin"),
        endorsements: vec![
            ("tcb_info.json", file("tcb_info.json")),
            ("qe_identity.json", file("qe_identity.json")),
            ("tcb_signing_chain.pem", file("tcb_signing_chain.pem")),
            ("pck.crl", file("pck_crl.der")),
            ("root.crl", file("root_ca_crl.der")),
        ],
        source: Some("sample/tdx_quote_td15ex of dcap-qvl 0.7.1, github.com/Phala-Network/dcap-qvl at commit 05c200b752ecb824b73e5b1ae63cc047f1702ab2, MIT".to_owned()),
        ..captured()
    };
    let later = Case {
        at: "2026-12-11T00:00:00Z".to_owned(),
        ..now.but(
            "lists-out-of-date",
            "two months later, with the lists of then",
            &["tdx.tcb_info.current", "tdx.qe_identity.current", "tdx.crl.pck.current"],
        )
    };
    vec![now, later]
}

fn nitro(read: &dyn Fn(&str) -> Vec<u8>) -> Vec<Case> {
    let weather = Case {
        policy: "nitro-enclaves",
        platform: "nitro",
        at: "2025-04-15T02:25:24Z".to_owned(),
        evidence: read("nitro/nautilus-weather-2025.cose.bin"),
        about: "the enclave that the reference values are from; it was not asked for a nonce".to_owned(),
        source: Some("move/weather-example/sources/weather.move of github.com/MystenLabs/nautilus at commit af7535b9d314f034fa7f9f1f208264540d54cde1, Apache-2.0".to_owned()),
        failing: vec!["nitro.nonce", "nitro.user_data"],
        ..captured()
    };
    let debug = Case {
        at: "2023-09-18T15:03:31Z".to_owned(),
        evidence: read("nitro/evervault-2023-debug.cose.bin"),
        failing: vec![
            "nitro.pcr0.nonzero",
            "nitro.pcr1.nonzero",
            "nitro.pcr2.nonzero",
            "nitro.pcr.0",
            "nitro.pcr.1",
            "nitro.pcr.2",
            "nitro.role",
        ],
        source: Some("github.com/evervault/attestation-doc-validation at commit 084ba280db363cba543fc58ce0822df1e0e3fa08, Apache-2.0".to_owned()),
        ..weather.but("captured-debug", "a real enclave with an open console", &[])
    };
    vec![weather, debug]
}

fn cos(read: &dyn Fn(&str) -> Vec<u8>) -> Case {
    let file = |name: &str| read(&format!("tpm/gce-cos85-sev-nonce9009/{name}"));
    let area = file("ak_pub.tpmt");
    let values = values(&file("pcrs.sha256.json"));
    let values: Vec<_> = values.into_iter().map(|(index, value)| (Hash::Sha256, index, value)).collect();
    Case {
        policy: "vtpm",
        platform: "tpm2",
        at: "2022-01-01T00:00:00Z".to_owned(),
        evidence: tpm::assemble(&file("quote.sha256.msg"), &file("quote.sha256.sig"), &area, &values),
        enrolled: vec![tpm::Name::of_public(&AwsLcRs, &area).unwrap().to_string()],
        source: Some("internal/test/attestations/gce-cos-85-nonce9009.pb of github.com/google/go-tpm-tools at commit 67670e5c021a24f2366eb1808db2659211af5eb2, Apache-2.0".to_owned()),
        ..captured()
    }
}

fn azure(read: &dyn Fn(&str) -> Vec<u8>) -> Case {
    let file = |name: &str| read(&format!("snp/azure-snp-genoa-v3-trustee/{name}"));
    let pem = file("ak_pub.pem");
    let (_, pem) = x509_parser::pem::parse_x509_pem(&pem).unwrap();
    let quote = signed_quote(
        &file("tpm_quote.msg"),
        &file("tpm_quote.sig"),
        &pem.contents,
        &values(&file("pcrs.sha256.json")),
    );
    Case {
        policy: "aks-snp",
        platform: "azure-snp",
        at: "2025-06-15T00:00:00Z".to_owned(),
        evidence: parcel::assemble(&[(Part::TpmQuote, &quote), (Part::HclReport, &file("hcl_report.bin"))]),
        endorsements: vec![
            ("vcek.der", file("vcek.der")),
            ("ask.der", read("snp/ca/genoa-ask.der")),
            ("ark.crl", read("snp/ca/genoa-2024-10.crl.der")),
        ],
        source: Some(
            "deps/verifier/test_data/az-snp-vtpm/evidence-genoa.json of github.com/confidential-containers/trustee at \
             commit 78962cd416dcc8a32f9377e0066a28fe21420f69, Apache-2.0"
                .to_owned(),
        ),
        ..captured()
    }
}

/// PCR values as JSON, by index.
fn values(json: &[u8]) -> Vec<(u32, Vec<u8>)> {
    let pcrs: BTreeMap<String, String> = serde_json::from_slice(json).unwrap();
    let pcrs = pcrs.iter().map(|(index, value)| (index.parse().unwrap(), hex::decode(value).unwrap()));
    pcrs.collect::<BTreeMap<u32, Vec<u8>>>().into_iter().collect()
}

const OAK: &str = "oak_attestation_verification/testdata";
const OAK_AT: &str =
    "github.com/project-oak/oak at commit 578b95116bac0dec45b852788c98d1fe19c168bd, Apache-2.0";
