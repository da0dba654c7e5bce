//! How broad OpenBao's access policies are: who rules, and who rules everything.
//!
//! Every policy counts, whoever holds it. A policy that was not understood leaves these checks unknown, unless
//! another one has failed them already. That a token may hold two policies which together allow more is not seen.

use std::collections::BTreeMap;

use super::{Check, Judged, Property, Verdict, engines, seen, unclear};
use crate::doctor::acl::{self, Rule};
use crate::doctor::facts::Facts;
use crate::openbao::Unseen;

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "source.policies.sudo",
        property: Property::Rule,
        expected: "sudo on single paths only",
        remedy: "name each path that needs sudo: path \"sys/audit\" { capabilities = [\"read\", \"sudo\"] }",
        judge: sudo,
    },
    Check {
        id: "source.policies.system",
        property: Property::Rule,
        expected: "no policy that may change all of sys/",
        remedy: "replace sys/* by the paths that are needed",
        judge: system,
    },
    Check {
        id: "source.policies.auth",
        property: Property::Rule,
        expected: "no policy that may change all of auth/",
        remedy: "replace auth/* by auth/METHOD/role/*",
        judge: auth,
    },
    Check {
        id: "source.policies.escalation",
        property: Property::Rule,
        expected: "no policy that may write policies, plugins, raw storage or identities at large, or make tokens of any policy",
        remedy: "keep such a policy for the day it is needed, behind a control group; its holder can become anybody",
        judge: escalation,
    },
    Check {
        id: "source.policies.keys",
        property: Property::Rule,
        expected: "no policy that may write every secret of an attest mount",
        remedy: "path \"attest-keys/keys/TEAM-*\" instead of attest-keys/keys/*",
        judge: keys,
    },
    Check {
        id: "source.policies.rulers",
        property: Property::Rule,
        expected: "nobody who may write both an attest mount's policies and its configuration",
        remedy: "give attest-keys/policy/* and attest-keys/config/* to different people",
        judge: rulers,
    },
    Check {
        id: "source.policies.default",
        property: Property::Rule,
        expected: "the policy default as OpenBao brings it: every token has it",
        remedy: "bao policy read default; move what was added into a policy of its own",
        judge: default,
    },
];

fn sudo(facts: &Facts) -> Judged {
    broad(facts, Verdict::Fail, "none", |rules| {
        let wild = rules.iter().filter(|rule| rule.sudo() && rule.path.is_wild());
        wild.map(|rule| rule.path.to_string()).collect()
    })
}

fn system(facts: &Facts) -> Judged {
    broad(facts, Verdict::Fail, "none", |rules| reaching(rules, &["sys/NOBODY/NAMED/THIS"]))
}

fn auth(facts: &Facts) -> Judged {
    broad(facts, Verdict::Fail, "none", |rules| reaching(rules, &["auth/NOBODY/NAMED/THIS"]))
}

fn escalation(facts: &Facts) -> Judged {
    broad(facts, Verdict::Warn, "none", |rules| {
        let mut paths = reaching(rules, &POWERS);
        // With sudo, a token of any policy but root can be made there.
        let makers = rules
            .iter()
            .filter(|rule| rule.sudo() && rule.writes() && rule.path.reaches("auth/token/create"));
        paths.extend(makers.map(|rule| rule.path.to_string()));
        paths
    })
}

fn keys(facts: &Facts) -> Judged {
    let mounts = mounts(facts)?;
    broad(facts, Verdict::Fail, "none", |rules| {
        let paths: Vec<String> =
            mounts.iter().map(|mount| format!("{mount}/keys/NOBODY-NAMED-THIS")).collect();
        reaching(rules, &paths.iter().map(String::as_str).collect::<Vec<_>>())
    })
}

fn rulers(facts: &Facts) -> Judged {
    let mounts = mounts(facts)?;
    let writes =
        |rules: &[Rule], path: &str| rules.iter().any(|rule| rule.writes() && rule.path.reaches(path));
    let mut authors = Vec::new();
    let judged = broad(facts, Verdict::Warn, "", |rules| {
        let both = mounts.iter().filter(|mount| {
            let policies =
                rules.iter().any(|rule| rule.writes() && names_within(rule, &format!("{mount}/policy")));
            policies && CONFIGURATION.iter().any(|name| writes(rules, &format!("{mount}/config/{name}")))
        });
        both.map(|mount| format!("{mount}/policy and {mount}/config")).collect()
    })?;
    for (name, rules) in understood(facts)?.0 {
        for mount in &mounts {
            if rules.iter().any(|rule| rule.writes() && names_within(rule, &format!("{mount}/policy"))) {
                authors.push(format!("{name} writes {mount}/policy"));
            }
        }
    }
    match judged {
        (Verdict::Pass, _) if authors.is_empty() => {
            Ok((Verdict::Pass, "nobody writes policies but root".to_owned()))
        }
        (Verdict::Pass, _) => Ok((Verdict::Pass, authors.join("; "))),
        other => Ok(other),
    }
}

/// Does the rule mean something in this folder?
fn names_within(rule: &Rule, folder: &str) -> bool {
    let path = rule.path.text();
    let inside = path.trim_end_matches('*');
    inside.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
        || rule.path.reaches(&format!("{folder}/NOBODY-NAMED-THIS"))
}

fn default(facts: &Facts) -> Judged {
    let policies = seen(&facts.policies)?;
    let Some(text) = policies.get("default") else {
        return unclear("there is no policy default");
    };
    let rules = match acl::parse(text) {
        Ok(rules) => rules,
        Err(error) => return unclear(format!("default: {error}")),
    };
    let added: Vec<String> = rules
        .iter()
        .filter(|rule| !DEFAULT.contains(&rule.path.text()))
        .map(|rule| rule.path.to_string())
        .collect();
    Ok(super::named(Verdict::Warn, &added, "nothing added"))
}

/// The mounts of our engine, of which there is at least one.
fn mounts(facts: &Facts) -> Result<Vec<&String>, Unseen> {
    let mounts = engines(facts)?;
    if mounts.is_empty() {
        return unclear("no secrets engine of the attest plugin");
    }
    Ok(mounts)
}

/// Paths that may be changed and that reach one of `targets` by a wildcard or by their name.
fn reaching(rules: &[Rule], targets: &[&str]) -> Vec<String> {
    let broad = rules.iter().filter(|rule| rule.writes());
    let broad = broad.filter(|rule| targets.iter().any(|target| rule.path.reaches(target)));
    broad.map(|rule| rule.path.to_string()).collect()
}

/// Names the policies in which `what` finds paths.
fn broad(facts: &Facts, verdict: Verdict, nobody: &str, what: impl Fn(&[Rule]) -> Vec<String>) -> Judged {
    let (policies, not_understood) = understood(facts)?;
    let mut found = Vec::new();
    for (name, rules) in &policies {
        let mut paths = what(rules);
        paths.sort();
        paths.dedup();
        if !paths.is_empty() {
            found.push(format!("{name}: {}", paths.join(", ")));
        }
    }
    match (found.is_empty(), not_understood.is_empty()) {
        (true, true) => Ok((Verdict::Pass, nobody.to_owned())),
        (true, false) => unclear(format!("not understood: {}", not_understood.join("; "))),
        (false, _) => Ok((verdict, found.join("; "))),
    }
}

type Understood<'f> = (BTreeMap<&'f String, Vec<Rule>>, Vec<String>);

/// Each policy's rules, and those that were not understood.
fn understood(facts: &Facts) -> Result<Understood<'_>, Unseen> {
    let (mut rules, mut problems) = (BTreeMap::new(), Vec::new());
    for (name, text) in seen(&facts.policies)? {
        match acl::parse(text) {
            Ok(parsed) => drop(rules.insert(name, parsed)),
            Err(error) => problems.push(format!("{name}: {error}")),
        }
    }
    Ok((rules, problems))
}

/// Who may write one of these, whatever its name, can give itself the rest.
const POWERS: [&str; 9] = [
    "sys/policies/acl/NOBODY-NAMED-THIS",
    "sys/policy/NOBODY-NAMED-THIS",
    "sys/plugins/catalog/secret/NOBODY-NAMED-THIS",
    "sys/plugins/catalog/auth/NOBODY-NAMED-THIS",
    "sys/raw/NOBODY-NAMED-THIS",
    "sys/storage/raft/snapshot",
    "sys/storage/raft/snapshot-force",
    "identity/entity/name/NOBODY-NAMED-THIS",
    "identity/group/name/NOBODY-NAMED-THIS",
];
/// What rules over an attest mount's policies.
const CONFIGURATION: [&str; 3] = ["approvers", "auth", "roots"];
/// The paths of the policy `default` in OpenBao 2.6 and 2.7.
const DEFAULT: [&str; 17] = [
    "auth/token/lookup-self",
    "auth/token/renew-self",
    "auth/token/revoke-self",
    "cubbyhole/*",
    "identity/entity/id/{{identity.entity.id}}",
    "identity/entity/name/{{identity.entity.name}}",
    "identity/oidc/provider/+/authorize",
    "sys/capabilities-self",
    "sys/internal/ui/resultant-acl",
    "sys/leases/lookup",
    "sys/leases/renew",
    "sys/renew",
    "sys/tools/hash",
    "sys/tools/hash/*",
    "sys/wrapping/lookup",
    "sys/wrapping/unwrap",
    "sys/wrapping/wrap",
];
