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

#[cfg(getenv)]
mod asked;
mod calls;
mod environment;
mod preload;
mod reply;
mod stamp;

use core::ffi::c_int;
use core::mem::MaybeUninit;
use core::ptr;

#[cfg(getenv)]
use asked::give;
use calls::{Message, Vector};
use environment::{Entries, Slot, Text};
use reply::{Answer, MAX_ENTRIES, Reply};

/// The exit code of trouble that is ours.
const OUR_TROUBLE: u8 = 125;

#[used]
#[unsafe(link_section = ".init_array")]
static START: extern "C" fn(c_int, *const Text, Slot) = start;

/// glibc gives the three arguments of `main`, and may call us before it has set `environ`. musl gives none, and
/// has set it.
extern "C" fn start(_count: c_int, _arguments: *const Text, given: Slot) {
    let first = Slot::first().unwrap_or(given);
    if first.is_nowhere() {
        return;
    }
    if bearing(first).next().is_none() {
        return preload::leave(first);
    }
    let mut reply = Reply::empty();
    match ask(first, &mut reply) {
        Ok(Answer::Stay) => {}
        Ok(Answer::Values(values)) => {
            give(first, &values);
            preload::leave(first);
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

/// The slots whose entries bear references.
fn bearing(first: Slot) -> impl Iterator<Item = Slot> {
    Entries(first).filter(|slot| slot.text().bears_reference())
}

fn ask(first: Slot, reply: &mut Reply) -> Result<Answer<'_>, &'static str> {
    let line = calls::socket().ok_or("no socket")?;
    if !calls::connect(line, &stamp::door()) {
        return Err("the wrapper's door is closed");
    }
    send(line, first)?;
    let answer = reply.receive(line);
    calls::close(line);
    answer
}

/// One message: the entries with references, each with its NUL.
fn send(line: c_int, first: Slot) -> Result<(), &'static str> {
    let mut vectors = [const { MaybeUninit::<Vector>::uninit() }; MAX_ENTRIES];
    let mut places = vectors.iter_mut();
    let mut count = 0;
    for slot in bearing(first) {
        let place = places.next().ok_or("more than 512 variables refer to secrets")?;
        let text = slot.text();
        place.write(Vector { start: text.0, len: text.len() + 1 });
        count += 1;
    }
    let message = Message::of(vectors.as_mut_ptr().cast(), count, ptr::null_mut(), 0);
    if calls::send(line, &message) { Ok(()) } else { Err("the wrapper does not listen") }
}

/// Points each slot whose entry bears a reference at its expansion.
#[cfg(not(getenv))]
fn give(first: Slot, values: &reply::Values<'_>) {
    for (index, slot) in bearing(first).enumerate() {
        match values.at(index) {
            Some(value) => slot.set(value),
            None => calls::exit(OUR_TROUBLE),
        }
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    calls::exit(OUR_TROUBLE)
}
