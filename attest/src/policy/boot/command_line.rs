//! The rule about kernel command lines.
//!
//! `{ by = "grub", any_of = ["/vmlinuz ro"], none_of = ["init=", "lockdown=none"] }`: who measures it is part of
//! the rule, because a line that this loader did not measure could have been added by whoever has the machine
//! now. Every line of every loader must be allowed; and in the registers of this one, nothing may stand whose
//! meaning is not known and that is not among the known files.

use serde::Deserialize;

use super::super::operators::{Among, AnyWord, list};
use super::super::snp::ask;
use super::{Asking, BANKS, some, values, with};
use crate::crypto::Crypto;
use crate::eventlog::{Boot, CommandLine, Layout, Loader, Measurement};

/// `"any"`, or what each command line may be.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub(super) enum CommandLineRule {
    Any(AnyWord),
    Lines(#[cfg_attr(feature = "schema", schemars(with = "Written"))] Lines),
}

/// What each command line may be.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Written")]
pub(super) struct Lines {
    by: Measurer,
    any_of: Option<Vec<String>>,
    none_of: Option<Vec<String>>,
    digests: Vec<Measurement>,
}

/// The rule as it is written.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct Written {
    by: Measurer,
    any_of: Option<Vec<String>>,
    none_of: Option<Vec<String>>,
}

/// Who measures the command line of these machines.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
enum Measurer {
    /// GRUB (PCR 8).
    Grub,
    /// systemd-boot, or systemd-stub for a line that was passed to it (PCR 12).
    Systemd,
    /// systemd-stub, the section `.cmdline` of a unified kernel image (PCR 11).
    Uki,
    /// The kernel's own EFI stub (PCR 9).
    Kernel,
}

impl TryFrom<Written> for Lines {
    type Error = &'static str;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        let Written { by, any_of, none_of } = written;
        let lists = [&any_of, &none_of];
        if lists.iter().all(|list| list.is_none()) || lists.into_iter().flatten().any(Vec::is_empty) {
            return Err("expected any_of or none_of with at least one value");
        }
        Ok(Self { by, any_of, none_of, digests: Vec::new() })
    }
}

impl CommandLineRule {
    pub(super) fn hash(&mut self, crypto: &dyn Crypto) {
        let Self::Lines(lines) = self else { return };
        let texts = lines.any_of.iter().flatten();
        lines.digests = texts
            .flat_map(|text| forms(text))
            .flat_map(|form| BANKS.map(|bank| Measurement::of(crypto, bank, &[&form])))
            .collect();
    }
}

/// Asks about the command lines.
pub(super) fn appraise(
    rule: Option<&CommandLineRule>,
    files: Option<&Among<String>>,
    asking: &mut Asking<'_>,
) {
    let problem = match (rule, asking.booted.boot) {
        (Some(CommandLineRule::Lines(lines)), Some(boot)) => asking
            .untold(lines.by.pcrs())
            .or_else(|| lines.problem(boot))
            .or_else(|| hidden(lines.by, files, boot, asking)),
        (Some(CommandLineRule::Lines(_)), None) => Some("no event log".to_owned()),
        (Some(CommandLineRule::Any(AnyWord::Any)) | None, _) => None,
    };
    let texts: Vec<String> =
        asking.booted.boot.iter().flat_map(|boot| &boot.command_lines).map(shown).collect();
    let found = if texts.is_empty() { "none".to_owned() } else { texts.join("; ") };
    let id = asking.booted.section.id("kernel_cmdline");
    ask(asking.checks, &id, rule, |_| problem.is_none(), |rule| rule.words(), with(&found, problem.as_ref()));
}

/// What stands in the registers of this measurer, and could be a command line: nobody knows what it is.
fn hidden(by: Measurer, files: Option<&Among<String>>, boot: &Boot, asking: &Asking<'_>) -> Option<String> {
    let known = match files {
        Some(Among::Listed(set)) => values(&set.any_of, asking.references),
        Some(Among::Any(AnyWord::Any)) | None => std::collections::BTreeSet::new(),
    };
    let here = |register: u32| boot.layout == Layout::Cc || by.pcrs().contains(&register);
    let opaque = boot.opaque.iter().filter(|opaque| here(opaque.register)).map(|opaque| opaque.digest);
    let hidden: Vec<Measurement> = opaque.filter(|digest| !known.contains(&digest.to_string())).collect();
    (!hidden.is_empty())
        .then(|| format!("beside it, measured and neither known nor among files: {}", some(&hidden)))
}

impl Lines {
    fn problem(&self, boot: &Boot) -> Option<String> {
        let lines = &boot.command_lines;
        let sections: Vec<&Measurement> = boot
            .sections
            .iter()
            .filter(|section| section.name == ".cmdline")
            .map(|section| &section.digest)
            .collect();
        let by = |loader: Loader| lines.iter().any(|line| line.by == loader);
        let measured = match self.by {
            Measurer::Grub => by(Loader::Grub),
            Measurer::Systemd => by(Loader::Systemd),
            Measurer::Kernel => by(Loader::Kernel),
            Measurer::Uki => !sections.is_empty(),
        };
        if !measured {
            return Some(format!("none measured by {}", self.by.name()));
        }
        let line = lines.iter().find(|line| !self.allows(line.text.as_deref(), &line.digest));
        let section = sections.into_iter().find(|digest| !self.allows(None, digest));
        line.map(|line| format!("not allowed: {}", shown(line)))
            .or_else(|| section.map(|digest| format!("not allowed: section .cmdline {digest}")))
    }

    fn allows(&self, text: Option<&str>, digest: &Measurement) -> bool {
        let listed = self.digests.contains(digest);
        let named = self.any_of.as_ref().is_none_or(|_| listed);
        let free = self.none_of.as_ref().is_none_or(|words| match text {
            Some(text) => !text.split_whitespace().any(|word| words.iter().any(|bad| is(word, bad))),
            // Of an exact line somebody read the words.
            None => listed,
        });
        named && free
    }
}

/// `init=` is every word that begins so, `debug` only itself.
fn is(word: &str, bad: &str) -> bool {
    let word = word.trim_matches('"');
    if bad.ends_with('=') { word.starts_with(bad) } else { word == bad }
}

/// The bytes as which a line is measured: by GRUB, by systemd, by the kernel after GRUB, and in a file.
fn forms(text: &str) -> Vec<Vec<u8>> {
    let wide = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let ended = |bytes: Vec<u8>, end: &[u8]| [&bytes, end].concat();
    let plain = text.as_bytes().to_vec();
    let image = wide(&format!("BOOT_IMAGE={text}"));
    vec![
        plain.clone(),
        ended(plain.clone(), b"\0"),
        ended(plain.clone(), b"\n"),
        ended(plain, b"\n\0"),
        wide(text),
        ended(wide(text), &[0, 0]),
        image.clone(),
        ended(image, &[0, 0]),
    ]
}

fn shown(line: &CommandLine) -> String {
    match &line.text {
        Some(text) => text.chars().take(400).collect(),
        None => format!("only its digest {}", line.digest),
    }
}

impl Measurer {
    fn pcrs(self) -> &'static [u32] {
        match self {
            Self::Grub => &[8],
            Self::Systemd => &[12],
            Self::Uki => &[11, 12],
            Self::Kernel => &[9],
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Grub => "grub",
            Self::Systemd => "systemd",
            Self::Uki => "uki",
            Self::Kernel => "kernel",
        }
    }
}

impl CommandLineRule {
    fn words(&self) -> String {
        let Self::Lines(lines) = self else { return "any".to_owned() };
        let part = |what: &str, words: &Option<Vec<String>>| {
            words.as_ref().map_or(String::new(), |words| format!(", {what} {}", list(words)))
        };
        let (any_of, none_of) = (part("each one of", &lines.any_of), part("without", &lines.none_of));
        format!("measured by {}{any_of}{none_of}", lines.by.name())
    }
}
