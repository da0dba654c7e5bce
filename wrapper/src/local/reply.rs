//! What is answered to whom.
//!
//! Core. A reply is a head and a text on the ordinary heap; a value is only named in it, and is written to the line
//! from where it lies.
//!
//! Trusted: what was found out about who asks. Untrusted: what is asked.

use std::fmt::Write as _;

use super::Entrance;
use super::request::{Fault, Parsed, Wish};
use super::status::Status;
use super::who::Who;
use crate::files::Shown;

/// An answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Reply {
    /// The head, and the body where that is text.
    pub(super) text: Vec<u8>,
    /// The value that is the body.
    pub(super) value: Option<Lent>,
    /// Whether a value was asked for by whom it is not for.
    pub(super) refused: bool,
}

/// A value that is being written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Lent {
    name: String,
    generation: u64,
}

const JSON: &str = "application/json";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";
const BYTES: &str = "application/octet-stream";

/// How a request is answered.
struct Code(u16, &'static str);

const OK: Code = Code(200, "OK");
const BAD: Code = Code(400, "Bad Request");
const FORBIDDEN: Code = Code(403, "Forbidden");
const ABSENT: Code = Code(404, "Not Found");
const METHOD: Code = Code(405, "Method Not Allowed");
const TOO_LONG: Code = Code(431, "Request Header Fields Too Large");

impl Lent {
    /// The value, if it is still the one that was named.
    pub(super) fn bytes<'s>(&self, shown: &[Shown<'s>]) -> Option<&'s [u8]> {
        let same = |file: &&Shown<'s>| file.name == self.name && file.generation == self.generation;
        shown.iter().find(same).map(|file| file.value)
    }
}

impl Reply {
    /// The answer to what was asked; none while more must come.
    pub(super) fn to(
        parsed: Parsed,
        entrance: Entrance,
        who: Who,
        shown: &[Shown<'_>],
        status: &Status,
    ) -> Option<Self> {
        let wish = match parsed {
            Parsed::Part => return None,
            Parsed::Bad(fault) => return Some(Self::bad(fault)),
            Parsed::Whole(wish) => wish,
        };
        let may_look = entrance == Entrance::Metrics || who.may_look();
        Some(match (entrance, wish) {
            (Entrance::Socket | Entrance::Metrics, Wish::Metrics) if may_look => {
                Self::text(&OK, PROMETHEUS, status.metrics().as_bytes())
            }
            (Entrance::Socket, Wish::Status) if may_look => Self::text(&OK, JSON, &status.json()),
            (Entrance::Socket, Wish::Names) if may_look => Self::names(shown),
            (Entrance::Socket, Wish::Secret(name)) => Self::secret(&name, who, shown),
            (Entrance::Socket, Wish::Metrics | Wish::Status | Wish::Names) => {
                Self::error(&FORBIDDEN, "this is for the program, for root and for the wrapper's own user")
            }
            (Entrance::Socket, Wish::Unknown) => {
                Self::error(&ABSENT, "expected /v1/secrets, /v1/secrets/NAME, /v1/status or /metrics")
            }
            (Entrance::Metrics, _) => Self::error(&ABSENT, "expected /metrics"),
        })
    }

    fn secret(name: &str, who: Who, shown: &[Shown<'_>]) -> Self {
        if !who.may_read() {
            let why = if who == Who::Unsure {
                "this kernel does not say safely which process asks (SO_PEERPIDFD, Linux 6.5)"
            } else {
                "values are for the program and for what it has started"
            };
            return Self { refused: true, ..Self::error(&FORBIDDEN, why) };
        }
        let Some(file) = shown.iter().find(|file| file.name == name) else {
            return Self::error(&ABSENT, "no value of that name");
        };
        let value = Lent { name: file.name.to_owned(), generation: file.generation };
        Self { text: head(&OK, BYTES, file.value.len()), value: Some(value), refused: false }
    }

    fn names(shown: &[Shown<'_>]) -> Self {
        let names: Vec<&str> = shown.iter().map(|file| file.name).collect();
        Self::json(&OK, &serde_json::json!({ "names": names }))
    }

    fn bad(fault: Fault) -> Self {
        let code = match fault {
            Fault::Malformed => BAD,
            Fault::TooLong => TOO_LONG,
            Fault::Method => METHOD,
        };
        Self::error(&code, &fault.to_string())
    }

    fn error(code: &Code, why: &str) -> Self {
        Self::json(code, &serde_json::json!({ "errors": [why] }))
    }

    fn json(code: &Code, body: &serde_json::Value) -> Self {
        Self::text(code, JSON, body.to_string().as_bytes())
    }

    fn text(code: &Code, kind: &str, body: &[u8]) -> Self {
        let mut text = head(code, kind, body.len());
        text.extend(body);
        Self { text, value: None, refused: false }
    }
}

fn head(code: &Code, kind: &str, len: usize) -> Vec<u8> {
    let Code(number, reason) = code;
    let mut head = format!("HTTP/1.1 {number} {reason}\r\nContent-Type: {kind}\r\nContent-Length: {len}\r\n");
    if *number == METHOD.0 {
        // RFC 9110 §15.5.6. Writing to a string does not fail.
        write!(head, "Allow: GET\r\n").unwrap_or_default();
    }
    head.push_str("Cache-Control: no-store\r\nConnection: close\r\n\r\n");
    head.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOWN: [Shown<'_>; 1] = [Shown { name: "PGPASSWORD", value: b"hunter2", generation: 3, since: 0 }];

    fn code(entrance: Entrance, who: Who, wish: Wish) -> (String, Reply) {
        let reply = Reply::to(Parsed::Whole(wish), entrance, who, &SHOWN, &Status::default()).unwrap();
        let text = String::from_utf8(reply.text.clone()).unwrap();
        (text.split(' ').nth(1).unwrap().to_owned(), reply)
    }

    fn secret(name: &str) -> Wish {
        Wish::Secret(name.to_owned())
    }

    #[test]
    fn a_value_is_named_and_never_in_the_text() {
        let (code, reply) = code(Entrance::Socket, Who::Tree, secret("PGPASSWORD"));
        assert_eq!(code, "200");
        assert_eq!(reply.value.unwrap().bytes(&SHOWN), Some(&b"hunter2"[..]));
        let text = String::from_utf8(reply.text).unwrap();
        assert!(text.contains("Content-Length: 7\r\n") && !text.contains("hunter2"), "{text}");
    }

    #[test]
    fn values_are_for_the_tree_alone() {
        for who in [Who::Ours, Who::Unsure, Who::Stranger] {
            let (code, reply) = code(Entrance::Socket, who, secret("PGPASSWORD"));
            assert_eq!((code.as_str(), reply.value, reply.refused), ("403", None, true), "{who:?}");
            // Who may not read does not learn which names there are either.
            assert_eq!(self::code(Entrance::Socket, who, secret("OTHER")).0, "403");
        }
        assert_eq!(code(Entrance::Socket, Who::Tree, secret("OTHER")).0, "404");
    }

    #[test]
    fn how_things_stand_is_not_for_strangers() {
        for wish in [Wish::Names, Wish::Status, Wish::Metrics] {
            assert_eq!(code(Entrance::Socket, Who::Stranger, wish.clone()).0, "403");
            for who in [Who::Tree, Who::Ours, Who::Unsure] {
                assert_eq!(code(Entrance::Socket, who, wish.clone()).0, "200");
            }
        }
    }

    #[test]
    fn the_address_for_metrics_has_nothing_else() {
        assert_eq!(code(Entrance::Metrics, Who::Stranger, Wish::Metrics).0, "200");
        for wish in [Wish::Names, Wish::Status, secret("PGPASSWORD"), Wish::Unknown] {
            assert_eq!(code(Entrance::Metrics, Who::Stranger, wish).0, "404");
        }
    }

    #[test]
    fn a_value_that_was_exchanged_meanwhile_is_not_written_on() {
        let (_, reply) = code(Entrance::Socket, Who::Tree, secret("PGPASSWORD"));
        let exchanged = [Shown { generation: 4, ..SHOWN[0] }];
        assert_eq!(reply.value.unwrap().bytes(&exchanged), None);
    }
}
