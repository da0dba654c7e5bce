//! A letter box in the TPM: an NV index that a request is put into and a response is taken from.
//!
//! AWS' command answers in place: it reads the request out of the index and leaves the response there. The index is
//! made for one request and removed after it. Its number is ours alone, so that what a killed agent left behind is
//! known for what it is and cleared away, instead of filling the TPM's small memory.
//!
//! Source: aws/NitroTPM-Tools, which makes the same index under a number that is free. Untrusted: the TPM's answers.

use std::thread;
use std::time::Duration;

use super::command::{Command, OWNER, sized, unsized_first};
use super::wire::{self, Line};
use super::{Error, Password, SIZE};

/// A letter box that exists.
#[derive(Debug)]
pub(super) struct LetterBox<'a> {
    line: &'a mut Line,
    password: &'a Password,
    chunk: usize,
}

impl<'a> LetterBox<'a> {
    /// Makes it, in place of one that was left behind.
    pub(super) fn make(line: &'a mut Line, password: &'a Password) -> Result<Self, Error> {
        let chunk = chunk(line)?;
        match define(line, password) {
            Err(Error::Refused { code, .. }) if code & 0xfff == NV_DEFINED => {
                let (attributes, size) = described(line)?;
                if attributes & !WRITTEN != ATTRIBUTES || size != SIZE {
                    return Err(Error::Taken { index: INDEX });
                }
                undefine(line)?;
                define(line, password)?;
            }
            other => other?,
        }
        Ok(Self { line, password, chunk })
    }

    /// Puts a request in.
    pub(super) fn put(&mut self, request: &[u8]) -> Result<(), Error> {
        let mut offset = 0;
        for part in request.chunks(self.chunk) {
            let place = short(offset).to_be_bytes();
            let parameters = [&sized(part)[..], &place].concat();
            self.on_index("NV_Write", 0x137, parameters)?;
            offset = offset.saturating_add(part.len());
        }
        Ok(())
    }

    /// Has the hypervisor answer: `TPM2_CC_AWS_NSM_REQUEST`.
    pub(super) fn have_answered(&mut self) -> Result<(), Error> {
        self.on_index("AWS_NSM_REQUEST", AWS_NSM_REQUEST, Vec::new()).map(drop)
    }

    /// Takes all that is in it.
    pub(super) fn take(&mut self) -> Result<Vec<u8>, Error> {
        let (_, size) = described(self.line)?;
        let (size, mut content) = (usize::from(size), Vec::new());
        while content.len() < size {
            let part = size.saturating_sub(content.len()).min(self.chunk);
            let parameters = [short(part), short(content.len())].map(u16::to_be_bytes).concat();
            let read = self.on_index("NV_Read", 0x14e, parameters)?;
            match unsized_first(&read) {
                Some((bytes, [])) if bytes.len() == part => content.extend_from_slice(bytes),
                _ => return Err(Error::Response { command: "NV_Read", found: read.len() }),
            }
        }
        Ok(content)
    }

    /// Removes it.
    pub(super) fn remove(self) -> Result<(), Error> {
        undefine(self.line)
    }

    fn on_index(&mut self, name: &'static str, code: u32, parameters: Vec<u8>) -> Result<Vec<u8>, Error> {
        let password = Some(self.password.0.as_slice());
        ask(self.line, &Command { name, code, handles: &[INDEX, INDEX], password, parameters })
    }
}

fn define(line: &mut Line, password: &Password) -> Result<(), Error> {
    // TPMS_NV_PUBLIC: index, name algorithm, attributes, no policy, size (TPM 2.0 Part 2, clause 13.5).
    let public = [
        &INDEX.to_be_bytes()[..],
        &SHA256.to_be_bytes(),
        &ATTRIBUTES.to_be_bytes(),
        &sized(&[]),
        &SIZE.to_be_bytes(),
    ];
    let parameters = [sized(&password.0), sized(&public.concat())].concat();
    let (name, handles) = ("NV_DefineSpace", &[OWNER][..]);
    ask(line, &Command { name, code: 0x12a, handles, password: Some(&[]), parameters }).map(drop)
}

fn undefine(line: &mut Line) -> Result<(), Error> {
    let (name, handles) = ("NV_UndefineSpace", &[OWNER, INDEX][..]);
    let command = Command { name, code: 0x122, handles, password: Some(&[]), parameters: Vec::new() };
    ask(line, &command).map(drop)
}

/// Attributes and size of the index.
fn described(line: &mut Line) -> Result<(u32, u16), Error> {
    let (name, handles) = ("NV_ReadPublic", &[INDEX][..]);
    let command = Command { name, code: 0x169, handles, password: None, parameters: Vec::new() };
    let response = ask(line, &command)?;
    let malformed = || Error::Response { command: name, found: response.len() };
    let (public, _name) = unsized_first(&response).ok_or_else(malformed)?;
    let attributes = wire::number(public, 6).ok_or_else(malformed)?;
    let size = public.last_chunk().ok_or_else(malformed)?;
    Ok((attributes, u16::from_be_bytes(*size)))
}

/// How many bytes of an index the TPM moves at a time.
fn chunk(line: &mut Line) -> Result<usize, Error> {
    // TPM_CAP_TPM_PROPERTIES, and one of them.
    let parameters = [6, NV_BUFFER_MAX, 1].map(u32::to_be_bytes).concat();
    let command = Command { name: "GetCapability", code: 0x17a, handles: &[], password: None, parameters };
    let response = ask(line, &command)?;
    // moreData, the capability, a count of one, the property, its value.
    let ours = wire::number(&response, 9) == Some(NV_BUFFER_MAX);
    let value = wire::number(&response, 13).filter(|_| ours);
    let value = value.ok_or(Error::Response { command: command.name, found: response.len() })?;
    Ok(usize::try_from(value).unwrap_or(MOST).clamp(LEAST, MOST))
}

/// Asks again while the TPM says so: the first password after each start costs it a write to its memory, and it wants
/// the command once more after that.
fn ask(line: &mut Line, command: &Command<'_>) -> Result<Vec<u8>, Error> {
    let bytes = command.encode();
    for _ in 1..ATTEMPTS {
        let response = line.exchange(&bytes)?;
        match command.parameters(&response) {
            Err(error) if error.is_busy() => thread::sleep(PAUSE),
            other => return other.map(<[u8]>::to_vec),
        }
    }
    let response = line.exchange(&bytes)?;
    command.parameters(&response).map(<[u8]>::to_vec)
}

fn short(number: usize) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}

/// In the owner's range (TCG Registry of Reserved TPM 2.0 Handles, 0x01800000 to 0x01bfffff).
pub(super) const INDEX: u32 = 0x0180_c7a5;
/// `TPM_ALG_SHA256`.
const SHA256: u16 = 0x000b;
/// `TPMA_NV_AUTHWRITE` and `TPMA_NV_AUTHREAD`; `TPMA_NV_WRITTEN` is the TPM's own.
const ATTRIBUTES: u32 = 0x0004_0004;
const WRITTEN: u32 = 0x2000_0000;
/// `TPM_RC_NV_DEFINED`.
const NV_DEFINED: u32 = 0x14c;
/// `TPM2_CC_AWS_NSM_REQUEST`: bit 29 says that it is a vendor's.
pub(super) const AWS_NSM_REQUEST: u32 = 0x2000_0001;
/// `TPM_PT_NV_BUFFER_MAX`.
const NV_BUFFER_MAX: u32 = 0x12c;
const ATTEMPTS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(20);
const LEAST: usize = 64;
const MOST: usize = 2048;
