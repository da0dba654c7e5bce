//! PEM (RFC 7468): blocks of base64, each between two lines that name what it is.
//!
//! Untrusted: the text.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// One block: its label and its bytes.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Block {
    pub(crate) label: String,
    pub(crate) bytes: Vec<u8>,
}

/// The blocks of a text; `None` if there is anything else in it but empty lines.
pub(crate) fn blocks(text: &str) -> Option<Vec<Block>> {
    let mut found = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in text.lines().map(str::trim) {
        match (line.strip_prefix(BEGIN), line.strip_prefix(END), open.take()) {
            (Some(label), _, None) => open = Some((label.strip_suffix(DASHES)?.to_owned(), String::new())),
            (None, Some(label), Some((begun, base64))) if label.strip_suffix(DASHES) == Some(&begun) => {
                found.push(Block { label: begun, bytes: STANDARD.decode(base64).ok()? });
            }
            (None, None, Some((begun, base64))) if !line.starts_with(DASHES) => {
                open = Some((begun, base64 + line));
            }
            (None, None, None) if line.is_empty() => {}
            _ => return None,
        }
    }
    open.is_none().then_some(found)
}

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "-----BEGIN X-----\nAQ\nID\n-----END X-----\n";

    #[test]
    fn every_block_is_read_with_its_label() {
        let x = || Block { label: "X".to_owned(), bytes: vec![1, 2, 3] };
        assert_eq!(blocks(&ONE.replace("AQ\nID", "AQID")), Some(vec![x()]));
        assert_eq!(blocks(&format!("{ONE}\n{ONE}")), Some(vec![x(), x()]));
        assert_eq!(blocks(""), Some(vec![]));
    }

    #[test]
    fn a_text_with_anything_else_is_none() {
        for (from, to) in [
            ("-----BEGIN X-----\n", ""),
            ("-----END X-----\n", ""),
            ("END X", "END Y"),
            ("AQ", "A!"),
            ("-----BEGIN", "issuer: x\n-----BEGIN"),
            ("BEGIN X-----", "BEGIN X--"),
            ("AQ\n", "-----BEGIN X-----\n"),
        ] {
            assert_eq!(blocks(&ONE.replace(from, to)), None, "{from} to {to}");
        }
    }
}
