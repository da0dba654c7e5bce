//! What a policy asks of a TPM quote.

use serde::Deserialize;

use crate::check::Checks;
use crate::tpm::Claims;

use super::Reference;

/// The section `[tpm]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TpmPolicy {}

impl TpmPolicy {
    pub(crate) fn reference_ids(&self) -> impl Iterator<Item = &str> {
        std::iter::empty()
    }

    pub(crate) fn appraise(&self, claims: &Claims, _references: &[Reference], checks: &mut Checks) {
        checks.ask("tpm.quote", false, "rules", format!("{} PCRs", claims.pcr_digest.len()));
    }
}
