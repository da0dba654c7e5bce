//! A quote with all that it is judged by, simulated or captured.

use std::path::PathBuf;

use attest::crypto::AwsLcRs;
use attest::{
    Crypto, Endorsements, Evidence, Platform, Revocation, TrustAnchors, UnixTime, Unverified, Verified, tdx,
};
use base64::Engine as _;
use simulator::tdx::{Collateral, EPOCH, QuoteBuilder};

/// A quote and its judges.
#[derive(Clone)]
pub(crate) struct Machine {
    pub(crate) name: String,
    pub(crate) quote: Vec<u8>,
    pub(crate) collateral: Collateral,
    pub(crate) at: u64,
    pub(crate) captured: bool,
}

impl Machine {
    pub(crate) fn simulated(name: &str, collateral: Collateral, quote: &QuoteBuilder) -> Self {
        let (name, at) = (name.to_owned(), EPOCH);
        Self { name, quote: quote.sign(), collateral, at, captured: false }
    }

    pub(crate) fn endorsements(&self) -> Endorsements {
        let Collateral { ca, pck, tcb_signing, root_crl, pck_crl, tcb_info, qe_identity, .. } =
            self.collateral.clone();
        let certificates = [ca, pck, tcb_signing].into_iter().filter(|der| !der.is_empty()).collect();
        let (revocation_lists, documents) = (vec![root_crl, pck_crl], vec![tcb_info, qe_identity]);
        Endorsements { certificates, revocation_lists, documents }
    }

    pub(crate) fn anchors(&self) -> TrustAnchors {
        if self.captured {
            return TrustAnchors::vendor();
        }
        TrustAnchors::insecure_simulated(std::slice::from_ref(&self.collateral.root)).unwrap()
    }

    pub(crate) fn verify(&self) -> Result<Verified<attest::Claims>, Unverified> {
        self.verify_by(&AwsLcRs, &self.quote, self.at)
    }

    pub(crate) fn verify_by(
        &self,
        crypto: &dyn Crypto,
        quote: &[u8],
        at: u64,
    ) -> Result<Verified<attest::Claims>, Unverified> {
        let evidence = attest::parse(Platform::Tdx, quote)?;
        let (anchors, at) = (self.anchors(), UnixTime(at));
        let prepared = self.endorsements().prepare(crypto, &evidence, &anchors, Revocation::Required, at)?;
        evidence.verify(crypto, &prepared, at)
    }

    pub(crate) fn claims(&self) -> tdx::Claims {
        let verified = self.verify().unwrap_or_else(|error| panic!("{}: {error}", self.name));
        let attest::Claims::Tdx(claims) = verified.claims() else { panic!("not TDX") };
        *claims.clone()
    }

    /// The ids of the checks that fail.
    pub(crate) fn failing(&self) -> Vec<String> {
        failing(&self.verify().err().unwrap_or_else(|| panic!("{} is accepted", self.name)))
    }
}

pub(crate) fn failing(unverified: &Unverified) -> Vec<String> {
    let Unverified::Rejected(rejected) = unverified else { panic!("{unverified}") };
    let failed = rejected.checks().iter().filter(|check| check.verdict == attest::Answer::Fail);
    failed.map(|check| check.id.clone()).collect()
}

/// Real quotes with collateral that was current at a time.
pub(crate) fn captured() -> Vec<Machine> {
    let Some(folder) = folder() else { return Vec::new() };
    let sets = [
        ("v4-dstack-b0c06f-uptodate", "2025-07-01T00:00:00Z"),
        ("v4-dstack-20a06f-uptodate", "2025-09-15T00:00:00Z"),
        ("v4-gcp-00806f-outofdate", "2025-03-01T00:00:00Z"),
        ("v5-td15ex-b0c06f-uptodate", "2026-10-11T00:00:00Z"),
    ];
    let machine = |(name, at): (&str, &str)| {
        let read = |file: &str| std::fs::read(folder.join("tdx").join(name).join(file)).unwrap();
        let quote = read("quote.bin");
        let length = tdx::Quote::length(&quote).unwrap();
        let signers = certificates(&read("tcb_signing_chain.pem"));
        let signer = signers.first().cloned().unwrap();
        let quote = quote[..length].to_vec();
        let Ok(Evidence::Tdx(parsed)) = Evidence::parse(Platform::Tdx, &quote) else { panic!("{name}") };
        let chain = parsed.certificates().unwrap();
        let collateral = Collateral {
            root: std::fs::read(folder.join("tdx/ca/intel-sgx-root-ca.der")).unwrap(),
            ca: chain[1].clone(),
            pck: Vec::new(),
            tcb_signing: signer,
            root_crl: read("root_ca_crl.der"),
            pck_crl: read("pck_crl.der"),
            tcb_info: read("tcb_info.json"),
            qe_identity: read("qe_identity.json"),
        };
        let at = UnixTime::parse(at).unwrap().0;
        Machine { name: name.to_owned(), quote, collateral, at, captured: true }
    };
    sets.into_iter().map(machine).collect()
}

/// Real quotes of every kind in the set, whether or not there is collateral: name and bytes.
pub(crate) fn captured_quotes() -> Vec<(String, Vec<u8>)> {
    let Some(folder) = folder() else { return Vec::new() };
    let mut quotes = Vec::new();
    for entry in std::fs::read_dir(folder.join("tdx")).unwrap() {
        let path = entry.unwrap().path().join("quote.bin");
        if let Ok(mut quote) = std::fs::read(&path) {
            quote.truncate(tdx::Quote::length(&quote).unwrap());
            quotes.push((path.display().to_string(), quote));
        }
    }
    assert!(quotes.len() > 10, "found {}", quotes.len());
    quotes
}

fn certificates(pem: &[u8]) -> Vec<Vec<u8>> {
    let text = std::str::from_utf8(pem).unwrap();
    let blocks = text.split("-----BEGIN CERTIFICATE-----").skip(1);
    let bodies = blocks.map(|block| block.split("-----END").next().unwrap().split_whitespace().collect());
    let decode = |body: String| base64::engine::general_purpose::STANDARD.decode(body).unwrap();
    bodies.map(decode).collect()
}

/// The folder of captures.
fn folder() -> Option<PathBuf> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/vectors");
    let named = std::env::var_os("CLOUDTASER_VECTORS").unwrap_or_else(|| default.into());
    let folder = PathBuf::from(named);
    if folder.join("MANIFEST.toml").is_file() {
        return Some(folder);
    }
    let required = std::env::var("REQUIRE").is_ok_and(|list| list.split(',').any(|what| what == "vectors"));
    assert!(!required, "REQUIRE=vectors, and {} has no MANIFEST.toml", folder.display());
    println!("SKIP tdx: no MANIFEST.toml in {}", folder.display());
    None
}
