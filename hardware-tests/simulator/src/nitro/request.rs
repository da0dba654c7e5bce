//! What a program asks of a security module: the CBOR of AWS' library, read as leniently as serde reads it.
//!
//! Fields may come in any order and maps may have either length; a field that nobody knows is passed over, and one that
//! is optional may be left out.

use minicbor::Decoder;
use minicbor::data::Type;
use minicbor::decode::Error;

/// A request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Request {
    DescribePcr(u16),
    ExtendPcr { index: u16, data: Vec<u8> },
    LockPcr(u16),
    LockPcrs(u16),
    DescribeNsm,
    Attestation(Wishes),
    GetRandom,
}

/// What a document shall say for its caller.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Wishes {
    pub(super) user_data: Option<Vec<u8>>,
    pub(super) nonce: Option<Vec<u8>>,
    pub(super) public_key: Option<Vec<u8>>,
}

/// The arguments of any request.
#[derive(Default)]
struct Arguments {
    index: Option<u16>,
    range: Option<u16>,
    data: Option<Vec<u8>>,
    wishes: Wishes,
}

impl Request {
    /// Reads a request; whatever follows it is nobody's concern.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let mut decoder = Decoder::new(bytes);
        if decoder.datatype()? == Type::String {
            return match decoder.str()? {
                "DescribeNSM" => Ok(Self::DescribeNsm),
                "GetRandom" => Ok(Self::GetRandom),
                _ => Err(Error::message("no such request")),
            };
        }
        decoder.map()?;
        let name = decoder.str()?;
        let arguments = Arguments::read(&mut decoder)?;
        let missing = || Error::message("an argument is missing");
        match name {
            "DescribePCR" => Ok(Self::DescribePcr(arguments.index.ok_or_else(missing)?)),
            "ExtendPCR" => Ok(Self::ExtendPcr {
                index: arguments.index.ok_or_else(missing)?,
                data: arguments.data.ok_or_else(missing)?,
            }),
            "LockPCR" => Ok(Self::LockPcr(arguments.index.ok_or_else(missing)?)),
            "LockPCRs" => Ok(Self::LockPcrs(arguments.range.ok_or_else(missing)?)),
            "Attestation" => Ok(Self::Attestation(arguments.wishes)),
            _ => Err(Error::message("no such request")),
        }
    }
}

impl Arguments {
    fn read(decoder: &mut Decoder<'_>) -> Result<Self, Error> {
        let mut found = Self::default();
        let mut left = decoder.map()?;
        loop {
            match left {
                Some(0) => return Ok(found),
                Some(fields) => left = Some(fields.saturating_sub(1)),
                None if decoder.datatype()? == Type::Break => return Ok(found),
                None => {}
            }
            match decoder.str()? {
                "index" => found.index = Some(decoder.u16()?),
                "range" => found.range = Some(decoder.u16()?),
                "data" => found.data = bytes(decoder)?,
                "user_data" => found.wishes.user_data = bytes(decoder)?,
                "nonce" => found.wishes.nonce = bytes(decoder)?,
                "public_key" => found.wishes.public_key = bytes(decoder)?,
                _ => decoder.skip()?,
            }
        }
    }
}

fn bytes(decoder: &mut Decoder<'_>) -> Result<Option<Vec<u8>>, Error> {
    if decoder.datatype()? == Type::Null {
        decoder.null()?;
        return Ok(None);
    }
    Ok(Some(decoder.bytes()?.to_vec()))
}
