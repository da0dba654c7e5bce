//! Which secrets, and under which names the program finds them.
//!
//! `CLOUDTASER_SECRET_PATHS` and `CLOUDTASER_ENV_MAP` go side by side. A path is a name in the releasing secrets
//! engine, or a path of OpenBao's API; `?NAME=VALUE&...` behind it makes a request with parameters of it. In a map
//! `field=NAME` fills a variable, `field=@NAME` fills it with the path of a file that has the value.

use std::collections::BTreeSet;

use super::is_segment;
use super::reader::Reader;
use super::server::{Login, Method};

const PATHS: &str = "CLOUDTASER_SECRET_PATHS";
const MAP: &str = "CLOUDTASER_ENV_MAP";

/// One secret and the variables that it fills.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Wanted {
    /// Where it comes from.
    pub source: Source,
    /// What becomes of its fields.
    pub targets: Vec<Target>,
}

/// Where a secret comes from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Source {
    /// It is released on evidence, sealed.
    Release {
        /// The mount of the secrets engine that releases.
        mount: String,
        /// Its name there.
        key: String,
    },
    /// It is read by whoever has a token: a path of the API.
    Path {
        /// The path, without `v1/`.
        path: String,
        /// What is sent along; with any, the request is a write, as for `pki/issue/...`.
        parameters: Vec<(String, String)>,
    },
}

impl Source {
    /// What it is called where it is.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Release { key, .. } => key,
            Self::Path { path, .. } => path,
        }
    }
}

/// What becomes of one field.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Target {
    /// The field.
    pub field: String,
    /// The variable.
    pub variable: String,
    /// What the variable says.
    pub form: Form,
}

/// What a variable says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Form {
    /// The value.
    Value,
    /// Where a file is that has the value.
    File,
}

impl Reader<'_> {
    pub(super) fn secrets(&mut self, login: &Login, key_mount: &str) -> Vec<Wanted> {
        let paths = self.required(PATHS);
        let maps = self.required(MAP);
        if paths.is_empty() || maps.is_empty() {
            return Vec::new();
        }
        let paths: Vec<&str> = paths.split(',').map(str::trim).collect();
        let maps: Vec<&str> = maps.split(';').map(str::trim).collect();
        if paths.len() != maps.len() {
            let (paths, maps) = (paths.len(), maps.len());
            self.problem(format!("{MAP}: {paths} secret path(s) need {paths} map(s), found {maps}"));
        }
        let mut names = BTreeSet::new();
        let mut wanted = Vec::new();
        for (path, map) in paths.iter().zip(&maps) {
            let source = self.source(path, login, key_mount);
            let targets = self.targets(map, &mut names);
            wanted.extend(source.map(|source| Wanted { source, targets }));
        }
        let reads = wanted.iter().any(|wanted| matches!(wanted.source, Source::Path { .. }));
        if reads && login.role.is_none() && login.method == Method::Attest {
            self.problem("VAULT_AUTH_ROLE: not set, and reading a path needs a login");
        }
        wanted
    }

    fn source(&mut self, text: &str, login: &Login, key_mount: &str) -> Option<Source> {
        let (path, query) = text.split_once('?').unwrap_or((text, ""));
        let path = path.trim_matches('/');
        let path = path.strip_prefix("v1/").unwrap_or(path);
        let parameters = parameters(query);
        let fits = path.split('/').all(is_segment) && (query.is_empty() || parameters.is_some());
        let released = release(path, key_mount).filter(|_| query.is_empty());
        let bare = is_segment(path) && login.method == Method::Attest && query.is_empty();
        if fits && let Some(key) = released {
            return Some(Source::Release { mount: key_mount.to_owned(), key: key.to_owned() });
        }
        if fits && bare {
            return Some(Source::Release { mount: key_mount.to_owned(), key: path.to_owned() });
        }
        if fits && path.contains('/') {
            return Some(Source::Path { path: path.to_owned(), parameters: parameters.unwrap_or_default() });
        }
        self.problem(format!(
            "{PATHS}: expected a KEY that is released, or a path of the API such as secret/data/app, with ?NAME=VALUE&... where it takes parameters"
        ));
        None
    }

    fn targets(&mut self, map: &str, names: &mut BTreeSet<String>) -> Vec<Target> {
        let mut targets = Vec::new();
        for pair in map.split(',').map(str::trim) {
            let Some(target) = target(pair) else {
                self.problem(format!("{MAP}: expected FIELD=VARIABLE or FIELD=@VARIABLE pairs"));
                continue;
            };
            if !names.insert(target.variable.clone()) {
                self.problem(format!("{MAP}: {} is filled twice", target.variable));
            }
            targets.push(target);
        }
        targets
    }
}

/// The name of a secret in the secrets engine at `mount`, if the path is one of its.
fn release<'p>(path: &'p str, mount: &str) -> Option<&'p str> {
    let rest = path.strip_prefix(mount)?.strip_prefix('/')?;
    let key = rest.strip_prefix("keys/").or_else(|| rest.strip_prefix("release/"))?;
    is_segment(key).then_some(key)
}

fn parameters(query: &str) -> Option<Vec<(String, String)>> {
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=')?;
        is_segment(name).then(|| (name.to_owned(), value.to_owned()))
    };
    query.split('&').filter(|pair| !pair.is_empty()).map(pair).collect()
}

fn target(pair: &str) -> Option<Target> {
    let (field, name) = pair.split_once('=')?;
    let (form, name) = name.strip_prefix('@').map_or((Form::Value, name), |name| (Form::File, name));
    let fits = !field.is_empty() && is_variable(name);
    fits.then(|| Target { field: field.to_owned(), variable: name.to_owned(), form })
}

fn is_variable(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.bytes().all(plain) && text.bytes().next().is_some_and(|first| !first.is_ascii_digit())
}
