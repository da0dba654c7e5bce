//! PCRs of unified kernel images: against `systemd-measure` and `pesign`.

use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};

use super::{file, measured, noise, oracle, refused, value};

/// A unified kernel image, put together by objcopy around systemd's own stub.
struct Built {
    dir: tempfile::TempDir,
    image: String,
    parts: Vec<(&'static str, String)>,
}

fn build(test: &str) -> Option<Built> {
    let stub = oracle::installed(test, "systemd-stub", STUB)?;
    let boot = oracle::installed(test, "systemd-stub", BOOT)?;
    let objcopy = oracle::program(test, "objcopy", &[])?;
    let dir = tempfile::tempdir().unwrap();
    let parts = vec![
        ("osrel", file(&dir, "osrel", b"ID=test\nVERSION_ID=1\n")),
        ("cmdline", file(&dir, "cmdline", b"console=ttyS0 quiet")),
        // Any PE image does for a kernel here.
        ("linux", boot.to_str().unwrap().to_owned()),
        ("initrd", file(&dir, "initrd", &noise(41, 30_001))),
    ];
    let image = dir.path().join("linux.efi").to_str().unwrap().to_owned();
    let mut words = Vec::new();
    for ((name, path), at) in parts.iter().zip(["0x20000", "0x30000", "0x2000000", "0x3000000"]) {
        words.extend(["--add-section".to_owned(), format!(".{name}={path}")]);
        words.extend(["--change-section-vma".to_owned(), format!(".{name}={at}")]);
    }
    words.extend([stub.to_str().unwrap().to_owned(), image.clone()]);
    oracle::output(&objcopy, &words.iter().map(String::as_str).collect::<Vec<_>>());
    Some(Built { dir, image, parts })
}

#[test]
fn pcr_11_is_what_systemd_measure_says_in_both_banks_and_every_phase() {
    let test = "pcr_11_is_what_systemd_measure_says_in_both_banks_and_every_phase";
    let Some(other) = oracle::program(test, "systemd-measure", &MEASURE) else { return };
    let Some(built) = build(test) else { return };
    let phases = ["", "enter-initrd", "enter-initrd:leave-initrd", "enter-initrd:leave-initrd:sysinit:ready"];
    for bank in ["sha256", "sha384"] {
        for phase in phases {
            let parts = built.parts.iter().map(|(name, path)| format!("--{name}={path}"));
            let wanted = format!("--phase={}", if phase.is_empty() { ":" } else { phase });
            let words: Vec<_> =
                ["calculate".to_owned(), format!("--bank={bank}"), wanted].into_iter().chain(parts).collect();
            let said = oracle::output(&other, &words.iter().map(String::as_str).collect::<Vec<_>>());
            let expected = said.lines().find_map(|line| line.split_once('=')).unwrap().1.to_owned();
            let found = measured(&["uki", &built.image, "--bank", bank, "--phase", phase]);
            let last = phase.rsplit(':').next().filter(|last| !last.is_empty());
            let suffix = last.map(|last| format!("-{last}")).unwrap_or_default();
            assert_eq!(value(&found, &format!("uki-pcr11{suffix}-{bank}")), expected, "{bank} {phase}");
        }
    }
}

/// PCR 4 of SHA-256, from the digests of the images that are loaded.
fn pcr4(images: &[String]) -> String {
    let sha = |parts: &[&[u8]]| digest(&SHA256, &parts.concat()).as_ref().to_vec();
    let texts: [&[u8]; 2] = [b"Calling EFI Application from Boot Option", &[0; 4]];
    let events = texts
        .map(|text| sha(&[text]))
        .into_iter()
        .chain(images.iter().map(|image| hex::decode(image).unwrap()));
    hex::encode(events.fold(vec![0; 32], |register, event| sha(&[&register, &event])))
}

fn authenticode(pesign: &Path, image: &str) -> String {
    let said = oracle::output(pesign, &["-h", "-d", "sha256", "-i", image]);
    said.split_whitespace().find(|word| word.len() == 64).unwrap().to_owned()
}

#[test]
fn pcr_4_follows_from_what_pesign_hashes() {
    let test = "pcr_4_follows_from_what_pesign_hashes";
    let Some(pesign) = oracle::program(test, "pesign", &[]) else { return };
    let Some(built) = build(test) else { return };
    let kernel = &built.parts[2].1;
    let (image, inner) = (authenticode(&pesign, &built.image), authenticode(&pesign, kernel));
    let found = measured(&["uki", &built.image, "--loaded", BOOT]);
    assert_eq!(value(&found, "uki-pcr4-sha256"), pcr4(&[inner.clone(), image.clone()]));
    assert_eq!(value(&found, "uki-pcr4-inner-sha256"), pcr4(&[inner.clone(), image, inner.clone()]));
    let found = measured(&["uki", kernel]);
    assert_eq!(value(&found, "uki-pcr4-sha256"), pcr4(&[inner]));
}

#[test]
fn a_signature_is_not_part_of_what_is_measured() {
    let test = "a_signature_is_not_part_of_what_is_measured";
    let Some(pesign) = oracle::program(test, "pesign", &[]) else { return };
    let Some(signed) = signed(test) else { return };
    let path = signed.1.to_str().unwrap();
    let found = measured(&["uki", path, "--bank", "sha256"]);
    assert_eq!(value(&found, "uki-pcr4-sha256"), pcr4(&[authenticode(&pesign, path)]));
    assert_eq!(found["sections"][0]["fields"][2]["value"], "true");
    // Bytes behind the signatures would be hashed by nobody.
    let longer = [std::fs::read(&signed.1).unwrap(), vec![0; 8]].concat();
    assert_eq!(refused(&["uki", &file(&signed.0.dir, "longer.efi", &longer)]), "pe.signatures");
}

fn signed(test: &str) -> Option<(Built, PathBuf)> {
    let sbsign = oracle::program(test, "sbsign", &[])?;
    let openssl = oracle::program(test, "openssl", &[])?;
    let built = build(test)?;
    let at = |name: &str| built.dir.path().join(name).to_str().unwrap().to_owned();
    let (key, certificate, signed) = (at("key.pem"), at("cert.pem"), at("signed.efi"));
    let new = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=test", "-days", "1"];
    oracle::output(&openssl, &[&new[..], &["-keyout", &key, "-out", &certificate]].concat());
    let words = ["--key", &key, "--cert", &certificate, "--output", &signed, &built.image];
    oracle::output(&sbsign, &words);
    Some((built, PathBuf::from(signed)))
}

#[test]
fn a_command_line_from_elsewhere_is_in_pcr_12_and_9() {
    let Some(built) = build("a_command_line_from_elsewhere_is_in_pcr_12_and_9") else { return };
    let words = ["uki", &built.image, "--bank", "sha256"];
    let (own, given) = (measured(&words), measured(&[&words[..], &["--cmdline", "single"]].concat()));
    let sha = |parts: &[&[u8]]| digest(&SHA256, &parts.concat()).as_ref().to_vec();
    let text: Vec<u8> = "single\0".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let cmdline = sha(&[&[0; 32], &sha(&[&text])]);
    assert_eq!(value(&own, "uki-pcr12-sha256"), "0".repeat(64));
    assert_eq!(value(&given, "uki-pcr12-sha256"), hex::encode(&cmdline));
    let initrd = sha(&[&std::fs::read(&built.parts[3].1).unwrap()]);
    assert_eq!(value(&given, "uki-pcr9-sha256"), hex::encode(sha(&[&cmdline, &initrd])));
    assert_eq!(value(&own, "uki-pcr11-sha256"), value(&given, "uki-pcr11-sha256"));
}

#[test]
fn what_is_no_image_has_its_own_error() {
    let dir = tempfile::tempdir().unwrap();
    let text = file(&dir, "text", b"no image");
    assert_eq!(refused(&["uki", &text]), "pe.not_pe");
    let Some(built) = build("what_is_no_image_has_its_own_error") else { return };
    let image = std::fs::read(&built.image).unwrap();
    let initrd = ["--initrd", &text];
    assert_eq!(refused(&[&["uki", &built.image], &initrd[..]].concat()), "measure.initrd");
    let renamed = |from: &[u8], to: &[u8]| {
        let at = image.windows(from.len()).position(|window| window == from).unwrap();
        let mut image = image.clone();
        image[at..at + to.len()].copy_from_slice(to);
        file(&dir, "renamed.efi", &image)
    };
    // Which of several profiles is booted is decided at boot.
    assert_eq!(refused(&["uki", &renamed(b".osrel\0\0", b".profile")]), "uki.by_hardware");
    assert_eq!(refused(&["uki", &renamed(b".osrel\0\0", b".linux\0\0")]), "pe.section");
    assert_eq!(refused(&["uki", &renamed(b".sdmagic", b".sdmagiq")]), "uki.stub");
}

const STUB: &str = "/usr/lib/systemd/boot/efi/linuxx64.efi.stub";
const BOOT: &str = "/usr/lib/systemd/boot/efi/systemd-bootx64.efi";
const MEASURE: [&str; 2] = ["/usr/lib/systemd/systemd-measure", "/lib/systemd/systemd-measure"];
