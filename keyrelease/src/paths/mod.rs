//! Every path of both mounts, once: what it is for, who may call it, which fields it takes.
//!
//! From these tables come `bao path-help`, the document that OpenBao serves as its API, the paths that need no token or
//! `sudo`, and the answers for what does not exist: a path that is in no table is not routed (`Table::allows`). A new
//! path needs a row here and an arm in its backend; a test holds the two together.
//!
//! Trusted: the tables. Untrusted: paths and operations that callers name.

mod auth;
mod governance;
mod help;
mod openapi;
mod secrets;
mod shared;

use std::collections::BTreeSet;

use openbao_plugin::{Error, Operation, Plugin, SpecialPaths};

use crate::config::Kind;

pub(crate) use auth::AUTH;
pub(crate) use secrets::SECRETS;

/// The plugin with the help and the API document of its face.
#[must_use]
pub fn describe<F>(plugin: Plugin<F>, kind: Kind) -> Plugin<F> {
    match kind {
        Kind::Auth => plugin.help(AUTH.overview(), AUTH.openapi()).path_help(|path| AUTH.help(path)),
        Kind::Secrets => {
            plugin.help(SECRETS.overview(), SECRETS.openapi()).path_help(|path| SECRETS.help(path))
        }
    }
}

/// The paths of one face.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Table {
    /// What the mount is for.
    pub(crate) purpose: &'static str,
    rows: &'static [&'static [Path]],
}

/// One path.
#[derive(Clone, Copy, Debug)]
struct Path {
    /// Segments; `{name}` is any one, `{name...}` at the end any number of them.
    pattern: &'static str,
    who: Who,
    synopsis: &'static str,
    description: &'static str,
    operations: &'static [Op],
}

/// Who may call a path.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Who {
    /// Needs no token: the evidence is in the call.
    Anybody,
    /// Needs a token whose policies allow it.
    Token,
    /// Needs `sudo` besides: it decides whom the mount believes.
    Sudo,
}

/// One operation on a path.
#[derive(Clone, Copy, Debug)]
struct Op {
    operation: Operation,
    summary: &'static str,
    /// Groups of fields in the request's body.
    takes: &'static [&'static [Field]],
}

/// One field of a request's body.
#[derive(Clone, Copy, Debug)]
struct Field {
    name: &'static str,
    kind: FieldKind,
    need: Need,
    description: &'static str,
}

/// The type of a field.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum FieldKind {
    /// A text.
    Text,
    /// Bytes in standard base64.
    Base64,
    /// A number of at least 1.
    Number,
    /// True or false.
    Flag,
    /// A list of texts.
    Texts,
    /// An object.
    Object,
}

/// Whether a field may be left out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Need {
    Required,
    Optional,
}

impl Table {
    /// Whether there is such an operation on such a path. OpenBao's own questions are no operations of a path.
    pub(crate) fn allows(self, operation: Operation, path: &str) -> Result<(), Error> {
        if !is_a_callers(operation) {
            return Ok(());
        }
        let mut known = false;
        for row in self.all().filter(|row| row.matches(path)) {
            known = true;
            if row.operations.iter().any(|op| op.operation == operation) {
                return Ok(());
            }
        }
        Err(if known { Error::UnsupportedOperation } else { Error::UnsupportedPath })
    }

    /// The paths with rules of their own.
    pub(crate) fn special(self) -> SpecialPaths {
        let of = |who| self.all().filter(move |row| row.who == who);
        let root: BTreeSet<String> = of(Who::Sudo).map(Path::as_root).collect();
        SpecialPaths {
            root: root.into_iter().collect(),
            unauthenticated: of(Who::Anybody).map(Path::as_special).collect(),
            ..SpecialPaths::default()
        }
    }

    fn all(self) -> impl Iterator<Item = &'static Path> {
        self.rows.iter().copied().flatten()
    }
}

impl Path {
    fn matches(&self, path: &str) -> bool {
        let mut segments = path.split('/');
        for part in self.pattern.split('/') {
            let Some(segment) = segments.next() else { return false };
            if part.ends_with("...}") {
                return !segment.is_empty();
            }
            // An empty segment is what a list ends with, and no name.
            let fits = if part.starts_with('{') { !segment.is_empty() } else { part == segment };
            if !fits {
                return false;
            }
        }
        segments.next().is_none()
    }

    /// OpenBao knows no `+` in the paths that ask for sudo, and would ask nobody: all that begins alike asks.
    fn as_root(&self) -> String {
        let varies = self.pattern.split_once('{');
        varies.map_or_else(|| self.pattern.to_owned(), |(before, _)| format!("{before}*"))
    }

    /// With `+` for each segment that varies, as OpenBao wants it.
    fn as_special(&self) -> String {
        let parts = self.pattern.split('/').map(|part| if part.starts_with('{') { "+" } else { part });
        parts.collect::<Vec<_>>().join("/")
    }
}

fn is_a_callers(operation: Operation) -> bool {
    use Operation::{Delete, List, Patch, Read, Scan, Update};
    matches!(operation, Read | List | Scan | Update | Patch | Delete)
}

/// A read without fields.
const fn read(summary: &'static str) -> Op {
    Op { operation: Operation::Read, summary, takes: &[] }
}

/// A list.
const fn list(summary: &'static str) -> Op {
    Op { operation: Operation::List, summary, takes: &[] }
}

/// A delete.
const fn delete(summary: &'static str) -> Op {
    Op { operation: Operation::Delete, summary, takes: &[] }
}

/// A write with these groups of fields.
const fn write(summary: &'static str, takes: &'static [&'static [Field]]) -> Op {
    Op { operation: Operation::Update, summary, takes }
}

/// A field that may not be left out.
const fn required(name: &'static str, kind: FieldKind, description: &'static str) -> Field {
    Field { name, kind, need: Need::Required, description }
}

/// A field that may be left out.
const fn optional(name: &'static str, kind: FieldKind, description: &'static str) -> Field {
    Field { name, kind, need: Need::Optional, description }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_no_table_does_not_exist_and_what_a_path_does_not_do_is_unsupported() {
        for (operation, path, expected) in [
            (Operation::Update, "challenge", Ok(())),
            (Operation::Read, "challenge", Err(Error::UnsupportedOperation)),
            (Operation::Update, "release/db/open", Ok(())),
            (Operation::Update, "release//open", Err(Error::UnsupportedPath)),
            (Operation::Update, "release/db/open/", Err(Error::UnsupportedPath)),
            (Operation::List, "keys/", Ok(())),
            (Operation::Read, "keys/", Err(Error::UnsupportedOperation)),
            (Operation::Delete, "policy/p", Err(Error::UnsupportedOperation)),
            (Operation::Read, "log/tile/entries/x001/067", Ok(())),
            (Operation::Read, "log/tile", Err(Error::UnsupportedPath)),
            (Operation::Read, "", Err(Error::UnsupportedPath)),
            (Operation::Update, "login", Err(Error::UnsupportedPath)),
            (Operation::ResolveRole, "login", Ok(())),
        ] {
            assert_eq!(SECRETS.allows(operation, path), expected, "{operation:?} {path}");
        }
        assert_eq!(AUTH.allows(Operation::Update, "login"), Ok(()));
    }

    #[test]
    fn only_challenges_and_evidence_come_without_a_token() {
        assert_eq!(SECRETS.special().unauthenticated, ["challenge", "release/+/open"]);
        assert_eq!(AUTH.special().unauthenticated, ["challenge", "login", "enrol"]);
    }

    #[test]
    fn a_path_that_asks_for_sudo_is_written_as_openbao_understands_it() {
        let both = [
            "config/approvers",
            "config/collateral-signers",
            "config/roots",
            "config/workload-issuers/",
            "config/workload-issuers/*",
            "emergency/*",
        ];
        assert_eq!(AUTH.special().root, both);
        let mut all = [&both[..], &["config/auth", "config/seal"]].concat();
        all.sort_unstable();
        assert_eq!(SECRETS.special().root, all);
    }

    #[test]
    fn each_path_is_there_once_and_says_what_it_does() {
        for table in [SECRETS, AUTH] {
            let mut patterns: Vec<_> = table.all().map(|row| row.pattern).collect();
            for row in table.all() {
                let rows = table.all().filter(|other| other.as_special() == row.as_special());
                assert_eq!(rows.count(), 1, "{}", row.pattern);
                assert!(!row.synopsis.is_empty() && !row.description.is_empty(), "{}", row.pattern);
                assert!(!row.operations.is_empty(), "{}", row.pattern);
            }
            let all = patterns.len();
            patterns.dedup();
            assert_eq!(patterns.len(), all);
        }
    }
}
