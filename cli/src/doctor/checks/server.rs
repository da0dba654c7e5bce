//! The server itself: version, state, clock, memory, weakening settings, and the machine under it.

use super::{Check, Judged, Property, Verdict, named, seen, unclear};
use crate::doctor::facts::{Facts, ServerConfig};

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "source.server.version",
        property: Property::Rule,
        expected: "2.6.3 or later of 2.6, or 2.7.0 or later",
        remedy: "upgrade, standbys first: earlier versions let a restored snapshot replace plugins (GHSA-j6wc-jpvg-xfxq) and a second spelling of a path escape its policy (GHSA-fg5x-7whg-6c28)",
        judge: version,
    },
    Check {
        id: "source.server.unsealed",
        property: Property::Rule,
        expected: "initialised and unsealed",
        remedy: "bao operator init; bao operator unseal",
        judge: unsealed,
    },
    Check {
        id: "source.server.clock",
        property: Property::Rule,
        expected: "within 10 s of this machine's clock",
        remedy: "run an NTP client on both machines: certificates, revocation lists and challenges are judged by the server's clock",
        judge: clock,
    },
    Check {
        id: "source.server.settings",
        property: Property::Rule,
        expected: "no setting that weakens the server",
        remedy: "take the named settings out of the configuration and restart",
        judge: settings,
    },
    Check {
        id: "source.memory.swap",
        property: Property::DataInUse,
        expected: "no swap on the server's machine, because OpenBao does not lock its memory",
        remedy: "swapoff -a, and take swap out of /etc/fstab; or encrypt it with a key of each boot",
        judge: swap,
    },
    Check {
        id: "source.machine.attested",
        property: Property::DataInUse,
        expected: "a machine that proved what it runs before the server could unseal",
        remedy: "unseal with attestseal (a seal stanza of charts/openbao-sovereign), or judge the node's own evidence: cloudtaser attest verify",
        judge: machine,
    },
];

fn version(facts: &Facts) -> Judged {
    let found = &seen(&facts.health)?.version;
    let Some(numbers) = numbers(found) else { return unclear(format!("{found}, which is no version")) };
    let good = matches!(numbers, (2, 6, 3..) | (2, 7.., _) | (3.., _, _));
    Ok((if good { Verdict::Pass } else { Verdict::Fail }, found.clone()))
}

/// `2.7.2`, `v2.7.2-beta1`, `2.7.2+fips`; a version before its release is older than it.
fn numbers(text: &str) -> Option<(u64, u64, u64)> {
    let text = text.strip_prefix('v').unwrap_or(text);
    let text = text.split_once('+').map_or(text, |(version, _)| version);
    let (text, early) = text.split_once('-').map_or((text, false), |(version, _)| (version, true));
    let mut parts = text.split('.').map(|part| part.parse().ok());
    let (major, minor, patch) = (parts.next()??, parts.next()??, parts.next()??);
    match (parts.next(), early, patch) {
        (None, false, _) => Some((major, minor, patch)),
        // Before 2.7.0 comes what 2.6 had at its worst.
        (None, true, 0) => Some((major, u64::checked_sub(minor, 1)?, 0)),
        (None, true, _) => Some((major, minor, patch.checked_sub(1)?)),
        (Some(_), ..) => None,
    }
}

fn unsealed(facts: &Facts) -> Judged {
    let health = seen(&facts.health)?;
    Ok(match (health.initialized, health.sealed) {
        (true, false) => (Verdict::Pass, "unsealed".to_owned()),
        (true, true) => (Verdict::Fail, "sealed".to_owned()),
        (false, _) => (Verdict::Fail, "not initialised".to_owned()),
    })
}

fn clock(facts: &Facts) -> Judged {
    let skew = *seen(&facts.skew)?;
    let verdict = match skew.unsigned_abs() {
        0..=10 => Verdict::Pass,
        11..=60 => Verdict::Warn,
        61.. => Verdict::Fail,
    };
    let side = if skew < 0 { "behind" } else { "ahead" };
    Ok((verdict, format!("{} s {side}", skew.unsigned_abs())))
}

fn settings(facts: &Facts) -> Judged {
    let config = seen(&facts.config)?;
    let mut weak: Vec<String> =
        WEAK.iter().filter(|name| is_on(config, name)).map(|name| (*name).to_owned()).collect();
    if config.raw_storage_endpoint {
        weak.push("raw_storage_endpoint".to_owned());
    }
    for listener in &config.listeners {
        for (section, name) in OPEN {
            if listener.config.get(section).is_some_and(|section| is_true(section.get(name))) {
                weak.push(format!("listener: {section}.{name}"));
            }
        }
        let opened = CLOSED.iter().filter(|name| is_false(listener.config.get(**name)));
        weak.extend(opened.map(|name| format!("listener: {name} is off")));
    }
    Ok(named(Verdict::Fail, &weak, "none"))
}

fn is_on(config: &ServerConfig, name: &str) -> bool {
    is_true(config.others.get(name))
}

/// Listeners keep what was written, `true` or `"true"`.
pub(super) fn is_true(value: Option<&serde_json::Value>) -> bool {
    value.is_some_and(|value| value.as_bool() == Some(true) || matches!(value.as_str(), Some("true" | "1")))
}

fn is_false(value: Option<&serde_json::Value>) -> bool {
    value.is_some_and(|value| value.as_bool() == Some(false) || matches!(value.as_str(), Some("false" | "0")))
}

fn swap(facts: &Facts) -> Judged {
    Ok(match seen(&facts.swap)? {
        0 => (Verdict::Pass, "none".to_owned()),
        bytes => (Verdict::Warn, format!("{} MiB", bytes.div_ceil(1024 * 1024))),
    })
}

fn machine(facts: &Facts) -> Judged {
    let kind = &seen(&facts.seal)?.kind;
    if kind.contains("attestseal") {
        return Ok((Verdict::Pass, format!("seal {kind}, as the server says")));
    }
    unclear(format!("seal {kind} asks nothing of the machine, and a server cannot vouch for its own"))
}

/// Settings that are off by default, for a reason.
const WEAK: [&str; 6] = [
    "allow_audit_log_prefixing",
    "allow_unauthenticated_workflows",
    "introspection_endpoint",
    "unsafe_allow_api_audit_creation",
    "unsafe_cross_namespace_identity",
    "unsafe_relative_paths",
];
/// What a listener can give to anybody.
const OPEN: [(&str, &str); 3] = [
    ("profiling", "unauthenticated_pprof_access"),
    ("telemetry", "unauthenticated_metrics_access"),
    ("inflight_requests_logging", "unauthenticated_in_flight_requests_access"),
];
/// What a listener keeps from anybody, unless it is told otherwise.
const CLOSED: [&str; 2] = ["disable_unauthed_generate_root_endpoints", "disable_unauthed_rekey_endpoints"];
