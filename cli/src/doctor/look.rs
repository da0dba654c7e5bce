//! Looks at a server: every question that is put to it, in order.
//!
//! The first questions need no token and decide whether there is an OpenBao at all; without one there is
//! nothing to judge. Where nobody vouches for the server, nothing more is asked, unless the
//! settings say so: the token is for the server that was meant.
//!
//! Untrusted: every answer. The number of questions is bounded, whatever the server lists.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use attest::UnixTime;
use serde::Deserialize;
use serde_json::json;

use super::facts::{
    Autopilot, Facts, Health, Mount, Plugin, QuotaConfig, Quotas, RaftServer, RateLimit, Seal, Tls, Tokens,
};
use super::{handshake, plugin_files};
use crate::answer::NotJudged;
use crate::openbao::{Authority, Certificates, Client, Seen, Settings, Unreachable, Unseen, token};

/// How far to look.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reach<'a> {
    /// For each question.
    pub(crate) patience: Duration,
    /// The most tokens that are looked at.
    pub(crate) tokens: usize,
    /// Where the server's plugins are, if they are here.
    pub(crate) plugin_directory: Option<&'a Path>,
}

/// Asks everything. `now` is what the clock says.
pub(crate) fn look(settings: &Settings, reach: Reach<'_>, now: UnixTime) -> Result<Facts, NotJudged> {
    let began = Instant::now();
    let certificates = Certificates::read(settings)?;
    let files = files(reach.plugin_directory)?;
    let token = token(&settings.token)?;
    let unreachable = |error: Unreachable| NotJudged::new("source.unreachable", error.to_string());
    let tls = handshake::look(settings, &certificates, reach.patience).map_err(unreachable)?;
    if let (Some(why), Authority::Files(_)) = (stranger(settings, &tls), &settings.authority) {
        return Ok(unasked(settings, tls, why, files, now));
    }
    let client = Client::new(settings, &certificates, token, reach.patience);
    let health = client.open::<Health>("sys/health").map_err(unreachable)?;
    let health = health.map_err(|error| NotJudged::new("source.not_openbao", error.to_string()))?;
    let skew = skew(health.server_time_utc, now.plus(began.elapsed().as_secs()));
    let seal = client.open::<Seal>("sys/seal-status").map_err(unreachable)?;
    if !client.is_known() {
        let message = format!("{}: this token is not valid", settings.address);
        return Err(NotJudged::new("source.token", message));
    }
    let asker = Asker { client: &client, reach };
    Ok(Facts {
        namespace: settings.namespace.clone(),
        now,
        health: Ok(health),
        skew: Ok(skew),
        tls,
        seal,
        config: client.read("sys/config/state/sanitized"),
        audit: client.read("sys/audit"),
        tokens: asker.tokens(),
        mounts: asker.mounts(),
        plugins: asker.plugins(),
        files,
        policies: asker.policies(),
        quotas: asker.quotas(),
        raft: client.read("sys/storage/raft/configuration").map(|answer: Raft| answer.config.servers),
        autopilot: client.read::<Autopilot>("sys/storage/raft/autopilot/state"),
        swap: client.read("sys/host-info").map(|answer: HostInfo| answer.memory.swaptotal),
    })
}

/// Why this may not be the server that was meant.
fn stranger(settings: &Settings, tls: &Tls) -> Option<&'static str> {
    match tls {
        Tls::Encrypted { certificate: Ok(_), .. } => None,
        Tls::Encrypted { certificate: Err(_), .. } => {
            Some("nothing was asked of a server whose certificate is not verified")
        }
        Tls::Plain if settings.address.is_here() => None,
        Tls::Plain => Some("nothing was asked in plain HTTP of another machine"),
    }
}

/// What is known of a server that nobody vouched for.
fn unasked(
    settings: &Settings,
    tls: Tls,
    why: &str,
    files: Seen<BTreeMap<String, String>>,
    now: UnixTime,
) -> Facts {
    let why = || Unseen::NotAsked(why.to_owned());
    Facts {
        namespace: settings.namespace.clone(),
        now,
        health: Err(why()),
        skew: Err(why()),
        tls,
        seal: Err(why()),
        config: Err(why()),
        audit: Err(why()),
        tokens: Err(why()),
        mounts: Err(why()),
        plugins: Err(why()),
        files,
        policies: Err(why()),
        quotas: Err(why()),
        raft: Err(why()),
        autopilot: Err(why()),
        swap: Err(why()),
    }
}

fn files(directory: Option<&Path>) -> Result<Seen<BTreeMap<String, String>>, NotJudged> {
    match directory {
        Some(directory) => plugin_files::digests(directory).map(Ok),
        None => Ok(Err(Unseen::NotAsked("no --plugin-directory was named".to_owned()))),
    }
}

fn skew(theirs: u64, ours: UnixTime) -> i64 {
    let ahead = i64::try_from(UnixTime(theirs).since(ours)).unwrap_or(i64::MAX);
    let behind = i64::try_from(ours.since(UnixTime(theirs))).unwrap_or(i64::MAX);
    ahead.saturating_sub(behind)
}

/// Puts the questions that take several.
struct Asker<'c> {
    client: &'c Client,
    reach: Reach<'c>,
}

impl Asker<'_> {
    fn tokens(&self) -> Seen<Tokens> {
        let accessors = self.client.list("auth/token/accessors")?;
        let mut tokens = Tokens { all: accessors.len(), ..Tokens::default() };
        for accessor in accessors.iter().take(self.reach.tokens) {
            let found =
                self.client.look_up("auth/token/lookup-accessor", &json!({ "accessor": accessor }))?;
            tokens.looked_at = tokens.looked_at.saturating_add(1);
            let found: Option<TokenPolicies> = found;
            if found.is_some_and(|token| token.policies.iter().any(|policy| policy == "root")) {
                tokens.root.push(shortened(accessor));
            }
        }
        Ok(tokens)
    }

    fn mounts(&self) -> Seen<BTreeMap<String, Mount>> {
        let engines: BTreeMap<String, Mount> = self.client.read("sys/mounts")?;
        let methods: BTreeMap<String, Mount> = self.client.read("sys/auth")?;
        let engines = engines.into_iter().map(|(path, mount)| (path.trim_end_matches('/').to_owned(), mount));
        let methods =
            methods.into_iter().map(|(path, mount)| (format!("auth/{}", path.trim_end_matches('/')), mount));
        Ok(engines.chain(methods).collect())
    }

    fn plugins(&self) -> Seen<Vec<Plugin>> {
        let catalogue: Catalogue = self.client.read("sys/plugins/catalog")?;
        let external = catalogue.detailed.into_iter().filter(|entry| !entry.builtin);
        external.take(MOST).map(|entry| self.plugin(entry)).collect()
    }

    fn plugin(&self, entry: CatalogueEntry) -> Seen<Plugin> {
        let kind = match entry.kind.as_str() {
            "auth" | "secret" | "database" => entry.kind,
            _ => {
                let why = "a plugin of no known kind".to_owned();
                return Err(Unseen::Malformed { path: "sys/plugins/catalog".to_owned(), why });
            }
        };
        let plugin =
            self.client.read_version(&format!("sys/plugins/catalog/{kind}"), &entry.name, &entry.version)?;
        Ok(Plugin { kind, ..plugin })
    }

    fn policies(&self) -> Seen<BTreeMap<String, String>> {
        let names = self.client.list("sys/policies/acl")?;
        if names.len() > MOST {
            return Err(Unseen::NotAsked(format!("{} policies, of which {MOST} are read", names.len())));
        }
        // The policy root has no text; who holds it is a question of tokens.
        let written = names.into_iter().filter(|name| name != "root");
        written
            .map(|name| {
                let policy: PolicyText = self.client.read_one("sys/policies/acl", &name)?;
                Ok((name, policy.policy))
            })
            .collect()
    }

    fn quotas(&self) -> Seen<Quotas> {
        let names = self.client.list("sys/quotas/rate-limit")?;
        let limits: Seen<Vec<RateLimit>> =
            names.iter().take(MOST).map(|name| self.client.read_one("sys/quotas/rate-limit", name)).collect();
        let config: QuotaConfig = self.client.read("sys/quotas/config")?;
        Ok(Quotas { limits: limits?, exempt: config.rate_limit_exempt_paths.unwrap_or_default() })
    }
}

/// Enough of an accessor to find it by, and not enough to use it.
fn shortened(accessor: &str) -> String {
    let start: String = crate::layout::printable(accessor).chars().take(6).collect();
    format!("{start}…")
}

#[derive(Deserialize)]
struct Raft {
    config: RaftConfiguration,
}

#[derive(Deserialize)]
struct RaftConfiguration {
    servers: Vec<RaftServer>,
}

#[derive(Deserialize)]
struct HostInfo {
    memory: Memory,
}

#[derive(Deserialize)]
struct Memory {
    swaptotal: u64,
}

#[derive(Deserialize)]
struct TokenPolicies {
    policies: Vec<String>,
}

#[derive(Deserialize)]
struct PolicyText {
    policy: String,
}

#[derive(Deserialize)]
struct Catalogue {
    detailed: Vec<CatalogueEntry>,
}

#[derive(Deserialize)]
struct CatalogueEntry {
    #[serde(rename = "type")]
    kind: String,
    name: String,
    #[serde(default)]
    version: String,
    builtin: bool,
}

/// Of policies, plugins and rate limits.
const MOST: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_ahead_or_behind() {
        assert_eq!(skew(110, UnixTime(100)), 10);
        assert_eq!(skew(90, UnixTime(100)), -10);
        assert_eq!(skew(u64::MAX, UnixTime(0)), i64::MAX);
    }

    #[test]
    fn an_accessor_is_not_told_whole() {
        assert_eq!(shortened("EcSPJY7lR63vlNgFHCWDzGRL"), "EcSPJY…");
    }
}
