//! How much protection a key takes of who is given it: what is written with the key, and how a login meets it.
//!
//! On the way with evidence the demand is among the checks of the appraisal ([`attest::protection`]). A token carries what its login
//! reached in the metadata of its alias, so that the way with a token is no way around a demand.
//!
//! Trusted: the key's entry, and the metadata of the trusted auth mount. Untrusted: the request.

use std::collections::BTreeMap;

use attest::protection::{Check, Demand, Score};
use openbao_plugin::Error;

use crate::reply::bad_request;

/// What a write of a key says of its demand.
#[derive(Debug)]
pub(crate) struct Demanded {
    points: Option<u16>,
    checks: Option<Vec<Check>>,
}

/// Reads what a write says: a demand that nobody could meet is refused.
pub(crate) fn demanded(points: Option<u16>, checks: Option<Vec<Check>>) -> Result<Demanded, Error> {
    if let Some(found) = points.filter(|points| *points > Score::MAX) {
        let most = Score::MAX;
        return Err(bad_request(format!("min_protection: expected at most {most} points, found {found}")));
    }
    let twice = |checks: &Vec<Check>| {
        checks.iter().enumerate().any(|(at, one)| checks.iter().take(at).any(|earlier| earlier == one))
    };
    if checks.as_ref().is_some_and(twice) {
        return Err(bad_request("require_protection: expected each protection once, found one twice"));
    }
    Ok(Demanded { points, checks })
}

impl Demanded {
    /// What holds from now on: as it was, where nothing is said.
    pub(crate) fn over(self, before: Demand) -> Demand {
        Demand {
            min_protection: self.points.unwrap_or(before.min_protection),
            require_protection: self.checks.unwrap_or(before.require_protection),
        }
    }
}

/// What a login reached.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Reached {
    points: u16,
    checks: Vec<Check>,
}

/// Refuses a login that does not meet what a key demands.
pub(crate) fn meets(demand: &Demand, reached: Option<&Reached>) -> Result<(), Error> {
    let denied = |id: &str, expected: &str, found: &str| {
        Error::PermissionDenied(format!("refused: {id}: expected {expected}, found {found}"))
    };
    match reached {
        _ if demand.is_none() => Ok(()),
        None => Err(denied("protection.report", "a login with a protection report", "one without")),
        Some(Reached { points, checks }) => match demand.unmet(*points, checks) {
            Some((id, expected, found)) => Err(denied(&id, &expected, &found)),
            None => Ok(()),
        },
    }
}

/// The metadata that says what a login reached.
pub(crate) fn write(score: &Score) -> BTreeMap<String, String> {
    // Words and spaces: ACL templates take them.
    let checks: Vec<&str> = score.reached.iter().map(|check| check.name()).collect();
    [(POINTS, score.points.to_string()), (REACHED, checks.join(" "))]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
}

/// What a login reached, by the metadata of its alias; `None` if it brought no report. What is damaged reached nothing.
pub(crate) fn read(metadata: &BTreeMap<String, String>) -> Option<Reached> {
    let points = metadata.get(POINTS)?.parse().ok()?;
    let checks: Result<Vec<Check>, _> = metadata.get(REACHED)?.split_whitespace().map(str::parse).collect();
    Some(Reached { points, checks: checks.ok()? })
}

/// Alias metadata: the points of the login's score.
const POINTS: &str = "protection_points";
/// Alias metadata: the protections that it reached.
const REACHED: &str = "protection_reached";

#[cfg(test)]
mod tests {
    use super::*;

    fn demand(points: u16, checks: &[Check]) -> Demand {
        Demand { min_protection: points, require_protection: checks.to_vec() }
    }

    #[test]
    fn what_a_login_reached_survives_its_alias_and_fits_acl_templates() {
        let score = Score { points: 200, most: 200, reached: Check::ALL.to_vec(), missed: vec![] };
        let metadata = write(&score);
        assert!(metadata.values().all(|value| value.len() <= 512 && !value.contains(['/', '+', '*'])));
        assert_eq!(read(&metadata), Some(Reached { points: 200, checks: Check::ALL.to_vec() }));
        for (name, damaged) in [(POINTS, "many"), (REACHED, "memfd_secret trust_me")] {
            let mut metadata = metadata.clone();
            metadata.insert(name.to_owned(), damaged.to_owned());
            assert_eq!(read(&metadata), None, "{name}");
        }
    }

    #[test]
    fn a_token_meets_a_demand_only_with_what_its_login_reached() {
        let reached = Reached { points: 95, checks: vec![Check::MemfdSecret] };
        let said = |demand: &Demand, reached| meets(demand, reached).map_err(|error| error.to_string());
        assert_eq!(said(&demand(0, &[]), None), Ok(()));
        assert_eq!(said(&demand(95, &[Check::MemfdSecret]), Some(&reached)), Ok(()));
        let refused = |demand: &Demand, reached| said(demand, reached).unwrap_err();
        let told = refused(&demand(1, &[]), None);
        assert!(
            told.contains("protection.report: expected a login with a protection report, found one without")
        );
        let told = refused(&demand(96, &[]), Some(&reached));
        assert!(told.contains("protection.score: expected at least 96 points, found 95 points"), "{told}");
        let told = refused(&demand(0, &[Check::Mlock]), Some(&reached));
        assert!(told.contains("protection.check.mlock: expected mlock reached, found not reached"), "{told}");
    }

    #[test]
    fn a_demand_that_nobody_could_meet_is_not_stored() {
        let told = demanded(Some(201), None).unwrap_err().to_string();
        assert!(told.contains("min_protection: expected at most 200 points, found 201"), "{told}");
        let told = demanded(None, Some(vec![Check::Mlock, Check::Mlock])).unwrap_err().to_string();
        assert!(told.contains("require_protection: expected each protection once"), "{told}");
        let before = demand(50, &[Check::Mlock]);
        assert_eq!(demanded(None, None).unwrap().over(before.clone()), before);
        assert!(demanded(Some(0), Some(vec![])).unwrap().over(before).is_none());
    }
}
