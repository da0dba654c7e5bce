//! What a policy asks of an Intel TD.
//!
//! Every field that is not set refuses, by name. `"any"` is a setting: somebody wrote it.

use serde::Deserialize;

use crate::check::Checks;
use crate::tdx::Claims;

use super::Reference;
use super::snp::UNSET;

/// The section `[tdx]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TdxPolicy {}

impl TdxPolicy {
    pub(crate) fn reference_ids(&self) -> impl Iterator<Item = &str> {
        let Self {} = self;
        std::iter::empty()
    }

    /// Asks everything, in a fixed order.
    pub(crate) fn appraise(&self, _claims: &Claims, _references: &[Reference], checks: &mut Checks) {
        let Self {} = self;
        checks.ask("policy.platform", false, UNSET, "tdx");
    }
}
