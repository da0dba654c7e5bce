//! Records that are no decisions: what their own form says they are.
//!
//! A verifier signs them as it signs decisions, and writes them into the same log. They hold nothing that could be judged
//! again; who asks for that is told what he has.
//!
//! Untrusted: all of it.

use minicbor::Decoder;

use crate::log::Kind;

/// What this is the record of, if it is none of a decision.
pub(super) fn what(record: &[u8]) -> Option<&'static str> {
    let mut decoder = Decoder::new(record);
    decoder.array().ok()?;
    match decoder.str().ok()? {
        "cloudtaser/statement/v1" => Some(decoder.decode().map_or("an event", stated)),
        "cloudtaser/token-release/v1" => Some("a release by token"),
        "cloudtaser/collateral-import/v1" => Some("an import of collateral"),
        _ => None,
    }
}

fn stated(kind: Kind) -> &'static str {
    match kind {
        Kind::Admission => "an admission",
        Kind::Refusal => "a refusal",
        Kind::TokenRelease => "a release by token",
        Kind::Seal => "a sealing",
        Kind::Revocation => "a revocation",
        Kind::Reinstatement => "a reinstatement",
        Kind::Governance => "a step of the rule by several",
        Kind::Emergency => "an emergency",
        Kind::CollateralImport => "an import of collateral",
        Kind::Renewal => "a renewal",
    }
}

#[cfg(test)]
mod tests {
    use super::super::BadBundle;
    use super::super::record::Record;

    #[test]
    fn a_record_of_something_else_says_what_it_is() {
        let told = |record: &[u8]| Record::parse(record).map(drop).map_err(|why| why.to_string());
        let statement = [&[0x85, 0x77][..], b"cloudtaser/statement/v1", &[5, 0, 0x60, 0xa0]].concat();
        let expected = "a record of a revocation, not of a decision to replay: `evidence log verify` holds it \
                        against the log";
        assert_eq!(told(&statement), Err(expected.to_owned()));
        let released = [&[0x86, 0x78, 27][..], b"cloudtaser/token-release/v1"].concat();
        assert!(matches!(Record::parse(&released), Err(BadBundle::NoDecision("a release by token"))));
        let unknown = [&[0x86, 0x66][..], b"spoken"].concat();
        assert!(matches!(Record::parse(&unknown), Err(BadBundle::Content(_))));
    }
}
