//! What was touched and what was done, in words.

use attest::UnixTime;

use super::entities::Entities;
use super::mounts::{Machine, Report};
use crate::layout::Section;

/// The rows of a report.
pub(crate) fn report(section: &mut Section, report: &Report) {
    let machines = report.recipient_count;
    let held =
        report.valid_until.map_or_else(String::new, |until| format!("; nothing of it holds after {until}"));
    let (admissions, releases, renewals) = (report.admissions, report.releases, report.renewals);
    section.row(
        "given",
        format!(
            "{releases} releases, {admissions} admissions, {renewals} renewals to {machines} machines{held}"
        ),
    );
    for secret in &report.secrets {
        let name = secret.name.as_deref().unwrap_or(&secret.salted_name);
        let versions: Vec<String> = secret.versions.iter().map(ToString::to_string).collect();
        let gone = if secret.name.is_none() { ", which is gone since" } else { "" };
        section.row(
            "secret",
            format!("{name} version {}, {} times{gone}", versions.join(", "), secret.releases),
        );
    }
    for seen in report.recipients.iter().take(SHOWN) {
        section.row("machine", machine(seen));
    }
    let shown = u64::try_from(SHOWN).unwrap_or(u64::MAX);
    if machines > shown {
        section.row("machine", format!("and {} more (-o json)", machines.saturating_sub(shown)));
    }
}

fn machine(machine: &Machine) -> String {
    let facts = [
        machine.platform.clone(),
        machine.product_line.clone(),
        machine.hardware.map(|name| format!("hardware={name}")),
        machine.instance.map(|name| format!("instance={name}")),
        machine.measurement.as_ref().map(|name| format!("measurement={name}")),
        machine.last.map(|at: UnixTime| format!("last {at}")),
    ];
    facts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// The rows about identities, where those that were changed are now `word`.
pub(crate) fn entities(section: &mut Section, found: &Entities, word: &str) {
    let Entities { changed, unchanged, unknown, problems } = found;
    section.row(word, format!("{} identities of OpenBao: {}", changed.len(), shown(changed)));
    if !unchanged.is_empty() {
        section.row("as before", format!("{} identities: {}", unchanged.len(), shown(unchanged)));
    }
    if *unknown > 0 {
        section.row("unknown", format!("{unknown} machines that OpenBao has no identity of"));
    }
    for problem in problems {
        section.row("NOT DONE", problem);
    }
}

fn shown(names: &[String]) -> String {
    let shown = names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len() {
        0 => "none".to_owned(),
        all if all > SHOWN => format!("{shown}, …"),
        _ => shown,
    }
}

/// A list of names, or that there are none.
pub(crate) fn names(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// So many are shown; programs get all.
const SHOWN: usize = 20;
