//! Which attacks are known to work: a table of `docs/known-limits.md`.
//!
//! Under the heading `## Attacks that still work`, rows `| probe | where | why |`. A probe that is not there, with a reason,
//! is a defect. `where` is `everywhere`, or kernels with commas; a probe that ends with `*` is all that begin so.

/// The heading.
const HEADING: &str = "## Attacks that still work";

/// The rows.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Allowed(Vec<Row>);

#[derive(Clone, Debug, Eq, PartialEq)]
struct Row {
    probe: String,
    place: String,
}

impl Allowed {
    /// Reads the table out of a document.
    pub fn parse(document: &str) -> Result<Self, String> {
        let section =
            document.split_once(HEADING).map(|(_, rest)| rest).ok_or(format!("no section {HEADING:?}"))?;
        let section = section.split("\n## ").next().unwrap_or_default();
        let rows = section.lines().filter(|line| line.trim_start().starts_with('|'));
        // The first row names the columns, the second is the ruler.
        rows.skip(2).map(row).collect::<Result<_, _>>().map(Self)
    }

    /// The rows for a kernel, as in `6.12`.
    #[must_use]
    pub fn on(mut self, kernel: &str) -> Self {
        self.0.retain(|row| {
            row.place == "everywhere" || row.place.split(',').any(|place| place.trim() == kernel)
        });
        self
    }

    /// Whether there is a row for this probe.
    #[must_use]
    pub fn knows(&self, probe: &str) -> bool {
        self.0.iter().any(|row| row.means(probe))
    }

    /// A row that means none of these probes.
    #[must_use]
    pub fn idle<'r>(&'r self, probes: &[&str]) -> Option<&'r str> {
        let is_idle = |row: &&Row| !probes.iter().any(|probe| row.means(probe));
        self.0.iter().find(is_idle).map(|row| row.probe.as_str())
    }
}

impl Row {
    fn means(&self, probe: &str) -> bool {
        self.probe.strip_suffix('*').map_or(self.probe == probe, |beginning| probe.starts_with(beginning))
    }
}

/// The kernel that runs here, as in `6.12`.
#[must_use]
pub fn kernel() -> String {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    release.split('.').take(2).collect::<Vec<_>>().join(".")
}

fn row(line: &str) -> Result<Row, String> {
    let cells: Vec<&str> = line.trim().trim_matches('|').split('|').map(str::trim).collect();
    match cells.as_slice() {
        [probe, place, why] if !probe.is_empty() && !why.is_empty() => {
            Ok(Row { probe: probe.trim_matches('`').to_owned(), place: (*place).to_owned() })
        }
        _ => Err(format!("expected `| probe | where | why |`, found {line:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "# Limits\n\n## Attacks that still work\n\nWords.\n\n| probe | where | why |\n|---|---|---|\n| `inside/tee` | everywhere | no hook |\n| `leak/*` | 5.15, 5.16 | no helper |\n\n## More\n| a | b | c |\n";

    #[test]
    fn a_known_attack_is_one_where_it_was_argued_for() {
        let all = Allowed::parse(TABLE).unwrap();
        let known = |kernel: &str, probe: &str| all.clone().on(kernel).knows(probe);
        assert!(known("5.15", "inside/tee") && known("6.12", "inside/tee"));
        assert!(known("5.15", "leak/write") && known("5.16", "leak/write"));
        assert!(
            !known("6.12", "leak/write") && !known("5.1", "leak/write") && !known("5.15", "inside/vmsplice")
        );
    }

    #[test]
    fn a_row_that_means_nothing_is_found() {
        let all = Allowed::parse(TABLE).unwrap();
        assert_eq!(all.idle(&["inside/tee", "leak/write"]), None);
        assert_eq!(all.idle(&["inside/tee"]), Some("leak/*"));
    }

    #[test]
    fn an_attack_without_a_reason_is_not_allowed() {
        let text = "## Attacks that still work\n| probe | where | why |\n|---|---|---|\n| `inside/tee` | everywhere | |\n";
        assert_eq!(
            Allowed::parse(text),
            Err("expected `| probe | where | why |`, found \"| `inside/tee` | everywhere | |\"".to_owned())
        );
    }

    #[test]
    fn a_document_without_the_section_is_refused() {
        assert_eq!(Allowed::parse("# Limits\n"), Err("no section \"## Attacks that still work\"".to_owned()));
    }

    #[test]
    fn an_empty_table_allows_nothing() {
        let text = "## Attacks that still work\n| probe | where | why |\n|---|---|---|\n";
        assert_eq!(Allowed::parse(text), Ok(Allowed::default()));
    }
}
