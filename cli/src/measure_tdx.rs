//! `cloudtaser measure tdx`: the measurements of a trust domain, as far as the files decide them.
//!
//! Trusted: the words. Untrusted: the files.

use std::path::PathBuf;

use crate::answer::{Answer, NotJudged};
use crate::layout::Section;
use crate::measure::artifact::Artifact;
use crate::measure::bank::Bank;
use crate::measure::firmware::Firmware;
use crate::measure::pe::Image;
use crate::measure::report::{Place, Report, Words};
use crate::measure::tdx::{self, DirectBoot, Header, Order};

/// Compute MRTD, and RTMR 1 and 2 as far as they follow from the files
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The firmware image that the hypervisor loads (OVMF built for TDX)
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
    /// The guest's memory in MiB: below 2816 it moves the initial RAM disk
    #[arg(long, value_name = "MIB", default_value_t = 4096, value_parser = clap::value_parser!(u32).range(64..))]
    memory: u32,
    /// A boot loader, unified kernel image or kernel that the firmware loads from a disk; may be repeated
    #[arg(long, value_name = "FILE", conflicts_with = "kernel")]
    image: Vec<PathBuf>,
    #[command(flatten)]
    words: Words,
}

/// Reads, hashes and prints. 0 says that there is a value, 2 that there is none.
pub(crate) fn run(args: &Args) -> Answer {
    args.words.answer(measure(args))
}

fn measure(args: &Args) -> Result<Report, NotJudged> {
    let mut report = args.words.report("tdx");
    let firmware = Artifact::read("firmware", &args.firmware)?;
    let parsed = Firmware::parse(&firmware.bytes)?;
    let mut mrtds = Vec::new();
    for (order, suffix, what) in ORDERS {
        mrtds.push((tdx::mrtd(&parsed, order)?, suffix, what));
    }
    report.inputs([firmware]);
    for (value, suffix, what) in mrtds {
        report.reference(suffix, &value.0, what, field("mrtd"));
    }
    report.not_exact(
        "RTMR 0 is not computed: it holds the hypervisor's ACPI tables, the memory's layout and the boot \
         variables; appraise it by the trust domain's event log",
    );
    report.not_exact("RTMR 3 is zero until the guest's own software extends it");
    match &args.kernel {
        Some(kernel) => direct(args, &mut report, kernel)?,
        None => disk(args, &mut report)?,
    }
    Ok(report)
}

fn direct(args: &Args, report: &mut Report, kernel: &std::path::Path) -> Result<(), NotJudged> {
    let kernel = Artifact::read("kernel", kernel)?;
    let initrd = Artifact::read_if("initrd", args.initrd.as_ref())?;
    let append = args.append.as_deref().unwrap_or_default();
    let boot = DirectBoot {
        kernel: &kernel.bytes,
        initrd: initrd.as_ref().map(|initrd| &initrd.bytes[..]),
        append,
        memory: u64::from(args.memory).saturating_mul(1024 * 1024),
    };
    let as_in_file = boot.rtmr1(Header::AsInFile)?;
    let patched = boot.rtmr1(Header::Patched);
    let rtmr2 = boot.rtmr2();
    report.inputs([kernel].into_iter().chain(initrd));
    report.setting("append", append);
    report.setting("memory", format!("{} MiB", args.memory));
    report.reference("rtmr1", as_in_file.value(), AS_IN_FILE, field("rtmr1"));
    match patched {
        Ok(value) => report.reference("rtmr1-patched", value.value(), PATCHED, field("rtmr1")),
        Err(why) => report.not_exact(format!("no RTMR 1 for QEMU before 10.0: {why}")),
    }
    report.reference("rtmr2", rtmr2.value(), "Linux 6.9 or later, by its EFI stub", field("rtmr2"));
    report.not_exact(
        "RTMR 1 and 2 follow the order of events that OVMF and Linux are known for; a firmware that boots \
         anything before the kernel measures more. Compare once with the event log of a machine of yours",
    );
    Ok(())
}

fn disk(args: &Args, report: &mut Report) -> Result<(), NotJudged> {
    for (index, path) in args.image.iter().enumerate() {
        let artifact = Artifact::read("image", path)?;
        let digest = Image::parse(&artifact.bytes)?.digest(Bank::Sha384);
        report.inputs([artifact]);
        let suffix = format!("event-{index}");
        report.reference(&suffix, &digest, "EV_EFI_BOOT_SERVICES_APPLICATION in RTMR 1", Place::Event);
    }
    if !args.image.is_empty() {
        let mut log = Section::new("RTMR 1, in this order");
        for (name, event) in FROM_DISK {
            log.row(name, event);
        }
        report.sections([log]);
    }
    report.not_exact(
        "RTMR 1 of a boot from disk is not computed: it holds the disk's partition table, whose identifiers \
         differ from disk to disk; RTMR 2 holds what boot loader and kernel read. Appraise both by the event log",
    );
    Ok(())
}

fn field(field: &'static str) -> Place {
    Place::Field { section: "tdx", field }
}

const ORDERS: [(Order, &str, &str); 2] = [
    (Order::SinglePass, "mrtd-single-pass", "QEMU 9 and later: each page measured as it is added"),
    (Order::TwoPass, "mrtd-two-pass", "QEMU before 9: the pages of a section added, then measured"),
];
const AS_IN_FILE: &str = "QEMU 10.0 or later with EDK II 2025.02 or later: the kernel as it is in the file";
const PATCHED: &str = "QEMU or EDK II before that: the kernel's header filled in by QEMU (machine q35)";
const FROM_DISK: [(&str, &str); 5] = [
    ("EV_EFI_ACTION", "Calling EFI Application from Boot Option"),
    ("EV_SEPARATOR", "4 zero bytes"),
    ("EV_EFI_GPT_EVENT", "the disk's partition table"),
    ("EV_EFI_BOOT_SERVICES_APPLICATION", "each image that is loaded, boot loader first"),
    ("EV_EFI_ACTION", "Exit Boot Services Invocation, Exit Boot Services Returned with Success"),
];

const EXAMPLES: &str = "\
Examples:
  cloudtaser measure tdx --firmware OVMF.inteltdx.fd
  cloudtaser measure tdx --firmware OVMF.inteltdx.fd --kernel vmlinuz --initrd initrd.img \\
      --append 'console=ttyS0' -o toml";
