//! One report directory: what is asked, what was answered, and the generations that tie the two.
//!
//! Follows the state machine of Linux' report driver: every write advances the write generation, a read
//! regenerates the report unless it belongs to the current one.

use fuser::Errno;

use super::attribute::Attribute;
use super::machine::{Machine, Response};

/// The longest `inblob`.
const INBLOB_MAX: usize = 64;
/// The worst privilege level that can be asked for.
const PRIVLEVEL_MAX: u32 = 3;

#[derive(Debug, Default)]
pub(super) struct Entry {
    inblob: Vec<u8>,
    privlevel: u32,
    write_generation: u64,
    read_generation: u64,
    response: Option<Response>,
}

impl Entry {
    /// The whole content of a readable file.
    pub(super) fn read(&mut self, attribute: Attribute, machine: &mut Machine) -> Result<Vec<u8>, Errno> {
        match attribute {
            Attribute::Outblob => Ok(self.response(machine)?.outblob),
            Attribute::Auxblob => Ok(self.response(machine)?.auxblob),
            Attribute::Provider => Ok(machine.provider().as_bytes().to_vec()),
            Attribute::Generation => Ok(format!("{}\n", self.write_generation).into_bytes()),
            Attribute::PrivlevelFloor => Ok(format!("{}\n", machine.floor()).into_bytes()),
            Attribute::Inblob | Attribute::Privlevel => Err(Errno::EACCES),
        }
    }

    /// Takes a new `inblob`: when the file is closed, whatever its length.
    pub(super) fn commit_inblob(&mut self, inblob: Vec<u8>) -> Result<(), Errno> {
        self.advance()?;
        self.inblob = inblob;
        Ok(())
    }

    /// Takes a new privilege level, written as text.
    pub(super) fn write_privlevel(&mut self, text: &[u8], machine: &Machine) -> Result<(), Errno> {
        let level = kstrtouint(text)?;
        if level < machine.floor() || level > PRIVLEVEL_MAX {
            return Err(Errno::EINVAL);
        }
        self.advance()?;
        self.privlevel = level;
        Ok(())
    }

    fn response(&mut self, machine: &mut Machine) -> Result<Response, Errno> {
        if self.inblob.is_empty() {
            return Err(Errno::EINVAL);
        }
        if self.read_generation == self.write_generation
            && let Some(response) = &self.response
        {
            return Ok(response.clone());
        }
        self.response = None;
        if machine.is_raced() {
            self.commit_inblob(vec![0xee; INBLOB_MAX])?;
        }
        let response = machine.request(&self.inblob, self.privlevel)?;
        self.read_generation = self.write_generation;
        self.response = Some(response.clone());
        Ok(response)
    }

    /// Refuses the write after which the write generation would meet the read generation from behind.
    fn advance(&mut self) -> Result<(), Errno> {
        if self.write_generation == self.read_generation.wrapping_sub(1) {
            return Err(Errno::EBUSY);
        }
        self.write_generation = self.write_generation.wrapping_add(1);
        Ok(())
    }
}

/// Puts `data` at `offset` of an `inblob` being written.
pub(super) fn fill_inblob(pending: &mut Vec<u8>, offset: u64, data: &[u8]) -> Result<(), Errno> {
    let start = usize::try_from(offset).map_err(|_too_far| Errno::EFBIG)?;
    let end = start.saturating_add(data.len());
    if end > INBLOB_MAX {
        return Err(Errno::EFBIG);
    }
    if pending.len() < end {
        pending.resize(end, 0);
    }
    for (byte, value) in pending.iter_mut().skip(start).zip(data) {
        *byte = *value;
    }
    Ok(())
}

/// The kernel's `kstrtouint` with base 0: decimal, `0x` hexadecimal or `0` octal, and one final newline.
fn kstrtouint(text: &[u8]) -> Result<u32, Errno> {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    let text = std::str::from_utf8(text).map_err(|_not_text| Errno::EINVAL)?;
    let text = text.strip_prefix('+').unwrap_or(text);
    let (digits, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None if text.len() > 1 && text.starts_with('0') => (text, 8),
        None => (text, 10),
    };
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return Err(Errno::EINVAL);
    }
    u32::from_str_radix(digits, radix).map_err(|_too_large| Errno::ERANGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_privilege_level_is_text() {
        let read = |text: &[u8]| kstrtouint(text).map_err(Errno::code);
        assert_eq!(read(b"2\n"), Ok(2));
        assert_eq!(read(b"0x3"), Ok(3));
        assert_eq!(read(b"010"), Ok(8));
        assert_eq!(read(b"0"), Ok(0));
        assert_eq!(read(b"4294967296"), Err(Errno::ERANGE.code()));
        for wrong in [&b""[..], b"\n", b"\x02", b"-1", b"1 ", b"0x", b"08", b"\xff", b"++1"] {
            assert_eq!(read(wrong), Err(Errno::EINVAL.code()), "{wrong:?}");
        }
    }

    #[test]
    fn a_generation_may_not_catch_up_with_the_reader() {
        let mut entry = Entry { write_generation: u64::MAX, ..Entry::default() };
        assert_eq!(entry.commit_inblob(vec![0; 64]).unwrap_err().code(), Errno::EBUSY.code());
    }

    #[test]
    fn an_inblob_is_filled_in_pieces() {
        let mut pending = Vec::new();
        fill_inblob(&mut pending, 0, &[1; 32]).unwrap();
        fill_inblob(&mut pending, 32, &[2; 32]).unwrap();
        assert_eq!((pending[31], pending[32], pending.len()), (1, 2, 64));
        assert_eq!(fill_inblob(&mut pending, 64, &[3]).unwrap_err().code(), Errno::EFBIG.code());
    }
}
