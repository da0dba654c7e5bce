//! Sizes of files and functions, and what is above the ceilings of CONTRIBUTING.md.
//!
//! Tests are counted apart and have no ceiling. A file's lines are all its lines but its tests; a
//! function's lines are those that hold code. Tables of data may be excepted in `layers.toml`.

use anyhow::{Context as _, Result, bail};

use crate::house::House;
use crate::layers::list::List;
use crate::rust;

/// No file has more lines than this without its tests.
const FILE_CEILING: usize = 500;
/// No function has more lines of code than this.
const FUNCTION_CEILING: usize = 60;

/// What one file weighs.
#[derive(Debug, Default)]
struct Sizes {
    lines: usize,
    test_lines: usize,
    functions: Vec<usize>,
    too_big: Vec<String>,
}

pub(crate) fn run(house: &House) -> Result<()> {
    let list = List::read(house)?;
    let mut all = Vec::new();
    let mut too_big = Vec::new();
    println!("{HEAD}");
    for room in &house.rooms {
        let mut files = Vec::new();
        for path in house.sources(room)? {
            let name = house.relative(&path);
            let source = std::fs::read_to_string(&path).with_context(|| name.clone())?;
            let mut sizes = weigh(&name, &source);
            if !list.is_table(&name) {
                too_big.append(&mut sizes.too_big);
            }
            files.push(sizes);
        }
        println!("{}", row(room.name(), &files));
        all.append(&mut files);
    }
    println!("{}", row("all", &all));
    if !too_big.is_empty() {
        bail!("above the ceiling:\n  {}", too_big.join("\n  "));
    }
    Ok(())
}

fn weigh(name: &str, source: &str) -> Sizes {
    let tokens = rust::lex(source);
    let total = source.lines().count();
    if rust::is_test_file(name) {
        return Sizes { test_lines: total, ..Sizes::default() };
    }
    let tests = rust::Tests::find(&tokens);
    let functions: Vec<_> =
        rust::functions(&tokens).into_iter().filter(|function| !tests.contain(function.line)).collect();
    let lines = total.saturating_sub(tests.len());
    let mut too_big = Vec::new();
    if lines > FILE_CEILING {
        too_big.push(format!("{name}: {lines} lines, ceiling {FILE_CEILING}"));
    }
    for big in functions.iter().filter(|function| function.lines > FUNCTION_CEILING) {
        too_big.push(format!(
            "{name}:{}: fn {} has {} lines, ceiling {FUNCTION_CEILING}",
            big.line, big.name, big.lines
        ));
    }
    let functions = functions.iter().map(|function| function.lines).collect();
    Sizes { lines, test_lines: tests.len(), functions, too_big }
}

fn row(name: &str, files: &[Sizes]) -> String {
    let lengths = files.iter().map(|file| file.lines).filter(|lines| *lines > 0).collect();
    let functions = files.iter().flat_map(|file| file.functions.iter().copied()).collect();
    let tests: usize = files.iter().map(|file| file.test_lines).sum();
    let (files, code) = spread(lengths);
    let (functions, _) = spread(functions);
    format!("{name:<16}{code:>7}{tests:>7}{files}{functions}")
}

// How many sizes, their median, nine tenths and maximum as columns, and their sum.
fn spread(mut sizes: Vec<usize>) -> (String, usize) {
    sizes.sort_unstable();
    let [median, most, all] = [50, 90, 100].map(|percent| percentile(&sizes, percent));
    (format!("{:>7}{median:>6}{most:>6}{all:>6}", sizes.len()), sizes.iter().sum())
}

// The smallest size that at least `percent` of the sorted sizes do not exceed.
fn percentile(sorted: &[usize], percent: usize) -> usize {
    let rank = sorted.len().saturating_mul(percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

const HEAD: &str = "room               code  tests  files   p50   p90   max    fns   p50   p90   max   (lines; fns: of code)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_above_the_ceiling_is_named_with_its_line() {
        let source = format!("\nfn long() {{\n{}}}\n", "    call();\n".repeat(59));
        assert_eq!(
            weigh("a/src/lib.rs", &source).too_big,
            ["a/src/lib.rs:2: fn long has 61 lines, ceiling 60"]
        );
    }

    #[test]
    fn a_file_is_measured_without_its_tests() {
        let source = format!("{}#[cfg(test)]\nmod tests {{\n{}}}\n", "\n".repeat(500), "\n".repeat(900));
        let sizes = weigh("a/src/lib.rs", &source);
        assert_eq!((sizes.lines, sizes.test_lines), (500, 903));
        assert!(sizes.too_big.is_empty());
    }

    #[test]
    fn a_file_one_line_above_the_ceiling_is_named() {
        assert_eq!(
            weigh("a/src/lib.rs", &"\n".repeat(501)).too_big,
            ["a/src/lib.rs: 501 lines, ceiling 500"]
        );
    }

    #[test]
    fn integration_tests_have_no_ceiling() {
        assert!(weigh("a/tests/all.rs", &"\n".repeat(900)).too_big.is_empty());
        assert!(weigh("a/src/snp/tests.rs", &"\n".repeat(900)).too_big.is_empty());
        assert!(!weigh("hardware-tests/simulator/src/lib.rs", &"\n".repeat(900)).too_big.is_empty());
    }

    #[test]
    fn percentiles_are_sizes_that_occur() {
        let sorted = [1, 2, 3, 4, 5, 6, 7, 8, 9, 40];
        assert_eq!([50, 90, 100].map(|percent| percentile(&sorted, percent)), [5, 9, 40]);
        assert_eq!(percentile(&[], 50), 0);
    }
}
