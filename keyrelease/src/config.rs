//! The program's arguments, which OpenBao keeps in its plugin catalogue beside the binary's SHA-256.
//!
//! What a plugin trusts is thereby visible to whoever may read the catalogue, and changed only by whoever
//! may write it. Everything else is configured through the mounts.

use std::ffi::OsString;
use std::path::PathBuf;

/// What the program was started as.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Config {
    /// Which face.
    pub kind: Kind,
    /// Files with simulated AMD roots (DER). If there are any, AMD's own are not believed.
    pub insecure_trust_roots: Vec<PathBuf>,
}

/// The two faces of the plugin.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// `auth/attest`.
    Auth,
    /// `attest-keys`.
    Secrets,
}

impl Config {
    /// Reads the arguments; all problems are reported together.
    pub fn from_args(args: impl Iterator<Item = OsString>) -> Result<Self, Problems> {
        let (mut kind, mut roots, mut problems) = (None, Vec::new(), Vec::new());
        for arg in args {
            let text = arg.to_string_lossy().into_owned();
            match text.split_once('=') {
                Some(("--kind", "auth")) if kind.is_none() => kind = Some(Kind::Auth),
                Some(("--kind", "secrets")) if kind.is_none() => kind = Some(Kind::Secrets),
                Some(("--insecure-trust-root", path)) if !path.is_empty() => roots.push(PathBuf::from(path)),
                _ => problems.push(format!("unknown or repeated argument {text:?}")),
            }
        }
        match kind {
            Some(kind) if problems.is_empty() => Ok(Self { kind, insecure_trust_roots: roots }),
            Some(_) => Err(Problems(problems)),
            None => {
                problems.push("expected --kind=auth or --kind=secrets, found neither".to_owned());
                Err(Problems(problems))
            }
        }
    }
}

/// Everything that is wrong with the arguments.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct Problems(Vec<String>);

#[cfg(test)]
mod tests {
    use super::*;

    fn read(args: &[&str]) -> Result<Config, Problems> {
        Config::from_args(args.iter().map(OsString::from))
    }

    #[test]
    fn the_kind_is_needed_and_all_problems_are_told_together() {
        assert_eq!(read(&["--kind=auth"]).unwrap().kind, Kind::Auth);
        let problems = read(&["--mock", "--insecure-trust-root="]).unwrap_err();
        assert_eq!(problems.0.len(), 3, "{problems}");
    }
}
