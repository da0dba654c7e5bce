//! Which runtime a program is, and whether it looks at its environment again.
//!
//! A value that is rewritten in place reaches a program only if its runtime goes back to the page each time
//! it is asked: libc's `getenv` does, Node.js does; Python, Go or the JVM copied everything at start. What is
//! said here is measured: `tests/matrix.rs` rewrites the page of each runtime and compares. Whether the
//! program itself asks again, nobody can tell.
//!
//! Trusted: nothing. A program under a false name is restarted or left alone in vain, and that is all.

pub mod elf;

use std::fs::File;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;

use rustix::process::Pid;

use elf::{Bytes, Elf};

/// How a program comes by its environment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reads {
    /// The runtime looks each time it is asked.
    Live,
    /// It copied everything at start.
    Once,
    /// Its file does not tell.
    Unknown,
}

/// Names of runtimes, up to the digits and dots of a version.
const NAMES: [(&str, Reads); 11] = [
    ("gawk", Reads::Once),
    ("java", Reads::Once),
    ("lua", Reads::Live),
    ("mawk", Reads::Once),
    ("node", Reads::Live),
    ("nodejs", Reads::Live),
    ("perl", Reads::Once),
    ("php", Reads::Once),
    ("pypy", Reads::Once),
    ("python", Reads::Once),
    ("ruby", Reads::Once),
];

/// Libraries that are runtimes themselves, by how their names begin.
const LIBRARIES: [(&str, Reads); 8] = [
    ("libjli.", Reads::Once),
    ("libjvm.", Reads::Once),
    ("liblua", Reads::Live),
    ("libnode.", Reads::Live),
    ("libperl.", Reads::Once),
    ("libphp", Reads::Once),
    ("libpython", Reads::Once),
    ("libruby", Reads::Once),
];

/// What asks libc for a variable when it is wanted. A Rust program does too.
const ASKS: [&[u8]; 2] = [b"getenv", b"secure_getenv"];

/// How the program in the file `name`, whose bytes are `file`, reads its environment.
#[must_use]
pub fn reads(name: &[u8], file: &Bytes<'_>) -> Reads {
    let stem = name.split(u8::is_ascii_digit).next().unwrap_or_default();
    let stem = stem.strip_suffix(b"-").unwrap_or(stem);
    if let Some((_, reads)) = NAMES.iter().find(|(known, _)| known.as_bytes() == stem) {
        return *reads;
    }
    let Some(elf) = Elf::read(file) else { return Reads::Unknown };
    // Its own runtime copies the environment, whether libc is there as well or not.
    if elf.has_note(b"Go") {
        return Reads::Once;
    }
    let Some(names) = elf.dynamic_names() else { return Reads::Unknown };
    let library = |name: &&[u8]| LIBRARIES.iter().find(|(known, _)| name.starts_with(known.as_bytes()));
    if let Some((_, reads)) = names.libraries().iter().find_map(library) {
        return *reads;
    }
    if ASKS.iter().any(|name| names.contains(name)) { Reads::Live } else { Reads::Unknown }
}

/// How the program that `pid` runs reads its environment; unknown where its file cannot be seen.
#[must_use]
pub fn reads_of(pid: Pid) -> Reads {
    let path = format!("/proc/{pid}/exe");
    let (Ok(link), Ok(file)) = (std::fs::read_link(&path), File::open(&path)) else {
        return Reads::Unknown;
    };
    let name = link.file_name().unwrap_or_default().as_bytes().to_vec();
    reads(&name, &|at, into: &mut [u8]| file.read_exact_at(into, at).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str) -> Reads {
        reads(name.as_bytes(), &|_, _: &mut [u8]| false)
    }

    #[test]
    fn a_runtime_goes_by_its_name_in_any_version() {
        for name in ["python3.11", "python", "perl5.36.0", "php8.2", "java", "ruby3.1", "ruby"] {
            assert_eq!(of(name), Reads::Once, "{name}");
        }
        for name in ["node", "nodejs", "lua5.4", "lua"] {
            assert_eq!(of(name), Reads::Live, "{name}");
        }
        for name in ["", "3", "nodes", "python-tool", "app"] {
            assert_eq!(of(name), Reads::Unknown, "{name}");
        }
    }

    #[test]
    fn a_program_that_imports_getenv_may_look_again() {
        // This test itself is a Rust program.
        let file = File::open("/proc/self/exe").unwrap();
        let bytes = |at, into: &mut [u8]| file.read_exact_at(into, at).is_ok();
        assert_eq!(reads(b"app", &bytes), Reads::Live);
        assert_eq!(reads(b"python3", &bytes), Reads::Once, "the name comes first");
    }
}
