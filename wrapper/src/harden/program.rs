//! What the program may not do: the system calls by which memory leaves, or another's is reached, where no hook of the kernel
//! asks anybody.
//!
//! The program's own processes are a group that may look into each other; this is what keeps one of them that was taken over
//! from lending another's pages to strangers. Each call is answered as a kernel answers that was built without it, so that
//! libraries take their other way; the stock profile of container engines refuses most of them too. A debugger in the
//! container needs `CLOUDTASER_PROGRAM_FILTER=false`.
//!
//! Written by hand and not by the library that the other filters are made with: that one kills programs of another
//! architecture, and a 32-bit helper is none of our business, as long as it makes none of these calls either.
//!
//! Trusted: nothing comes from outside.

use libc::{c_int, c_long};
use seccompiler::{BpfProgram, apply_filter, sock_filter};

use super::filter::Error;

/// A call, by its numbers on this machine and on its 32-bit predecessor, and the answer.
struct Refused {
    here: c_long,
    narrow: u32,
    answer: c_int,
}

const fn refused(here: c_long, narrow: u32, answer: c_int) -> Refused {
    Refused { here, narrow, answer }
}

/// Numbers of i386 and of arm are those of `arch/x86/entry/syscalls/syscall_32.tbl` and `arch/arm/tools/syscall.tbl`.
#[cfg(target_arch = "x86_64")]
const REFUSED: [Refused; 14] = [
    // Pages lent to a pipe, whose other end anybody may hold.
    refused(libc::SYS_vmsplice, 316, libc::ENOSYS),
    refused(libc::SYS_tee, 315, libc::ENOSYS),
    // System calls that no filter sees. Libraries ask first, and do without (libuv, liburing).
    refused(libc::SYS_io_uring_setup, 425, libc::ENOSYS),
    refused(libc::SYS_io_uring_enter, 426, libc::ENOSYS),
    refused(libc::SYS_io_uring_register, 427, libc::ENOSYS),
    // Its own pages in another's hands.
    refused(libc::SYS_userfaultfd, 374, libc::ENOSYS),
    // The memory of others.
    refused(libc::SYS_process_vm_readv, 347, libc::EPERM),
    refused(libc::SYS_process_vm_writev, 348, libc::EPERM),
    refused(libc::SYS_process_madvise, 440, libc::EPERM),
    refused(libc::SYS_pidfd_getfd, 438, libc::EPERM),
    refused(libc::SYS_kcmp, 349, libc::EPERM),
    refused(libc::SYS_perf_event_open, 336, libc::EPERM),
    refused(libc::SYS_bpf, 357, libc::EPERM),
    // But to be traced by its parent, which the graft needs.
    refused(libc::SYS_ptrace, 26, libc::EPERM),
];
/// As above.
#[cfg(target_arch = "aarch64")]
const REFUSED: [Refused; 14] = [
    refused(libc::SYS_vmsplice, 343, libc::ENOSYS),
    refused(libc::SYS_tee, 342, libc::ENOSYS),
    refused(libc::SYS_io_uring_setup, 425, libc::ENOSYS),
    refused(libc::SYS_io_uring_enter, 426, libc::ENOSYS),
    refused(libc::SYS_io_uring_register, 427, libc::ENOSYS),
    refused(libc::SYS_userfaultfd, 388, libc::ENOSYS),
    refused(libc::SYS_process_vm_readv, 376, libc::EPERM),
    refused(libc::SYS_process_vm_writev, 377, libc::EPERM),
    refused(libc::SYS_process_madvise, 440, libc::EPERM),
    refused(libc::SYS_pidfd_getfd, 438, libc::EPERM),
    refused(libc::SYS_kcmp, 378, libc::EPERM),
    refused(libc::SYS_perf_event_open, 364, libc::EPERM),
    refused(libc::SYS_bpf, 386, libc::EPERM),
    refused(libc::SYS_ptrace, 26, libc::EPERM),
];

/// `AUDIT_ARCH_*` of linux/audit.h: machine, word size, little-endian.
#[cfg(target_arch = "x86_64")]
const MACHINES: (u32, u32) = (0xc000_003e, 0x4000_0003);
/// As above.
#[cfg(target_arch = "aarch64")]
const MACHINES: (u32, u32) = (0xc000_00b7, 0x4000_0028);

/// x32 has the same calls under numbers with this bit (arch/x86/include/uapi/asm/unistd.h).
const X32: u32 = 0x4000_0000;

/// `PTRACE_TRACEME`, whose type differs from one C library to the other.
const TRACEME: u32 = 0;

// Offsets in `struct seccomp_data`, seccomp(2).
const NUMBER: u32 = 0;
const MACHINE: u32 = 4;
const FIRST_ARGUMENT: u32 = 16;

/// Restricts this process, and all that it becomes and starts, for good. It must not gain privileges any more.
pub fn program() -> Result<(), Error> {
    Ok(apply_filter(&filter())?)
}

fn filter() -> BpfProgram {
    let (here, narrow) = MACHINES;
    let wide = section(&REFUSED.map(|call| (u32::try_from(call.here).unwrap_or(u32::MAX), call.answer)));
    let narrow_calls = section(&REFUSED.map(|call| (call.narrow, call.answer)));
    let beyond = u8::try_from(wide.len()).unwrap_or(u8::MAX);
    let mut program = vec![load(MACHINE), jump(libc::BPF_JEQ, here, 0, beyond)];
    program.extend(wide);
    program.push(jump(libc::BPF_JEQ, narrow, 1, 0));
    program.push(answer(libc::SECCOMP_RET_ALLOW));
    program.extend(narrow_calls);
    program
}

/// For one machine: these calls, and an end.
fn section(calls: &[(u32, c_int)]) -> BpfProgram {
    let mut section = vec![load(NUMBER), alu(libc::BPF_AND, !X32)];
    for (number, errno) in calls {
        let refusal = answer(libc::SECCOMP_RET_ERRNO | errno.cast_unsigned());
        if *errno == libc::EPERM && is_ptrace(*number) {
            section.push(jump(libc::BPF_JEQ, *number, 0, 3));
            section.push(load(FIRST_ARGUMENT));
            section.push(jump(libc::BPF_JEQ, TRACEME, 1, 0));
        } else {
            section.push(jump(libc::BPF_JEQ, *number, 0, 1));
        }
        section.push(refusal);
    }
    section.push(answer(libc::SECCOMP_RET_ALLOW));
    section
}

fn is_ptrace(number: u32) -> bool {
    REFUSED.iter().any(|call| {
        call.here == libc::SYS_ptrace && (c_long::from(number) == call.here || number == call.narrow)
    })
}

fn load(offset: u32) -> sock_filter {
    instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, offset)
}

fn alu(operation: u32, with: u32) -> sock_filter {
    instruction(libc::BPF_ALU | operation | libc::BPF_K, 0, 0, with)
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
    fn run(machine: u32, number: u32, first: u32) -> u32 {
        let program = filter();
        let (mut at, mut loaded) = (0_usize, 0_u32);
        while let Some(step) = program.get(at) {
            let code = u32::from(step.code);
            let mut skipped = 0;
            if code == libc::BPF_LD | libc::BPF_W | libc::BPF_ABS {
                loaded = match step.k {
                    NUMBER => number,
                    MACHINE => machine,
                    _argument => first,
                };
            } else if code == libc::BPF_ALU | libc::BPF_AND | libc::BPF_K {
                loaded &= step.k;
            } else if code == libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K {
                skipped = if loaded == step.k { step.jt } else { step.jf };
            } else {
                assert_eq!(code, libc::BPF_RET | libc::BPF_K);
                return step.k;
            }
            at = at.saturating_add(1).saturating_add(skipped.into());
        }
        panic!("no answer");
    }

    const SEIZE: u32 = 0x4206;

    #[test]
    fn each_call_is_refused_by_each_of_its_numbers() {
        let (here, narrow) = MACHINES;
        for call in REFUSED {
            let expected = libc::SECCOMP_RET_ERRNO | call.answer.cast_unsigned();
            let number = u32::try_from(call.here).unwrap();
            assert_eq!(run(here, number, SEIZE), expected, "{number}");
            assert_eq!(run(here, number | X32, SEIZE), expected, "{number} of x32");
            assert_eq!(run(narrow, call.narrow, SEIZE), expected, "{} of 32 bits", call.narrow);
        }
    }

    #[test]
    fn a_program_may_still_ask_to_be_traced_and_do_everything_else() {
        let (here, narrow) = MACHINES;
        let ptrace = u32::try_from(libc::SYS_ptrace).unwrap();
        assert_eq!(run(here, ptrace, 0), libc::SECCOMP_RET_ALLOW);
        assert_eq!(run(narrow, 26, 0), libc::SECCOMP_RET_ALLOW);
        for number in [libc::SYS_read, libc::SYS_splice, libc::SYS_memfd_secret, libc::SYS_clone3] {
            assert_eq!(run(here, u32::try_from(number).unwrap(), SEIZE), libc::SECCOMP_RET_ALLOW, "{number}");
        }
        assert_eq!(run(0x1234, ptrace, SEIZE), libc::SECCOMP_RET_ALLOW, "a machine that does not run here");
    }
}
