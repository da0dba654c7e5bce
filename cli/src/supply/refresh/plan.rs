//! What to fetch now.
//!
//! What a machine waits for comes first; then what ends soon; then lists and documents that are a day old, because a
//! revocation must arrive before the old list ends. Trusted: the status and the clock.

use std::collections::BTreeSet;

use attest::UnixTime;
use attest::collateral::{Kind, Want};
use attest::snp::Product;

use crate::supply::mount::{Status, Stored};

/// What should be in store although no machine asked yet.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Seeds {
    pub(crate) lines: Vec<Product>,
    pub(crate) fmspcs: Vec<String>,
}

/// What to fetch, the most urgent first. `has_issuer` says which issuers' certificates are at hand.
pub(crate) fn plan(
    status: &Status,
    seeds: &Seeds,
    has_issuer: impl Fn(&str) -> bool,
    now: UnixTime,
) -> Vec<Want> {
    let mut wants: Vec<Want> =
        status.missing.iter().map(|missing| Want { kind: missing.kind, key: missing.key.clone() }).collect();
    let held: BTreeSet<(Kind, &str)> =
        status.entries.iter().map(|stored| (stored.kind, stored.key.as_str())).collect();
    wants.extend(seeds.wants().into_iter().filter(|want| !held.contains(&(want.kind, want.key.as_str()))));
    let mut due: Vec<&Stored> = status.entries.iter().filter(|stored| stored.is_old(now)).collect();
    due.extend(&status.expiring);
    due.sort_by_key(|stored| stored.until);
    wants.extend(due.into_iter().map(|stored| Want { kind: stored.kind, key: stored.key.clone() }));
    let mut issuers = BTreeSet::new();
    for want in &wants {
        issuers.extend(issuer_of(want).filter(|name| !has_issuer(name)));
    }
    let issuers = issuers.into_iter().map(|key| Want { kind: Kind::Issuer, key });
    let mut seen = BTreeSet::new();
    issuers.chain(wants).filter(|want| seen.insert(want.clone())).collect()
}

impl Stored {
    /// Whether there may be a newer one: of certificates there is none until the old one ends.
    fn is_old(&self, now: UnixTime) -> bool {
        let renewed = match self.kind {
            Kind::Crl | Kind::RootCrl | Kind::PckCrl | Kind::TcbInfo | Kind::QeIdentity => true,
            Kind::Vek | Kind::Issuer | _ => false,
        };
        renewed && now.since(self.from) >= OLD
    }
}

impl Seeds {
    fn wants(&self) -> Vec<Want> {
        let want = |kind, key: &str| Want { kind, key: key.to_owned() };
        let mut wants = Vec::new();
        for line in &self.lines {
            wants.push(want(Kind::Issuer, &format!("SEV-{line}")));
            wants.push(want(Kind::Crl, &format!("ARK-{line}")));
        }
        for fmspc in &self.fmspcs {
            wants.push(want(Kind::TcbInfo, &format!("{fmspc}.0000")));
        }
        if !self.fmspcs.is_empty() {
            wants.push(want(Kind::QeIdentity, "TD_QE"));
            wants.push(want(Kind::RootCrl, "Intel SGX Root CA"));
            wants.push(want(Kind::PckCrl, "Intel SGX PCK Platform CA"));
            wants.push(want(Kind::PckCrl, "Intel SGX PCK Processor CA"));
        }
        wants
    }
}

/// Whose certificate it takes to verify what a source serves.
fn issuer_of(want: &Want) -> Option<String> {
    match want.kind {
        Kind::TcbInfo | Kind::QeIdentity => return Some("Intel SGX TCB Signing".to_owned()),
        // The list of an authority goes by the authority's name.
        Kind::PckCrl => return Some(want.key.clone()),
        Kind::Vek | Kind::Issuer | Kind::Crl | Kind::RootCrl | _ => {}
    }
    let (line, _) = want.key.split_once('.').filter(|_| want.kind == Kind::Vek)?;
    let line = Product::ALL.into_iter().find(|product| product.name().eq_ignore_ascii_case(line))?;
    Some(format!("SEV-{line}"))
}

/// A day.
const OLD: u64 = 86_400;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supply::mount::Missing;

    const NOW: UnixTime = UnixTime(1_800_000_000);

    fn stored(kind: Kind, key: &str, age: u64, left: u64) -> Stored {
        Stored {
            kind,
            key: key.to_owned(),
            sha256: String::new(),
            from: UnixTime(NOW.0.saturating_sub(age)),
            until: NOW.plus(left),
        }
    }

    fn status(entries: Vec<Stored>, expiring: Vec<Stored>, missing: &[(Kind, &str)]) -> Status {
        let missing = missing.iter().map(|(kind, key)| Missing { kind: *kind, key: (*key).to_owned() });
        Status { entries, expiring, missing: missing.collect() }
    }

    fn keys(wants: &[Want]) -> Vec<&str> {
        wants.iter().map(|want| want.key.as_str()).collect()
    }

    #[test]
    fn what_a_machine_waits_for_comes_first_and_nothing_twice() {
        let ending = stored(Kind::Vek, "milan.cd.02", 9_000_000, 60);
        let old = stored(Kind::Crl, "ARK-Genoa", OLD, 9_000_000);
        let older = stored(Kind::QeIdentity, "TD_QE", 2 * OLD, 1_000);
        let fresh = stored(Kind::RootCrl, "Intel SGX Root CA", OLD - 1, 9_000_000);
        let status = status(
            vec![old, older.clone(), fresh],
            vec![ending, older],
            &[(Kind::Vek, "genoa.ab.01"), (Kind::Crl, "ARK-Genoa")],
        );
        let found = plan(&status, &Seeds::default(), |_| true, NOW);
        assert_eq!(keys(&found), ["genoa.ab.01", "ARK-Genoa", "milan.cd.02", "TD_QE"]);
        let found = plan(&status, &Seeds::default(), |name| name != "SEV-Genoa", NOW);
        assert_eq!(keys(&found)[0], "SEV-Genoa", "the issuer is fetched before what it signed");
    }

    #[test]
    fn certificates_are_not_fetched_again_before_they_end() {
        let old = [Kind::Vek, Kind::Issuer].map(|kind| stored(kind, "x", 9_000_000, 9_000_000));
        assert_eq!(plan(&status(old.into(), vec![], &[]), &Seeds::default(), |_| true, NOW), []);
    }

    #[test]
    fn an_empty_store_is_filled_with_what_the_operator_names() {
        let seeds = Seeds { lines: vec![Product::Turin], fmspcs: vec!["90c06f000000".to_owned()] };
        let found = plan(&status(vec![], vec![], &[]), &seeds, |_| true, NOW);
        let expected = [
            "SEV-Turin",
            "ARK-Turin",
            "90c06f000000.0000",
            "TD_QE",
            "Intel SGX Root CA",
            "Intel SGX PCK Platform CA",
            "Intel SGX PCK Processor CA",
        ];
        assert_eq!(keys(&found), expected);
        let held = status(vec![stored(Kind::Crl, "ARK-Turin", 0, 9_000_000)], vec![], &[]);
        assert_eq!(plan(&held, &seeds, |_| true, NOW).len(), 6, "what is held and fresh is not fetched");
    }
}
