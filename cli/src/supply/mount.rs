//! The store on the other side: one mount of the plugin in OpenBao.
//!
//! Untrusted: its answers, beyond what they say of themselves.

use std::time::Duration;

use attest::UnixTime;
use attest::collateral::Kind;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::NotJudged;
use crate::openbao::{self, Client, Seen, Unseen};

/// How to reach a mount.
#[derive(Debug, clap::Args)]
// The command that takes these has a group of this name itself.
#[group(skip)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) server: openbao::Server,
    /// The mount of the plugin: of the secrets engine, or like auth/attest
    #[arg(long, value_name = "PATH", default_value = "attest-keys", value_parser = openbao::mount)]
    pub(crate) mount: String,
}

/// One mount, with the token of the environment.
#[derive(Debug)]
pub(crate) struct Mount {
    client: Client,
    path: String,
}

/// What `collateral/status` says, as far as a plan needs it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Status {
    pub(crate) entries: Vec<Stored>,
    pub(crate) expiring: Vec<Stored>,
    pub(crate) missing: Vec<Missing>,
}

/// An object in store.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Stored {
    pub(crate) kind: Kind,
    pub(crate) key: String,
    pub(crate) sha256: String,
    pub(crate) from: UnixTime,
    pub(crate) until: UnixTime,
}

/// What a machine asked for in vain.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Missing {
    pub(crate) kind: Kind,
    pub(crate) key: String,
}

/// What became of an import.
#[derive(Debug, Deserialize, serde::Serialize)]
pub(crate) struct Imported {
    pub(crate) new: u64,
    pub(crate) kept: u64,
    pub(crate) refused: u64,
    pub(crate) objects: Vec<Taken>,
    #[serde(default)]
    pub(crate) decision: Option<String>,
}

/// What became of one object.
#[derive(Debug, Deserialize, serde::Serialize)]
pub(crate) struct Taken {
    pub(crate) sha256: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) kind: Option<Kind>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
    pub(crate) outcome: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) why: Option<String>,
}

#[derive(Deserialize)]
struct Object {
    value: String,
}

impl Mount {
    pub(crate) fn open(args: &Args) -> Result<Self, NotJudged> {
        let client = args.server.connect(PATIENCE)?;
        Ok(Self { client, path: args.mount.clone() })
    }

    pub(crate) fn status(&self) -> Result<Status, NotJudged> {
        self.client.read(&format!("{}/collateral/status", self.path)).map_err(|why| unseen(&why))
    }

    /// The bytes of an object in store.
    pub(crate) fn object(&self, sha256: &str) -> Result<Vec<u8>, NotJudged> {
        let name: String = sha256.chars().filter(char::is_ascii_hexdigit).collect();
        let object: Object = self
            .client
            .read(&format!("{}/collateral/object/{name}", self.path))
            .map_err(|why| unseen(&why))?;
        let odd = |error| NotJudged::new("source.answer", format!("object {name}: expected base64: {error}"));
        STANDARD.decode(object.value).map_err(odd)
    }

    /// Imports a signed pack.
    pub(crate) fn import_pack(&self, pack: &[u8]) -> Result<Result<Imported, Declined>, NotJudged> {
        self.import(&json!({ "pack": STANDARD.encode(pack) }))
    }

    /// Imports objects by themselves, as a refresh: for a mount that pins no signer.
    pub(crate) fn import_objects(
        &self,
        objects: &[Vec<u8>],
    ) -> Result<Result<Imported, Declined>, NotJudged> {
        let objects: Vec<String> = objects.iter().map(|object| STANDARD.encode(object)).collect();
        self.import(&json!({ "objects": objects, "origin": "refresh" }))
    }

    /// Tells how a refresh went.
    pub(crate) fn report(&self, new: u64, errors: &[String]) -> Result<(), NotJudged> {
        let errors: Vec<&String> = errors.iter().take(MOST_ERRORS).collect();
        let path = format!("{}/collateral/status", self.path);
        let told: Seen<Value> = self.client.tell(&path, &json!({ "new": new, "errors": errors }));
        told.map(drop).map_err(|why| unseen(&why))
    }

    fn import(&self, body: &Value) -> Result<Result<Imported, Declined>, NotJudged> {
        let path = format!("{}/collateral/import", self.path);
        match self.client.tell(&path, body) {
            Ok(imported) => Ok(Ok(imported)),
            Err(Unseen::Answered { status: 400, text, .. }) => Ok(Err(Declined(text))),
            Err(why) => Err(unseen(&why)),
        }
    }
}

/// The mount looked at an import, and took nothing.
#[derive(Debug)]
pub(crate) struct Declined(pub(crate) String);

fn unseen(why: &dyn std::fmt::Display) -> NotJudged {
    NotJudged::new("source.unreachable", why.to_string())
}

/// An import of thousands of objects takes a while.
const PATIENCE: Duration = Duration::from_mins(2);
const MOST_ERRORS: usize = 32;
