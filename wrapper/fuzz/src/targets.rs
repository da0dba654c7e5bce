//! What each target does with its bytes, and what must hold whatever they are.
//!
//! Used twice: by the fuzz targets, and by `tests/corpus.rs`, which replays the committed corpora.

use std::path::{Component, Path};

use wrapper::files::path;
use wrapper::graft::runtime::{self, Reads};
use wrapper::graft::stack::Stack;
use wrapper::local::request::{LONGEST, Parsed, Wish, parse};

/// The path that a program opens: ours is what the standard library too reads as a name in our folder, and what lies
/// behind the string's end changes nothing.
pub fn file_path(bytes: &[u8]) {
    let Some(name) = path::name(bytes) else { return };
    let end = bytes.iter().position(|byte| *byte == 0).expect("a string with an end");
    let text = str::from_utf8(&bytes[..end]).expect("a path of ours is text");
    let found: Vec<_> = Path::new(text).components().collect();
    let expected: Vec<_> =
        Path::new(path::FOLDER).components().chain([Component::Normal(name.as_ref())]).collect();
    assert_eq!(found, expected, "a path that leads elsewhere");
    assert_eq!(path::name(&bytes[..=end]), Some(name), "bytes behind the end count");
}

/// A request on the local socket: it is understood once and for all, and what is asked for is a whole line of it.
pub fn local_request(bytes: &[u8]) {
    let parsed = parse(bytes);
    if let Parsed::Whole(Wish::Secret(name)) = &parsed {
        let line = format!("GET /v1/secrets/{name} HTTP/1.");
        assert!(bytes.windows(line.len()).any(|found| found == line.as_bytes()), "a name out of nothing");
    }
    for len in 0..bytes.len() {
        match parse(&bytes[..len]) {
            Parsed::Part => assert!(len < LONGEST, "waited for without end"),
            earlier @ (Parsed::Whole(_) | Parsed::Bad(_)) => {
                // A request that is too long for us may be whole to who waited longer.
                assert!(len >= LONGEST || earlier == parsed, "{earlier:?}, then {parsed:?}");
                return;
            }
        }
    }
}

/// The stack of a program, as if all that can be read lay at [`BASE`]: what is found lies in it.
pub fn program_stack(bytes: &[u8]) {
    let memory = |address: usize, into: &mut [u8]| {
        let there = address.checked_sub(BASE).and_then(|at| bytes.get(at..)).unwrap_or_default();
        let len = there.len().min(into.len());
        into[..len].copy_from_slice(&there[..len]);
        Ok(len)
    };
    let lies_there = |text: &[u8]| text.is_empty() || bytes.windows(text.len()).any(|found| found == text);
    let Ok(stack) = Stack::read(&memory, BASE) else { return };
    assert!(stack.arguments.iter().all(|argument| lies_there(argument)), "an argument out of nothing");
    let Ok(entries) = stack.entries(&memory, |text| Some(text.to_vec())) else { return };
    for entry in entries {
        assert!(lies_there(&entry.found) && !entry.found.contains(&0), "an entry out of nothing");
        assert!((BASE..BASE.saturating_add(bytes.len())).contains(&entry.slot), "a slot in the void");
    }
}

/// Where [`program_stack`] lays its bytes.
pub const BASE: usize = 0x1000;

/// The file of a program under a name that says nothing: what is said of it is written in it.
pub fn program_file(bytes: &[u8]) {
    let file = |at: u64, into: &mut [u8]| {
        let there = usize::try_from(at).ok().and_then(|at| bytes.get(at..)).unwrap_or_default();
        let Some(there) = there.get(..into.len()) else { return false };
        into.copy_from_slice(there);
        true
    };
    let written = |word: &[u8]| bytes.windows(word.len()).any(|found| found == word);
    match runtime::reads(b"app", &file) {
        Reads::Live => assert!(written(b"getenv") || written(b"lib"), "nothing of the kind is written there"),
        Reads::Once => assert!(written(b"Go") || written(b"lib"), "nothing of the kind is written there"),
        Reads::Unknown => {}
    }
}
