//! The parts of a TPM command (TPM 2.0 Part 1, clause 18), as far as letter boxes need them.

/// A command on an NV index: its parts where they stand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts<'a> {
    /// The command code.
    pub(super) code: u32,
    /// The NV index among its handles.
    pub(super) index: Option<u32>,
    handles: &'a [u8],
    session: &'a [u8],
    parameters: &'a [u8],
}

impl<'a> Parts<'a> {
    /// The parts of a command that is about an NV index; of any other, its code alone is told.
    pub(super) fn of(command: &'a [u8]) -> Option<Self> {
        let code = number(command, 6)?;
        let body = command.get(10..)?;
        let handles = match code {
            0x122 | 0x137 | 0x14e | 0x2000_0001 => 8,
            0x12a | 0x169 => 4,
            _ => 0,
        };
        let (handles, body) = body.split_at_checked(handles)?;
        // The index is the second of two handles, and the one of one.
        let index = number(handles, 4).or_else(|| number(handles, 0)).filter(|_| code != 0x12a);
        let with_session = command.get(..2) == Some(&[0x80, 0x02]);
        let session = if with_session { usize::try_from(number(body, 0)?).ok()?.checked_add(4)? } else { 0 };
        let (session, parameters) = body.split_at_checked(session)?;
        Some(Self { code, index, handles, session, parameters })
    }

    /// The index that a command to make one makes.
    pub(super) fn defined(command: &[u8]) -> Option<u32> {
        let (_password, rest) = unsized_first(Parts::of(command)?.parameters)?;
        let (public, _) = unsized_first(rest)?;
        number(public, 0)
    }

    /// Another command by the same caller on the same index.
    pub(super) fn with(&self, code: u32, parameters: &[u8]) -> Vec<u8> {
        let body = [&code.to_be_bytes()[..], self.handles, self.session, parameters].concat();
        let length = u32::try_from(body.len().saturating_add(6)).unwrap_or(u32::MAX).to_be_bytes();
        [&[0x80, 0x02][..], &length, &body].concat()
    }

    /// What `NV_Write` writes, and where.
    pub(super) fn written(&self) -> Option<(&'a [u8], usize)> {
        let (data, rest) = unsized_first(self.parameters)?;
        Some((data, usize::from(u16::from_be_bytes(*rest.first_chunk()?))))
    }

    /// How much `NV_Read` reads, and from where.
    pub(super) fn asked(&self) -> Option<(usize, usize)> {
        let asked = number(self.parameters, 0)?;
        let [high, low, more, least] = asked.to_be_bytes();
        Some((u16::from_be_bytes([high, low]).into(), u16::from_be_bytes([more, least]).into()))
    }
}

/// A command without a session.
pub(super) fn command(code: u32, parameters: &[u8]) -> Vec<u8> {
    let length = u32::try_from(parameters.len().saturating_add(10)).unwrap_or(u32::MAX).to_be_bytes();
    [&[0x80, 0x01][..], &length, &code.to_be_bytes(), parameters].concat()
}

/// A response: a refusal, or one with a session.
pub(super) fn response(code: u32, body: &[u8]) -> Vec<u8> {
    let tag = if code == 0 { [0x80, 0x02] } else { [0x80, 0x01] };
    let length = u32::try_from(body.len().saturating_add(10)).unwrap_or(u32::MAX).to_be_bytes();
    [&tag[..], &length, &code.to_be_bytes(), body].concat()
}

/// Bytes behind their length.
pub(super) fn sized(content: &[u8]) -> Vec<u8> {
    [&u16::try_from(content.len()).unwrap_or(u16::MAX).to_be_bytes()[..], content].concat()
}

/// The first buffer in these bytes, and what follows it.
pub(super) fn unsized_first(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

/// Four bytes of a message.
pub(super) fn number(bytes: &[u8], offset: usize) -> Option<u32> {
    bytes.get(offset..).and_then(|rest| rest.first_chunk()).map(|bytes| u32::from_be_bytes(*bytes))
}
