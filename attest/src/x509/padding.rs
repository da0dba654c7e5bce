//! What stands behind a certificate or a list: nothing.
//!
//! TPMs keep certificates in memories of fixed size, with zeros behind them. Whoever collects one cuts it; what was not
//! cut is not judged, under an error of its own that says so.
//!
//! Untrusted: every byte.

use crate::CannotJudge;

/// Refuses bytes behind a certificate: zeros, as in a TPM's memory, by their own name.
pub(super) fn nothing_behind(what: &'static str, rest: &[u8]) -> Result<(), CannotJudge> {
    if rest.is_empty() {
        return Ok(());
    }
    if rest.iter().all(|byte| *byte == 0) {
        return Err(CannotJudge::Padded { what, zeros: rest.len() });
    }
    let problem = format!("{} bytes follow the end", rest.len());
    Err(CannotJudge::Endorsement { what, problem })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_and_other_bytes_behind_have_names_of_their_own() {
        assert_eq!(nothing_behind("x", &[]), Ok(()));
        assert_eq!(nothing_behind("x", &[0, 0]), Err(CannotJudge::Padded { what: "x", zeros: 2 }));
        assert_eq!(nothing_behind("x", &[0, 1]).unwrap_err().code(), "endorsement.malformed");
    }
}
