//! Job control, on a terminal of its own; `terminal.py` plays the shell and the person.

use std::process::Command;

use crate::Case;
use crate::play::{Init, Place, Run};

fn played(run: &Run<'_>, case: &str) -> String {
    let mut terminal = Command::new("python3");
    terminal
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/inits/terminal.py"))
        .arg(case)
        .args(run.words(false));
    let output = terminal.output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

pub(crate) const CASES: [Case; 5] = [
    Case {
        name: "the program is the terminal's foreground",
        play: |run| played(run, "foreground"),
        right: ["its own group"; 2],
        others: &[],
    },
    Case {
        name: "Ctrl-C ends the program, and the init says so",
        play: |run| played(run, "interrupt"),
        right: ["ended 130"; 2],
        others: &[],
    },
    Case {
        name: "Ctrl-Z stops both, fg has both go on",
        play: |run| if run.place == Place::First { String::new() } else { played(run, "stop") },
        // Nobody waits for the stop of process 1, which cannot stop.
        right: ["", "stopped, read on, ended 0"],
        others: &[(Init::Tini, Place::Subreaper), (Init::Catatonit, Place::Subreaper)],
    },
    Case {
        name: "a job in the background leaves the terminal",
        play: |run| if run.place == Place::First { String::new() } else { played(run, "background") },
        right: ["", "kept out, ended 5"],
        others: &[
            (Init::Tini, Place::Subreaper),
            (Init::DumbInit, Place::Subreaper),
            (Init::Catatonit, Place::Subreaper),
        ],
    },
    Case {
        name: "a terminal that is hung up tells the program",
        play: |run| played(run, "hang-up"),
        right: ["hung up"; 2],
        others: &[],
    },
];
