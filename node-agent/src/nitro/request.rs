//! What a security module can be asked, as it reads it.
//!
//! CBOR in the manner of AWS' own library: a request with arguments is a map of one entry, its name and a map of its
//! arguments; one without is its name alone. (`serde_cbor` calls this externally tagged.)
//!
//! Source: `aws-nitro-enclaves-nsm-api` 0.5.2, `api/mod.rs`. Trusted: the caller within this program.

use std::convert::Infallible;

use minicbor::Encoder;
use minicbor::encode::Error;

/// A request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Request<'a> {
    /// The value of a register, and whether it is locked.
    DescribePcr(u16),
    /// Has a register take in data: SHA-384 of its value and the data.
    ExtendPcr {
        /// Which.
        index: u16,
        /// The data.
        data: &'a [u8],
    },
    /// Locks a register until the enclave ends. Only locked ones are signed.
    LockPcr(u16),
    /// Locks all registers below this number.
    LockPcrs(u16),
    /// What the module is.
    DescribeNsm,
    /// A signed document.
    Attestation(Attested<'a>),
    /// Random bytes.
    GetRandom,
}

/// What a document says for its caller.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Attested<'a> {
    /// The hash of the transcript.
    pub user_data: &'a [u8],
    /// The verifier's nonce.
    pub nonce: &'a [u8],
    /// An RSA key, `SubjectPublicKeyInfo`. Other keys do not fit, and stand in the transcript alone.
    pub public_key: Option<&'a [u8]>,
}

type Written = Result<(), Error<Infallible>>;

impl Request<'_> {
    /// The name of the request, and of the response to it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::DescribePcr(_) => "DescribePCR",
            Self::ExtendPcr { .. } => "ExtendPCR",
            Self::LockPcr(_) => "LockPCR",
            Self::LockPcrs(_) => "LockPCRs",
            Self::DescribeNsm => "DescribeNSM",
            Self::Attestation(_) => "Attestation",
            Self::GetRandom => "GetRandom",
        }
    }

    /// The bytes for the module.
    pub fn encode(&self) -> Result<Vec<u8>, Error<Infallible>> {
        let mut encoder = Encoder::new(Vec::new());
        match self {
            Self::DescribePcr(index) | Self::LockPcr(index) => self.number("index", *index, &mut encoder)?,
            Self::LockPcrs(range) => self.number("range", *range, &mut encoder)?,
            Self::ExtendPcr { index, data } => {
                encoder.map(1)?.str(self.name())?.map(2)?;
                encoder.str("index")?.u16(*index)?.str("data")?.bytes(data)?;
            }
            Self::Attestation(attested) => {
                encoder.map(1)?.str(self.name())?;
                attested.write(&mut encoder)?;
            }
            Self::DescribeNsm | Self::GetRandom => drop(encoder.str(self.name())?),
        }
        Ok(encoder.into_writer())
    }

    fn number(&self, argument: &str, number: u16, encoder: &mut Encoder<Vec<u8>>) -> Written {
        encoder.map(1)?.str(self.name())?.map(1)?.str(argument)?.u16(number)?;
        Ok(())
    }
}

impl Attested<'_> {
    fn write(&self, encoder: &mut Encoder<Vec<u8>>) -> Written {
        encoder.map(3)?;
        encoder.str("user_data")?.bytes(self.user_data)?;
        encoder.str("nonce")?.bytes(self.nonce)?;
        match self.public_key {
            Some(key) => encoder.str("public_key")?.bytes(key)?,
            None => encoder.str("public_key")?.null()?,
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes that AWS' library 0.5.2 writes for the same requests, taken from it once.
    #[test]
    fn requests_are_written_as_awss_library_writes_them() {
        let hex = |request: Request<'_>| hex::encode(request.encode().unwrap());
        assert_eq!(hex(Request::DescribeNsm), "6b44657363726962654e534d");
        assert_eq!(hex(Request::GetRandom), "6947657452616e646f6d");
        assert_eq!(hex(Request::DescribePcr(3)), "a16b4465736372696265504352a165696e64657803");
        assert_eq!(hex(Request::LockPcr(300)), "a1674c6f636b504352a165696e64657819012c");
        assert_eq!(hex(Request::LockPcrs(16)), "a1684c6f636b50435273a16572616e676510");
        let extend = Request::ExtendPcr { index: 16, data: &[1, 2] };
        assert_eq!(hex(extend), "a169457874656e64504352a265696e646578106464617461420102");
        let attested = Attested { user_data: &[1], nonce: &[2], public_key: None };
        let expected =
            "a16b4174746573746174696f6ea369757365725f646174614101656e6f6e636541026a7075626c69635f6b6579f6";
        assert_eq!(hex(Request::Attestation(attested)), expected);
        let attested = Attested { public_key: Some(&[3]), ..attested };
        assert!(hex(Request::Attestation(attested)).ends_with("6a7075626c69635f6b65794103"));
    }
}
