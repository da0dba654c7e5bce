//! What a recall or a revocation means: a chip, an instance, a measurement, a policy's machines, a product line, a
//! platform. One way to write it, for command lines, requests and records.
//!
//! Untrusted: the text.

use std::fmt;
use std::str::FromStr;

use minicbor::{Decode, Encode};

use super::entry::Subject;
use super::names::{Measurement, Text};
use crate::{Digest, Platform};

/// What is recalled, or revoked.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Selector {
    /// One chip.
    Hardware(Digest<32>),
    /// One instance.
    Instance(Digest<32>),
    /// Everything that measured this.
    Measurement(Measurement),
    /// What this policy admitted, up to this version.
    Policy {
        /// Its name.
        name: Text<256>,
        /// The last version that is recalled.
        up_to: u64,
    },
    /// A vendor's product line.
    ProductLine(Text<64>),
    /// A platform.
    Platform(Platform),
}

impl Selector {
    /// Whether this subject is meant.
    #[must_use]
    pub fn selects(&self, subject: &Subject) -> bool {
        match self {
            Self::Hardware(id) => subject.hardware.as_ref() == Some(id),
            Self::Instance(id) => subject.instance.as_ref() == Some(id),
            Self::Measurement(measurement) => subject.measurement.as_ref() == Some(measurement),
            Self::Policy { name, up_to } => {
                subject.policy.as_ref().is_some_and(|policy| policy.name == *name && policy.version <= *up_to)
            }
            Self::ProductLine(line) => subject.product_line.as_ref() == Some(line),
            Self::Platform(platform) => subject.platform == Some(*platform),
        }
    }
}

impl FromStr for Selector {
    type Err = BadSelector;

    /// `hardware=HEX`, `instance=HEX`, `measurement=HEX`, `policy=NAME@VERSION`, `product-line=NAME` or
    /// `platform=NAME`.
    fn from_str(text: &str) -> Result<Self, BadSelector> {
        let bad = |expected: &str| BadSelector {
            expected: expected.to_owned(),
            found: text.chars().take(120).collect(),
        };
        let (what, value) = text.split_once('=').ok_or_else(|| bad(FORMS))?;
        let digest = || value.parse().map_err(|_why| bad("64 hex digits"));
        match what {
            "hardware" => digest().map(Self::Hardware),
            "instance" => digest().map(Self::Instance),
            "measurement" => value
                .parse()
                .map(Self::Measurement)
                .map_err(|_why| bad("a measurement of 1 to 64 bytes in hex")),
            "policy" => {
                let (name, version) = value.rsplit_once('@').ok_or_else(|| bad("policy=NAME@VERSION"))?;
                let up_to = version.parse().map_err(|_why| bad("a version in decimal"))?;
                let name = Text::new(name).map_err(|_why| bad("a name of at most 256 bytes"))?;
                Ok(Self::Policy { name, up_to })
            }
            "product-line" => {
                Text::new(value).map(Self::ProductLine).map_err(|_why| bad("a name of at most 64 bytes"))
            }
            "platform" => Platform::named(value).map(Self::Platform).ok_or_else(|| {
                let names: Vec<&str> = Platform::ALL.iter().map(|platform| platform.name()).collect();
                bad(&format!("a platform's name ({})", names.join(", ")))
            }),
            _ => Err(bad(FORMS)),
        }
    }
}

const FORMS: &str = "hardware=HEX, instance=HEX, measurement=HEX, policy=NAME@VERSION, product-line=NAME or \
                     platform=NAME";

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hardware(id) => write!(f, "hardware={id}"),
            Self::Instance(id) => write!(f, "instance={id}"),
            Self::Measurement(measurement) => write!(f, "measurement={measurement}"),
            Self::Policy { name, up_to } => write!(f, "policy={name}@{up_to}"),
            Self::ProductLine(line) => write!(f, "product-line={line}"),
            Self::Platform(platform) => write!(f, "platform={}", platform.name()),
        }
    }
}

impl<C> Encode<C> for Selector {
    fn encode<W: minicbor::encode::Write>(
        &self,
        encoder: &mut minicbor::Encoder<W>,
        _context: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        encoder.str(&self.to_string())?.ok()
    }
}

impl<'b, C> Decode<'b, C> for Selector {
    fn decode(
        decoder: &mut minicbor::Decoder<'b>,
        _context: &mut C,
    ) -> Result<Self, minicbor::decode::Error> {
        decoder.str()?.parse().map_err(minicbor::decode::Error::custom)
    }
}

impl serde::Serialize for Selector {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Selector {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<'_, str>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A text that selects nothing.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("expected {expected}, found {found:?}")]
pub struct BadSelector {
    expected: String,
    found: String,
}
