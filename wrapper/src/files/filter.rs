//! Which system calls of the program we are asked about: those that name a file to open or to look at.
//!
//! A program for the kernel's packet filter (seccomp(2)). It protects nothing and refuses nothing: a call that it
//! does not know (another architecture's, x32's) goes on and finds no file. So it need not be complete, and what it
//! lets through for speed (descriptors looked at by `AT_EMPTY_PATH`, directories) is no hole.
//!
//! The machine's numbers are the only thing here that differs between x86-64 and aarch64.

use libc::{c_int, c_long, sock_filter};

use super::call::Call;
use super::unasked::UNASKED;

/// `AUDIT_ARCH_X86_64` of linux/audit.h: machine, 64-bit, little-endian.
#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e;
/// `AUDIT_ARCH_AARCH64`.
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7;

/// The calls, by number. aarch64 has only those that take a directory.
#[cfg(target_arch = "x86_64")]
const CALLS: [(c_long, Call); 10] = [
    (libc::SYS_open, Call::Open),
    (libc::SYS_openat, Call::OpenAt),
    (libc::SYS_openat2, Call::OpenAt2),
    (libc::SYS_stat, Call::Stat),
    (libc::SYS_lstat, Call::Stat),
    (libc::SYS_newfstatat, Call::StatAt),
    (libc::SYS_statx, Call::Statx),
    (libc::SYS_access, Call::Access),
    (libc::SYS_faccessat, Call::AccessAt),
    (libc::SYS_faccessat2, Call::AccessAt2),
];
#[cfg(target_arch = "aarch64")]
const CALLS: [(c_long, Call); 6] = [
    (libc::SYS_openat, Call::OpenAt),
    (libc::SYS_openat2, Call::OpenAt2),
    (libc::SYS_newfstatat, Call::StatAt),
    (libc::SYS_statx, Call::Statx),
    (libc::SYS_faccessat, Call::AccessAt),
    (libc::SYS_faccessat2, Call::AccessAt2),
];

// Offsets in `struct seccomp_data`, seccomp(2). Of an argument the lower half is read: both machines are
// little-endian, and flags have no more.
const NUMBER: u32 = 0;
const MACHINE: u32 = 4;
const ARGUMENTS: u32 = 16;

/// Which call a number stands for on this machine.
pub(super) fn call(number: c_int) -> Option<Call> {
    CALLS.iter().find(|(known, _)| *known == c_long::from(number)).map(|(_, call)| *call)
}

/// The filter.
pub(super) fn program() -> Vec<sock_filter> {
    let mut program = vec![
        load(MACHINE),
        jump(libc::BPF_JEQ, ARCHITECTURE, 1, 0),
        answer(libc::SECCOMP_RET_ALLOW),
        load(NUMBER),
    ];
    for (number, call) in CALLS {
        program.extend(block(u32::try_from(number).unwrap_or(u32::MAX), call));
    }
    program.push(answer(libc::SECCOMP_RET_ALLOW));
    program
}

/// If it is this call: we are asked, unless its flags say that it is about something else.
fn block(number: u32, call: Call) -> Vec<sock_filter> {
    let Some((argument, elsewhere)) = passing(call) else {
        return vec![jump(libc::BPF_JEQ, number, 0, 1), answer(libc::SECCOMP_RET_USER_NOTIF)];
    };
    vec![
        jump(libc::BPF_JEQ, number, 0, 4),
        load(ARGUMENTS.saturating_add(argument.saturating_mul(8))),
        jump(libc::BPF_JSET, elsewhere.cast_unsigned(), 0, 1),
        answer(libc::SECCOMP_RET_ALLOW),
        answer(libc::SECCOMP_RET_USER_NOTIF),
    ]
}

/// The argument with the flags of a call, and those with any of which it is not about a file of ours.
fn passing(call: Call) -> Option<(u32, c_int)> {
    match call {
        Call::Open => Some((1, libc::O_DIRECTORY | UNASKED)),
        Call::OpenAt => Some((2, libc::O_DIRECTORY | UNASKED)),
        Call::StatAt | Call::AccessAt2 => Some((3, libc::AT_EMPTY_PATH)),
        Call::Statx => Some((2, libc::AT_EMPTY_PATH)),
        Call::OpenAt2 | Call::Stat | Call::Access | Call::AccessAt => None,
    }
}

fn load(offset: u32) -> sock_filter {
    instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, offset)
}

fn jump(test: u32, against: u32, jt: u8, jf: u8) -> sock_filter {
    instruction(libc::BPF_JMP | test | libc::BPF_K, jt, jf, against)
}

fn answer(action: u32) -> sock_filter {
    instruction(libc::BPF_RET | libc::BPF_K, 0, 0, action)
}

fn instruction(code: u32, jt: u8, jf: u8, k: u32) -> sock_filter {
    sock_filter { code: u16::try_from(code).unwrap_or(u16::MAX), jt, jf, k }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The few instructions that the filter uses, as the kernel runs them.
    fn run(machine: u32, number: c_long, arguments: [u64; 6]) -> u32 {
        let program = program();
        let (mut at, mut loaded) = (0_usize, 0_u32);
        while let Some(step) = program.get(at) {
            let code = u32::from(step.code);
            let mut skipped = 0;
            if code == libc::BPF_LD | libc::BPF_W | libc::BPF_ABS {
                loaded = word(step.k, machine, number, arguments);
            } else if code == libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K {
                skipped = if loaded == step.k { step.jt } else { step.jf };
            } else if code == libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K {
                skipped = if loaded & step.k == 0 { step.jf } else { step.jt };
            } else {
                assert_eq!(code, libc::BPF_RET | libc::BPF_K);
                return step.k;
            }
            at = at.saturating_add(1).saturating_add(skipped.into());
        }
        panic!("no answer");
    }

    /// One word of `struct seccomp_data`.
    fn word(offset: u32, machine: u32, number: c_long, arguments: [u64; 6]) -> u32 {
        match offset {
            NUMBER => u32::try_from(number).unwrap(),
            MACHINE => machine,
            offset => {
                let index = usize::try_from(offset.checked_sub(ARGUMENTS).unwrap() / 8).unwrap();
                u32::try_from(arguments[index] & u64::from(u32::MAX)).unwrap()
            }
        }
    }

    #[test]
    fn we_are_asked_about_every_call_that_names_a_file() {
        for (number, _) in CALLS {
            assert_eq!(run(ARCHITECTURE, number, [0; 6]), libc::SECCOMP_RET_USER_NOTIF, "{number}");
        }
    }

    #[test]
    fn other_calls_and_other_architectures_are_none_of_our_business() {
        assert_eq!(run(ARCHITECTURE, libc::SYS_read, [0; 6]), libc::SECCOMP_RET_ALLOW);
        for (number, _) in CALLS {
            // AUDIT_ARCH_I386, and x32's bit in the number.
            assert_eq!(run(0x4000_0003, number, [0; 6]), libc::SECCOMP_RET_ALLOW);
            assert_eq!(run(ARCHITECTURE, number | 0x4000_0000, [0; 6]), libc::SECCOMP_RET_ALLOW);
        }
    }

    #[test]
    fn descriptors_and_directories_are_looked_at_without_us() {
        let empty = u64::try_from(libc::AT_EMPTY_PATH).unwrap();
        let directory = u64::try_from(libc::O_DIRECTORY).unwrap();
        for (number, arguments) in [
            (libc::SYS_newfstatat, [1, 2, 3, empty, 0, 0]),
            (libc::SYS_statx, [1, 2, empty, 3, 4, 0]),
            (libc::SYS_faccessat2, [1, 2, 3, empty, 0, 0]),
            (libc::SYS_openat, [1, 2, directory | 1, 3, 0, 0]),
        ] {
            assert_eq!(run(ARCHITECTURE, number, arguments), libc::SECCOMP_RET_ALLOW, "{number}");
        }
    }
}
