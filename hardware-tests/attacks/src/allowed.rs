//! Which attacks are known to work: a table of `docs/known-limits.md`.
//!
//! Under the heading `## Attacks that still work`, rows `| probe | where | why |`. A probe that is not there, with a reason,
//! is a defect.

use std::collections::BTreeMap;

/// The heading.
const HEADING: &str = "## Attacks that still work";

/// Where each known attack works, by the probe's id.
pub type Allowed = BTreeMap<String, String>;

/// Reads the table out of a document.
pub fn parse(document: &str) -> Result<Allowed, String> {
    let section =
        document.split_once(HEADING).map(|(_, rest)| rest).ok_or(format!("no section {HEADING:?}"))?;
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter(|line| line.trim_start().starts_with('|'));
    // The first row names the columns, the second is the ruler.
    rows.skip(2).map(row).collect()
}

fn row(line: &str) -> Result<(String, String), String> {
    let cells: Vec<&str> = line.trim().trim_matches('|').split('|').map(str::trim).collect();
    match cells.as_slice() {
        [probe, place, why] if !probe.is_empty() && !why.is_empty() => {
            Ok((probe.trim_matches('`').to_owned(), (*place).to_owned()))
        }
        _ => Err(format!("expected `| probe | where | why |`, found {line:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_attack_has_a_place_and_a_reason() {
        let text = "# Limits\n\n## Attacks that still work\n\nWords.\n\n| probe | where | why |\n|---|---|---|\n| `inside/tee` | everywhere | no hook |\n\n## More\n| a | b | c |\n";
        assert_eq!(parse(text), Ok(Allowed::from([("inside/tee".to_owned(), "everywhere".to_owned())])));
    }

    #[test]
    fn an_attack_without_a_reason_is_not_allowed() {
        let text = "## Attacks that still work\n| probe | where | why |\n|---|---|---|\n| `inside/tee` | everywhere | |\n";
        assert_eq!(
            parse(text),
            Err("expected `| probe | where | why |`, found \"| `inside/tee` | everywhere | |\"".to_owned())
        );
    }

    #[test]
    fn a_document_without_the_section_is_refused() {
        assert_eq!(parse("# Limits\n"), Err("no section \"## Attacks that still work\"".to_owned()));
    }

    #[test]
    fn an_empty_table_allows_nothing() {
        let text = "## Attacks that still work\n| probe | where | why |\n|---|---|---|\n";
        assert_eq!(parse(text), Ok(Allowed::new()));
    }
}
