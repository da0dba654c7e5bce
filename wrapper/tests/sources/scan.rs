//! What root finds in the memory of processes.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::process::{Command, Stdio};

/// All processes that descend from this one, itself included, and run this program.
pub(crate) fn family(pid: u32, program: &str) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let children = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    let children: Vec<u32> = children
        .flat_map(|list| list.split(' ').filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect();
    let own = fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe.ends_with(program));
    children.into_iter().flat_map(|child| family(child, program)).chain(own.then_some(pid)).collect()
}

/// The kinds of memory of a process in which `text` is found: every mapping that can be read, and its environment.
pub(crate) fn places_of(pid: u32, text: &str) -> Vec<String> {
    let Ok(memory) = File::open(format!("/proc/{pid}/mem")) else { return Vec::new() };
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    let mut found: Vec<String> =
        maps.lines().filter(|line| holds(&memory, line, text)).map(str::to_owned).collect();
    if grep(&fs::read(format!("/proc/{pid}/environ")).unwrap_or_default(), text) {
        found.push("environ".to_owned());
    }
    found
}

fn holds(memory: &File, line: &str, text: &str) -> bool {
    let (range, rest) = line.split_once(' ').unwrap();
    let (from, to) = range.split_once('-').unwrap();
    let [from, to] = [from, to].map(|end| u64::from_str_radix(end, 16).unwrap());
    let mut bytes = vec![0; to.checked_sub(from).unwrap().try_into().unwrap()];
    rest.starts_with('r') && memory.read_exact_at(&mut bytes, from).is_ok() && grep(&bytes, text)
}

fn grep(bytes: &[u8], text: &str) -> bool {
    let mut grep = Command::new("grep").args(["-qaF", text]).stdin(Stdio::piped()).spawn().unwrap();
    // It ends as soon as it has found it.
    grep.stdin.take().unwrap().write_all(bytes).unwrap_or_default();
    grep.wait().unwrap().success()
}

/// Descriptors of secret memory that are open in a process: whoever takes one has what is in it.
pub(crate) fn open_secret_memory(pid: u32) -> usize {
    let open = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let links = open.filter_map(|fd| fs::read_link(fd.path()).ok());
    links.filter(|link| link.display().to_string().contains("secretmem")).count()
}
