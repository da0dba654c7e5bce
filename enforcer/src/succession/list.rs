//! The list of those who may come after an enforcer, beside its own program: an operator signs it.
//!
//! A list names programs by their digests, each with the object that it loads, and with the settings it may bring if those are
//! others. It has a number: a list that was used makes those with lower numbers void, so that taking a version off the next
//! one takes it away.
//!
//! Trusted: the key, the number of the last list and the time as arguments. Untrusted: the list, until its signature is checked.

use serde::{Deserialize, Serialize};

use crate::succession::signed::{self, Unsigned};

/// What a signature is about.
pub const DOMAIN: &str = "cloudtaser enforcer successors v1\n";
/// The longest list with its signature.
const LONGEST: usize = 64 * 1024;

/// What is signed.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// Higher than that of the list before.
    pub serial: u64,
    /// Who may.
    pub successors: Vec<Successor>,
}

/// One program.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Successor {
    /// For people.
    pub version: String,
    /// SHA-256 of the program.
    #[serde(with = "signed::digest")]
    pub program: [u8; 32],
    /// SHA-256 of the object that it loads.
    #[serde(with = "signed::digest")]
    pub object: [u8; 32],
    /// SHA-256 of the arguments and the list of trusted programs; without it, those that are in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<Digest>,
    /// The first second at which it may no longer take over (Unix time).
    pub not_after: u64,
}

/// A digest that may be absent.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Digest(#[serde(with = "signed::digest")] pub [u8; 32]);

/// Who asks to take over, and when.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The key; zeros: there is none.
    pub key: &'a [u8; 32],
    /// The number of the last list that was used.
    pub serial: u64,
    /// SHA-256 of the program.
    pub program: &'a [u8; 32],
    /// Now (Unix time).
    pub now: u64,
}

/// Why somebody may not take over.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Nobody signed it who may.
    #[error("the list of successors: {0}")]
    Unsigned(#[from] Unsigned),
    /// There was a later one.
    #[error("expected a list of successors with a number of at least {0}, found {1}")]
    Serial(u64, u64),
    /// It does not stand there.
    #[error("expected a program on list {0} of successors, found SHA-256 {found}", found = hex::encode(.1))]
    Unlisted(u64, [u8; 32]),
    /// It did for a while.
    #[error(
        "expected a program that may take over now ({now}), found version {version}, which may until {not_after}"
    )]
    Late {
        /// What the list calls it.
        version: String,
        /// Until when.
        not_after: u64,
        /// Now.
        now: u64,
    },
}

/// The number of the list, and what it says of who asks.
pub fn judge(text: &str, asked: &Asked<'_>) -> Result<(u64, Successor), Refusal> {
    let List { serial, successors } = signed::open::<List>(text, LONGEST, DOMAIN, asked.key)?;
    if serial < asked.serial {
        return Err(Refusal::Serial(asked.serial, serial));
    }
    let found = successors.into_iter().find(|successor| &successor.program == asked.program);
    let found = found.ok_or(Refusal::Unlisted(serial, *asked.program))?;
    if asked.now >= found.not_after {
        let Successor { version, not_after, .. } = found;
        return Err(Refusal::Late { version, not_after, now: asked.now });
    }
    Ok((serial, found))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::succession::signed::tests::{key, sign};

    const PROGRAM: [u8; 32] = [1; 32];

    fn successor() -> Successor {
        Successor {
            version: "0.8.0".into(),
            program: PROGRAM,
            object: [2; 32],
            settings: None,
            not_after: 200,
        }
    }

    fn list() -> String {
        let other = Successor { program: [9; 32], settings: Some(Digest([3; 32])), ..successor() };
        let list = List { serial: 4, successors: vec![other, successor()] };
        sign(DOMAIN, &serde_json::to_string(&list).unwrap())
    }

    fn judged(text: &str, serial: u64, program: [u8; 32], now: u64) -> Result<(u64, Successor), Refusal> {
        let key = key().verifying_key().to_bytes();
        judge(text, &Asked { key: &key, serial, program: &program, now })
    }

    #[test]
    fn who_stands_on_the_list_may_take_over_in_time() {
        assert_eq!(judged(&list(), 4, PROGRAM, 199), Ok((4, successor())));
        let refusal = judged(&list(), 4, PROGRAM, 200).unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "expected a program that may take over now (200), found version 0.8.0, which may until 200"
        );
    }

    #[test]
    fn who_does_not_may_not() {
        let refusal = judged(&list(), 0, [5; 32], 100).unwrap_err();
        assert_eq!(
            refusal.to_string(),
            format!("expected a program on list 4 of successors, found SHA-256 {}", "05".repeat(32))
        );
    }

    #[test]
    fn a_list_from_before_the_last_one_is_void() {
        assert_eq!(judged(&list(), 5, PROGRAM, 100), Err(Refusal::Serial(5, 4)));
    }

    #[test]
    fn a_break_glass_statement_is_no_list() {
        let text = list();
        let line = text.lines().next().unwrap();
        let elsewhere = sign(crate::succession::glass::DOMAIN, line);
        assert_eq!(judged(&elsewhere, 0, PROGRAM, 100), Err(Refusal::Unsigned(Unsigned::Signature)));
    }

    #[test]
    fn settings_are_written_as_they_are_read() {
        let text = serde_json::to_string(&Successor { settings: Some(Digest([3; 32])), ..successor() });
        let text = text.unwrap();
        assert!(text.contains(&format!(r#""settings":"{}""#, "03".repeat(32))), "{text}");
        assert_eq!(serde_json::from_str::<Successor>(&text).unwrap().settings, Some(Digest([3; 32])));
    }
}
