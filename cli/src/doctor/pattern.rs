//! The paths of policies: which concrete paths one of them reaches.
//!
//! OpenBao knows two wildcards: `*` at the end is any rest, `+` is one whole segment. Templates
//! (`{{identity…}}`) stand for one segment each here, which is the most that OpenBao lets them be.
//!
//! Untrusted: the text.

use std::fmt;

/// A path with wildcards.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Pattern(String);

impl Pattern {
    pub(crate) fn new(text: &str) -> Self {
        Self(text.trim_start_matches('/').to_owned())
    }

    pub(crate) fn text(&self) -> &str {
        &self.0
    }

    /// Is more than one path meant?
    pub(crate) fn is_wild(&self) -> bool {
        self.0.ends_with('*') || self.0.split('/').any(|segment| segment == "+" || segment.contains("{{"))
    }

    /// Is this path meant?
    pub(crate) fn reaches(&self, path: &str) -> bool {
        let (pattern, open_end) = match self.0.strip_suffix('*') {
            Some(prefix) => (prefix, true),
            None => (self.0.as_str(), false),
        };
        let (mut pattern, mut path) = (pattern.split('/').peekable(), path.split('/').peekable());
        loop {
            match (pattern.next(), path.next()) {
                (Some(last), Some(found)) if open_end && pattern.peek().is_none() => {
                    return last == "+" || found.starts_with(last);
                }
                (Some(wanted), Some(found)) if is_one(wanted) || wanted == found => {}
                (None, None) => return true,
                (Some(_) | None, _) => return false,
            }
        }
    }
}

fn is_one(segment: &str) -> bool {
    segment == "+" || segment.contains("{{")
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_any_rest_and_a_plus_is_one_segment() {
        for (pattern, path, reached) in [
            ("*", "sys/audit", true),
            ("sys/*", "sys/audit/x", true),
            ("sys/*", "system", false),
            ("sys*", "system", true),
            ("sys/*", "sys", false),
            ("sys/au*", "sys/audit/x", true),
            ("+/audit/*", "sys/audit/x", true),
            ("+/+", "sys/audit/x", false),
            ("+/*", "sys/audit/x", true),
            ("sys/audit", "sys/audit", true),
            ("sys/audit", "sys/audit/x", false),
            ("/sys/audit", "sys/audit", true),
            ("kv/{{identity.entity.id}}/*", "kv/any/x", true),
            ("kv/{{identity.entity.id}}/*", "kv/any", false),
        ] {
            assert_eq!(Pattern::new(pattern).reaches(path), reached, "{pattern} {path}");
        }
    }

    #[test]
    fn a_path_without_wildcards_is_one_path() {
        assert!(!Pattern::new("sys/audit").is_wild());
        for wild in ["sys/*", "+/audit", "sys/aud*", "kv/{{identity.entity.id}}"] {
            assert!(Pattern::new(wild).is_wild(), "{wild}");
        }
    }
}
