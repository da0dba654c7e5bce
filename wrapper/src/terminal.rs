//! Whose turn it is at the terminal.
//!
//! The program is in a process group of its own, so that the terminal's signals reach it once. It gets the terminal
//! when our own group has it: a job that was started in the background takes it from nobody.
//!
//! Trusted: the kernel, for who is in the foreground. Untrusted: the shell that started us, and the program.

use rustix::process::{Pid, getpgrp, getpid};
use rustix::stdio::stdin;
use rustix::termios::{isatty, tcgetpgrp, tcsetpgrp};

/// Gives the terminal to the program, if it is ours to give.
pub(crate) fn lend(program: Pid) {
    // The groups of a namespace's first process may lie outside, where they have no number; and nobody else lives there.
    if isatty(stdin()) && (getpid() == Pid::INIT || tcgetpgrp(stdin()) == Ok(getpgrp())) {
        give(program);
    }
}

/// Takes it back from the program, before we stop: the shell that started us goes on with it.
pub(crate) fn take_back(program: Pid) {
    if isatty(stdin()) && tcgetpgrp(stdin()) == Ok(program) {
        give(getpgrp());
    }
}

fn give(group: Pid) {
    // Refused when we are not of its session: then it was not ours.
    tcsetpgrp(stdin(), group).unwrap_or_default();
}
