//! Event logs of real machines: what they replay to, by our reading and by that of tpm2-tools, and what they tell.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use attest::crypto::{AwsLcRs, Hash};
use attest::eventlog::{Boot, EventLog, Layout, Loader, SecureBoot};

use super::vectors::{folder, required};

/// What a log proves on a machine whose registers are those that it replays to.
fn boot(bytes: &[u8], bank: Hash) -> Boot {
    let log = EventLog::parse(bytes).unwrap();
    let layout = log.recognise();
    let replay = log.replay(&AwsLcRs, layout, bank).unwrap();
    let values: Vec<_> = replay.touched().collect();
    let quoted: Vec<(u32, &[u8])> = values.iter().map(|(index, value)| (*index, value.as_bytes())).collect();
    Boot::proved(&AwsLcRs, &log, layout, bank, &quoted).unwrap()
}

fn read(folder: &Path, name: &str) -> Vec<u8> {
    std::fs::read(folder.join("eventlogs").join(name)).unwrap()
}

#[test]
fn real_logs_tell_whether_secure_boot_was_on() {
    let Some(folder) = folder("real_logs_tell_whether_secure_boot_was_on") else { return };
    for (name, bank, expected) in [
        ("ubuntu-2404-amd-sevsnp.bin", Hash::Sha384, SecureBoot::Off),
        ("ubuntu-2104-no-secure-boot.bin", Hash::Sha256, SecureBoot::Off),
        ("rhel8-uefi.bin", Hash::Sha256, SecureBoot::On),
        ("ccel-goeventlog-cos113.bin", Hash::Sha384, SecureBoot::Off),
        ("dstack-ccel.bin", Hash::Sha384, SecureBoot::Off),
        ("tpm2tools-sd-boot-fedora37.bin", Hash::Sha256, SecureBoot::Off),
        ("keylime-binary-bios-measurements-secureboot.bin", Hash::Sha256, SecureBoot::On),
        ("goattestation-option_rom.bin", Hash::Sha1, SecureBoot::On),
    ] {
        assert_eq!(boot(&read(&folder, name), bank).secure_boot, expected, "{name}");
    }
}

#[test]
fn real_logs_tell_what_was_booted() {
    let Some(folder) = folder("real_logs_tell_what_was_booted") else { return };
    let ubuntu = boot(&read(&folder, "ubuntu-2404-amd-sevsnp.bin"), Hash::Sha256);
    assert_eq!(ubuntu.firmware_version.as_deref(), Some("GCE Virtual Firmware v2"));
    let lines: Vec<_> =
        ubuntu.command_lines.iter().map(|line| (line.by, line.text.clone().unwrap_or_default())).collect();
    assert_eq!((lines.len(), lines[0].0, lines[1].0), (2, Loader::Grub, Loader::Kernel));
    assert!(lines[0].1.starts_with("/vmlinuz-6.8.0-1010-gcp root=PARTUUID="), "{lines:?}");
    // The kernel's own measurement is that of GRUB's line.
    assert_eq!(lines[1].1, format!("BOOT_IMAGE={}", lines[0].1));
    assert_eq!((ubuntu.images.len(), ubuntu.handed_over), (2, true));
    let uki = boot(&read(&folder, "dstack-tpm-eventlog.bin"), Hash::Sha256);
    let sections: Vec<&str> = uki.sections.iter().map(|section| section.name.as_str()).collect();
    assert_eq!(sections, [".linux", ".osrel", ".cmdline", ".initrd", ".uname", ".sbat"]);
    let fedora = boot(&read(&folder, "tpm2tools-sd-boot-fedora37.bin"), Hash::Sha256);
    let line = fedora.command_lines.first().unwrap();
    assert_eq!(
        (line.by, line.text.as_deref()),
        (Loader::Systemd, Some(" console=ttyS0 console=tty0 efi=debug "))
    );
    let arch = boot(&read(&folder, "tpm2tools-arch-linux.bin"), Hash::Sha256);
    assert!(arch.command_lines[0].text.as_deref().unwrap().starts_with("initrd=\\intel-ucode.img"));
}

/// `tpm2_eventlog` on what it can read: it knows no TDs, and dies of some logs in the old form.
#[test]
fn another_reader_replays_to_the_same_registers() {
    let name = "another_reader_replays_to_the_same_registers";
    let Some(folder) = folder(name) else { return };
    if Command::new("tpm2_eventlog").arg("--version").output().is_err() {
        assert!(!required("swtpm"), "REQUIRE=swtpm, and tpm2_eventlog is not installed");
        println!("SKIP {name}: tpm2_eventlog is not installed");
        return;
    }
    let mut compared = 0;
    for path in logs(&folder) {
        let Some(theirs) = theirs(&path) else { continue };
        let bytes = std::fs::read(&path).unwrap();
        let log = EventLog::parse(&bytes).unwrap();
        // Version 5.4 of the other reader extends events without action, which no TPM does.
        let odd = log.events().any(|event| !event.is_extended() && event.register == 0);
        for (bank, mut expected) in theirs {
            let replay = log.replay(&AwsLcRs, Layout::Tpm, bank).unwrap();
            let mut ours: BTreeMap<u32, String> =
                replay.touched().map(|(index, value)| (index, value.to_string())).collect();
            if odd {
                ours.remove(&0);
                expected.remove(&0);
            }
            assert_eq!(ours, expected, "{}: {bank}", path.display());
            compared += 1;
        }
    }
    assert!(compared >= 30, "only {compared} banks were compared");
}

fn logs(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder.join("eventlogs")).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.push(folder.join("gce-cos85-sev-nonce9009/event_log.bin"));
    paths.push(folder.join("gce-windows-shielded/event_log.bin"));
    paths
}

/// The registers that `tpm2_eventlog` prints, by bank; `None` if it fails.
fn theirs(path: &Path) -> Option<BTreeMap<Hash, BTreeMap<u32, String>>> {
    let output = Command::new("tpm2_eventlog").arg(path).output().unwrap();
    if !output.status.success() {
        return None;
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (_, registers) = text.split_once("\npcrs:\n")?;
    let (mut banks, mut bank) = (BTreeMap::new(), None);
    for line in registers.lines() {
        match line.trim() {
            "sha1:" => bank = Some(Hash::Sha1),
            "sha256:" => bank = Some(Hash::Sha256),
            "sha384:" => bank = Some(Hash::Sha384),
            "sha512:" => bank = Some(Hash::Sha512),
            line => {
                let (index, value) = line.split_once(':').unwrap();
                let value = value.trim().trim_start_matches("0x").to_owned();
                let bank: &mut BTreeMap<u32, String> = banks.entry(bank.unwrap()).or_default();
                bank.insert(index.trim().parse().unwrap(), value);
            }
        }
    }
    Some(banks)
}
