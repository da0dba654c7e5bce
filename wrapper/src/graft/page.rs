//! What lies where in a program's secret memory, and how it is written anew while the program reads it.
//!
//! [`Outline`] lays the entries of one environment side by side, with room to grow where they will be
//! rewritten. [`Kept`] is such memory of a living program, mapped here too.
//!
//! Trusted: the entries, which we expanded. Untrusted: the memory once a program has it; we only write.

use std::fs;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU8, Ordering, fence};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Pid;
use secretmem::Shared;

use super::references::{Secrets, Template};

/// A cache line: a value that grows by less than that mostly still fits.
const STEP: usize = 64;
/// Entries begin where words do: each is written word by word.
const WORD: usize = 8;

/// Whether entries get room to grow.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Room {
    Exact,
    ToGrow,
}

/// Where each entry lies; as many bytes from the start of the memory as its own and its room take.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Outline {
    pub(crate) places: Vec<Range<usize>>,
    /// Whole pages.
    pub(crate) len: usize,
}

impl Outline {
    /// Lays out strings of `lens` bytes, their NULs included. Room never costs a further page.
    pub(crate) fn new(lens: &[usize], room: Room, page: usize) -> Self {
        let exact = |len: usize| len.next_multiple_of(WORD);
        let needed = lens.iter().copied().map(exact).fold(0, usize::saturating_add);
        let whole = needed.max(1).checked_next_multiple_of(page).unwrap_or(usize::MAX);
        let roomy = |len: usize| len.next_multiple_of(STEP).saturating_add(STEP);
        let wanted = lens.iter().copied().map(roomy).fold(0, usize::saturating_add);
        let spare = whole.saturating_sub(needed).checked_div(lens.len()).unwrap_or(0) & !(WORD - 1);
        let mut start = 0_usize;
        let place = |len: &usize| {
            let size = match room {
                Room::Exact => exact(*len),
                Room::ToGrow if wanted <= whole => roomy(*len),
                Room::ToGrow => exact(*len).saturating_add(spare),
            };
            let from = start;
            start = start.saturating_add(size);
            from..start
        };
        Self { places: lens.iter().map(place).collect(), len: whole }
    }
}

/// A program that was given memory which may have to be rewritten.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) pid: Pid,
    /// Says when it has ended: nobody reports the ends of other people's children to us.
    pub(super) process: OwnedFd,
    /// Where the memory is in the program.
    pub(super) address: u64,
    /// None where we could not map it.
    pub(super) memory: Option<Shared>,
    pub(super) entries: Vec<(Range<usize>, Template)>,
}

impl Kept {
    pub(super) fn is_alive(&self) -> bool {
        let mut fds = [PollFd::new(&self.process, PollFlags::IN)];
        poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|ready| ready == 0)
    }

    /// Whether what we write is what the program reads. It may have become another program since, which got
    /// copies of the values.
    pub(super) fn is_within_reach(&self) -> bool {
        let begins = format!("{:x}-", self.address);
        let maps = fs::read_to_string(format!("/proc/{}/maps", self.pid));
        // Where we may not look, it changed its user: nothing says that it changed more. One without memory
        // is about to end.
        let reads_ours = |maps: String| maps.is_empty() || maps.lines().any(|line| line.starts_with(&begins));
        self.memory.is_some() && maps.map_or(true, reads_ours)
    }

    /// The first entry that has outgrown its room, by the name of a value in it.
    pub(super) fn outgrown<'s>(&self, secrets: &'s Secrets) -> Option<&'s str> {
        let too_long = |(place, template): &&(Range<usize>, Template)| secrets.len(template) > place.len();
        self.entries.iter().find(too_long).map(|(_, template)| secrets.name(template))
    }

    /// Writes every entry with the values of `secrets`; each fits, the caller asked [`Self::outgrown`].
    pub(super) fn rewrite(&self, secrets: &Secrets) {
        let bytes = self.memory.as_ref().map(Shared::bytes).unwrap_or_default();
        for (place, template) in &self.entries {
            if let Some(place) = bytes.get(place.clone()) {
                rewrite(place, secrets, template);
            }
        }
    }
}

/// Writes one string that others may be reading. The last byte of `place` is NUL and stays it, so a reader
/// always comes to an end; one that begins to read finds the former string, one that ends where the first
/// value would begin, or the new one.
fn rewrite(place: &[AtomicU8], secrets: &Secrets, template: &Template) {
    let Some((_end, place)) = place.split_last() else { return };
    let cut = secrets.before_values(template).min(place.len().saturating_sub(1));
    let set = |index: usize, byte: u8, order| {
        if let Some(place) = place.get(index) {
            place.store(byte, order);
        }
    };
    set(cut, 0, Ordering::Release);
    fence(Ordering::SeqCst);
    let text = || secrets.bytes(template).chain(std::iter::repeat(0)).take(place.len());
    for (index, byte) in text().enumerate().filter(|(index, _)| *index != cut) {
        set(index, byte, Ordering::Relaxed);
    }
    fence(Ordering::SeqCst);
    set(cut, text().nth(cut).unwrap_or(0), Ordering::Release);
}

/// Writes a string for the first time, into zeroed memory.
pub(super) fn write(place: &[AtomicU8], text: impl Iterator<Item = u8>) {
    place.iter().zip(text).for_each(|(place, byte)| place.store(byte, Ordering::Relaxed));
}

#[cfg(test)]
mod tests {
    use super::*;
    use secretmem::Builder;

    const PAGE: usize = 4096;

    #[test]
    fn room_never_costs_a_page_and_entries_never_meet() {
        for count in [0, 1, 2, 7, 31, 32, 33, 64, 65, 400] {
            for len in [1, 8, 9, 63, 64, 65, 1000, 5000] {
                let lens = vec![len; count];
                let [exact, roomy] = [Room::Exact, Room::ToGrow].map(|room| Outline::new(&lens, room, PAGE));
                assert_eq!(exact.len, roomy.len, "{count} of {len}");
                for outline in [exact, roomy] {
                    assert!(outline.places.iter().all(|place| place.len() >= len && place.start % WORD == 0));
                    assert!(outline.places.is_sorted_by(|one, next| one.end <= next.start));
                    assert!(outline.places.last().is_none_or(|place| place.end <= outline.len));
                    assert_eq!(outline.places.len(), count);
                }
            }
        }
    }

    #[test]
    fn a_value_may_grow_by_a_cache_line_where_the_page_has_it() {
        let outline = Outline::new(&[30, 100], Room::ToGrow, PAGE);
        assert_eq!(outline.places, [0..128, 128..320]);
        let full = Outline::new(&[64; 60], Room::ToGrow, PAGE);
        assert_eq!((full.places[1].clone(), full.len), (64..128, PAGE));
    }

    fn secrets(value: &[u8]) -> (Secrets, Template) {
        let mut builder = Builder::with_capacity(64).unwrap();
        let span = builder.push(value).unwrap();
        let secrets = Secrets::new(builder.freeze().unwrap(), vec![("PASSWORD".to_owned(), span)]).unwrap();
        let reference = secrets.references().next().unwrap().1;
        let template = secrets.template(format!("URL=me:{reference}@db").as_bytes()).unwrap();
        (secrets, template)
    }

    #[test]
    fn a_reader_finds_an_end_at_every_moment_of_a_rewriting() {
        let place: Vec<AtomicU8> = (0..40).map(|_| AtomicU8::new(0)).collect();
        let text = || -> Vec<u8> { place.iter().map(|byte| byte.load(Ordering::SeqCst)).collect() };
        let values = ["a-long-value-of-22-byte", "b", "", "c-longer"].map(|value| secrets(value.as_bytes()));
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| (0..20_000).all(|_| text().last() == Some(&0)));
            for (secrets, template) in values.iter().cycle().take(4000) {
                rewrite(&place, secrets, template);
            }
            assert!(reader.join().unwrap(), "the last byte is never anything but NUL");
        });
        for (secrets, template) in &values {
            rewrite(&place, secrets, template);
            let written: Vec<u8> = secrets.bytes(template).collect();
            assert_eq!(text(), [written.as_slice(), &vec![0; 40 - written.len()]].concat());
        }
    }
}
