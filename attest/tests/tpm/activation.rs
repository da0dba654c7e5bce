//! Credentials that a real TPM implementation opens, or does not.

use std::path::{Path, PathBuf};
use std::process::Command;

use attest::crypto::{AwsLcRs, Crypto, RustCrypto};
use attest::tpm::{
    Credential, Draw, Ek, EkPublic, EkRoots, Enrolment, Name, NoCredential, NotEnrolled, NotOffered, Offer,
    ek_template, make_credential,
};
use attest::{CannotJudge, Endorsements, Revocation, UnixTime, Unverified};
use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::{KeySize, OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, PrivateDecryptingKey};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use simulator::vtpm::{Endorsement, Vtpm, manufacture};
use tempfile::TempDir;

use super::judge::{PROVIDERS, failing};
use super::vectors::{pem, required};

/// A TPM with certified endorsement keys, and an attestation key under the RSA one.
struct Machine {
    vtpm: Vtpm,
    folder: TempDir,
    made: Endorsement,
}

impl Machine {
    /// Starts one, or says why this test is skipped.
    fn start(test: &str) -> Option<Self> {
        for program in ["swtpm", "swtpm_setup", "swtpm_localca", "tpm2_activatecredential"] {
            if Command::new(program).arg("--version").output().is_err() {
                assert!(!required("swtpm"), "REQUIRE=swtpm, and {program} is not installed");
                println!("SKIP {test}: {program} is not installed");
                return None;
            }
        }
        let folder = TempDir::new().unwrap();
        let state = folder.path().join("state");
        std::fs::create_dir(&state).unwrap();
        let made = manufacture(&state).unwrap();
        let machine = Self { vtpm: Vtpm::start_in(&state).unwrap(), folder, made };
        for (handle, file) in [(RSA, "rsa.pub"), (P384, "p384.pub")] {
            machine.run("tpm2_readpublic", &["-c", handle, "-f", "tss", "-o", file]);
        }
        machine.run("tpm2_createek", &["-c", "p256.ctx", "-G", "ecc", "-u", "p256.pub", "-f", "tss"]);
        machine.ak("ak");
        Some(machine)
    }

    fn ak(&self, name: &str) {
        let (context, public) = (format!("{name}.ctx"), format!("{name}.pub"));
        let made = ["-C", RSA, "-c", &context, "-G", "ecc", "-g", "sha256", "-s", "ecdsa", "-u", &public];
        self.run("tpm2_createak", &[&made[..], &["-f", "tss"]].concat());
        self.run("tpm2_flushcontext", &["-t"]);
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let output = self.command(program, arguments).output().unwrap();
        assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.folder.path()).env("TPM2TOOLS_TCTI", self.vtpm.tcti());
        command
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A `TPMT_PUBLIC`.
    fn area(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()[2..].to_vec()
    }

    /// What the TPM opens the credential to, if it does.
    fn opens(&self, ak: &str, ek: &str, credential: &Credential) -> Option<Vec<u8>> {
        let head = [0xba, 0xdc, 0xc0, 0xde, 0, 0, 0, 1];
        let blob = [&head[..], &credential.id_object, &credential.encrypted_secret].concat();
        std::fs::write(self.path("credential"), blob).unwrap();
        self.run("tpm2_startauthsession", &["--policy-session", "-S", "session"]);
        self.run("tpm2_policysecret", &["-S", "session", "-c", "e"]);
        let ak = format!("{ak}.ctx");
        let asked = ["-c", &ak, "-C", ek, "-i", "credential", "-o", "opened"];
        // The P-384 key may be used with its empty password; the others only by policy.
        let policy = if ek == P384 { &[][..] } else { &["-P", "session:session"][..] };
        let opened =
            self.command("tpm2_activatecredential", &[&asked[..], policy].concat()).output().unwrap();
        self.run("tpm2_flushcontext", &["session"]);
        self.run("tpm2_flushcontext", &["-t"]);
        opened.status.success().then(|| std::fs::read(self.path("opened")).unwrap())
    }

    /// The manufacturer's certificates, and its root.
    fn endorsed(&self) -> (Endorsements, EkRoots) {
        let der = |path: &Path| pem(&std::fs::read_to_string(path).unwrap());
        let read = |path: &Path| std::fs::read(path).unwrap();
        let certificates =
            vec![read(&self.made.ek_rsa2048), read(&self.made.ek_secp384r1), der(&self.made.issuer)];
        let roots = EkRoots::insecure_simulated(&[der(&self.made.root)]).unwrap();
        (Endorsements { certificates, ..Endorsements::default() }, roots)
    }

    fn ek(&self, crypto: &dyn Crypto, file: &str) -> Result<Ek, Unverified> {
        let (endorsements, roots) = self.endorsed();
        Ek::verify(&self.area(file), &endorsements, &roots, crypto, Revocation::Required, NOW)
    }
}

/// The certificates are as old as the test and hold until the year 9999.
const NOW: UnixTime = UnixTime(4_000_000_000);
const RSA: &str = "0x81010001";
const P384: &str = "0x81010016";

fn draw(byte: u8) -> Draw {
    Draw { seed: [byte; 64], padding: [byte ^ 0xff; 64] }
}

#[test]
fn a_real_tpm_opens_what_was_sealed_to_its_endorsement_key_of_any_kind() {
    let Some(machine) = Machine::start("a_real_tpm_opens_what_was_sealed_to_its_endorsement_key_of_any_kind")
    else {
        return;
    };
    let name = Name::of_public(&AwsLcRs, &machine.area("ak.pub")).unwrap();
    for (public, handle) in [("rsa.pub", RSA), ("p256.pub", "p256.ctx"), ("p384.pub", P384)] {
        let ek = EkPublic::parse(&machine.area(public)).unwrap();
        let made = PROVIDERS.map(|crypto| make_credential(crypto, &ek, &name, SECRET, &draw(7)).unwrap());
        assert_eq!(made[0], made[1], "{public}");
        assert_eq!(machine.opens("ak", handle, &made[0]).as_deref(), Some(&SECRET[..]), "{public}");
    }
}

#[test]
fn a_credential_opens_for_no_other_key_and_in_no_other_tpm() {
    let Some(machine) = Machine::start("a_credential_opens_for_no_other_key_and_in_no_other_tpm") else {
        return;
    };
    machine.ak("other");
    let other_name = Name::of_public(&AwsLcRs, &machine.area("other.pub")).unwrap();
    let name = Name::of_public(&AwsLcRs, &machine.area("ak.pub")).unwrap();
    let ek = EkPublic::parse(&machine.area("rsa.pub")).unwrap();
    let for_other = make_credential(&AwsLcRs, &ek, &other_name, SECRET, &draw(1)).unwrap();
    assert_eq!(machine.opens("ak", RSA, &for_other), None, "the name of another key");
    assert_eq!(machine.opens("other", RSA, &for_other).as_deref(), Some(&SECRET[..]));
    let stranger = software_ek();
    let elsewhere = make_credential(&AwsLcRs, &stranger.public, &name, SECRET, &draw(1)).unwrap();
    assert_eq!(machine.opens("ak", RSA, &elsewhere), None, "another TPM's endorsement key");
    let good = make_credential(&AwsLcRs, &ek, &name, SECRET, &draw(1)).unwrap();
    for at in [2, 10, good.id_object.len() - 1] {
        let mut altered = good.clone();
        altered.id_object[at] ^= 1;
        assert_eq!(machine.opens("ak", RSA, &altered), None, "byte {at}");
    }
}

#[test]
fn a_tpm_of_a_known_manufacturer_enrols_its_key() {
    let Some(machine) = Machine::start("a_tpm_of_a_known_manufacturer_enrols_its_key") else { return };
    let area = machine.area("ak.pub");
    for (public, handle) in [("rsa.pub", RSA), ("p384.pub", P384)] {
        let ek = machine.ek(&AwsLcRs, public).unwrap();
        assert_eq!(ek.checks(), machine.ek(&RustCrypto, public).unwrap().checks());
        assert_eq!(ek.roots(), attest::Roots::Simulated);
        let (secret, drawn) = ([0x42; 32], draw(3));
        let offer = Offer { secret: &secret, draw: &drawn, expires: NOW.plus(60) };
        let begin = || Enrolment::begin(&AwsLcRs, &ek, &area, &offer).unwrap();
        let (enrolment, credential) = begin();
        let kept: Enrolment = minicbor::decode(&minicbor::to_vec(&enrolment).unwrap()).unwrap();
        assert_eq!(kept, enrolment);
        let answer = machine.opens("ak", handle, &credential).unwrap();
        let enrolled = kept.finish(&AwsLcRs, &answer, NOW).unwrap();
        assert_eq!(enrolled.name(), &Name::of_public(&AwsLcRs, &area).unwrap());
        assert_eq!(enrolled.ek(), ek.certificate().key_digest);
        assert_eq!(begin().0.finish(&AwsLcRs, &[0; 32], NOW), Err(NotEnrolled::WrongAnswer));
        let late = NOW.plus(60);
        let expired = NotEnrolled::Expired { expires: late, now: late };
        assert_eq!(begin().0.finish(&AwsLcRs, &answer, late), Err(expired));
    }
}

#[test]
fn an_endorsement_key_is_refused_for_what_is_wrong_with_it() {
    let Some(machine) = Machine::start("an_endorsement_key_is_refused_for_what_is_wrong_with_it") else {
        return;
    };
    let (endorsements, roots) = machine.endorsed();
    let area = machine.area("rsa.pub");
    let verify = |area: &[u8], endorsements: &Endorsements, roots: &EkRoots| {
        Ek::verify(area, endorsements, roots, &AwsLcRs, Revocation::Required, NOW)
    };
    verify(&area, &endorsements, &roots).unwrap();
    let stranger = EkRoots::of_manufacturers(&attest::tpm::vendor_authorities()).unwrap();
    assert_eq!(failing(&verify(&area, &endorsements, &stranger).unwrap_err()), ["tpm.ek.chain"]);
    let mut without = endorsements.clone();
    without.certificates.remove(2);
    assert_eq!(failing(&verify(&area, &without, &roots).unwrap_err()), ["tpm.ek.chain"]);
    let missing = verify(&machine.area("p256.pub"), &endorsements, &roots).unwrap_err();
    assert!(matches!(missing, Unverified::CannotJudge(CannotJudge::MissingEndorsement(_))), "{missing}");
    let mut loose = area.clone();
    loose[5] &= !0x01; // restricted
    assert_eq!(failing(&verify(&loose, &endorsements, &roots).unwrap_err()), ["tpm.ek.attributes"]);
    // An attestation key that could sign anything is not offered a challenge.
    let ek = verify(&area, &endorsements, &roots).unwrap();
    let (secret, drawn) = ([1; 32], draw(1));
    let offer = Offer { secret: &secret, draw: &drawn, expires: NOW };
    let mut signer = machine.area("ak.pub");
    signer[5] &= !0x01;
    let Err(NotOffered::Key(refused)) = Enrolment::begin(&AwsLcRs, &ek, &signer, &offer) else {
        panic!("a key that signs anything was offered a challenge")
    };
    assert_eq!(failing(&refused), ["tpm.ak.attributes"]);
}

#[test]
fn the_default_templates_give_the_public_areas_that_the_tpm_has() {
    let Some(machine) = Machine::start("the_default_templates_give_the_public_areas_that_the_tpm_has") else {
        return;
    };
    let read = |path: &Path| ek_template(&std::fs::read(path).unwrap()).unwrap();
    assert_eq!(hex::encode(read(&machine.made.ek_rsa2048)), hex::encode(machine.area("rsa.pub")));
    assert_eq!(hex::encode(read(&machine.made.ek_secp384r1)), hex::encode(machine.area("p384.pub")));
}

/// With the seed that tpm2-tools drew, ours is byte for byte what tpm2-tools made.
#[test]
fn tpm2_makecredential_makes_the_same_of_the_same_seed() {
    if Command::new("tpm2_makecredential").arg("--version").output().is_err() {
        assert!(!required("swtpm"), "REQUIRE=swtpm, and tpm2_makecredential is not installed");
        println!("SKIP tpm2_makecredential_makes_the_same_of_the_same_seed: it is not installed");
        return;
    }
    let (ek, folder) = (software_ek(), TempDir::new().unwrap());
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    let text = BASE64_STANDARD.encode(&ek.spki);
    write("ek.pem", format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n").as_bytes());
    write("secret", SECRET);
    let name: Name = format!("000b{}", "5a".repeat(32)).parse().unwrap();
    let asked = ["-T", "none", "-G", "rsa", "-u", "ek.pem", "-s", "secret", "-o", "blob", "-n"];
    let mut command = Command::new("tpm2_makecredential");
    let output = command.args(asked).arg(name.to_string()).current_dir(folder.path()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let blob = std::fs::read(folder.path().join("blob")).unwrap();
    let object = usize::from(u16::from_be_bytes([blob[8], blob[9]])) + 2;
    let (id_object, encrypted) = blob[8..].split_at(object);
    let private = OaepPrivateDecryptingKey::new(ek.private).unwrap();
    let mut seed = vec![0; private.min_output_size()];
    let label = Some(&b"IDENTITY\0"[..]);
    let opened = private.decrypt(&OAEP_SHA256_MGF1SHA256, &encrypted[2..], &mut seed, label).unwrap();
    let mut drawn = draw(9);
    drawn.seed[..32].copy_from_slice(opened);
    let ours = make_credential(&AwsLcRs, &ek.public, &name, SECRET, &drawn).unwrap();
    assert_eq!(hex::encode(ours.id_object), hex::encode(id_object));
    let opened = opened.to_vec();
    assert_eq!(
        private.decrypt(&OAEP_SHA256_MGF1SHA256, &ours.encrypted_secret[2..], &mut seed, label).unwrap(),
        opened
    );
}

#[test]
fn a_secret_that_is_too_long_and_a_draw_that_is_no_key_make_no_credential() {
    let name: Name = format!("000b{}", "5a".repeat(32)).parse().unwrap();
    let ek = software_ek().public;
    let long = make_credential(&AwsLcRs, &ek, &name, &[0; 33], &draw(1));
    assert_eq!(long, Err(NoCredential::SecretTooLong { limit: 32, found: 33 }));
    let curve = EkPublic::parse(&p256_area()).unwrap();
    for seed in [0x00, 0xff] {
        let none = make_credential(&AwsLcRs, &curve, &name, SECRET, &draw(seed));
        assert_eq!(none, Err(NoCredential::DrawAgain));
    }
}

/// The generator of P-256 as an endorsement key.
fn p256_area() -> Vec<u8> {
    let x = "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296";
    let y = "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";
    hex::decode(format!("0023000b000300b20000000600800043001000030010 0020{x}0020{y}").replace(' ', ""))
        .unwrap()
}

/// An endorsement key whose private part lies open.
struct SoftwareEk {
    private: PrivateDecryptingKey,
    spki: Vec<u8>,
    public: EkPublic,
}

fn software_ek() -> SoftwareEk {
    let private = PrivateDecryptingKey::generate(KeySize::Rsa2048).unwrap();
    let spki = private.public_key().as_der().unwrap().as_ref().to_vec();
    // The modulus stands at the end of the key, before the exponent: 02 03 01 00 01.
    let (modulus, _exponent) = spki[spki.len().checked_sub(261).unwrap()..].split_at(256);
    let head = hex::decode("0001000b000300b2000000060080004300100800000000000100").unwrap();
    let public = EkPublic::parse(&[&head, modulus].concat()).unwrap();
    SoftwareEk { private, spki, public }
}

const SECRET: &[u8; 32] = b"thirty-two bytes of some secret!";
