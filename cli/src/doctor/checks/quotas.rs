//! What anybody can cause: rate limits on the paths that need no token, and how long what is given lasts.

use super::{AUTH, Check, Judged, Property, Verdict, attest_mounts, named, seen, unclear};
use crate::doctor::facts::{Facts, Quotas, RateLimit};
use crate::openbao::Unseen;

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "source.quotas.login",
        property: Property::Rule,
        expected: "a rate limit on login and challenge of each attest auth mount",
        remedy: "bao write sys/quotas/rate-limit/attest-login path=auth/attest rate=100 (a + in the path matches nothing)",
        judge: login,
    },
    Check {
        id: "source.quotas.open",
        property: Property::Rule,
        expected: "a rate limit on challenge and release/+/open of each attest secrets mount",
        remedy: "bao write sys/quotas/rate-limit/attest-open path=attest-keys rate=100 (a + in the path matches nothing)",
        judge: open,
    },
    Check {
        id: "source.leases.attest",
        property: Property::DataInUse,
        expected: "leases of attest mounts end within 24 hours",
        remedy: "bao secrets tune -max-lease-ttl=1h attest-keys; bao auth tune -max-lease-ttl=1h attest",
        judge: attest_leases,
    },
    Check {
        id: "source.leases.server",
        property: Property::Rule,
        expected: "no lease of the server longer than 32 days",
        remedy: "max_lease_ttl = \"768h\" in the configuration, or less",
        judge: server_leases,
    },
];

fn login(facts: &Facts) -> Judged {
    limited(facts, |path| path.starts_with(AUTH), &["login", "challenge"])
}

fn open(facts: &Facts) -> Judged {
    limited(facts, |path| !path.starts_with(AUTH), &["challenge", "release/ANY-KEY/open"])
}

fn limited(facts: &Facts, which: impl Fn(&str) -> bool, paths: &[&str]) -> Judged {
    let mounts = attest_mounts(facts)?.into_iter().map(|(path, _)| path).filter(|path| which(path));
    let mounts: Vec<&String> = mounts.collect();
    if mounts.is_empty() {
        return unclear("no such mount of the attest plugin");
    }
    let quotas = seen(&facts.quotas)?;
    let (mut free, mut limits) = (Vec::new(), Vec::new());
    for (mount, path) in mounts.iter().flat_map(|mount| paths.iter().map(move |path| (mount, path))) {
        match covering(quotas, mount, path, facts.namespace.as_deref()) {
            Some(limit) => limits.push(format!("{}: {} in {} s", limit.name, limit.rate, limit.interval)),
            None => free.push(format!("{mount}/{path}")),
        }
    }
    limits.dedup();
    let found = format!("no limit on {}", free.join(", "));
    Ok(if free.is_empty() { (Verdict::Pass, limits.join("; ")) } else { (Verdict::Fail, found) })
}

/// The limit that holds for a path of a mount: one that names it, one on the mount, or one on everything.
fn covering<'q>(
    quotas: &'q Quotas,
    mount: &str,
    path: &str,
    namespace: Option<&str>,
) -> Option<&'q RateLimit> {
    let mount = namespace.map_or_else(|| mount.to_owned(), |namespace| format!("{namespace}/{mount}"));
    let path = format!("{mount}/{path}");
    if quotas.exempt.iter().any(|exempt| is_meant(exempt, &path)) {
        return None;
    }
    let for_all = quotas.limits.iter().filter(|limit| limit.role.is_empty() && limit.rate > 0.0);
    let covering = for_all.filter(|limit| {
        limit.path.is_empty() || limit.path.trim_end_matches('/') == mount || is_meant(&limit.path, &path)
    });
    covering.max_by_key(|limit| limit.path.len())
}

/// A path, or one with a star at its end. OpenBao takes a `+` too, and compares it as it stands.
fn is_meant(pattern: &str, path: &str) -> bool {
    pattern.strip_suffix('*').map_or(path == pattern, |prefix| path.starts_with(prefix))
}

fn attest_leases(facts: &Facts) -> Judged {
    let server = server_ttl(facts);
    let mounts = attest_mounts(facts)?;
    if mounts.is_empty() {
        return unclear("no mount of the attest plugin");
    }
    let mut long = Vec::new();
    for (path, mount) in mounts {
        let ttl = match mount.config.max_lease_ttl {
            0 => server.clone()?,
            ttl => ttl,
        };
        if ttl > DAY {
            long.push(format!("{path}: {} hours", ttl / 3600));
        }
    }
    Ok(named(Verdict::Warn, &long, "within 24 hours"))
}

fn server_leases(facts: &Facts) -> Judged {
    let ttl = server_ttl(facts)?;
    let verdict = if ttl > 32 * DAY { Verdict::Warn } else { Verdict::Pass };
    Ok((verdict, format!("{} hours", ttl / 3600)))
}

fn server_ttl(facts: &Facts) -> Result<u64, Unseen> {
    Ok(match seen(&facts.config)?.max_lease_ttl {
        0 => 32 * DAY,
        ttl => ttl,
    })
}

const DAY: u64 = 86_400;
