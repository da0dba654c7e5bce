//! How event logs have been, and could be, used to tell stories: each ends in its own check.

use attest::crypto::{AwsLcRs, Crypto, Hash};
use attest::eventlog::{Boot, SecureBoot, State};
use attest::{Evidence, Malformed, Part, Platform, parcel};

use super::forge::{Key, Statement, Value};
use super::judge::{genuine, quoted, refusals};
use super::log::{
    APPLICATION, AUTHORITY, CRTM_VERSION, GLOBAL, IPL, Log, NO_ACTION, VARIABLE, sha256, variable, wide,
};

/// The claims of a machine with these PCRs that sends this log.
fn told(log: &[u8], pcrs: &[Value]) -> Boot {
    let (key, evidence) = sent(log, pcrs);
    let claims = genuine(&evidence, &key.name());
    quoted(&claims).boot.as_deref().unwrap().clone()
}

fn refused(log: &[u8], pcrs: &[Value]) -> Vec<String> {
    let (key, evidence) = sent(log, pcrs);
    refusals(&evidence, &[key.name()])
}

fn sent(log: &[u8], pcrs: &[Value]) -> (Key, Vec<u8>) {
    let key = Key::new();
    let statement = Statement { values: pcrs.to_vec(), ..Statement::quote(b"nonce") };
    let quote = key.evidence(&statement.marshal(), &statement.values);
    let evidence = parcel::assemble(&[(Part::TpmQuote, &quote), (Part::EventLog, log)]);
    (key, evidence)
}

fn boot(log: &Log) -> Boot {
    told(&log.encode(), &log.pcrs())
}

#[test]
fn a_boot_is_told_as_it_was() {
    let boot = boot(&Log::linux());
    assert_eq!(boot.secure_boot, SecureBoot::On);
    assert_eq!(boot.firmware_version.as_deref(), Some("Firmware 1.0"));
    let names: Vec<&str> = boot.variables.iter().map(|variable| variable.name).collect();
    assert_eq!(names, ["PK", "KEK", "db", "dbx"]);
    let images: Vec<String> = boot.images.iter().map(ToString::to_string).collect();
    assert_eq!(images, [sha256(b"MZ shim"), sha256(b"MZ grub"), sha256(b"MZ kernel")]);
    let lines: Vec<_> = boot.command_lines.iter().map(|line| line.text.as_deref().unwrap()).collect();
    assert_eq!(lines, ["/vmlinuz root=/dev/sda1 ro", "BOOT_IMAGE=/vmlinuz root=/dev/sda1 ro"]);
    assert_eq!((boot.authorities.len(), boot.owner_keys.len(), boot.opaque.len()), (1, 1, 2));
    assert_eq!((boot.commands, boot.handed_over), (2, true));
    assert!(boot.registers.iter().all(|register| register.state == State::Matches));
}

#[test]
fn a_unified_kernel_image_is_told_by_its_sections() {
    let boot = boot(&Log::uki());
    let sections: Vec<_> =
        boot.sections.iter().map(|section| (section.name.as_str(), section.digest.to_string())).collect();
    let expected = [
        (".linux", sha256(b"kernel")),
        (".cmdline", sha256(b"root=/dev/vda ro")),
        (".initrd", sha256(b"initrd")),
    ];
    assert_eq!(sections, expected);
}

#[test]
fn phases_that_systemd_measures_later_are_found() {
    let log = Log::uki();
    let reached = log.clone().plain(11, IPL, b"enter-initrd").plain(11, IPL, b"leave-initrd");
    assert_eq!(told(&log.encode(), &reached.pcrs()).phases(), "enter-initrd:leave-initrd");
    let odd = log.clone().plain(11, IPL, b"leave-initrd");
    assert_eq!(refused(&log.encode(), &odd.pcrs()), ["tpm.log.replay"]);
}

#[test]
fn l13_content_that_is_not_in_the_digest_is_not_claimed() {
    let mut log = Log::linux();
    let at = log.0.iter().position(|event| event.kind == CRTM_VERSION).unwrap();
    log.0[at].data = wide("Firmware 9.0\0");
    assert_eq!(boot(&log).firmware_version, None);
    let mut log = Log::firmware(false);
    let at = log.0.iter().position(|event| event.measured == variable(GLOBAL, "SecureBoot", &[0])).unwrap();
    log.0[at].data = variable(GLOBAL, "SecureBoot", &[1]);
    assert_eq!(boot(&log).secure_boot, SecureBoot::NotMeasured);
}

/// The type of an event is in no digest. Whoever has the machine calls the true events something else and lets
/// his own follow.
#[test]
fn l13_events_that_are_called_something_else_do_not_make_room_for_others() {
    let mut log = Log::firmware(false);
    for event in log.0.iter_mut().filter(|event| event.register == 7) {
        (event.kind, event.data) = (IPL, b"nothing to see".to_vec());
    }
    let log = log.secure_boot(true).separators([7]).exit();
    assert_eq!(boot(&log).secure_boot, SecureBoot::NotMeasured);
}

#[test]
fn l13_a_program_that_is_called_something_else_is_still_a_program() {
    let mut log = Log::linux().add(4, APPLICATION, b"MZ evil", b"");
    log.0.last_mut().unwrap().kind = 0x8000_0007;
    assert_eq!(boot(&log).images.last().unwrap().to_string(), sha256(b"MZ evil"));
    // Not even if the log shows what was measured.
    log.0.last_mut().unwrap().data = b"MZ evil".to_vec();
    assert_eq!(boot(&log).images.last().unwrap().to_string(), sha256(b"MZ evil"));
}

#[test]
fn l13_a_command_line_that_is_called_a_command_is_still_a_command_line() {
    let line = "/vmlinuz init=/evil";
    let boot = boot(&Log::linux().grub("grub_cmd: ", line));
    assert_eq!(boot.command_lines.last().unwrap().text.as_deref(), Some(line));
}

#[test]
fn l12_a_log_of_another_boot_is_refused() {
    let (log, other) = (Log::linux(), Log::uki());
    assert_eq!(refused(&log.encode(), &other.pcrs()), ["tpm.log.replay"]);
}

#[test]
fn an_event_left_out_added_or_moved_is_refused() {
    let log = Log::linux();
    for at in 0..log.0.len() {
        let mut short = log.clone();
        let removed = short.0.remove(at);
        let loader = removed.register > 7 && short.0.iter().all(|event| event.register != removed.register);
        if loader {
            // Of a register that only an operating system uses the log may tell nothing; nothing is claimed.
            assert!(!told(&short.encode(), &log.pcrs()).tells(removed.register));
        } else {
            assert_eq!(refused(&short.encode(), &log.pcrs()), ["tpm.log.replay"], "{at}");
        }
        let mut doubled = log.clone();
        doubled.0.insert(at, removed.clone());
        assert_eq!(refused(&doubled.encode(), &log.pcrs()), ["tpm.log.replay"], "{at}");
    }
}

#[test]
fn what_firmware_measured_must_be_in_the_log() {
    let log = Log::linux();
    let mut silent = log.clone();
    silent.0.retain(|event| event.register != 7);
    assert_eq!(refused(&silent.encode(), &log.pcrs()), ["tpm.log.replay"]);
}

#[test]
fn events_without_action_are_not_extended_whatever_they_are() {
    let mut log = Log::linux();
    log.0.insert(0, log.0[1].clone());
    log.0[0].kind = NO_ACTION;
    assert_eq!(boot(&log).secure_boot, SecureBoot::On);
    let hidden = Log::linux().add(4, NO_ACTION, b"MZ evil", b"");
    let measured = Log::linux().add(4, APPLICATION, b"MZ evil", b"");
    assert_eq!(refused(&hidden.encode(), &measured.pcrs()), ["tpm.log.replay"]);
}

#[test]
fn the_locality_that_started_the_tpm_is_told_first_and_once() {
    let locality = |byte: u8| [&b"StartupLocality\0"[..], &[byte]].concat();
    let started = |at: usize, byte: u8| {
        let mut log = Log::linux();
        let event =
            super::log::Event { register: 0, kind: NO_ACTION, measured: Vec::new(), data: locality(byte) };
        log.0.insert(at, event);
        log.encode()
    };
    // PCR 0 of a TPM that was started from locality 3.
    let mut pcrs = Log::linux().pcrs();
    let mut value = [0; 32];
    value[31] = 3;
    for event in Log::linux().0.iter().filter(|event| event.register == 0) {
        value = AwsLcRs.sha256(&[&value, &AwsLcRs.sha256(&[&event.measured]).0]).0;
    }
    pcrs[0].2 = value.to_vec();
    told(&started(0, 3), &pcrs);
    for log in [started(0, 4), started(0, 2), started(1, 3), Log::linux().encode()] {
        assert_eq!(refused(&log, &pcrs), ["tpm.log.replay"]);
    }
}

#[test]
fn secure_boot_counts_only_if_firmware_could_measure() {
    let on = Log::default().secure_boot(true);
    assert_eq!(boot(&on).secure_boot, SecureBoot::NotMeasured);
    assert_eq!(boot(&on.clone().separators([7])).secure_boot, SecureBoot::On);
    assert_eq!(boot(&on.clone().plain(7, 4, &[1, 0, 0, 0])).secure_boot, SecureBoot::Undermined);
    let debugged = on.clone().plain(7, 0x8000_0007, b"UEFI Debug Mode").separators([7]);
    assert_eq!(boot(&debugged).secure_boot, SecureBoot::Undermined);
    assert_eq!(boot(&Log::firmware(false)).secure_boot, SecureBoot::Off);
    for (first, second) in [(true, false), (false, true)] {
        let both = Log::default().secure_boot(first).secure_boot(second).separators([7]);
        assert_eq!(boot(&both).secure_boot, SecureBoot::Off);
    }
    for value in [&[][..], &[2], &[1, 1]] {
        let odd = Log::default().plain(7, VARIABLE, &variable(GLOBAL, "SecureBoot", value)).separators([7]);
        assert_eq!(boot(&odd).secure_boot, SecureBoot::Off);
    }
    let foreign = Log::default().plain(7, VARIABLE, &variable([9; 16], "SecureBoot", &[1])).separators([7]);
    assert_eq!(boot(&foreign).secure_boot, SecureBoot::NotMeasured);
}

#[test]
fn after_the_separator_everything_vouches_or_is_unknown() {
    let log = Log::linux().plain(7, AUTHORITY, b"x").plain(7, VARIABLE, &variable(GLOBAL, "PK", b"PK"));
    let boot = boot(&log);
    assert_eq!(boot.authorities.len(), 3);
    assert_eq!(boot.variables.iter().filter(|variable| variable.name == "PK").count(), 1);
}

#[test]
fn a_register_that_is_not_quoted_proves_nothing() {
    let log = Log::linux();
    let pcrs: Vec<Value> = log.pcrs().into_iter().filter(|(_, index, _)| *index != 7).collect();
    assert_eq!(told(&log.encode(), &pcrs).secure_boot, SecureBoot::NotMeasured);
}

#[test]
fn a_log_without_the_quoted_bank_is_refused() {
    let log = Log::linux();
    let pcrs: Vec<Value> = log
        .pcrs()
        .into_iter()
        .map(|(_, index, _)| (Hash::Sha1, index, vec![index.to_le_bytes()[0]; 20]))
        .collect();
    assert_eq!(refused(&log.encode(), &pcrs), ["tpm.log.replay"]);
    assert_eq!(refused(&log.encode(), &[]), ["tpm.log.replay"]);
}

#[test]
fn of_several_logs_the_last_that_replays_counts() {
    let sized = |log: &Log| {
        let bytes = log.encode();
        [&u32::try_from(bytes.len()).unwrap().to_le_bytes()[..], &bytes].concat()
    };
    let (old, new) = (Log::uki(), Log::linux());
    let blob = [sized(&old), sized(&new)].concat();
    assert_eq!(told(&blob, &new.pcrs()).images.len(), 3);
    assert_eq!(told(&blob, &old.pcrs()).images.len(), 1);
    assert_eq!(refused(&blob, &Log::firmware(true).pcrs()), ["tpm.log.replay"]);
}

#[test]
fn an_event_of_a_register_that_there_is_not_is_refused() {
    let log = Log::linux();
    for register in [24, u32::MAX] {
        let odd = log.clone().plain(register, IPL, b"x");
        assert_eq!(refused(&odd.encode(), &log.pcrs()), ["tpm.log.replay"]);
    }
}

#[test]
fn l22_every_cut_of_a_log_ends_in_an_error() {
    let (log, key) = (Log::linux().encode(), Key::new());
    let statement = Statement::quote(b"nonce");
    let quote = key.evidence(&statement.marshal(), &statement.values);
    for length in 0..log.len() {
        let bytes = parcel::assemble(&[(Part::TpmQuote, &quote), (Part::EventLog, &log[..length])]);
        match Evidence::parse(Platform::Tpm2, &bytes) {
            Err(Malformed::Truncated { .. } | Malformed::Value { .. }) => {}
            Ok(_) => assert_eq!(refusals(&bytes, &[key.name()]), ["tpm.log.replay"], "{length}"),
            Err(other) => unreachable!("{length}: {other}"),
        }
    }
}

#[test]
fn a_part_that_no_tpm_sends_is_refused() {
    let quote = Key::new().evidence(&Statement::quote(b"n").marshal(), &Statement::quote(b"n").values);
    let bytes = parcel::assemble(&[(Part::TpmQuote, &quote), (Part::Ccel, b"log")]);
    assert!(matches!(Evidence::parse(Platform::Tpm2, &bytes), Err(Malformed::Value { what: "parcel", .. })));
    let nested = parcel::assemble(&[(Part::TpmQuote, &parcel::assemble(&[(Part::TpmQuote, &quote)]))]);
    assert!(Evidence::parse(Platform::Tpm2, &nested).is_err());
    assert!(Evidence::parse(Platform::Tpm2, &parcel::assemble(&[(Part::EventLog, b"log")])).is_err());
}
