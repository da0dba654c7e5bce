//! From what a call answered to what the table shows.
//!
//! Only `EPERM` and `EACCES` are a guard's words. Every other error says that the attack cannot be made here at all, and
//! then the words say which: a probe that fails for another reason than the guard proves nothing.

use std::io;

use crate::Outcome;

/// What a probe found: what the attacker holds, or the error.
pub(crate) type Found = io::Result<String>;

/// The outcome of what was found.
pub(crate) fn told(found: Found) -> Outcome {
    match found {
        Ok(what) => Outcome::Got(what),
        Err(error) => match error.raw_os_error() {
            Some(errno @ (libc::EPERM | libc::EACCES)) => Outcome::Denied(errno),
            Some(_) => Outcome::Impossible(error.to_string()),
            None if error.kind() == io::ErrorKind::Unsupported => Outcome::Impossible(error.to_string()),
            None => Outcome::Nothing(error.to_string()),
        },
    }
}

/// What cannot be tried here, and why.
pub(crate) fn absent(why: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, why.into())
}

/// Every call went through, and this came of it.
pub(crate) fn nothing(what: impl Into<String>) -> io::Error {
    io::Error::other(what.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_guards_words_are_a_denial() {
        for errno in [libc::EPERM, libc::EACCES] {
            assert_eq!(told(Err(io::Error::from_raw_os_error(errno))), Outcome::Denied(errno));
        }
        for errno in [libc::ENOENT, libc::EINVAL, libc::ENOSYS] {
            assert!(
                matches!(told(Err(io::Error::from_raw_os_error(errno))), Outcome::Impossible(_)),
                "{errno}"
            );
        }
    }

    #[test]
    fn what_is_not_there_is_no_failed_attack() {
        assert_eq!(told(Err(absent("no such device"))), Outcome::impossible("no such device"));
        assert_eq!(told(Err(nothing("it lives"))), Outcome::nothing("it lives"));
        assert_eq!(told(Ok("it".into())), Outcome::got("it"));
    }
}
