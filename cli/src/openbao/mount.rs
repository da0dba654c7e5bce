//! Where a mount is.

/// The path of a mount: segments of letters, digits, `-`, `_` and `.`.
pub(crate) fn mount(text: &str) -> Result<String, String> {
    let plain = |segment: &str| {
        !segment.is_empty()
            && segment.bytes().any(|byte| byte != b'.')
            && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    let path = text.trim_end_matches('/');
    if path.split('/').all(plain) {
        Ok(path.to_owned())
    } else {
        Err("expected the path of a mount".to_owned())
    }
}
