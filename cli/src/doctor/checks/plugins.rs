//! Whether the attest plugin is the one that was audited: digests, versions, roots.

use std::collections::BTreeSet;

use super::{AUTH, Check, Judged, Property, Verdict, attest_mounts, is_attest, named, seen, unclear};
use crate::doctor::facts::{Facts, Mount, Plugin};
use crate::openbao::Unseen;

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "source.plugins.mounted",
        property: Property::Rule,
        expected: "a mount of the attest plugin",
        remedy: "plugin \"secret\" \"attest-secrets\" { command = \"openbao-plugin-attest\" … }, then bao secrets enable -path=attest-keys attest-secrets",
        judge: mounted,
    },
    Check {
        id: "source.plugins.digest",
        property: Property::Rule,
        expected: "one SHA-256: of the catalogue, of what runs, and of the file in --plugin-directory",
        remedy: "compare sha256sum openbao-plugin-attest with the release; then register it anew and run bao plugin reload",
        judge: digest,
    },
    Check {
        id: "source.plugins.version",
        property: Property::Rule,
        expected: "each attest mount pinned to a version",
        remedy: "bao secrets tune -plugin-version=v0.1.0 attest-keys; bao auth tune -plugin-version=v0.1.0 attest",
        judge: version,
    },
    Check {
        id: "source.plugins.declared",
        property: Property::Rule,
        expected: "the attest plugin pinned by the server's configuration, not by what is stored",
        remedy: "plugin \"auth\" \"attest-auth\" { command = … version = … sha256sum = … } with plugin_auto_register = true: the stored catalogue comes back with every restored snapshot",
        judge: declared,
    },
    Check {
        id: "source.plugins.roots",
        property: Property::DataInUse,
        expected: "no attest plugin with --insecure-trust-root",
        remedy: "take the argument out of the plugin stanza: with it, simulated hardware is believed",
        judge: roots,
    },
    Check {
        id: "source.plugins.others",
        property: Property::Rule,
        expected: "no other external plugin: each runs with the server's rights",
        remedy: "bao plugin deregister, for those that nobody audited",
        judge: others,
    },
];

fn mounted(facts: &Facts) -> Judged {
    let mounts: Vec<&str> = attest_mounts(facts)?.into_iter().map(|(path, _)| path.as_str()).collect();
    if mounts.is_empty() {
        return Ok((Verdict::Warn, "none".to_owned()));
    }
    Ok((Verdict::Pass, mounts.join(", ")))
}

fn digest(facts: &Facts) -> Judged {
    let mounts = mounts(facts)?;
    let plugins = seen(&facts.plugins)?;
    let mut problems = Vec::new();
    for (path, mount) in &mounts {
        let catalogued = entries(plugins, path, mount);
        if !catalogued.iter().any(|plugin| plugin.sha256 == mount.running_sha256) {
            problems
                .push(format!("{path} runs {}, which is not in the catalogue", short(&mount.running_sha256)));
        }
    }
    let files = match &facts.files {
        Ok(files) => files,
        Err(why) if problems.is_empty() => {
            let running = mounts.iter().map(|(_, mount)| short(&mount.running_sha256));
            let running = running.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(", ");
            return unclear(format!("catalogue and running agree on {running}; files {why}"));
        }
        Err(_not_compared) => return Ok((Verdict::Fail, problems.join("; "))),
    };
    for plugin in plugins.iter().filter(|plugin| is_attest(plugin)) {
        match files.get(&plugin.command) {
            Some(digest) if *digest == plugin.sha256 => {}
            Some(digest) => problems.push(format!(
                "{} is {}, catalogued as {}",
                plugin.command,
                short(digest),
                short(&plugin.sha256)
            )),
            None => problems.push(format!("no file {}", plugin.command)),
        }
    }
    problems.dedup();
    Ok(named(Verdict::Fail, &problems, "the same in all three"))
}

fn version(facts: &Facts) -> Judged {
    let free = mounts(facts)?.into_iter().filter(|(_, mount)| mount.plugin_version.is_empty());
    let free: Vec<String> = free.map(|(path, _)| path.clone()).collect();
    Ok(named(Verdict::Warn, &free, "pinned"))
}

fn declared(facts: &Facts) -> Judged {
    mounts(facts)?;
    let stored = seen(&facts.plugins)?.iter().filter(|plugin| is_attest(plugin) && !plugin.declarative);
    let stored: Vec<String> = stored.map(label).collect();
    Ok(named(Verdict::Warn, &stored, "in the configuration"))
}

fn roots(facts: &Facts) -> Judged {
    let simulated = seen(&facts.plugins)?
        .iter()
        .filter(|plugin| is_attest(plugin))
        .filter(|plugin| plugin.args.iter().flatten().any(|arg| arg.starts_with("--insecure-")));
    let simulated: Vec<String> = simulated.map(label).collect();
    Ok(named(Verdict::Fail, &simulated, "none"))
}

fn others(facts: &Facts) -> Judged {
    let others: Vec<String> =
        seen(&facts.plugins)?.iter().filter(|plugin| !is_attest(plugin)).map(label).collect();
    Ok(named(Verdict::Warn, &others, "none"))
}

/// The attest mounts, of which there is at least one.
fn mounts(facts: &Facts) -> Result<Vec<(&String, &Mount)>, Unseen> {
    let mounts = attest_mounts(facts)?;
    if mounts.is_empty() {
        return unclear("no mount of the attest plugin");
    }
    Ok(mounts)
}

/// What the catalogue has under the mount's type, and its version if it is pinned.
fn entries<'p>(plugins: &'p [Plugin], path: &str, mount: &Mount) -> Vec<&'p Plugin> {
    let kind = if path.starts_with(AUTH) { "auth" } else { "secret" };
    let named = plugins.iter().filter(|plugin| plugin.kind == kind && plugin.name == mount.kind);
    named.filter(|plugin| mount.plugin_version.is_empty() || plugin.version == mount.plugin_version).collect()
}

fn label(plugin: &Plugin) -> String {
    let version = if plugin.version.is_empty() { "without version" } else { &plugin.version };
    format!("{} {} {version}", plugin.kind, plugin.name)
}

/// Enough of a digest to tell it from another.
fn short(digest: &str) -> String {
    digest.chars().take(12).collect()
}
