//! PCRs of enclave images: against Python, against real documents, and images that no tool writes.

use super::{blocks, file, formula, measured, noise, refused, value};
use crate::run::cloudtaser;
use crate::vectors;

/// An enclave image of these sections, as AWS's builder lays it out.
fn eif(sections: &[(u16, &[u8])]) -> Vec<u8> {
    let mut header = b".eif\0\x04\0\0".to_vec();
    header.extend((512_u64 << 20).to_be_bytes());
    header.extend(2_u64.to_be_bytes());
    header.extend([0; 2]);
    header.extend(u16::try_from(sections.len()).unwrap().to_be_bytes());
    let mut offsets = [0; 32];
    let mut sizes = [0; 32];
    let mut body = Vec::new();
    for (index, (kind, content)) in sections.iter().enumerate() {
        let size = u64::try_from(content.len()).unwrap();
        offsets[index] = 548 + u64::try_from(body.len()).unwrap();
        sizes[index] = size;
        body.extend([&kind.to_be_bytes()[..], &[0, 0], &size.to_be_bytes(), content].concat());
    }
    for number in offsets.into_iter().chain(sizes) {
        header.extend(u64::to_be_bytes(number));
    }
    header.extend([0; 4]);
    let crc = crc32(&[&header[..], &body].concat());
    [&header[..], &crc.to_be_bytes(), &body].concat()
}

/// Bit by bit, unlike the one that is tested.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & 0_u32.wrapping_sub(crc & 1));
        }
    }
    !crc
}

fn sealed(mut image: Vec<u8>) -> Vec<u8> {
    let crc = crc32(&[&image[..544], &image[548..]].concat());
    image[544..548].copy_from_slice(&crc.to_be_bytes());
    image
}

const CMDLINE: &[u8] = b"reboot=k panic=30 pci=off nomodules";

#[test]
fn pcrs_are_what_python_computes() {
    let Some(python) = formula::python("pcrs_are_what_python_computes") else { return };
    let dir = tempfile::tempdir().unwrap();
    let parts = [noise(21, 4000), noise(22, 900), noise(23, 1), Vec::new()];
    let kernel = file(&dir, "kernel", &parts[0]);
    let cmdline = file(&dir, "cmdline", CMDLINE);
    for count in 1..=3 {
        let ramdisks: Vec<_> =
            (1..=count).map(|index| file(&dir, &format!("{index}"), &parts[index])).collect();
        let mut sections =
            vec![(1, &parts[0][..]), (2, CMDLINE), (5, b"{\"BuildMetadata\":{\"BuildTime\":\"now\"}}")];
        sections.extend(parts[1..=count].iter().map(|ramdisk| (3, &ramdisk[..])));
        let image = file(&dir, "app.eif", &eif(&sections));
        let mut words = vec!["nitro", &kernel[..], &cmdline];
        words.extend(ramdisks.iter().map(String::as_str));
        let expected = formula::compute(&python, &words);
        let found = measured(&["nitro", &image]);
        assert_eq!([0, 1, 2].map(|index| value(&found, &format!("nitro-pcr{index}")))[..], expected);
    }
}

#[test]
fn an_application_in_the_first_ram_disk_leaves_pcr_2_as_every_such_enclave_has_it() {
    let dir = tempfile::tempdir().unwrap();
    let image = file(&dir, "app.eif", &eif(&[(1, b"kernel"), (2, CMDLINE), (3, b"everything")]));
    let found = measured(&["nitro", &image]);
    // As in real documents: nitro-nautilus-weather-2025 and nitro-nautilus-twitter-2025 of the vectors.
    assert!(value(&found, "nitro-pcr2").starts_with("21b9efbc184807662e966d34f390821309eeac6802309798"));
    assert_eq!(value(&found, "nitro-pcr0"), value(&found, "nitro-pcr1"));
}

#[test]
fn pcr_4_of_real_documents_follows_from_the_instance_id() {
    let Some(folder) = vectors::folder("pcr_4_of_real_documents_follows_from_the_instance_id") else {
        return;
    };
    let manifest: toml::Table =
        std::fs::read_to_string(folder.join("MANIFEST.toml")).unwrap().parse().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let image = file(&dir, "app.eif", &eif(&[(1, b"kernel"), (2, CMDLINE), (3, b"ramdisk")]));
    let mut compared = 0;
    for vector in manifest["vector"].as_array().unwrap() {
        let pcr4 = vector.get("pcrs").and_then(|pcrs| pcrs.get("pcr4")).and_then(toml::Value::as_str);
        let module = vector.get("module_id").and_then(toml::Value::as_str);
        let (Some(pcr4), Some((instance, _))) = (pcr4, module.and_then(|module| module.split_once("-enc")))
        else {
            continue;
        };
        // Marlin's own documents have made-up PCRs.
        if vector["id"].as_str().unwrap().contains("custom-root") {
            continue;
        }
        let found = measured(&["nitro", &image, "--instance-id", instance]);
        assert_eq!(value(&found, "nitro-pcr4"), pcr4, "{:?}", vector["id"]);
        compared += 1;
    }
    assert!(compared >= 5, "{compared} real documents state PCR 4");
}

#[test]
fn the_parents_role_is_pcr_3() {
    let Some(python) = formula::python("the_parents_role_is_pcr_3") else { return };
    let dir = tempfile::tempdir().unwrap();
    let image = file(&dir, "app.eif", &eif(&[(1, b"kernel"), (2, CMDLINE), (3, b"ramdisk")]));
    let arn = "arn:aws:iam::123456789012:role/enclaves";
    let found = measured(&["nitro", &image, "--role-arn", arn]);
    assert_eq!([value(&found, "nitro-pcr3")][..], formula::compute(&python, &["text", arn]));
}

/// CBOR as serde writes two vectors of bytes: arrays of numbers.
fn signature(certificate: &[u8]) -> Vec<u8> {
    let octets = |bytes: &[u8]| {
        let length = u16::try_from(bytes.len()).unwrap().to_be_bytes();
        let numbers = bytes.iter().flat_map(|byte| if *byte < 24 { vec![*byte] } else { vec![0x18, *byte] });
        [0x99].into_iter().chain(length).chain(numbers).collect::<Vec<_>>()
    };
    let text = |text: &str| [&[0x78, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    [
        vec![0x81, 0xa2],
        text("signing_certificate"),
        octets(certificate),
        text("signature"),
        octets(b"\x84\x44 as the builder writes it"),
    ]
    .concat()
}

fn pem(der: &[u8]) -> Vec<u8> {
    use base64::Engine as _;
    let body = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<_> = body.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n")).into_bytes()
}

#[test]
fn the_signing_certificate_is_pcr_8() {
    let Some(python) = formula::python("the_signing_certificate_is_pcr_8") else { return };
    let dir = tempfile::tempdir().unwrap();
    let der = noise(31, 600);
    let with = |signature: &[u8]| {
        file(&dir, "app.eif", &eif(&[(1, b"kernel"), (2, CMDLINE), (3, b"ramdisk"), (4, signature)]))
    };
    let found = measured(&["nitro", &with(&signature(&pem(&der)))]);
    let expected = formula::compute(&python, &["digest_of_file", &file(&dir, "der", &der)]);
    assert_eq!([value(&found, "nitro-pcr8")][..], expected);
    assert_eq!(refused(&["nitro", &with(&signature(&der))]), "eif.signature");
    assert_eq!(refused(&["nitro", &with(&[signature(&pem(&der)), vec![0]].concat())]), "eif.signature");
    // Claims four thousand million numbers, and has none.
    assert_eq!(refused(&["nitro", &with(b"\x81\xa2\x69signature\x9a\xff\xff\xff\xff")]), "eif.signature");
}

#[test]
fn what_the_builder_never_writes_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let good = eif(&[(1, b"kernel"), (2, CMDLINE), (3, b"ramdisk")]);
    let refused = |image: Vec<u8>| refused(&["nitro", &file(&dir, "bad.eif", &image)]);
    let changed = |at: usize, bytes: &[u8]| {
        let mut image = good.clone();
        image[at..at + bytes.len()].copy_from_slice(bytes);
        sealed(image)
    };
    assert_eq!(refused(changed(0, b"MZ")), "eif.magic");
    assert_eq!(refused(changed(4, &[0, 5])), "eif.version");
    assert_eq!(refused(changed(6, &[0, 2])), "eif.flags");
    assert_eq!(refused(changed(26, &[0, 33])), "eif.count");
    assert_eq!(refused(changed(26, &[0, 2])), "eif.layout"); // the third is not announced
    assert_eq!(refused(changed(28 + 8, &[0xff; 8])), "eif.layout");
    assert_eq!(refused(changed(284, &[0xff; 8])), "eif.layout");
    assert_eq!(refused(changed(548, &[0, 9])), "eif.kind");
    assert_eq!(refused(changed(548 + 2, &[0, 1])), "eif.flags");
    assert_eq!(refused([good.clone(), vec![0]].concat()), "eif.length");
    assert_eq!(refused(good[..600].to_vec()), "eif.cut_off");
    assert_eq!(refused(good[..100].to_vec()), "eif.cut_off");
    let mut flipped = good.clone();
    flipped[561] ^= 1;
    assert_eq!(refused(flipped), "eif.checksum");
    assert_eq!(refused(eif(&[(1, b"kernel"), (3, b"ramdisk")])), "eif.missing");
    assert_eq!(refused(eif(&[(1, b"kernel"), (2, CMDLINE)])), "eif.missing");
    assert_eq!(refused(eif(&[(1, b"a"), (1, b"b"), (2, CMDLINE), (3, b"ramdisk")])), "eif.twice");
}

#[test]
fn reference_blocks_are_rules_for_pcrs() {
    let dir = tempfile::tempdir().unwrap();
    let image = file(&dir, "app.eif", &eif(&[(1, b"kernel"), (2, CMDLINE), (3, b"ramdisk")]));
    let role = ["--role-arn", "arn:aws:iam::1:role/r"];
    let words = ["measure", "nitro", &image, "--name", "signer-2.1", "-o", "toml"];
    let ran = cloudtaser(&[&words[..], &role].concat()).ends(0);
    let ids: Vec<_> = blocks(&ran).into_iter().map(|[id, _, _]| id).collect();
    assert_eq!(ids, ["signer-2.1-pcr0", "signer-2.1-pcr1", "signer-2.1-pcr2"]);
    assert!(ran.out.contains("# [[nitro.pcrs]]\n# index = 0\n# any_of = [\"signer-2.1-pcr0\"]\n"));
    // A policy takes the role by its name.
    assert!(ran.out.contains("# [nitro]\n# role = { any_of = [\"arn:aws:iam::1:role/r\"] }\n"));
}
