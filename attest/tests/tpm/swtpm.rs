//! Quotes of a real TPM implementation in software, made with tpm2-tools.

use std::path::Path;
use std::process::Command;

use attest::crypto::{AwsLcRs, Hash};
use attest::tpm::{Name, SigningScheme, assemble};
use simulator::vtpm::Vtpm;
use tempfile::TempDir;

use super::judge::{genuine, quoted, refusals};
use super::vectors::required;

/// A TPM with an endorsement key and the tools to use it.
struct Tpm {
    vtpm: Vtpm,
    folder: TempDir,
}

impl Tpm {
    /// Starts one, or says why this test is skipped.
    fn start(test: &str) -> Option<Self> {
        for program in ["swtpm", "tpm2_quote", "tpm2_createek", "tpm2_createak"] {
            if Command::new(program).arg("--version").output().is_err() {
                assert!(!required("swtpm"), "REQUIRE=swtpm, and {program} is not installed");
                println!("SKIP {test}: {program} is not installed");
                return None;
            }
        }
        let tpm = Self { vtpm: Vtpm::start().unwrap(), folder: TempDir::new().unwrap() };
        tpm.run("tpm2_createek", &["-c", "ek.ctx", "-G", "rsa", "-u", "ek.pub"]);
        for (pcr, event) in [("0", "firmware"), ("7", "secure boot")] {
            let path = tpm.folder.path().join("event");
            std::fs::write(path, event).unwrap();
            tpm.run("tpm2_pcrevent", &[pcr, "event"]);
        }
        Some(tpm)
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.folder.path()).env("TPM2TOOLS_TCTI", self.vtpm.tcti());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(Path::new(self.folder.path()).join(name)).unwrap()
    }

    /// A new attestation key.
    fn ak(&self, key: &str, hash: &str, scheme: &str) {
        let made = ["-C", "ek.ctx", "-c", "ak.ctx", "-G", key, "-g", hash, "-s", scheme];
        self.run("tpm2_createak", &[&made[..], &["-u", "ak.pub", "-n", "ak.name", "-f", "tss"]].concat());
        self.run("tpm2_flushcontext", &["-t"]);
    }

    /// A quote of SHA-1 PCR 0 and SHA-256 PCR 0, 7 and 23, signed by the key that was made last.
    fn quote(&self, hash: &str, scheme: &str) {
        let asked = ["-c", "ak.ctx", "-l", "sha1:0+sha256:0,7,23", "-q", "c0ffee", "-g", hash];
        let made = ["--scheme", scheme, "-m", "quote.msg", "-s", "quote.sig", "-o", "pcrs", "-F", "values"];
        self.run("tpm2_quote", &[&asked[..], &made].concat());
        self.run("tpm2_flushcontext", &["-t"]);
    }

    fn name(&self) -> Name {
        Name::from_bytes(&self.read("ak.name")).unwrap()
    }

    fn evidence(&self, values: &[(Hash, u32, Vec<u8>)]) -> Vec<u8> {
        assemble(&self.read("quote.msg"), &self.read("quote.sig"), &self.read("ak.pub")[2..], values)
    }

    /// The values as `tpm2_pcrread` writes them: one after the other, in the selection's order.
    fn values(&self) -> Vec<(Hash, u32, Vec<u8>)> {
        self.run("tpm2_pcrread", &["sha1:0+sha256:0,7,23", "-F", "values", "-o", "read"]);
        let bytes = self.read("read");
        let (first, rest) = bytes.split_at(20);
        let rest =
            rest.chunks(32).zip([0, 7, 23]).map(|(value, index)| (Hash::Sha256, index, value.to_vec()));
        std::iter::once((Hash::Sha1, 0, first.to_vec())).chain(rest).collect()
    }
}

#[test]
fn quotes_of_two_banks_by_every_kind_of_key_are_genuine() {
    let Some(tpm) = Tpm::start("quotes_of_two_banks_by_every_kind_of_key_are_genuine") else { return };
    for (key, hash, scheme, expected) in [
        ("rsa", "sha256", "rsassa", (SigningScheme::RsaSsa, Hash::Sha256)),
        ("rsa", "sha384", "rsassa", (SigningScheme::RsaSsa, Hash::Sha384)),
        ("rsa", "sha256", "rsapss", (SigningScheme::RsaPss, Hash::Sha256)),
        ("rsa", "sha384", "rsapss", (SigningScheme::RsaPss, Hash::Sha384)),
        ("ecc", "sha256", "ecdsa", (SigningScheme::Ecdsa, Hash::Sha256)),
        ("ecc384", "sha384", "ecdsa", (SigningScheme::Ecdsa, Hash::Sha384)),
    ] {
        tpm.ak(key, hash, scheme);
        tpm.quote(hash, scheme);
        let evidence = tpm.evidence(&tpm.values());
        let claims = genuine(&evidence, &tpm.name());
        let claims = quoted(&claims);
        assert_eq!((claims.signature_scheme, claims.signature_hash), expected);
        assert_eq!(claims.ak_name, tpm.name());
        assert_eq!(claims.extra_data, [0xc0, 0xff, 0xee]);
        let pcrs: Vec<(Hash, u32)> = claims.pcrs.iter().map(|pcr| (pcr.bank, pcr.index)).collect();
        assert_eq!(pcrs, [(Hash::Sha1, 0), (Hash::Sha256, 0), (Hash::Sha256, 7), (Hash::Sha256, 23)]);
    }
}

#[test]
fn leading_zeros_in_an_ecdsa_signature_do_not_matter() {
    let Some(tpm) = Tpm::start("leading_zeros_in_an_ecdsa_signature_do_not_matter") else { return };
    tpm.ak("ecc", "sha256", "ecdsa");
    tpm.quote("sha256", "ecdsa");
    let signature = tpm.read("quote.sig");
    assert_eq!(signature[..6], [0, 0x18, 0, 0x0b, 0, 0x20]);
    let r = [vec![0, 0x21, 0], signature[6..38].to_vec()].concat();
    let signature = [&signature[..4], &r, &signature[38..]].concat();
    let evidence = assemble(&tpm.read("quote.msg"), &signature, &tpm.read("ak.pub")[2..], &tpm.values());
    genuine(&evidence, &tpm.name());
}

#[test]
fn a_quote_made_before_a_pcr_changed_does_not_carry_the_new_value() {
    let Some(tpm) = Tpm::start("a_quote_made_before_a_pcr_changed_does_not_carry_the_new_value") else {
        return;
    };
    tpm.ak("ecc", "sha256", "ecdsa");
    tpm.quote("sha256", "ecdsa");
    tpm.run("tpm2_pcrevent", &["23", "event"]);
    assert_eq!(refusals(&tpm.evidence(&tpm.values()), &[tpm.name()]), ["tpm.pcr.digest"]);
}

#[test]
fn l24_what_the_same_key_certifies_is_no_quote() {
    let Some(tpm) = Tpm::start("l24_what_the_same_key_certifies_is_no_quote") else { return };
    tpm.ak("rsa", "sha256", "rsassa");
    let made = ["-c", "ak.ctx", "-C", "ak.ctx", "-g", "sha256", "-o", "quote.msg", "-s", "quote.sig"];
    tpm.run("tpm2_certify", &[&made[..], &["-f", "tss"]].concat());
    let failing = refusals(&tpm.evidence(&[]), &[tpm.name()]);
    assert_eq!(failing[0], "tpm.quote.type");
    assert!(!failing.contains(&"tpm.quote.signature".to_owned()), "the signature itself is good");
}

#[test]
fn the_endorsement_key_is_no_attestation_key() {
    let Some(tpm) = Tpm::start("the_endorsement_key_is_no_attestation_key") else { return };
    tpm.ak("rsa", "sha256", "rsassa");
    tpm.quote("sha256", "rsassa");
    let area = &tpm.read("ek.pub")[2..];
    let name = Name::of_public(&AwsLcRs, area).unwrap();
    let evidence = assemble(&tpm.read("quote.msg"), &tpm.read("quote.sig"), area, &tpm.values());
    assert_eq!(refusals(&evidence, &[name]), ["tpm.ak.attributes", "tpm.ak.scheme"]);
}
