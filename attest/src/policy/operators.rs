//! The operators of a policy: what a value may be.
//!
//! An empty set does not parse: it would either refuse everything or, read wrongly, allow everything.

use std::fmt;

use serde::{Deserialize, Deserializer};

/// `{ any_of = [...] }`: one of these.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AnyOf<T> {
    /// The values, at least one.
    #[serde(deserialize_with = "not_empty")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    #[serde(bound(deserialize = "T: Deserialize<'de>"))]
    pub any_of: Vec<T>,
}

impl<T: PartialEq> AnyOf<T> {
    pub(crate) fn allows(&self, found: &T) -> bool {
        self.any_of.contains(found)
    }
}

impl<T: fmt::Display> fmt::Display for AnyOf<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "any of {}", list(&self.any_of))
    }
}

/// `"any"`, written out, or `{ any_of = [...] }`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum Among<T> {
    /// Whatever it is: the author of the policy wrote down that it does not matter.
    Any(AnyWord),
    /// One of these.
    Listed(AnyOf<T>),
}

impl<T: PartialEq> Among<T> {
    pub(crate) fn allows(&self, found: &T) -> bool {
        match self {
            Self::Any(AnyWord::Any) => true,
            Self::Listed(set) => set.allows(found),
        }
    }
}

impl<T: fmt::Display> fmt::Display for Among<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any(AnyWord::Any) => f.write_str("any"),
            Self::Listed(set) => set.fmt(f),
        }
    }
}

/// The word `any`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum AnyWord {
    /// Unconstrained.
    Any,
}

/// `{ min = … }`: at least this.
#[derive(Clone, Copy, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Min<T> {
    /// The least value.
    pub min: T,
}

impl<T: PartialOrd> Min<T> {
    pub(crate) fn allows(&self, found: &T) -> bool {
        *found >= self.min
    }
}

impl<T: fmt::Display> fmt::Display for Min<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at least {}", self.min)
    }
}

/// `{ mask = …, value = … }`: these bits must have these values.
#[derive(Clone, Copy, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "RawMaskEq")]
pub struct MaskEq {
    /// The bits that are looked at.
    pub mask: u64,
    /// What they must be.
    pub value: u64,
}

#[derive(Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct RawMaskEq {
    /// The bits that are looked at.
    mask: u64,
    /// What they must be, and no other bit.
    value: u64,
}

impl TryFrom<RawMaskEq> for MaskEq {
    type Error = &'static str;

    /// A bit of the value that the mask leaves out would never be asked for: somebody thinks that it is.
    fn try_from(RawMaskEq { mask, value }: RawMaskEq) -> Result<Self, Self::Error> {
        if value & !mask != 0 {
            return Err("the value has bits that the mask does not look at");
        }
        Ok(Self { mask, value })
    }
}

impl MaskEq {
    pub(crate) fn allows(self, found: u64) -> bool {
        found & self.mask == self.value
    }
}

impl fmt::Display for MaskEq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x} under mask {:#x}", self.value, self.mask)
    }
}

/// What a single bit must be.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Bit {
    /// 1.
    Set,
    /// 0.
    Clear,
    /// Either: the author of the policy wrote down that it does not matter.
    Any,
}

impl Bit {
    pub(crate) fn allows(self, found: bool) -> bool {
        match self {
            Self::Set => found,
            Self::Clear => !found,
            Self::Any => true,
        }
    }
}

impl fmt::Display for Bit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Set => "set",
            Self::Clear => "clear",
            Self::Any => "any",
        })
    }
}

pub(crate) fn list<T: fmt::Display>(values: &[T]) -> String {
    let texts: Vec<String> = values.iter().map(ToString::to_string).collect();
    texts.join(", ")
}

pub(crate) fn not_empty<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let values = Vec::deserialize(deserializer)?;
    if values.is_empty() {
        return Err(serde::de::Error::custom("expected at least one value, found none"));
    }
    Ok(values)
}
