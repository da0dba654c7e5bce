//! Reading the events of quoted registers, in their order, into a [`Boot`].
//!
//! What is recognised by its digest, or hashed to it, is claimed as what it is; everything else is kept as a
//! digest of which nothing is known. Types and descriptions of events decide nothing in the attester's favour.

use super::boot::{Boot, CommandLine, Loader, Opaque, Section, SecureBoot, Variable};
use super::content::{self, UefiVariable};
use super::kind::S_CRTM_VERSION;
use super::known::{Known, Word};
use super::{Event, Facts, Layout, Measurement, Register};
use crate::crypto::{Crypto, Hash};

/// A boot that is being read.
pub(super) struct Reading<'c> {
    crypto: &'c dyn Crypto,
    known: Known,
    boot: Boot,
    keys: Keys,
    /// Registers whose last event was the name of a section.
    named: Vec<(u32, String)>,
}

/// What a register is for.
#[derive(Clone, Copy)]
enum Role {
    Firmware,
    Keys,
    Drivers,
    Images,
    Handover,
    OwnerKeys,
    Loader,
    Other,
}

/// The part of the firmware's configuration that Secure Boot rests on.
#[derive(Default)]
struct Keys {
    secure_boot: Option<bool>,
    separated: bool,
    undermined: bool,
}

impl<'c> Reading<'c> {
    pub(super) fn new(crypto: &'c dyn Crypto, layout: Layout, bank: Hash) -> Self {
        let boot = Boot {
            bank,
            layout,
            registers: Vec::new(),
            events: 0,
            firmware_version: None,
            secure_boot: SecureBoot::NotMeasured,
            dma_unprotected: false,
            variables: Vec::new(),
            authorities: Vec::new(),
            images: Vec::new(),
            drivers: Vec::new(),
            owner_keys: Vec::new(),
            facts: Vec::new(),
            command_lines: Vec::new(),
            sections: Vec::new(),
            commands: 0,
            opaque: Vec::new(),
            handed_over: false,
        };
        Self { crypto, known: Known::new(crypto, bank), boot, keys: Keys::default(), named: Vec::new() }
    }

    pub(super) fn take(&mut self, event: &Event<'_>) {
        let Some(digest) = event.digest(self.boot.bank).filter(|_| event.is_extended()) else { return };
        let word = self.known.word(digest);
        match Role::of(self.boot.layout, event.register) {
            Role::Firmware => self.firmware(event, digest),
            Role::Keys => self.keys(event, digest, word),
            Role::Drivers if !self.is_no_image(event, digest, word) => {
                self.boot.drivers.push(Measurement::from(digest));
            }
            Role::Images => self.image(event, digest, word),
            Role::Handover => self.handover(word),
            Role::OwnerKeys => self.owner_keys(event, digest),
            Role::Loader => self.loader(event, digest, word),
            Role::Drivers | Role::Other => {}
        }
    }

    pub(super) fn finish(mut self, registers: Vec<Register>, events: usize) -> Boot {
        self.boot.secure_boot = match &self.keys {
            Keys { separated: false, .. } | Keys { secure_boot: None, .. } => SecureBoot::NotMeasured,
            Keys { secure_boot: Some(false), .. } => SecureBoot::Off,
            Keys { undermined: true, .. } => SecureBoot::Undermined,
            Keys { .. } => SecureBoot::On,
        };
        self.explain_load_options();
        Boot { registers, events, ..self.boot }
    }

    fn hashes_to(&self, parts: &[&[u8]], digest: &[u8]) -> bool {
        Measurement::of(self.crypto, self.boot.bank, parts).as_bytes() == digest
    }

    /// Platform Firmware Profile 1.06, section 3.3.4.1: the first event of PCR 0 is the version.
    fn firmware(&mut self, event: &Event<'_>, digest: &[u8]) {
        let first = self.boot.firmware_version.is_none();
        if first && event.kind == S_CRTM_VERSION && self.hashes_to(&[event.data], digest) {
            self.boot.firmware_version = Some(content::version(event.data));
        }
    }

    /// Section 3.3.4.8: variables, then a separator, then what vouched for the programs. Whoever takes the
    /// machine over comes after the separator, so only what stands before it is the firmware's word.
    fn keys(&mut self, event: &Event<'_>, digest: &[u8], word: Option<Word>) {
        match word {
            Some(Word::Separator) => self.keys.separated = true,
            Some(Word::ErrorSeparator) => (self.keys.separated, self.keys.undermined) = (true, true),
            Some(Word::DebugMode) => self.keys.undermined = true,
            Some(Word::DmaUnprotected) => self.boot.dma_unprotected = true,
            _ if self.keys.separated => self.boot.authorities.push(Measurement::from(digest)),
            _ => self.variable(event, digest),
        }
    }

    fn variable(&mut self, event: &Event<'_>, digest: &[u8]) {
        let Some(variable) = UefiVariable::parse(event.data) else { return };
        let Some(name) = variable.secure_boot_name() else { return };
        if !self.hashes_to(&[event.data], digest) {
            return;
        }
        if name == "SecureBoot" {
            // Once off is off, whatever is measured next.
            self.keys.secure_boot = Some(variable.value == [1] && self.keys.secure_boot != Some(false));
        } else {
            self.boot.variables.push(Variable { name, digest: Measurement::from(digest) });
        }
    }

    /// In a TD, RTMR 1 has what PCRs 4 and 5 have.
    fn image(&mut self, event: &Event<'_>, digest: &[u8], word: Option<Word>) {
        self.handover(word);
        if !self.is_no_image(event, digest, word) {
            self.boot.images.push(Measurement::from(digest));
        }
    }

    /// Fixed texts are no programs, and neither is a partition table. Nothing else is believed to be none.
    fn is_no_image(&self, event: &Event<'_>, digest: &[u8], word: Option<Word>) -> bool {
        word.is_some() || event.data.starts_with(content::PARTITIONS) && self.hashes_to(&[event.data], digest)
    }

    fn handover(&mut self, word: Option<Word>) {
        match word {
            Some(Word::ExitSucceeded) => self.boot.handed_over = true,
            Some(Word::ExitFailed) => self.boot.handed_over = false,
            _ => {}
        }
    }

    fn owner_keys(&mut self, event: &Event<'_>, digest: &[u8]) {
        match self.facts(event.data, digest) {
            Some(facts) => self.boot.facts.push(facts),
            None => self.boot.owner_keys.push(Measurement::from(digest)),
        }
    }

    /// Whatever words the log has before the text, as GRUB puts there: they are not measured, and hide no text.
    fn facts(&self, data: &[u8], digest: &[u8]) -> Option<Facts> {
        let text = content::grub_text(data).unwrap_or(data);
        Facts::parse(text).filter(|_| self.hashes_to(&[text], digest))
    }

    fn loader(&mut self, event: &Event<'_>, digest: &[u8], word: Option<Word>) {
        let measured = Measurement::from(digest);
        if let Some(at) = self.named.iter().position(|(register, _)| *register == event.register) {
            let (_, name) = self.named.swap_remove(at);
            self.boot.sections.push(Section { name, digest: measured });
        } else if word.is_some() {
        } else if let Some(facts) = self.facts(event.data, digest) {
            self.boot.facts.push(facts);
        } else if let Some((by, text)) = self.text(event.data, digest) {
            if by == Loader::Systemd || content::begins_with_file(&text) {
                self.boot.command_lines.push(CommandLine { by, digest: measured, text: Some(text) });
            } else {
                self.boot.commands = self.boot.commands.saturating_add(1);
            }
        } else if let Some(name) = self.section(event.data, digest) {
            self.named.push((event.register, name));
        } else if content::is_load_options(event.data) {
            self.boot.command_lines.push(CommandLine { by: Loader::Kernel, digest: measured, text: None });
        } else {
            self.boot.opaque.push(Opaque { register: event.register, digest: measured });
        }
    }

    /// A text that was measured, and by whom.
    fn text(&self, data: &[u8], digest: &[u8]) -> Option<(Loader, String)> {
        if let Some(text) = content::grub_text(data) {
            let text =
                std::str::from_utf8(text).ok().filter(|text| self.hashes_to(&[text.as_bytes()], digest));
            return text.map(|text| (Loader::Grub, text.to_owned()));
        }
        // systemd-boot before version 251 logged one byte less than it measured.
        let whole: &[&[u8]] = if data.len() & 1 == 0 { &[data] } else { &[data, &[0]] };
        let text = content::utf16(&whole.concat())?;
        self.hashes_to(whole, digest).then_some((Loader::Systemd, text))
    }

    fn section(&self, data: &[u8], digest: &[u8]) -> Option<String> {
        content::section_name(data).filter(|name| self.hashes_to(&[name.as_bytes(), &[0]], digest))
    }

    /// The kernel's stub logs only a digest of its command line. The text is known if another loader's text,
    /// in the form in which it hands it over, has that digest.
    fn explain_load_options(&mut self) {
        let lines = &self.boot.command_lines;
        let open = lines.iter().filter(|line| line.text.is_none()).count();
        if open > MAX_LOAD_OPTIONS || lines.len() > MAX_TEXTS {
            return;
        }
        let texts: Vec<String> = lines.iter().filter_map(|line| line.text.clone()).collect();
        let forms = texts.iter().flat_map(|text| [text.clone(), format!("BOOT_IMAGE={text}")]);
        let bank = self.boot.bank;
        for form in forms {
            let wide = content::to_utf16(&form);
            let digests =
                [&[][..], &[0, 0]].map(|end: &[u8]| Measurement::of(self.crypto, bank, &[&wide, end]));
            let lines = self.boot.command_lines.iter_mut().filter(|line| line.text.is_none());
            for line in lines.filter(|line| digests.contains(&line.digest)) {
                line.text = Some(form.clone());
            }
        }
    }
}

impl Role {
    /// Platform Firmware Profile 1.06, section 3.3.4; the Linux TPM PCR registry (UAPI group) from 8 on; for a TD
    /// the EFI CC protocol (UEFI 2.10, section 38.4.1).
    fn of(layout: Layout, register: u32) -> Self {
        match (layout, register) {
            (Layout::Tpm, 0) => Self::Firmware,
            (Layout::Tpm, 2) => Self::Drivers,
            (Layout::Tpm, 4) | (Layout::Cc, 2) => Self::Images,
            (Layout::Tpm, 5) => Self::Handover,
            (Layout::Tpm, 7) | (Layout::Cc, 1) => Self::Keys,
            (Layout::Tpm, 8 | 9 | 11 | 12 | 13) | (Layout::Cc, 3) => Self::Loader,
            (Layout::Tpm, 14) => Self::OwnerKeys,
            (Layout::Tpm | Layout::Cc, _) => Self::Other,
        }
    }
}

/// More command lines than these are not compared with each other.
const MAX_LOAD_OPTIONS: usize = 8;
const MAX_TEXTS: usize = 64;
