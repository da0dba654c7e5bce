//! What a change would change, in words.

use std::collections::BTreeSet;

use attest::governance::{Approvers, Item, Kind};

use super::issuer;
use crate::answer::NotJudged;
use crate::{layout, policy_diff};

/// What differs between the content in force and the new one.
pub(crate) fn difference(item: &Item, old: &str, new: &str) -> Result<String, NotJudged> {
    match item.kind {
        Kind::Policy => policy_diff::in_words(old, new),
        Kind::Approvers => approvers(old, new),
        Kind::Roots => roots(old, new),
        Kind::WorkloadIssuer => facts("workload tokens", old, new),
        Kind::Seal => facts("values sealed for logins", old, new),
        Kind::Role => facts("role", old, new),
        Kind::Guard => Ok(guard(item, old, new)),
        Kind::AttestationKeys => Ok(keys(old, new)),
        Kind::TpmManufacturer => manufacturer(old, new),
        Kind::CollateralSigners => Ok(signers(old, new)),
        Kind::Auth => {
            let named = |text: &str| {
                if text.is_empty() { "no auth mount".to_owned() } else { layout::printable(text) }
            };
            Ok(format!("believes the tokens of {} (was {})\n", named(new), named(old)))
        }
        // What has no words here is not put before anybody.
        _ => Err(NotJudged::new(
            "item.kind",
            format!("expected a kind that this version can show, found {}", item.kind),
        )),
    }
}

fn approvers(old: &str, new: &str) -> Result<String, NotJudged> {
    let bad =
        |error: attest::governance::BadApprovers| NotJudged::new("approvers.malformed", error.to_string());
    let new = Approvers::parse(new).map_err(bad)?;
    let old = if old.is_empty() { None } else { Some(Approvers::parse(old).map_err(bad)?) };
    let keys = |approvers: &Approvers| -> BTreeSet<String> {
        let line = |approver: &attest::governance::Approver| {
            let id = approver.key.id(&attest::crypto::AwsLcRs);
            format!("{} by {} key {id}", approver.name, approver.key.algorithm())
        };
        approvers.approvers().iter().map(line).collect()
    };
    let (were, are) = (old.as_ref().map(keys).unwrap_or_default(), keys(&new));
    let was = old.as_ref().map_or(0, Approvers::threshold);
    let mut text = format!("{} of {} people approve (was {was})\n", new.threshold(), new.names().len());
    for gained in are.difference(&were) {
        layout::line(&mut text, &format!("may approve           {gained}"));
    }
    for lost in were.difference(&are) {
        layout::line(&mut text, &format!("no longer approves    {lost}"));
    }
    Ok(text)
}

fn roots(old: &str, new: &str) -> Result<String, NotJudged> {
    let (were, are) = (blocks(old)?, blocks(new)?);
    let mut text = format!("{} additional roots (was {})\n", are.len(), were.len());
    believed(&mut text, &were, &are);
    Ok(text)
}

fn manufacturer(old: &str, new: &str) -> Result<String, NotJudged> {
    let (were, are) = (blocks(old)?, blocks(new)?);
    let mut text =
        format!("{} certificates and lists of a manufacturer of TPMs (was {})\n", are.len(), were.len());
    believed(&mut text, &were, &are);
    Ok(text)
}

fn guard(item: &Item, old: &str, new: &str) -> String {
    let named =
        |text: &str| if text.is_empty() { "nothing said".to_owned() } else { layout::printable(text) };
    format!("policy {} guards {} (was {})\n", named(new), layout::printable(item.name.as_str()), named(old))
}

fn keys(old: &str, new: &str) -> String {
    let (were, are) = (lines(old), lines(new));
    let mut text = format!("{} enrolled attestation keys (was {})\n", are.len(), were.len());
    believed(&mut text, &were, &are);
    text
}

fn lines(text: &str) -> BTreeSet<String> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(layout::printable).collect()
}

fn facts(what: &str, old: &str, new: &str) -> Result<String, NotJudged> {
    let (were, are) = (issuer::facts(old)?, issuer::facts(new)?);
    let mut text = format!("{what}: {} facts (was {})\n", are.len(), were.len());
    believed(&mut text, &were, &are);
    Ok(text)
}

fn believed(text: &mut String, were: &BTreeSet<String>, are: &BTreeSet<String>) {
    for gained in are.difference(were) {
        layout::line(text, &format!("believes              {gained}"));
    }
    for lost in were.difference(are) {
        layout::line(text, &format!("no longer believes    {lost}"));
    }
}

fn signers(old: &str, new: &str) -> String {
    let (were, are) = (lines(old), lines(new));
    let rule = if are.is_empty() { ": whoever may import brings collateral unsigned" } else { "" };
    let mut text = format!("{} keys sign packs of collateral (was {}){rule}\n", are.len(), were.len());
    for gained in are.difference(&were) {
        layout::line(&mut text, &format!("takes packs of        {gained}"));
    }
    for lost in were.difference(&are) {
        layout::line(&mut text, &format!("no longer takes those of {lost}"));
    }
    text
}

/// The certificates in a text, by subject and digest. A mount reads blocks that are indented or broken otherwise, too:
/// what it would believe and this cannot show is nothing to approve.
fn blocks(text: &str) -> Result<BTreeSet<String>, NotJudged> {
    let unreadable = |found: String| {
        let message = format!("expected PEM blocks CERTIFICATE, each line at its beginning, found {found}");
        NotJudged::new("roots.unreadable", message)
    };
    let begun = text.lines().filter(|line| line.contains("-----BEGIN")).count();
    let blocks: Result<Vec<_>, _> = x509_parser::pem::Pem::iter_from_buffer(text.as_bytes()).collect();
    let blocks = blocks.map_err(|error| unreadable(error.to_string()))?;
    if blocks.len() != begun {
        return Err(unreadable(format!("{} of {begun}", blocks.len())));
    }
    let named = |block: x509_parser::pem::Pem| {
        let subject =
            block.parse_x509().map_or_else(|_why| "?".to_owned(), |found| found.subject().to_string());
        let digest = attest::Crypto::sha256(&attest::crypto::AwsLcRs, &[&block.contents]);
        layout::printable(&format!("{subject} (SHA-256 {digest})"))
    };
    Ok(blocks.into_iter().map(named).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a mount takes for a root, the approver's program must not take for nothing.
    #[test]
    fn a_root_that_cannot_be_shown_is_not_put_before_an_approver() {
        let item = Item::new(Kind::Roots, "").unwrap();
        let block = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
        let said = difference(&item, "", block).unwrap();
        assert!(said.starts_with("1 additional roots (was 0)\nbelieves "), "{said}");
        let indented = block.replace("-----BEGIN", " -----BEGIN");
        let within = block.replace("MAA=", " MAA=");
        let ended = block.replace("-----END", " -----END");
        for hidden in [indented, within, ended] {
            for both in [hidden.clone(), format!("{block}{hidden}")] {
                let error = difference(&item, block, &both).unwrap_err();
                assert_eq!(error.code, "roots.unreadable", "{both}");
            }
        }
    }
}
