//! The library that is loaded into programs where tracing is refused: it fetches values before `main`.
//!
//! It finds the references in `environ`, asks the wrapper at its door, maps the secret memory that it is given and
//! closes the descriptor. Then it points the slots of `environ` at the values (the constructor), or, built with
//! `--cfg getenv`, leaves `environ` alone and answers `getenv(3)` from the mapping.
//!
//! One image serves glibc and musl: no versioned symbol, no library needed, the one undefined name is `environ`, which
//! both have. musl gives constructors no arguments, and `bash` writes into the strings it finds: so the slots are
//! found through `environ`, and the pages are mapped to be written.
//!
//! Trusted: the stamp, which the wrapper wrote into the image. Untrusted: the environment, until it bears references.
//! It fails closed: a program that was to have values and gets none ends here.

#![no_std]
// Loops stay loops: a call of `memcpy` would be one more undefined name.
#![no_builtins]

mod calls;

use core::ffi::c_int;
use core::mem::MaybeUninit;
use core::ptr;

use calls::{Message, Vector};

/// Written over by the wrapper: the name of its door (32), the number of our own descriptor (4, little-endian), the
/// length of what references begin with (1), and that (27).
#[used]
static STAMP: [u8; 64] = *b"cloudtaser interposer: the wrapper writes its stamp over this...";
const DESCRIPTOR: usize = 32;
const PREFIX_LEN: usize = 36;
const PREFIX: usize = 37;

/// Entries with references that one program may have.
const MAX_ENTRIES: usize = 512;
/// The exit code of trouble that is ours.
const OUR_TROUBLE: u8 = 125;
/// What the wrapper answers, in the first byte.
const STAY: u8 = 0;
const VALUES: u8 = 1;

const PRELOAD: &[u8] = b"LD_PRELOAD=";
const OWN: &[u8] = b"/proc/self/fd/";

/// A string that ends with NUL.
type Text = *mut u8;
/// Where a pointer to an entry stands.
type Slot = *mut Text;

unsafe extern "C" {
    /// The environment, by the name that it has in glibc and in musl.
    static mut environ: Slot;
}

#[used]
#[unsafe(link_section = ".init_array")]
static START: extern "C" fn(c_int, *const Text, Slot) = start;

/// glibc gives the three arguments of `main`, and may call us before it has set `environ`. musl gives none, and
/// has set it.
extern "C" fn start(_count: c_int, _arguments: *const Text, given: Slot) {
    // SAFETY: before `main` there is one thread, so nobody else writes the variable.
    let found = unsafe { environ };
    let slots = if found.is_null() { given } else { found };
    if slots.is_null() || Entries(slots).all(|slot| !bears_reference(text_at(slot))) {
        return leave(slots);
    }
    let mut reply = Reply(MaybeUninit::uninit());
    match ask(slots, &mut reply) {
        Ok(Answer::Stay) => {}
        Ok(Answer::Values(values)) => {
            give(slots, &values, &reply);
            leave(slots);
        }
        Ok(Answer::End(code)) => calls::exit(code),
        Err(refused) => {
            calls::write("cloudtaser: this program was given no secrets: ");
            calls::write(refused);
            calls::write("\n");
            calls::exit(OUR_TROUBLE)
        }
    }
}

/// What the wrapper decided.
enum Answer {
    /// This program carries references on.
    Stay,
    /// The entries with references, expanded.
    Values(Values),
    /// There is no way; the wrapper has told why.
    End(u8),
}

/// A mapping of secret memory: entries, each with its NUL at least.
struct Values {
    address: *mut u8,
    len: usize,
    /// Entries.
    #[cfg_attr(getenv, expect(dead_code, reason = "they are found by their names there"))]
    count: usize,
}

fn ask(slots: Slot, reply: &mut Reply) -> Result<Answer, &'static str> {
    let line = calls::socket().ok_or("no socket")?;
    let mut name = [0; 32];
    for (at, byte) in name.iter_mut().enumerate() {
        *byte = stamp(at);
    }
    if !calls::connect(line, &name) {
        return Err("the wrapper's door is closed");
    }
    send(line, slots)?;
    let answer = reply.receive(line);
    calls::close(line);
    answer
}

/// One message: the entries with references, each with its NUL.
fn send(line: c_int, slots: Slot) -> Result<(), &'static str> {
    let mut vectors = MaybeUninit::<[Vector; MAX_ENTRIES]>::uninit();
    let first: *mut Vector = vectors.as_mut_ptr().cast();
    let mut count = 0;
    for slot in Entries(slots) {
        let text = text_at(slot);
        if !bears_reference(text) {
            continue;
        }
        if count == MAX_ENTRIES {
            return Err("more than 512 variables refer to secrets");
        }
        let vector = Vector { start: text, len: len(text) + 1 };
        // SAFETY: `count` is less than the number of vectors that there is room for.
        unsafe { first.add(count).write(vector) };
        count += 1;
    }
    let message = Message::of(first, count, ptr::null_mut(), 0);
    if calls::send(line, &message) { Ok(()) } else { Err("the wrapper does not listen") }
}

/// The answer's message: `[what, exit code, 0, 0, length (4)]`, and for each entry that was sent the offset at which
/// its expansion begins (4). All numbers are little-endian.
struct Reply(MaybeUninit<[u32; 2 + MAX_ENTRIES]>);

impl Reply {
    const HEADER: usize = 8;

    fn receive(&mut self, line: c_int) -> Result<Answer, &'static str> {
        const NO_ANSWER: &str = "the wrapper does not answer";
        // `struct cmsghdr` and one descriptor, in words.
        let mut control = [0_u64; 3];
        let mut vector = Vector { start: self.0.as_mut_ptr().cast(), len: size_of_val(&self.0) };
        let mut message = Message::of(&raw mut vector, 1, control.as_mut_ptr().cast(), size_of_val(&control));
        let received = usize::try_from(calls::receive(line, &mut message)).unwrap_or(0);
        if received < Self::HEADER {
            return Err(NO_ANSWER);
        }
        // SAFETY: both words of the header were received.
        let [head, len] = [0, 1].map(|index| unsafe { self.word(index) });
        let [what, code, _, _] = head.to_le_bytes();
        match what {
            STAY => Ok(Answer::Stay),
            VALUES => {
                let descriptor = calls::received(&message, &control).ok_or(NO_ANSWER)?;
                let mapped = calls::map(descriptor, len as usize);
                // While it is open, root can take the descriptor from here.
                calls::close(descriptor);
                let address = mapped.ok_or("no secret memory (RLIMIT_MEMLOCK?)")?;
                Ok(Answer::Values(Values { address, len: len as usize, count: received / 4 - 2 }))
            }
            _ => Ok(Answer::End(code)),
        }
    }

    /// # Safety
    /// The word at `index` must have been received.
    unsafe fn word(&self, index: usize) -> u32 {
        let first: *const u32 = self.0.as_ptr().cast();
        // SAFETY: the caller knows that it is within the array.
        let place = unsafe { first.add(index) };
        // SAFETY: the caller knows that it was received.
        u32::from_le(unsafe { place.read() })
    }
}

/// Points each slot whose entry bears a reference at its expansion.
#[cfg(not(getenv))]
fn give(slots: Slot, values: &Values, reply: &Reply) {
    let bearing = Entries(slots).filter(|slot| bears_reference(text_at(*slot)));
    for (index, slot) in bearing.enumerate() {
        if index >= values.count {
            calls::exit(OUR_TROUBLE);
        }
        // SAFETY: that many starts were received behind the header.
        let start = unsafe { reply.word(2 + index) } as usize;
        if start >= values.len {
            calls::exit(OUR_TROUBLE);
        }
        // SAFETY: `start` lies within the mapping.
        let value = unsafe { values.address.add(start) };
        // SAFETY: the slot is one of the environment's own, of which we are the only user yet.
        unsafe { slot.write(value) };
    }
}

#[cfg(getenv)]
use asked::give;

/// The environment as it is, references and all, and values for those who ask for them by name.
#[cfg(getenv)]
mod asked {
    use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

    use super::{Entries, Reply, Slot, Text, Values, bears_reference, environ, len, ptr, text_at};

    static ADDRESS: AtomicPtr<u8> = AtomicPtr::new(ptr::null_mut());
    static LEN: AtomicUsize = AtomicUsize::new(0);

    /// Keeps the mapping.
    pub(super) fn give(_slots: Slot, values: &Values, _reply: &Reply) {
        ADDRESS.store(values.address, Ordering::Relaxed);
        LEN.store(values.len, Ordering::Release);
    }

    /// The strings of the mapping, the empty ones between entries among them.
    struct Mapped {
        address: Text,
        len: usize,
    }

    impl Iterator for Mapped {
        type Item = Text;

        fn next(&mut self) -> Option<Text> {
            let text = self.address;
            let mut at = 0;
            while at < self.len {
                // SAFETY: `at` is within the mapping.
                let byte = unsafe { text.add(at).read() };
                at += 1;
                if byte == 0 {
                    // SAFETY: `at` is within the mapping or one past it.
                    self.address = unsafe { text.add(at) };
                    self.len -= at;
                    return Some(text);
                }
            }
            None
        }
    }

    /// getenv(3).
    ///
    /// # Safety
    /// As the standard has it: `name` ends with NUL, and nobody changes the environment meanwhile.
    #[unsafe(no_mangle)]
    pub unsafe extern "C" fn getenv(name: Text) -> Text {
        // SAFETY: the caller keeps others from writing it.
        let slots = unsafe { environ };
        if name.is_null() || slots.is_null() || len(name) == 0 {
            return ptr::null_mut();
        }
        let found = Entries(slots).map(text_at).find_map(|entry| Some((entry, value(entry, name)?)));
        let Some((entry, plain)) = found else {
            return ptr::null_mut();
        };
        if !bears_reference(entry) {
            return plain;
        }
        let mut values =
            Mapped { len: LEN.load(Ordering::Acquire), address: ADDRESS.load(Ordering::Relaxed) };
        values.find_map(|entry| value(entry, name)).unwrap_or(plain)
    }

    /// `secure_getenv(3)`: a program that gained privileges by its start has not loaded us.
    ///
    /// # Safety
    /// As for [`getenv`].
    #[unsafe(no_mangle)]
    pub unsafe extern "C" fn secure_getenv(name: Text) -> Text {
        // SAFETY: the caller has the same duties.
        unsafe { getenv(name) }
    }

    /// What follows `NAME=` in `entry`, if that is its name.
    fn value(entry: Text, name: Text) -> Option<Text> {
        let mut at = 0;
        loop {
            // SAFETY: no byte before `at` was NUL in either string.
            let wanted = unsafe { name.add(at).read() };
            // SAFETY: as above.
            let found = unsafe { entry.add(at).read() };
            if wanted == 0 {
                // SAFETY: the byte at `at` is `=`, so there is one after it.
                return (found == b'=').then(|| unsafe { entry.add(at + 1) });
            }
            if wanted != found {
                return None;
            }
            at += 1;
        }
    }
}

/// Leaves no trace for the program: our entry in `LD_PRELOAD`, and the descriptor that we were loaded from.
fn leave(slots: Slot) {
    let descriptor =
        u32::from_le_bytes([DESCRIPTOR, DESCRIPTOR + 1, DESCRIPTOR + 2, DESCRIPTOR + 3].map(stamp));
    let Ok(descriptor) = c_int::try_from(descriptor) else {
        return;
    };
    if slots.is_null() {
        return;
    }
    for slot in Entries(slots) {
        let text = text_at(slot);
        if starts_with(text, PRELOAD) {
            // SAFETY: the string is at least as long as what it starts with.
            let list = unsafe { text.add(PRELOAD.len()) };
            match own_place(list, descriptor) {
                Some(Place { from, alone: true, .. }) if from == list => remove(slot),
                Some(Place { from, to, .. }) => close_gap(from, to),
                None => {}
            }
            break;
        }
    }
    if calls::is_sealed(descriptor) {
        calls::close(descriptor);
    }
}

/// Our entry in a list, with the separator after it.
struct Place {
    from: Text,
    to: Text,
    /// Nothing separated it from another.
    alone: bool,
}

fn own_place(list: Text, descriptor: c_int) -> Option<Place> {
    let mut at = list;
    loop {
        let end = end_of_item(at);
        // SAFETY: `end` lies in the string or at its NUL.
        let separator = unsafe { end.read() };
        if is_own(at, end, descriptor) {
            // SAFETY: a separator is followed by another byte.
            let to = if separator == 0 { end } else { unsafe { end.add(1) } };
            return Some(Place { from: at, to, alone: separator == 0 });
        }
        if separator == 0 {
            return None;
        }
        // SAFETY: a separator is followed by another byte.
        at = unsafe { end.add(1) };
    }
}

/// `ld.so` separates by colons and spaces.
fn end_of_item(start: Text) -> Text {
    let mut at = start;
    loop {
        // SAFETY: no byte before `at` was NUL.
        if matches!(unsafe { at.read() }, 0 | b':' | b' ') {
            return at;
        }
        // SAFETY: the byte at `at` is not the NUL.
        at = unsafe { at.add(1) };
    }
}

fn is_own(start: Text, end: Text, descriptor: c_int) -> bool {
    if !starts_with(start, OWN) {
        return false;
    }
    // SAFETY: the string is at least as long as what it starts with.
    let mut at = unsafe { start.add(OWN.len()) };
    let mut number: c_int = 0;
    while at < end {
        // SAFETY: `at` is before the end of the item.
        let digit = unsafe { at.read() }.wrapping_sub(b'0');
        if digit > 9 {
            return false;
        }
        number = number.wrapping_mul(10).wrapping_add(c_int::from(digit));
        // SAFETY: `at` is before the end of the item.
        at = unsafe { at.add(1) };
    }
    number == descriptor
}

/// The entry was there for our sake: those after it move up.
fn remove(slot: Slot) {
    let mut slot = slot;
    loop {
        // SAFETY: `slot` is not the null that ends the environment, so another follows.
        let following = unsafe { slot.add(1) };
        let next = text_at(following);
        // SAFETY: the slot is one of the environment's own, of which we are the only user yet.
        unsafe { slot.write(next) };
        if next.is_null() {
            return;
        }
        slot = following;
    }
}

/// Moves the string at `to` down to `from`, and fills what it leaves with NUL.
fn close_gap(from: Text, to: Text) {
    let (mut into, mut out) = (from, to);
    let mut byte = 1;
    while byte != 0 {
        // SAFETY: no byte before `out` was NUL.
        byte = unsafe { out.read() };
        // SAFETY: `into` lies before `out` in the same string.
        unsafe { into.write(byte) };
        // SAFETY: at most one past the NUL.
        out = unsafe { out.add(1) };
        // SAFETY: as above.
        into = unsafe { into.add(1) };
    }
    while into < out {
        // SAFETY: between the new end of the string and its old one.
        unsafe { into.write(0) };
        // SAFETY: as above.
        into = unsafe { into.add(1) };
    }
}

/// The slots of an environment, up to the null that ends it.
struct Entries(Slot);

impl Iterator for Entries {
    type Item = Slot;

    fn next(&mut self) -> Option<Slot> {
        let slot = self.0;
        if text_at(slot).is_null() {
            return None;
        }
        // SAFETY: the slot is not the one that ends the environment.
        self.0 = unsafe { slot.add(1) };
        Some(slot)
    }
}

fn text_at(slot: Slot) -> Text {
    // SAFETY: slots come from `environ`, up to the null that ends it.
    unsafe { slot.read() }
}

fn len(text: Text) -> usize {
    let mut len = 0;
    // SAFETY: no byte before `len` was NUL.
    while unsafe { text.add(len).read() } != 0 {
        len += 1;
    }
    len
}

fn starts_with(text: Text, start: &[u8]) -> bool {
    // SAFETY: a byte is read only where those before it were not NUL.
    start.iter().enumerate().all(|(at, byte)| unsafe { text.add(at).read() } == *byte)
}

/// Whether what references begin with stands anywhere in it.
fn bears_reference(text: Text) -> bool {
    let prefix = stamp(PREFIX_LEN);
    let mut at = text;
    loop {
        // SAFETY: a byte is read only where those before it were not NUL, which no prefix has.
        let here =
            (0..usize::from(prefix)).all(|index| unsafe { at.add(index).read() } == stamp(PREFIX + index));
        if here && prefix > 0 {
            return true;
        }
        // SAFETY: no byte before `at` was NUL.
        if unsafe { at.read() } == 0 {
            return false;
        }
        // SAFETY: the byte at `at` is not the NUL.
        at = unsafe { at.add(1) };
    }
}

/// Read as something that changes, or the compiler would answer with what stands in the source.
fn stamp(at: usize) -> u8 {
    // SAFETY: every caller asks for a byte below 64.
    unsafe { (&raw const STAMP).cast::<u8>().add(at).read_volatile() }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    calls::exit(OUR_TROUBLE)
}
