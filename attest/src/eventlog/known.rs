//! Digests that are recognised whatever the log says about them: those of fixed texts.
//!
//! A separator ends the firmware's part of a register. Whoever has the machine later can extend what he likes and
//! call the true separator something else, but he cannot change its digest.

use super::Measurement;
use crate::crypto::{Crypto, Hash};

/// What a digest of a fixed text means.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Word {
    /// Firmware is done with this register (Platform Firmware Profile 1.06, section 3.3.2.2).
    Separator,
    /// Firmware could not measure.
    ErrorSeparator,
    /// The boot manager called or left a program.
    BootOption,
    /// The operating system asks for the machine.
    ExitInvoked,
    /// It got it.
    ExitSucceeded,
    /// It did not.
    ExitFailed,
    /// A debugger may be attached to the firmware (section 3.3.4.8).
    DebugMode,
    /// Devices can read and write all memory.
    DmaUnprotected,
}

/// The digests of one bank.
#[derive(Debug)]
pub(super) struct Known(Vec<(Measurement, Word)>);

impl Known {
    pub(super) fn new(crypto: &dyn Crypto, bank: Hash) -> Self {
        Self(TEXTS.iter().map(|(text, word)| (Measurement::of(crypto, bank, &[text]), *word)).collect())
    }

    pub(super) fn word(&self, digest: &[u8]) -> Option<Word> {
        self.0.iter().find(|(known, _)| known.as_bytes() == digest).map(|(_, word)| *word)
    }
}

const TEXTS: [(&[u8], Word); 10] = [
    (&[0, 0, 0, 0], Word::Separator),
    (&[0xff, 0xff, 0xff, 0xff], Word::Separator),
    (&[1, 0, 0, 0], Word::ErrorSeparator),
    (b"Calling EFI Application from Boot Option", Word::BootOption),
    (b"Returning from EFI Application from Boot Option", Word::BootOption),
    (b"Exit Boot Services Invocation", Word::ExitInvoked),
    (b"Exit Boot Services Returned with Success", Word::ExitSucceeded),
    (b"Exit Boot Services Returned with Failure", Word::ExitFailed),
    (b"UEFI Debug Mode", Word::DebugMode),
    (b"DMA Protection Disabled", Word::DmaUnprotected),
];
