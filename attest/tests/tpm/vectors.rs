//! Quotes that real machines made. Their folder is named by `CLOUDTASER_VECTORS`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use attest::crypto::{AwsLcRs, Hash};
use attest::tpm::{Name, SigningScheme, assemble, usual_public_area};
use attest::{Evidence, Platform};
use base64::prelude::{BASE64_STANDARD, Engine as _};

use super::judge::{genuine, quoted, refusals};

/// The folder of TPM vectors, or a skip that was earned.
pub(crate) fn folder(test: &str) -> Option<PathBuf> {
    let given = std::env::var_os("CLOUDTASER_VECTORS").map(PathBuf::from);
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors");
    let folder = given.unwrap_or_else(default).join("tpm");
    if folder.is_dir() {
        return Some(folder);
    }
    assert!(!required("vectors"), "REQUIRE=vectors, and {} is not there", folder.display());
    println!("SKIP {test}: no vectors in {}", folder.display());
    None
}

pub(crate) fn required(feature: &str) -> bool {
    let list = std::env::var_os("REQUIRE").unwrap_or_default();
    list.to_string_lossy().split(',').any(|word| word.trim() == feature)
}

/// A captured quote as evidence.
struct Vector {
    attest: Vec<u8>,
    signature: Vec<u8>,
    area: Vec<u8>,
    values: Vec<(Hash, u32, Vec<u8>)>,
}

impl Vector {
    fn read(folder: &Path, bank: &str) -> Self {
        let read = |name: &str| std::fs::read(folder.join(name));
        let mut signature = read(&format!("quote.{bank}.sig")).unwrap();
        if signature.len() == 256 {
            // Azure's agent keeps the bare number.
            signature = [vec![0x00, 0x14, 0x00, 0x0b, 0x01, 0x00], signature].concat();
        }
        let hash = if signature[3] == 0x04 { Hash::Sha1 } else { Hash::Sha256 };
        let area = read("ak_pub.tpmt").unwrap_or_else(|_| {
            let spki = pem(&String::from_utf8(read("ak_pub.pem").unwrap()).unwrap());
            usual_public_area(&spki, SigningScheme::RsaSsa, hash).unwrap()
        });
        let values = read(&format!("pcrs.{bank}.json")).map_or(Vec::new(), |json| values(&json, bank));
        Self { attest: read(&format!("quote.{bank}.msg")).unwrap(), signature, area, values }
    }

    fn evidence(&self) -> Vec<u8> {
        assemble(&self.attest, &self.signature, &self.area, &self.values)
    }

    fn name(&self) -> Name {
        Name::of_public(&AwsLcRs, &self.area).unwrap()
    }
}

/// A digest in the first 48 of 64 bytes.
const TRUSTEE_NONCE: &str = concat!(
    "a04182b506878d4f29b91ee606a71a0d3361ccf1b22db20c98adcaa537bea393",
    "ef0e41a18b3569ab678f1497fbc5c12000000000000000000000000000000000"
);

fn values(json: &[u8], bank: &str) -> Vec<(Hash, u32, Vec<u8>)> {
    let bank = match bank {
        "sha1" => Hash::Sha1,
        "sha256" => Hash::Sha256,
        _ => Hash::Sha384,
    };
    let texts: BTreeMap<String, String> = serde_json::from_slice(json).unwrap();
    let mut values: Vec<(Hash, u32, Vec<u8>)> = texts
        .iter()
        .map(|(index, value)| (bank, index.parse().unwrap(), hex::decode(value).unwrap()))
        .collect();
    values.sort_by_key(|(_, index, _)| *index);
    values
}

pub(crate) fn pem(text: &str) -> Vec<u8> {
    let body: String = text.lines().filter(|line| !line.starts_with("-----")).collect();
    BASE64_STANDARD.decode(body).unwrap()
}

#[test]
fn captured_quotes_are_genuine_under_their_keys() {
    let Some(folder) = folder("captured_quotes_are_genuine_under_their_keys") else { return };
    for (machine, bank, pcrs, nonce) in [
        ("gce-cos85-sev-nonce9009", "sha1", 24, "9009"),
        ("gce-cos85-sev-nonce9009", "sha256", 24, "9009"),
        ("gce-cos85-sev-nonce9009", "sha384", 24, "9009"),
        ("gce-windows-shielded", "sha1", 24, ""),
        ("keylime-quote-files", "sha256", 0, "db1db298db6d60e6385b7231743e9c3056a18003"),
        ("keylime-checkquote-sha256", "sha256", 1, "4169354d35536a596a6e6b797634503769744831"),
        ("azure-kinvolk-quote", "sha256", 24, "6368616c6c656e6765"),
        ("neg-gce-cos85-no-nonce", "sha256", 24, ""),
        ("trustee-swtpm-sha256", "sha256", 24, TRUSTEE_NONCE),
    ] {
        let vector = Vector::read(&folder.join(machine), bank);
        let claims = genuine(&vector.evidence(), &vector.name());
        let claims = quoted(&claims);
        assert_eq!((claims.pcrs.len(), hex::encode(&claims.extra_data).as_str()), (pcrs, nonce), "{machine}");
        assert!(claims.clock.safe, "{machine}");
    }
}

#[test]
fn the_name_of_a_captured_key_is_the_one_that_its_tpm_gave() {
    let Some(folder) = folder("the_name_of_a_captured_key_is_the_one_that_its_tpm_gave") else { return };
    let keylime = folder.join("keylime-quote-files");
    let sized = std::fs::read(keylime.join("ak.tpm2b.pub")).unwrap();
    let name = Name::of_public(&AwsLcRs, &sized[2..]).unwrap();
    assert_eq!(name.as_bytes(), std::fs::read(keylime.join("ak.name")).unwrap());
    let usual = Vector::read(&keylime, "sha256").area;
    assert_eq!(hex::encode(usual), hex::encode(&sized[2..]));
    let google = Vector::read(&folder.join("gce-cos85-sev-nonce9009"), "sha256").name().to_string();
    assert_eq!(google, "000bf175bdb57297b2b289973f819863d6c9d09c236725676914f4248c9a2404c2a4");
}

#[test]
fn altered_captures_are_refused_for_what_was_altered() {
    let Some(folder) = folder("altered_captures_are_refused_for_what_was_altered") else { return };
    let mut vector = Vector::read(&folder.join("gce-cos85-sev-nonce9009"), "sha256");
    let name = vector.name();
    vector.values[7].2[0] ^= 1;
    assert_eq!(refusals(&vector.evidence(), std::slice::from_ref(&name)), ["tpm.pcr.digest"]);
    vector.attest = std::fs::read(folder.join("neg/gce-magic.msg")).unwrap();
    let failing = refusals(&vector.evidence(), &[name]);
    assert_eq!(failing[0], "tpm.quote.magic");
    let mut vector = Vector::read(&folder.join("keylime-checkquote-sha256"), "sha256");
    vector.attest = std::fs::read(folder.join("neg/keylime-quote-byte5.msg")).unwrap();
    let failing = refusals(&vector.evidence(), &[vector.name()]);
    assert_eq!(failing[0], "tpm.quote.type");
}

#[test]
fn l22_every_truncation_of_a_captured_quote_is_refused() {
    let Some(folder) = folder("l22_every_truncation_of_a_captured_quote_is_refused") else { return };
    let evidence = Vector::read(&folder.join("azure-kinvolk-quote"), "sha256").evidence();
    for length in 0..evidence.len() {
        assert!(Evidence::parse(Platform::Tpm2, &evidence[..length]).is_err(), "{length}");
    }
}
