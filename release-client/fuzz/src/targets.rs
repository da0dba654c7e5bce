//! What each target does with its bytes, and what must hold whatever they are.
//!
//! Used twice: by the fuzz targets, and by `tests/corpus.rs`, which replays the committed corpora.

use release_client::http::{Buffer, Reading};
use release_client::json::{BadJson, Document};

/// An answer of HTTP: however it is cut, it says the same; and what was read is no longer than what came.
pub fn answer(bytes: &[u8]) {
    let whole = read(bytes, bytes.len().max(1));
    if let Some((_, body)) = &whole {
        assert!(body.len() <= bytes.len());
        assert_eq!(read(bytes, 1), whole);
        assert_eq!(read(bytes, 7), whole);
    }
}

fn read(bytes: &[u8], size: usize) -> Option<(u16, Vec<u8>)> {
    let mut buffer = Buffer::ordinary();
    let mut reading = Reading::new();
    for piece in bytes.chunks(size) {
        let place = buffer.room(piece.len()).ok()?;
        place.get_mut(..piece.len()).expect("there is room").copy_from_slice(piece);
        buffer.keep(piece.len());
        if let Some(answer) = reading.advance(&mut buffer).ok()? {
            return Some((answer.status, answer.body(&buffer).to_vec()));
        }
    }
    let answer = reading.closed(&buffer)?;
    Some((answer.status, answer.body(&buffer).to_vec()))
}

/// JSON: each member of an object is what `serde_json` says it is.
pub fn json(bytes: &[u8]) {
    let mut text = bytes.to_vec();
    let Ok(mut document) = Document::parse(&mut text) else { return };
    let members = match document.members() {
        Ok(members) => members,
        Err(BadJson::Members | BadJson::Escape) => return,
        Err(error) => panic!("{error}"),
    };
    // Numbers beyond all bounds and half characters are refused by it, and not by us.
    let Ok(expected) = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(bytes) else {
        return;
    };
    assert_eq!(members.len(), expected.len());
    for member in members {
        let expected = expected.get(&member.name).expect("a member of the same name");
        let place = document.plain(&member.value).expect("what serde_json reads has no half characters");
        let found = document.bytes(&place);
        match expected.as_str() {
            Some(text) => assert_eq!(found, text.as_bytes()),
            None => {
                assert_eq!(serde_json::from_slice::<serde_json::Value>(found).ok().as_ref(), Some(expected));
            }
        }
    }
}
