//! Record first, release afterwards.
//!
//! `record` stores a decision and returns the [`Receipt`] that [`crate::seal::seal`] asks for: a
//! release without a stored record does not compile.
//!
//! ```compile_fail,E0061
//! # fn early(secret: &[u8], admitted: &attest::Admitted) {
//! // No receipt, no sealing.
//! let sealed = keyrelease::seal::seal(secret, 1, keyrelease::seal::Recipient::Admitted(admitted), attest::UnixTime(0));
//! # }
//! ```
//! ```compile_fail,E0624
//! # fn forge() {
//! let receipt = keyrelease::record::Receipt::assertion(keyrelease::record::DecisionId([0; 32]), vec![]);
//! # }
//! ```
//!
//! Trusted: the ledger, which is OpenBao's own storage.

use std::fmt;
use std::future::Future;

use attest::Admitted;

use crate::log::Draft;
use crate::vouch::Vouched;

/// The name of a decision: the nonce that was answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DecisionId(pub [u8; 32]);

impl fmt::Display for DecisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// Where records are kept: at the edge of the machine.
pub(crate) trait Ledger: Sync {
    /// Stores a decision for good; an id that is taken, or a challenge that was answered, is an error and nothing changes.
    fn append(&self, draft: Draft) -> impl Future<Output = Result<(), LedgerError>> + Send;
}

/// Proof that the record of one decision is stored. Not `Clone`: one record, one release.
#[derive(Debug)]
pub struct Receipt {
    id: DecisionId,
    subject: Vec<u8>,
}

impl Receipt {
    /// Says that the record is stored.
    fn assertion(id: DecisionId, subject: Vec<u8>) -> Self {
        Self { id, subject }
    }

    /// The decision that was recorded.
    #[must_use]
    pub fn id(&self) -> DecisionId {
        self.id
    }

    /// Whether this receipt is for that very decision.
    pub(crate) fn is_for(&self, subject: &[u8]) -> bool {
        self.subject == subject
    }
}

/// Stores the record of an admission.
pub(crate) async fn record(
    ledger: &impl Ledger,
    admitted: &Admitted,
    draft: Draft,
) -> Result<Receipt, LedgerError> {
    let id = draft.id();
    ledger.append(draft).await?;
    Ok(Receipt::assertion(id, subject_of(admitted)))
}

/// Stores the record of a release to the holder of an attested token.
pub(crate) async fn record_vouched(
    ledger: &impl Ledger,
    vouched: &Vouched,
    draft: Draft,
) -> Result<Receipt, LedgerError> {
    let id = draft.id();
    ledger.append(draft).await?;
    Ok(Receipt::assertion(id, vouched.subject()))
}

/// What a receipt of this admission is for: the appraisal and the key.
pub(crate) fn subject_of(admitted: &Admitted) -> Vec<u8> {
    [admitted.appraisal().to_cbor(), admitted.key().public.clone()].concat()
}

/// Why a record was not stored.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// The challenge was answered before.
    #[error("decision is on record already")]
    Taken,
    /// A bar was written since the decision was made.
    #[error("machine was barred while it was judged")]
    Barred,
    /// What it rests on is not in storage any more: it has to be judged again.
    #[error("another writer was faster")]
    Changed,
    /// The storage did not take it.
    #[error(transparent)]
    Storage(#[from] openbao_plugin::HostError),
    /// The log could not take it.
    #[error(transparent)]
    Log(#[from] openbao_plugin::Error),
    /// The writer ended before it answered.
    #[error("record was not written: the writer ended")]
    Lost,
}

impl From<LedgerError> for openbao_plugin::Error {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::Storage(error) => error.into(),
            LedgerError::Log(error) => error,
            LedgerError::Barred => Self::PermissionDenied(format!("refused: {error}")),
            LedgerError::Changed => Self::Coded { status: 409, message: error.to_string() },
            LedgerError::Taken | LedgerError::Lost => Self::Internal(error.to_string()),
        }
    }
}
