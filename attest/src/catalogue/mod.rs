//! Every check by its name: what it asks, at which stage, and what helps when it fails.
//!
//! The names are stable: plugins, reports, auditors and waivers use them. A test holds these tables against
//! what the code asks. Some names have a part that varies, written in braces: `tpm.pcr.{bank}.{index}`.
//!
//! Nothing here decides anything but one thing: a policy cannot waive what is not in the tables.

mod azure;
mod boot;
mod common;
mod nitro;
mod snp;
mod tdx;
mod tpm;

/// One check, or a family of checks that differ in a part of their name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Entry {
    /// The name, with varying parts in braces.
    pub id: &'static str,
    /// When it is asked, and whether a policy can waive it.
    pub stage: Stage,
    /// What has to be so.
    pub asks: &'static str,
    /// What to do when it is not.
    pub remedy: &'static str,
}

/// The stage at which a check is asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stage {
    /// Whether the evidence is genuine: whatever the policy says.
    Genuineness,
    /// Whether it answers this challenge, under a policy that holds: whatever the policy says.
    Freshness,
    /// Whether the policy allows what the evidence says. A policy can waive it, for a while.
    Policy,
    /// Asked by the policy, and never waived.
    Invariant,
    /// Asked by a program of its own accord, outside of an appraisal.
    Outside,
}

/// All of them, in the order of the tables.
pub fn entries() -> impl Iterator<Item = Entry> {
    TABLES.iter().flat_map(|table| {
        table.rows.iter().map(|row| Entry {
            id: row.0,
            stage: row.1,
            asks: row.2,
            remedy: table.remedy(row.0),
        })
    })
}

/// The entry of the check with this name.
#[must_use]
pub fn entry(id: &str) -> Option<Entry> {
    entries().find(|entry| fits(entry.id, id))
}

/// Whether a policy can waive the check of this name.
pub(crate) fn waivable(id: &str) -> bool {
    entry(id).is_some_and(|entry| entry.stage == Stage::Policy)
}

/// Whether a check that fails says something of the machine's own state: not of certificates, lists and documents, which others
/// publish, and not of what it asked for.
pub(crate) fn about_state(id: &str) -> bool {
    waivable(id) && !published(id) && !presented(id)
}

/// Whether a check is on what came along with the evidence: anybody on a good machine could leave it out.
pub(crate) fn presented(id: &str) -> bool {
    id.split('.').any(|part| ["log", "nonce", "user_data", "public_key", "extra_data", "age"].contains(&part))
}

/// Whether a check believes what a log says of the digests in it: whoever brings the log words it, and may be a workload on a good
/// machine. The cluster's register speaks for itself.
pub(crate) fn told(id: &str) -> bool {
    let boot = ["tpm.boot.", "tdx.boot."].iter().any(|section| id.starts_with(section));
    boot && !id.ends_with(".cluster")
}

/// Whether the answer may change by what a vendor publishes, and nothing else: then nobody has to have done anything.
fn published(id: &str) -> bool {
    ["tdx.tcb.status", "tdx.tcb.advisories"].contains(&id)
        || id
            .split('.')
            .any(|part| ["crl", "collateral", "tcb_info", "evaluation_data_number"].contains(&part))
}

/// The checks of one platform, and what helps: the longest beginning of a name that is listed.
struct Table {
    rows: &'static [Row],
    remedies: &'static [(&'static str, &'static str)],
}

type Row = (&'static str, Stage, &'static str);

impl Table {
    fn remedy(&self, id: &str) -> &'static str {
        let fitting = self.remedies.iter().filter(|(start, _)| id.starts_with(start));
        fitting.max_by_key(|(start, _)| start.len()).map_or("", |(_, remedy)| remedy)
    }
}

/// Compares part by part; `{bank}` is a hash, `{index}` a number below 32, any other part in braces is a word.
fn fits(pattern: &str, id: &str) -> bool {
    let (mut wanted, mut found) = (pattern.split('.'), id.split('.'));
    loop {
        match (wanted.next(), found.next()) {
            (None, None) => return true,
            (Some(wanted), Some(found)) if part_fits(wanted, found) => {}
            _ => return false,
        }
    }
}

fn part_fits(wanted: &str, found: &str) -> bool {
    match wanted {
        "{bank}" => ["sha1", "sha256", "sha384", "sha512"].contains(&found),
        "{index}" => found.parse().is_ok_and(|index: u8| index < 32 && index.to_string() == found),
        open if open.starts_with('{') => {
            !found.is_empty()
                && found.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        }
        _ => wanted == found,
    }
}

const TABLES: [Table; 7] =
    [common::TABLE, snp::TABLE, tpm::TABLE, tdx::TABLE, nitro::TABLE, azure::TABLE, boot::TABLE];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_has_a_remedy_and_says_what_it_asks() {
        for entry in entries() {
            assert!(!entry.remedy.is_empty(), "{} has no remedy", entry.id);
            assert!(!entry.asks.is_empty(), "{} says not what it asks", entry.id);
        }
    }

    /// Intel publishes a new status: a fleet that did nothing must not have failed.
    #[test]
    fn a_status_that_a_vendor_publishes_is_nothing_that_a_machine_did() {
        for id in ["tdx.tcb.status", "tdx.tcb.advisories", "tdx.tcb.evaluation_data_number"] {
            assert!(waivable(id) && !about_state(id), "{id}");
        }
        assert!(about_state("snp.tcb.committed") && about_state("tdx.attributes.debug"));
    }

    #[test]
    fn no_name_stands_for_two_checks() {
        for entry in entries() {
            let name =
                entry.id.replace("{bank}", "sha256").replace("{index}", "7").replace("{name}", "mlock");
            assert_eq!(entries().filter(|other| fits(other.id, &name)).count(), 1, "{name}");
        }
    }

    #[test]
    fn a_part_that_varies_is_of_its_kind() {
        assert!(entry("tpm.pcr.sha256.7").is_some());
        for id in [
            "tpm.pcr.sha256.32",
            "tpm.pcr.sha256.07",
            "tpm.pcr.md5.7",
            "tpm.pcr.sha256",
            "",
            "snp",
            "snp.vmpl.",
        ] {
            assert!(entry(id).is_none(), "{id}");
        }
    }
}
