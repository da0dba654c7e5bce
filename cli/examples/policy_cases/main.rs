//! Writes `policies/cases`: machines that the shipped policies admit, and machines that they refuse, with the checks
//! that must fail.
//!
//! `cargo run -p cloudtaser-cli --example policy_cases -- policies [VECTORS]`: simulated machines are made anew; captured ones
//! are copied from a folder of vectors, if one is named. A policy accepts no simulated roots, so that a simulated
//! machine in order fails `roots.accepted` and nothing else.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a tool for people who work on this repository"
)]

mod azure;
mod captured;
mod case;
mod nitro;
mod snp;
mod tdx;
mod tpm;

use std::path::PathBuf;

use case::Policies;

fn main() {
    let mut words = std::env::args_os().skip(1).map(PathBuf::from);
    let folder = words.next().unwrap_or_else(|| panic!("expected the folder of policies"));
    let policies = Policies::read(&folder);
    let mut cases = [
        snp::cases(&policies),
        tdx::cases(&policies),
        nitro::cases(&policies),
        tpm::cases(&policies),
        azure::cases(&policies),
    ]
    .concat();
    if let Some(vectors) = words.next() {
        cases.extend(captured::cases(&vectors));
    }
    if folder.join("cases").exists() {
        std::fs::remove_dir_all(folder.join("cases")).unwrap();
    }
    for case in &cases {
        case.write(&folder);
    }
    println!("{} cases", cases.len());
}
