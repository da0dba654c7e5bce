//! The attack suite's probes, and the enforcer's catalogue: neither has what the other does not know.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use attacks::{OPEN, catalogue};
use enforcer_abi::{CATALOGUE, Guard, Since};

#[test]
fn every_probe_belongs_to_a_vector_of_the_catalogue_or_must_work() {
    for probe in catalogue() {
        assert!(
            probe.vector == OPEN || CATALOGUE.iter().any(|row| row.name == probe.vector),
            "{} belongs to no vector: {}",
            probe.id,
            probe.vector
        );
    }
}

#[test]
fn every_vector_has_a_probe() {
    let tried: BTreeSet<_> = catalogue().iter().map(|probe| probe.vector).collect();
    let untried: Vec<_> = CATALOGUE.iter().map(|row| row.name).filter(|name| !tried.contains(name)).collect();
    assert_eq!(untried, Vec::<&str>::new());
}

#[test]
fn a_probes_id_is_its_own() {
    let ids: Vec<_> = catalogue().iter().map(|probe| probe.id).collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "{ids:?}");
}

#[test]
fn what_must_work_says_so_by_its_id() {
    for probe in catalogue() {
        assert_eq!(probe.id.starts_with("runtime/"), probe.must_work(), "{}", probe.id);
    }
}

/// After a change of the catalogue or of the probes: `UPDATE_TABLE=1 cargo test -p cloudtaser-attacks --test catalogue`.
#[test]
fn the_documents_table_is_the_catalogues() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/enforcer-vectors.md");
    if std::env::var_os("UPDATE_TABLE").is_some() {
        std::fs::write(path, document().unwrap()).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap();
    assert!(
        kept == document().unwrap(),
        "docs/enforcer-vectors.md is not the catalogue's: run with UPDATE_TABLE=1"
    );
}

fn document() -> Result<String, std::fmt::Error> {
    let mut text = HEAD.to_owned();
    for (guard, title) in [
        (Guard::Process, "Done to a protected process, or to the enforcer, from outside"),
        (Guard::Inside, "Done by a protected process itself"),
        (Guard::Own, "Done to a part of the enforcer"),
        (Guard::Node, "Done to the node as a whole"),
    ] {
        writeln!(
            text,
            "\n## {title}\n\n| vector | event | what an attacker does | hooks | since |\n|---|---|---|---|---|"
        )?;
        for row in CATALOGUE.iter().filter(|row| row.guard == guard) {
            let (hooks, Since(major, minor)) = (row.hooks.join("`, `"), row.since);
            writeln!(
                text,
                "| `{}` | `{}` | {} | `{hooks}` | {major}.{minor} |",
                row.name, row.event, row.what
            )?;
        }
    }
    text.push_str(PROBES);
    for row in CATALOGUE {
        let probes: Vec<_> =
            catalogue().iter().filter(|probe| probe.vector == row.name).map(|probe| probe.id).collect();
        writeln!(text, "- `{}`: {}", row.name, probes.join(", "))?;
    }
    let open: Vec<_> =
        catalogue().iter().filter(|probe| probe.vector == OPEN).map(|probe| probe.id).collect();
    writeln!(text, "\nWhat must go on working: {}", open.join(", "))?;
    Ok(text)
}

const HEAD: &str = "# What the enforcer defends against

Made from the catalogue in `enforcer/abi/src/vector.rs`, which the programs in the kernel, events, metrics and configuration take their
names from; a test holds this page to it. Since: the first kernel that has the first hook; the programs as a whole need 5.15.
How each vector is defended *on a node*, and whether that was proved there, says `cloudtaser enforcer matrix`.
";

const PROBES: &str = "
## The attacks

Each vector is tried by one or more probes of `cloudtaser-attacks`, bare and protected; `cargo xtask attacks` runs them all on
Debian's 6.1 and 6.12, with and without `bpf` among the LSMs.

";
