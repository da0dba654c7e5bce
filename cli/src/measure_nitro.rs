//! `cloudtaser measure nitro`: the PCRs that an enclave of this image will attest.
//!
//! Trusted: the words. Untrusted: the file.

use std::path::PathBuf;

use serde_json::Value;

use crate::answer::{Answer, NotJudged};
use crate::layout::Section;
use crate::measure::artifact::Artifact;
use crate::measure::nitro::{self, Arch, Eif};
use crate::measure::report::{Place, Report, Words};

/// Compute the PCRs of a Nitro enclave from its image file (EIF)
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The enclave image file
    #[arg(value_name = "EIF")]
    image: PathBuf,
    /// The IAM role of the parent instance, for PCR 3
    #[arg(long, value_name = "ARN")]
    role_arn: Option<String>,
    /// The id of the parent instance, for PCR 4
    #[arg(long, value_name = "ID")]
    instance_id: Option<String>,
    #[command(flatten)]
    words: Words,
}

/// Reads, hashes and prints. 0 says that there is a value, 2 that there is none.
pub(crate) fn run(args: &Args) -> Answer {
    args.words.answer(measure(args))
}

fn measure(args: &Args) -> Result<Report, NotJudged> {
    let artifact = Artifact::read("enclave image", &args.image)?;
    let eif = Eif::parse(&artifact.bytes)?;
    let image = describe(&eif);
    let measured = [
        (0, Some(eif.pcr0()), "kernel, command line and all RAM disks"),
        (1, Some(eif.pcr1()), "kernel, command line and the first RAM disk"),
        (2, Some(eif.pcr2()), "the other RAM disks: the application"),
        (8, eif.pcr8()?, "the signing certificate"),
    ];
    let mut report = args.words.report("nitro");
    report.inputs([artifact]);
    for (index, register, what) in measured {
        if let Some(register) = register {
            report.reference(&format!("pcr{index}"), register.value(), what, pcr(index));
        }
    }
    report.sections([image]);
    parent(args, &mut report);
    report.not_exact("metadata is not measured: a new build time alone leaves every PCR as it is");
    report.not_exact("an enclave in debug mode attests zeros instead of PCR 0, 1 and 2, and is refused");
    Ok(report)
}

fn parent(args: &Args, report: &mut Report) {
    let words = [(3, "role-arn", "role", &args.role_arn), (4, "instance-id", "instances", &args.instance_id)];
    for (index, name, field, text) in words {
        if let Some(text) = text {
            report.setting(name, text);
            let what = format!("the parent instance's {name}");
            let place = Place::Said { section: "nitro", field, text: text.clone() };
            report.reference(&format!("pcr{index}"), nitro::of_text(text).value(), what, place);
        }
    }
}

fn pcr(index: u8) -> Place {
    Place::Pcr { section: "nitro", bank: None, index }
}

/// The fields of `nitro-cli describe-eif`, and the lengths.
fn describe(eif: &Eif<'_>) -> Section {
    let mut section = Section::new("image");
    section.row("EifVersion", eif.version);
    section.row("Architecture", if eif.arch == Arch::Arm { "aarch64" } else { "x86_64" });
    section.row("HashAlgorithm", "Sha384");
    section.row("IsSigned", eif.signature.is_some());
    section.row("CheckCRC", format!("true ({:08x})", eif.crc32));
    section.row("DefaultMemory", eif.default_memory);
    section.row("DefaultCpus", eif.default_cpus);
    section.row("kernel bytes", eif.kernel.len());
    section.row("command line", String::from_utf8_lossy(eif.cmdline));
    for ramdisk in &eif.ramdisks {
        section.row("RAM disk bytes", ramdisk.len());
    }
    let metadata = eif.metadata.and_then(|metadata| serde_json::from_slice::<Value>(metadata).ok());
    for (name, value) in metadata.iter().filter_map(Value::as_object).flatten() {
        section.row(format!("{name} (not measured)"), value);
    }
    section
}

const EXAMPLES: &str = "\
Examples:
  cloudtaser measure nitro app.eif
  cloudtaser measure nitro app.eif --role-arn arn:aws:iam::123456789012:role/enclaves -o toml";
