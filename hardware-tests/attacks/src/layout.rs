//! Structures of the kernel's interface as bytes, where no safe type for them exists: fields by their offset.

/// Puts a field where it belongs; what does not fit is left out.
pub(crate) fn put(bytes: &mut [u8], at: usize, field: &[u8]) {
    for (byte, value) in bytes.iter_mut().skip(at).zip(field) {
        *byte = *value;
    }
}

/// A 32-bit field.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |field| u32::from_ne_bytes(*field))
}

/// A 64-bit field.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |field| u64::from_ne_bytes(*field))
}

/// `struct iovec`: an address, in whosever memory, and a length.
pub(crate) fn iovec(address: u64, length: u64) -> [u8; 16] {
    let mut bytes = [0; 16];
    put(&mut bytes, 0, &address.to_ne_bytes());
    put(&mut bytes, 8, &length.to_ne_bytes());
    bytes
}
