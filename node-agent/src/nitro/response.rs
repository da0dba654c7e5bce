//! What a security module answered.
//!
//! Exactly the response that AWS' library knows: one name, the fields of that name and no others, each once. Maps may
//! be of indefinite length, as newer firmware writes them. Lengths are compared with the bytes there are before
//! anything is copied.
//!
//! Untrusted: every byte. The document within is for a verifier and is not looked at here.

use std::collections::BTreeSet;

use minicbor::Decoder;
use minicbor::data::Type;

/// A response.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Response {
    /// A register.
    DescribePcr {
        /// Whether it takes nothing in any more.
        locked: bool,
        /// Its value.
        value: Vec<u8>,
    },
    /// A register's value after it took something in.
    ExtendPcr(Vec<u8>),
    /// A register is locked.
    LockPcr,
    /// Registers are locked.
    LockPcrs,
    /// What the module is.
    DescribeNsm(Description),
    /// A signed document.
    Attestation(Vec<u8>),
    /// Random bytes.
    GetRandom(Vec<u8>),
    /// The module did not do it.
    Refused(Refusal),
}

/// What a module says of itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Description {
    /// Major, minor, patch.
    pub version: [u16; 3],
    /// Its id: the EC2 instance's and the enclave's.
    pub module_id: String,
    /// How many registers it has.
    pub max_pcrs: u16,
    /// Those that take nothing in any more.
    pub locked_pcrs: BTreeSet<u16>,
    /// The hash of its registers, such as `SHA384`.
    pub digest: String,
}

/// Why a module did not do what it was asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// `InvalidArgument`.
    #[error("an argument makes no sense to it (InvalidArgument)")]
    Argument,
    /// `InvalidIndex`.
    #[error("it has no register of this number (InvalidIndex)")]
    Index,
    /// `InvalidResponse`.
    #[error("what answered belongs to another question (InvalidResponse)")]
    Response,
    /// `ReadOnlyIndex`.
    #[error("the register is locked until the enclave ends (ReadOnlyIndex)")]
    Locked,
    /// `InvalidOperation`.
    #[error("it cannot do this, or cannot read the request (InvalidOperation)")]
    Operation,
    /// `BufferTooSmall`.
    #[error("its answer does not fit the buffer (BufferTooSmall)")]
    Buffer,
    /// `InputTooLarge`.
    #[error("the request, or a field of it, is too large (InputTooLarge)")]
    Input,
    /// `InternalError`.
    #[error("it has a fault of its own (InternalError)")]
    Internal,
}

impl Response {
    /// Reads a response and nothing behind it.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let (response, end) = Self::parse_first(bytes)?;
        match bytes.len().saturating_sub(end) {
            0 => Ok(response),
            extra => Err(Malformed::Trailing { extra }),
        }
    }

    /// Reads a response at the start of a buffer, and says where it ends.
    pub fn parse_first(bytes: &[u8]) -> Result<(Self, usize), Malformed> {
        let mut decoder = Decoder::new(bytes);
        let response = if kind("response", &decoder)? == Type::String {
            Self::named(text("response", &mut decoder)?)?
        } else {
            Self::in_a_map(&mut decoder)?
        };
        Ok((response, decoder.position()))
    }

    fn in_a_map(decoder: &mut Decoder<'_>) -> Result<Self, Malformed> {
        let mut response = None;
        fields("response", decoder, |name, decoder| {
            let read = Self::with_fields(name, decoder)?;
            once("response", &mut response, read)
        })?;
        present("response", response)
    }

    /// The request that this answers.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::DescribePcr { .. } => "DescribePCR",
            Self::ExtendPcr(_) => "ExtendPCR",
            Self::LockPcr => "LockPCR",
            Self::LockPcrs => "LockPCRs",
            Self::DescribeNsm(_) => "DescribeNSM",
            Self::Attestation(_) => "Attestation",
            Self::GetRandom(_) => "GetRandom",
            Self::Refused(_) => "Error",
        }
    }

    fn named(name: &str) -> Result<Self, Malformed> {
        match name {
            "LockPCR" => Ok(Self::LockPcr),
            "LockPCRs" => Ok(Self::LockPcrs),
            other => Err(odd("response", "one that AWS names", shown(other))),
        }
    }

    fn with_fields(name: &str, decoder: &mut Decoder<'_>) -> Result<Self, Malformed> {
        match name {
            "DescribePCR" => register(decoder),
            "ExtendPCR" => blob("data", decoder).map(Self::ExtendPcr),
            "DescribeNSM" => Description::read(decoder).map(Self::DescribeNsm),
            "Attestation" => blob("document", decoder).map(Self::Attestation),
            "GetRandom" => blob("random", decoder).map(Self::GetRandom),
            "Error" => Refusal::read(decoder).map(Self::Refused),
            other => Err(odd("response", "one that AWS names", shown(other))),
        }
    }
}

impl Description {
    fn read(decoder: &mut Decoder<'_>) -> Result<Self, Malformed> {
        let (mut major, mut minor, mut patch, mut max) = (None, None, None, None);
        let (mut id, mut locked, mut digest) = (None, None, None);
        fields("DescribeNSM", decoder, |name, decoder| match name {
            "version_major" => once("version_major", &mut major, number("version_major", decoder)?),
            "version_minor" => once("version_minor", &mut minor, number("version_minor", decoder)?),
            "version_patch" => once("version_patch", &mut patch, number("version_patch", decoder)?),
            "module_id" => once("module_id", &mut id, text("module_id", decoder)?.to_owned()),
            "max_pcrs" => once("max_pcrs", &mut max, number("max_pcrs", decoder)?),
            "locked_pcrs" => once("locked_pcrs", &mut locked, numbers("locked_pcrs", decoder)?),
            "digest" => once("digest", &mut digest, text("digest", decoder)?.to_owned()),
            other => Err(unknown("DescribeNSM", other)),
        })?;
        let (major, minor) = (present("version_major", major)?, present("version_minor", minor)?);
        Ok(Self {
            version: [major, minor, present("version_patch", patch)?],
            module_id: present("module_id", id)?,
            max_pcrs: present("max_pcrs", max)?,
            locked_pcrs: present("locked_pcrs", locked)?,
            digest: present("digest", digest)?,
        })
    }
}

impl Refusal {
    fn read(decoder: &mut Decoder<'_>) -> Result<Self, Malformed> {
        match text("Error", decoder)? {
            "InvalidArgument" => Ok(Self::Argument),
            "InvalidIndex" => Ok(Self::Index),
            "InvalidResponse" => Ok(Self::Response),
            "ReadOnlyIndex" => Ok(Self::Locked),
            "InvalidOperation" => Ok(Self::Operation),
            "BufferTooSmall" => Ok(Self::Buffer),
            "InputTooLarge" => Ok(Self::Input),
            "InternalError" => Ok(Self::Internal),
            other => Err(odd("Error", "a code that AWS names", shown(other))),
        }
    }
}

/// Why bytes are not a response.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Malformed {
    /// An item is not what it has to be.
    #[error("{what}: expected {expected}, found {found}")]
    Value {
        /// The item.
        what: &'static str,
        /// What it has to be.
        expected: &'static str,
        /// What is there.
        found: String,
    },
    /// Something follows.
    #[error("{extra} bytes follow the response")]
    Trailing {
        /// How much.
        extra: usize,
    },
}

fn register(decoder: &mut Decoder<'_>) -> Result<Response, Malformed> {
    let (mut locked, mut value) = (None, None);
    fields("DescribePCR", decoder, |name, decoder| match name {
        "lock" => once("lock", &mut locked, truth("lock", decoder)?),
        "data" => once("data", &mut value, bytes("data", decoder)?),
        other => Err(unknown("DescribePCR", other)),
    })?;
    Ok(Response::DescribePcr { locked: present("lock", locked)?, value: present("data", value)? })
}

/// A map with one byte string.
fn blob(what: &'static str, decoder: &mut Decoder<'_>) -> Result<Vec<u8>, Malformed> {
    let mut content = None;
    fields(what, decoder, |name, decoder| {
        if name == what { once(what, &mut content, bytes(what, decoder)?) } else { Err(unknown(what, name)) }
    })?;
    present(what, content)
}

/// Reads a map of named fields, each by `take`.
fn fields<'b>(
    what: &'static str,
    decoder: &mut Decoder<'b>,
    mut take: impl FnMut(&'b str, &mut Decoder<'b>) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    let mut left = decoder.map().map_err(|error| refused(what, "a map", &error))?;
    while more(what, &mut left, decoder)? {
        let name = text(what, decoder)?;
        take(name, decoder)?;
    }
    Ok(())
}

fn numbers(what: &'static str, decoder: &mut Decoder<'_>) -> Result<BTreeSet<u16>, Malformed> {
    let mut left = decoder.array().map_err(|error| refused(what, "an array", &error))?;
    let mut found = BTreeSet::new();
    while more(what, &mut left, decoder)? {
        found.insert(number(what, decoder)?);
    }
    Ok(found)
}

/// Whether another item follows; past the last one of an indefinite length, its end is read.
fn more(what: &'static str, left: &mut Option<u64>, decoder: &mut Decoder<'_>) -> Result<bool, Malformed> {
    match left {
        Some(0) => Ok(false),
        Some(items) => {
            *items = items.saturating_sub(1);
            Ok(true)
        }
        None if kind(what, decoder)? == Type::Break => {
            decoder.set_position(decoder.position().saturating_add(1));
            Ok(false)
        }
        None => Ok(true),
    }
}

fn kind(what: &'static str, decoder: &Decoder<'_>) -> Result<Type, Malformed> {
    decoder.datatype().map_err(|error| refused(what, "a CBOR item", &error))
}

fn text<'b>(what: &'static str, decoder: &mut Decoder<'b>) -> Result<&'b str, Malformed> {
    decoder.str().map_err(|error| refused(what, "a text string", &error))
}

fn bytes(what: &'static str, decoder: &mut Decoder<'_>) -> Result<Vec<u8>, Malformed> {
    decoder.bytes().map(<[u8]>::to_vec).map_err(|error| refused(what, "a byte string", &error))
}

fn number(what: &'static str, decoder: &mut Decoder<'_>) -> Result<u16, Malformed> {
    decoder.u16().map_err(|error| refused(what, "a number of 16 bits", &error))
}

fn truth(what: &'static str, decoder: &mut Decoder<'_>) -> Result<bool, Malformed> {
    decoder.bool().map_err(|error| refused(what, "true or false", &error))
}

fn once<T>(what: &'static str, slot: &mut Option<T>, value: T) -> Result<(), Malformed> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(odd(what, "one value", "two".to_owned())),
    }
}

fn present<T>(what: &'static str, slot: Option<T>) -> Result<T, Malformed> {
    slot.ok_or_else(|| odd(what, "a value", "none".to_owned()))
}

fn unknown(what: &'static str, name: &str) -> Malformed {
    odd(what, "fields that AWS names", shown(name))
}

fn shown(text: &str) -> String {
    format!("{:?}", text.chars().take(40).collect::<String>())
}

fn refused(what: &'static str, expected: &'static str, error: &minicbor::decode::Error) -> Malformed {
    odd(what, expected, error.to_string())
}

fn odd(what: &'static str, expected: &'static str, found: String) -> Malformed {
    Malformed::Value { what, expected, found }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Response, Malformed> {
        Response::parse(&hex::decode(text).unwrap())
    }

    fn found(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    #[test]
    fn responses_are_read_with_fields_in_either_order_and_maps_of_either_length() {
        let expected = Response::DescribePcr { locked: true, value: vec![1, 2] };
        assert_eq!(parse("a16b4465736372696265504352a2646c6f636bf56464617461420102").unwrap(), expected);
        assert_eq!(parse("a16b4465736372696265504352a26464617461420102646c6f636bf5").unwrap(), expected);
        assert_eq!(parse("bf6b4465736372696265504352bf646c6f636bf56464617461420102ffff").unwrap(), expected);
        assert_eq!(parse("674c6f636b504352").unwrap(), Response::LockPcr);
        assert_eq!(
            parse("a16b4174746573746174696f6ea168646f63756d656e744109").unwrap().name(),
            "Attestation"
        );
    }

    #[test]
    fn every_code_of_aws_has_a_message_of_its_own() {
        let codes = [
            "InvalidArgument",
            "InvalidIndex",
            "InvalidResponse",
            "ReadOnlyIndex",
            "InvalidOperation",
            "BufferTooSmall",
            "InputTooLarge",
            "InternalError",
        ];
        let messages = codes.map(|code| {
            let mut encoder = minicbor::Encoder::new(Vec::new());
            encoder.map(1).unwrap().str("Error").unwrap().str(code).unwrap();
            let Ok(Response::Refused(refusal)) = Response::parse(&encoder.into_writer()) else {
                panic!("{code}")
            };
            assert!(refusal.to_string().ends_with(&format!("({code})")), "{refusal}");
            refusal.to_string()
        });
        assert_eq!(messages.into_iter().collect::<BTreeSet<_>>().len(), codes.len());
        assert_eq!(
            found("a1654572726f726753756363657373"),
            r#"Error: expected a code that AWS names, found "Success""#
        );
    }

    /// Lesson L5: a field that this version does not know may have carried a check.
    #[test]
    fn l05_an_unknown_field_or_response_is_refused() {
        let unknown = found("a16b4174746573746174696f6ea268646f63756d656e74410961614101");
        assert_eq!(unknown, r#"document: expected fields that AWS names, found "a""#);
        assert_eq!(found("a16141a0"), r#"response: expected one that AWS names, found "A""#);
        assert_eq!(found("6141"), r#"response: expected one that AWS names, found "A""#);
        assert_eq!(found("a16b4174746573746174696f6ea0"), "document: expected a value, found none");
        assert_eq!(found("a0"), "response: expected a value, found none");
        let twice = "a1694765745261 6e646f6da26672616e646f6d41016672616e646f6d4102".replace(' ', "");
        assert_eq!(found(&twice), "random: expected one value, found two");
        assert_eq!(found("674c6f636b50435200"), "1 bytes follow the response");
    }

    #[test]
    fn what_follows_in_a_larger_buffer_is_left_alone() {
        let mut buffer = hex::decode("674c6f636b504352").unwrap();
        buffer.extend([0xff; 9]);
        assert_eq!(Response::parse_first(&buffer), Ok((Response::LockPcr, 8)));
    }

    #[test]
    fn every_truncation_is_refused_and_a_claimed_length_of_billions_costs_nothing() {
        let whole = hex::decode("a16b4465736372696265504352a2646c6f636bf56464617461420102").unwrap();
        for length in 0..whole.len() {
            assert!(Response::parse(&whole[..length]).is_err(), "{length}");
        }
        assert!(parse("a16b4174746573746174696f6ea168646f63756d656e745bffffffffffffffff01").is_err());
        assert!(parse("bbffffffffffffffff").is_err());
    }
}
