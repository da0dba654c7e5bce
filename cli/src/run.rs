//! `cloudtaser run -- PROGRAM`: a program with its secrets on the machine in front of you.
//!
//! The wrapper does the work; it is given its words, and takes this process's place. A developer's machine proves nothing,
//! so what is protected there and what is not is said first.
//!
//! Trusted: the command line, the environment, the wrapper's program from the folder of this one or from the search path.

use std::ffi::OsString;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::ValueEnum;
use zeroize::Zeroizing;

use crate::answer::{Answer, NotJudged};

/// Start a program with secrets of an OpenBao in its environment
#[derive(Debug, clap::Args)]
#[command(after_help = NOTES)]
pub(crate) struct Args {
    /// The OpenBao; without it, what `BAO_ADDR` or `VAULT_ADDR` says
    #[arg(long, value_name = "URL")]
    vault_address: Option<String>,
    /// A secret and the variables that its fields fill: secret/data/app:password=PGPASSWORD,user=PGUSER
    #[arg(short, long, value_name = "PATH:FIELD=NAME,...", required = true, value_parser = secret)]
    secret: Vec<Wanted>,
    /// How to log in
    #[arg(long, value_enum, default_value_t = Method::Token, value_name = "METHOD")]
    method: Method,
    /// The role of the login
    #[arg(long, value_name = "NAME")]
    role: Option<String>,
    /// Say nothing of what is protected here and what is not
    #[arg(short, long)]
    quiet: bool,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "PROGRAM")]
    command: Vec<OsString>,
}

/// How to log in.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Method {
    /// With the token of `bao login`, or of `BAO_TOKEN` or `VAULT_TOKEN`
    Token,
    /// With a service account's token
    Kubernetes,
    /// With evidence of what this machine is
    Attest,
}

/// A path and its map, in the wrapper's words.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Wanted {
    path: String,
    map: String,
}

fn secret(text: &str) -> Result<Wanted, String> {
    let (path, map) = text.rsplit_once(':').ok_or("expected PATH:FIELD=NAME,...")?;
    if path.is_empty() || map.is_empty() || path.contains(',') || map.contains(';') {
        return Err("expected one path without a comma, and one map without a semicolon".to_owned());
    }
    Ok(Wanted { path: path.to_owned(), map: map.to_owned() })
}

/// Becomes the wrapper; comes back only where that fails.
pub(crate) fn run(args: &Args) -> Answer {
    let wrapper = wrapper();
    let mut command = Command::new(&wrapper);
    command.arg("--").args(&args.command).env("VAULT_AUTH_METHOD", args.method.word());
    // The environment's other name for the same thing would win.
    command.env_remove("BAO_AUTH_METHOD");
    let list = |of: fn(&Wanted) -> &str, with: &str| -> String {
        args.secret.iter().map(of).collect::<Vec<_>>().join(with)
    };
    command.env("CLOUDTASER_SECRET_PATHS", list(|wanted| &wanted.path, ","));
    command.env("CLOUDTASER_ENV_MAP", list(|wanted| &wanted.map, ";"));
    for (name, value) in [("ADDR", &args.vault_address), ("AUTH_ROLE", &args.role)] {
        if let Some(value) = value {
            command.env(format!("BAO_{name}"), value);
        }
    }
    if let Err(error) = bring_token(&mut command, args.method) {
        return Answer::complaint(&error);
    }
    if !args.quiet {
        Answer::aside(crate::answer::Verdict::Accepted, args.method.statement()).deliver();
    }
    let error = command.exec();
    Answer::complaint(&NotJudged::new(
        "run.wrapper",
        format!("{}: {error}; is the wrapper installed?", wrapper.display()),
    ))
}

/// The wrapper takes the token out of its environment before it does anything else.
fn bring_token(command: &mut Command, method: Method) -> Result<(), NotJudged> {
    let named = ["BAO_TOKEN", "VAULT_TOKEN"].iter().any(|name| std::env::var_os(name).is_some());
    if method != Method::Token || named {
        return Ok(());
    }
    let home = std::env::home_dir().unwrap_or_default();
    let file = home.join(TOKEN_FILE);
    let token = fs::read_to_string(&file).map(Zeroizing::new).map_err(|error| {
        let file = file.display();
        NotJudged::new("run.token", format!("{file}: {error}; expected a token there, or in BAO_TOKEN"))
    })?;
    command.env("BAO_TOKEN", token.trim());
    Ok(())
}

impl Method {
    const fn word(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Kubernetes => "kubernetes",
            Self::Attest => "attest",
        }
    }

    fn statement(self) -> String {
        let proved = match self {
            Self::Attest => "This machine proves what it runs before it is given anything.",
            Self::Token | Self::Kubernetes => {
                "This machine has proved nothing: who has your token reads the same secrets anywhere."
            }
        };
        format!("cloudtaser run: {proved}\n{STATEMENT}")
    }
}

fn wrapper() -> PathBuf {
    let beside = std::env::current_exe().ok().and_then(|own| Some(own.parent()?.join(WRAPPER)));
    beside.filter(|path| path.is_file()).unwrap_or_else(|| Path::new(WRAPPER).to_owned())
}

const WRAPPER: &str = "cloudtaser-wrapper";
/// Where `bao login` and `vault login` keep a token.
const TOKEN_FILE: &str = ".vault-token";
const STATEMENT: &str = concat!(
    "  protected:     the values are in no file, not in your shell, not in /proc/PID/environ; core dumps and reads of\n",
    "                 the program's memory by others do not show the pages that they lie in\n",
    "  not protected: what the program copies, prints or passes on; from a debugger of yours or of root; your token\n",
);
const NOTES: &str = "\
Everything else is configured as for the wrapper: VAULT_CACERT, VAULT_NAMESPACE, CLOUDTASER_ROTATION_STRATEGY, ...

Exit codes: the program's own; 128 + n after signal n; 126 and 127 where it cannot be started; else the wrapper's.
2 where there is no wrapper or no token.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_a_path_and_a_map() {
        let wanted = secret("pki/issue/web?common_name=a.b:private_key=@KEY_FILE,certificate=CERT").unwrap();
        assert_eq!(wanted.path, "pki/issue/web?common_name=a.b");
        assert_eq!(wanted.map, "private_key=@KEY_FILE,certificate=CERT");
    }

    #[test]
    fn what_would_mix_two_secrets_up_is_refused() {
        for text in ["secret/data/app", ":a=B", "secret/data/app:", "a,b:c=D", "a:c=D;e=F"] {
            assert!(secret(text).is_err(), "{text}");
        }
    }
}
