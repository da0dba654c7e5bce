//! What a policy asks of an Azure confidential virtual machine.
//!
//! Every field that is not set refuses, by name. `"any"` is a setting: somebody wrote it.

use serde::Deserialize;

use crate::azure::Claims;
use crate::check::Checks;

use super::Reference;
use super::snp::UNSET;

/// The section `[azure]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AzurePolicy {}

impl AzurePolicy {
    pub(crate) fn reference_ids(&self) -> impl Iterator<Item = &str> {
        let Self {} = self;
        std::iter::empty()
    }

    /// Asks everything, in a fixed order.
    pub(crate) fn appraise(&self, claims: &Claims, _references: &[Reference], checks: &mut Checks) {
        let Self {} = self;
        checks.ask("policy.platform", false, UNSET, claims.platform().name());
    }
}
