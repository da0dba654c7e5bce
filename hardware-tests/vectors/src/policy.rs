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
    let references = pcrs.iter().map(|(bank, index, value)| {
        format!("[[reference]]\nid = \"{bank}-{index}\"\nvalue = \"{value}\"\nprovenance = \"the evidence itself\"\n")
    });
    let rules = pcrs.iter().map(|(bank, index, _)| {
        format!("[[tpm.pcrs]]\nbank = \"{bank}\"\nindex = {index}\nany_of = [\"{bank}-{index}\"]\n")
    });
    let (references, rules): (String, String) = (references.collect(), rules.collect());
    Policy::parse(&AwsLcRs, &TPM.replace("@REFERENCES@", &references).replace("@PCRS@", &rules))
}

const SNP: &str = include_str!("snp.policy.toml");
const TPM: &str = include_str!("tpm.policy.toml");
