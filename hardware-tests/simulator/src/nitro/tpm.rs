//! A `NitroTPM`: a software TPM with AWS' command in front of it.
//!
//! Everything goes on to swtpm, but for the letter boxes that AWS' command needs: an NV index of more than 2048 bytes,
//! which libtpms does not have. Such an index exists in swtpm with 2048 bytes, so that swtpm decides who may use it; its
//! content lies here. Authorization by password works, HMAC sessions on such an index do not: their hashes cover what
//! is changed here.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};

use aws_lc_rs::digest;

use super::nsm::attest;
use super::wire::{Parts, number, response, sized};
use super::{Length, Module};

/// What stands before swtpm.
#[derive(Debug)]
pub(super) struct Front {
    /// swtpm's port for commands.
    backend: u16,
    module: Module,
    fields: Length,
    boxes: BTreeMap<u32, Vec<u8>>,
}

impl Front {
    pub(super) fn new(backend: u16, module: Module, fields: Length) -> Self {
        Self { backend, module, fields, boxes: BTreeMap::new() }
    }

    /// Moves the module's clock.
    pub(super) fn at(&mut self, unix: u64) {
        self.module = self.module.clone().at(unix);
    }

    /// Answers a command.
    pub(super) fn answer(&mut self, command: &[u8]) -> io::Result<Vec<u8>> {
        let Some(parts) = Parts::of(command) else { return self.pass(command) };
        let content = parts.index.and_then(|index| self.boxes.get(&index)).cloned();
        match (parts.code, parts.index, content) {
            (NV_DEFINE_SPACE, _, _) => self.define(command),
            (NV_UNDEFINE_SPACE, Some(index), Some(_)) => {
                let answer = self.pass(command)?;
                if good(&answer) {
                    self.boxes.remove(&index);
                }
                Ok(answer)
            }
            (NV_WRITE, Some(index), Some(content)) => self.write(&parts, index, content),
            (NV_READ, Some(_), Some(content)) => self.read(&parts, &content),
            (NV_READ_PUBLIC, Some(_), Some(content)) => self.read_public(command, content.len()),
            (AWS_NSM_REQUEST, Some(index), Some(content)) => self.attest(&parts, index, &content),
            // TPM_RC_HANDLE for the first handle: there is no letter box.
            (AWS_NSM_REQUEST, _, _) => Ok(response(0x18b, &[])),
            _ => self.pass(command),
        }
    }

    /// Makes an index of any size.
    fn define(&mut self, command: &[u8]) -> io::Result<Vec<u8>> {
        // The public area ends the command: index, name algorithm, attributes, policy, size.
        let size = command.last_chunk().map_or(0, |size| u16::from_be_bytes(*size));
        let index = Parts::defined(command);
        let (Some(index), true) = (index, size > MOST_OF_LIBTPMS) else { return self.pass(command) };
        let kept = command.len().saturating_sub(2);
        let smaller = [command.get(..kept).unwrap_or_default(), &MOST_OF_LIBTPMS.to_be_bytes()].concat();
        let answer = self.pass(&smaller)?;
        if good(&answer) {
            self.boxes.insert(index, vec![0xff; usize::from(size)]);
        }
        Ok(answer)
    }

    fn write(&mut self, parts: &Parts<'_>, index: u32, mut content: Vec<u8>) -> io::Result<Vec<u8>> {
        let answer = self.pass(&parts.with(NV_WRITE, &[0, 0, 0, 0]))?;
        if !good(&answer) {
            return Ok(answer);
        }
        let Some((data, offset)) = parts.written() else { return Ok(response(NV_RANGE, &[])) };
        let place = content.get_mut(offset..).and_then(|rest| rest.get_mut(..data.len()));
        let Some(place) = place else { return Ok(response(NV_RANGE, &[])) };
        place.copy_from_slice(data);
        self.boxes.insert(index, content);
        Ok(answer)
    }

    fn read(&mut self, parts: &Parts<'_>, content: &[u8]) -> io::Result<Vec<u8>> {
        let answer = self.pass(&parts.with(NV_READ, &[0, 0, 0, 0]))?;
        if !good(&answer) {
            return Ok(answer);
        }
        let asked = parts.asked().and_then(|(size, offset)| content.get(offset..)?.get(..size));
        let Some(asked) = asked.filter(|asked| asked.len() <= usize::from(MOST_OF_LIBTPMS)) else {
            return Ok(response(NV_RANGE, &[]));
        };
        // Header, length of the parameters, an empty buffer; the rest is the session's.
        let session = answer.get(16..).unwrap_or_default();
        let parameters = sized(asked);
        let length = u32::try_from(parameters.len()).unwrap_or(u32::MAX).to_be_bytes();
        Ok(response(0, &[&length[..], &parameters, session].concat()))
    }

    /// The public area with the size that was asked for, and the name that follows from it.
    fn read_public(&mut self, command: &[u8], size: usize) -> io::Result<Vec<u8>> {
        let answer = self.pass(command)?;
        let public = answer.get(10..).and_then(|rest| {
            let (length, rest) = rest.split_first_chunk::<2>()?;
            rest.get(..usize::from(u16::from_be_bytes(*length)))
        });
        let Some(public) = public.filter(|_| good(&answer)) else { return Ok(answer) };
        let kept = public.len().saturating_sub(2);
        let size = u16::try_from(size).unwrap_or(u16::MAX).to_be_bytes();
        let public = [public.get(..kept).unwrap_or_default(), &size].concat();
        let algorithm = public.get(4..6).unwrap_or_default();
        let hash = match algorithm {
            [0, 0x0c] => &digest::SHA384,
            [0, 0x0d] => &digest::SHA512,
            _ => &digest::SHA256,
        };
        let name = [algorithm, digest::digest(hash, &public).as_ref()].concat();
        Ok(plain(&[sized(&public), sized(&name)].concat()))
    }

    /// AWS' command: a document over swtpm's own registers takes the request's place.
    fn attest(&mut self, parts: &Parts<'_>, index: u32, content: &[u8]) -> io::Result<Vec<u8>> {
        // Whoever may write to the box may have it answered.
        let answer = self.pass(&parts.with(NV_WRITE, &[0, 0, 0, 0]))?;
        if !good(&answer) {
            return Ok(answer);
        }
        let registers = self.registers()?;
        let document = self.module.document().fields_length(self.fields);
        let document = registers
            .iter()
            .fold(document.without_pcrs(), |document, (index, value)| document.pcr(*index, value));
        let said = attest(document, content);
        let mut content = content.to_vec();
        match content.get_mut(..said.len()) {
            Some(place) => place.copy_from_slice(&said),
            None => return Ok(response(NV_RANGE, &[])),
        }
        self.boxes.insert(index, content);
        Ok(answer)
    }

    /// All 24 registers of the SHA-384 bank, eight at a time (`TPM2_PCR_Read`).
    fn registers(&self) -> io::Result<Vec<(u64, Vec<u8>)>> {
        let mut registers = Vec::new();
        for octet in 0..3_u64 {
            let mut selected = [0; 3];
            if let Some(byte) = usize::try_from(octet).ok().and_then(|octet| selected.get_mut(octet)) {
                *byte = 0xff;
            }
            // One selection of TPM_ALG_SHA384.
            let parameters = [&[0, 0, 0, 1, 0, 0x0c, 3][..], &selected].concat();
            let answer = self.pass(&super::wire::command(PCR_READ, &parameters))?;
            // Header, update counter, the selection as it was read, a count of eight.
            let mut values = answer.get(28..).unwrap_or_default();
            for index in 0..8 {
                let (value, rest) = super::wire::unsized_first(values).ok_or(io::ErrorKind::InvalidData)?;
                registers.push((octet.saturating_mul(8).saturating_add(index), value.to_vec()));
                values = rest;
            }
        }
        Ok(registers)
    }

    /// swtpm's own answer. It takes one command a connection.
    fn pass(&self, command: &[u8]) -> io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.backend))?;
        stream.write_all(command)?;
        read_message(&mut stream)?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

/// A command or a response, by the size in it; nothing if the other side has closed.
pub(super) fn read_message(stream: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    let mut header = [0; 10];
    match stream.read_exact(&mut header) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let length = number(&header, 2).and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
    if !(header.len()..=MOST).contains(&length) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut message = header.to_vec();
    message.resize(length, 0);
    stream.read_exact(message.get_mut(header.len()..).unwrap_or_default())?;
    Ok(Some(message))
}

fn good(answer: &[u8]) -> bool {
    number(answer, 6) == Some(0)
}

/// A response without a session.
fn plain(parameters: &[u8]) -> Vec<u8> {
    let length = u32::try_from(parameters.len().saturating_add(10)).unwrap_or(u32::MAX).to_be_bytes();
    [&[0x80, 0x01][..], &length, &[0; 4], parameters].concat()
}

const NV_DEFINE_SPACE: u32 = 0x12a;
const NV_UNDEFINE_SPACE: u32 = 0x122;
const NV_WRITE: u32 = 0x137;
const NV_READ: u32 = 0x14e;
const NV_READ_PUBLIC: u32 = 0x169;
const PCR_READ: u32 = 0x17e;
/// `TPM2_CC_AWS_NSM_REQUEST`.
const AWS_NSM_REQUEST: u32 = 0x2000_0001;
/// `TPM_RC_NV_RANGE`.
const NV_RANGE: u32 = 0x146;
/// libtpms' `MAX_NV_INDEX_SIZE`.
const MOST_OF_LIBTPMS: u16 = 2048;
/// libtpms' `MAX_COMMAND_SIZE` and `MAX_RESPONSE_SIZE`.
const MOST: usize = 4096;
