//! Who can open what is stored: the seal, and the storage under it.

use super::{Check, Judged, Property, Verdict, seen, unclear};
use crate::doctor::facts::Facts;

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "source.seal.kind",
        property: Property::DataAtRest,
        expected: "a seal that no provider can open: shamir, attestseal, or an HSM of your own",
        remedy: "replace the seal stanza and run bao operator unseal -migrate",
        judge: kind,
    },
    Check {
        id: "source.seal.shares",
        property: Property::DataAtRest,
        expected: "at least 2 of at least 3 shares",
        remedy: "bao operator rotate-keys -init -key-shares=5 -key-threshold=3 (-target=recovery for recovery keys)",
        judge: shares,
    },
    Check {
        id: "source.storage.kind",
        property: Property::DataAtRest,
        expected: "raft, which is the server's own",
        remedy: "bao operator migrate -config=migrate.hcl to storage \"raft\"; never run a dev server",
        judge: storage,
    },
    Check {
        id: "source.storage.voters",
        property: Property::DataAtRest,
        expected: "an odd number of voters, at least 3",
        remedy: "bao operator raft join https://LEADER:8200 on the new node, or retry_join in its configuration",
        judge: voters,
    },
    Check {
        id: "source.storage.autopilot",
        property: Property::DataAtRest,
        expected: "every node healthy and of one version, and one may fail",
        remedy: "bao operator raft autopilot state names the node; bao operator raft remove-peer ID if it is gone for good",
        judge: autopilot,
    },
];

fn kind(facts: &Facts) -> Judged {
    let kind = &seen(&facts.seal)?.kind;
    let (verdict, meaning) = match kind.as_str() {
        "shamir" => (Verdict::Pass, "opened by its custodians"),
        "pkcs11" => (Verdict::Pass, "opened by an HSM: yours, if nobody else administers it"),
        "static" => (Verdict::Fail, "opened by a key in a file: who has the machine's disk has everything"),
        "awskms" | "azurekeyvault" | "gcpckms" | "alicloudkms" | "ocikms" => {
            (Verdict::Fail, "opened by a cloud's key service: its operator can open what is stored")
        }
        "transit" => (Verdict::Warn, "opened by another OpenBao: as sovereign as that one"),
        "kmip" => (Verdict::Warn, "opened by a key server: as sovereign as that one"),
        ours if ours.contains("attestseal") => (Verdict::Pass, "opened when the machine attests"),
        _ => (Verdict::Warn, "a seal that this check does not know"),
    };
    Ok((verdict, format!("{kind}: {meaning}")))
}

fn shares(facts: &Facts) -> Judged {
    let seal = seen(&facts.seal)?;
    let what = if seal.recovery_seal { "recovery shares" } else { "shares" };
    let found = format!("{} of {} {what}", seal.t, seal.n);
    Ok(match (seal.t, seal.n) {
        (0, 0) if seal.recovery_seal => {
            (Verdict::Pass, "no recovery shares: nobody can make a root token".to_owned())
        }
        (2.., 3..) => (Verdict::Pass, found),
        _ => (Verdict::Fail, found),
    })
}

fn storage(facts: &Facts) -> Judged {
    let Some(kind) = &seen(&facts.seal)?.storage_type else {
        return unclear("the server does not say how it stores");
    };
    let verdict = match kind.as_str() {
        "raft" => Verdict::Pass,
        "inmem" | "inmem_ha" | "inmem_transactional" | "inmem_transactional_ha" => Verdict::Fail,
        _ => Verdict::Warn,
    };
    let meaning = match verdict {
        Verdict::Fail => " (a dev server: gone at its end)",
        Verdict::Warn => ": operated by somebody who can delete it and roll it back",
        Verdict::Pass | Verdict::Unknown => "",
    };
    Ok((verdict, format!("{kind}{meaning}")))
}

fn voters(facts: &Facts) -> Judged {
    let servers = seen(&facts.raft)?;
    let voters = servers.iter().filter(|server| server.voter).count();
    let good = voters >= 3 && voters % 2 == 1;
    Ok((
        if good { Verdict::Pass } else { Verdict::Fail },
        format!("{voters} of {} nodes vote", servers.len()),
    ))
}

fn autopilot(facts: &Facts) -> Judged {
    let state = seen(&facts.autopilot)?;
    let ill: Vec<&str> =
        state.servers.iter().filter(|(_, server)| !server.healthy).map(|(id, _)| id.as_str()).collect();
    if !state.healthy || !ill.is_empty() {
        return Ok((Verdict::Fail, format!("unhealthy: {}", ill.join(", "))));
    }
    let mut versions: Vec<&str> = state.servers.values().map(|server| server.version.as_str()).collect();
    versions.sort_unstable();
    versions.dedup();
    let found = format!("healthy, {} may fail, version {}", state.failure_tolerance, versions.join(" and "));
    let good = state.failure_tolerance >= 1 && versions.len() == 1;
    Ok((if good { Verdict::Pass } else { Verdict::Warn }, found))
}
