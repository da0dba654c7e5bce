//! What a policy asks of a boot: the sections `[tpm.boot]` and `[tdx.boot]`.
//!
//! Asked of what a replayed event log proves ([`crate::eventlog::Boot`]), never of the log itself. Every field
//! that is not set refuses, by name; `"any"` is a setting. A rule over a list asks that *each* entry is a known
//! one, because whoever has the machine later can add entries, but take none away; and that the log tells all
//! that was measured into the registers that the list comes from.

mod command_line;
mod facts;
mod section;

use std::collections::BTreeSet;

use serde::Deserialize;

use self::command_line::CommandLineRule;
use self::facts::FactRules;
use self::section::SectionRules;
use super::operators::{Among, AnyWord, Bit, list};
use super::snp::{UNSET, ask, show};
use super::{Reference, resolve};
use crate::check::Checks;
use crate::crypto::{Crypto, Hash};
use crate::eventlog::{Boot, Layout, Measurement, SecureBoot};
use crate::ima::Files;

/// The section `[tpm.boot]` or `[tdx.boot]`. A list names reference values.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct BootPolicy {
    secure_boot: Option<Bit>,
    exit_boot_services: Option<Bit>,
    firmware_version: Option<Among<String>>,
    pk: Option<Among<String>>,
    kek: Option<Among<String>>,
    db: Option<Among<String>>,
    dbx: Option<Among<String>>,
    authorities: Option<Among<String>>,
    drivers: Option<Among<String>>,
    images: Option<Among<String>>,
    owner_keys: Option<Among<String>>,
    kernel_cmdline: Option<CommandLineRule>,
    uki: Option<SectionRules>,
    files: Option<Among<String>>,
    phases: Option<Among<String>>,
    ima: Option<Among<String>>,
    cluster: Option<Among<String>>,
    facts: Option<FactRules>,
    #[serde(skip)]
    cluster_values: Vec<Measurement>,
}

/// What is asked, and by which name.
#[derive(Clone, Debug)]
pub(crate) struct Booted<'c> {
    /// Whose section it is.
    pub(crate) section: Section,
    /// What the event log proves.
    pub(crate) boot: Option<&'c Boot>,
    /// What the IMA list proves.
    pub(crate) files: Option<&'c Files>,
    /// The values of the register into which a node measures the cluster it joins: PCR 15, RTMR 3.
    pub(crate) cluster: Vec<&'c [u8]>,
}

/// A section of a policy that has rules about boots.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Section {
    /// `[tpm.boot]`.
    Tpm,
    /// `[tdx.boot]`.
    Tdx,
}

impl Section {
    /// The name of a check.
    fn id(self, name: &str) -> String {
        match self {
            Self::Tpm => format!("tpm.boot.{name}"),
            Self::Tdx => format!("tdx.boot.{name}"),
        }
    }
}

/// The checks of one boot, and what they are asked with.
struct Asking<'a> {
    booted: &'a Booted<'a>,
    references: &'a [Reference],
    checks: &'a mut Checks,
}

impl BootPolicy {
    /// Hashes the texts that stand in the policy: appraisal has no cryptography.
    pub(crate) fn hash(&mut self, crypto: &dyn Crypto) {
        if let Some(Among::Listed(set)) = &self.cluster {
            let values = set.any_of.iter().flat_map(|text| BANKS.map(|bank| joined(crypto, bank, text)));
            self.cluster_values = values.collect();
        }
        if let Some(rule) = &mut self.kernel_cmdline {
            rule.hash(crypto);
        }
    }

    /// The reference values that the section names.
    pub(crate) fn reference_ids(&self) -> impl Iterator<Item = &str> {
        let lists = [&self.pk, &self.kek, &self.db, &self.dbx, &self.authorities, &self.drivers];
        let more = [&self.images, &self.owner_keys, &self.files, &self.ima];
        let listed = lists.into_iter().chain(more).flatten().flat_map(ids);
        listed.map(String::as_str).chain(self.uki.iter().flat_map(SectionRules::reference_ids))
    }

    /// Asks everything, in a fixed order.
    pub(crate) fn appraise(&self, booted: &Booted<'_>, references: &[Reference], checks: &mut Checks) {
        let found = booted.boot.map_or(NO_LOG.to_owned(), |boot| format!("{} events", boot.events));
        let id = booted.section.id("log");
        checks.ask(&id, booted.boot.is_some(), "an event log", found);
        let mut asking = Asking { booted, references, checks };
        self.firmware(&mut asking);
        self.programs(&mut asking);
        self.loaders(&mut asking);
        self.system(&mut asking);
    }

    fn firmware(&self, asking: &mut Asking<'_>) {
        let state = asking.booted.boot.map(|boot| boot.secure_boot);
        let allows = |bit: &Bit| match (bit, state) {
            (Bit::Any, _) => true,
            (Bit::Set, state) => state == Some(SecureBoot::On),
            (Bit::Clear, state) => state == Some(SecureBoot::Off),
        };
        let found = state.map_or(NO_LOG, words);
        asking.bit("secure_boot", self.secure_boot, &[7], allows, found);
        let handed = asking.booted.boot.map(|boot| boot.handed_over);
        let allows = |bit: &Bit| handed.map_or(matches!(bit, Bit::Any), |handed| bit.allows(handed));
        let found = handed.map_or(NO_LOG, |handed| if handed { "set" } else { "clear" });
        asking.bit("exit_boot_services", self.exit_boot_services, &[5], allows, found);
        let version = asking.booted.boot.and_then(|boot| boot.firmware_version.as_ref());
        asking.text("firmware_version", self.firmware_version.as_ref(), 0, version);
    }

    fn programs(&self, asking: &mut Asking<'_>) {
        let boot = asking.booted.boot;
        for (name, rule) in [("PK", &self.pk), ("KEK", &self.kek), ("db", &self.db), ("dbx", &self.dbx)] {
            let variables = boot.iter().flat_map(|boot| &boot.variables);
            let found = variables.filter(|variable| variable.name == name).map(|variable| variable.digest);
            asking.each(&name.to_lowercase(), rule.as_ref(), &[7], &found.collect::<Vec<_>>(), Least::One);
        }
        let of = |list: fn(&Boot) -> &Vec<Measurement>| boot.map(list).cloned().unwrap_or_default();
        let authorities = of(|boot| &boot.authorities);
        asking.each("authorities", self.authorities.as_ref(), &[7], &authorities, Least::None);
        asking.each("drivers", self.drivers.as_ref(), &[2], &of(|boot| &boot.drivers), Least::None);
        asking.each("images", self.images.as_ref(), &[4], &of(|boot| &boot.images), Least::One);
        let owner_keys = of(|boot| &boot.owner_keys);
        asking.each("owner_keys", self.owner_keys.as_ref(), &[14], &owner_keys, Least::None);
    }

    fn loaders(&self, asking: &mut Asking<'_>) {
        command_line::appraise(self.kernel_cmdline.as_ref(), self.files.as_ref(), asking);
        section::appraise(self.uki.as_ref(), asking);
        let opaque = asking.booted.boot.iter().flat_map(|boot| &boot.opaque);
        let files: Vec<Measurement> = opaque.map(|opaque| opaque.digest).collect();
        asking.each("files", self.files.as_ref(), &LOADERS, &files, Least::None);
        let phases = asking.booted.boot.map(|boot| boot.phases().to_owned());
        asking.text("phases", self.phases.as_ref(), 11, phases.as_ref());
    }

    fn system(&self, asking: &mut Asking<'_>) {
        let id = asking.booted.section.id("ima");
        let known = |rule: &&Among<String>| match (rule, asking.booted.files) {
            (Among::Any(AnyWord::Any), _) => Ok("any".to_owned()),
            (Among::Listed(_), None) => Err("no IMA list".to_owned()),
            (Among::Listed(set), Some(files)) => listed_files(files, &set.any_of, asking.references),
        };
        let (right, found) = match self.ima.as_ref().as_ref().map(known) {
            Some(Ok(found)) => (true, found),
            Some(Err(found)) => (false, found),
            None => (false, asking.booted.files.map_or("no IMA list".to_owned(), counted)),
        };
        let expected = self.ima.as_ref().map_or(UNSET.to_owned(), |rule| match rule {
            Among::Any(AnyWord::Any) => "any".to_owned(),
            Among::Listed(set) => {
                format!("an IMA list without violations, each file among {}", list(&set.any_of))
            }
        });
        asking.checks.ask(&id, right, expected, found);
        self.cluster(asking);
        facts::appraise(self, asking);
    }

    fn cluster(&self, asking: &mut Asking<'_>) {
        let id = asking.booted.section.id("cluster");
        let values = &asking.booted.cluster;
        let joined = |value: &&[u8]| self.cluster_values.iter().any(|known| known.as_bytes() == *value);
        let allows = |rule: &&Among<String>| match rule {
            Among::Any(AnyWord::Any) => true,
            Among::Listed(_) => !values.is_empty() && values.iter().all(joined),
        };
        let texts: Vec<String> = values.iter().map(hex::encode).collect();
        let found = if texts.is_empty() { "not quoted".to_owned() } else { texts.join(", ") };
        let words = |rule: &&Among<String>| match rule {
            Among::Any(AnyWord::Any) => "any".to_owned(),
            Among::Listed(set) => {
                let values: Vec<String> = self.cluster_values.iter().map(short).collect();
                format!("{set}, measured: {}", values.join(", "))
            }
        };
        ask(asking.checks, &id, self.cluster.as_ref(), allows, words, found);
    }
}

/// How many entries a list must have.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Least {
    None,
    One,
}

impl Asking<'_> {
    fn bit(
        &mut self,
        name: &str,
        rule: Option<Bit>,
        pcrs: &[u32],
        allows: impl Fn(&Bit) -> bool,
        found: &str,
    ) {
        let id = self.booted.section.id(name);
        let untold = self.untold(pcrs);
        let allows = |bit: &Bit| *bit == Bit::Any || (untold.is_none() && allows(bit));
        ask(self.checks, &id, rule, allows, show, with(found, untold.as_ref()));
    }

    fn text(&mut self, name: &str, rule: Option<&Among<String>>, pcr: u32, found: Option<&String>) {
        let id = self.booted.section.id(name);
        let untold = self.untold(&[pcr]);
        let allows = |rule: &&Among<String>| match rule {
            Among::Any(AnyWord::Any) => true,
            Among::Listed(set) => untold.is_none() && found.is_some_and(|found| set.allows(found)),
        };
        let text = with(found.map_or("not measured", String::as_str), untold.as_ref());
        ask(self.checks, &id, rule, allows, show, text);
    }

    /// Each of these is a reference value of the rule.
    fn each(
        &mut self,
        name: &str,
        rule: Option<&Among<String>>,
        pcrs: &[u32],
        found: &[Measurement],
        least: Least,
    ) {
        let id = self.booted.section.id(name);
        let untold = self.untold(pcrs);
        let enough = least == Least::None || !found.is_empty();
        let unknown = rule.map(|rule| self.unknown(rule, found)).unwrap_or_default();
        let allows = |rule: &&Among<String>| match rule {
            Among::Any(AnyWord::Any) => true,
            Among::Listed(_) => untold.is_none() && enough && unknown.is_empty(),
        };
        let words = |rule: &&Among<String>| match rule {
            Among::Any(AnyWord::Any) => "any".to_owned(),
            Among::Listed(set) => format!("each among {}", list(&set.any_of)),
        };
        let text = match (found.len(), unknown.len()) {
            (0, _) => "none".to_owned(),
            (all, 0) => format!("{all}"),
            (all, wrong) => format!("{wrong} of {all} unknown: {}", some(&unknown)),
        };
        ask(self.checks, &id, rule, allows, words, with(&text, untold.as_ref()));
    }

    fn unknown(&self, rule: &Among<String>, found: &[Measurement]) -> Vec<Measurement> {
        let Among::Listed(set) = rule else { return Vec::new() };
        let known = values(&set.any_of, self.references);
        found.iter().filter(|digest| !known.contains(&digest.to_string())).copied().collect()
    }

    /// A register that was not quoted, or into which more was measured than the log tells. A TD has the events
    /// of several PCRs in one register.
    fn untold(&self, pcrs: &[u32]) -> Option<String> {
        let Some(boot) = self.booted.boot else { return Some(NO_LOG.to_owned()) };
        let (what, register) = match boot.layout {
            Layout::Tpm => ("PCR", pcrs.iter().copied().find(|pcr| !boot.tells(*pcr))),
            Layout::Cc => ("MR", pcrs.iter().map(|pcr| mr(*pcr)).find(|register| !boot.tells(*register))),
        };
        register.map(|register| format!("{what} {register} not quoted, or not told by the log"))
    }
}

/// The measurement register with the events of a PCR (UEFI 2.10, section 38.4.1).
fn mr(pcr: u32) -> u32 {
    match pcr {
        0 | 1 | 7 => 1,
        2..=6 => 2,
        _ => 3,
    }
}

fn with(found: &str, untold: Option<&String>) -> String {
    untold.map_or(found.to_owned(), |untold| format!("{found} ({untold})"))
}

fn ids(rule: &Among<String>) -> &[String] {
    match rule {
        Among::Any(AnyWord::Any) => &[],
        Among::Listed(set) => &set.any_of,
    }
}

/// The reference values, in the form in which digests print.
fn values(ids: &[String], references: &[Reference]) -> BTreeSet<String> {
    resolve(ids, references).iter().map(|reference| reference.value.to_lowercase()).collect()
}

fn listed_files(files: &Files, ids: &[String], references: &[Reference]) -> Result<String, String> {
    if files.violations != 0 {
        return Err(format!("{}, {} violations", counted(files), files.violations));
    }
    let known = values(ids, references);
    // The first entry is no file.
    let real = files.files.iter().filter(|file| file.path != "boot_aggregate");
    let unknown: Vec<_> = real.filter(|file| !known.contains(&file.digest.to_string())).collect();
    match unknown.first() {
        None => Ok(counted(files)),
        Some(first) => Err(format!(
            "{} of {} unknown, first {} {}",
            unknown.len(),
            counted(files),
            first.path,
            first.digest
        )),
    }
}

fn counted(files: &Files) -> String {
    format!("{} files", files.files.len())
}

/// What a register of this bank holds (PCR 15 of a TPM, RTMR 3 of a TD) into which nothing but this cluster's name was
/// measured: what the rule `cluster` of a policy allows.
#[must_use]
pub fn cluster_register(crypto: &dyn Crypto, bank: Hash, cluster: &str) -> Vec<u8> {
    joined(crypto, bank, cluster).as_bytes().to_vec()
}

fn joined(crypto: &dyn Crypto, bank: Hash, cluster: &str) -> Measurement {
    let name = Measurement::of(crypto, bank, &[cluster.as_bytes()]);
    Measurement::filled(bank, 0).extended(crypto, bank, name.as_bytes())
}

fn words(state: SecureBoot) -> &'static str {
    match state {
        SecureBoot::On => "set",
        SecureBoot::Off => "clear",
        SecureBoot::NotMeasured => "not measured before the separator",
        SecureBoot::Undermined => "set, but firmware could not measure or may be debugged",
    }
}

fn short(value: &Measurement) -> String {
    value.to_string().chars().take(16).chain(['…']).collect()
}

/// The first few.
fn some(digests: &[Measurement]) -> String {
    let texts: Vec<String> = digests.iter().take(4).map(ToString::to_string).collect();
    if digests.len() > 4 { format!("{}, …", texts.join(", ")) } else { texts.join(", ") }
}

const NO_LOG: &str = "no event log";
/// Into these boot loaders measure.
const LOADERS: [u32; 5] = [8, 9, 11, 12, 13];
const BANKS: [Hash; 4] = [Hash::Sha1, Hash::Sha256, Hash::Sha384, Hash::Sha512];
