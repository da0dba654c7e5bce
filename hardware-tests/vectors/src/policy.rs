//! The production policy that `policy-reject` entries are held against.
//!
//! Strict in everything that does not depend on the machine; the evidence's own measurement or PCR values
//! are its reference values, so that what refuses is a rule and not an unknown image.

use attest::crypto::AwsLcRs;
use attest::{BadPolicy, Policy};

/// The policy for SNP guests with this launch measurement.
pub(crate) fn snp(measurement: &str) -> Result<Policy, BadPolicy> {
    Policy::parse(&AwsLcRs, &SNP.replace("@MEASUREMENT@", measurement))
}

/// The policy for TPM quotes whose PCR values are `pcrs`: bank, index, value in hex.
pub(crate) fn tpm(pcrs: &[(String, u32, String)]) -> Result<Policy, BadPolicy> {
    Policy::parse(&AwsLcRs, &TPM.replace("@REFERENCES@", &references(pcrs)).replace("@PCRS@", &rules(pcrs)))
}

/// The policy for Azure machines with this launch measurement of the paravisor and these PCR values.
pub(crate) fn azure(measurement: &str, pcrs: &[(String, u32, String)]) -> Result<Policy, BadPolicy> {
    let (_, tpm) = TPM.split_once("[tpm]").unwrap_or_default();
    let text = SNP.replace("@MEASUREMENT@", measurement) + AZURE + tpm;
    let text = text.replace("[snp]\n", &format!("{}[snp]\n", references(pcrs)));
    Policy::parse(&AwsLcRs, &text.replace("@PCRS@", &rules(pcrs)))
}

fn references(pcrs: &[(String, u32, String)]) -> String {
    let reference = |(bank, index, value): &(String, u32, String)| {
        format!(
            "[[reference]]\nid = \"{bank}-{index}\"\nvalue = \"{value}\"\nprovenance = \"the evidence itself\"\n"
        )
    };
    pcrs.iter().map(reference).collect()
}

fn rules(pcrs: &[(String, u32, String)]) -> String {
    let rule = |(bank, index, _): &(String, u32, String)| {
        format!("[[tpm.pcrs]]\nbank = \"{bank}\"\nindex = {index}\nany_of = [\"{bank}-{index}\"]\n")
    };
    pcrs.iter().map(rule).collect()
}

/// The policy for Nitro documents whose registers are `pcrs`: index, value in hex.
pub(crate) fn nitro(pcrs: &[(u8, String)]) -> Result<Policy, BadPolicy> {
    let references = pcrs.iter().map(|(index, value)| {
        format!(
            "[[reference]]\nid = \"pcr{index}\"\nvalue = \"{value}\"\nprovenance = \"the evidence itself\"\n"
        )
    });
    let rules = |section: &str| -> String {
        let rule = |(index, _): &(u8, String)| {
            format!("[[{section}.pcrs]]\nindex = {index}\nany_of = [\"pcr{index}\"]\n")
        };
        pcrs.iter().map(rule).collect()
    };
    let references: String = references.collect();
    let text = NITRO.replace("@REFERENCES@", &references).replace("@PCRS@", &rules("nitro"));
    Policy::parse(&AwsLcRs, &text.replace("@TPM_PCRS@", &rules("nitro-tpm")))
}

/// The policy for TDs with this initial measurement.
pub(crate) fn tdx(report: &attest::tdx::TdReport) -> Result<Policy, BadPolicy> {
    Policy::parse(&AwsLcRs, &TDX.replace("@MRTD@", &report.mrtd.to_string()))
}

/// The policy for what event logs tell.
pub(crate) fn boot() -> Result<Policy, BadPolicy> {
    Policy::parse(&AwsLcRs, BOOT)
}

const BOOT: &str = include_str!("boot.policy.toml");
const SNP: &str = include_str!("snp.policy.toml");
const TPM: &str = include_str!("tpm.policy.toml");
const TDX: &str = include_str!("tdx.policy.toml");
/// What the paravisor says, and the head of the TPM's section.
const AZURE: &str = include_str!("azure.policy.toml");
const NITRO: &str = include_str!("nitro.policy.toml");
