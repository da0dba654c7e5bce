//! The few commands of a TPM that a letter box needs, as bytes.
//!
//! `libtss2` of this age sends no vendor's command, so these are written here. Authorization is by password: what passes
//! is no secret, and what comes back is signed.
//!
//! Source: TPM 2.0 Part 1, clauses 18 and 19 (structure, password authorization), Part 3, clauses 30 and 31. Untrusted:
//! every byte of a response.

use super::{Error, wire};

/// A command: what it is called in messages, its code, its handles, the password of the first and its parameters.
#[derive(Clone, Debug)]
pub(super) struct Command<'a> {
    pub(super) name: &'static str,
    pub(super) code: u32,
    pub(super) handles: &'a [u32],
    pub(super) password: Option<&'a [u8]>,
    pub(super) parameters: Vec<u8>,
}

impl Command<'_> {
    /// The bytes for the TPM.
    pub(super) fn encode(&self) -> Vec<u8> {
        let handles: Vec<u8> = self.handles.iter().flat_map(|handle| handle.to_be_bytes()).collect();
        let (tag, session) = match self.password {
            None => (NO_SESSIONS, Vec::new()),
            Some(password) => {
                // Session, no nonce, no attributes, password (Part 1, clause 19.4).
                let area = [&PASSWORD_SESSION.to_be_bytes()[..], &[0, 0, 0], &sized(password)].concat();
                (SESSIONS, [&wire::length(area.len())[..], &area].concat())
            }
        };
        let body = [&self.code.to_be_bytes()[..], &handles, &session, &self.parameters].concat();
        let whole = body.len().saturating_add(HEAD_BEFORE_CODE);
        [&tag.to_be_bytes()[..], &wire::length(whole), &body].concat()
    }

    /// The parameters of the response to this command.
    pub(super) fn parameters<'r>(&self, response: &'r [u8]) -> Result<&'r [u8], Error> {
        let malformed = || Error::Response { command: self.name, found: response.len() };
        let (head, rest) = response.split_at_checked(HEADER).ok_or_else(malformed)?;
        match wire::number(head, HEAD_BEFORE_CODE).ok_or_else(malformed)? {
            0 => {}
            code => return Err(Error::refused(self.name, code)),
        }
        if self.password.is_none() {
            return Ok(rest);
        }
        let length = wire::number(rest, 0).and_then(|length| usize::try_from(length).ok());
        let end = length.and_then(|length| length.checked_add(4));
        end.and_then(|end| rest.get(4..end)).ok_or_else(malformed)
    }
}

/// Bytes behind their length, as the TPM has its buffers.
pub(super) fn sized(content: &[u8]) -> Vec<u8> {
    [&u16::try_from(content.len()).unwrap_or(u16::MAX).to_be_bytes()[..], content].concat()
}

/// The first buffer in these bytes, and what follows it.
pub(super) fn unsized_first(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

/// `TPM_RH_OWNER`.
pub(super) const OWNER: u32 = 0x4000_0001;
/// Tag, size, and code or response code.
const HEADER: usize = 10;
const HEAD_BEFORE_CODE: usize = 6;
const NO_SESSIONS: u16 = 0x8001;
const SESSIONS: u16 = 0x8002;
/// `TPM_RS_PW`.
const PASSWORD_SESSION: u32 = 0x4000_0009;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(password: Option<&[u8]>) -> Command<'_> {
        let parameters = vec![0, 9, 0, 0];
        Command { name: "NV_Read", code: 0x14e, handles: &[0x0180_0001, 0x0180_0001], password, parameters }
    }

    #[test]
    fn a_command_is_written_as_part_1_has_it() {
        let expected = "8002000000250000014e018000010180000100000 00b40000009000000000 2616200090000";
        assert_eq!(hex::encode(read(Some(b"ab")).encode()), expected.replace(' ', ""));
        assert_eq!(hex::encode(read(None).encode()), "8001000000160000014e018000010180000100090000");
    }

    #[test]
    fn a_responses_parameters_end_where_it_says() {
        let response = hex::decode("80020000001500000000000000040002aabb0000010000").unwrap();
        assert_eq!(read(Some(b"")).parameters(&response).unwrap(), [0, 2, 0xaa, 0xbb]);
        for length in 0..18 {
            let cut = read(Some(b"")).parameters(&response[..length]).unwrap_err();
            assert!(matches!(cut, Error::Response { command: "NV_Read", .. }), "{length} {cut}");
        }
        assert_eq!(unsized_first(&[0, 2, 1, 2, 3]), Some((&[1, 2][..], &[3][..])));
        assert_eq!(unsized_first(&[0, 2, 1]), None);
    }
}
