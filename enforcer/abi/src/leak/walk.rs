//! The search: one step at a time, so that it is the same code natively and inside the kernel, whose helper `bpf_loop`
//! takes the steps.
//!
//! A step looks at 64 bytes through the filter, or at one place that the filter let pass. What is known between two steps
//! lies in [`Walk`]. A needle ends the search; a shape is remembered, and the search for needles goes on.
//!
//! Trusted: the set and its needles. Untrusted: the window.

use super::filter::{CHUNK, Set};
use super::forms::{Form, Needle};
use super::key::GRAM;
use super::shapes::{Outcome, Run, Shape};
use super::view::{Buffer, FRONT, WINDOW};

/// As many needles of a group may have one place in the filter.
pub const CROWD: u32 = 8;
/// More steps than any window needs: a chunk each, at each byte all the needles of its place and the head of a shape, and the
/// bytes of shapes.
pub const STEPS: u32 = 64 * 2 + 4096 * (CROWD + 2) + RUNS;
/// As many bytes of shapes are looked at in a window, those that were looked at again included.
const RUNS: u32 = 8192;
/// In the place of a shape's number and 1: no more are looked for.
const GIVEN_UP: u32 = 1 << 8;

/// Where a group's needles are: a map of the kernel's, or of a test.
pub trait Lookup {
    /// The `nth` needle of a place.
    fn needle(&self, spot: u32, nth: u32) -> Option<Needle>;
}

/// Whether there is more to look at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Next {
    /// There is.
    Step,
    /// It is over.
    Stop,
}

/// What was found in a window.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// Nothing.
    Clean,
    /// What looks like a secret.
    Shape(Shape),
    /// A registered secret, in the form of this number.
    Needle(u16),
}

impl Verdict {
    /// What [`Walk::detail`] says, and how many bytes were looked at.
    #[must_use]
    pub fn of(detail: u64) -> (Self, u64) {
        let [kind, which, ..] = detail.to_le_bytes();
        let verdict = match kind {
            1 => Shape::of(u32::from(which)).map_or(Self::Clean, Self::Shape),
            2 => Self::Needle(u16::from(which)),
            _ => Self::Clean,
        };
        (verdict, detail >> 16)
    }

    /// In words, for events.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Clean => "not-readable",
            Self::Shape(shape) => shape.name(),
            Self::Needle(form) => Form::of(form).map_or("registered", Form::name),
        }
    }
}

/// The lowest byte of [`Walk::detail`].
const SHAPE: u32 = 1;
const NEEDLE: u32 = 2;

/// A search under way.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Walk {
    /// The places of the last chunk that may begin a needle and are still to be looked at.
    needles: u64,
    /// Likewise heads of shapes.
    shapes: u64,
    /// Where the last chunk begins.
    chunk: u32,
    /// Where the next one begins.
    next: u32,
    /// How many bytes there are.
    end: u32,
    /// Which needle of its place is next.
    nth: u32,
    /// 1 and the number of the first shape that was found, or 0, or [`GIVEN_UP`].
    shape: u32,
    /// 1 and the number of the form of the needle that was found, or 0.
    form: u32,
    /// The shape that is being looked at.
    run: Run,
    /// How many bytes of shapes were looked at.
    runs: u32,
    reserved: u32,
}

const _: () = assert!(size_of::<Walk>() == 72, "no padding");

impl Walk {
    /// A search through the first `end` bytes of a window.
    #[must_use]
    #[inline(always)]
    pub const fn new(end: u32) -> Self {
        Self {
            needles: 0,
            shapes: 0,
            chunk: 0,
            next: 0,
            end,
            nth: 0,
            shape: 0,
            form: 0,
            run: Run::NONE,
            runs: 0,
            reserved: 0,
        }
    }

    /// Takes a step.
    #[inline(always)]
    pub fn step(&mut self, buffer: &Buffer, set: &Set, lookup: &impl Lookup) -> Next {
        if self.needles != 0 {
            return self.needle(buffer, set, lookup);
        }
        if self.run.is_on() {
            self.run(buffer);
            return Next::Step;
        }
        if self.shapes != 0 {
            self.head(buffer);
            return Next::Step;
        }
        if self.next >= self.end {
            return Next::Stop;
        }
        self.chunk(buffer, set)
    }

    /// What was found so far; before the last step, not everything.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        if let Some(form) = self.form.checked_sub(1) {
            return Verdict::Needle(u16::try_from(form).unwrap_or(u16::MAX));
        }
        self.shape.checked_sub(1).and_then(Shape::of).map_or(Verdict::Clean, Verdict::Shape)
    }

    /// Whether a needle was found.
    #[must_use]
    #[inline(always)]
    pub const fn is_needle(&self) -> bool {
        self.form != 0
    }

    /// What was found as one number, for a record; 0: nothing.
    #[must_use]
    #[inline(always)]
    pub fn detail(&self) -> u64 {
        let found = if self.form != 0 {
            self.form.wrapping_sub(1) << 8 | NEEDLE
        } else if self.shape != 0 && self.shape != GIVEN_UP {
            self.shape.wrapping_sub(1) << 8 | SHAPE
        } else {
            return 0;
        };
        u64::from(self.end) << 16 | u64::from(found)
    }

    #[inline(always)]
    fn chunk(&mut self, buffer: &Buffer, set: &Set) -> Next {
        let Some(bytes) = buffer.chunk(self.next) else { return Next::Stop };
        if set.any(bytes) {
            let hits = set.hits(bytes);
            // Older bytes behind the end are not part of the window.
            let within = mask(self.end.wrapping_sub(self.next));
            self.needles = hits.needles & within;
            self.shapes = if self.shape == 0 { hits.shapes & within } else { 0 };
        }
        self.chunk = self.next;
        self.next = self.next.wrapping_add(STRIDE);
        Next::Step
    }

    /// Compares one place with one needle.
    #[inline(always)]
    fn needle(&mut self, buffer: &Buffer, set: &Set, lookup: &impl Lookup) -> Next {
        // The filter speaks of where the twelve bytes end.
        let at = self.chunk.wrapping_add(self.needles.trailing_zeros()).wrapping_sub(HEAD);
        let Some(needle) = self.candidate(at, buffer, set, lookup) else {
            self.needles &= self.needles.wrapping_sub(1);
            self.nth = 0;
            return Next::Step;
        };
        if self.holds(at, needle, buffer, set) {
            self.form = u32::from(needle.form).wrapping_add(1);
            return Next::Stop;
        }
        self.nth = self.nth.wrapping_add(1);
        Next::Step
    }

    #[inline(always)]
    fn candidate(&self, at: u32, buffer: &Buffer, set: &Set, lookup: &impl Lookup) -> Option<Needle> {
        if self.nth >= CROWD {
            return None;
        }
        let spot = u32::try_from(set.key.spot(buffer.gram(at)?)).ok()?;
        lookup.needle(spot, self.nth)
    }

    #[inline(always)]
    fn holds(&self, at: u32, needle: Needle, buffer: &Buffer, set: &Set) -> bool {
        // Not from before the first byte, which has wrapped round, nor to after the last.
        if at >= self.end || u32::from(needle.length) > self.end.wrapping_sub(at) {
            return false;
        }
        buffer
            .candidate(at)
            .is_some_and(|bytes| set.key.strong(bytes, u32::from(needle.length)) == needle.hash)
    }

    /// Looks whether a shape begins with its head.
    #[inline(always)]
    fn head(&mut self, buffer: &Buffer) {
        let last = self.chunk.wrapping_add(self.shapes.trailing_zeros());
        self.shapes &= self.shapes.wrapping_sub(1);
        self.run.begin(buffer, last, self.end);
    }

    /// Looks at one more byte of a shape.
    #[inline(always)]
    fn run(&mut self, buffer: &Buffer) {
        self.runs = self.runs.wrapping_add(1);
        match self.run.step(buffer, self.end) {
            Outcome::Further if self.runs < RUNS => {}
            // Heads upon heads: shapes are given up, needles are not.
            Outcome::Further => {
                (self.run, self.shapes, self.shape) = (Run::NONE, 0, GIVEN_UP);
            }
            Outcome::None => {}
            Outcome::Shape(number) => {
                self.shape = number.wrapping_add(1);
                self.shapes = 0;
            }
        }
    }
}

/// The first `count` places of a chunk.
#[inline(always)]
const fn mask(count: u32) -> u64 {
    if count >= STRIDE { u64::MAX } else { (1_u64 << (count & 63)).wrapping_sub(1) }
}

/// [`CHUNK`], as places are counted.
const STRIDE: u32 = 64;
/// From the last of twelve bytes back to the first.
const HEAD: u32 = 11;
const _: () =
    assert!(CHUNK == 64 && GRAM == 12 && WINDOW == 4096 && FRONT >= 16, "these numbers go together");

/// Searches the head of `bytes`, [`WINDOW`] bytes at most.
#[must_use]
pub fn scan(bytes: &[u8], buffer: &mut Buffer, set: &Set, lookup: &impl Lookup) -> Verdict {
    let bytes = bytes.get(..WINDOW).unwrap_or(bytes);
    for (to, from) in buffer.bytes.iter_mut().skip(FRONT).zip(bytes) {
        *to = *from;
    }
    let mut walk = Walk::new(u32::try_from(bytes.len()).unwrap_or_default());
    for _ in 0..STEPS {
        if walk.step(buffer, set, lookup) == Next::Stop {
            break;
        }
    }
    walk.verdict()
}
