//! MRTD and run-time registers: against known answers, and against the formulas in Python.

use super::{file, formula, measured, noise, oracle, refused, value};

/// A firmware image of two pages: one measured, one that is only there, one that comes later.
fn firmware() -> Vec<u8> {
    let mut metadata = b"TDVF".to_vec();
    for number in [16 + 32 * 3, 1, 3_u32] {
        metadata.extend(number.to_le_bytes());
    }
    for (offset, raw, at, size, kind, flags) in [
        (0_u32, 8192_u32, 0xffff_e000_u64, 8192_u64, 0_u32, 1_u32),
        (0, 0, 0x0080_9000, 0x2000, 2, 0),
        (0, 0, 0, 0x0080_0000, 4, 2),
    ] {
        metadata.extend([offset.to_le_bytes(), raw.to_le_bytes()].concat());
        metadata.extend([at.to_le_bytes(), size.to_le_bytes()].concat());
        metadata.extend([kind.to_le_bytes(), flags.to_le_bytes()].concat());
    }
    let entry = [&8192_u32.to_le_bytes()[..], &22_u16.to_le_bytes()].concat();
    let mut table = [entry, hex::decode("35657ae44a989847865e4685a7bf8ec2").unwrap()].concat();
    table.extend(u16::try_from(table.len() + 18).unwrap().to_le_bytes());
    table.extend(hex::decode("de82b596b21ff745baeaa366c55a082d").unwrap());
    let mut image = metadata;
    image.extend(noise(11, 8192 - 32 - image.len() - table.len()));
    image.extend(table);
    image.extend([0x90; 32]);
    image
}

/// An image that looks like a Linux kernel of protocol 2.15 to firmware and to QEMU.
fn kernel() -> Vec<u8> {
    let mut kernel = vec![0; 0x200];
    let mut put = |at: usize, bytes: &[u8]| kernel[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"MZ");
    put(0x3c, &0x40_u32.to_le_bytes());
    put(0x40, b"PE\0\0\x64\x86\x01\0"); // one section
    put(0x54, &240_u16.to_le_bytes()); // size of the optional header
    put(0x58, &0x20b_u16.to_le_bytes());
    put(0x58 + 60, &0x200_u32.to_le_bytes()); // size of headers
    put(0x58 + 64, b"sums"); // checksum: not measured
    put(0x58 + 108, &16_u32.to_le_bytes()); // directories
    put(0x148, b".setup\0\0");
    put(0x148 + 8, &[0x1000_u32.to_le_bytes(), 0x200_u32.to_le_bytes()].concat());
    put(0x148 + 16, &[0x1000_u32.to_le_bytes(), 0x200_u32.to_le_bytes()].concat());
    kernel.extend(noise(12, 0x1000));
    kernel[0x202..0x208].copy_from_slice(b"HdrS\x0f\x02");
    kernel[0x211] = 1;
    kernel[0x236] = 0x7f;
    kernel
}

#[test]
fn debians_firmware_has_the_mrtd_that_is_known() {
    let test = "debians_firmware_has_the_mrtd_that_is_known";
    let Some(ovmf) = oracle::installed(test, "ovmf", "/usr/share/ovmf/OVMF.fd") else { return };
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &std::fs::read(&ovmf).unwrap());
    if hex::encode(digest.as_ref()) != "7b456907dd0786d415999e801a1ac4637b8ed4d7cf5378cfc6edbe5e574dd773" {
        oracle::skip::<()>(test, "ovmf-2022.11", "another version of ovmf is installed");
        return;
    }
    let found = measured(&["tdx", "--firmware", ovmf.to_str().unwrap()]);
    assert_eq!(value(&found, "tdx-mrtd-single-pass")[..32], *"4c7206f0f483c524f12c366c711e9049");
}

#[test]
fn mrtd_is_what_python_computes_in_either_order() {
    let test = "mrtd_is_what_python_computes_in_either_order";
    let Some(python) = formula::python(test) else { return };
    let dir = tempfile::tempdir().unwrap();
    let built = file(&dir, "built.fd", &firmware());
    let debian = oracle::installed(test, "ovmf", "/usr/share/ovmf/OVMF.fd");
    let debian = debian.iter().map(|path| path.to_str().unwrap());
    for image in debian.chain([&built[..]]) {
        let found = measured(&["tdx", "--firmware", image]);
        let found = ["tdx-mrtd-single-pass", "tdx-mrtd-two-pass"].map(|id| value(&found, id));
        assert_eq!(found[..], formula::compute(&python, &["mrtd", image]));
    }
}

#[test]
fn a_kernel_that_qemu_hands_over_is_measured_as_python_computes() {
    let test = "a_kernel_that_qemu_hands_over_is_measured_as_python_computes";
    let Some(python) = formula::python(test) else { return };
    let dir = tempfile::tempdir().unwrap();
    let (image, kernel) = (file(&dir, "built.fd", &firmware()), file(&dir, "kernel", &kernel()));
    let initrd = file(&dir, "initrd", &noise(13, 12_345));
    let words =
        ["tdx", "--firmware", &image, "--kernel", &kernel, "--initrd", &initrd, "--append", "root=/dev/vda"];
    let found = measured(&words);
    for (header, id) in [("as-in-file", "tdx-rtmr1"), ("patched", "tdx-rtmr1-patched")] {
        let expected = formula::compute(&python, &["tdx", &kernel, &initrd, "root=/dev/vda", header]);
        assert_eq!([value(&found, id), value(&found, "tdx-rtmr2")][..], expected);
    }
    // Large memory is all the same, small memory is not.
    let with = |memory| measured(&[&words[..], &["--memory", memory]].concat());
    assert_eq!(value(&with("65536"), "tdx-rtmr1-patched"), value(&found, "tdx-rtmr1-patched"));
    assert_ne!(value(&with("1024"), "tdx-rtmr1-patched"), value(&found, "tdx-rtmr1-patched"));
    assert_eq!(value(&with("1024"), "tdx-rtmr1"), value(&found, "tdx-rtmr1"));
}

#[test]
fn what_cannot_be_exact_is_said_and_not_guessed() {
    let dir = tempfile::tempdir().unwrap();
    let (image, boot) = (file(&dir, "built.fd", &firmware()), file(&dir, "boot.efi", &kernel()));
    let answer = measured(&["tdx", "--firmware", &image, "--image", &boot]);
    let ids: Vec<_> = answer["references"].as_array().unwrap().iter().map(|one| one["id"].clone()).collect();
    assert_eq!(ids, ["tdx-mrtd-single-pass", "tdx-mrtd-two-pass", "tdx-event-0"]);
    let said = answer["not_exact"].to_string();
    assert!(said.contains("RTMR 0 is not computed") && said.contains("partition table"), "{said}");
    // Event digests are no register values: a policy does not get them.
    let ran =
        crate::run::cloudtaser(&["measure", "tdx", "--firmware", &image, "--image", &boot, "-o", "toml"]);
    assert!(!ran.ends(0).out.contains("tdx-event-0"));
}

#[test]
fn firmware_without_tdx_metadata_has_its_own_error() {
    let dir = tempfile::tempdir().unwrap();
    let mut image = firmware();
    let at = image.len() - 32 - 18 - 16;
    image[at] ^= 1;
    let refused_as = |name: &str, image: &[u8]| refused(&["tdx", "--firmware", &file(&dir, name, image)]);
    assert_eq!(refused_as("none.fd", &image), "firmware.no_metadata");
    let mut image = firmware();
    image[0] = b'X';
    assert_eq!(refused_as("bad.fd", &image), "firmware.metadata");
    let mut old = kernel();
    old[0x206..0x208].copy_from_slice(&[0x0b, 0x02]);
    let (image, old) = (file(&dir, "built.fd", &firmware()), file(&dir, "old", &old));
    let answer = measured(&["tdx", "--firmware", &image, "--kernel", &old]);
    assert!(answer["not_exact"].to_string().contains("found protocol 0x20b"));
}
