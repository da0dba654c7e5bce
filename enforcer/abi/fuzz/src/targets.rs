//! What each target does with its bytes, and what must hold whatever they are.
//!
//! Used twice: by the fuzz targets, and by `tests/corpus.rs`, which replays the committed corpora.

use enforcer_abi::leak::{Buffer, Key, Lookup, Needle, Set, Unread, Verdict, WINDOW, needles, scan};

/// What the searched bytes may hold.
const SECRET: &[u8] = b"tr0ub4dor&3-correct-horse";

struct Table(Vec<Needle>);

impl Lookup for Table {
    fn needle(&self, spot: u32, nth: u32) -> Option<Needle> {
        self.0.iter().filter(|needle| needle.spot == spot).nth(nth.try_into().ok()?).copied()
    }
}

/// A group with one secret.
fn group(secret: &[u8]) -> Option<(Set, Table)> {
    let key = Key::new(&[7; 32]);
    let mut set = Set::new(key, Unread::Count);
    let needles: Vec<Needle> = needles(&key, secret).ok()?.collect();
    for needle in &needles {
        assert!(needle.spot < enforcer_abi::leak::SPOTS && (8..=64).contains(&needle.length));
        set.add(needle.spot);
    }
    Some((set, Table(needles)))
}

/// Bytes on their way out: a needle is found if, and only if, it is there, and what is older does not count.
pub fn leak_window(bytes: &[u8]) {
    let (set, table) = group(SECRET).expect("a secret that is fit");
    let mut buffer = Buffer::EMPTY;
    let verdict = scan(bytes, &mut buffer, &set, &table);
    let window = bytes.get(..WINDOW).unwrap_or(bytes);
    let raw = window.windows(SECRET.len()).any(|part| part == SECRET);
    assert!(!raw || matches!(verdict, Verdict::Needle(_)), "it is there and was not found");
    assert!(raw || verdict != Verdict::Needle(0), "it was found and is not there");
    assert_eq!(scan(SECRET, &mut buffer, &set, &table), Verdict::Needle(0));
    assert_eq!(scan(bytes, &mut buffer, &set, &table), verdict, "the buffer remembers");
}

/// A secret: what is registered is found in what it was made from.
pub fn leak_secret(bytes: &[u8]) {
    let Some((set, table)) = group(bytes) else { return };
    let mut buffer = Buffer::EMPTY;
    let found = bytes
        .windows(WINDOW.min(bytes.len()))
        .any(|window| matches!(scan(window, &mut buffer, &set, &table), Verdict::Needle(_)));
    assert!(found, "its own bytes do not hold it");
}
