//! The plaintext of a sealed secret: named fields.
//!
//! `count: u16`, then for each field `name length: u16, name, value length: u32, value`, big-endian,
//! names in ascending order and different. Reading borrows: a wrapper that opened the secret into
//! protected memory finds the values there without copying them.
//!
//! Trusted: the writer, once the HPKE open succeeded; the reader checks every length all the same.

use zeroize::Zeroizing;

/// A field of a secret.
pub type Field<'a> = (&'a str, &'a [u8]);

/// Encodes fields; they are sorted by name.
pub fn encode<'a>(fields: impl IntoIterator<Item = Field<'a>>) -> Result<Zeroizing<Vec<u8>>, BadSecret> {
    let mut fields: Vec<Field<'a>> = fields.into_iter().collect();
    fields.sort_unstable_by_key(|(name, _)| *name);
    let count = u16::try_from(fields.len()).map_err(|_why| BadSecret::TooLarge)?;
    let lengths = fields.iter().map(|(name, value)| name.len().saturating_add(value.len()).saturating_add(6));
    let total = lengths.fold(2_usize, usize::saturating_add);
    if total > MAX_BYTES {
        return Err(BadSecret::TooLarge);
    }
    // The whole capacity first: growing would leave copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(total));
    bytes.extend_from_slice(&count.to_be_bytes());
    for (name, value) in fields {
        let name_length = u16::try_from(name.len()).map_err(|_why| BadSecret::TooLarge)?;
        let value_length = u32::try_from(value.len()).map_err(|_why| BadSecret::TooLarge)?;
        bytes.extend_from_slice(&name_length.to_be_bytes());
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(&value_length.to_be_bytes());
        bytes.extend_from_slice(value);
    }
    fields_of(&bytes)?;
    Ok(bytes)
}

/// The fields of an encoded secret, borrowed from it.
pub fn fields_of(bytes: &[u8]) -> Result<Vec<Field<'_>>, BadSecret> {
    let mut rest = bytes;
    let count = u16::from_be_bytes(take(&mut rest)?);
    let mut fields: Vec<Field<'_>> = Vec::new();
    for _ in 0..count {
        let length = usize::from(u16::from_be_bytes(take(&mut rest)?));
        let name = std::str::from_utf8(slice(&mut rest, length)?).map_err(|_why| BadSecret::Name)?;
        let length =
            usize::try_from(u32::from_be_bytes(take(&mut rest)?)).map_err(|_why| BadSecret::Truncated)?;
        let value = slice(&mut rest, length)?;
        if name.is_empty() || fields.last().is_some_and(|(last, _)| *last >= name) {
            return Err(BadSecret::Name);
        }
        fields.push((name, value));
    }
    if rest.is_empty() { Ok(fields) } else { Err(BadSecret::Trailing) }
}

/// The number of a key-encryption key whose field is named `kek.<n>`: from 1, in the one spelling.
#[must_use]
pub fn kek_number(name: &str) -> Option<u32> {
    let digits = name.strip_prefix("kek.")?;
    let number = digits.parse().ok().filter(|number| *number > 0)?;
    (u32::to_string(&number) == digits).then_some(number)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], BadSecret> {
    let (head, tail) = rest.split_first_chunk::<N>().ok_or(BadSecret::Truncated)?;
    *rest = tail;
    Ok(*head)
}

fn slice<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], BadSecret> {
    let (head, tail) = rest.split_at_checked(length).ok_or(BadSecret::Truncated)?;
    *rest = tail;
    Ok(head)
}

/// The longest encoded secret, in bytes.
pub const MAX_BYTES: usize = 1024 * 1024;

/// Why bytes are not a secret, or fields not encodable. Never says anything of the content.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BadSecret {
    /// More than 65535 fields or 1 MiB.
    #[error("secret too large: at most 65535 fields and 1 MiB")]
    TooLarge,
    /// A field does not fit in what is left.
    #[error("secret is truncated")]
    Truncated,
    /// Bytes follow the last field.
    #[error("bytes follow the last field of the secret")]
    Trailing,
    /// A name is empty, not UTF-8, doubled or out of order.
    #[error("secret field names must be non-empty, different and in order")]
    Name,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_come_back_sorted_and_every_truncation_is_refused() {
        let bytes = encode([("username", b"app".as_slice()), ("password", b"s3cret")]).unwrap();
        assert_eq!(fields_of(&bytes).unwrap(), [("password", b"s3cret".as_slice()), ("username", b"app")]);
        for cut in 0..bytes.len() {
            assert_eq!(fields_of(&bytes[..cut]), Err(BadSecret::Truncated), "{cut}");
        }
        assert_eq!(fields_of(&[&bytes[..], &[0]].concat()), Err(BadSecret::Trailing));
    }

    #[test]
    fn a_key_encryption_key_has_one_spelling() {
        assert_eq!(kek_number("kek.12"), Some(12));
        for other in ["kek.0", "kek.012", "kek.+1", "kek.", "kek.1 ", "kek.4294967296", "key.1", "1"] {
            assert_eq!(kek_number(other), None, "{other}");
        }
    }

    #[test]
    fn a_doubled_name_is_refused() {
        assert_eq!(encode([("a", b"1".as_slice()), ("a", b"2")]).unwrap_err(), BadSecret::Name);
    }
}
