//! `cloudtaser measure uki`: the TPM registers that a boot of these images leaves behind.
//!
//! Trusted: the words. Untrusted: the files.

use std::path::PathBuf;

use crate::answer::{Answer, NotJudged};
use crate::layout::Section;
use crate::measure::artifact::Artifact;
use crate::measure::bank::Bank;
use crate::measure::pe::Image;
use crate::measure::report::{Place, Report, Words};
use crate::measure::uki::{self, Uki};

/// Compute TPM PCR 4, 9, 11 and 12 from a unified kernel image, or PCR 4 and 9 from a kernel
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The unified kernel image or kernel that is booted
    #[arg(value_name = "IMAGE")]
    image: PathBuf,
    /// An image that firmware loads before it, such as shim or a boot loader; in this order
    #[arg(long, value_name = "FILE")]
    loaded: Vec<PathBuf>,
    /// A command line that does not come from the image
    #[arg(long, value_name = "TEXT")]
    cmdline: Option<String>,
    /// The initial RAM disk of a kernel that is no unified kernel image
    #[arg(long, value_name = "FILE")]
    initrd: Option<PathBuf>,
    /// The banks
    #[arg(long, value_enum, value_name = "NAME", default_values_t = [Bank::Sha256, Bank::Sha384])]
    bank: Vec<Bank>,
    /// Boot phases that systemd measures into PCR 11, joined by colons; may be repeated. Without: none, and a system
    /// that has finished to boot
    #[arg(long, value_name = "PHASES", value_parser = phases)]
    phase: Vec<Phases>,
    #[command(flatten)]
    words: Words,
}

/// Phases, in order. Empty for a system without systemd in its initial RAM disk.
#[derive(Clone, Debug)]
struct Phases(Vec<String>);

/// Reads, hashes and prints. 0 says that there is a value, 2 that there is none.
pub(crate) fn run(args: &Args) -> Answer {
    args.words.answer(measure(args))
}

fn measure(args: &Args) -> Result<Report, NotJudged> {
    let artifact = Artifact::read("image", &args.image)?;
    let initrd = Artifact::read_if("initrd", args.initrd.as_ref())?;
    let mut before = Vec::new();
    for path in &args.loaded {
        before.push(Artifact::read("loaded before", path)?);
    }
    let image = Image::parse(&artifact.bytes)?;
    let mut loaded = Vec::new();
    for artifact in &before {
        loaded.push(Image::parse(&artifact.bytes)?);
    }
    let uki = Uki::of(&image)?;
    loaded.push(image);
    let initrd_bytes = initrd.as_ref().map(|initrd| &initrd.bytes[..]);
    let values = match &uki {
        Some(uki) => unified(args, uki, &loaded)?,
        None => plain(args, initrd_bytes, &loaded),
    };
    let sections = loaded.last().map(|image| describe(image, uki.as_ref()));
    let mut report = args.words.report("uki");
    report.inputs(before.into_iter().chain([artifact]).chain(initrd));
    if let Some(cmdline) = &args.cmdline {
        report.setting("cmdline", cmdline);
    }
    report.sections(sections);
    for Value { bank, index, suffix, register, what } in values.found {
        let place = Place::Pcr { section: "tpm", bank: Some(bank.name()), index };
        report.reference(&format!("pcr{index}{suffix}-{}", bank.name()), register.value(), what, place);
    }
    for why in values.not_exact.into_iter().chain(ALWAYS.map(str::to_owned)) {
        report.not_exact(why);
    }
    Ok(report)
}

/// What came out.
#[derive(Default)]
struct Values {
    found: Vec<Value>,
    not_exact: Vec<String>,
}

struct Value {
    bank: Bank,
    index: u8,
    suffix: String,
    register: uki::Register,
    what: String,
}

impl Values {
    fn add(&mut self, bank: Bank, index: u8, suffix: &str, register: uki::Register, what: impl Into<String>) {
        self.found.push(Value { bank, index, suffix: suffix.to_owned(), register, what: what.into() });
    }
}

fn unified(args: &Args, uki: &Uki<'_>, loaded: &[Image<'_>]) -> Result<Values, NotJudged> {
    if args.initrd.is_some() {
        let message = "expected no --initrd: a unified kernel image brings its own";
        return Err(NotJudged::new("measure.initrd", message));
    }
    let mut values = Values::default();
    let images: Vec<&Image<'_>> = loaded.iter().collect();
    let inner = Image::parse(uki.linux());
    let handed_on = uki.handed_on();
    for &bank in &args.bank {
        values.add(bank, 4, "", uki::pcr4(bank, &images), "images that firmware loads");
        if let Ok(inner) = &inner {
            let images: Vec<_> = images.iter().copied().chain([inner]).collect();
            values.add(
                bank,
                4,
                "-inner",
                uki::pcr4(bank, &images),
                "the same, the kernel inside loaded by firmware too",
            );
        }
        if let Ok((cmdline, initrd)) = &handed_on {
            let cmdline = args.cmdline.as_ref().unwrap_or(cmdline);
            values.add(bank, 9, "", uki::pcr9(bank, cmdline, *initrd), "what the kernel is given");
        }
        for (phases, suffix) in phase_paths(args) {
            let reached = if phases.is_empty() { "no phases".to_owned() } else { phases.join(":") };
            let what = format!("the image's sections; phases reached: {reached}");
            values.add(bank, 11, &suffix, uki.pcr11(bank, &phases), what);
        }
        let what =
            if args.cmdline.is_some() { "the command line that was given" } else { "no command line given" };
        values.add(bank, 12, "", uki::pcr12(bank, args.cmdline.as_deref()), what);
    }
    if let Err(why) = handed_on {
        values.not_exact.push(format!("PCR 9 is not computed: {why}"));
    }
    values.not_exact.push(
        "PCR 4: with Secure Boot off the stub has firmware load the kernel inside, and the value is the one that \
         ends in -inner (seen with stub 252 and Linux 6.1 under OVMF); with Secure Boot on it goes past firmware's \
         check, which is also what measures, and the value is the other one. Keep the one of your machines"
            .to_owned(),
    );
    Ok(values)
}

fn plain(args: &Args, initrd: Option<&[u8]>, loaded: &[Image<'_>]) -> Values {
    let mut values = Values::default();
    let images: Vec<&Image<'_>> = loaded.iter().collect();
    for &bank in &args.bank {
        values.add(bank, 4, "", uki::pcr4(bank, &images), "images that firmware loads");
        if let Some(cmdline) = &args.cmdline {
            values.add(bank, 9, "", uki::pcr9(bank, cmdline, initrd), "what the kernel is given");
        }
    }
    values.not_exact.push(
        "this is no unified kernel image: PCR 4 is exact where each image is loaded once (GRUB has the kernel \
         measured twice: name it in --loaded too), PCR 9 where no boot loader measures files into it"
            .to_owned(),
    );
    values
}

/// The phases that were asked for, else none and all; each with what its ids end in.
fn phase_paths(args: &Args) -> Vec<(Vec<String>, String)> {
    if args.phase.is_empty() {
        let all = BOOTED.map(str::to_owned).to_vec();
        return vec![(Vec::new(), String::new()), (all, "-ready".to_owned())];
    }
    let named = |Phases(phases): &Phases| {
        let suffix = phases.last().map(|last| format!("-{last}")).unwrap_or_default();
        (phases.clone(), suffix)
    };
    args.phase.iter().map(named).collect()
}

fn phases(text: &str) -> Result<Phases, String> {
    let phases: Vec<String> = text.split(':').filter(|phase| !phase.is_empty()).map(str::to_owned).collect();
    let fits = |phase: &String| phase.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    if !phases.iter().all(fits) {
        return Err("expected phases such as enter-initrd:leave-initrd:sysinit:ready".to_owned());
    }
    Ok(Phases(phases))
}

fn describe(image: &Image<'_>, uki: Option<&Uki<'_>>) -> Section {
    let mut section = Section::new("what the image is");
    section.row("Authenticode SHA-256", hex::encode(image.digest(Bank::Sha256)));
    section.row("Authenticode SHA-384", hex::encode(image.digest(Bank::Sha384)));
    section.row("signed", image.is_signed());
    if let Some(uki) = uki {
        section.row("systemd-stub", uki.stub);
        for (name, length) in uki.sections() {
            section.row(format!("measured {name}"), format!("{length} bytes"));
        }
    }
    section
}

const BOOTED: [&str; 4] = ["enter-initrd", "leave-initrd", "sysinit", "ready"];
const ALWAYS: [&str; 2] = [
    "PCR 12 holds credentials and command lines from beside the image too: with any, it is another value",
    "PCR 7 is not computed: it holds the firmware's Secure Boot variables, not this image; PCR 0 to 3 are the \
     firmware's own",
];

const EXAMPLES: &str = "\
Examples:
  cloudtaser measure uki linux.efi
  cloudtaser measure uki linux.efi --loaded systemd-bootx64.efi --bank sha256 -o toml
  cloudtaser measure uki vmlinuz --cmdline 'root=/dev/vda1 ro' --initrd initrd.img";
