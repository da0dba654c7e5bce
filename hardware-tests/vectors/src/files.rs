//! The files of a set: inside its folder, of a bounded size; certificates in PEM or DER.

use std::path::{Component, Path};

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;

/// Reads a file of the set in `dir`.
pub(crate) fn read(dir: &Path, path: &str) -> Result<Vec<u8>> {
    let inside = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
    if !inside {
        bail!("{path:?} is not a path inside the set");
    }
    let full = dir.join(path);
    let length = std::fs::metadata(&full).with_context(|| path.to_owned())?.len();
    if length > LIMIT {
        bail!("{path}: {length} bytes, expected at most {LIMIT}");
    }
    std::fs::read(full).with_context(|| path.to_owned())
}

/// The paths, in the set, of the files in one of its folders; sorted.
pub(crate) fn folder(dir: &Path, path: &str) -> Vec<String> {
    let path = path.trim_end_matches('/');
    let list = std::fs::read_dir(dir.join(path)).into_iter().flatten().flatten();
    let names = list.filter_map(|file| file.file_name().into_string().ok());
    let mut paths: Vec<String> = names.map(|name| format!("{path}/{name}")).collect();
    paths.sort();
    paths
}

/// The DER of what is in a file: the PEM blocks, or the bytes as they are.
pub(crate) fn der(bytes: &[u8]) -> Vec<Vec<u8>> {
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    let blocks: Vec<Vec<u8>> = text.split("-----BEGIN ").skip(1).filter_map(block).collect();
    if blocks.is_empty() { vec![bytes.to_vec()] } else { blocks }
}

fn block(text: &str) -> Option<Vec<u8>> {
    let (_, body) = text.split_once("-----")?;
    let (body, _) = body.split_once("-----END")?;
    let body: String = body.split_whitespace().collect();
    base64::engine::general_purpose::STANDARD.decode(body).ok()
}

/// Larger than any evidence, log or list.
const LIMIT: u64 = 64 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pem_blocks_become_der_and_other_bytes_stay() {
        let pem = b"-----BEGIN X-----\nAAEC\n-----END X-----\n-----BEGIN Y-----\nAw==\n-----END Y-----\n";
        assert_eq!(der(pem), [vec![0, 1, 2], vec![3]]);
        assert_eq!(der(&[0x30, 0xff]), [vec![0x30, 0xff]]);
    }

    #[test]
    fn a_path_out_of_the_set_is_not_read() {
        for path in ["../Cargo.toml", "/etc/hostname", "./a"] {
            assert!(
                read(Path::new("."), path).unwrap_err().to_string().contains("not a path inside"),
                "{path}"
            );
        }
    }
}
