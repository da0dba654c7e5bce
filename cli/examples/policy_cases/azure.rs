//! Azure machines: the hardware under a paravisor, and the vTPM that it keeps.

use attest::crypto::{AwsLcRs, Crypto as _, Hash};
use attest::tpm::{self, SigningScheme};
use attest::{Part, Platform, parcel};
use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use simulator::snp::{Chip, EPOCH, Product, ReportBuilder, Tcb};
use simulator::tdx::{Body, Platform as TdxPlatform, QuoteBuilder};

use crate::case::{Case, IN_ORDER, Policies, answer, instant};
use crate::tpm::{Clock, attested};

pub(crate) fn cases(policies: &Policies) -> Vec<Case> {
    let key = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    [snp(policies, &key), td(policies, &key)].concat()
}

fn snp(policies: &Policies, key: &RsaKeyPair) -> Vec<Case> {
    let guest = Guest::new(policies, key, "azure-snp", &[0, 2, 4, 7, 8, 9]);
    let tcb = Tcb { snp: 23, ..Product::Genoa.current_tcb() };
    let chip = Chip::new(1, Product::Genoa).with_tcb(tcb);
    let measurement = policies.digest("azure-paravisor-genoa");
    let mut owner = [0; 48];
    hex::decode_to_slice(MICROSOFT, &mut owner).unwrap();
    let evidence = |guest: &Guest<'_>, change: fn(ReportBuilder) -> ReportBuilder| {
        let report = chip.report().version(3).measurement(measurement).guest_svn(65_547).id_key_digest(owner);
        let report = report.family_id(start(&[1, 0x23, 0x20])).image_id(start(&[2])).abi_minimum(0, 31);
        let report = change(report.report_data(guest.covered())).sign();
        let hcl = guest.paravisor(2, &report);
        parcel::assemble(&[(Part::TpmQuote, &guest.quote(Platform::AzureSnp)), (Part::HclReport, &hcl)])
    };
    let base = Case {
        policy: "aks-snp",
        name: "simulated".to_owned(),
        about: IN_ORDER.to_owned(),
        platform: "azure-snp",
        at: instant(EPOCH),
        evidence: evidence(&guest, |report| report),
        endorsements: vec![
            ("vcek.der", chip.vcek().der()),
            ("ask.der", chip.ask().der()),
            ("ark.crl", chip.crl().der()),
        ],
        roots: vec![("ark.der", chip.ark().der())],
        answers: true,
        failing: vec!["roots.accepted"],
        ..Case::default()
    };
    let debug = evidence(&guest, ReportBuilder::debug);
    let paravisor = evidence(&guest, |report| report.measurement([1; 48]));
    let mut cases = vec![
        base.saying(debug).but("debug", "the host may debug this guest", &["snp.policy.debug"]),
        base.saying(paravisor).but("another-paravisor", "another paravisor", &["snp.measurement"]),
    ];
    cases.extend(guest.others(&base, &|guest| evidence(guest, |report| report)));
    cases
}

fn td(policies: &Policies, key: &RsaKeyPair) -> Vec<Case> {
    let guest = Guest::new(policies, key, "azure-tdx", &[0, 2, 4, 7, 9]);
    let platform = TdxPlatform::new(1);
    let mrtd = policies.digest("azure-paravisor-td");
    let evidence = |guest: &Guest<'_>, change: fn(QuoteBuilder) -> QuoteBuilder| {
        let mut svn = [0; 16];
        svn[..3].copy_from_slice(&[7, 1, 4]);
        let quote = platform.quote().version(5).body(Body::Td15).tee_tcb_svn(svn).tee_tcb_svn_2(svn);
        let quote = quote.mrtd(mrtd).rtmrs([[0; 48]; 4]).xfam(0x618e7).report_data(guest.covered());
        let mut report = vec![0; 1024];
        report[128..192].copy_from_slice(&guest.covered());
        let hcl = guest.paravisor(4, &report);
        let tpm = guest.quote(Platform::AzureTdx);
        parcel::assemble(&[
            (Part::TdQuote, &change(quote).sign()),
            (Part::TpmQuote, &tpm),
            (Part::HclReport, &hcl),
        ])
    };
    let collateral = platform.collateral();
    let base = Case {
        policy: "aks-tdx",
        name: "simulated".to_owned(),
        about: IN_ORDER.to_owned(),
        platform: "azure-tdx",
        at: instant(EPOCH),
        evidence: evidence(&guest, |quote| quote),
        endorsements: vec![
            ("tcb_info.json", collateral.tcb_info),
            ("qe_identity.json", collateral.qe_identity),
            ("tcb_signing.der", collateral.tcb_signing),
            ("root.crl", collateral.root_crl),
            ("pck.crl", collateral.pck_crl),
        ],
        roots: vec![("root.der", collateral.root)],
        answers: true,
        failing: vec!["roots.accepted"],
        ..Case::default()
    };
    let debug = evidence(&guest, QuoteBuilder::debug);
    let paravisor = evidence(&guest, |quote| quote.mrtd([1; 48]));
    let mut cases = vec![
        base.saying(debug).but("debug", "the host may debug this TD", &["tdx.attributes.debug"]),
        base.saying(paravisor).but("another-paravisor", "another paravisor", &["tdx.mrtd"]),
    ];
    cases.extend(guest.others(&base, &|guest| evidence(guest, |quote| quote)));
    cases
}

/// What the paravisor says, and what the guest booted.
#[derive(Clone)]
struct Guest<'k> {
    key: &'k RsaKeyPair,
    secure_boot: bool,
    values: Vec<(u32, Vec<u8>)>,
}

impl<'k> Guest<'k> {
    fn new(policies: &Policies, key: &'k RsaKeyPair, prefix: &str, indices: &[u32]) -> Self {
        let value = |index: &u32| (*index, policies.value(&format!("{prefix}-pcr{index}")).to_vec());
        Self { key, secure_boot: true, values: indices.iter().map(value).collect() }
    }

    /// Machines whose hardware is in order.
    fn others(&self, base: &Case, evidence: &dyn Fn(&Self) -> Vec<u8>) -> Vec<Case> {
        let insecure = Self { secure_boot: false, ..self.clone() };
        let changed =
            |(index, value): &(u32, Vec<u8>)| (*index, if *index == 4 { vec![1; 32] } else { value.clone() });
        let kernel = Self { values: self.values.iter().map(changed).collect(), ..self.clone() };
        vec![
            base.admitted(),
            base.clone(),
            base.saying(evidence(&insecure)).but(
                "secure-boot",
                "Secure Boot is off",
                &["azure.vm.secure_boot"],
            ),
            base.saying(evidence(&kernel)).but(
                "another-kernel",
                "another boot loader or kernel",
                &["tpm.pcr.sha256.4"],
            ),
        ]
    }

    fn runtime_data(&self) -> Vec<u8> {
        let n =
            BASE64_URL_SAFE_NO_PAD.encode(self.key.public_key().modulus().big_endian_without_leading_zero());
        let secure_boot = self.secure_boot;
        format!(
            "{{\"keys\":[{{\"kid\":\"HCLAkPub\",\"key_ops\":[\"sign\"],\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"{n}\"}}],\
             \"vm-configuration\":{{\"console-enabled\":true,\"secure-boot\":{secure_boot},\"tpm-enabled\":true,\
             \"tpm-persisted\":true,\"vmUniqueId\":\"00000000-0000-0000-0000-000000000000\"}},\"user-data\":\"\"}}"
        )
        .into_bytes()
    }

    /// The hardware's report data.
    fn covered(&self) -> [u8; 64] {
        start(&AwsLcRs.sha256(&[&self.runtime_data()]).0)
    }

    /// What the paravisor keeps in the vTPM: `attest/src/azure/hcl.rs` has the layout.
    fn paravisor(&self, kind: u32, hardware: &[u8]) -> Vec<u8> {
        let data = self.runtime_data();
        let length = u32::try_from(data.len()).unwrap();
        let head = [2, length.wrapping_add(1236), 2, 0, 0, 0, 0];
        let runtime = [length.wrapping_add(20), 1, kind, 1, length];
        let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>();
        let mut hardware = hardware.to_vec();
        hardware.resize(1184, 0);
        [b"HCLA".to_vec(), words(&head), hardware, words(&runtime), data].concat()
    }

    fn quote(&self, platform: Platform) -> Vec<u8> {
        let spki = self.key.public_key().as_der().unwrap();
        let area = public_area(spki.as_ref());
        let attest = attested(&self.values, Clock::Safe, &answer(platform), &qualified_name(&area));
        let mut signed = vec![0; self.key.public_modulus_len()];
        self.key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), &attest, &mut signed).unwrap();
        signed_quote(&attest, &signed, spki.as_ref(), &self.values)
    }
}

/// A quote whose signature is as Azure gives it: bare.
pub(crate) fn signed_quote(attest: &[u8], bare: &[u8], spki: &[u8], values: &[(u32, Vec<u8>)]) -> Vec<u8> {
    // TPMT_SIGNATURE: RSASSA with SHA-256.
    let length = u16::try_from(bare.len()).unwrap().to_be_bytes();
    let signature = [&[0, 0x14, 0, 0x0b][..], &length, bare].concat();
    let values: Vec<_> = values.iter().map(|(index, value)| (Hash::Sha256, *index, value.clone())).collect();
    tpm::assemble(attest, &signature, &public_area(spki), &values)
}

/// As the paravisor makes its keys: not subject to protection against dictionary attacks (noDA).
fn public_area(spki: &[u8]) -> Vec<u8> {
    let mut area = tpm::usual_public_area(spki, SigningScheme::RsaSsa, Hash::Sha256).unwrap();
    area[6] |= 0x04;
    area
}

/// The qualified name of a key directly in the endorsement hierarchy (TPM 2.0 Part 1, clause 16).
fn qualified_name(area: &[u8]) -> Vec<u8> {
    let name = tpm::Name::of_public(&AwsLcRs, area).unwrap();
    let digest = AwsLcRs.sha256(&[&0x4000_000b_u32.to_be_bytes(), name.as_bytes()]);
    [&[0, 0x0b][..], &digest.0].concat()
}

fn start<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut all = [0; N];
    all[..bytes.len()].copy_from_slice(bytes);
    all
}

/// The key that Microsoft signs its paravisor's versions with.
const MICROSOFT: &str =
    "942fd93ebde6ea7a96efadeafc60f1c6b3d10e703b1dafd7555b92f7f3d32d0e006767648cba5b102af3d65756af4177";
