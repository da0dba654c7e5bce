//! PCR values as sets carry them: JSON per bank, or the blob of `tpm2_quote`.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use attest::crypto::Hash;

use crate::entry::Set;

/// A PCR and its value.
type Pcr = (Hash, u32, Vec<u8>);

/// The values of the `selected` PCRs out of `{"7": "hex", …}` files whose names carry the bank
/// (`pcrs.sha256.json`), or whose content does (`{"sha256": {"7": "hex", …}}`); for a bank whose file is not
/// listed, the one beside a listed one. Without values for one of the banks the digest cannot be recomputed,
/// and none are given.
pub(crate) fn json(set: &Set, paths: &[String], selected: &[(Hash, u32)]) -> Result<Vec<Pcr>> {
    let mut banks: BTreeMap<Hash, BTreeMap<u32, Vec<u8>>> = BTreeMap::new();
    for (bank, _) in selected {
        if banks.contains_key(bank) {
            continue;
        }
        let Some(path) = path_of(set, paths, *bank) else { return Ok(Vec::new()) };
        banks.insert(*bank, table(&set.read(&path)?, *bank)?);
    }
    let value = |(bank, index): &(Hash, u32)| Some((*bank, *index, banks.get(bank)?.get(index)?.clone()));
    Ok(selected.iter().filter_map(value).collect())
}

fn path_of(set: &Set, paths: &[String], bank: Hash) -> Option<String> {
    let carries = |path: &&String| is_json(path) && name_of(path).contains(&bank.to_string());
    if let Some(path) = paths.iter().find(carries) {
        return Some(path.clone());
    }
    let folders = paths.iter().filter_map(|path| path.rsplit_once('/')).map(|(folder, _)| folder);
    let mut beside = folders.flat_map(|folder| set.folder(folder));
    let named = beside.find(|path| name_of(path).starts_with("pcrs") && carries(&path));
    // A file without a bank in its name names it inside, or speaks of the only bank there is.
    named.or_else(|| paths.iter().find(|path| is_json(path) && !name_of(path).contains("sha")).cloned())
}

pub(crate) fn is_json(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|ending| ending == "json")
}

fn name_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn table(bytes: &[u8], bank: Hash) -> Result<BTreeMap<u32, Vec<u8>>> {
    let mut whole: serde_json::Value = serde_json::from_slice(bytes)?;
    let values = whole.get_mut(bank.to_string()).map(serde_json::Value::take).unwrap_or(whole);
    let text: BTreeMap<String, String> = serde_json::from_value(values)?;
    let entry = |(index, value): (String, String)| {
        let digits = index.trim_start_matches(|letter: char| !letter.is_ascii_digit());
        Ok((digits.parse().with_context(|| format!("PCR {index:?}"))?, hex::decode(&value)?))
    };
    text.into_iter().map(entry).collect()
}

/// The blob that `tpm2_quote --pcr` writes: `TPML_PCR_SELECTION` and a list of `TPML_DIGEST` as the structures
/// lie in the memory of a little-endian machine.
pub(crate) fn tpm2_tools(blob: &[u8]) -> Result<Vec<Pcr>> {
    let mut rest = blob;
    let mut selected = Vec::new();
    let selections = number(take(&mut rest, 4)?);
    ensure!(selections <= SELECTIONS, "{selections} selections, expected at most {SELECTIONS}");
    for at in 0..SELECTIONS {
        let selection = take(&mut rest, 8)?;
        if at < selections {
            selected.extend(indices(selection)?);
        }
    }
    let mut values = Vec::new();
    for _ in 0..number(take(&mut rest, 4)?).min(LISTS) {
        let count = number(take(&mut rest, 4)?);
        for at in 0..DIGESTS {
            let length = usize::try_from(number(take(&mut rest, 2)?))?;
            let room = take(&mut rest, 64)?;
            if at < count {
                values.push(room.get(..length).context("a digest longer than 64 bytes")?.to_vec());
            }
        }
    }
    ensure!(rest.is_empty(), "{} bytes follow the end", rest.len());
    ensure!(values.len() == selected.len(), "{} values for {} PCRs", values.len(), selected.len());
    Ok(selected.into_iter().zip(values).map(|((bank, index), value)| (bank, index, value)).collect())
}

/// `TPMS_PCR_SELECTION`: hash, size of the bitmap, four bytes of bitmap, padding.
fn indices(selection: &[u8]) -> Result<Vec<(Hash, u32)>> {
    let [low, high, size, bitmap @ .., _] = selection else { bail!("a cut selection") };
    let bank = match u16::from_le_bytes([*low, *high]) {
        0x0004 => Hash::Sha1,
        0x000b => Hash::Sha256,
        0x000c => Hash::Sha384,
        0x000d => Hash::Sha512,
        other => bail!("bank {other:#06x}"),
    };
    let bytes = bitmap.iter().take(usize::from(*size)).zip((0_u32..).step_by(8));
    let bits =
        bytes.flat_map(|(byte, first)| (0..8).map(move |bit| (first | bit, byte.rotate_right(bit) & 1)));
    Ok(bits.filter(|(_, bit)| *bit == 1).map(|(index, _)| (bank, index)).collect())
}

fn take<'b>(rest: &mut &'b [u8], length: usize) -> Result<&'b [u8]> {
    let (head, tail) = rest.split_at_checked(length).context("a cut PCR blob")?;
    *rest = tail;
    Ok(head)
}

/// A little-endian number of up to four bytes.
fn number(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |number, byte| number.wrapping_shl(8) | u32::from(*byte))
}

/// `TPM2_NUM_PCR_BANKS`, the digests of a `TPML_DIGEST`, and more lists than PCRs could fill.
const SELECTIONS: u32 = 16;
const DIGESTS: u32 = 8;
const LISTS: u32 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn blob() -> Vec<u8> {
        let mut blob = vec![1, 0, 0, 0, 0x0b, 0, 3, 0, 0, 1, 0, 0];
        blob.resize(132, 0);
        blob.extend([1, 0, 0, 0, 1, 0, 0, 0, 32, 0]);
        blob.extend([0xaa; 32]);
        blob.resize(668, 0);
        blob
    }

    #[test]
    fn the_blob_of_tpm2_tools_is_read() {
        assert_eq!(tpm2_tools(&blob()).unwrap(), [(Hash::Sha256, 16, vec![0xaa; 32])]);
    }

    #[test]
    fn a_cut_blob_is_an_error() {
        for length in 0..668 {
            assert!(tpm2_tools(&blob()[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn an_index_may_carry_a_word_and_a_file_all_banks() {
        for text in
            [r#"{"pcr07": "00ff", "12": "aa"}"#, r#"{"sha1": {"7": "00ff", "PCR12": "aa"}, "sha256": {}}"#]
        {
            let table = table(text.as_bytes(), Hash::Sha1).unwrap();
            assert_eq!(table.into_iter().collect::<Vec<_>>(), [(7, vec![0, 0xff]), (12, vec![0xaa])]);
        }
    }
}
