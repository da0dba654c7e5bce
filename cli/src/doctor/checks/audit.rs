//! What is seen afterwards: audit devices, root tokens.

use super::{Check, Judged, Property, Verdict, attest_mounts, named, seen, unclear};
use crate::doctor::facts::{AuditDevice, Facts};

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "source.audit.enabled",
        property: Property::Rule,
        expected: "an audit device that keeps what it is given",
        remedy: "audit \"file\" \"disk\" { options { file_path = \"/openbao/audit/audit.log\" } } in every node's configuration, then SIGHUP",
        judge: enabled,
    },
    Check {
        id: "source.audit.second",
        property: Property::Rule,
        expected: "two audit devices: OpenBao stops when none can be written",
        remedy: "audit \"file\" \"stdout\" { options { file_path = \"stdout\" } } beside the first",
        judge: second,
    },
    Check {
        id: "source.audit.raw",
        property: Property::DataAtRest,
        expected: "no audit device with log_raw, which writes secrets in clear",
        remedy: "take log_raw out of the named devices; treat their logs as secrets, and rotate what they show",
        judge: raw,
    },
    Check {
        id: "source.audit.accessors",
        property: Property::DataAtRest,
        expected: "accessors of tokens hashed",
        remedy: "take hmac_accessor out of the named devices",
        judge: accessors,
    },
    Check {
        id: "source.audit.lists",
        property: Property::Rule,
        expected: "answers to LIST recorded whole",
        remedy: "take elide_list_responses out of the named devices, unless their logs grow past what can be kept",
        judge: lists,
    },
    Check {
        id: "source.audit.decisions",
        property: Property::Rule,
        expected: "the decision's id in clear for each attest mount, and nothing of a request",
        remedy: "bao secrets tune -audit-non-hmac-response-keys=decision attest-keys; bao auth tune -audit-non-hmac-response-keys=decision attest",
        judge: decisions,
    },
    Check {
        id: "source.root.revoked",
        property: Property::Rule,
        expected: "no token with the policy root",
        remedy: "bao token revoke -accessor ACCESSOR, which bao list auth/token/accessors shows whole; when one is needed, allow bao operator generate-root for that hour: disable_unauthed_generate_root_endpoints = false",
        judge: root,
    },
];

fn enabled(facts: &Facts) -> Judged {
    let kept = kept(facts)?;
    if kept.is_empty() {
        let all = seen(&facts.audit)?.len();
        return Ok((
            Verdict::Fail,
            if all == 0 { "none".to_owned() } else { format!("{all} that keep nothing") },
        ));
    }
    Ok((Verdict::Pass, kept.join(", ")))
}

fn second(facts: &Facts) -> Judged {
    let kept = kept(facts)?;
    Ok((if kept.len() >= 2 { Verdict::Pass } else { Verdict::Warn }, format!("{}", kept.len())))
}

fn kept(facts: &Facts) -> Result<Vec<String>, crate::openbao::Unseen> {
    let devices = seen(&facts.audit)?.iter().filter(|(_, device)| !discards(device));
    Ok(devices.map(|(path, device)| format!("{} ({})", path.trim_end_matches('/'), device.kind)).collect())
}

/// OpenBao's own word for nowhere, and the machine's.
fn discards(device: &AuditDevice) -> bool {
    let path = device.option("file_path").or_else(|| device.option("path"));
    matches!(path, Some("discard" | "/dev/null"))
}

fn raw(facts: &Facts) -> Judged {
    Ok(named(Verdict::Fail, &with(facts, |device| is_on(device.option("log_raw")))?, "none"))
}

fn accessors(facts: &Facts) -> Judged {
    let clear = with(facts, |device| device.option("hmac_accessor").is_some_and(|word| !is_on(Some(word))))?;
    Ok(named(Verdict::Warn, &clear, "hashed"))
}

fn lists(facts: &Facts) -> Judged {
    let elided = with(facts, |device| is_on(device.option("elide_list_responses")))?;
    Ok(named(Verdict::Warn, &elided, "recorded"))
}

/// The devices of which `what` holds. Without a device nothing can be said of devices.
fn with(facts: &Facts, what: impl Fn(&AuditDevice) -> bool) -> Result<Vec<String>, crate::openbao::Unseen> {
    let found = seen(&facts.audit)?.iter().filter(|(_, device)| what(device));
    Ok(found.map(|(path, _)| path.trim_end_matches('/').to_owned()).collect())
}

/// As Go's `strconv.ParseBool` reads it. What it would not read, a server would not have taken.
fn is_on(word: Option<&str>) -> bool {
    matches!(word, Some("1" | "t" | "T" | "true" | "TRUE" | "True"))
}

fn decisions(facts: &Facts) -> Judged {
    let mounts = attest_mounts(facts)?;
    if mounts.is_empty() {
        return unclear("no mount of the attest plugin");
    }
    let mut clear = Vec::new();
    let mut without = Vec::new();
    for (path, mount) in mounts {
        if !mount.config.audit_non_hmac_request_keys.is_empty() {
            clear.push(format!(
                "{path}: {} of requests in clear",
                mount.config.audit_non_hmac_request_keys.join(", ")
            ));
        }
        if !mount.config.audit_non_hmac_response_keys.iter().any(|key| key == "decision") {
            without.push(format!("{path}: decision is hashed"));
        }
    }
    let verdict = if clear.is_empty() { Verdict::Warn } else { Verdict::Fail };
    clear.append(&mut without);
    Ok(named(verdict, &clear, "decision in clear"))
}

fn root(facts: &Facts) -> Judged {
    let tokens = seen(&facts.tokens)?;
    if !tokens.root.is_empty() {
        return Ok((Verdict::Fail, format!("accessors {}", tokens.root.join(", "))));
    }
    if let Some(namespace) = &facts.namespace {
        return unclear(format!("root tokens live in the root namespace, and {namespace} was asked"));
    }
    if tokens.looked_at < tokens.all {
        return unclear(format!("none among {} of {} tokens", tokens.looked_at, tokens.all));
    }
    Ok((Verdict::Pass, format!("none among {} tokens", tokens.all)))
}
