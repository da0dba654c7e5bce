//! How a program gets at its arguments: typed pointers that the verifier follows, or plain numbers that are read with care.
//!
//! The policy is written once, over [`Front`]. Trusted: what the kernel passes. A read that fails yields `None`, and the
//! rule that needed it says what that means.

use core::ffi::c_void;

use aya_ebpf::bindings::task_struct;
use aya_ebpf::helpers::bpf_probe_read_kernel;
use aya_ebpf::helpers::generated::bpf_task_storage_get;
use aya_ebpf::programs::{LsmContext, ProbeContext};
use enforcer_abi::{Tag, Tier};

use crate::maps::{PIDS, TAGS, offset, setting};

/// A pointer into the kernel.
pub type Pointer = *const c_void;

/// A hook's arguments, and how far its pointers may be followed.
pub trait Front {
    /// Whether its answer is obeyed; where it is not, who does it can only be killed.
    const REFUSES: bool;

    /// How strong the hook is: the number of a [`Tier`].
    fn tier() -> u8;

    /// An argument, as the register had it. Of one that is shorter, what stands above is anything: see [`Self::number`].
    fn argument(&self, n: usize) -> u64;

    /// What lies behind a pointer that the kernel passed, or that was read from such a one.
    fn read<T: Copy>(pointer: Pointer, offset: usize) -> Option<T>;

    /// The tag of a task that the kernel passed.
    fn tag(task: Pointer) -> Tag;

    /// An argument of 32 bits. What stands above them is its caller's, or, in Linux 5.15, whatever was on the stack.
    #[inline(always)]
    fn number(&self, n: usize) -> u32 {
        self.argument(n) as u32
    }

    /// An argument that is a pointer.
    #[inline(always)]
    fn pointer(&self, n: usize) -> Pointer {
        self.argument(n) as Pointer
    }
}

/// LSM, and `fmod_ret` with the same bytes: the verifier knows the types.
pub struct Typed<'c>(pub &'c LsmContext);

impl Front for Typed<'_> {
    const REFUSES: bool = true;

    #[inline(always)]
    fn tier() -> u8 {
        setting!(typed) as u8
    }

    #[inline(always)]
    fn argument(&self, n: usize) -> u64 {
        self.0.arg(n)
    }

    #[inline(always)]
    fn read<T: Copy>(pointer: Pointer, offset: usize) -> Option<T> {
        follow(pointer, offset)
    }

    /// Its storage may not be read while another on this processor writes one (until 6.2): it is known by number, too.
    #[inline(always)]
    fn tag(task: Pointer) -> Tag {
        match stored(task) {
            Tag::NONE => offset!(task_tgid).and_then(|at| follow(task, at)).map_or(Tag::NONE, numbered),
            tag => tag,
        }
    }
}

/// Typed tracepoints. Nothing obeys them; but who is to die anyway may be killed by any, and then they do `OBEYED`.
pub struct Traced<'c, const OBEYED: bool>(pub &'c LsmContext);

impl<const OBEYED: bool> Front for Traced<'_, OBEYED> {
    const REFUSES: bool = OBEYED;

    #[inline(always)]
    fn tier() -> u8 {
        let tier = if !OBEYED && setting!(reactive) == 0 { Tier::Observe } else { Tier::Tracepoint };
        tier as u8
    }

    #[inline(always)]
    fn argument(&self, n: usize) -> u64 {
        self.0.arg(n)
    }

    #[inline(always)]
    fn read<T: Copy>(pointer: Pointer, offset: usize) -> Option<T> {
        follow(pointer, offset)
    }

    #[inline(always)]
    fn tag(task: Pointer) -> Tag {
        stored(task)
    }
}

/// Kprobes: registers with numbers in them.
pub struct Numbers<'c>(pub &'c ProbeContext);

impl Front for Numbers<'_> {
    const REFUSES: bool = false;

    #[inline(always)]
    fn tier() -> u8 {
        let tier = if setting!(reactive) == 0 { Tier::Observe } else { Tier::Kill };
        tier as u8
    }

    #[inline(always)]
    fn argument(&self, n: usize) -> u64 {
        self.0.arg(n).unwrap_or(0)
    }

    #[inline(always)]
    fn read<T: Copy>(pointer: Pointer, offset: usize) -> Option<T> {
        probe(pointer, offset)
    }

    #[inline(always)]
    fn tag(task: Pointer) -> Tag {
        let Some(at) = offset!(task_tgid) else { return Tag::NONE };
        match probe::<u32>(task, at) {
            Some(tgid) => numbered(tgid),
            None => Tag::NONE,
        }
    }
}

/// Kprobes at the entry of a system call, where the kernel lets its result be overridden.
pub struct Overriding;

impl Front for Overriding {
    const REFUSES: bool = true;

    #[inline(always)]
    fn tier() -> u8 {
        Tier::Override as u8
    }

    #[inline(always)]
    fn argument(&self, _: usize) -> u64 {
        0
    }

    #[inline(always)]
    fn read<T: Copy>(pointer: Pointer, offset: usize) -> Option<T> {
        probe(pointer, offset)
    }

    #[inline(always)]
    fn tag(task: Pointer) -> Tag {
        Numbers::tag(task)
    }
}

/// What lies behind a pointer whose type the verifier knows.
#[inline(always)]
fn follow<T: Copy>(pointer: Pointer, offset: usize) -> Option<T> {
    // SAFETY: the verifier lets a typed pointer be followed only within its structure, and a bad one reads zeros.
    Some(unsafe { core::ptr::read_volatile(pointer.byte_add(offset).cast::<T>()) })
}

/// Reads kernel memory that may not be there.
#[inline(always)]
pub fn probe<T: Copy>(pointer: Pointer, offset: usize) -> Option<T> {
    // SAFETY: the helper faults for nobody.
    unsafe { bpf_probe_read_kernel(pointer.wrapping_byte_add(offset).cast::<T>()) }.ok()
}

/// The tag in a task's own storage.
#[inline(always)]
pub fn stored(task: Pointer) -> Tag {
    // SAFETY: the verifier checks that it is a task; the helper answers null where there is no tag.
    let tag = unsafe {
        bpf_task_storage_get(TAGS.pointer(), task.cast_mut().cast::<task_struct>(), core::ptr::null_mut(), 0)
    };
    // SAFETY: not null, and of the map's own type.
    if tag.is_null() { Tag::NONE } else { unsafe { *tag.cast::<Tag>() } }
}

/// The tag of the process with this number.
#[inline(always)]
pub fn numbered(tgid: u32) -> Tag {
    // SAFETY: read once; an entry that is replaced meanwhile is one of two true answers.
    unsafe { PIDS.get(tgid) }.copied().unwrap_or(Tag::NONE)
}

/// A program of a kind, and what it answers.
macro_rules! program {
    ($kind:literal, $name:ident, $ctx:ident => $answer:expr) => {
        #[unsafe(no_mangle)]
        #[unsafe(link_section = concat!($kind, "/", stringify!($name)))]
        pub fn $name($ctx: *mut core::ffi::c_void) -> i32 {
            let $ctx = aya_ebpf::programs::LsmContext::new($ctx);
            $answer
        }
    };
}
pub(crate) use program;

/// A program for LSM and `fmod_ret`: another's refusal is kept, ours is added.
macro_rules! hook {
    ($name:ident, $arguments:literal, $rule:path) => {
        $crate::front::program!("lsm", $name, ctx => {
            let earlier: i32 = ctx.arg($arguments);
            if earlier == 0 { $rule(&$crate::front::Typed(&ctx)) } else { earlier }
        });
    };
}
pub(crate) use hook;

/// Likewise for a hook that takes another number of arguments in BPF LSM than in `security_*`. Nothing is lost: after a
/// refusal the kernel calls no further program.
macro_rules! uneven_hook {
    ($name:ident, $rule:path) => {
        $crate::front::program!("lsm", $name, ctx => $rule(&$crate::front::Typed(&ctx)));
    };
}
pub(crate) use uneven_hook;

/// Likewise for a hook that answers nothing; elsewhere loaded as `fentry`.
macro_rules! void_hook {
    ($name:ident, $rule:path) => {
        $crate::front::program!("lsm", $name, ctx => {
            $rule(&$crate::front::Typed(&ctx));
            0
        });
    };
}
pub(crate) use void_hook;

/// A program on a typed tracepoint.
macro_rules! trace {
    ($name:ident, $obeyed:literal, $rule:path) => {
        $crate::front::program!("tp_btf", $name, ctx => {
            $rule(&$crate::front::Traced::<$obeyed>(&ctx));
            0
        });
    };
}
pub(crate) use trace;
