//! What a system call asks of a file, and what a file of ours answers.
//!
//! Core: numbers in, an [`Answer`] out. A file of ours can be read and looked at, by nobody else than the program
//! and by it only for reading; it cannot be written, run, replaced, or opened as a mere name.
//!
//! Untrusted: every argument; it is the program's.

use super::face::{Face, stat_bytes, statx_bytes};

/// A system call that names a file, by the order of its arguments.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Call {
    /// path, flags
    Open,
    /// directory, path, flags
    OpenAt,
    /// directory, path, `struct open_how`, its size
    OpenAt2,
    /// path, buffer; `lstat` too: no file of ours is a link
    Stat,
    /// directory, path, buffer, flags
    StatAt,
    /// directory, path, flags, mask, buffer
    Statx,
    /// path, mode
    Access,
    /// directory, path, mode
    AccessAt,
    /// directory, path, mode, flags
    AccessAt2,
}

/// What is asked of the file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Request {
    /// To be opened, with these flags.
    Open(u64),
    /// To be opened, with the flags that lie there.
    OpenHow(u64),
    /// To be described in a `struct stat` there.
    Stat(u64),
    /// To be described in a `struct statx` there.
    Statx(u64),
    /// Whether it may be used so.
    Access(u64),
}

/// What the program is told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Answer {
    /// That the call succeeded.
    Done,
    /// An error number.
    Refused(i32),
    /// A descriptor to read the value from, closed on exec or not.
    Value {
        /// Whether it is closed on exec.
        close_on_exec: bool,
    },
    /// These bytes, at this address.
    Bytes(u64, Vec<u8>),
}

/// Where the path is, and what is asked of it.
pub(super) fn request(call: Call, arguments: [u64; 6]) -> (u64, Request) {
    let [first, second, third, _, fifth, _] = arguments;
    match call {
        Call::Open => (first, Request::Open(second)),
        Call::OpenAt => (second, Request::Open(third)),
        Call::OpenAt2 => (second, Request::OpenHow(third)),
        Call::Stat => (first, Request::Stat(second)),
        Call::StatAt => (second, Request::Stat(third)),
        Call::Statx => (second, Request::Statx(fifth)),
        Call::Access => (first, Request::Access(second)),
        Call::AccessAt | Call::AccessAt2 => (second, Request::Access(third)),
    }
}

/// What a file of ours answers. The flags of [`Request::OpenHow`] must have been read by then.
pub(super) fn answer(request: Request, face: &Face) -> Answer {
    match request {
        Request::Open(flags) => open(flags),
        Request::OpenHow(_) => Answer::Refused(libc::EFAULT),
        Request::Stat(place) => Answer::Bytes(place, stat_bytes(face)),
        Request::Statx(place) => Answer::Bytes(place, statx_bytes(face)),
        Request::Access(mode) => {
            // The upper half of the register is not part of an int.
            let beyond = bits(libc::W_OK | libc::X_OK);
            if mode & beyond == 0 { Answer::Done } else { Answer::Refused(libc::EACCES) }
        }
    }
}

fn open(flags: u64) -> Answer {
    let has = |flag: i32| flags & bits(flag) == bits(flag);
    if has(libc::O_CREAT | libc::O_EXCL) {
        return Answer::Refused(libc::EEXIST);
    }
    if has(libc::O_DIRECTORY) {
        return Answer::Refused(libc::ENOTDIR);
    }
    let reads = flags & bits(libc::O_ACCMODE) == bits(libc::O_RDONLY);
    if !reads || has(libc::O_TRUNC) || has(libc::O_PATH) {
        return Answer::Refused(libc::EACCES);
    }
    Answer::Value { close_on_exec: has(libc::O_CLOEXEC) }
}

fn bits(flags: i32) -> u64 {
    u64::from(flags.cast_unsigned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FACE: Face = Face { number: 1, len: 5, user: 1000, group: 1000, modified: 0 };

    fn opened(flags: i32) -> Answer {
        answer(Request::Open(bits(flags)), &FACE)
    }

    #[test]
    fn a_file_is_opened_for_reading_alone() {
        assert_eq!(opened(libc::O_RDONLY), Answer::Value { close_on_exec: false });
        assert_eq!(
            opened(libc::O_RDONLY | libc::O_CLOEXEC | libc::O_NONBLOCK | libc::O_NOFOLLOW | libc::O_CREAT),
            Answer::Value { close_on_exec: true }
        );
        for flags in
            [libc::O_WRONLY, libc::O_RDWR, libc::O_TRUNC, libc::O_PATH, libc::O_WRONLY | libc::O_CREAT]
        {
            assert_eq!(opened(flags), Answer::Refused(libc::EACCES), "{flags:#o}");
        }
        assert_eq!(opened(libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL), Answer::Refused(libc::EEXIST));
        assert_eq!(opened(libc::O_DIRECTORY), Answer::Refused(libc::ENOTDIR));
    }

    #[test]
    fn a_file_may_be_read_and_neither_written_nor_run() {
        let access = |mode: i32| answer(Request::Access(bits(mode)), &FACE);
        assert_eq!([libc::F_OK, libc::R_OK].map(access), [Answer::Done, Answer::Done]);
        for mode in [libc::W_OK, libc::X_OK, libc::R_OK | libc::W_OK] {
            assert_eq!(access(mode), Answer::Refused(libc::EACCES));
        }
    }

    #[test]
    fn every_call_has_its_arguments_in_its_own_order() {
        let arguments = [10, 11, 12, 13, 14, 15];
        for (call, expected) in [
            (Call::Open, (10, Request::Open(11))),
            (Call::OpenAt, (11, Request::Open(12))),
            (Call::OpenAt2, (11, Request::OpenHow(12))),
            (Call::Stat, (10, Request::Stat(11))),
            (Call::StatAt, (11, Request::Stat(12))),
            (Call::Statx, (11, Request::Statx(14))),
            (Call::Access, (10, Request::Access(11))),
            (Call::AccessAt, (11, Request::Access(12))),
            (Call::AccessAt2, (11, Request::Access(12))),
        ] {
            assert_eq!(request(call, arguments), expected, "{call:?}");
        }
    }
}
