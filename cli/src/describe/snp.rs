//! An SNP report in words: every field, every bit.
//!
//! Names and meanings: AMD 56860 r1.58, tables 10 (guest policy), 23 (report) and 24 (platform info).

use attest::snp::{Fields, GuestPolicy, KeyInfo, PlatformInfo, Product, Report, SigningKey, Tcb, TcbVersion};

use crate::layout::Section;

/// Every field of the report.
pub(super) fn describe(report: &Report<'_>) -> Vec<Section> {
    let fields = report.fields();
    let product = fields.cpuid.and_then(|cpu| Product::of_cpuid(cpu.family, cpu.model));
    vec![
        head(fields, product),
        guest_policy(fields.policy),
        platform_info(fields.platform_info),
        key_info(fields.key_info),
        tcb_section(fields, product),
        guest(fields),
        chip(fields, product),
        signature(report),
    ]
}

/// A TCB version: its bytes, and its parts as the product lays them out.
pub(crate) fn tcb(version: TcbVersion, product: Option<Product>) -> String {
    match product {
        Some(product) => format!("{version} ({})", version.parts(product)),
        // Reports of version 2 do not name their CPU; only Milan and Genoa ever wrote them.
        None => format!("{version} ({} in the layout of Milan and Genoa)", version.parts(Product::Genoa)),
    }
}

fn head(fields: &Fields, product: Option<Product>) -> Section {
    let mut section = Section::new("SEV-SNP attestation report");
    section.row("version", fields.version);
    match (fields.cpuid, product) {
        (Some(cpu), Some(product)) => {
            let (family, model, stepping) = (cpu.family, cpu.model, cpu.stepping);
            section.row(
                "cpu",
                format!("family {family:#x}, model {model:#x}, stepping {stepping:#x}: {product}"),
            );
        }
        (Some(cpu), None) => {
            let (family, model, stepping) = (cpu.family, cpu.model, cpu.stepping);
            section.row(
                "cpu",
                format!("family {family:#x}, model {model:#x}, stepping {stepping:#x}: unknown line"),
            );
        }
        (None, _) => section.row("cpu", "not stated before version 3"),
    }
    let algorithm = if fields.signature_algorithm == 1 { "ECDSA P-384 with SHA-384" } else { "unknown" };
    section.row("signature algorithm", format!("{} ({algorithm})", fields.signature_algorithm));
    let level = if fields.vmpl == 0 { " (the highest privilege)" } else { "" };
    section.row("vmpl", format!("{}{level}", fields.vmpl));
    section.row("report data", fields.report_data);
    let reserved: Vec<String> = fields.reserved_set.iter().map(|at| format!("{at:#x}")).collect();
    let reserved =
        if reserved.is_empty() { "all zero".to_owned() } else { format!("set at {}", reserved.join(", ")) };
    section.row("reserved bytes", reserved);
    section
}

fn guest_policy(policy: GuestPolicy) -> Section {
    let mut section = Section::new("guest policy (what the guest's owner demands and allows)");
    section.row("raw", format!("{:#018x}", policy.0));
    let (major, minor) = policy.abi();
    section.row("bits 0-15 ABI_MINOR, ABI_MAJOR", format!("firmware ABI {major}.{minor} or newer"));
    flags(&mut section, &POLICY_BITS, |bit| policy.bit(bit));
    section.row("bits 26-63 reserved", format!("{:#x}", policy.0 >> 26));
    section
}

fn platform_info(info: PlatformInfo) -> Section {
    let mut section = Section::new("platform info (what the machine has switched on)");
    section.row("raw", format!("{:#018x}", info.0));
    flags(&mut section, &PLATFORM_BITS, |bit| info.bit(bit));
    section.row("bits 6, 8-63 without a name", format!("{:#x}", info.0 & !0xbf));
    section
}

fn key_info(info: KeyInfo) -> Section {
    let mut section = Section::new("key info (who signed)");
    section.row("raw", format!("{:#010x}", info.0));
    flags(&mut section, &KEY_BITS, |bit| info.0.checked_shr(bit).is_some_and(|shifted| shifted & 1 == 1));
    section.row("bits 2-4 SIGNING_KEY", format!("{} ({})", (info.0 >> 2) & 7, info.signing_key()));
    section.row("bits 5-31 reserved", format!("{:#x}", info.reserved()));
    section
}

fn tcb_section(fields: &Fields, product: Option<Product>) -> Section {
    let mut section = Section::new("trusted computing base (security versions)");
    section.row("reported", tcb(fields.reported_tcb, product));
    section.row("current", tcb(fields.current_tcb, product));
    section.row("committed", tcb(fields.committed_tcb, product));
    section.row("at launch", tcb(fields.launch_tcb, product));
    for (name, firmware) in
        [("current firmware", fields.current_firmware), ("committed firmware", fields.committed_firmware)]
    {
        section.row(name, format!("{}.{} build {}", firmware.major, firmware.minor, firmware.build));
    }
    let vector = |of: fn(attest::snp::Mitigations) -> u64| {
        fields
            .mitigations
            .map_or("not stated before version 5".to_owned(), |found| format!("{:#018x}", of(found)))
    };
    section.row("mitigations at launch", vector(|found| found.launch));
    section.row("mitigations now", vector(|found| found.current));
    section
}

fn guest(fields: &Fields) -> Section {
    let mut section = Section::new("guest");
    section.row("measurement", fields.measurement);
    section.row("host data", fields.host_data);
    section.row("guest svn", fields.guest_svn);
    section.row("family id", fields.family_id);
    section.row("image id", fields.image_id);
    section.row("id key digest", fields.id_key_digest);
    section.row("author key digest", fields.author_key_digest);
    section.row("report id", fields.report_id);
    let agent = if fields.report_id_ma.0 == [0xff; 32] { " (no migration agent)" } else { "" };
    section.row("report id of migration agent", format!("{}{agent}", fields.report_id_ma));
    section
}

fn chip(fields: &Fields, product: Option<Product>) -> Section {
    let mut section = Section::new("chip");
    let hidden = if fields.chip_id.is_zero() { " (masked, or signed by a VLEK)" } else { "" };
    section.row("chip id", format!("{}{hidden}", fields.chip_id));
    if let Some(product) = product {
        section.row("endorsement at AMD", endorsement(fields, product));
        let kind = if fields.key_info.signing_key() == SigningKey::Vlek { "vlek" } else { "vcek" };
        section.row("revocation list at AMD", format!("{KEY_SERVICE}/{kind}/v1/{product}/crl"));
    }
    section
}

/// Where AMD's key distribution service has the certificate (AMD 57230 r1.00, section 4.1).
fn endorsement(fields: &Fields, product: Product) -> String {
    if fields.key_info.signing_key() != SigningKey::Vcek || fields.chip_id.is_zero() {
        return "none: a VLEK comes from the cloud provider".to_owned();
    }
    let id = fields.chip_id.0.get(..product.chip_id_len()).unwrap_or_default();
    let Tcb { fmc, bl, tee, snp, ucode } = fields.reported_tcb.parts(product);
    let fmc = fmc.map_or(String::new(), |fmc| format!("fmcSPL={fmc:02}&"));
    let levels = format!("{fmc}blSPL={bl:02}&teeSPL={tee:02}&snpSPL={snp:02}&ucodeSPL={ucode:02}");
    format!("{KEY_SERVICE}/vcek/v1/{product}/{}?{levels}", hex::encode(id))
}

/// r and s, as the chip wrote them: 72 bytes each, little-endian, then 368 bytes of nothing.
fn signature(report: &Report<'_>) -> Section {
    let mut section = Section::new("signature (little-endian, as received)");
    let bytes = report.bytes();
    for (name, range) in [("r", 0x2a0..0x2e8), ("s", 0x2e8..0x330)] {
        section.row(name, hex::encode(bytes.get(range).unwrap_or_default()));
    }
    section
}

fn flags(section: &mut Section, table: &[Flag], bit: impl Fn(u32) -> bool) {
    for (at, name, set, clear) in table {
        let value = if bit(*at) { format!("set: {set}") } else { format!("clear: {clear}") };
        section.row(format!("bit {at} {name}"), value);
    }
}

/// Bit, name, what it means when set, what it means when clear.
type Flag = (u32, &'static str, &'static str, &'static str);

const POLICY_BITS: [Flag; 10] = [
    (16, "SMT", "may run with simultaneous multithreading", "must not run with simultaneous multithreading"),
    (17, "reserved", "as it must be", "must be set"),
    (18, "MIGRATE_MA", "a migration agent may export the guest", "no migration agent"),
    (19, "DEBUG", "THE HOST MAY READ AND WRITE THE GUEST'S MEMORY", "the host may not debug the guest"),
    (20, "SINGLE_SOCKET", "runs on one socket only", "may run on several sockets"),
    (21, "CXL_ALLOW", "CXL devices and memory are allowed", "no CXL devices or memory"),
    (
        22,
        "MEM_AES_256_XTS",
        "memory must be encrypted with AES-256-XTS",
        "AES-128-XEX memory encryption will do",
    ),
    (23, "RAPL_DIS", "running average power limit must be off", "running average power limit may be on"),
    (24, "CIPHERTEXT_HIDING_DRAM", "the host must not see ciphertext", "the host may see ciphertext"),
    (25, "PAGE_SWAP_DISABLE", "the host may not move or swap pages", "the host may move and swap pages"),
];

const PLATFORM_BITS: [Flag; 7] = [
    (0, "SMT_EN", "simultaneous multithreading is on", "simultaneous multithreading is off"),
    (1, "TSME_EN", "transparent memory encryption is on", "transparent memory encryption is off"),
    (2, "ECC_EN", "memory has error correction", "memory has no error correction"),
    (3, "RAPL_DIS", "running average power limit is off", "running average power limit is on"),
    (4, "CIPHERTEXT_HIDING_DRAM_EN", "ciphertext is hidden from the host", "the host sees ciphertext"),
    (
        5,
        "ALIAS_CHECK_COMPLETE",
        "memory was checked for aliases since reset",
        "MEMORY WAS NOT CHECKED FOR ALIASES",
    ),
    (7, "TIO_EN", "trusted I/O is on", "trusted I/O is off"),
];

const KEY_BITS: [Flag; 2] = [
    (0, "AUTHOR_KEY_EN", "the author key's digest is shown", "no author key"),
    (1, "MASK_CHIP_KEY", "THE REPORT IS NOT SIGNED", "the report is signed"),
];

const KEY_SERVICE: &str = "https://kdsintf.amd.com";
