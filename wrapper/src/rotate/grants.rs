//! Between what is said to a fetcher and what a tenant thinks in.
//!
//! Trusted: the fetcher; its terms were checked when they came in.

use std::time::Duration;

use super::holding::{Bond, Grant, How, Of};
use super::tenant::Want;
use crate::config::{Source, Wanted};
use crate::errand::{Errand, Term};

/// What OpenBao said, for a tenant.
pub(super) fn grants(terms: &[Term], wanted: &[Wanted]) -> Vec<Grant> {
    let grant = |term: &Term| Grant {
        of: term.of,
        bond: bond(term, wanted),
        lasts: Duration::from_secs(term.seconds),
        renewable: term.renewable,
    };
    terms.iter().map(grant).collect()
}

fn bond(term: &Term, wanted: &[Wanted]) -> Bond {
    let Of::Secret(index) = term.of else { return Bond::Free };
    if term.lease.is_some() {
        return Bond::Lease;
    }
    // A request with parameters is a write: it makes something, as `pki/issue` does.
    match wanted.get(usize::from(index)).map(|wanted| &wanted.source) {
        Some(Source::Path { parameters, .. }) if !parameters.is_empty() => Bond::Draw,
        Some(Source::Path { .. } | Source::Release { .. }) | None => Bond::Free,
    }
}

/// What a tenant wants, for a fetcher.
pub(super) fn errand(wants: &[Want], terms: &[Term]) -> Errand {
    let term = |want: &Want| {
        let term = terms.iter().find(|term| term.of == want.of)?.clone();
        let renewable = term.renewable && want.how == How::Extend;
        Some(Term { renewable, ..term })
    };
    Errand::Renew { terms: wants.iter().filter_map(term).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted() -> Vec<Wanted> {
        let path = |parameters: &[(&str, &str)]| Source::Path {
            path: "a/b".to_owned(),
            parameters: parameters
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        };
        let release = Source::Release { mount: "attest-keys".to_owned(), key: "db".to_owned() };
        let sources = [path(&[]), path(&[("common_name", "a.example")]), release];
        sources.map(|source| Wanted { source, targets: vec![] }).into()
    }

    fn term(of: Of, lease: Option<&str>) -> Term {
        Term { of, lease: lease.map(str::to_owned), seconds: 60, renewable: true, version: None }
    }

    #[test]
    fn what_a_value_hangs_on_is_seen_from_its_lease_and_from_how_it_is_asked_for() {
        let terms = [
            term(Of::Token, None),
            term(Of::Secret(0), Some("database/creds/app/x")),
            term(Of::Secret(0), None),
            term(Of::Secret(1), None),
            term(Of::Secret(2), None),
        ];
        let bonds: Vec<Bond> = grants(&terms, &wanted()).iter().map(|grant| grant.bond).collect();
        assert_eq!(bonds, [Bond::Free, Bond::Lease, Bond::Free, Bond::Draw, Bond::Free]);
    }

    #[test]
    fn a_lease_that_is_to_be_taken_out_anew_is_sent_as_not_renewable() {
        let terms = [term(Of::Token, None), term(Of::Secret(0), Some("x"))];
        let wants = [(Of::Secret(0), How::Anew), (Of::Token, How::Extend)].map(|(of, how)| Want { of, how });
        let sent = [Term { renewable: false, ..term(Of::Secret(0), Some("x")) }, term(Of::Token, None)];
        assert_eq!(errand(&wants, &terms), Errand::Renew { terms: sent.into() });
    }
}
