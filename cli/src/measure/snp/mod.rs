//! The launch measurement of an SEV-SNP guest: what the AMD firmware hashes while the hypervisor loads it.
//!
//! Firmware image, the pages that its metadata names, one page of registers per vCPU, in this order; with the hashes
//! of kernel, initial RAM disk and command line among the pages, where the firmware checks them.
//!
//! Trusted: the settings. Untrusted: the files.

mod kernel;
mod launch;
mod metadata;
mod vmsa;

use attest::Digest;

use launch::Launch;
use metadata::{Metadata, Section, Use};

use super::firmware::{BadFirmware, Firmware, PAGE};
pub(crate) use kernel::Hashes;
pub(crate) use vmsa::{MACHINES, Machine, SecMem, signature_of};

/// What the hypervisor is told about the guest.
#[derive(Debug)]
pub(crate) struct Guest {
    /// How many vCPUs it has.
    pub(crate) vcpus: u32,
    /// CPUID `Fn0000_0001` EAX of its vCPUs: family, model, stepping.
    pub(crate) signature: u32,
    /// `SEV_FEATURES` of its register pages.
    pub(crate) features: u64,
    /// The kernel that firmware is to boot, if the hypervisor brings one.
    pub(crate) kernel: Option<Hashes>,
}

/// Computes `MEASUREMENT` of the guest's attestation reports.
pub(crate) fn measurement(
    firmware: &Firmware<'_>,
    guest: &Guest,
    machine: &Machine,
) -> Result<Digest<48>, BadFirmware> {
    let metadata = Metadata::parse(firmware)?;
    if guest.kernel.is_some() && !metadata.sections.iter().any(|section| section.purpose == Use::KernelHashes)
    {
        return Err(BadFirmware::NoKernelHashes);
    }
    let mut launch = Launch::default();
    launch.normal(firmware.address(), firmware.bytes());
    let (last, first): (Vec<&Section>, Vec<&Section>) =
        metadata.sections.iter().partition(|section| machine.cpuid_last && section.purpose == Use::Cpuid);
    for section in first.into_iter().chain(last) {
        page(&mut launch, section, guest, machine, &metadata)?;
    }
    launch.registers(&machine.registers(vmsa::FIRST_INSTRUCTION, guest));
    if guest.vcpus > 1 {
        let reset = metadata.reset_address.ok_or(BadFirmware::NoResetAddress)?;
        let registers = machine.registers(reset, guest);
        for _ in 1..guest.vcpus {
            launch.registers(&registers);
        }
    }
    Ok(launch.digest())
}

fn page(
    launch: &mut Launch,
    section: &Section,
    guest: &Guest,
    machine: &Machine,
    metadata: &Metadata,
) -> Result<(), BadFirmware> {
    let (at, length) = (section.address, section.length);
    match section.purpose {
        Use::SecMem if machine.sec_mem == SecMem::Unmeasured => launch.unmeasured(at, length),
        Use::SecMem | Use::SvsmCaa => launch.zero(at, length),
        Use::Secrets => launch.secrets(at),
        Use::Cpuid => launch.cpuid(at),
        Use::KernelHashes => match &guest.kernel {
            None => launch.zero(at, length),
            Some(hashes) => {
                let table = metadata.hash_table.ok_or(BadFirmware::NoKernelHashes)?;
                // The hypervisor fills one page, and the table lies inside it.
                let page = hashes.page(table.checked_rem(PAGE).unwrap_or(0));
                let page = page.filter(|_| length == PAGE).ok_or(BadFirmware::NoKernelHashes)?;
                launch.normal(at, &page);
            }
        },
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::firmware::tests::image;

    #[test]
    fn no_byte_of_the_firmware_brings_it_down() {
        let mut table = b"ASEV".to_vec();
        for number in [28_u32, 1, 1, 0x0081_0000, 4096, 0x10] {
            table.extend(number.to_le_bytes());
        }
        let entries = [(
            *b"\x66\x65\x88\xdc\x4a\x98\x98\x47\xa7\x5e\x55\x85\xa7\xbf\x67\xcc",
            4096_u32.to_le_bytes().to_vec(),
        )];
        let image = image(&entries, &table);
        let kernel = Some(Hashes::of(b"kernel", b"", ""));
        let guest = Guest { vcpus: 2, signature: 1, features: 1, kernel };
        for at in (0..64).chain(3900..4096) {
            for value in [0, 1, 0x7f, 0xff] {
                let mut changed = image.clone();
                changed[at] = value;
                if let Ok(firmware) = Firmware::parse(&changed) {
                    drop(measurement(&firmware, &guest, &MACHINES[0]));
                }
            }
        }
    }
}
