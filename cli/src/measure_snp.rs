//! `cloudtaser measure snp`: the launch measurement that a guest of these parts will have.
//!
//! Trusted: the words. Untrusted: the files.

use std::path::PathBuf;

use crate::answer::{Answer, NotJudged};
use crate::measure::artifact::Artifact;
use crate::measure::firmware::Firmware;
use crate::measure::report::{Place, Report, Words};
use crate::measure::snp::{self, Guest, Hashes};

/// Compute the launch measurement of an SEV-SNP guest
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The firmware image that the hypervisor loads (OVMF)
    #[arg(long, value_name = "FILE")]
    firmware: PathBuf,
    /// The kernel that the hypervisor brings, if it brings one
    #[arg(long, value_name = "FILE")]
    kernel: Option<PathBuf>,
    /// Its initial RAM disk
    #[arg(long, value_name = "FILE", requires = "kernel")]
    initrd: Option<PathBuf>,
    /// Its command line
    #[arg(long, value_name = "TEXT", requires = "kernel")]
    append: Option<String>,
    /// How many vCPUs the guest has
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    vcpus: u32,
    /// QEMU's name of the processor model, such as EPYC-v4
    #[arg(long, value_name = "MODEL", conflicts_with = "vcpu_sig", value_parser = model)]
    vcpu_type: Option<Model>,
    /// The processor's signature instead: CPUID `Fn0000_0001` EAX, such as 0x00a00f11
    #[arg(long, value_name = "NUMBER", value_parser = number32)]
    vcpu_sig: Option<u32>,
    /// `SEV_FEATURES` of the guest
    #[arg(long, value_name = "NUMBER", default_value = "0x1", value_parser = number64)]
    guest_features: u64,
    /// The hypervisor: qemu, ec2 or gce. Where hosts of one kind differ, each gets its own value
    #[arg(long, value_name = "NAME", default_value = "qemu", value_parser = vmm)]
    vmm_type: String,
    #[command(flatten)]
    words: Words,
}

/// A processor model and its signature.
#[derive(Clone, Debug)]
struct Model {
    name: String,
    signature: u32,
}

/// Reads, hashes and prints. 0 says that there is a value, 2 that there is none.
pub(crate) fn run(args: &Args) -> Answer {
    args.words.answer(measure(args))
}

fn measure(args: &Args) -> Result<Report, NotJudged> {
    let firmware = Artifact::read("firmware", &args.firmware)?;
    let kernel = Artifact::read_if("kernel", args.kernel.as_ref())?;
    let initrd = Artifact::read_if("initrd", args.initrd.as_ref())?;
    let guest = Guest {
        vcpus: args.vcpus,
        signature: signature(args)?,
        features: args.guest_features,
        kernel: kernel.as_ref().map(|kernel| {
            let initrd = initrd.as_ref().map_or(&[][..], |initrd| &initrd.bytes);
            Hashes::of(&kernel.bytes, initrd, args.append.as_deref().unwrap_or_default())
        }),
    };
    let mut values = Vec::new();
    let parsed = Firmware::parse(&firmware.bytes)?;
    for machine in snp::MACHINES.iter().filter(|machine| machine.vmm == args.vmm_type) {
        values.push((machine, snp::measurement(&parsed, &guest, machine)?));
    }
    let mut report = args.words.report("snp");
    report.inputs([firmware].into_iter().chain(kernel).chain(initrd));
    settings(&mut report, args, &guest);
    for (machine, value) in values {
        let place = Place::Field { section: "snp", field: "measurement" };
        report.reference(machine.id, &value.0, machine.table, place);
    }
    Ok(report)
}

fn settings(report: &mut Report, args: &Args, guest: &Guest) {
    report.setting("vcpus", guest.vcpus);
    if args.vmm_type == "qemu" {
        let model = args.vcpu_type.iter().map(|model| format!("{} ", model.name));
        report.setting("vcpu", format!("{}{:#010x}", model.collect::<String>(), guest.signature));
    }
    report.setting("guest-features", format!("{:#x}", guest.features));
    match (&guest.kernel, &args.append) {
        (None, _) => report.not_exact(
            "no --kernel: the value covers the firmware and not what it boots; what it boots must be held by \
             the firmware itself (Secure Boot, a vTPM) or by the guest's disk encryption",
        ),
        (Some(_), append) => report.setting("append", append.as_deref().unwrap_or_default()),
    }
}

fn signature(args: &Args) -> Result<u32, NotJudged> {
    let named = args.vcpu_type.as_ref().map(|model| model.signature);
    // Only QEMU puts it in a register.
    let irrelevant = (args.vmm_type != "qemu").then_some(0);
    named.or(args.vcpu_sig).or(irrelevant).ok_or_else(|| {
        let message = "expected --vcpu-type or --vcpu-sig: with QEMU the processor's signature is measured";
        NotJudged::new("measure.vcpu", message)
    })
}

fn model(text: &str) -> Result<Model, String> {
    let found = snp::signature_of(text).map(|signature| Model { name: text.to_owned(), signature });
    found.ok_or_else(|| {
        let message = "expected EPYC, EPYC-Rome, EPYC-Milan, EPYC-Genoa or EPYC-Turin, with -v1 and so on";
        format!("{message}; others go by --vcpu-sig")
    })
}

fn vmm(text: &str) -> Result<String, String> {
    let known = snp::MACHINES.iter().any(|machine| machine.vmm == text);
    known.then(|| text.to_owned()).ok_or_else(|| "expected qemu, ec2 or gce".to_owned())
}

fn number32(text: &str) -> Result<u32, String> {
    u32::try_from(number64(text)?).map_err(|_wide| "expected a number of 32 bits".to_owned())
}

fn number64(text: &str) -> Result<u64, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    parsed.map_err(|error| format!("expected a number, such as 33 or 0x21: {error}"))
}

const EXAMPLES: &str = "\
Examples:
  cloudtaser measure snp --firmware OVMF.amdsev.fd --kernel vmlinuz --initrd initrd.img \\
      --append 'console=ttyS0' --vcpus 4 --vcpu-type EPYC-Genoa
  cloudtaser measure snp --firmware ovmf_img.fd --vcpus 2 --vmm-type ec2 -o toml >> policy.toml";
