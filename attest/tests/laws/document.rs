//! Policies as tables of dotted keys, so that a test can change or leave out exactly one.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// A policy about to be written: dotted key → TOML value.
#[derive(Clone, Debug)]
pub(crate) struct Document(BTreeMap<String, String>);

impl Document {
    /// A full policy that admits every simulated chip as [`crate::silicon`] makes them.
    pub(crate) fn admitting_simulated() -> Self {
        let mut document = Self(BTreeMap::new());
        for (key, value) in FULL {
            document = document.with(key, value);
        }
        for (line, tcb) in TCB {
            for part in ["reported", "current", "committed", "launch"] {
                document = document.with(&format!("snp.tcb.{line}.{part}"), tcb);
            }
        }
        let image = format!(
            r#"[{{ id = "image", value = "{}", provenance = "the simulator's default" }}]"#,
            "5a".repeat(48)
        );
        document.with("reference", &image)
    }

    /// A full policy that admits the quotes that [`crate::software_tpm`] makes.
    pub(crate) fn admitting_quotes() -> Self {
        let document = FULL.iter().filter(|(key, _)| !key.starts_with("snp."));
        let document =
            document.fold(Self(BTreeMap::new()), |document, (key, value)| document.with(key, value));
        TPM.iter().fold(document, |document, (key, value)| document.with(key, value))
    }

    /// A full policy that admits every TD as [`crate::td`] makes them.
    pub(crate) fn admitting_tds() -> Self {
        let document = FULL.iter().filter(|(key, _)| !key.starts_with("snp."));
        let document =
            document.fold(Self(BTreeMap::new()), |document, (key, value)| document.with(key, value));
        let references = [("td", 0x7d), ("rtmr0", 0x10), ("rtmr1", 0x11), ("rtmr2", 0x12), ("rtmr3", 0x13)];
        let references: Vec<String> = references
            .iter()
            .map(|(id, byte)| {
                let value = format!("{byte:02x}").repeat(48);
                format!(r#"{{ id = "{id}", value = "{value}", provenance = "the simulator's default" }}"#)
            })
            .collect();
        let document = document.with("reference", &format!("[{}]", references.join(", ")));
        TDX.iter().fold(document, |document, (key, value)| document.with(key, value))
    }

    /// The same, for such hardware under an Azure paravisor as [`crate::azure`] makes it.
    pub(crate) fn under_a_paravisor(self) -> Self {
        let document = TPM.iter().fold(self, |document, (key, value)| document.with(key, value));
        let document = document.with("tpm.ak", r#"{ any_of = ["paravisor"] }"#);
        AZURE.iter().fold(document, |document, (key, value)| document.with(key, value))
    }

    /// Sets a key.
    pub(crate) fn with(mut self, key: &str, value: &str) -> Self {
        self.0.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Leaves a key out, or all keys under it.
    pub(crate) fn without(mut self, key: &str) -> Self {
        let before = self.0.len();
        let under = format!("{key}.");
        self.0.retain(|found, _| found != key && !found.starts_with(&under));
        assert!(self.0.len() < before, "the policy has no {key}");
        self
    }

    /// Waives checks, each with a reason and a ticket.
    pub(crate) fn waiving(self, checks: &[&str], until: &str) -> Self {
        let waivers: Vec<String> = checks.iter().map(|check| waiver(check, until)).collect();
        self.with("waive", &format!("[{}]", waivers.join(", ")))
    }

    /// The keys.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The TOML.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for (key, value) in &self.0 {
            writeln!(text, "{key} = {value}").unwrap();
        }
        text
    }
}

fn waiver(check: &str, until: &str) -> String {
    format!(r#"{{ check = "{check}", reason = "test", ticket = "T-1", until = "{until}" }}"#)
}

const FULL: [(&str, &str); 42] = [
    ("name", r#""simulated""#),
    ("version", "1"),
    ("expires", r#""2048-01-01T00:00:00Z""#),
    ("insecure-accept-simulated-roots", "true"),
    ("freshness.verdict_seconds", "300"),
    ("freshness.collateral_days", "60"),
    ("snp.products", r#"{ any_of = ["milan", "genoa", "turin"] }"#),
    ("snp.insecure-allow-milan", "true"),
    ("snp.report_version", "{ min = 2 }"),
    ("snp.signing_key", r#"{ any_of = ["vcek", "vlek"] }"#),
    ("snp.provider", r#"{ any_of = ["CN=cc-simulated.example.com"] }"#),
    ("snp.chips", r#""any""#),
    ("snp.vmpl", "{ any_of = [0] }"),
    ("snp.measurement", r#"{ any_of = ["image"] }"#),
    ("snp.host_data", ZERO_32),
    ("snp.family_id", ZERO_16),
    ("snp.image_id", ZERO_16),
    ("snp.guest_svn", "{ min = 0 }"),
    ("snp.id_key_digest", ZERO_48),
    ("snp.author_key_digest", ZERO_48),
    ("snp.report_id_ma", ONES_32),
    ("snp.guest_policy.abi", "{ min = [0, 0] }"),
    ("snp.guest_policy.smt", r#""any""#),
    ("snp.guest_policy.migrate_ma", r#""clear""#),
    ("snp.guest_policy.debug", r#""clear""#),
    ("snp.guest_policy.single_socket", r#""clear""#),
    ("snp.guest_policy.cxl", r#""clear""#),
    ("snp.guest_policy.mem_aes_256_xts", r#""clear""#),
    ("snp.guest_policy.rapl_dis", r#""clear""#),
    ("snp.guest_policy.ciphertext_hiding", r#""clear""#),
    ("snp.guest_policy.page_swap_disable", r#""clear""#),
    ("snp.platform_info.smt", r#""set""#),
    ("snp.platform_info.tsme", r#""clear""#),
    ("snp.platform_info.ecc", r#""set""#),
    ("snp.platform_info.rapl_dis", r#""clear""#),
    ("snp.platform_info.ciphertext_hiding", r#""clear""#),
    ("snp.platform_info.alias_check_complete", r#""set""#),
    ("snp.platform_info.tio", r#""clear""#),
    ("snp.platform_info.unnamed", "0"),
    ("snp.mitigations.launch", "{ mask = 0, value = 0 }"),
    ("snp.mitigations.current", "{ mask = 0, value = 0 }"),
    ("waive", "[]"),
];

const TPM: [(&str, &str); 8] = [
    ("tpm.ak", r#"{ any_of = ["enrolled"] }"#),
    ("tpm.attestation_keys", r#""any""#),
    ("tpm.signature_hash", r#"{ any_of = ["sha256"] }"#),
    ("tpm.banks", r#"{ any_of = ["sha256"] }"#),
    ("tpm.required", "[0, 4, 7]"),
    ("tpm.pcrs", r#""any""#),
    ("tpm.clock_safe", r#""set""#),
    ("tpm.firmware_version", r#""any""#),
];

const AZURE: [(&str, &str); 6] = [
    ("azure.secure_boot", r#""set""#),
    ("azure.tpm_enabled", r#""set""#),
    ("azure.console_enabled", r#""any""#),
    ("azure.tpm_persisted", r#""any""#),
    ("azure.vm_ids", r#""any""#),
    ("azure.root_cert_thumbprints", r#""any""#),
];

const TDX: [(&str, &str); 33] = [
    ("tdx.tcb_status", r#"{ any_of = ["UpToDate"] }"#),
    ("tdx.advisories", r#"{ none_of = ["INTEL-SA-00001"] }"#),
    ("tdx.tcb_evaluation_data_number", "{ min = 20 }"),
    ("tdx.platforms", r#""any""#),
    ("tdx.fmspc", r#"{ any_of = ["b0c06f000000"] }"#),
    ("tdx.modules", "[{ version = 0, min_svn = 5 }, { version = 1, min_svn = 6 }]"),
    ("tdx.pce_svn", "{ min = 13 }"),
    ("tdx.qe_svn", "{ min = 6 }"),
    ("tdx.mrseam", r#""any""#),
    ("tdx.report", r#"{ any_of = ["1.0", "1.5", "1.5-ex"] }"#),
    ("tdx.mrtd", r#"{ any_of = ["td"] }"#),
    ("tdx.rtmr0", r#"{ any_of = ["rtmr0"] }"#),
    ("tdx.rtmr1", r#"{ any_of = ["rtmr1"] }"#),
    ("tdx.rtmr2", r#"{ any_of = ["rtmr2"] }"#),
    ("tdx.rtmr3", r#"{ any_of = ["rtmr3"] }"#),
    ("tdx.mrconfigid", ZERO_48),
    ("tdx.mrowner", ZERO_48),
    ("tdx.mrownerconfig", ZERO_48),
    ("tdx.mrservicetd", ZERO_48),
    ("tdx.td_attributes.debug", r#""clear""#),
    ("tdx.td_attributes.profiling", r#""clear""#),
    ("tdx.td_attributes.icssd", r#""clear""#),
    ("tdx.td_attributes.servtd_ext", r#""clear""#),
    ("tdx.td_attributes.lass", r#""clear""#),
    ("tdx.td_attributes.sept_ve_disable", r#""set""#),
    ("tdx.td_attributes.migratable", r#""clear""#),
    ("tdx.td_attributes.pks", r#""clear""#),
    ("tdx.td_attributes.kl", r#""clear""#),
    ("tdx.td_attributes.tpa", r#""clear""#),
    ("tdx.td_attributes.perfmon", r#""clear""#),
    ("tdx.td_attributes.unnamed", "0"),
    ("tdx.xfam", "{ mask = 0xffffffff, value = 0x602e7 }"),
    ("tdx.grace", "[]"),
];

const ZERO_16: &str = r#"{ any_of = ["00000000000000000000000000000000"] }"#;
const ZERO_32: &str = r#"{ any_of = ["0000000000000000000000000000000000000000000000000000000000000000"] }"#;
const ONES_32: &str = r#"{ any_of = ["ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"] }"#;
const ZERO_48: &str = r#"{ any_of = ["000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"] }"#;

/// What the simulated chips run.
const TCB: [(&str, &str); 3] = [
    ("milan", "{ bl = 4, tee = 0, snp = 24, ucode = 219 }"),
    ("genoa", "{ bl = 10, tee = 0, snp = 25, ucode = 84 }"),
    ("turin", "{ fmc = 1, bl = 2, tee = 3, snp = 4, ucode = 71 }"),
];
