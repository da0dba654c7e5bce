//! Init programs side by side: tini, dumb-init, catatonit and ours, each as the first process of a namespace and as a
//! plain subreaper. Ours must be right in every case; of the others the table says where they are not, so that the
//! cases are known to tell right from wrong.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test"
)]

#[expect(dead_code, reason = "other test programs use the rest")]
mod bench;
#[path = "inits/cases.rs"]
mod cases;
#[path = "inits/play.rs"]
mod play;
#[path = "inits/terminals.rs"]
mod terminals;

use bench::{Bench, installed, skip};
use play::{Init, Place, Run};

/// What is tried, what is right, and who is known to do otherwise.
struct Case {
    name: &'static str,
    play: fn(&Run<'_>) -> String,
    /// As the first process, and as a subreaper.
    right: [&'static str; 2],
    /// Peers that do otherwise in either place: that they do is held here too, so that the case tells.
    others: &'static [(Init, Place)],
}

const PEERS: [Init; 3] = [Init::Tini, Init::DumbInit, Init::Catatonit];

/// What happens this way or that, by who is faster.
const BY_CHANCE: [(&str, Init); 4] = [
    // As it is where nobody is left who could let its process group go on.
    ("SIGTSTP stops the program, and the init", Init::DumbInit),
    ("SIGTTIN and SIGTTOU as well", Init::DumbInit),
    ("a signal before the program started", Init::DumbInit),
    ("a job in the background leaves the terminal", Init::DumbInit),
];

/// Plays every case of a table and prints what was found; what is not as expected is told together.
fn compare(cases: &[Case]) {
    let places = play::places();
    let bench = Bench::new();
    let mut wrong = Vec::new();
    for case in cases {
        for place in &places {
            let [first, subreaper] = case.right;
            let right = if *place == Place::First { first } else { subreaper };
            for init in [Init::Ours].iter().chain(PEERS.iter().filter(|peer| installed(peer.program()))) {
                let expected = !case.others.contains(&(*init, *place));
                let play = || (case.play)(&Run { bench: &bench, init: *init, place: *place });
                let is_expected = |found: &String| (found == right) == expected;
                // What a peer does late on a busy machine is no news about it; we are given one chance.
                let chances = if *init == Init::Ours { 1 } else { 3 };
                let mut again = (1..chances).map(|_| play());
                let first = play();
                let found =
                    if is_expected(&first) { first } else { again.find(is_expected).unwrap_or(first) };
                let verdict = if found == right { "right" } else { "other" };
                println!("{:<44} {:<9} {:<9} {verdict}  {found}", case.name, place.name(), init.program());
                if !is_expected(&found) && !BY_CHANCE.contains(&(case.name, *init)) {
                    wrong.push(format!(
                        "{} {} {}: {found:?}, right is {right:?}",
                        case.name,
                        place.name(),
                        init.program()
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "not as expected:\n{}", wrong.join("\n"));
}

fn peers_or_skip(test: &str) {
    for peer in PEERS.iter().filter(|peer| !installed(peer.program())) {
        skip(test, peer.program(), &format!("{} is not installed", peer.program()));
    }
}

#[test]
fn every_end_has_the_code_that_shells_give_it() {
    peers_or_skip("every_end_has_the_code_that_shells_give_it");
    compare(&cases::ENDS);
}

#[test]
fn signals_are_passed_on_as_a_good_init_does() {
    peers_or_skip("signals_are_passed_on_as_a_good_init_does");
    compare(&cases::SIGNALS);
}

#[test]
fn families_are_looked_after_as_a_good_init_does() {
    peers_or_skip("families_are_looked_after_as_a_good_init_does");
    compare(&cases::FAMILIES);
}

#[test]
fn what_the_starter_prepared_is_there_for_the_program() {
    peers_or_skip("what_the_starter_prepared_is_there_for_the_program");
    compare(&cases::SURROUNDINGS);
}

#[test]
fn terminals_are_handed_over_and_taken_back() {
    if !installed("python3") {
        return skip("terminals_are_handed_over_and_taken_back", "python3", "python3 is not installed");
    }
    peers_or_skip("terminals_are_handed_over_and_taken_back");
    compare(&terminals::CASES);
}
