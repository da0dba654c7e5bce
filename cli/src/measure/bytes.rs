//! Numbers and ranges out of untrusted bytes: there, or not.
//!
//! Untrusted: everything. Offsets are 64 bits wide because file formats name them so; what does not fit this
//! machine is not there.

/// The `length` bytes at `at`, if all of them are there.
pub(crate) fn range(bytes: &[u8], at: u64, length: u64) -> Option<&[u8]> {
    let end = usize::try_from(at.checked_add(length)?).ok()?;
    bytes.get(usize::try_from(at).ok()?..end)
}

/// `N` bytes at `at`.
pub(crate) fn array<const N: usize>(bytes: &[u8], at: u64) -> Option<[u8; N]> {
    range(bytes, at, u64::try_from(N).ok()?)?.try_into().ok()
}

/// A little-endian number of 16 bits.
pub(crate) fn le16(bytes: &[u8], at: u64) -> Option<u16> {
    array(bytes, at).map(u16::from_le_bytes)
}

/// A little-endian number of 32 bits.
pub(crate) fn le32(bytes: &[u8], at: u64) -> Option<u32> {
    array(bytes, at).map(u32::from_le_bytes)
}

/// A little-endian number of 64 bits.
pub(crate) fn le64(bytes: &[u8], at: u64) -> Option<u64> {
    array(bytes, at).map(u64::from_le_bytes)
}

/// How many bytes there are.
pub(crate) fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

/// UTF-16, little-endian, with a NUL behind it: text as firmware passes it on.
pub(crate) fn utf16_nul(text: &str) -> Vec<u8> {
    text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_past_the_end_is_not_there() {
        assert_eq!(le32(&[1, 0, 0, 0], 0), Some(1));
        assert_eq!(le32(&[1, 0, 0, 0], 1), None);
        assert_eq!(range(&[0; 8], u64::MAX, 2), None);
        assert_eq!(range(&[0; 8], 8, 0), Some(&[][..]));
    }

    #[test]
    fn text_for_firmware_ends_in_a_nul() {
        assert_eq!(utf16_nul("aé"), [b'a', 0, 0xe9, 0, 0, 0]);
    }
}
