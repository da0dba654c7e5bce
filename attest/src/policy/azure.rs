//! What a policy asks of an Azure confidential virtual machine.
//!
//! This section asks what the paravisor says of the machine. The hardware under it is asked by `[snp]` or
//! `[tdx]`, the guest by `[tpm]`: a policy without them admits no such machine. Every field that is not set
//! refuses, by name. `"any"` is a setting: somebody wrote it.

use serde::Deserialize;

use crate::azure::Claims;
use crate::check::Checks;

use super::operators::{Among, Bit};
use super::snp::{among, ask};

/// The section `[azure]`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AzurePolicy {
    secure_boot: Option<Bit>,
    tpm_enabled: Option<Bit>,
    console_enabled: Option<Bit>,
    tpm_persisted: Option<Bit>,
    vm_ids: Option<Among<String>>,
    root_cert_thumbprints: Option<Among<String>>,
}

impl AzurePolicy {
    /// Asks everything, in a fixed order.
    pub(crate) fn appraise(&self, claims: &Claims, checks: &mut Checks) {
        let vm = &claims.runtime.vm;
        bit(checks, "azure.vm.secure_boot", self.secure_boot, vm.secure_boot);
        bit(checks, "azure.vm.tpm_enabled", self.tpm_enabled, vm.tpm_enabled);
        bit(checks, "azure.vm.console_enabled", self.console_enabled, vm.console_enabled);
        bit(checks, "azure.vm.tpm_persisted", self.tpm_persisted, vm.tpm_persisted);
        let named = |name: &Option<String>| name.clone().unwrap_or(UNSAID.to_owned());
        among(checks, "azure.vm.id", self.vm_ids.as_ref(), named(&vm.unique_id));
        let thumbprint = named(&vm.root_cert_thumbprint);
        among(checks, "azure.vm.root_cert", self.root_cert_thumbprints.as_ref(), thumbprint);
    }
}

/// What the paravisor does not say is neither set nor clear: only `"any"` allows it.
fn bit(checks: &mut Checks, id: &str, rule: Option<Bit>, found: Option<bool>) {
    let words = match found {
        Some(true) => "set",
        Some(false) => "clear",
        None => UNSAID,
    };
    let allows = |bit: &Bit| found.map_or(*bit == Bit::Any, |found| bit.allows(found));
    ask(checks, id, rule, allows, ToString::to_string, words);
}

const UNSAID: &str = "not said";
