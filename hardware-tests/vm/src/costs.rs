//! What everyday work costs with the enforcer and without, and what its start costs, in instructions of an emulated processor:
//! the same each time.
//!
//! Instructions, not time: what caches and branch prediction do is not in them. The ratio tells how much work was added.

use anyhow::{Context as _, Result};

use crate::guest::{Boot, Clock};
use crate::suite::{Enforcer, Suite};

/// What one kind of work costs, by the thousandth of an instruction's nanosecond: one instruction is one nanosecond.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Cost {
    /// `open`, `read`, `write`, `stat`, `fork`, `exec`, `build`.
    pub work: String,
    /// Instructions, without the enforcer.
    pub bare: u64,
    /// With it, in a process that is not protected.
    pub enforced: u64,
}

/// What a start takes until it is ready, its first round of attacks on its decoy among it, in thousandths of a second.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Start {
    /// In the program: types, the object, its relocations.
    pub own: u64,
    /// In the kernel on its behalf: verification and compilation of the programs before all.
    pub kernel: u64,
}

/// All that was measured in one machine.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Costs {
    /// Of the enforcer.
    pub start: Start,
    /// Of everyday work.
    pub work: Vec<Cost>,
}

/// Measures in one machine.
pub fn costs(suite: &Suite<'_>, boot: Boot) -> Result<Costs> {
    let mut guest = suite.boot(Clock::Instructions, boot)?;
    // Once for nothing: the first round of a machine that has just come up costs nearly twice as much.
    guest.read("cloudtaser-costs")?;
    let bare = read(&guest.read("cloudtaser-costs")?)?;
    Enforcer::default().start(&mut guest)?;
    let start = start(&guest.read(SPENT)?)?;
    let enforced = read(&guest.read("cloudtaser-costs")?)?;
    let pairs = bare.into_iter().zip(enforced);
    let work = pairs.map(|((work, bare), (_, enforced))| Cost { work, bare, enforced }).collect();
    Ok(Costs { start, work })
}

/// Two numbers of hundredths of a second (proc(5), `stat`: `utime`, `stime`).
fn start(text: &str) -> Result<Start> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [own, kernel] = words.as_slice() else {
        anyhow::bail!("expected two numbers, found {text:?}");
    };
    let of = |word: &str| -> Result<u64> {
        Ok(word.parse::<u64>().with_context(|| format!("{text:?}"))?.saturating_mul(10))
    };
    Ok(Start { own: of(own)?, kernel: of(kernel)? })
}

/// Its children have its name, and come later.
const SPENT: &str = "cut -d' ' -f14,15 $(ls -d $(dirname $(grep -ls cloudtaser-enfo /proc/[0-9]*/comm)) | sort -V | head -n 1)/stat";

fn read(text: &str) -> Result<Vec<(String, u64)>> {
    let line = |line: &str| {
        let (work, count) =
            line.split_once(' ').with_context(|| format!("expected WORK COUNT, found {line:?}"))?;
        Ok((work.to_owned(), count.parse().with_context(|| format!("{line:?}"))?))
    };
    text.lines().map(line).collect()
}

/// The costs as a table.
#[must_use]
pub fn ratios(boot: Boot, costs: &Costs) -> String {
    let line = |cells: [&str; 4]| {
        let [work, bare, enforced, ratio] = cells;
        format!("{work:24}{bare:>16}{enforced:>16}{ratio:>10}\n")
    };
    let head = line([&boot.to_string(), "bare", "enforced", "ratio"]);
    let rows = costs.work.iter().map(|cost| {
        let Cost { work, bare, enforced } = cost;
        line([work, &bare.to_string(), &enforced.to_string(), &ratio(*bare, *enforced)])
    });
    let Start { own, kernel } = costs.start;
    let start = format!("start: {own} ms in the enforcer, {kernel} ms in the kernel\n");
    std::iter::once(head).chain(rows).chain([start]).collect()
}

/// With two digits behind the point.
fn ratio(bare: u64, enforced: u64) -> String {
    let hundredths = enforced.saturating_mul(100).checked_div(bare).unwrap_or_default();
    let (whole, rest) =
        (hundredths.checked_div(100).unwrap_or_default(), hundredths.checked_rem(100).unwrap_or_default());
    format!("{whole}.{rest:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_has_two_digits_behind_the_point() {
        assert_eq!([ratio(100, 108), ratio(3, 6), ratio(0, 6)], ["1.08", "2.00", "0.00"]);
    }

    #[test]
    fn a_start_has_two_parts() {
        assert_eq!(start("12 340\n").unwrap(), Start { own: 120, kernel: 3400 });
        assert_eq!(start("12").unwrap_err().to_string(), "expected two numbers, found \"12\"");
    }

    #[test]
    fn what_is_not_a_cost_is_refused() {
        assert_eq!(read("open 12\nread 3").unwrap(), [("open".to_owned(), 12), ("read".to_owned(), 3)]);
        assert_eq!(read("sh: not found").unwrap_err().to_string(), "\"sh: not found\"");
    }
}
