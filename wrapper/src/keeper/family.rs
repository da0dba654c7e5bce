//! Who descends from us: orphans come to us, so none of the program's processes is elsewhere.
//!
//! Trusted: the kernel's list of processes. Untrusted: the processes, which fork while we look; so we look until
//! nothing new appears.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::Pid;

use crate::graft::kernel::send_signal;

/// How long processes may take to stand still, or to be gone.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(1);

/// What a process does, as far as it matters here.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Runs,
    /// For a device, or for a child that has its memory until it executes (vfork(2)). It does nothing before it has stopped.
    Waits,
    Stands,
    Over,
}

/// Stops every descendant, and those that appear meanwhile.
///
/// False if one does not stand still in time: it waits for a device, and stops when that answers.
pub(super) fn stop(root: Pid, spared: &BTreeSet<i32>) -> io::Result<bool> {
    settle(root, spared, libc::SIGSTOP, |state| matches!(state, State::Stands | State::Over))
}

/// Kills every descendant, and those that appear meanwhile. False as for [`stop`].
pub(super) fn kill(root: Pid, spared: &BTreeSet<i32>) -> io::Result<bool> {
    settle(root, spared, libc::SIGKILL, |state| state == State::Over)
}

/// Lets every descendant go on.
pub(super) fn go_on(root: Pid, spared: &BTreeSet<i32>) -> io::Result<()> {
    for pid in descendants(root, spared)?.into_keys() {
        signal(pid, libc::SIGCONT);
    }
    Ok(())
}

fn settle(
    root: Pid,
    spared: &BTreeSet<i32>,
    number: i32,
    is_settled: impl Fn(State) -> bool,
) -> io::Result<bool> {
    let begun = Instant::now();
    let mut told = BTreeSet::new();
    loop {
        let mut settled = true;
        for (pid, state) in descendants(root, spared)? {
            // A number may have been given to another meanwhile, who is to be killed as well.
            let is_news = told.insert(pid);
            if is_news || (number == libc::SIGKILL && !is_settled(state)) {
                signal(pid, number);
            }
            settled &= !is_news && is_settled(state);
        }
        if settled || begun.elapsed() > PATIENCE {
            return Ok(settled);
        }
        sleep(PAUSE);
    }
}

fn signal(pid: i32, number: i32) {
    // Gone is as good: the next look does not show it.
    Pid::from_raw(pid).map_or(Ok(()), |pid| send_signal(pid, number)).unwrap_or_default();
}

/// All processes below `root` but `spared` and what is below those.
fn descendants(root: Pid, spared: &BTreeSet<i32>) -> io::Result<BTreeMap<i32, State>> {
    let mut children: BTreeMap<i32, Vec<(i32, State)>> = BTreeMap::new();
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // Gone meanwhile.
        let Ok(stat) = fs::read(format!("/proc/{pid}/stat")) else { continue };
        if let Some((state, parent)) = parse(&stat) {
            children.entry(parent).or_default().push((pid, state));
        }
    }
    let mut found = BTreeMap::new();
    let mut unseen = vec![root.as_raw_pid()];
    while let Some(parent) = unseen.pop() {
        let born = children.remove(&parent).unwrap_or_default();
        // Who waits for a child that stands, stands with it.
        if let Some(state @ State::Waits) = found.get_mut(&parent)
            && born.iter().any(|(_, state)| *state == State::Stands)
        {
            *state = State::Stands;
        }
        for (pid, state) in born {
            if !spared.contains(&pid) {
                found.insert(pid, state);
                unseen.push(pid);
            }
        }
    }
    Ok(found)
}

/// `proc_pid_stat(5)`: the name in parentheses, which may hold anything, then state and parent.
fn parse(stat: &[u8]) -> Option<(State, i32)> {
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = str::from_utf8(stat.get(end.checked_add(1)?..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let state = match fields.next()? {
        "Z" | "X" => State::Over,
        "T" | "t" => State::Stands,
        "D" => State::Waits,
        _other => State::Runs,
    };
    Some((state, fields.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_looks_like_fields_is_a_name() {
        assert_eq!(parse(b"7 (a) Z 1 (x) R 42 7 7"), Some((State::Runs, 42)));
        assert_eq!(parse(b"7 (a) Z 3 7"), Some((State::Over, 3)));
        assert_eq!(parse(b"7 (a) t 3 7"), Some((State::Stands, 3)));
        for malformed in [&b""[..], b"7 (a", b"7 (a)", b"7 (a) R", b"7 (a) R x"] {
            assert_eq!(parse(malformed), None);
        }
    }

    #[test]
    fn what_is_spared_is_spared_with_all_below_it() {
        let own = rustix::process::getpid();
        let mut child = std::process::Command::new("sh")
            .args(["-c", "sleep 60 & echo; wait"])
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut [0]).unwrap();
        let shell = i32::try_from(child.id()).unwrap();
        let all = descendants(own, &BTreeSet::new()).unwrap();
        let rest = descendants(own, &BTreeSet::from([shell])).unwrap();
        assert!(all.contains_key(&shell) && !rest.contains_key(&shell));
        let below: Vec<i32> =
            descendants(Pid::from_raw(shell).unwrap(), &BTreeSet::new()).unwrap().into_keys().collect();
        assert!(
            !below.is_empty() && below.iter().all(|pid| all.contains_key(pid) && !rest.contains_key(pid))
        );
        assert!(kill(Pid::from_raw(shell).unwrap(), &BTreeSet::new()).unwrap());
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
