//! What each target does with its bytes, and what must hold whatever they are.
//!
//! Used twice: by the fuzz targets, and by `tests/corpus.rs`, which replays the committed corpora.

use std::path::{Component, Path};

use wrapper::files::path;
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
            earlier => {
                // A request that is too long for us may be whole to who waited longer.
                assert!(len >= LONGEST || earlier == parsed, "{earlier:?}, then {parsed:?}");
                return;
            }
        }
    }
}
