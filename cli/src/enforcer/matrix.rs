//! `cloudtaser enforcer matrix`: which vector is defended, how strongly, and whether an attack on a decoy proved it.
//!
//! Judged: every vector that is to be enforced has a hook that can stop it, and no attack on a decoy went through.

use std::path::PathBuf;

use protocol::enforcer::{Ask, Defence, Matrix, SOCKET, Said, Verified};

use super::line::Line;
use crate::answer::{Answer, NotJudged, Verdict};
use crate::args::Format;
use crate::layout::{line, printable};

/// Show which ways to a secret the enforcer on this machine closes, how, and whether that was proved
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Args {
    /// The enforcer's socket
    #[arg(long, value_name = "SOCKET", default_value = SOCKET)]
    socket: PathBuf,
    /// How to write the answer
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
}

/// Asks the enforcer.
pub(crate) fn run(args: &Args) -> Answer {
    let matrix = match ask(args) {
        Ok(matrix) => matrix,
        Err(why) => {
            let why = format!("{}: {why}", args.socket.display());
            return Answer::complaint(&NotJudged::new("enforcer.matrix", why));
        }
    };
    let verdict = if matrix.vectors.iter().all(holds) { Verdict::Accepted } else { Verdict::Refused };
    match args.output {
        Format::Json => Answer::json(verdict, &matrix),
        Format::Text => Answer::text(verdict, table(&matrix)),
    }
}

fn ask(args: &Args) -> Result<Matrix, String> {
    match Line::ask(&args.socket, &Ask::Matrix {})?.next()? {
        Some(Said::Matrix(matrix)) => Ok(matrix),
        Some(Said::Refused { why }) => Err(why),
        Some(
            Said::Tagged {}
            | Said::Unprotected {}
            | Said::Clear { .. }
            | Said::Done {}
            | Said::Watching {}
            | Said::Event(_),
        ) => Err("expected the matrix, found an answer to something else".to_owned()),
        None => Err("expected the matrix, found the end of the line".to_owned()),
    }
}

/// What is to be enforced can be, and nothing showed that it is not.
fn holds(defence: &Defence) -> bool {
    defence.mode != "enforce" || (STOPS.contains(&defence.tier.as_str()) && defence.verified != Verified::No)
}

/// A table without colours: what does not hold is marked in the first column.
fn table(matrix: &Matrix) -> String {
    let mut text = String::new();
    line(&mut text, &format!("mode      {}", printable(&matrix.mode)));
    line(&mut text, &format!("kernel    {}", printable(&matrix.kernel)));
    line(&mut text, &format!("programs  sha256:{}", printable(&matrix.programs)));
    line(&mut text, "");
    let heading = ["", "vector", "event", "tier", "mode", "proved"].map(str::to_owned);
    let rows: Vec<[String; 6]> = std::iter::once(heading).chain(matrix.vectors.iter().map(row)).collect();
    let whys = std::iter::once(None).chain(matrix.vectors.iter().map(|one| one.why.as_deref()));
    let mut widths = [1_usize, 0, 0, 0, 0, 0];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for (row, why) in rows.iter().zip(whys) {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        let why = why.map(printable).unwrap_or_default();
        let whole = format!("{}  {why}", cells.collect::<Vec<_>>().join("  "));
        line(&mut text, whole.trim_end());
    }
    let open = matrix.vectors.iter().filter(|one| !holds(one)).count();
    let proved = matrix.vectors.iter().filter(|one| one.verified == Verified::Yes).count();
    let all = matrix.vectors.len();
    line(
        &mut text,
        &format!("\n{all} vectors: {proved} proved by attack, {open} to be enforced that are not"),
    );
    text
}

fn row(defence: &Defence) -> [String; 6] {
    [
        if holds(defence) { String::new() } else { "!".to_owned() },
        printable(&defence.vector),
        printable(&defence.event),
        printable(&defence.tier),
        printable(&defence.mode),
        defence.verified.name().to_owned(),
    ]
}

/// Tiers that stop what they see, or who does it.
const STOPS: [&str; 5] = ["lsm", "fmod_ret", "override", "kill", "tracepoint"];
const EXIT_CODES: &str = "\
Exit codes:
  0  every vector that is to be enforced has a hook that stops it, and no attack on a decoy went through
  1  some have not: they are marked with !
  2  the enforcer could not be asked";

#[cfg(test)]
mod tests {
    use super::*;

    fn defence(tier: &str, mode: &str, verified: Verified) -> Defence {
        let [vector, event] = ["environ", "ENVIRON_READ"].map(str::to_owned);
        Defence { vector, event, tier: tier.to_owned(), mode: mode.to_owned(), verified, why: None }
    }

    #[test]
    fn what_is_to_be_enforced_holds_unless_something_shows_that_it_does_not() {
        for (tier, mode, verified, expected) in [
            ("lsm", "enforce", Verified::Yes, true),
            ("kill", "enforce", Verified::Untried, true),
            ("lsm", "enforce", Verified::No, false),
            ("observe", "enforce", Verified::Untried, false),
            ("none", "enforce", Verified::Untried, false),
            ("none", "detect", Verified::Untried, true),
            ("lsm", "off", Verified::No, true),
        ] {
            assert_eq!(holds(&defence(tier, mode, verified)), expected, "{tier} {mode} {verified:?}");
        }
    }

    #[test]
    fn a_table_has_columns_and_marks_and_obeys_nobody() {
        let mut odd = defence("observe", "enforce", Verified::No);
        odd.why = Some("no\u{1b}[2J hook".to_owned());
        let matrix = Matrix {
            mode: "enforce".to_owned(),
            kernel: "6.12".to_owned(),
            programs: "ab".to_owned(),
            vectors: vec![defence("fmod_ret", "enforce", Verified::Yes), odd],
        };
        let expected = "\
mode      enforce
kernel    6.12
programs  sha256:ab

   vector   event         tier      mode     proved
   environ  ENVIRON_READ  fmod_ret  enforce  yes
!  environ  ENVIRON_READ  observe   enforce  no      no\\u{1b}[2J hook

2 vectors: 1 proved by attack, 1 to be enforced that are not
";
        assert_eq!(table(&matrix), expected);
    }
}
