//! SNP launch measurements: against `sev-snp-measure`, against the `sev` crate, against published digests.

use std::path::{Path, PathBuf};

use sev::measurement::snp::{SnpMeasurementArgs, snp_calc_launch_digest};
use sev::measurement::vcpu_types::CpuType;
use sev::measurement::vmsa::{GuestFeatures, VMMType};

use super::{blocks, file, measured, noise, oracle, refused, value};
use crate::run::cloudtaser;

/// A firmware image of two pages, with room for hashes of a kernel and a reset address for further vCPUs.
fn firmware() -> Vec<u8> {
    let mut metadata = b"ASEV".to_vec();
    let sections: [[u32; 3]; 5] = [
        [0x0080_0000, 0x9000, 1],
        [0x0080_a000, 0x3000, 1],
        [0x0080_d000, 0x1000, 2],
        [0x0080_e000, 0x1000, 3],
        [0x0081_0000, 0x1000, 0x10],
    ];
    for number in [16 + 12 * 5, 1, 5].into_iter().chain(sections.into_iter().flatten()) {
        metadata.extend(u32::to_le_bytes(number));
    }
    let entry = |content: &[u8], guid: &str| {
        let length = u16::try_from(content.len() + 18).unwrap();
        [content, &length.to_le_bytes(), &hex::decode(guid).unwrap()].concat()
    };
    let mut table = [
        entry(&[0x00, 0x0c, 0x81, 0, 0, 0x04, 0, 0], "1f3755723b3a044b927b1da6efa8d454"),
        entry(&[0x04, 0xb0, 0x80, 0], "de71f7007e1acb4f890e68c77e2fb44e"),
        entry(&8192_u32.to_le_bytes(), "666588dc4a989847a75e5585a7bf67cc"),
    ]
    .concat();
    table.extend(u16::try_from(table.len() + 18).unwrap().to_le_bytes());
    table.extend(hex::decode("de82b596b21ff745baeaa366c55a082d").unwrap());
    let mut image = metadata;
    image.extend(noise(7, 8192 - 32 - image.len() - table.len()));
    image.extend(table);
    image.extend([0x90; 32]);
    image
}

/// Settings under which the programs are compared: vCPUs, model, features, whether there is a kernel.
const SETTINGS: [(&str, &str, &str, bool); 4] = [
    ("1", "EPYC-v4", "0x1", true),
    ("2", "EPYC-Milan", "0x21", true),
    ("5", "EPYC-Genoa-v1", "0x1", false),
    ("3", "EPYC-Turin", "0x4001", true),
];

#[test]
fn every_hypervisor_measures_what_sev_snp_measure_says() {
    let test = "every_hypervisor_measures_what_sev_snp_measure_says";
    let Some(other) = oracle::program(test, "sev-snp-measure", &[]) else { return };
    let dir = tempfile::tempdir().unwrap();
    let built = file(&dir, "built.fd", &firmware());
    let kernel = [
        "--kernel",
        &file(&dir, "kernel", &noise(1, 70_000)),
        "--initrd",
        &file(&dir, "initrd", &noise(2, 999)),
    ];
    let debian = oracle::installed(test, "ovmf", DEBIAN_OVMF);
    let debian = debian.iter().map(|path| path.to_str().unwrap());
    for firmware in debian.chain([&built[..]]) {
        for (vcpus, model, features, with_kernel) in SETTINGS {
            // Debian's all-purpose build has no place for hashes.
            let kernel = if with_kernel && firmware == built { &kernel[..] } else { &[] };
            let append = if kernel.is_empty() { &[][..] } else { &["--append", "console=ttyS0 a=\"b c\" "] };
            let guest = ["--vcpus", vcpus, "--vcpu-type", model, "--guest-features", features];
            for (theirs, ours, id) in
                [("QEMU", "qemu", "qemu"), ("ec2", "ec2", "ec2-dx600"), ("gce", "gce", "gce")]
            {
                let words = ["--mode", "snp", "--ovmf", firmware, "--vmm-type", theirs];
                let expected = oracle::output(&other, &[&words[..], &guest, kernel, append].concat());
                let words = ["snp", "--firmware", firmware, "--vmm-type", ours];
                let found = measured(&[&words[..], &guest, kernel, append].concat());
                assert_eq!(
                    value(&found, &format!("snp-{id}")),
                    expected.trim(),
                    "{theirs} {guest:?} {firmware}"
                );
            }
        }
    }
}

#[test]
fn the_sev_crate_measures_the_same_for_qemu_and_for_ec2_before_2026() {
    let dir = tempfile::tempdir().unwrap();
    let image = file(&dir, "built.fd", &firmware());
    let (kernel, initrd) = (file(&dir, "kernel", &noise(3, 5000)), file(&dir, "initrd", &noise(4, 5000)));
    for (vmm_type, name, id) in [(VMMType::QEMU, "qemu", "qemu"), (VMMType::EC2, "ec2", "ec2-dx0")] {
        let expected = snp_calc_launch_digest(SnpMeasurementArgs {
            vcpus: 4,
            vcpu_type: CpuType::EpycMilan,
            ovmf_file: image.clone().into(),
            guest_features: GuestFeatures(0x21),
            kernel_file: Some(kernel.clone().into()),
            initrd_file: Some(initrd.clone().into()),
            append: Some("console=ttyS0"),
            ovmf_hash_str: None,
            vmm_type: Some(vmm_type),
        });
        let guest =
            ["--vcpus", "4", "--vcpu-type", "EPYC-Milan", "--guest-features", "0x21", "--vmm-type", name];
        let boot = ["--kernel", &kernel, "--initrd", &initrd, "--append", "console=ttyS0"];
        let found = measured(&[&["snp", "--firmware", &image], &guest[..], &boot].concat());
        assert_eq!(value(&found, &format!("snp-{id}")), expected.unwrap().get_hex_ld());
    }
}

#[test]
fn digests_that_both_projects_publish_come_out() {
    // They ship the same page of OVMF with their tests; cargo knows where it has put sev's.
    let fixture = "tests/measurement/ovmf_AmdSev_suffix.bin";
    let Some(image) = in_package("sev", fixture) else {
        oracle::skip::<()>(
            "digests_that_both_projects_publish_come_out",
            "sev-fixtures",
            "sev came without its tests",
        );
        return;
    };
    let guest = ["--vcpus", "1", "--vcpu-type", "epyc-v4", "--kernel", "/dev/null", "--initrd", "/dev/null"];
    let digest = |words: &[&str], id: &str| {
        let words = [&["snp", "--firmware", image.to_str().unwrap()], &guest[..], words].concat();
        value(&measured(&words), id)[..16].to_owned()
    };
    let append = ["--append", "console=ttyS0 loglevel=7"];
    assert_eq!(digest(&append, "snp-qemu"), "6d287813eb5222d7");
    assert_eq!(
        digest(&[&append[..], &["--guest-features", "0x21"]].concat(), "snp-qemu"),
        "803f691094946e42"
    );
    assert_eq!(digest(&[], "snp-qemu"), "ddc5224521617a53");
    assert_eq!(digest(&["--vmm-type", "ec2"], "snp-ec2-dx0"), "7d3756157c805bf6");
    // sev-snp-measure's own, since its tests know of DX = 0x600.
    assert_eq!(digest(&["--vmm-type", "ec2"], "snp-ec2-dx600")[..8], *"0883bd0e");
}

/// A file of a package that this one is tested with.
fn in_package(name: &str, file: &str) -> Option<PathBuf> {
    let cargo = oracle::variable("CARGO").unwrap_or_else(|| "cargo".to_owned());
    let words = ["metadata", "--format-version", "1", "--offline", "--manifest-path"];
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let metadata = oracle::output(Path::new(&cargo), &[&words[..], &[manifest]].concat());
    let metadata: serde_json::Value = serde_json::from_str(&metadata).unwrap();
    let mut packages = metadata["packages"].as_array().unwrap().iter();
    let package = packages.find(|package| package["name"] == name).unwrap();
    let path = Path::new(package["manifest_path"].as_str().unwrap()).with_file_name(file);
    path.is_file().then_some(path)
}

#[test]
fn reference_blocks_name_every_file_by_its_digest() {
    let dir = tempfile::tempdir().unwrap();
    let image = file(&dir, "built \"v1\".fd", &firmware());
    let words = ["measure", "snp", "--firmware", &image, "--vcpus", "1", "--vmm-type", "ec2"];
    let ran = cloudtaser(&[&words[..], &["--name", "web", "-o", "toml"]].concat()).ends(0);
    let blocks = blocks(&ran);
    assert_eq!([&blocks[0][0], &blocks[1][0]], ["web-ec2-dx600", "web-ec2-dx0"]);
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &firmware());
    for [_, value, provenance] in &blocks {
        assert_eq!(value.len(), 96);
        let named = format!("firmware built \"v1\".fd (sha256 {})", hex::encode(digest.as_ref()));
        assert!(provenance.contains(&named), "{provenance}");
    }
    assert!(ran.out.contains("# measurement = { any_of = [\"web-ec2-dx600\", \"web-ec2-dx0\"] }"));
    assert!(ran.out.contains("# not exact, or not covered: no --kernel"));
}

#[test]
fn a_kernel_that_the_firmware_does_not_check_is_not_measured() {
    let test = "a_kernel_that_the_firmware_does_not_check_is_not_measured";
    let Some(ovmf) = oracle::installed(test, "ovmf", DEBIAN_OVMF) else { return };
    let words = ["snp", "--firmware", ovmf.to_str().unwrap(), "--vcpus", "1", "--vcpu-type", "EPYC"];
    assert_eq!(refused(&[&words[..], &["--kernel", "/dev/null"]].concat()), "firmware.no_kernel_hashes");
}

#[test]
fn what_is_no_firmware_has_its_own_error() {
    let dir = tempfile::tempdir().unwrap();
    let guest = ["--vcpus", "2", "--vcpu-type", "EPYC"];
    let refused = |name: &str, content: &[u8]| {
        refused(&[&["snp", "--firmware", &file(&dir, name, content)], &guest[..]].concat())
    };
    assert_eq!(refused("short", &[0; 100]), "firmware.length");
    assert_eq!(refused("empty", &[0; 8192]), "firmware.no_table");
    let mut other = firmware();
    let at = other.len() - 32 - 18 - 18;
    other[at..at + 18].fill(0xff);
    assert_eq!(refused("table", &other), "firmware.table");
    let mut unknown = firmware();
    unknown[24] = 9;
    assert_eq!(refused("unknown", &unknown), "firmware.metadata");
}

#[test]
fn qemu_needs_to_be_told_which_processor_the_guest_sees() {
    let dir = tempfile::tempdir().unwrap();
    let image = file(&dir, "built.fd", &firmware());
    assert_eq!(refused(&["snp", "--firmware", &image, "--vcpus", "1"]), "measure.vcpu");
    let words = ["measure", "snp", "--firmware", &image, "--vcpus", "1", "--vcpu-type", "Xeon"];
    assert!(cloudtaser(&words).ends(2).err.contains("expected EPYC, EPYC-Rome"));
}

const DEBIAN_OVMF: &str = "/usr/share/ovmf/OVMF.fd";
