//! What tokens and keys look like, whoever made them.
//!
//! Two stages. Heads: a few bytes that are rare in other texts, all of them looked for at once with one word of state (the
//! Shift-And automaton: Baeza-Yates and Gonnet, 1992), a load and four operations a byte. Then, where a head ended, its rule:
//! what must stand before, how many characters of which kind follow, and what comes after them.
//!
//! Untrusted: the bytes. A shape is a guess, which is why it is told and never refused.

use super::view::Buffer;

macro_rules! shapes {
    ($($shape:ident $name:literal $head:expr, $rule:expr, $what:literal;)*) => {
        /// What it looks like.
        #[repr(u32)]
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub enum Shape {
            $(#[doc = $what] $shape,)*
        }

        impl Shape {
            /// All of them, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$shape,)*];

            /// How it is called in events.
            #[must_use]
            #[inline]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$shape => $name,)*
                }
            }
        }

        const HEADS: &[&[Of]] = &[$($head,)*];
        static RULES: [Rule; HEADS.len()] = [$($rule,)*];
    };
}

impl Shape {
    /// Its number.
    #[expect(clippy::as_conversions, reason = "the number of an enum of repr(u32)")]
    #[must_use]
    #[inline]
    pub const fn number(self) -> u32 {
        self as u32
    }

    /// The shape of this number.
    #[must_use]
    #[inline]
    pub fn of(number: u32) -> Option<Self> {
        usize::try_from(number).ok().and_then(|number| Self::ALL.get(number)).copied()
    }
}

shapes! {
    Jwt "jwt" &[One(b"e"), One(b"y"), One(b"J")],
        Rule { back: 2, run: URL, least: 12, then: *b".eyJ", ..RULE },
        "A JSON web token: a header and a payload (RFC 7519).";
    PrivateKey "private-key" &[One(b"T"), One(b"E"), One(b" "), One(b"K"), One(b"E"), One(b"Y"), One(b"-")],
        Rule { back: 11, prefix: *b"PRIVATE KEY-----\0", offset: 16, skip: 4, run: BASE64, least: 24, ..RULE },
        "A private key in PEM (RFC 7468), not encrypted by the rules of RFC 1421.";
    AwsKeyId "aws-access-key-id" &[One(b"A"), One(b"KS"), One(b"I"), One(b"A"), One(BASE32_DIGITS), One(BASE32_DIGITS)],
        Rule { back: 5, barred_before: WORD, run: BASE32, least: 20, most: 20, barred_after: WORD, ..RULE },
        "The id of an AWS access key, beside which the key itself mostly stands.";
    GitHub "github-token" &[One(b"g"), One(b"h"), One(b"pousr"), One(b"_"), One(LETTERS_AND_DIGITS)],
        Rule { back: 4, barred_before: WORD, offset: 4, run: ALNUM, least: 36, need: DIGIT, ..RULE },
        "A token of GitHub: personal, of an application, of a user, of a server, to refresh.";
    GitHubFine "github-pat" &[One(b"b"), One(b"_"), One(b"p"), One(b"a"), One(b"t"), One(b"_")],
        Rule { back: 10, prefix: *b"github_pat_\0\0\0\0\0\0", offset: 11, run: ALNUM | DASH, least: 60, need: DIGIT, ..RULE },
        "A fine-grained personal token of GitHub.";
    GitLab "gitlab-token" &[One(b"g"), One(b"l"), One(b"p"), One(b"a"), One(b"t"), One(b"-")],
        Rule { back: 5, barred_before: WORD, offset: 6, run: URL, least: 20, ..RULE },
        "A personal token of GitLab.";
    Slack "slack-token" &[One(b"x"), One(b"o"), One(b"x"), One(b"abeoprs"), One(b"-")],
        Rule { back: 4, barred_before: WORD, offset: 5, run: URL, least: 20, need: DIGIT, ..RULE },
        "A token of Slack.";
    SlackApp "slack-app-token" &[One(b"x"), One(b"a"), One(b"p"), One(b"p"), One(b"-")],
        Rule { back: 4, barred_before: WORD, offset: 5, run: URL, least: 20, need: DIGIT, ..RULE },
        "A token of a Slack application.";
    Vault "vault-token" &[One(b"h"), One(b"v"), One(b"sbr"), One(b"."), One(LETTERS_AND_DIGITS)],
        Rule { back: 4, barred_before: WORD, offset: 4, run: URL, least: 24, need: DIGIT, ..RULE },
        "A token of Vault since 1.10: of a service, of a batch, for recovery.";
    OpenBao "openbao-token" &[NoWord, One(b"s"), One(b"."), One(LETTERS_AND_DIGITS), One(LETTERS_AND_DIGITS)],
        Rule { back: 3, offset: 2, run: ALNUM, least: 24, most: 24, need: ALNUM, barred_after: WORD, ..RULE },
        "A token of OpenBao, or of Vault before 1.10.";
    OpenBaoBatch "openbao-batch-token" &[One(b"."), One(b"A"), One(b"A"), One(b"A"), One(b"A"), One(b"A")],
        Rule { back: 6, prefix: *b"b.AAAAAQ\0\0\0\0\0\0\0\0\0", offset: 8, run: URL, least: 64, ..RULE },
        "A batch token of OpenBao, or of Vault before 1.10.";
    Gcp "gcp-service-account" &[One(b"e"), One(b"_"), One(b"a"), One(b"c")],
        Rule { back: 10, prefix: *b"\"service_account\"", offset: 17, skip: 0, barred_after: COLON, ..RULE },
        "The key file of a Google Cloud service account.";
}

/// One place in a head.
#[derive(Clone, Copy)]
enum Of {
    /// One of these bytes.
    One(&'static [u8]),
    /// Nothing that goes on a word.
    NoWord,
}
use Of::{NoWord, One};

const LETTERS_AND_DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const BASE32_DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

// Kinds of characters, as bits.
const UPPER: u8 = 1;
const LOWER: u8 = 1 << 1;
const DIGIT: u8 = 1 << 2;
/// `-` and `_`.
const DASH: u8 = 1 << 3;
/// `+`, `/` and `=`.
const PLUS: u8 = 1 << 4;
/// RFC 4648 section 6.
const BASE32: u8 = 1 << 5;
const COLON: u8 = 1 << 6;
const ALNUM: u8 = UPPER | LOWER | DIGIT;
const WORD: u8 = ALNUM | DASH;
const URL: u8 = ALNUM | DASH;
const BASE64: u8 = ALNUM | PLUS;

/// What must be true around a head. Kept free of pointers: it is data inside the kernel, too.
#[repr(C)]
#[derive(Clone, Copy)]
struct Rule {
    /// From the last byte of the head back to the first of the shape.
    back: u8,
    /// From there on to the run.
    offset: u8,
    /// As many bytes that are not of the run may come before it.
    skip: u8,
    /// The kinds of characters of the run.
    run: u8,
    /// It has at least as many.
    least: u8,
    /// And at most, or 0 for no such limit.
    most: u8,
    /// Kinds of which each must occur in it.
    need: u8,
    /// What must not stand before the shape.
    barred_before: u8,
    /// What must not stand after the run.
    barred_after: u8,
    /// What stands at the first of the shape, up to a zero.
    prefix: [u8; PREFIX],
    /// What must come after the run, unless zeros.
    then: [u8; 4],
}

const RULE: Rule = Rule {
    back: 0,
    offset: 0,
    skip: 0,
    run: 0,
    least: 0,
    most: 0,
    need: 0,
    barred_before: 0,
    barred_after: 0,
    prefix: [0; PREFIX],
    then: [0; 4],
};

/// The longest prefix.
const PREFIX: usize = 17;
/// A run is not followed further.
const LONGEST_RUN: u32 = 256;

/// The last bit of each head.
pub(super) const ENDS: u64 = ends();
/// The first.
const STARTS: u64 = ENDS << 1 | 1;
/// For each byte, the places of all heads at which it may stand.
static PLACES: [u64; 256] = places();
/// For each byte, its kinds.
static KINDS: [u8; 256] = kinds();

/// The automaton's next state.
#[inline(always)]
pub(super) fn next(state: u64, byte: u8) -> u64 {
    (state << 1 | STARTS) & PLACES.get(usize::from(byte)).copied().unwrap_or_default()
}

/// A shape whose head was found, and what is known of what follows.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Run {
    /// 1 and the shape's number, or 0: nothing is being looked at.
    rule: u32,
    /// Where the run begins.
    first: u32,
    /// Where we are.
    at: u32,
    /// How many bytes before it may still be skipped.
    skip: u32,
    /// The kinds of characters in it.
    seen: u32,
    reserved: u32,
}

/// What became of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Outcome {
    /// It goes on.
    Further,
    /// It is none.
    None,
    /// It is the shape of this number.
    Shape(u32),
}

impl Run {
    /// There is none.
    pub(super) const NONE: Self = Self { rule: 0, first: 0, at: 0, skip: 0, seen: 0, reserved: 0 };

    /// Whether there is one.
    #[inline(always)]
    pub(super) const fn is_on(&self) -> bool {
        self.rule != 0
    }

    /// Begins with the head that ends at `last`, if what is before it is right.
    #[inline(always)]
    pub(super) fn begin(&mut self, buffer: &Buffer, last: u32, end: u32) {
        let number = head(buffer, last);
        let Some(rule) = rule(number) else { return };
        let text = Text { buffer, end };
        let first = last.wrapping_sub(u32::from(rule.back));
        if text.kinds(first.wrapping_sub(1)) & rule.barred_before != 0 || !rule.begins(&text, first) {
            return;
        }
        let first = first.wrapping_add(u32::from(rule.offset));
        *self = Self {
            rule: number.wrapping_add(1),
            first,
            at: first,
            skip: u32::from(rule.skip),
            seen: 0,
            reserved: 0,
        };
    }

    /// Looks at one more byte.
    #[inline(always)]
    pub(super) fn step(&mut self, buffer: &Buffer, end: u32) -> Outcome {
        let number = self.rule.wrapping_sub(1);
        let Some(rule) = rule(number) else { return Outcome::None };
        let text = Text { buffer, end };
        let kinds = text.kinds(self.at);
        if kinds & rule.run != 0 && self.at.wrapping_sub(self.first) < LONGEST_RUN {
            self.seen |= u32::from(kinds);
        } else if self.skip > 0 && self.at == self.first {
            self.skip = self.skip.wrapping_sub(1);
            self.first = self.first.wrapping_add(1);
        } else {
            self.rule = 0;
            return if rule.holds(&text, self) { Outcome::Shape(number) } else { Outcome::None };
        }
        self.at = self.at.wrapping_add(1);
        Outcome::Further
    }
}

#[inline(always)]
fn rule(number: u32) -> Option<&'static Rule> {
    RULES.get(usize::try_from(number).ok()?)
}

/// Which head ends there; a number too high for any, if none does.
#[inline(always)]
fn head(buffer: &Buffer, last: u32) -> u32 {
    let mut state = 0;
    // No head is longer.
    for back in (0..7).rev() {
        state = next(state, buffer.byte(last.wrapping_sub(back)));
    }
    let ends = state & ENDS;
    let before = (ends & ends.wrapping_neg()).wrapping_sub(1);
    (ENDS & before).count_ones()
}

/// The window as far as it goes; zeros around it.
struct Text<'b> {
    buffer: &'b Buffer,
    end: u32,
}

impl Text<'_> {
    #[inline(always)]
    fn byte(&self, at: u32) -> u8 {
        if at < self.end { self.buffer.byte(at) } else { 0 }
    }

    #[inline(always)]
    fn kinds(&self, at: u32) -> u8 {
        KINDS.get(usize::from(self.byte(at))).copied().unwrap_or_default()
    }
}

impl Rule {
    /// Without a branch, for the verifier's sake: it follows each way by itself.
    #[inline(always)]
    fn begins(&self, text: &Text<'_>, first: u32) -> bool {
        let (mut at, mut differs) = (first, 0);
        for byte in self.prefix {
            // Zeros at the end are not compared.
            differs |= (text.byte(at) ^ byte) & 0_u8.wrapping_sub(u8::from(byte != 0));
            at = at.wrapping_add(1);
        }
        differs == 0
    }

    /// Whether a run that has ended is long enough, of the right kinds, and followed by what must follow.
    #[inline(always)]
    fn holds(&self, text: &Text<'_>, run: &Run) -> bool {
        let length = run.at.wrapping_sub(run.first);
        length >= u32::from(self.least)
            && (self.most == 0 || length <= u32::from(self.most))
            && run.seen & u32::from(self.need) == u32::from(self.need)
            && text.kinds(run.at) & self.barred_after == 0
            && self.ends(text, run.at)
    }

    #[inline(always)]
    fn ends(&self, text: &Text<'_>, after: u32) -> bool {
        let (mut at, mut differs) = (after, 0);
        for byte in self.then {
            differs |= (text.byte(at) ^ byte) & 0_u8.wrapping_sub(u8::from(byte != 0));
            at = at.wrapping_add(1);
        }
        differs == 0
    }
}

#[expect(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "evaluated by the compiler")]
const fn ends() -> u64 {
    let (mut ends, mut bits, mut head) = (0, 0, 0);
    while head < HEADS.len() {
        bits += HEADS[head].len();
        ends |= 1 << (bits - 1);
        head += 1;
    }
    ends
}

#[expect(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "evaluated by the compiler")]
const fn places() -> [u64; 256] {
    let mut places = [0; 256];
    let (mut bit, mut head) = (0, 0);
    while head < HEADS.len() {
        let mut at = 0;
        while at < HEADS[head].len() {
            let mut byte = 0;
            while byte < 256 {
                if HEADS[head][at].is(byte) {
                    places[byte] |= 1 << bit;
                }
                byte += 1;
            }
            bit += 1;
            at += 1;
        }
        head += 1;
    }
    places
}

impl Of {
    #[expect(
        clippy::indexing_slicing,
        clippy::as_conversions,
        clippy::arithmetic_side_effects,
        reason = "evaluated by the compiler"
    )]
    const fn is(self, byte: usize) -> bool {
        match self {
            One(bytes) => {
                let mut at = 0;
                while at < bytes.len() {
                    if bytes[at] as usize == byte {
                        return true;
                    }
                    at += 1;
                }
                false
            }
            NoWord => kinds()[byte] & WORD == 0,
        }
    }
}

#[expect(
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::arithmetic_side_effects,
    reason = "evaluated by the compiler"
)]
const fn kinds() -> [u8; 256] {
    let mut kinds = [0; 256];
    let mut byte = 0_u8;
    while byte < u8::MAX {
        kinds[byte as usize] = match byte {
            b'A'..=b'Z' => UPPER | BASE32,
            b'a'..=b'z' => LOWER,
            b'2'..=b'7' => DIGIT | BASE32,
            b'0'..=b'9' => DIGIT,
            b'-' | b'_' => DASH,
            b'+' | b'/' | b'=' => PLUS,
            b':' => COLON,
            _ => 0,
        };
        byte += 1;
    }
    kinds
}
