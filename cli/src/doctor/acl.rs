//! OpenBao's access policies, taken apart: paths and what may be done there.
//!
//! Both spellings are read, HCL and JSON. What is not understood is an error: a rule that is overlooked would
//! turn "nobody may" into a lie.
//!
//! Untrusted: the text.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::pattern::Pattern;

/// What a policy says of one path.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Rule {
    pub(crate) path: Pattern,
    pub(crate) capabilities: BTreeSet<Capability>,
}

/// What may be done at a path.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Capability {
    Create,
    Delete,
    Deny,
    List,
    Patch,
    Read,
    Scan,
    Sudo,
    Update,
}

impl Rule {
    /// May something be changed here?
    pub(crate) fn writes(&self) -> bool {
        use Capability::{Create, Delete, Patch, Update};
        self.allows(&[Create, Delete, Patch, Update])
    }

    pub(crate) fn sudo(&self) -> bool {
        self.allows(&[Capability::Sudo])
    }

    fn allows(&self, any_of: &[Capability]) -> bool {
        !self.capabilities.contains(&Capability::Deny)
            && any_of.iter().any(|capability| self.capabilities.contains(capability))
    }
}

/// Reads a policy.
pub(crate) fn parse(text: &str) -> Result<Vec<Rule>, BadAcl> {
    if text.len() > MAX_BYTES {
        return Err(BadAcl(format!("expected at most {MAX_BYTES} bytes, found {}", text.len())));
    }
    let body = Hcl { rest: text, depth: 0 }.document()?;
    let mut rules = Vec::new();
    for (key, value) in body {
        match key.as_str() {
            "path" => rules.extend(paths(value)?),
            "name" => {}
            other => return Err(BadAcl(format!("expected path, found {}", shown(other)))),
        }
    }
    Ok(rules)
}

/// `{"secret/*": {…}, …}`, or a list of such.
fn paths(value: Value) -> Result<Vec<Rule>, BadAcl> {
    match value {
        Value::Object(paths) => paths.iter().map(|(path, body)| rule(path, body)).collect(),
        Value::Array(values) => {
            let rules: Result<Vec<_>, _> = values.into_iter().map(paths).collect();
            rules.map(|rules| rules.concat())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            Err(BadAcl("expected an object under path".to_owned()))
        }
    }
}

fn rule(path: &str, body: &Value) -> Result<Rule, BadAcl> {
    let bodies: Vec<&Map<String, Value>> = match body {
        Value::Object(body) => vec![body],
        Value::Array(bodies) => bodies.iter().filter_map(Value::as_object).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    };
    if bodies.is_empty() {
        return Err(BadAcl(format!("expected an object under {}", shown(path))));
    }
    let mut capabilities = BTreeSet::new();
    for body in bodies {
        for word in words(body.get("capabilities"))? {
            capabilities.insert(Capability::named(&word)?);
        }
        // The old spelling: one word for several capabilities.
        for word in words(body.get("policy"))? {
            capabilities.extend(old(&word)?);
        }
    }
    Ok(Rule { path: Pattern::new(path), capabilities })
}

fn words(value: Option<&Value>) -> Result<Vec<String>, BadAcl> {
    match value {
        None => Ok(Vec::new()),
        Some(Value::String(word)) => Ok(vec![word.clone()]),
        Some(Value::Array(words)) => words
            .iter()
            .map(|word| {
                word.as_str()
                    .map(str::to_owned)
                    .ok_or_else(|| BadAcl("expected capabilities in quotes".to_owned()))
            })
            .collect(),
        Some(_) => Err(BadAcl("expected a list of capabilities".to_owned())),
    }
}

impl Capability {
    fn named(word: &str) -> Result<Self, BadAcl> {
        Ok(match word {
            "create" => Self::Create,
            "delete" => Self::Delete,
            "deny" => Self::Deny,
            "list" => Self::List,
            "patch" => Self::Patch,
            "read" => Self::Read,
            "scan" => Self::Scan,
            "sudo" => Self::Sudo,
            "update" => Self::Update,
            other => return Err(BadAcl(format!("expected a capability, found {}", shown(other)))),
        })
    }
}

fn old(word: &str) -> Result<Vec<Capability>, BadAcl> {
    use Capability::{Create, Delete, Deny, List, Read, Sudo, Update};
    Ok(match word {
        "deny" => vec![Deny],
        "read" => vec![Read, List],
        "write" => vec![Create, Read, Update, Delete, List],
        "sudo" => vec![Create, Read, Update, Delete, List, Sudo],
        other => return Err(BadAcl(format!("expected deny, read, write or sudo, found {}", shown(other)))),
    })
}

/// Why a policy was not understood.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct BadAcl(String);

/// As much of HCL as policies are written in: `key = value`, `key "label" { … }`, lists, strings, comments.
struct Hcl<'t> {
    rest: &'t str,
    depth: u8,
}

impl Hcl<'_> {
    /// The whole text. JSON is read as the HCL that it also is: OpenBao takes every value of a key that stands twice, and a
    /// reader of JSON only the last.
    fn document(&mut self) -> Result<Vec<(String, Value)>, BadAcl> {
        if self.peek()? != Some('{') {
            return self.body(None);
        }
        self.take('{');
        let body = self.body(Some('}'))?;
        if self.peek()?.is_some() { Err(self.unexpected("the end")) } else { Ok(body) }
    }

    /// Pairs up to `end`, or to the end of the text.
    fn body(&mut self, end: Option<char>) -> Result<Vec<(String, Value)>, BadAcl> {
        let mut pairs = Vec::new();
        loop {
            match (self.peek()?, end) {
                (None, None) => return Ok(pairs),
                (Some(found), Some(end)) if found == end => {
                    self.take(end);
                    return Ok(pairs);
                }
                (None, Some(end)) => return Err(BadAcl(format!("expected {end}, found the end"))),
                (Some(','), Some(_)) => self.take(','),
                (Some(_), _) => {
                    let key = self.key()?;
                    let value = self.pair()?;
                    pairs.push((key, value));
                }
            }
        }
    }

    /// What follows a key: `= value`, `"label" { … }` or `{ … }`.
    fn pair(&mut self) -> Result<Value, BadAcl> {
        match self.peek()? {
            Some('=' | ':') => {
                self.advance(1);
                self.deeper(Self::value)
            }
            Some('"') => {
                let label = self.string()?;
                let inner = self.deeper(Self::pair)?;
                Ok(Value::Object(Map::from_iter([(label, inner)])))
            }
            Some('{') => self.deeper(Self::value),
            _ => Err(self.unexpected("=, a label or {")),
        }
    }

    fn value(&mut self) -> Result<Value, BadAcl> {
        match self.peek()? {
            Some('"') => self.string().map(Value::String),
            Some('[') => self.list(),
            Some('{') => {
                self.take('{');
                self.body(Some('}')).map(object)
            }
            _ => self.word().map(Value::String),
        }
    }

    /// Reads something inside something else, so deep and no deeper.
    fn deeper(&mut self, read: fn(&mut Self) -> Result<Value, BadAcl>) -> Result<Value, BadAcl> {
        if self.depth >= MAX_DEPTH {
            return Err(BadAcl(format!("expected at most {MAX_DEPTH} levels")));
        }
        self.depth = self.depth.saturating_add(1);
        let value = read(self);
        self.depth = self.depth.saturating_sub(1);
        value
    }

    fn list(&mut self) -> Result<Value, BadAcl> {
        self.take('[');
        let mut values = Vec::new();
        loop {
            match self.peek()? {
                Some(']') => {
                    self.take(']');
                    return Ok(Value::Array(values));
                }
                Some(',') => self.take(','),
                Some(_) => values.push(self.deeper(Self::value)?),
                None => return Err(BadAcl("expected ], found the end".to_owned())),
            }
        }
    }

    fn key(&mut self) -> Result<String, BadAcl> {
        if self.peek()? == Some('"') { self.string() } else { self.word() }
    }

    /// A bare word or number.
    fn word(&mut self) -> Result<String, BadAcl> {
        let plain = |found: char| found.is_ascii_alphanumeric() || matches!(found, '_' | '-' | '.');
        let end = self.rest.find(|found| !plain(found)).unwrap_or(self.rest.len());
        if end == 0 {
            return Err(self.unexpected("a word"));
        }
        let word = self.rest.get(..end).unwrap_or_default().to_owned();
        self.advance(end);
        Ok(word)
    }

    fn string(&mut self) -> Result<String, BadAcl> {
        self.take('"');
        let mut text = String::new();
        let mut characters = self.rest.char_indices();
        while let Some((at, found)) = characters.next() {
            match found {
                '"' => {
                    self.advance(at.saturating_add(1));
                    return Ok(text);
                }
                '\\' => match characters.next() {
                    Some((_, escaped @ ('"' | '\\'))) => text.push(escaped),
                    _ => {
                        return Err(BadAcl(
                            "expected \\\" or \\\\ in a string, found another escape".to_owned(),
                        ));
                    }
                },
                '\n' => break,
                other => text.push(other),
            }
        }
        Err(BadAcl("expected the end of a string".to_owned()))
    }

    /// The next character that means something.
    fn peek(&mut self) -> Result<Option<char>, BadAcl> {
        loop {
            self.rest = self.rest.trim_start();
            if self.rest.starts_with('#') || self.rest.starts_with("//") {
                self.rest = self.rest.split_once('\n').map_or("", |(_, rest)| rest);
            } else if let Some(comment) = self.rest.strip_prefix("/*") {
                let end = comment.split_once("*/");
                self.rest = end.ok_or_else(|| BadAcl("expected the end of a comment".to_owned()))?.1;
            } else {
                return Ok(self.rest.chars().next());
            }
        }
    }

    fn take(&mut self, found: char) {
        self.advance(found.len_utf8());
    }

    fn advance(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }

    fn unexpected(&self, expected: &str) -> BadAcl {
        let found: String = self.rest.chars().take(20).collect();
        BadAcl(format!("expected {expected}, found {}", shown(&found)))
    }
}

/// Pairs as an object; the same key twice is a list of its values, as HCL has it.
fn object(pairs: Vec<(String, Value)>) -> Value {
    let mut map = Map::new();
    for (key, value) in pairs {
        let both = match map.remove(&key) {
            None => value,
            Some(Value::Array(mut values)) => {
                values.push(value);
                Value::Array(values)
            }
            Some(earlier) => Value::Array(vec![earlier, value]),
        };
        map.insert(key, both);
    }
    Value::Object(map)
}

fn shown(text: &str) -> String {
    let short: String = text.chars().take(40).collect();
    format!("{short:?}")
}

/// OpenBao's own limit on a request is larger; a policy of this length is read by nobody.
const MAX_BYTES: usize = 1024 * 1024;
const MAX_DEPTH: u8 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Vec<(String, Vec<Capability>)> {
        let rules = parse(text).unwrap().into_iter();
        rules.map(|rule| (rule.path.text().to_owned(), rule.capabilities.into_iter().collect())).collect()
    }

    #[test]
    fn policies_are_read_in_every_spelling() {
        use Capability::{Create, Deny, List, Read, Sudo, Update};
        let expected = vec![("secret/*".to_owned(), vec![Read, Sudo])];
        for text in [
            r#"path "secret/*" { capabilities = ["read", "sudo"] }"#,
            "# why\npath \"secret/*\" {\n  // because\n  capabilities = [\n \"read\",\n /* x */ \"sudo\",\n ]\n}\n",
            r#"path "secret/*" = { capabilities = ["sudo", "read"] max_wrapping_ttl = 5m }"#,
            r#"path "/secret/*" { capabilities = ["read", "sudo"] allowed_parameters = { "*" = [] "a" = ["b", 1] } }"#,
            r#"{"path": {"secret/*": {"capabilities": ["read", "sudo"]}}}"#,
            r#"{"path": [{"secret/*": {"capabilities": ["read", "sudo"]}}]}"#,
        ] {
            assert_eq!(rules(text), expected, "{text}");
        }
        assert_eq!(
            rules(r#"path "a" { policy = "write" }"#)[0].1,
            [Create, Capability::Delete, List, Read, Update]
        );
        assert_eq!(rules(r#"path "a" { policy = "deny" }"#)[0].1, [Deny]);
        assert_eq!(rules("name = \"x\"\npath \"a\" {}\npath \"a\" { capabilities = [\"list\"] }").len(), 2);
        assert_eq!(rules(""), []);
    }

    /// OpenBao gives what both say.
    #[test]
    fn a_key_that_stands_twice_in_json_counts_twice() {
        let all = r#"{"path": {"*": {"capabilities": ["sudo"]}}, "path": {"a": {"capabilities": ["read"]}}}"#;
        let all = rules(all);
        assert_eq!(all, [("*".to_owned(), vec![Capability::Sudo]), ("a".to_owned(), vec![Capability::Read])]);
        let one = r#"{"path": {"a": {"capabilities": ["sudo"]}, "a": {"capabilities": ["read"]}}}"#;
        assert_eq!(rules(one), [("a".to_owned(), vec![Capability::Read, Capability::Sudo])]);
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        for (text, error) in [
            (r#"path "a" { capabilities = ["write"] }"#, r#"expected a capability, found "write""#),
            (r#"paths "a" { capabilities = ["read"] }"#, r#"expected path, found "paths""#),
            (r#"path "a" { capabilities = "#, r#"expected a word, found """#),
            (r#"path "a" { "#, "expected }, found the end"),
            (r#"path "a"#, "expected the end of a string"),
            ("/* a", "expected the end of a comment"),
            (r#"path "a" { capabilities = [read"] }"#, "expected the end of a string"),
            (r#"path "a\n" {}"#, r#"expected \" or \\ in a string, found another escape"#),
            (r#"{"path": "a"}"#, "expected an object under path"),
            ("{", "expected }, found the end"),
            ("{} {}", r#"expected the end, found "{}""#),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), error, "{text}");
        }
    }

    #[test]
    fn depth_and_length_have_bounds() {
        let deep = format!("path \"a\" = {}", "[".repeat(100));
        assert_eq!(parse(&deep).unwrap_err().to_string(), "expected at most 16 levels");
        let labels = format!("path {}", "\"a\" ".repeat(100_000));
        assert_eq!(parse(&labels).unwrap_err().to_string(), "expected at most 16 levels");
        let long = "#".repeat(MAX_BYTES + 1);
        assert_eq!(parse(&long).unwrap_err().to_string(), "expected at most 1048576 bytes, found 1048577");
    }

    #[test]
    fn a_policy_that_was_cut_off_is_an_error_or_a_shorter_policy() {
        let text =
            r#"path "a/+/*" { capabilities = ["read", "sudo"] /* x */ m = { "k" = ["v\"", 1] } } # end"#;
        for cut in 0..text.len() {
            assert!(parse(&text[..cut]).map_or(0, |rules| rules.len()) <= 1);
        }
        assert_eq!(parse(text).unwrap().len(), 1);
    }

    #[test]
    fn a_denied_path_allows_nothing() {
        let rules = parse(r#"path "a" { capabilities = ["deny", "update", "sudo"] }"#).unwrap();
        assert!(!rules[0].writes() && !rules[0].sudo());
    }
}
